// Shapes of the API's answers, as far as the page uses them. Units are in the names.

export type Values = Record<string, number | null>;

export interface UltraServer {
  id: string;
  generation: string;
  loop_id: string;
  racks: number;
  sleds_per_rack: number;
  chips_per_sled: number;
  first_chip: number;
}

export interface Totals {
  power_w: number | null;
  heat_removed_w: number | null;
  max_junction_c: number | null;
  chips_busy: number;
  chips_reporting: number;
  jobs_running: number;
  jobs_pending: number;
  incidents_open: number;
}

export interface Fleet {
  hall: string;
  epoch: number;
  chips: number;
  ultraservers: UltraServer[];
  loops: string[];
  totals: Totals;
}

export interface Trip {
  reason: string;
  since_unix_ns: number;
  level: string;
}

export type LoopKind = "liquid-to-liquid" | "liquid-to-air" | "air";

export interface Loop {
  id: string;
  /** For a row of air-cooled hosts its air handler. */
  cdu_id: string;
  kind: LoopKind;
  mode: string | null;
  mode_reason: string | null;
  at: string | null;
  /** Since the server heard from the controller. */
  age_s: number | null;
  /** Since the controller heard from the CDU. */
  cdu_age_s: number | null;
  setpoints: Values;
  cdu: Values;
  pumps: Values[];
  trips: Trip[];
  sensor_faults: Record<string, string>;
}

export interface Share {
  sled_id: string;
  chips: number[];
}

export interface Job {
  id: string;
  name: string;
  model: string;
  chips: number;
  tensor_parallel: number;
  priority: number;
  state: string;
  attempt: number;
  cancel_requested: boolean;
  placement: Share[];
  reasons: string[];
}

export interface JobWish {
  name: string;
  model: string;
  chips: number;
  tensor_parallel: number;
}

export interface Finding {
  rule: string;
  severity: string;
  subject: string;
  text: string;
  consequence: string;
  action: string;
}

export interface Incident {
  id: string;
  state: string;
  severity: string;
  rule: string;
  subject: string;
  loop_id: string;
  sled_id: string | null;
  title: string;
  opened_at: string;
  acknowledged_by: string | null;
  findings: Finding[];
  inhibited_count: number;
}

export interface Chip {
  id: string;
  index: number;
  sled_id: string;
  job_id: string | null;
  age_s: number | null;
  values: Values;
}

export interface Cordon {
  reason: string;
  since: string;
  incident_id: string | null;
}

export interface Sled {
  id: string;
  age_s: number | null;
  values: Values;
  states: Record<string, string | null>;
  cordon: Cordon | null;
  identity: Identity | null;
}

/** What announced itself in a sled's place, and whether it belongs there. */
export interface Identity {
  state: string;
  serial: string;
  part_number: string;
  nitro_serial: string;
  firmware: Record<string, string>;
  attested: boolean;
  announced_at: string;
  approved_by: string | null;
  mismatches: string[];
}

/** What a person has asked of a loop, until it runs out by itself. */
export interface Override {
  mode: string;
  supply_c: number | null;
  valve_ratio: number | null;
  pump_ratio: number | null;
  actor: string;
  reason: string;
  since: string;
  until: string;
}

/** What the feed does not carry. */
export interface LoopOrders {
  id: string;
  override: Override | null;
  version: string;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Metric {
  id: number;
  name: string;
  unit: string;
  low: number;
  high: number;
}

export type Message =
  | { type: "hello"; epoch: number; metrics: Metric[]; chips: number }
  | ({ type: "loop" } & Loop)
  | { type: "jobs"; items: Job[] }
  | { type: "incidents"; items: Incident[] }
  | { type: "fleet"; totals: Totals };
