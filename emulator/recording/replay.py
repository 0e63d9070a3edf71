"""A recording served as devices: what was said is said again, and nothing can be moved."""

import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from emulator.devices.answer import Answer
from emulator.devices.cdu_modbus import ILLEGAL_ADDRESS, RefusedError, orv3
from emulator.recording.form import (
    MANIFEST,
    DeviceKind,
    Manifest,
    RecordedDevice,
    RecordedTick,
    decode_manifest,
)
from emulator.recording.recorder import EXPAND
from fleet.errors import ConfigurationError, DeviceError, UnknownIdError
from fleet.hall import rebuilt
from fleet.register_map import RegisterMap
from fleet.topology import FleetMap

_KEPT_LINES: Final = 64
_MOST_LINE_BYTES: Final = 16 * 2**20
_BLOCK_BYTES: Final = 256 * 1024


class Replay:
    """A recording, device by device, at one step of it. Each device raises UnknownIdError.

    `step` goes on to the next step; what devices say stays until then. ConfigurationError, naming
    file and line, for a recording that is damaged or was cut short.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        path = directory / MANIFEST
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"recording {path}: {error.strerror}") from error
        self.manifest: Manifest = decode_manifest(data, str(path))
        if self.manifest.ticks is None:
            raise ConfigurationError(f"recording {path}: it was cut short while it was written")
        self.fleet_map = FleetMap(rebuilt(self.manifest.hall, self.manifest.loops))
        self._devices = {
            device_id: _Recorded(device_id, device)
            for device_id, device in self.manifest.devices.items()
        }
        self.modbus: Mapping[str, _Recorded] = self._of_kind(DeviceKind.MODBUS)
        self.sled_ids, self.cdu_ids = (
            tuple(
                name
                for name, device in self._devices.items()
                if (device.kind is DeviceKind.SLED) is sleds
            )
            for sleds in (True, False)
        )
        """Devices that are in the recording: of the hall, all or some."""
        self.now_s = 0.0
        """Emulated seconds of the step that is shown."""
        self._ticks = self.manifest.ticks
        self._streams: dict[str, Generator[RecordedTick, None, None]] = {}
        self.rewind()

    def rewind(self) -> None:
        """Back to the first step."""
        self.close()
        self._ticks_left = self._ticks
        self._streams = {
            device_id: _ticks(self._directory / device.file)
            for device_id, device in self.manifest.devices.items()
        }
        for device in self._devices.values():
            device.forget()
        if not self.step():
            raise ConfigurationError(f"recording {self._directory}: it holds no step")

    def close(self) -> None:
        """Let go of the files; what devices say stays."""
        for stream in self._streams.values():
            stream.close()

    def step(self) -> bool:
        """Show the next step; False at the end, where the last stays."""
        if self._ticks_left == 0:
            return False
        try:
            self._take_step()
        except ConfigurationError:
            self.close()
            raise
        self._ticks_left -= 1
        return True

    def _take_step(self) -> None:
        for device_id, stream in self._streams.items():
            tick = next(stream, None)
            if tick is None:
                raise self._damaged(device_id, f"is missing; there should be {self._ticks}")
            self._show(device_id, tick)
            self.now_s = tick.s

    def _show(self, device_id: str, tick: RecordedTick) -> None:
        try:
            self._devices[device_id].take(tick)
        except msgspec.DecodeError as error:
            raise self._damaged(device_id, f"holds a broken body: {error}") from error

    def _damaged(self, device_id: str, what: str) -> ConfigurationError:
        path = self._directory / self.manifest.devices[device_id].file
        line = self._ticks - self._ticks_left + 1
        return ConfigurationError(f"recording {path}: line {line} {what}")

    def sled_bmc(self, sled_id: str) -> "_Recorded":
        return self._found(sled_id, DeviceKind.SLED, "sled")

    def cdu(self, cdu_id: str) -> "_Recorded":
        return self._found(cdu_id, DeviceKind.CDU, "CDU with Redfish")

    def sled_runtime(self, sled_id: str) -> "_NoRuntime":
        self._found(sled_id, DeviceKind.SLED, "sled")
        return _NoRuntime()

    def sled_host(self, sled_id: str) -> "_Recorded":
        """There is none: what a host shows besides its stream is not recorded."""
        raise UnknownIdError("host in this recording", sled_id)

    def neuron_monitor(self, sled_id: str, config: bytes | None = None) -> "_RecordedLines":
        """A reader of its own: what is said from now on. ConfigurationError for any `config`."""
        if config is not None:
            raise ConfigurationError(
                "neuron-monitor configuration: a recording says what it holds; leave it out"
            )
        return _RecordedLines(self._found(sled_id, DeviceKind.SLED, "sled"))

    def _found(self, device_id: str, kind: DeviceKind, what: str) -> "_Recorded":
        device = self._devices.get(device_id)
        if device is None or device.kind is not kind:
            raise UnknownIdError(what, device_id)
        return device

    def _of_kind(self, kind: DeviceKind) -> dict[str, "_Recorded"]:
        return {name: device for name, device in self._devices.items() if device.kind is kind}


class _Recorded:
    """What one device said last. Writes are taken and change nothing: agents that hand back or
    renew must go on, and a recording can not obey.
    """

    def __init__(self, device_id: str, device: RecordedDevice) -> None:
        self.id = device_id
        self.kind = device.kind
        self.map: RegisterMap = orv3()
        self._turn = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._words: dict[int, int] = {}
        self._lines: deque[tuple[int, bytes]] = deque(maxlen=_KEPT_LINES)
        self._count = 0
        self._silent = False

    def take(self, tick: RecordedTick) -> None:
        with self._turn:
            self._silent = tick.silent
            for path, body in tick.get.items():
                self._take_body(path, body.encode())
            for address, words in tick.words.items():
                self._words.update(enumerate(words, start=address))
            for line in tick.lines:
                self._count += 1
                self._lines.append((self._count, line.encode()))

    def _take_body(self, path: str, body: bytes) -> None:
        self._bodies[path] = body
        if not path.endswith(EXPAND):
            return
        for member in msgspec.json.decode(body, type=_Members).Members:
            link = msgspec.json.decode(member, type=_Link)
            self._bodies[link.path] = bytes(member)

    def request(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer = self.handle(method, target, body)
        return answer.status, answer.body

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer:  # noqa: ARG002 - the seam's shape
        """DeviceError where the device did not answer."""
        self._check_answers()
        path, question, query = target.partition("?")
        path = path.rstrip("/")
        if method == "POST":
            return Answer(status=204)
        wanted = path + EXPAND if question and "expand" in query else path
        with self._turn:
            found = self._bodies.get(wanted, self._bodies.get(path))
        if found is None:
            return Answer(status=404, body=_NOT_RECORDED)
        return Answer(status=200, body=found)

    def read_registers(self, address: int, count: int) -> list[int]:
        self._check_answers()
        with self._turn:
            words = [self._words.get(at) for at in range(address, address + count)]
        if None in words:
            raise RefusedError(ILLEGAL_ADDRESS, f"{self.id}: nothing recorded at {address}")
        return [word for word in words if word is not None]

    def write_registers(self, address: int, words: list[int]) -> None:  # noqa: ARG002 - the seam's shape
        """Taken, and changes nothing."""
        self._check_answers()

    def _check_answers(self) -> None:
        if self._silent:
            raise DeviceError(f"{self.id} did not answer when this was recorded")

    def lines_after(self, count: int) -> tuple[int, list[bytes]]:
        with self._turn:
            return self._count, [line for number, line in self._lines if number > count]


class _RecordedLines:
    """One reader of a sled's neuron-monitor lines."""

    def __init__(self, device: _Recorded) -> None:
        self._device = device
        # The step that is shown is news to a new reader.
        self._read = max(device.lines_after(0)[0] - 1, 0)

    def read_lines(self) -> list[bytes]:
        count, lines = self._device.lines_after(self._read)
        if count < self._read:  # the recording has begun anew
            count, lines = self._device.lines_after(0)
        self._read = count
        return lines


class _NoRuntime:
    """A recording runs no jobs."""

    def request(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer = self.handle(method, target, body)
        return answer.status, answer.body

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer:  # noqa: ARG002 - the seam's shape
        if method == "DELETE":
            return Answer(status=204)
        return Answer(status=503, body=_NO_JOBS)


class _Members(msgspec.Struct):
    Members: list[msgspec.Raw]


class _Link(msgspec.Struct):
    path: str = msgspec.field(name="@odata.id")


_NOT_RECORDED: Final = msgspec.json.encode(
    {"error": {"code": "Base.1.0.ResourceMissingAtURI", "message": "This was not recorded."}}
)
_NO_JOBS: Final = msgspec.json.encode(
    {"title": "A recording", "status": 503, "detail": "this is a recording; it runs no jobs"}
)
_decoder: Final = msgspec.json.Decoder(RecordedTick)


def _ticks(path: Path) -> Generator[RecordedTick, None, None]:
    """Lines of one stream; ConfigurationError with file and line for what is damaged."""
    number = 0
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigurationError(f"recording {path}: line {number}: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    number, kept = 1, b""
    try:
        with path.open("rb") as file:
            frame = zstandard.ZstdDecompressor().decompressobj()
            while block := file.read(_BLOCK_BYTES):
                *complete, kept = (kept + frame.decompress(block)).split(b"\n")
                for line in complete:
                    yield line
                    number += 1
                if len(kept) > _MOST_LINE_BYTES:
                    raise ConfigurationError(f"recording {path}: line {number} is too long")
            if not frame.eof or kept:
                raise ConfigurationError(
                    f"recording {path}: it ends in the middle of line {number}; copy it again"
                )
    except OSError as error:
        raise ConfigurationError(f"recording {path}: {error.strerror}") from error
    except zstandard.ZstdError as error:
        raise ConfigurationError(f"recording {path}: near line {number}: {error}") from error
