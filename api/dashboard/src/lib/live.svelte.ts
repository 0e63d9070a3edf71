import { decodePlane, merged, type Plane } from "./planes";
import { lengthened, type TrendPoint } from "./trend";
import type { Incident, Job, Loop, Message, Metric, Totals } from "./types";

const RETRY_MS = [500, 1000, 2000, 5000];
/** The server speaks each second; a connection silent for this long is dead without knowing it. */
const DEAD_MS = 10_000;
export const STALE_S = 3;

/** What the live feed has said so far; every field is replaced whole, so that views redraw.
 *  Times are on the monotonic clock, which no change of the wall clock can turn back. */
export class Live {
  connected = $state(false);
  nowMs = $state(performance.now());
  heardMs = $state<number | null>(null);
  malformed = $state(0);
  epoch = $state(0);
  metrics = $state.raw<readonly Metric[]>([]);
  planes = $state.raw<ReadonlyMap<number, Plane>>(new Map());
  planesMs = $state(0);
  loops = $state.raw<ReadonlyMap<string, Loop>>(new Map());
  trends = $state.raw<ReadonlyMap<string, readonly TrendPoint[]>>(new Map());
  jobs = $state.raw<readonly Job[]>([]);
  incidents = $state.raw<readonly Incident[]>([]);
  totals = $state.raw<Totals | null>(null);
  frames = $state(0);

  /** Seconds since the server said anything; null before it did. */
  readonly silenceS = $derived(this.heardMs === null ? null : (this.nowMs - this.heardMs) / 1000);
  readonly stale = $derived(this.silenceS === null || this.silenceS > STALE_S);
  /** Age of the heat map: planes are held back from a page that does not paint. */
  readonly planeAgeS = $derived.by(() => {
    const ages = [...this.planes.values()].map((plane) => plane.ageSeconds);
    return ages.length ? Math.max(...ages) + Math.max(0, this.nowMs - this.planesMs) / 1000 : null;
  });

  #socket: WebSocket | null = null;
  #chips = 0;
  #failures = 0;
  #openedMs = 0;
  #timers: number[] = [];

  start(): void {
    this.#timers.push(window.setInterval(() => this.#watch(), 500));
    this.#connect();
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #connect(): void {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/live`, "isotherm.v1");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.connected = true;
      this.#failures = 0;
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#take(event.data);
    socket.onclose = () => this.#lost(socket);
    this.#openedMs = performance.now();
    this.#socket = socket;
  }

  #lost(socket: WebSocket): void {
    if (socket !== this.#socket) return; // given up already
    this.connected = false;
    this.#socket = null;
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? 5000;
    this.#failures += 1;
    this.#timers = [this.#timers[0] ?? 0, window.setTimeout(() => this.#connect(), wait)];
  }

  #watch(): void {
    this.nowMs = performance.now();
    const last = Math.max(this.#openedMs, this.heardMs ?? 0);
    const socket = this.#socket;
    if (!socket || this.nowMs - last < DEAD_MS) return;
    this.#lost(socket);
    socket.close();
  }

  #take(data: string | ArrayBuffer): void {
    try {
      if (typeof data === "string") this.#hear(JSON.parse(data) as Message);
      else this.#see(decodePlane(data));
    } catch {
      this.malformed += 1; // one bad message must not hide the next good one
      return;
    }
    this.heardMs = this.nowMs = performance.now();
  }

  #see(plane: Plane): void {
    if (plane.epoch !== this.epoch) throw new Error("live frame of another fleet");
    const whole = this.planes.get(plane.metricId);
    this.planes = new Map(this.planes).set(plane.metricId, merged(whole, plane, this.#chips));
    this.planesMs = performance.now();
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
        this.#chips = message.chips;
        this.planes = new Map();
        return;
      case "loop":
        this.loops = new Map(this.loops).set(message.id, message);
        this.trends = lengthened(this.trends, message);
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
}
