"""What a chip and a sled are made of: settings with unit and source, never constants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fleet.errors import ConfigurationError
from fleet.topology import Cooling, FleetMap, Generation

_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipPowerSettings:
    """Where a chip's watts come from. AWS publishes none of these: all are estimates."""

    tdp_w: float = 1_000.0
    """Peak, for thermal design; more than 1 kW per chip needs liquid (AWS, 2024)."""
    idle_w: float = 180.0
    """Powered, no work, junction at `idle_junction_c`."""
    idle_junction_c: float = 40.0
    sustained_w: float = 700.0
    """What steady FP8 serving at full load draws at least."""
    leakage_w: float = 150.0
    """At 85 C: 12..20 % of TDP."""
    leakage_reference_c: float = 85.0
    leakage_per_k: float = 0.016
    """exp(k (Tj - Tref)); 0.012..0.02, so leakage doubles in 35..58 K."""
    tensor_w: float = 1_450.0
    """Added at 100 % of peak FLOP/s, about 0.6 pJ/FLOP. Real products stay near half of the peak,
    so dense prefill alone comes close to `tdp_w`."""
    hbm_w: float = 200.0
    """Added at 100 % of HBM bandwidth, about 5 pJ a bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLimitSettings:
    """How a chip protects itself. Estimates."""

    throttle_c: float = 95.0
    """Clock falls from here."""
    trip_c: float = 105.0
    """Hard stop from here, until the sled is power-cycled."""
    throttle_floor_ratio: float = 0.1
    """Clock just below the trip."""
    slowest_ratio: float = 0.02
    """Clock that a power cap can not go below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkuSettings:
    """A kind of chip. Compute and memory: AWS Neuron documentation, architecture pages."""

    peak_flop_per_s: float
    """FP8."""
    hbm_bytes_per_s: float
    hbm_bytes: int
    link_bytes_per_s: float
    """To the chip's peers, one direction: half of the NeuronLink nameplate."""
    tensor_efficiency_ratio: float = 0.5
    """Estimate: share of the peak that dense products reach."""
    hbm_efficiency_ratio: float = 0.7
    """Estimate: share of the bandwidth that streaming reaches."""
    usable_hbm_ratio: float = 0.9
    """Estimate: the rest is the runtime's."""
    power: ChipPowerSettings = field(default_factory=ChipPowerSettings)
    limits: ChipLimitSettings = field(default_factory=ChipLimitSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SledSettings:
    """What else draws power in a Trn3 Gen2 sled. Estimates."""

    cpu_w: float = 250.0
    """One Graviton, all vCPUs busy."""
    cpu_idle_ratio: float = 0.4
    nic_w: float = 60.0
    """Nitro and EFA."""
    switch_w: float = 150.0
    """First-level NeuronSwitch."""
    regulator_loss_ratio: float = 0.06
    other_liquid_ratio: float = 0.3
    """Of what is not chips, on cold plates; with the chips 85..90 % of the sled's heat."""
    standby_w: float = 25.0
    """BMC of a sled that is switched off."""
    vcpus: int = 64
    memory_bytes: int = 768 * _GIB
    idle_memory_bytes: int = 48 * _GIB
    vcpu_idle_ratio: float = 0.03
    vcpu_busy_ratio: float = 0.35
    """With every chip of the sled busy."""
    leak_warning_l: float = 0.005
    """Moisture at the detector."""
    leak_critical_l: float = 0.05
    """Liquid at the detector."""


SKUS: Final[Mapping[Generation, SkuSettings]] = {
    Generation.TRN3_GEN2: SkuSettings(
        peak_flop_per_s=2_517e12,
        hbm_bytes_per_s=4.9e12,
        hbm_bytes=144 * _GIB,
        link_bytes_per_s=1.28e12,
    ),
}


def sku_of(fleet_map: FleetMap) -> SkuSettings:
    """The one kind of chip in the hall; ConfigurationError for a hall that can not be emulated."""
    generations = {us.generation for us in fleet_map.ultraservers}
    for generation in generations:
        fanout_cooling = next(
            us.fanout.cooling for us in fleet_map.ultraservers if us.generation is generation
        )
        if fanout_cooling is not Cooling.LIQUID or generation not in SKUS:
            known = ", ".join(sorted(SKUS))
            raise ConfigurationError(f"{generation} can not be emulated; use one of: {known}")
    if len(generations) != 1:
        raise ConfigurationError("one hall holds one generation; give each its own emulator")
    return SKUS[generations.pop()]
