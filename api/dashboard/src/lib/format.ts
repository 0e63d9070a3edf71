const UNITS: Record<string, string> = {
  _c: "°C",
  _k: "K",
  _w: "W",
  _lpm: "l/min",
  _kpa: "kPa",
  _ratio: "%",
  _s: "s",
  _bytes: "B",
  _per_s: "/s",
};

export function number(value: number | null | undefined, digits = 1): string {
  return value === null || value === undefined || !Number.isFinite(value)
    ? "–"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function percent(value: number | null | undefined, digits = 0): string {
  return value === null || value === undefined ? "–" : `${number(value * 100, digits)} %`;
}

export function kilowatt(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : `${number(value / 1000, 1)} kW`;
}

/** A metric's value with the unit that its name carries. */
export function withUnit(name: string, value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (name.endsWith("_ratio")) return percent(value, 1);
  if (name.endsWith("_bytes")) return `${number(value / 2 ** 30, 1)} GiB`;
  if (name.endsWith("_flop_per_s")) return `${number(value / 1e12, 1)} TFLOP/s`;
  if (name.endsWith("_total")) return number(value, 0);
  const suffix = Object.keys(UNITS).find((end) => name.endsWith(end));
  return `${number(value, 1)}${suffix ? ` ${UNITS[suffix]}` : ""}`;
}

const WORDS: Record<string, string> = {
  junction_c: "Junction temperature",
  hbm_c: "HBM temperature",
  power_w: "Power",
  neuroncore_utilization_ratio: "NeuronCore utilization",
  hbm_utilization_ratio: "HBM bandwidth",
};

export function label(name: string): string {
  return WORDS[name] ?? name.replace(/_(c|w|ratio|lpm|kpa|s|bytes|total)$/, "").replaceAll("_", " ");
}

export function since(iso: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}
