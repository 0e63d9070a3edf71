import { boxOf, GAP, type Box, type Layout } from "./layout";
import type { Inks } from "./paint";

export interface Overlay {
  /** Chip under the pointer or the cell cursor. */
  cursor: number | null;
  /** Chip whose panel is open. */
  chosen: number | null;
  /** First chips of cordoned sleds. */
  cordoned: readonly number[];
  /** Chips of the job that is pointed at or selected; null for none. */
  member: ((chip: number) => boolean) | null;
}

/** What lies over the chips: sled numbers, cordons, one job's chips, the cursor. */
export function drawOverlay(canvas: HTMLCanvasElement, layout: Layout, over: Overlay, inks: Inks): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.ceil(layout.width * dense);
  canvas.height = Math.ceil(layout.height * dense);
  context.setTransform(dense, 0, 0, dense, 0, 0);
  const cordoned = new Set(over.cordoned);
  drawSleds(context, layout, cordoned, inks);
  if (over.member) drawMembers(context, layout, over.member, inks);
  const framed = [over.chosen, over.cursor].map((chip) => (chip === null ? null : boxOf(layout, chip)));
  framed.forEach((box, n) => box && frame(context, box, inks.text, n === 0 ? 3 : 2));
}

function drawSleds(
  context: CanvasRenderingContext2D,
  layout: Layout,
  cordoned: ReadonlySet<number>,
  inks: Inks,
): void {
  context.font = "10px system-ui, sans-serif";
  for (const rack of layout.racks) {
    for (let sled = 0; sled < rack.server.sleds_per_rack; sled += 1) {
      const first = rack.firstChip + sled * rack.server.chips_per_sled;
      const box = { x: rack.x, y: rack.y + sled * (layout.row + GAP), w: rack.w, h: layout.row };
      if (cordoned.has(first)) drawCordon(context, layout, box, inks);
      else if (layout.row > 9) {
        context.fillStyle = inks.dim;
        context.fillText(String(sled + 1).padStart(2, "0"), box.x - 17, box.y + box.h - 3);
      }
    }
  }
}

/** A no-entry sign beside the row and a broken line around it. */
function drawCordon(context: CanvasRenderingContext2D, layout: Layout, row: Box, inks: Inks): void {
  const radius = Math.min(5, layout.row / 2);
  const [x, y] = [row.x - radius - 4, row.y + row.h / 2];
  context.strokeStyle = context.fillStyle = inks.text;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.moveTo(x - radius * 0.7, y + radius * 0.7);
  context.lineTo(x + radius * 0.7, y - radius * 0.7);
  context.stroke();
  context.setLineDash([4, 3]);
  context.strokeRect(row.x - 1, row.y - 1, row.w + 2, row.h + 2);
  context.setLineDash([]);
}

function drawMembers(
  context: CanvasRenderingContext2D,
  layout: Layout,
  member: (chip: number) => boolean,
  inks: Inks,
): void {
  for (let chip = 0; chip < layout.chips; chip += 1) {
    const box = boxOf(layout, chip);
    if (!box) continue;
    if (member(chip)) frame(context, box, inks.text, 1.5);
    else {
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
