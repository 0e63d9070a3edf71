"""Settings of the emulated data center."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    seed: int = 0
    load_ratio: float = 0.5
