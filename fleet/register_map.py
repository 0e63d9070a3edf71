"""Modbus register maps as data: what stands where, in which scale and sign, what a bit says.

A map is a YAML file such as `fleet/registers/orv3.yaml`; whoever needs one reads the file and hands
its text over. The device server and the reader of a device share one map, so they can not differ.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import yaml

from fleet.errors import ConfigurationError

MOST_IN_ONE_READ: Final = 125
"""Registers that one Modbus answer can carry."""
_WORD: Final = 0x10000
_KEYS: Final = frozenset({"register", "name", "length", "scale", "signed", "text", "bits", "write"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One quantity of a map: a number, a text, or a word of bits, in `length` registers."""

    address: int
    name: str
    length: int = 1
    scale: float = 1.0
    signed: bool = False
    text: bool = False
    bits: Mapping[int, str] = field(default_factory=dict)
    writable: bool = False

    def encode(self, value: float) -> list[int]:
        """Words of a number, highest first. What does not fit saturates, and so does NaN: 0 would
        be a reading. Estimate: the public map does not say what a lost reading shows.
        """
        low, high = self._span
        raw = high if math.isnan(value) else round(min(max(value / self.scale, low), high))
        raw %= _WORD**self.length
        return [(raw >> 16 * place) % _WORD for place in reversed(range(self.length))]

    def decode(self, words: Iterable[int]) -> float:
        """The number; NaN where it stands at its end, since more than that can not be said."""
        raw = 0
        for word in words:
            raw = raw * _WORD + word
        low, high = self._span
        if self.signed and raw > high:
            raw -= _WORD**self.length
        saturated = raw == high or (self.signed and raw == low)
        return math.nan if saturated else raw * self.scale

    def encode_text(self, value: str) -> list[int]:
        """ASCII, two characters a register, cut and filled with zeros to the length."""
        data = value.encode("ascii", "replace")[: 2 * self.length].ljust(2 * self.length, b"\0")
        return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]

    def decode_text(self, words: Iterable[int]) -> str:
        data = b"".join(word.to_bytes(2, "big") for word in words)
        return data.rstrip(b"\0 ").decode("ascii", "replace")

    def word(self, flags: Iterable[str]) -> int:
        """The word in which the named bits are set; KeyError for a bit that is not there."""
        places = {name: place for place, name in self.bits.items()}
        return sum(1 << places[flag] for flag in set(flags))

    def flags(self, word: int) -> frozenset[str]:
        """Names of the bits that are set; bits without a name say nothing."""
        return frozenset(name for place, name in self.bits.items() if word >> place & 1)

    @property
    def _span(self) -> tuple[int, int]:
        size = _WORD**self.length
        return (-size // 2, size // 2 - 1) if self.signed else (0, size - 1)


@dataclass(frozen=True, kw_only=True)
class RegisterMap:
    """Registers of one kind of device, ascending; `probe` is one that tells whether it is there."""

    name: str
    unit_id: int
    probe: int
    registers: tuple[Register, ...]

    def __getitem__(self, name: str) -> Register:
        """KeyError for a name that is not in the map."""
        return self._by_name[name]

    def __iter__(self) -> Iterator[Register]:
        return iter(self.registers)

    def runs(self, names: Iterable[str]) -> tuple[tuple[int, int], ...]:
        """Address and length of the fewest reads that bring the named registers, and nothing that
        is not in the map.
        """
        wanted = sorted((self[name] for name in set(names)), key=lambda register: register.address)
        runs: list[tuple[int, int]] = []
        for register in wanted:
            if runs:
                first = runs[-1][0]
                together = register.address + register.length - first
                if together <= MOST_IN_ONE_READ and self._gapless(first, register.address):
                    runs[-1] = (first, together)
                    continue
            runs.append((register.address, register.length))
        return tuple(runs)

    def at(self, address: int) -> Register | None:
        """The register that this address is of, also in its middle."""
        return self._by_address.get(address)

    def _gapless(self, first: int, last: int) -> bool:
        return all(address in self._by_address for address in range(first, last))

    @cached_property
    def _by_name(self) -> dict[str, Register]:
        return {register.name: register for register in self.registers}

    @cached_property
    def _by_address(self) -> dict[int, Register]:
        return {
            register.address + place: register
            for register in self.registers
            for place in range(register.length)
        }


def parse_register_map(text: str, where: str) -> RegisterMap:
    """ConfigurationError, naming `where` and the register, for a map that can not be used."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"register map {where}: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not isinstance(document.get("registers"), list):
        raise ConfigurationError(f"register map {where}: a list of registers is missing")
    registers = [_register(entry, where) for entry in document["registers"]]
    registers.sort(key=lambda register: register.address)
    built = RegisterMap(
        name=str(document.get("name", where)),
        unit_id=_whole(document.get("unit_id", 1), 0, 247, f"register map {where}: unit_id"),
        probe=_whole(document.get("probe", 0), 0, _WORD - 1, f"register map {where}: probe"),
        registers=tuple(registers),
    )
    _check_apart(built, where)
    return built


def _check_apart(built: RegisterMap, where: str) -> None:
    names: set[str] = set()
    end = 0
    for register in built.registers:
        if register.address < end:
            raise ConfigurationError(
                f"register map {where}: {register.name} at {register.address} overlaps another"
            )
        if register.name in names:
            raise ConfigurationError(f"register map {where}: two registers named {register.name}")
        names.add(register.name)
        end = register.address + register.length


def _register(entry: object, where: str) -> Register:
    if not isinstance(entry, dict) or not {"register", "name"} <= entry.keys():
        raise ConfigurationError(f"register map {where}: {entry!r} has no register and name")
    here = f"register map {where}: {entry['name']}"
    if unknown := sorted(map(str, entry.keys() - _KEYS)):
        raise ConfigurationError(f"{here}: unknown {', '.join(unknown)}; known: {_known()}")
    scale = entry.get("scale", 1.0)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise ConfigurationError(f"{here}: scale {scale!r} is not a number above 0")
    return Register(
        address=_whole(entry["register"], 0, _WORD - 1, f"{here}: register"),
        name=str(entry["name"]),
        length=_whole(entry.get("length", 1), 1, MOST_IN_ONE_READ, f"{here}: length"),
        scale=float(scale),
        signed=_flag(entry, "signed", here),
        text=_flag(entry, "text", here),
        bits=_bits(entry.get("bits", {}), here),
        writable=_flag(entry, "write", here),
    )


def _bits(value: object, here: str) -> Mapping[int, str]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{here}: bits must be a table of numbers and names")
    return {_whole(place, 0, 15, f"{here}: bit"): str(name) for place, name in value.items()}


def _whole(value: object, low: int, high: int, here: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigurationError(f"{here} {value!r} is not a whole number from {low} to {high}")
    return value


def _flag(entry: Mapping[str, object], key: str, here: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise ConfigurationError(f"{here}: {key} must be true or false")
    return value


def _known() -> str:
    return ", ".join(sorted(_KEYS))
