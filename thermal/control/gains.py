"""Default gains of the regulatory loops. See the closed-loop test of this package."""

from thermal.control.pid import PidGains
from thermal.control.select import RateLimit

SUPPLY_VALVE = PidGains(proportional_per_k=0.05, integral_per_k_s=0.0025, tracking_s=10.0)
"""Facility valve on supply temperature, 1 s period, with feed-forward from IT power."""

SUPPLY_FANS = PidGains(proportional_per_k=0.08, integral_per_k_s=0.003, tracking_s=10.0)
"""The same of an in-row cooler's fans, whose air follows their speed almost straight."""

PUMP_RATE = RateLimit(up_per_s=0.033, down_per_s=0.01)
"""Pump speed: up as fast as the drive ramps (30 s), down three times slower."""

SETPOINT_RATE = RateLimit(up_per_s=2.0 / 60.0, down_per_s=2.0 / 60.0)
"""Supply setpoint: 2 K/min (no standard figure could be confirmed)."""
