import { boxesOf, type Layout } from "./layout";
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

/** Draws chips on a canvas and remembers how, so that only what changed is drawn again. */
export class Painter {
  #context: CanvasRenderingContext2D;
  #layout: Layout | null = null;
  #setting = "";
  #boxes = new Float32Array();
  #drawn = new Uint16Array();

  constructor(canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d", { alpha: true });
    if (!context) throw new Error("this browser gives no 2D canvas");
    this.#context = context;
  }

  /** How many chips were drawn. */
  paint(layout: Layout, looks: Uint16Array, inks: Inks, mode: Mode, stale: boolean): number {
    const setting = [mode, stale, inks.busy, window.devicePixelRatio].join();
    if (layout !== this.#layout || setting !== this.#setting) this.#begin(layout, inks);
    this.#layout = layout;
    this.#setting = setting;
    let painted = 0;
    for (let chip = 0; chip < layout.chips; chip += 1) {
      const look = looks[chip] ?? Mark.NO_DATA << 8;
      if (this.#drawn[chip] === look) continue;
      this.#drawn[chip] = look;
      this.#chip(chip, look, layout.row, inks, mode, stale);
      painted += 1;
    }
    return painted;
  }

  #begin(layout: Layout, inks: Inks): void {
    const dense = window.devicePixelRatio || 1;
    const canvas = this.#context.canvas;
    canvas.width = Math.ceil(layout.width * dense);
    canvas.height = Math.ceil(layout.height * dense);
    this.#context.setTransform(dense, 0, 0, dense, 0, 0);
    this.#boxes = boxesOf(layout);
    this.#drawn = new Uint16Array(layout.chips).fill(0xffff);
    this.#context.fillStyle = inks.dim;
    this.#context.font = "11px system-ui, sans-serif";
    for (const rack of layout.racks) {
      this.#context.fillText(rack.heading, rack.x, rack.y - 5, rack.w);
    }
  }

  #chip(chip: number, look: number, h: number, inks: Inks, mode: Mode, stale: boolean): void {
    const [x, y, w] = this.#boxes.subarray(chip * 3, chip * 3 + 3) as unknown as [number, number, number];
    const mark = markIn(look);
    const context = this.#context;
    context.fillStyle = inks.panel;
    context.fillRect(x, y, w, h);
    if (mark !== Mark.NO_DATA) {
      context.fillStyle = fillOf(look, inks, mode);
      // An old value keeps its colour under the hatching, but faint: it is not what is now.
      context.globalAlpha = stale ? 0.35 : 1;
      context.fillRect(x, y, w, h);
      context.globalAlpha = 1;
    }
    if (stale || mark === Mark.NO_DATA) this.#hatch(x, y, w, h, inks.hatch);
    else if (mark !== Mark.NONE) this.#shape(x, y, w, h, mark, inks, mode);
  }

  #hatch(x: number, y: number, w: number, h: number, ink: string): void {
    const context = this.#context;
    context.save();
    context.beginPath();
    context.rect(x, y, w, h);
    context.clip();
    context.strokeStyle = ink;
    context.beginPath();
    for (let at = x - h; at < x + w; at += 6) {
      context.moveTo(at, y + h);
      context.lineTo(at + h, y);
    }
    context.rect(x + 0.5, y + 0.5, w - 1, h - 1);
    context.stroke();
    context.restore();
  }

  /** A triangle that points up or down, and for critical a frame: shape as well as colour. */
  #shape(x: number, y: number, w: number, h: number, mark: Mark, inks: Inks, mode: Mode): void {
    const context = this.#context;
    const [half, middle] = [Math.min(h * 0.36, w * 0.3), x + w / 2];
    const [base, tip] = mark === Mark.LOW ? [y + h * 0.22, y + h * 0.8] : [y + h * 0.8, y + h * 0.2];
    if (mode === "absolute") {
      context.strokeStyle = inkOfMark(mark, inks);
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, w - 2, h - 2);
      context.lineWidth = 1;
      context.fillStyle = "#ffffff";
    } else {
      context.fillStyle = inks.panel;
    }
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

function inkOfMark(mark: Mark, inks: Inks): string {
  if (mark === Mark.CRITICAL) return inks.critical;
  return mark === Mark.HIGH ? inks.high : inks.low;
}

function fillOf(look: number, inks: Inks, mode: Mode): string {
  if (mode === "absolute") return PALETTE[look & 255] ?? inks.busy;
  if (markIn(look) !== Mark.NONE) return inkOfMark(markIn(look), inks);
  return (look & 255) === Shade.IDLE ? inks.idle : inks.busy;
}
