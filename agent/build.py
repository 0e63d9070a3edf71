"""Agents from devices; the same for emulated ones in this process and real ones over HTTP."""

from dataclasses import replace

from agent.cdu import CduActuators, CduAgent
from agent.inputs import CDU_INPUTS, SLED_INPUTS
from agent.inputs.devices import CduDevices, SledDevices
from agent.inputs.sled_identity import SledIdentityReader
from agent.options import AgentOptions
from agent.outputs.cdu_modbus import CduModbusActuators
from agent.outputs.cdu_redfish import CduRedfishActuators
from agent.outputs.runtime import JobRuntime
from agent.outputs.sled_power import SledPower
from agent.sled import Closable, SledAgent, SledParts
from fleet.clock import Clock
from fleet.errors import ConfigurationError


def sled_agent(
    options: AgentOptions,
    sled_id: str,
    loop_id: str,
    devices: SledDevices,
    clock: Clock,
    *,
    closing: tuple[Closable, ...] = (),
) -> SledAgent:
    """`closing` are the devices that the agent owns and ends with it."""
    return SledAgent(
        agent_id=sled_id,
        loop_id=loop_id,
        chips=devices.chips,
        parts=SledParts(
            inputs={
                name: found
                for name, make in SLED_INPUTS.items()
                if (found := make(devices)) is not None
            },
            identity=SledIdentityReader(devices.bmc),
            power=SledPower(devices.bmc, chips=devices.chips, rated_w=options.rated_w),
            jobs=JobRuntime(devices.runtime),
            closing=closing,
        ),
        clock=clock,
        options=replace(options, guard=replace(options.guard, liquid=devices.liquid)),
    )


def cdu_agent(
    options: AgentOptions,
    cdu_id: str,
    loop_id: str,
    devices: CduDevices,
    clock: Clock,
    *,
    closing: tuple[Closable, ...] = (),
) -> CduAgent:
    return CduAgent(
        agent_id=cdu_id,
        loop_id=loop_id,
        pumps=devices.pumps,
        inputs={
            name: found for name, make in CDU_INPUTS.items() if (found := make(devices)) is not None
        },
        actuators=_actuators(cdu_id, devices),
        clock=clock,
        options=options,
        closing=closing,
    )


def _actuators(cdu_id: str, devices: CduDevices) -> CduActuators:
    if devices.registers is not None:
        return CduModbusActuators(devices.registers)
    if devices.bmc is None:
        raise ConfigurationError(f"{cdu_id}: neither Redfish nor Modbus reaches it; name one")
    return CduRedfishActuators(devices.bmc, pumps=devices.pumps)
