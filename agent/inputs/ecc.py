"""Exact totals from error counters whose meaning the Neuron documentation leaves open."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_TOTAL: Final = 2**63 - 1
_PROOF: Final = 2


class EccSemantics(StrEnum):
    AUTO = "auto"  # decide from how the values move
    DELTA = "delta"  # errors since the last report
    CUMULATIVE = "cumulative"  # errors since the register was cleared


@dataclass(slots=True)
class _Register:
    total: int
    raw: int  # as last reported
    last: int  # last value that was counted; a drop to 0 leaves it


@dataclass(slots=True)
class EccTotals:
    """Totals by (counter, device), never falling.

    A drop to 0 is not a repair: drivers print 0 for a register that can not be read. It counts
    nothing, and what comes next is compared with the value before. A drop to another value is a
    register that was cleared or has wrapped: what it shows has been counted since.

    AUTO holds values for cumulative, for a register shows the same value report after report,
    until they have fallen more often than they have stood still.
    """

    semantics: EccSemantics = EccSemantics.AUTO
    _registers: dict[tuple[str, int], _Register] = field(default_factory=dict)
    _falls: int = 0
    _stands: int = 0

    @property
    def deltas(self) -> bool:
        """Whether values are taken for errors since the last report."""
        if self.semantics is EccSemantics.AUTO:
            return self._falls >= _PROOF and self._falls > self._stands
        return self.semantics is EccSemantics.DELTA

    def add(self, key: tuple[str, int], value: int) -> int:
        """The total after a report of `value`."""
        register = self._registers.get(key)
        if register is None:
            self._registers[key] = _Register(min(value, MAX_TOTAL), value, value)
            return min(value, MAX_TOTAL)
        self._watch(register, value)
        register.total = min(register.total + self._counted(register, value), MAX_TOTAL)
        register.raw = value
        if value > 0:
            register.last = value
        return register.total

    def _watch(self, register: _Register, value: int) -> None:
        if value > 0 and value == register.raw:
            self._stands += 1
        elif 0 < value < register.last:
            self._falls += 1

    def _counted(self, register: _Register, value: int) -> int:
        if self.deltas:
            return value
        if value == 0:
            return 0
        return value - register.last if value >= register.last else value
