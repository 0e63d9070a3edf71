"""Row repair at the driver's reload, within budgets."""

from collections import Counter

import numpy as np

from emulator.hbm.settings import RepairSettings
from emulator.hbm.truth import ADDRESS, CLASSES, FaultClass, Rows

_BANK = len(("stack", "channel", "bank"))


class RowRepairs:
    """What was remapped on each chip so far, and what waits for a reload."""

    def __init__(self, settings: RepairSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        self._pending: dict[int, list[Rows]] = {}
        self._rows_of_chip: Counter[int] = Counter()
        self._rows_of_bank: dict[int, Counter[tuple[int, ...]]] = {}
        self._remapped: dict[int, set[tuple[int, ...]]] = {}

    def wait(self, locations: Rows) -> None:
        """Remember locations with an uncorrected error, for the next reload."""
        for position, chip in enumerate(locations["chip"].tolist()):
            self._pending.setdefault(chip, []).append(locations[position : position + 1])

    def reload(self, chip: int) -> list[tuple[Rows, bool]]:
        """Each location that waited, and whether it was cured."""
        waited = self._pending.pop(chip, [])
        return [(location, self._repair(chip, location)) for location in waited]

    def forget(self, chip: int) -> None:
        """The chip was replaced."""
        self._pending.pop(chip, None)
        self._rows_of_chip.pop(chip, None)
        self._rows_of_bank.pop(chip, None)
        self._remapped.pop(chip, None)

    def _repair(self, chip: int, location: Rows) -> bool:
        works = self._rng.random() < self._settings.success_ratio
        address = tuple(int(location[name][0]) for name in ADDRESS)
        bank, row = address[:_BANK], address[: _BANK + 1]
        rows, rows_in_bank = self._rows_needed(int(location["fault_class"][0]))
        banks = self._rows_of_bank.setdefault(chip, Counter())
        remapped = self._remapped.setdefault(chip, set())
        if (
            not works
            or row in remapped
            or self._rows_of_chip[chip] + rows > self._settings.rows_per_chip
            or banks[bank] + rows_in_bank > self._settings.rows_per_bank
        ):
            return False
        remapped.add(row)
        banks[bank] += rows_in_bank
        self._rows_of_chip[chip] += rows
        return True

    def _rows_needed(self, fault_class: int) -> tuple[int, int]:
        """Of the chip's budget and of the one bank's; a channel's rows lie in as many banks."""
        match CLASSES[fault_class]:
            case FaultClass.BANK:
                return self._settings.bank_fault_rows, self._settings.bank_fault_rows
            case FaultClass.CHANNEL:
                return self._settings.channel_fault_rows, 1
        return 1, 1
