import { GAP, boxesOf, type Layout } from "./layout";
import { Mark, markIn, Shade, type Mode } from "./looks";
import { PALETTE } from "./palette";

/** Colours of the deviation mode; those of marks hold in both modes. */
export interface Inks {
  busy: string;
  idle: string;
  low: string;
  high: string;
  critical: string;
  hatch: string;
  text: string;
  dim: string;
  panel: string;
}

/** How what is painted was chosen; a new object where anything changed. */
export interface Setting {
  layout: Layout;
  inks: Inks;
  mode: Mode;
  stale: boolean;
}

const HATCH_PX = 6;

/** Draws chips: one pixel a chip on a small canvas, which is then stretched rack by rack, so that
 *  a frame costs little however many chips change. Gaps and numbers lie on another canvas. */
export class Painter {
  #context: CanvasRenderingContext2D;
  #small: CanvasRenderingContext2D;
  #setting: Setting | null = null;
  #looks: Uint16Array = new Uint16Array();
  #boxes = new Float32Array();
  /** Where on the small canvas each chip is. */
  #pixelOf = new Uint32Array();
  #fills = new Uint32Array(1024);
  #hatch: CanvasPattern | string = "";

  constructor(canvas: HTMLCanvasElement) {
    this.#context = contextOf(canvas);
    this.#small = contextOf(document.createElement("canvas"));
  }

  /** Whether there was anything new to draw. */
  paint(setting: Setting, looks: Uint16Array): boolean {
    if (setting !== this.#setting) this.#begin(setting);
    else if (same(looks, this.#looks)) return false;
    this.#looks = looks;
    this.#fill(setting, looks);
    if (setting.stale) this.#hatchAll(setting.layout);
    else this.#marks(setting, looks);
    return true;
  }

  #begin(setting: Setting): void {
    const { layout, inks, mode } = setting;
    this.#setting = setting;
    fit(this.#context, layout);
    this.#context.imageSmoothingEnabled = false;
    const small = this.#small.canvas;
    small.width = Math.max(1, layout.racks.reduce((sum, rack) => sum + rack.server.chips_per_sled, 0));
    small.height = Math.max(1, ...layout.racks.map((rack) => rack.server.sleds_per_rack));
    this.#pixelOf = pixelsOf(layout, small.width);
    this.#boxes = boxesOf(layout);
    this.#fills = fillsOf(inks, mode);
    this.#hatch = hatchOf(this.#context, inks.hatch);
  }

  #fill({ layout, stale }: Setting, looks: Uint16Array): void {
    const { width, height } = this.#small.canvas;
    const image = this.#small.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let chip = 0; chip < layout.chips; chip += 1) {
      const look = looks[chip] ?? Mark.NO_DATA << 8;
      pixels[this.#pixelOf[chip] ?? 0] = this.#fills[look] ?? 0;
    }
    this.#small.putImageData(image, 0, 0);
    const context = this.#context;
    context.clearRect(0, 0, layout.width, layout.height);
    // An old value keeps its colour under the hatching, but faint: it is not what is now.
    context.globalAlpha = stale ? 0.35 : 1;
    let from = 0;
    for (const rack of layout.racks) {
      const [w, h] = [rack.server.chips_per_sled, rack.server.sleds_per_rack];
      context.drawImage(this.#small.canvas, from, 0, w, h, rack.x, rack.y, rack.w + GAP, rack.h + GAP);
      from += w;
    }
    context.globalAlpha = 1;
  }

  #hatchAll(layout: Layout): void {
    this.#context.fillStyle = this.#hatch;
    for (const rack of layout.racks) this.#context.fillRect(rack.x, rack.y, rack.w, rack.h);
  }

  #marks({ layout, inks, mode }: Setting, looks: Uint16Array): void {
    for (let chip = 0; chip < layout.chips; chip += 1) {
      const mark = markIn(looks[chip] ?? Mark.NO_DATA << 8);
      if (mark === Mark.NONE) continue;
      const [x = 0, y = 0, w = 0] = this.#boxes.subarray(chip * 3, chip * 3 + 3);
      if (mark !== Mark.NO_DATA) this.#shape({ x, y, w, h: layout.row }, mark, inks, mode);
      else {
        this.#context.fillStyle = this.#hatch;
        this.#context.fillRect(x, y, w, layout.row);
      }
    }
  }

  /** A triangle that points up or down, and for critical two bars: shape as well as colour. */
  #shape(box: { x: number; y: number; w: number; h: number }, mark: Mark, inks: Inks, mode: Mode): void {
    const { x, y, w, h } = box;
    const context = this.#context;
    if (mode === "absolute") {
      context.strokeStyle = inkOfMark(mark, inks);
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, w - 2, h - 2);
    }
    context.fillStyle = mode === "absolute" ? "#ffffff" : inks.panel;
    const [half, middle] = [Math.min(h * 0.36, w * 0.3), x + w / 2];
    const [base, tip] = mark === Mark.LOW ? [y + h * 0.22, y + h * 0.8] : [y + h * 0.8, y + h * 0.2];
    context.beginPath();
    context.moveTo(middle - half, base);
    context.lineTo(middle + half, base);
    context.lineTo(middle, tip);
    context.fill();
    if (mark === Mark.CRITICAL && w > 20) {
      context.fillRect(x + 3, y + 3, 3, h - 6);
      context.fillRect(x + w - 6, y + 3, 3, h - 6);
    }
  }
}

export function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no 2D canvas");
  return context;
}

/** Clears a canvas and makes it as large as the layout, in the pixels of the screen. */
export function fit(context: CanvasRenderingContext2D, layout: Layout): void {
  const dense = window.devicePixelRatio || 1;
  context.canvas.width = Math.max(1, Math.ceil(layout.width * dense));
  context.canvas.height = Math.max(1, Math.ceil(layout.height * dense));
  context.setTransform(dense, 0, 0, dense, 0, 0);
}

function same(one: Uint16Array, other: Uint16Array): boolean {
  if (one.length !== other.length) return false;
  for (let n = 0; n < one.length; n += 1) if (one[n] !== other[n]) return false;
  return true;
}

function pixelsOf(layout: Layout, width: number): Uint32Array<ArrayBuffer> {
  const pixels = new Uint32Array(layout.chips);
  let column = 0;
  for (const rack of layout.racks) {
    const perSled = rack.server.chips_per_sled;
    for (let inside = 0; inside < perSled * rack.server.sleds_per_rack; inside += 1) {
      pixels[rack.firstChip + inside] = Math.floor(inside / perSled) * width + column + (inside % perSled);
    }
    column += perSled;
  }
  return pixels;
}

function inkOfMark(mark: Mark, inks: Inks): string {
  if (mark === Mark.CRITICAL) return inks.critical;
  return mark === Mark.HIGH ? inks.high : inks.low;
}

/** The pixel of every look; 0, which is transparent, where there is no data. */
function fillsOf(inks: Inks, mode: Mode): Uint32Array<ArrayBuffer> {
  const fills = new Uint32Array((Mark.NO_DATA + 1) << 8);
  for (let look = 0; look < Mark.NO_DATA << 8; look += 1) {
    const mark = markIn(look);
    let ink = (look & 255) === Shade.IDLE ? inks.idle : inks.busy;
    if (mode === "absolute") ink = PALETTE[look & 255] ?? ink;
    else if (mark !== Mark.NONE) ink = inkOfMark(mark, inks);
    fills[look] = pixelOf(ink);
  }
  return fills;
}

/** Of "rgb(1, 2, 3)", as ImageData has it on the little-endian machines that browsers run on. */
function pixelOf(ink: string): number {
  const [red = 0, green = 0, blue = 0] = (ink.match(/[\d.]+/g) ?? []).map(Number);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function hatchOf(context: CanvasRenderingContext2D, ink: string): CanvasPattern | string {
  const tile = contextOf(document.createElement("canvas"));
  tile.canvas.width = tile.canvas.height = HATCH_PX;
  tile.strokeStyle = ink;
  tile.beginPath();
  for (const shift of [-HATCH_PX, 0, HATCH_PX]) {
    tile.moveTo(shift, HATCH_PX);
    tile.lineTo(shift + HATCH_PX, 0);
  }
  tile.stroke();
  return context.createPattern(tile.canvas, "repeat") ?? ink;
}
