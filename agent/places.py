"""Which agents a process hosts, and how their devices are reached over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.build import cdu_agent, sled_agent
from agent.cdu import CduAgent
from agent.inputs.devices import CduDevices, SledDevices
from agent.inputs.lenient import count, mapping, text
from agent.inputs.lines import HttpLines
from agent.modbus import ModbusTcp, orv3
from agent.options import AgentOptions
from agent.sled import Closable, SledAgent
from agent.transport import HttpTransport, get_json
from fleet.clock import Clock
from fleet.errors import ConfigurationError, DeviceError

_LIST_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One sled or CDU and its cooling loop."""

    id: str
    loop_id: str
    modbus: str = ""
    """`host:port` of a CDU that is reached so."""
    chips: int | None = None
    """Of a sled; None where the list does not say."""
    liquid: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceList:
    """What `GET /devices` of a device server lists."""

    url: str
    sleds: tuple[Place, ...]
    cdus: tuple[Place, ...]


def read_device_list(url: str, loop_id: str | None) -> DeviceList:
    """ConfigurationError when there is no such list, or a place's loop is not known.

    Loops are taken from the list's own `loops` (id -> loop id), else `loop_id`, else from the
    name of the only CDU: `h1/cdu01` cools `h1/loop01`. `modbus` (id -> host:port) lists the CDUs
    that are reached so, `air` the sleds cooled by air, `chips` (id -> count) how wide sleds are.
    """
    transport = HttpTransport(url, timeout_s=_LIST_TIMEOUT_S)
    try:
        document = get_json(transport, "/devices")
    except DeviceError as error:
        raise ConfigurationError(f"device list of {transport.name}: {error}") from error
    finally:
        transport.close()
    cdus = _names(document.get("cdus"))
    if loop_id is None and len(cdus) == 1:
        loop_id = loop_of_cdu(cdus[0])
    loops, modbus = mapping(document.get("loops")), mapping(document.get("modbus"))
    chips, air = mapping(document.get("chips")), frozenset(_names(document.get("air")))

    def place(name: str) -> Place:
        loop = text(loops.get(name)) or loop_id
        if loop is None:
            raise ConfigurationError(f"cooling loop of {name} is not known: pass --loop")
        return Place(
            id=name,
            loop_id=loop,
            modbus=text(modbus.get(name)),
            chips=count(chips.get(name)) or None,
            liquid=name not in air,
        )

    return DeviceList(
        url=url.rstrip("/"),
        sleds=tuple(place(name) for name in _names(document.get("sleds"))),
        cdus=tuple(place(name) for name in cdus),
    )


def loop_of_cdu(cdu_id: str) -> str:
    hall, _, name = cdu_id.rpartition("/")
    return f"{hall}/{name.replace('cdu', 'loop', 1)}"


def agents_of(
    devices: DeviceList, options: AgentOptions, clock: Clock, *, chips: int, pumps: int
) -> list[SledAgent | CduAgent]:
    """One agent for every sled and CDU of the list; `chips` of sleds of which it does not say."""
    sleds = [_sled(place, devices.url, options, clock, chips) for place in devices.sleds]
    cdus = [_cdu(place, devices.url, options, clock, pumps) for place in devices.cdus]
    return [*sleds, *cdus]


def _sled(place: Place, url: str, options: AgentOptions, clock: Clock, chips: int) -> SledAgent:
    base = f"{url}/devices/{place.id}"
    lines = HttpLines(f"{base}/neuron-monitor")
    bmc, runtime = HttpTransport(f"{base}/bmc"), HttpTransport(f"{base}/runtime")
    devices = SledDevices(
        lines=lines,
        bmc=bmc,
        runtime=runtime,
        chips=place.chips or chips,
        liquid=place.liquid,
        ecc_semantics=options.ecc_semantics,
    )
    return sled_agent(
        options, place.id, place.loop_id, devices, clock, closing=(lines, bmc, runtime)
    )


def _cdu(place: Place, url: str, options: AgentOptions, clock: Clock, pumps: int) -> CduAgent:
    devices, closing = cdu_devices(f"{url}/devices/{place.id}/bmc", place.modbus, pumps)
    return cdu_agent(options, place.id, place.loop_id, devices, clock, closing=(closing,))


def cdu_devices(redfish: str, modbus: str, pumps: int) -> tuple[CduDevices, Closable]:
    """A CDU at its Modbus address, where it has one, or else at its BMC; and what is to close."""
    if modbus:
        registers = ModbusTcp(modbus, unit_id=orv3().unit_id)
        return CduDevices(registers=registers, pumps=pumps), registers
    bmc = HttpTransport(redfish)
    return CduDevices(bmc=bmc, pumps=pumps), bmc


def _names(value: object) -> Sequence[str]:
    if not isinstance(value, list):
        return ()
    return [name for name in value if isinstance(name, str) and name]
