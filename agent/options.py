from dataclasses import dataclass, field
from pathlib import Path

from agent.guard import GuardSettings
from agent.inputs.ecc import EccSemantics
from agent.spool import SpoolSettings
from fleet.codec import MAX_MESSAGE_BYTES, Compression
from fleet.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingLimits:
    """What an agent lets through to its CDU, whoever asks. Estimates, to be set per site."""

    lowest_supply_c: float = 15.0
    highest_supply_c: float = 50.0
    lowest_facility_c: float = 8.0
    highest_facility_c: float = 40.0
    """What may be asked of the building."""
    lowest_pump_ratio: float = 0.2
    longest_lease_s: float = 60.0
    """A lease longer than this is cut to it."""
    rewrite_s: float = 4.0
    """A CDU that hears nothing falls back to its own loop, so a live lease is written again."""
    first_move_ratio: float = 0.008
    """The first command after the CDU's own loop moves valve and pumps by less than 1 %."""
    following_ratio: float = 0.08
    """What a CDU says it asks of an actuator is believed while that is so near: 2 s of its slew."""
    ask_again_s: float = 30.0
    """The same of what is asked of the building, which forgets it after minutes."""

    alone_hold_s: float = 300.0
    """Without a controller the CDU's own loop holds the last set-point so long, then goes to ..."""
    alone_supply_c: float = 36.0
    """... this one, unless it holds a cooler one: nobody resets it to the worst chip any more."""
    alone_ramp_k_per_s: float = 2.0 / 60.0
    dew_margin_k: float = 3.0
    """The set-point that an agent gives by itself stays this far above the dew point."""

    def validate(self) -> None:
        if not self.lowest_supply_c <= self.alone_supply_c <= self.highest_supply_c:
            raise ConfigurationError("cooling limits: alone_supply_c is outside the supply span")
        if self.alone_hold_s < 0 or self.alone_ramp_k_per_s <= 0:
            raise ConfigurationError("cooling limits: alone_hold_s below 0, or no ramp")
        if not self.lowest_supply_c < self.highest_supply_c:
            raise ConfigurationError("cooling limits: the supply span is empty")
        if not self.lowest_facility_c < self.highest_facility_c:
            raise ConfigurationError("cooling limits: the facility span is empty")
        if not 0 <= self.lowest_pump_ratio <= 1:
            raise ConfigurationError("cooling limits: lowest_pump_ratio is not in 0..1")
        if self.first_move_ratio <= 0 or self.following_ratio < 0:
            raise ConfigurationError("cooling limits: first_move_ratio is not above 0, or no span")
        if self.longest_lease_s <= 0 or self.rewrite_s <= 0:
            raise ConfigurationError("cooling limits: times must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """Everything about a process of agents that is not a place or a device."""

    state_dir: Path
    period_s: float = 1.0
    ecc_semantics: EccSemantics = EccSemantics.AUTO
    compression: Compression = Compression.NONE
    rated_w: float = 1000.0
    """Of a chip whose BMC does not say; AWS publishes none (estimate)."""
    readers: int = 1
    """Threads that read devices; more than one where devices are reached over a network."""
    sync_s: float = 1.0
    """How often the spool is synced, 0: with each tick. It is what a power cut may take, and told
    when an agent starts; a crash of the process takes nothing.
    """
    catch_up_ratio: float = 9.0
    """Messages of a backlog for each new one: a site that comes back sends at most ten times what
    it usually does. A choice.
    """
    identity_s: float = 60.0
    """How often it is looked whether a sled is still the one that it was. A choice."""
    max_message_bytes: int = 1_000_000
    """More frames than that travel in several messages; Kafka's own limit is 1,048,588."""
    guard: GuardSettings = field(default_factory=GuardSettings)
    cooling: CoolingLimits = field(default_factory=CoolingLimits)
    spool: SpoolSettings = field(default_factory=SpoolSettings)

    def validate(self) -> None:
        """Raises ConfigurationError naming the setting that can not be used."""
        if not 0.01 <= self.period_s <= 60:
            raise ConfigurationError(f"period_s {self.period_s} is not in 0.01..60")
        if self.readers < 1:
            raise ConfigurationError(f"readers {self.readers} is below 1")
        if self.rated_w <= 0:
            raise ConfigurationError(f"rated_w {self.rated_w} is not above 0")
        if not 0 <= self.sync_s <= 3600:
            raise ConfigurationError(f"sync_s {self.sync_s} is not in 0..3600")
        if not self.identity_s > 0:
            raise ConfigurationError(f"identity_s {self.identity_s} is not above 0")
        if not 0 < self.catch_up_ratio <= 1000:
            raise ConfigurationError(f"catch_up_ratio {self.catch_up_ratio} is not in 0..1000")
        if not 1000 <= self.max_message_bytes <= MAX_MESSAGE_BYTES // 2:
            raise ConfigurationError(
                f"max_message_bytes {self.max_message_bytes} is not in "
                f"1000..{MAX_MESSAGE_BYTES // 2}"
            )
        self.guard.validate()
        self.cooling.validate()
        self.spool.validate()
