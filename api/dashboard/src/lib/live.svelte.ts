import { decodePlane, type Plane } from "./planes";
import type { Incident, Job, Loop, Message, Metric, Totals } from "./types";

const RETRY_MS = [500, 1000, 2000, 5000];
const TREND_POINTS = 900;

export interface TrendPoint {
  at: number;
  supply_c: number | null;
  return_c: number | null;
  setpoint_c: number | null;
  heat_w: number | null;
}

/** What the live feed has said so far; every field is replaced whole, so that views redraw. */
export class Live {
  connected = $state(false);
  lastMessageMs = $state(0);
  epoch = $state(0);
  metrics = $state.raw<Metric[]>([]);
  planes = $state.raw<ReadonlyMap<number, Plane>>(new Map());
  loops = $state.raw<ReadonlyMap<string, Loop>>(new Map());
  trends = $state.raw<ReadonlyMap<string, readonly TrendPoint[]>>(new Map());
  jobs = $state.raw<readonly Job[]>([]);
  incidents = $state.raw<readonly Incident[]>([]);
  totals = $state.raw<Totals | null>(null);
  frames = $state(0);

  #socket: WebSocket | null = null;
  #failures = 0;
  #ended = false;

  start(): void {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/live`, "isotherm.v1");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.connected = true;
      this.#failures = 0;
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      this.lastMessageMs = Date.now();
      if (typeof event.data === "string") this.#hear(JSON.parse(event.data) as Message);
      else this.#paint(event.data);
    };
    socket.onclose = () => {
      this.connected = false;
      if (this.#ended) return;
      const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? 5000;
      this.#failures += 1;
      setTimeout(() => this.start(), wait);
    };
    this.#socket = socket;
  }

  stop(): void {
    this.#ended = true;
    this.#socket?.close();
  }

  #paint(buffer: ArrayBuffer): void {
    const plane = decodePlane(buffer);
    const whole = this.planes.get(plane.metricId);
    this.planes = new Map(this.planes).set(plane.metricId, merged(whole, plane));
    this.frames += 1;
    // The next tick is sent when this one is on its way to the screen.
    requestAnimationFrame(() => {
      if (this.#socket?.readyState === WebSocket.OPEN) {
        this.#socket.send(JSON.stringify({ type: "ack", tick: plane.tick }));
      }
    });
  }

  #hear(message: Message): void {
    switch (message.type) {
      case "hello":
        this.epoch = message.epoch;
        this.metrics = message.metrics;
        this.planes = new Map();
        return;
      case "loop":
        this.loops = new Map(this.loops).set(message.id, message);
        this.trends = new Map(this.trends).set(message.id, this.#longer(message));
        return;
      case "jobs":
        this.jobs = message.items;
        return;
      case "incidents":
        this.incidents = message.items;
        return;
      case "fleet":
        this.totals = message.totals;
        return;
    }
  }

  #longer(loop: Loop): readonly TrendPoint[] {
    const kept = this.trends.get(loop.id) ?? [];
    const point: TrendPoint = {
      at: Date.parse(loop.at) / 1000,
      supply_c: loop.cdu["supply_c"] ?? null,
      return_c: loop.cdu["return_c"] ?? null,
      setpoint_c: loop.setpoints["supply_c"] ?? null,
      heat_w: loop.cdu["heat_removed_w"] ?? null,
    };
    return [...kept.slice(-TREND_POINTS + 1), point];
  }
}

/** Loops send their own share of the chips; the page draws them as one plane from chip 0. */
function merged(whole: Plane | undefined, part: Plane): Plane {
  const length = Math.max(whole?.codes.length ?? 0, part.first + part.codes.length);
  const codes = new Uint8Array(length).fill(255);
  if (whole) codes.set(whole.codes);
  codes.set(part.codes, part.first);
  return { ...part, first: 0, codes };
}
