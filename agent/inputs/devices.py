from dataclasses import dataclass
from pathlib import Path

from agent.inputs.ecc import EccSemantics
from agent.inputs.lines import LineSource
from agent.modbus import Registers
from agent.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class SledDevices:
    """How the devices of one sled are reached."""

    lines: LineSource
    """Reports of neuron-monitor."""
    bmc: Transport
    runtime: Transport
    """Starts and stops jobs, and exposes what its serving engines say."""
    sysfs: Path | None = None
    """The directory of the Neuron driver's devices; None: it is not read."""
    chips: int = 4
    liquid: bool = True
    """False: cooled by air, without coolant sensors."""
    ecc_semantics: EccSemantics = EccSemantics.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class CduDevices:
    """How one CDU is reached: by Redfish, or by Modbus where it has no BMC."""

    bmc: Transport | None = None
    registers: Registers | None = None
    pumps: int = 2
    rated_pump_rpm: float = 3_600.0
    """Full speed of a pump that is reached by Modbus (estimate, to be set per site)."""
