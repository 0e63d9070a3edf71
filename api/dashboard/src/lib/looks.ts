import { CHIP_LIMITS, PEER_BAND, PEERS_MIN } from "./limits";
import { ABOVE_RANGE, NO_DATA, type Plane } from "./planes";
import type { Metric } from "./types";

// How a chip looks on the heat map: a mark (a shape) and a shade (an index of a colour table).

export type Mode = "deviation" | "absolute";

export const Mark = { NONE: 0, LOW: 1, HIGH: 2, CRITICAL: 3, NO_DATA: 4 } as const;
export type Mark = (typeof Mark)[keyof typeof Mark];

export const MARK_WORDS = ["in band", "below its peers", "high", "critical", "no data"] as const;

/** Shades of the deviation mode; the absolute mode has 256 of its own. */
export const Shade = { BUSY: 0, IDLE: 1 } as const;

/** Median code of each group of peers, by group; -1 where they are too few. Chips of one job are
 *  peers, since they do the same work; so are all chips without a job. */
export function peerMedians(codes: Uint8Array, held: Uint16Array): Int16Array {
  const groups = held.reduce((most, group) => Math.max(most, group), 0) + 1;
  const counts = new Uint32Array(groups * 256);
  for (let chip = 0; chip < codes.length; chip += 1) {
    const code = codes[chip] ?? NO_DATA;
    if (code < ABOVE_RANGE) counts[(held[chip] ?? 0) * 256 + code]! += 1;
  }
  return Int16Array.from({ length: groups }, (_, group) => middleOf(counts.subarray(group * 256, group * 256 + 256)));
}

function middleOf(counts: Uint32Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total < PEERS_MIN) return -1;
  let seen = 0;
  return counts.findIndex((count) => (seen += count) * 2 >= total);
}

function markOf(code: number, median: number, step: number, limit: [number, number]): Mark {
  if (code === NO_DATA) return Mark.NO_DATA;
  if (code >= limit[1]) return Mark.CRITICAL;
  if (code >= limit[0]) return Mark.HIGH;
  if (median < 0) return Mark.NONE;
  if (code - median > step) return Mark.HIGH;
  return median - code > step ? Mark.LOW : Mark.NONE;
}

/** For each chip `mark << 8 | shade`. */
export function looksOf(plane: Plane, metric: Metric, held: Uint16Array, mode: Mode): Uint16Array {
  const { codes } = plane;
  const medians = peerMedians(codes, held);
  const step = (PEER_BAND[metric.name] ?? Infinity) / plane.scale;
  const fixed = CHIP_LIMITS[metric.name];
  const limit: [number, number] = fixed
    ? [codeOf(plane, fixed.warning), codeOf(plane, fixed.critical)]
    : [ABOVE_RANGE, 256];
  // Every answer there can be, once: chips are many, groups and codes few.
  const answers = new Uint16Array(medians.length * 256);
  medians.forEach((median, group) => {
    const calm = group === 0 ? Shade.IDLE : Shade.BUSY;
    for (let code = 0; code < 256; code += 1) {
      const shade = mode === "absolute" ? code : calm;
      answers[group * 256 + code] = (markOf(code, median, step, limit) << 8) | shade;
    }
  });
  const looks = new Uint16Array(codes.length);
  for (let chip = 0; chip < codes.length; chip += 1) {
    looks[chip] = answers[(held[chip] ?? 0) * 256 + (codes[chip] ?? NO_DATA)] ?? 0;
  }
  return looks;
}

function codeOf(plane: Plane, value: number): number {
  return Math.round((value - plane.base) / plane.scale);
}

export const markIn = (look: number): Mark => (look >> 8) as Mark;
