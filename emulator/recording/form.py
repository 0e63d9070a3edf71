"""The form of a recording: a folder with `manifest.json` and one stream of lines a device.

A stream is JSON, one object a line, compressed by zstd. A line holds what a device said after one
step: `s` (emulated seconds), and of what changed since the line before
`get` (bodies by Redfish path), `lines` (of neuron-monitor) or `words` (Modbus registers by first
address); or `silent`, when it did not answer. Bodies and lines are the exact bytes, as UTF-8.
"""

from enum import StrEnum
from typing import Final

import msgspec

from fleet.errors import ConfigurationError
from fleet.hall import DescribedLoop

VERSION: Final = 1
MANIFEST: Final = "manifest.json"
TRUTH: Final = "truth.jsonl.zst"


class DeviceKind(StrEnum):
    SLED = "sled"  # neuron-monitor and the BMC of a sled
    CDU = "cdu"  # a CDU that speaks Redfish
    MODBUS = "modbus"  # a CDU that speaks Modbus

    def file_of(self, device_id: str) -> str:
        """Its stream, relative to the folder."""
        return f"{self}/{device_id.replace('/', '-')}.jsonl.zst"


class RecordedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device: the file of its stream, relative to the folder."""

    kind: DeviceKind
    file: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is of. `ticks` is None while it is being written, or was cut short."""

    version: int
    hall: str
    loops: list[DescribedLoop]
    devices: dict[str, RecordedDevice]
    seed: int | None = None
    ticks: int | None = None


class RecordedTick(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a device's stream."""

    s: float
    get: dict[str, str] = {}
    lines: list[str] = []
    words: dict[int, list[int]] = {}
    silent: bool = False


def decode_manifest(data: bytes, where: str) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"recording {where}: {error}") from error
    if manifest.version != VERSION:
        raise ConfigurationError(
            f"recording {where}: version {manifest.version}; this program reads {VERSION}"
        )
    return manifest
