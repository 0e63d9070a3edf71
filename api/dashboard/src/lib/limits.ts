// When the page marks a value. The limits of chips and loop are those of the rules that open
// incidents (controller/anomaly/rules.py); a test compares the two.

export interface Limit {
  warning: number;
  critical: number;
}

export const CHIP_LIMITS: Readonly<Record<string, Limit>> = {
  junction_c: { warning: 85, critical: 90 },
  hbm_c: { warning: 90, critical: 95 },
};

/** How far a chip may lie from the median of its peers before the heat map colours it. Estimates:
 *  work of one job spreads by about half as much in an emulated hall. */
export const PEER_BAND: Readonly<Record<string, number>> = {
  junction_c: 8,
  hbm_c: 8,
  power_w: 400,
  neuroncore_utilization_ratio: 0.4,
  hbm_utilization_ratio: 0.5,
};

/** Fewer peers than this have no median worth comparing with. */
export const PEERS_MIN = 8;

export const LOOP_LIMITS = {
  supply_over_k: 3,
  supply_under_k: 3,
  dew_margin_k: 2,
  reservoir_level_ratio: 0.5,
} as const;
