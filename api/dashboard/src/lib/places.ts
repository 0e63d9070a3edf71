import type { Fleet, Job, UltraServer } from "./types";

// Ids are paths: h1/us01/r1/s07/c2. The index of a chip is its row in the fleet.

interface Spot {
  server: UltraServer;
  rack: number;
  sled: number;
  chip: number;
}

export function chipsOf(server: UltraServer): number {
  return server.racks * server.sleds_per_rack * server.chips_per_sled;
}

function spotOf(fleet: Fleet, index: number): Spot | null {
  for (const server of fleet.ultraservers) {
    const inside = index - server.first_chip;
    if (inside < 0 || inside >= chipsOf(server)) continue;
    const sled = Math.floor(inside / server.chips_per_sled);
    return {
      server,
      rack: Math.floor(sled / server.sleds_per_rack) + 1,
      sled: (sled % server.sleds_per_rack) + 1,
      chip: inside % server.chips_per_sled,
    };
  }
  return null;
}

export function sledIdOf(fleet: Fleet, index: number): string {
  const spot = spotOf(fleet, index);
  return spot ? `${spot.server.id}/r${spot.rack}/s${String(spot.sled).padStart(2, "0")}` : "";
}

export function chipIdOf(fleet: Fleet, index: number): string {
  const spot = spotOf(fleet, index);
  return spot ? `${sledIdOf(fleet, index)}/c${spot.chip}` : "";
}

/** The index of a chip, or of the first chip of a sled; null when there is no such place. */
export function indexOf(fleet: Fleet, id: string): number | null {
  const found = /^(.+)\/r(\d+)\/s(\d+)(?:\/c(\d+))?$/.exec(id);
  if (!found) return null;
  const server = fleet.ultraservers.find((one) => one.id === found[1]);
  if (!server) return null;
  const [rack, sled, chip] = [found[2], found[3], found[4] ?? "0"].map(Number) as [number, number, number];
  if (rack < 1 || rack > server.racks || sled < 1 || sled > server.sleds_per_rack) return null;
  if (chip >= server.chips_per_sled) return null;
  const row = (rack - 1) * server.sleds_per_rack + sled - 1;
  return server.first_chip + row * server.chips_per_sled + chip;
}

/** The first chip whose id is `words` or ends with it, else contains it. */
export function searched(fleet: Fleet, words: string): number | null {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return null;
  const exact = indexOf(fleet, wanted);
  if (exact !== null) return exact;
  const ids = Array.from({ length: fleet.chips }, (_, index) => chipIdOf(fleet, index));
  const tail = ids.findIndex((id) => id.endsWith(`/${wanted}`));
  const found = tail >= 0 ? tail : ids.findIndex((id) => id.includes(wanted));
  return found >= 0 ? found : null;
}

/** For each chip the position in `jobs` of the job that holds it, plus one; 0 for none. */
export function heldBy(fleet: Fleet, jobs: readonly Job[]): Uint16Array {
  const held = new Uint16Array(fleet.chips);
  jobs.forEach((job, n) => {
    for (const share of job.placement) {
      const first = indexOf(fleet, share.sled_id);
      if (first === null) continue;
      for (const chip of share.chips) held[first + chip] = n + 1;
    }
  });
  return held;
}
