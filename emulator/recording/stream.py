"""How a recording is written: compressed lines, and the manifest first and last."""

import os
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from emulator.recording.form import MANIFEST, Manifest
from fleet.errors import ConfigurationError

_LEVEL: Final = 3
_PENDING_BYTES: Final = 64 * 1024


class LineStream:
    """Compressed lines of one file, which is open only while it is written to: a hall has more
    devices than a process may hold files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frame = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._pending: list[bytes] = []
        self._size = 0

    def write(self, line: object) -> None:
        self._keep(self._frame.compress(msgspec.json.encode(line) + b"\n"))
        if self._size >= _PENDING_BYTES:
            self._flush()

    def close(self) -> None:
        self._keep(self._frame.flush())
        self._flush()

    def _keep(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)

    def _flush(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(b"".join(self._pending))
        except OSError as error:
            raise ConfigurationError(f"recording {self._path}: {error.strerror}") from error
        self._pending, self._size = [], 0


def begin(directory: Path, manifest: Manifest) -> None:
    """ConfigurationError for a folder that holds a recording already, or can not be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / MANIFEST).open("xb") as file:
            file.write(_pretty(manifest))
    except FileExistsError:
        raise ConfigurationError(
            f"recording {directory}: there is one already; choose another folder"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"recording {directory}: {error.strerror}") from error


def complete(directory: Path, manifest: Manifest, *, ticks: int) -> None:
    """Say how many lines each stream has; without it a replay says that it was cut short."""
    pending = directory / f"{MANIFEST}.part"
    pending.write_bytes(_pretty(msgspec.structs.replace(manifest, ticks=ticks)))
    os.replace(pending, directory / MANIFEST)


def _pretty(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
