import { chipsOf } from "./places";
import type { Fleet, UltraServer } from "./types";

// Where each chip is drawn: racks stand side by side, sleds are rows of a rack, chips lie in a row.

export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

interface Rack extends Box {
  heading: string;
  server: UltraServer;
  firstChip: number;
  /** Width of a chip. */
  chipW: number;
}

export interface Layout {
  racks: readonly Rack[];
  width: number;
  height: number;
  /** Height of a chip. */
  row: number;
  /** Room left of a rack for sled numbers and marks. */
  gutter: number;
  chips: number;
}

/** Between chips of a sled, and between sleds. */
export const GAP = 2;
const RACK_GAP = 14;
const HEADING = 18;
/** More racks than this are drawn small, without sled numbers. */
const ROOMY_RACKS = 16;

export function layOut(fleet: Fleet, width: number): Layout {
  const all = fleet.ultraservers.flatMap((server) =>
    Array.from({ length: server.racks }, (_, n) => ({ server, rack: n })),
  );
  const roomy = all.length <= ROOMY_RACKS;
  const [row, gutter, least] = roomy ? [13, 22, 150] : [5, 8, 64];
  const perLine = Math.max(1, Math.min(all.length, Math.floor((width + RACK_GAP) / (least + RACK_GAP))));
  const pitch = Math.floor((width + RACK_GAP) / perLine);
  const racks: Rack[] = [];
  let y = 0;
  let tallest = 0;
  all.forEach(({ server, rack }, n) => {
    const place = n % perLine;
    if (place === 0) {
      y += tallest;
      tallest = 0;
    }
    const room = pitch - RACK_GAP - gutter;
    const chipW = Math.max(2, Math.floor((room - GAP * (server.chips_per_sled - 1)) / server.chips_per_sled));
    const h = server.sleds_per_rack * (row + GAP) - GAP;
    const firstChip = server.first_chip + rack * server.sleds_per_rack * server.chips_per_sled;
    const short = server.id.split("/").at(-1) ?? server.id;
    racks.push({
      heading: roomy ? `${server.id} rack ${rack + 1}` : `${short} r${rack + 1}`,
      server,
      firstChip,
      x: place * pitch + gutter,
      y: y + HEADING,
      w: server.chips_per_sled * (chipW + GAP) - GAP,
      h,
      chipW,
    });
    tallest = Math.max(tallest, HEADING + h + 8);
  });
  return { racks, width, height: Math.max(1, y + tallest), row, gutter, chips: fleet.chips };
}

export function rackOf(layout: Layout, index: number): Rack | undefined {
  return layout.racks.find(
    (rack) => index >= rack.firstChip && index < rack.firstChip + chipsOf(rack.server) / rack.server.racks,
  );
}

/** Box of a chip; null when there is no such chip. */
export function boxOf(layout: Layout, index: number): Box | null {
  const rack = rackOf(layout, index);
  if (!rack) return null;
  const inside = index - rack.firstChip;
  const perSled = rack.server.chips_per_sled;
  return {
    x: rack.x + (inside % perSled) * (rack.chipW + GAP),
    y: rack.y + Math.floor(inside / perSled) * (layout.row + GAP),
    w: rack.chipW,
    h: layout.row,
  };
}

/** Boxes of all chips as x, y, w of each, since looking each up would be slow. */
export function boxesOf(layout: Layout): Float32Array<ArrayBuffer> {
  const boxes = new Float32Array(layout.chips * 3);
  for (const rack of layout.racks) {
    const perSled = rack.server.chips_per_sled;
    for (let inside = 0; inside < perSled * rack.server.sleds_per_rack; inside += 1) {
      const x = rack.x + (inside % perSled) * (rack.chipW + GAP);
      const y = rack.y + Math.floor(inside / perSled) * (layout.row + GAP);
      boxes.set([x, y, rack.chipW], (rack.firstChip + inside) * 3);
    }
  }
  return boxes;
}

export function chipAt(layout: Layout, x: number, y: number): number | null {
  const rack = layout.racks.find(
    (one) => x >= one.x && x < one.x + one.w + GAP && y >= one.y && y < one.y + one.h + GAP,
  );
  if (!rack) return null;
  const perSled = rack.server.chips_per_sled;
  const chip = Math.min(perSled - 1, Math.floor((x - rack.x) / (rack.chipW + GAP)));
  return rack.firstChip + Math.floor((y - rack.y) / (layout.row + GAP)) * perSled + chip;
}

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowDown: [0, 1],
  ArrowUp: [0, -1],
};

/** The next chip in the arrow's direction; null for any other key or at the edge. */
export function moved(layout: Layout, from: number, key: string): number | null {
  const [dx, dy] = ARROWS[key] ?? [0, 0];
  const box = boxOf(layout, from);
  if (!box || (dx === 0 && dy === 0)) return null;
  const [x, y] = [box.x + box.w / 2, box.y + box.h / 2];
  // Across the space between racks too.
  for (let step = 2; step < 120; step += 2) {
    const found = chipAt(layout, x + dx * (box.w / 2 + step), y + dy * (box.h / 2 + step));
    if (found !== null && found !== from) return found;
  }
  return null;
}
