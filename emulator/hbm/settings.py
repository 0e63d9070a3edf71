"""Settings of memory wear; the figures with their sources stand in rates.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from emulator.sourced import load


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """How the HBM of one generation of chips fails; how much there is says emulator/skus."""

    uncorrected_fit_per_gb: float
    """Uncorrected errors in 1e9 hours and GB (1e9 bytes), at the reference temperature."""
    repairable: bool
    """Whether the driver tells repairable errors from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalSettings:
    """How latent faults come into being."""

    reference_c: float
    activation_ev: float
    infant_factor: float
    """On the rate, while a chip is younger than `infant_s`."""
    infant_s: float
    frailty_sigma: float
    """Of the lognormal spread between chips; its mean is held at 1."""
    age_s: float
    """Age of the chips when the world begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSettings:
    """Shares of latent faults by what they damage; they add up to 1."""

    cell_ratio: float
    row_ratio: float
    column_ratio: float
    bank_ratio: float
    channel_ratio: float

    def __post_init__(self) -> None:
        if abs(sum(self.shares) - 1.0) > 1e-9 or min(self.shares) < 0.0:
            raise ValueError(f"shares of fault classes must add up to 1, not {sum(self.shares):g}")

    @property
    def shares(self) -> tuple[float, ...]:
        """In the order of `FaultClass`."""
        return (
            self.cell_ratio,
            self.row_ratio,
            self.column_ratio,
            self.bank_ratio,
            self.channel_ratio,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometrySettings:
    """Addresses: `channels` a stack, `banks` a channel, `rows` a bank, `columns` a row."""

    channels: int
    banks: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedSettings:
    """Bursts of corrected errors at a faulty location."""

    bursts_per_h: float
    """Median of locations, at full traffic and no more than `warm_c`."""
    bursts_sigma: float
    size_exponent: float
    """Of the Pareto tail of a burst's size."""
    least: int
    """Errors in a burst."""
    most: int
    cell_factor: float
    """On the errors in a burst of a single cell."""
    storm_per_s: float
    """Errors a second while a burst lasts."""
    warm_c: float
    doubling_k: float
    """Bursts double every so many kelvin above `warm_c`."""
    idle_ratio: float
    """Of the bursts at full traffic: scrubbing reads memory that no work touches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncorrectedSettings:
    """How faults of rows, banks and channels become uncorrectable."""

    delay_median_s: float
    sudden_ratio: float
    """Share of uncorrected errors whose location never showed a corrected one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairSettings:
    """Row repair at the driver's reload."""

    success_ratio: float
    rows_per_chip: int
    rows_per_bank: int
    bank_fault_rows: int
    """Rows that the repair of a bank fault takes."""
    channel_fault_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SramSettings:
    corrected_per_h: float
    uncorrected_per_h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecaySettings:
    """What an injected decay of strength 1 does to a chip."""

    faults_per_h: float
    conversion_factor: float
    """How much faster faults become uncorrectable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HbmSettings:
    generations: Mapping[str, MemorySettings]
    """By `Generation`; one without HBM is left out."""
    arrivals: ArrivalSettings
    classes: ClassSettings
    geometry: GeometrySettings
    corrected: CorrectedSettings
    uncorrected: UncorrectedSettings
    repair: RepairSettings
    sram: SramSettings
    decay: DecaySettings


@cache
def published_rates() -> HbmSettings:
    """The settings in rates.yaml."""
    return load("emulator.hbm", "rates.yaml", HbmSettings)
