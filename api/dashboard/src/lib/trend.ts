import type { Loop } from "./types";

const POINTS = 900;
/** A pause longer than this is drawn as a gap, not as a line. */
const GAP_S = 5;

export interface TrendPoint {
  /** Unix seconds. */
  at: number;
  supply_c: number | null;
  return_c: number | null;
  setpoint_c: number | null;
  heat_kw: number | null;
}

type Trends = ReadonlyMap<string, readonly TrendPoint[]>;

/** `trends` with what `loop` says, unless it says it for the second time. */
export function lengthened(trends: Trends, loop: Loop): Trends {
  const at = loop.at === null ? NaN : Date.parse(loop.at) / 1000;
  const kept = trends.get(loop.id) ?? [];
  const last = kept.at(-1)?.at ?? -Infinity;
  if (!(at > last)) return trends;
  const heat_w = loop.cdu["heat_removed_w"] ?? null;
  const point: TrendPoint = {
    at,
    supply_c: loop.cdu["supply_c"] ?? null,
    return_c: loop.cdu["return_c"] ?? null,
    setpoint_c: loop.setpoints["supply_c"] ?? null,
    heat_kw: heat_w === null ? null : heat_w / 1000,
  };
  const gap = kept.length > 0 && at - last > GAP_S ? [emptyAt(last + 1)] : [];
  return new Map(trends).set(loop.id, [...kept.slice(-POINTS + 2), ...gap, point]);
}

function emptyAt(at: number): TrendPoint {
  return { at, supply_c: null, return_c: null, setpoint_c: null, heat_kw: null };
}
