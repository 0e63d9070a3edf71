from dataclasses import dataclass

from agent.inputs.ecc import EccSemantics
from agent.inputs.lines import LineSource
from agent.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class SledDevices:
    """How the devices of one sled are reached."""

    lines: LineSource
    """Reports of neuron-monitor."""
    bmc: Transport
    runtime: Transport
    chips: int = 4
    ecc_semantics: EccSemantics = EccSemantics.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class CduDevices:
    """How one CDU is reached."""

    bmc: Transport
    pumps: int = 2
