"""A recording made of what real neuron-monitors printed: one stream of lines for each host.

The tool prints no times, so lines are a step apart: the shortest period that the first names, or
five seconds, the tool's own default. Hosts have no BMC in such a recording, and no CDU is there.
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import zip_longest
from pathlib import Path
from typing import Final

import msgspec

from emulator.recording.form import (
    VERSION,
    DeviceKind,
    Manifest,
    RecordedDevice,
    RecordedTick,
)
from emulator.recording.stream import LineStream, begin, complete
from fleet.errors import ConfigurationError
from fleet.hall import described
from fleet.topology import (
    FANOUTS,
    Cooling,
    Datacenter,
    FleetMap,
    Generation,
    LoopKind,
    LoopPlan,
    mixed_datacenter,
)

_DEFAULT_STEP_S: Final = 5.0
_LONGEST_STEP_S: Final = 3_600.0
_MOST_LINE_BYTES: Final = 16 * 2**20
_KIND_OF: Final = {Cooling.AIR: LoopKind.AIR, Cooling.LIQUID: LoopKind.LIQUID_TO_LIQUID}
# A stream does not say how hosts are joined: single hosts, and the UltraServer whose sleds fit.
_CANDIDATES: Final = (
    Generation.TRN1,
    Generation.TRN2,
    Generation.TRN3_GEN2,
    Generation.TRN3_GEN1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    """A stream, and what it is of."""

    path: Path
    generation: Generation
    step_s: float


def adopt(
    streams: Sequence[Path],
    directory: Path,
    *,
    step_s: float | None = None,
    generation: Generation | None = None,
) -> Manifest:
    """Make the recording `directory` of `streams`, plain or gzip; hosts stand in the order given.

    `generation` is for streams that do not say what their host is. A stream that ends early falls
    silent. ConfigurationError with file and line for what no neuron-monitor printed.
    """
    if step_s is not None and not 0.0 < step_s <= _LONGEST_STEP_S:
        raise ConfigurationError(f"step of {step_s:g} s: expected above 0 and up to 3600")
    hosts = [_host(path, generation) for path in streams]
    if not hosts:
        raise ConfigurationError("no stream of a neuron-monitor is named: give at least one file")
    datacenter, sled_ids = _hall(hosts)
    manifest = Manifest(
        version=VERSION,
        hall=datacenter.hall,
        loops=described(datacenter),
        devices={
            sled_id: RecordedDevice(kind=DeviceKind.SLED, file=DeviceKind.SLED.file_of(sled_id))
            for sled_id in sled_ids
        },
    )
    begin(directory, manifest)
    apart_s = step_s or min(host.step_s for host in hosts)
    written = [LineStream(directory / device.file) for device in manifest.devices.values()]
    ticks = 0
    for ticks, lines in enumerate(zip_longest(*(_reports(h.path) for h in hosts)), start=1):
        for stream, line in zip(written, lines, strict=True):
            said = {"silent": True} if line is None else {"lines": [line]}
            stream.write(RecordedTick(s=round(ticks * apart_s, 6), **said))
    for stream in written:
        stream.close()
    complete(directory, manifest, ticks=ticks)
    return msgspec.structs.replace(manifest, ticks=ticks)


def _host(path: Path, generation: Generation | None) -> _Host:
    first = next(_reports(path), None)
    if first is None:
        raise ConfigurationError(f"{path}: it holds no line of a neuron-monitor")
    report = msgspec.json.decode(first, type=_Report)
    hardware = report.neuron_hardware_info
    found = generation or _generation(hardware.neuron_device_type, hardware.neuron_device_count)
    if found is None:
        known = sorted({FANOUTS[one].device_type for one in _CANDIDATES})
        raise ConfigurationError(
            f"{path}: {hardware.neuron_device_count} devices of type"
            f" {hardware.neuron_device_type!r}; known types are {', '.join(known)}; name the"
            " generation if it is one of them"
        )
    fits = FANOUTS[found].chips_per_sled
    if hardware.neuron_device_count > fits:
        raise ConfigurationError(
            f"{path}: {hardware.neuron_device_count} devices; a host of {found} has {fits}"
        )
    return _Host(path=path, generation=found, step_s=_shortest_period_s(msgspec.json.decode(first)))


def _generation(device_type: str, devices: int) -> Generation | None:
    """The smallest host of such devices that has so many."""
    return next(
        (
            one
            for one in _CANDIDATES
            if FANOUTS[one].device_type == device_type and devices <= FANOUTS[one].chips_per_sled
        ),
        None,
    )


def _shortest_period_s(report: object) -> float:
    """Of all groups of a report."""
    found = [
        float(period)
        for period in _periods(report)
        if isinstance(period, int | float) and 0.0 < period <= _LONGEST_STEP_S
    ]
    return min(found, default=_DEFAULT_STEP_S)


def _periods(part: object) -> Iterator[object]:
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from [value] if name == "period" else _periods(value)
    elif isinstance(part, Sequence) and not isinstance(part, str):
        for value in part:
            yield from _periods(value)


def _hall(hosts: Sequence[_Host]) -> tuple[Datacenter, list[str]]:
    """A loop or row for each generation, and the place of each host."""
    present = list(dict.fromkeys(host.generation for host in hosts))
    of_each = {one: sum(host.generation is one for host in hosts) for one in present}
    datacenter = mixed_datacenter(
        [
            LoopPlan(
                kind=_KIND_OF[FANOUTS[one].cooling],
                ultraservers={one: math.ceil(number / FANOUTS[one].sleds)},
            )
            for one, number in of_each.items()
        ]
    )
    fleet_map = FleetMap(datacenter)
    places = {
        one: iter(fleet_map.sled_ids[fleet_map.sleds_in_loop(row)])
        for row, one in enumerate(present)
    }
    return datacenter, [next(places[host.generation]) for host in hosts]


class _Hardware(msgspec.Struct):
    neuron_device_count: int
    neuron_device_type: str = ""


class _Report(msgspec.Struct):
    neuron_hardware_info: _Hardware
    neuron_runtime_data: list[msgspec.Raw]


def _reports(path: Path) -> Iterator[str]:
    """Lines with their ends, as the tool wrote them; the last may be cut off by whoever stopped it.

    Raises ConfigurationError with file and line for one that is no report.
    """
    try:
        with _opened(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE_BYTES), b""), 1):
                if not line.strip():
                    continue
                try:
                    msgspec.json.decode(line, type=_Report)
                    text = line.decode()
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    if not line.endswith(b"\n") and len(line) < _MOST_LINE_BYTES and number > 1:
                        return
                    raise ConfigurationError(f"{path}:{number}: {error}") from None
                yield text if text.endswith("\n") else f"{text}\n"
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{path}: {why}") from None


def _opened(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
