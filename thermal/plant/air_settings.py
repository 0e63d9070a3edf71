"""Every parameter of an air-cooled row, by part. All figures are estimates.

Chip and server figures are temperature rises at rated power and full fans, so that they hold for
every kind of chip; multiply by power and divide by air to have the rest.
"""

from dataclasses import dataclass, field

from thermal.coil import CoilSettings
from thermal.facility import ChillerSettings, FacilitySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatSinkSettings:
    """Package, die and heat sink of one chip."""

    case_rise_k: float = 10.0
    """Junction over sink at rated power."""
    sink_rise_k: float = 26.0
    """Sink over the sled's mean air at rated power and full fans."""
    air_exponent: float = 0.7
    """The sink's resistance falls with this power of the air flow."""
    junction_j_per_k: float = 70.0
    sink_j_per_k: float = 450.0
    """1 kg of aluminium and vapour chamber."""
    hbm_rise_k: float = 5.0
    """HBM over junction at rated power: +3..+8 K."""
    hbm_lag_s: float = 2.0
    spread_ratio: float = 0.03
    """One sigma of the sink's resistance between chips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAirSettings:
    """A sled's own fans, which its BMC drives by its hottest chip."""

    air_rise_k: float = 15.0
    """Outlet over inlet at rated power and full fans."""
    fan_w_per_w: float = 0.08
    """Full fans over the sled's rated power; ends as heat in the sled's air."""
    slowest_ratio: float = 0.3
    quiet_c: float = 60.0
    """Hottest junction up to which fans run slowest ..."""
    full_c: float = 85.0
    """... and from which they run full; straight in between."""
    lag_s: float = 5.0
    still_air_ratio: float = 0.02
    """Air flow of stopped fans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AirRowSettings:
    """Hosts in a row, its contained hot aisle, and its air handler on chilled water."""

    sink: HeatSinkSettings = field(default_factory=HeatSinkSettings)
    server: ServerAirSettings = field(default_factory=ServerAirSettings)
    handler: CoilSettings = field(
        default_factory=lambda: CoilSettings(
            ua_w_per_k=50_000.0,
            liquid_nominal_lpm=650.0,
            air_nominal_w_per_k=26_400.0,
            fan_rated_w=11_000.0,
        )
    )
    """For `handler_w` of heat: cools 38 to 24 C with water of 18 C that warms by 8 K."""
    handler_w: float = 360_000.0
    fan_ramp_s: float = 30.0
    """Handler fans, 0 to 100 %."""
    leak_share: float = 0.04
    """Hot air that passes blanking panels back to the inlets, of what servers draw."""
    aisle_s: float = 20.0
    """Time constant of the air and metal of the hot aisle."""
    coil_s: float = 20.0
    """Time constant of the handler's coil."""
    facility: FacilitySettings = field(
        default_factory=lambda: FacilitySettings(setpoint_c=18.0, chiller=ChillerSettings())
    )
    start_c: float = 25.0
