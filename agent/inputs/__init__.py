"""What an agent can read, one file a device; a new input is a file here and a line below."""

from collections.abc import Callable, Mapping
from typing import Final

from agent.inputs.base import Input
from agent.inputs.cdu_modbus import CduModbusInput
from agent.inputs.cdu_redfish import CduRedfishInput
from agent.inputs.devices import CduDevices, SledDevices
from agent.inputs.neuron_monitor import NeuronMonitorInput
from agent.inputs.neuron_sysfs import NeuronSysfsInput
from agent.inputs.serving_engine import ServingEngineInput
from agent.inputs.sled_redfish import SledRedfishInput

SLED_INPUTS: Final[Mapping[str, Callable[[SledDevices], Input | None]]] = {
    "neuron-monitor": lambda sled: NeuronMonitorInput(
        sled.lines, chips=sled.chips, semantics=sled.ecc_semantics
    ),
    "redfish": lambda sled: SledRedfishInput(sled.bmc),
    "serving-engine": lambda sled: ServingEngineInput(sled.runtime),
    "neuron-sysfs": lambda sled: (
        NeuronSysfsInput(sled.sysfs, chips=sled.chips) if sled.sysfs else None
    ),
}
"""None where a sled has no such thing, or it is not to be read."""

CDU_INPUTS: Final[Mapping[str, Callable[[CduDevices], Input | None]]] = {
    "redfish": lambda cdu: CduRedfishInput(cdu.bmc) if cdu.bmc else None,
    "modbus": lambda cdu: (
        CduModbusInput(cdu.registers, pumps=cdu.pumps, rated_rpm=cdu.rated_pump_rpm)
        if cdu.registers
        else None
    ),
}
"""None where a CDU does not speak it."""
