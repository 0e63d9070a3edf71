import { getSleds } from "./api";
import type { Cordon } from "./types";

const POLL_MS = 10_000;

/** Cordoned sleds by id. The feed does not carry them, so they are asked for now and then. */
export class Cordons {
  bySled = $state.raw<ReadonlyMap<string, Cordon>>(new Map());
  trouble = $state("");
  #asking = false;
  #again = false;

  /** Asks until the returned function is called. */
  follow(): () => void {
    void this.refresh();
    const timer = setInterval(() => void this.refresh(), POLL_MS);
    return () => clearInterval(timer);
  }

  async refresh(): Promise<void> {
    this.#again = this.#asking;
    if (this.#asking) return; // and then once more, since the answer under way may be old
    this.#asking = true;
    try {
      const sleds = await getSleds();
      this.bySled = new Map(sleds.flatMap((sled) => (sled.cordon ? [[sled.id, sled.cordon]] : [])));
      this.trouble = "";
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
    } finally {
      this.#asking = false;
    }
    if (this.#again) await this.refresh();
  }
}
