"""What the Neuron driver shows in sysfs and no other interface does.

The layout moved with driver 2.31 and may move again, so files are found by their names below a
device, and found anew when one is gone. Only what neuron-monitor does not have is taken from here:
two sources of one counter would make it jump when one of them falls silent.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.inputs.base import Key, Samples
from agent.inputs.ecc import EccSemantics, EccTotals
from agent.inputs.lenient import ratio_of_percent
from fleet.errors import DeviceError

ROOT: Final = Path("/sys/devices/virtual/neuron_device")
_REPAIRABLE: Final = "mem_ecc_repairable_uncorrected"
_POWER: Final = "utilization"
_NAMES: Final = frozenset({_REPAIRABLE, _POWER})
_METRICS: Final[Mapping[str, str]] = {
    _REPAIRABLE: "hbm_ecc_repairable_uncorrected_total",
    _POWER: "power_utilization_ratio",
}
_COUNT: Final = re.compile(rb"[0-9]{1,20}\n?")
_MINUTE: Final = re.compile(
    rb"POWER_STATUS_([A-Z_]{1,20}),([0-9]{1,20}),"
    rb"([0-9]{1,9}\.[0-9]{1,6}),([0-9]{1,9}\.[0-9]{1,6}),([0-9]{1,9}\.[0-9]{1,6})\n?"
)
_MOST_BYTES: Final = 4096
_MOST_U64: Final = 2**64 - 1
_DEEPEST: Final = 6
_LOOK_AGAIN_S: Final = 60.0


@dataclass(slots=True)
class _Device:
    """Where the files of one device were found, and when it is worth looking again."""

    files: dict[str, Path] = field(default_factory=dict)
    look_at_s: float = float("-inf")


class NeuronSysfsInput:
    """Counters and power of each chip below `root`. An absent file is an absent value; one that
    says something else than it should is an error, and takes nothing from the others.
    """

    def __init__(self, root: Path, *, chips: int) -> None:
        self._root = root
        self._devices = [_Device() for _ in range(chips)]
        # The driver prints registers, and 0 for one that can not be read.
        self._totals = EccTotals(EccSemantics.CUMULATIVE)

    def read(self, now_s: float) -> Samples:
        values: dict[Key, float] = {}
        counters: dict[Key, int] = {}
        errors: list[DeviceError] = []
        for chip, device in enumerate(self._devices):
            self._find(chip, device, now_s)
            for name, path in tuple(device.files.items()):
                try:
                    text = _text(path)
                    if text is None:
                        # Gone: the driver was loaded again, perhaps another one.
                        device.files.pop(name)
                        device.look_at_s = now_s
                    elif name == _POWER:
                        values[_METRICS[name], chip] = _mean_ratio(path, text)
                    else:
                        key = _METRICS[name], chip
                        counters[key] = self._totals.add(key, _count(path, text))
                except DeviceError as error:
                    errors.append(error)
        return Samples(values=values, counters=counters, errors=tuple(errors))

    def _find(self, chip: int, device: _Device, now_s: float) -> None:
        """Nothing is looked for while all is known, and not each second while it is not there."""
        if len(device.files) == len(_NAMES) or now_s < device.look_at_s:
            return
        device.look_at_s = now_s + _LOOK_AGAIN_S
        top = self._root / f"neuron{chip}"
        for folder, below, names in os.walk(top):
            depth = len(Path(folder).relative_to(top).parts)
            # Cores have hundreds of files, and none of these.
            deeper = [name for name in below if not name.startswith("neuron_core")]
            below[:] = sorted(deeper) if depth < _DEEPEST else []
            for name in _NAMES.intersection(names):
                device.files.setdefault(name, Path(folder, name))


def _text(path: Path) -> bytes | None:
    """None where there is no such file; one read, as sysfs makes the text anew for each."""
    try:
        place = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DeviceError(f"{path}: {error.strerror}") from error
    try:
        return os.read(place, _MOST_BYTES)
    except OSError as error:
        raise DeviceError(f"{path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            os.close(place)


def _count(path: Path, text: bytes) -> int:
    if not _COUNT.fullmatch(text) or (count := int(text)) > _MOST_U64:
        raise DeviceError(f"{path}: {text[:60]!r} is no count")
    return count


def _mean_ratio(path: Path, text: bytes) -> float:
    """Mean of the last minute over the maximum; NaN while the driver has none."""
    found = _MINUTE.fullmatch(text)
    if found is None or found[1] not in {b"VALID", b"NO_DATA", b"INVALID"}:
        raise DeviceError(f"{path}: {text[:60]!r} is no minute of power")
    if found[1] != b"VALID":
        return float("nan")
    return ratio_of_percent(float(found[5]))
