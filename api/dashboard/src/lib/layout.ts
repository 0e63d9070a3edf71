import type { Fleet } from "./types";

// Where each chip is drawn: racks stand side by side, sleds are rows of a rack, chips lie in a row.

export interface Cell {
  index: number;
  id: string;
  x: number;
  y: number;
  w: number;
  h: number;
  /** Said once above a rack. */
  heading: string;
}

const GAP = 2;
const RACK_GAP = 18;
const TOP = 18;
const ROW = 13;

export function layOut(fleet: Fleet, width: number): Cell[] {
  const racks = fleet.ultraservers.flatMap((server) =>
    Array.from({ length: server.racks }, (_, n) => ({ server, rack: n + 1 })),
  );
  const perLine = Math.max(1, Math.min(racks.length, Math.floor(width / 220)));
  const rackWidth = Math.floor((width - RACK_GAP * (perLine - 1)) / perLine);
  const cells: Cell[] = [];
  let y = 0;
  let tallest = 0;
  racks.forEach(({ server, rack }, n) => {
    const place = n % perLine;
    if (place === 0 && n > 0) {
      y += tallest;
      tallest = 0;
    }
    const x = place * (rackWidth + RACK_GAP);
    const w = Math.floor((rackWidth - GAP * (server.chips_per_sled - 1)) / server.chips_per_sled);
    const firstSled = (rack - 1) * server.sleds_per_rack;
    for (let sled = 0; sled < server.sleds_per_rack; sled += 1) {
      for (let chip = 0; chip < server.chips_per_sled; chip += 1) {
        const name = `${server.id}/r${rack}/s${String(sled + 1).padStart(2, "0")}/c${chip}`;
        cells.push({
          index: server.first_chip + (firstSled + sled) * server.chips_per_sled + chip,
          id: name,
          x: x + chip * (w + GAP),
          y: y + TOP + sled * (ROW + GAP),
          w,
          h: ROW,
          heading: sled === 0 && chip === 0 ? `${server.id} rack ${rack}` : "",
        });
      }
    }
    tallest = Math.max(tallest, TOP + server.sleds_per_rack * (ROW + GAP) + 6);
  });
  return cells.sort((one, other) => one.index - other.index);
}

export function bounds(cells: readonly Cell[]): { w: number; h: number } {
  return {
    w: Math.max(1, ...cells.map((cell) => cell.x + cell.w + 1)),
    h: Math.max(1, ...cells.map((cell) => cell.y + cell.h + 2)),
  };
}

export function cellAt(cells: readonly Cell[], x: number, y: number): number | null {
  const found = cells.find(
    (cell) => x >= cell.x && x < cell.x + cell.w + GAP && y >= cell.y && y < cell.y + cell.h + GAP,
  );
  return found?.index ?? null;
}

/** The nearest cell in the arrow's direction; null for any other key or at the edge. */
export function moved(cells: readonly Cell[], from: number, key: string): number | null {
  const start = cells[from];
  if (!start) return null;
  const along: Record<string, (cell: Cell) => [number, number]> = {
    ArrowRight: (cell) => [cell.x - start.x, Math.abs(cell.y - start.y)],
    ArrowLeft: (cell) => [start.x - cell.x, Math.abs(cell.y - start.y)],
    ArrowDown: (cell) => [cell.y - start.y, Math.abs(cell.x - start.x)],
    ArrowUp: (cell) => [start.y - cell.y, Math.abs(cell.x - start.x)],
  };
  const measure = along[key];
  if (!measure) return null;
  let best: Cell | null = null;
  let least = Infinity;
  for (const cell of cells) {
    const [ahead, aside] = measure(cell);
    if (ahead > 0 && ahead + 4 * aside < least) {
      least = ahead + 4 * aside;
      best = cell;
    }
  }
  return best?.index ?? null;
}
