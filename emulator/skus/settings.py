"""What a generation is made of. Figures, sources and estimates stand in `<generation>.yaml`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipPowerSettings:
    """Where a chip's watts come from."""

    tdp_w: float
    """Peak, for thermal design, and the chip's own power limit."""
    idle_w: float
    """Powered, no work, junction at `idle_junction_c`."""
    idle_junction_c: float
    sustained_w: float
    """What steady FP8 serving at full load draws at least."""
    leakage_w: float
    """At `leakage_reference_c`."""
    leakage_reference_c: float
    leakage_per_k: float
    """exp(k (Tj - Tref))."""
    tensor_w: float
    """Added at 100 % of peak FLOP/s. Real products stay near half of the peak, so dense prefill
    alone comes close to `tdp_w`."""
    hbm_w: float
    """Added at 100 % of the memory's bandwidth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLimitSettings:
    """How a chip protects itself."""

    throttle_c: float
    """Clock falls from here."""
    trip_c: float
    """Hard stop from here, until the sled is power-cycled."""
    throttle_floor_ratio: float
    """Clock just below the trip."""
    slowest_ratio: float
    """Clock that a power cap can not go below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkuSettings:
    """A kind of chip; for CS-3 the wafer, whose memory is SRAM."""

    peak_flop_per_s: float
    """FP8, dense; where there is no FP8 rate, that of 16 bit."""
    peak_bf16_flop_per_s: float
    hbm_bytes_per_s: float
    """Of the memory that holds weights and cache."""
    hbm_bytes: int
    hbm_stacks: int
    """0: no HBM, and so no HBM errors; `hbm_bytes` are then SRAM."""
    link_bytes_per_s: float
    """To the chip's peers, one direction: half of the NeuronLink nameplate."""
    efa_bytes_per_s: float
    """This chip's share of its host's network, one direction."""
    tensor_efficiency_ratio: float
    """Share of the peak that dense products reach."""
    hbm_efficiency_ratio: float
    """Share of the bandwidth that streaming reaches."""
    usable_hbm_ratio: float
    """The rest is the runtime's."""
    cold_plates: int
    """Plates (or heat sinks) of the usual kind that carry the chip's heat side by side."""
    usd_per_chip_hour: float
    """A chip, its share of the hall and of the people, without energy."""
    power: ChipPowerSettings
    limits: ChipLimitSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SledSettings:
    """What else draws power in a sled or host."""

    cpu_w: float
    """Host processors, all vCPUs busy."""
    cpu_idle_ratio: float
    nitro_w: float
    """Nitro card and EFA."""
    switch_w: float
    """This sled's share of the switches of its fabric."""
    regulator_loss_ratio: float
    other_liquid_ratio: float
    """Of CPU, Nitro and switch, on cold plates; chips that are cooled by liquid are so in full."""
    standby_w: float
    """BMC of a sled that is switched off."""
    vcpus: int
    memory_bytes: int
    idle_memory_bytes: int
    vcpu_idle_ratio: float
    vcpu_busy_ratio: float
    """With every chip of the sled busy."""
    leak_warning_l: float
    """Moisture at the detector."""
    leak_critical_l: float
    """Liquid at the detector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricSettings:
    """How the chips of one UltraServer (or host) reach each other; bytes/s of a chip, one way.

    Either switched tiers, or a torus of `torus_columns` a host with a ring through the hosts. A
    generation without both has only its network.
    """

    in_sled_bytes_per_s: float = 0.0
    """By the first-level switch."""
    in_sled_links: int = 0
    in_rack_bytes_per_s: float = 0.0
    """By the second-level switches."""
    in_rack_links: int = 0
    inter_rack_bytes_per_s: float = 0.0
    """Directly to the chip in the same position of the other rack."""
    inter_rack_links: int = 0
    torus_columns: int = 0
    torus_link_bytes_per_s: float = 0.0
    """Of one link to a neighbour in the host."""
    host_ring_link_bytes_per_s: float = 0.0
    """Of one link to the chip with the same coordinates in the next host."""
    detour_ratio: float = 0.0
    """Share of a link that is left for traffic which another chip must forward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """One file of this package."""

    chip: SkuSettings
    sled: SledSettings
    fabric: FabricSettings
