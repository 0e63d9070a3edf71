"""Settings of the emulated data center."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emulator.breakdowns import BreakdownSettings
from emulator.hbm.registers import Overflow
from emulator.hbm.settings import HbmSettings, published_rates
from emulator.plant_parts import PlantParts
from emulator.serving.report import PriceSettings
from emulator.weather import ClimateSettings
from emulator.workload.options import ProductOptions
from fleet.errors import ConfigurationError
from thermal.facility import HeatRejection


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """`validate` raises ConfigurationError naming the first field that can not be used."""

    seed: int = 0
    trace: Path | None = None
    """Azure LLM 2023 CSV or Mooncake JSON lines, plain or gzip; None: the built-in generator."""
    replay: bool = False
    """Each model serves every request of the trace once, at its own time, instead of a loop of it
    at the wanted load."""
    replay_speed_ratio: float = 1.0
    """Of the trace's own time: 2 replays it in half the time."""
    weather: Path | None = None
    """EPW or CSV (see `emulator.weather`), begun anew at its end; None: the generator."""
    climate: ClimateSettings = field(default_factory=ClimateSettings)
    """Of the generator."""
    rejection: HeatRejection = HeatRejection.TOWER
    """What cools the facility water of liquid-cooled loops."""
    plant: PlantParts = field(default_factory=PlantParts)
    """Figures of loops, rows and hall; as described in `emulator/plant_parts/` unless changed."""
    load_ratio: float = 0.5
    """Arrivals, of the capacity of the replicas that run."""
    emulated_peak_flop_per_s: float = 50e6
    """Host FLOP/s that stand for one chip at its peak."""
    products: ProductOptions = field(default_factory=ProductOptions)
    max_batch: int = 256
    """Requests that one replica decodes together."""
    prefill_tokens: int = 8_192
    """Prompt tokens of one prefill pass, unless one prompt alone is longer."""
    max_waiting: int = 512
    """Requests that wait at one replica before more are refused."""
    kv_block_tokens: int = 128
    """Tokens of a block of KV cache."""
    prices: PriceSettings = field(default_factory=PriceSettings)
    step_s: float = 1.0
    """Emulated seconds of one step."""
    longest_plant_step_s: float = 0.25
    settle_s: float = 120.0
    """Idle seconds that coolant circulates before the world is shown."""
    reload_s: float = 20.0
    """Estimate: after an uncorrected memory error the driver is loaded, and the model again."""
    real_time: bool = True
    """Step once a `step_s` of the clock; otherwise as fast as the host can."""
    hbm: HbmSettings = field(default_factory=published_rates)
    breakdowns: BreakdownSettings | None = None
    """Chips that die, networks that fail, sleds that turn slow, by chance; None: never."""
    ecc_overflow: Overflow = Overflow.SATURATE
    """What a full error register does; which is not published."""
    replace_at_power_up: bool = True
    """Chips whose memory is lost are new when their sled is switched on again; otherwise they
    stay lost."""

    def validate(self) -> None:
        for name, ok, want in _CHECKS:
            value = getattr(self, name)
            finite = not isinstance(value, float) or math.isfinite(value)
            if not (finite and ok(value)):
                raise ConfigurationError(f"emulator option {name} = {value}: expected {want}")
        for name, path in (("trace", self.trace), ("weather", self.weather)):
            if path is not None and not path.is_file():
                raise ConfigurationError(f"emulator option {name} = {path}: no such file")
        if self.replay and self.trace is None:
            raise ConfigurationError("emulator option replay: expected a trace to replay")
        self.products.validate()


_CHECKS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("seed", lambda v: v >= 0, "0 or more"),
    ("load_ratio", lambda v: 0 <= v <= 2, "0 to 2"),
    ("emulated_peak_flop_per_s", lambda v: 1e5 <= v <= 1e12, "1e5 to 1e12 FLOP/s"),
    ("max_batch", lambda v: 1 <= v <= 4096, "1 to 4096"),
    ("prefill_tokens", lambda v: 128 <= v <= 1_000_000, "128 to 1,000,000"),
    ("max_waiting", lambda v: 1 <= v <= 1_000_000, "1 to 1,000,000"),
    ("replay_speed_ratio", lambda v: 0.001 <= v <= 1000, "0.001 to 1000"),
    ("kv_block_tokens", lambda v: v >= 16 and 512 % v == 0, "a divisor of 512 from 16 on"),
    ("step_s", lambda v: 0.05 <= v <= 5, "0.05 to 5 s"),
    ("settle_s", lambda v: 0 <= v <= 3600, "0 to 3600 s"),
    ("reload_s", lambda v: 0 <= v <= 3600, "0 to 3600 s"),
    ("longest_plant_step_s", lambda v: 0.01 <= v <= 1, "0.01 to 1 s"),
)
