const UNITS: Record<string, string> = {
  _c: "°C",
  _k: "K",
  _w: "W",
  _lpm: "l/min",
  _kpa: "kPa",
  _ratio: "%",
  _s: "s",
  _bytes: "B",
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
  if (value === Infinity) return "above range";
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
  power_cap_w: "Power cap",
  tensor_flop_per_s: "Tensor throughput",
  device_memory_used_bytes: "Device memory",
  inlet_c: "Coolant inlet",
  outlet_c: "Coolant outlet",
  coolant_flow_lpm: "Coolant flow",
  sled_power_w: "Sled power",
};

export function label(name: string): string {
  return WORDS[name] ?? name.replace(/_(c|w|ratio|lpm|kpa|s|bytes|total)$/, "").replaceAll("_", " ");
}

/** Age of a past moment; `at` and `nowMs` on the wall clock. */
export function since(iso: string, nowMs: number): string {
  return age(Math.max(0, (nowMs - Date.parse(iso)) / 1000));
}

export function age(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** A moment in the local zone. */
export function clock(unixMs: number): string {
  return new Date(unixMs).toLocaleTimeString("en-GB");
}
