import { boxOf, GAP, rackOf, type Box, type Layout } from "./layout";
import { contextOf, fit, type Inks } from "./paint";

export interface Overlay {
  /** Chip under the pointer or the cell cursor. */
  cursor: number | null;
  /** Chip whose panel is open. */
  chosen: number | null;
  /** First chips of cordoned sleds. */
  cordoned: ReadonlySet<number>;
  /** Chips of the job that is pointed at or selected; null for none. */
  member: ((chip: number) => boolean) | null;
  /** Whether a chip is marked: trouble is never faded. */
  marked: (chip: number) => boolean;
}

/** What stays while values change: the gaps between chips, headings and sled numbers. */
export function drawGrid(canvas: HTMLCanvasElement, layout: Layout, inks: Inks): void {
  const context = contextOf(canvas);
  fit(context, layout);
  for (const rack of layout.racks) {
    context.fillStyle = inks.panel;
    for (let chip = 0; chip < rack.server.chips_per_sled; chip += 1) {
      context.fillRect(rack.x + chip * (rack.chipW + GAP) + rack.chipW, rack.y, GAP, rack.h + GAP);
    }
    for (let sled = 0; sled < rack.server.sleds_per_rack; sled += 1) {
      context.fillRect(rack.x, rack.y + sled * (layout.row + GAP) + layout.row, rack.w, GAP);
    }
    context.fillStyle = inks.dim;
    context.font = "11px system-ui, sans-serif";
    context.fillText(rack.heading, rack.x, rack.y - 5, rack.w);
    if (layout.row < 10) continue;
    context.font = "10px system-ui, sans-serif";
    for (let sled = 0; sled < rack.server.sleds_per_rack; sled += 1) {
      const y = rack.y + sled * (layout.row + GAP) + layout.row - 3;
      context.fillText(String(sled + 1).padStart(2, "0"), rack.x - 17, y);
    }
  }
}

/** What people point at: cordons, one job's chips, the cursor. */
export function drawOverlay(canvas: HTMLCanvasElement, layout: Layout, over: Overlay, inks: Inks): void {
  const context = contextOf(canvas);
  fit(context, layout);
  if (over.member) drawMembers(context, layout, over.member, over.marked, inks);
  for (const first of over.cordoned) drawCordon(context, layout, first, inks);
  [over.chosen, over.cursor].forEach((chip, n) => {
    const box = chip === null ? null : boxOf(layout, chip);
    if (box) frame(context, box, inks.text, n === 0 ? 3 : 2);
  });
}

/** A no-entry sign beside the sled, instead of its number, and a broken line around it. */
function drawCordon(context: CanvasRenderingContext2D, layout: Layout, first: number, inks: Inks): void {
  const box = boxOf(layout, first);
  const rack = rackOf(layout, first);
  if (!box || !rack) return;
  const radius = Math.min(5, layout.row / 2);
  const [x, y] = [box.x - radius - 4, box.y + box.h / 2];
  context.fillStyle = inks.panel;
  context.fillRect(box.x - layout.gutter, box.y, layout.gutter, box.h);
  context.strokeStyle = inks.text;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.moveTo(x - radius * 0.7, y + radius * 0.7);
  context.lineTo(x + radius * 0.7, y - radius * 0.7);
  context.stroke();
  context.setLineDash([4, 3]);
  context.strokeRect(box.x - 1, box.y - 1, rack.w + 2, box.h + 2);
  context.setLineDash([]);
}

function drawMembers(
  context: CanvasRenderingContext2D,
  layout: Layout,
  member: (chip: number) => boolean,
  marked: (chip: number) => boolean,
  inks: Inks,
): void {
  for (let chip = 0; chip < layout.chips; chip += 1) {
    const box = boxOf(layout, chip);
    if (!box) continue;
    if (member(chip)) frame(context, box, inks.text, 1.5);
    else if (!marked(chip)) {
      context.globalAlpha = 0.7;
      context.fillStyle = inks.panel;
      context.fillRect(box.x - 1, box.y - 1, box.w + 2, box.h + 2);
      context.globalAlpha = 1;
    }
  }
}

function frame(context: CanvasRenderingContext2D, box: Box, ink: string, width: number): void {
  context.strokeStyle = ink;
  context.lineWidth = width;
  const out = width / 2;
  context.strokeRect(box.x - out, box.y - out, box.w + 2 * out, box.h + 2 * out);
}
