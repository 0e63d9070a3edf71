"""Settings files: YAML in which every figure has its unit and source, or is called an estimate.

    hbm_bytes_per_s: {value: 4.9e12, unit: bytes/s, source: "AWS Neuron docs, Trainium3"}
    idle_w: {value: 180, unit: W, estimate: "18 % of peak, as on an H100"}

Keys are the fields of a frozen dataclass, sections its nested dataclasses; a field of type
`Mapping[str, X]` takes any names. What unit a figure must have is read off its field's name; plain
numbers, words and switches need none, and a plain number may name a unit of its own. A field may be
left out only where its default is None, zero or False: absent, that is. All other figures stand in
the file, never in the code.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from fleet.errors import ConfigurationError

T = TypeVar("T")

_UNITS: Final = {
    *(
        "c",
        "k",
        "w",
        "kw",
        "mw",
        "j",
        "kwh",
        "ev",
        "v",
        "lpm",
        "kpa",
        "pa",
        "mpas",
        "m",
        "m2",
        "m3",
    ),
    *("l", "kg", "kgk", "ns", "s", "min", "h", "day", "hz", "ghz", "rpm", "bytes", "flop"),
    *("usd", "eur", "percent"),
}
_SPELLINGS: Final = (
    *(("l/min", "lpm"), ("J/kgK", "J/kgk"), ("°C", "C"), ("·", ""), (" per ", "/")),
    *((" ", ""), ("(", ""), (")", "")),
)
_LEAF_KEYS: Final = {"value", "unit", "source", "estimate"}
_PLAIN: Final = "1"


def load(package: str, file: str, into: type[T]) -> T:
    """The settings in a package's file; ConfigurationError with file and line if unusable."""
    found = resources.files(package).joinpath(file)
    if not found.is_file():
        raise ConfigurationError(f"{file}: no such settings file in package {package}")
    return parse(found.read_text(encoding="utf-8"), file, into)


def load_path(path: Path, into: type[T]) -> T:
    """The same from a file of one's own."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: can not be read: {error}") from None
    return parse(text, str(path), into)


def parse(text: str, name: str, into: type[T]) -> T:
    """Settings from the text of a file; `name` is what messages call it."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigurationError(f"{name}: is empty; expected {_wanted(into)}")
        settings: T = _Reader(name, loader).dataclass(root, into)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigurationError(f"{name}{line}: not YAML: {problem}") from None
    return settings


def unit_of(field: str) -> str:
    """Unit that a field's name ends in, such as `k_per_w`; "1" for a plain number."""
    words = field.split("_")
    if words[-1] not in _UNITS:
        return _PLAIN
    unit = words.pop()
    while len(words) >= 2 and words[-1] == "per":
        if words[-2] not in _UNITS:
            return f"1_per_{unit}"
        unit = f"{words[-2]}_per_{unit}"
        del words[-2:]
    return "1_per_" + unit if words == ["per"] else unit


def normal_unit(spelled: str) -> str:
    """`W/K` -> `w_per_k`, `l/min` -> `lpm`: units in files as field names spell them."""
    for old, new in _SPELLINGS:
        spelled = spelled.replace(old, new)
    return spelled.lower().replace("/", "_per_")


class _Reader:
    """One file; every method raises ConfigurationError with the line."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._name = name
        self._loader = loader

    def dataclass(self, node: yaml.Node, into: type[Any]) -> Any:
        found = dict(self._pairs(node, _wanted(into)))
        hints = typing.get_type_hints(into)
        fields = {field.name: field for field in dataclasses.fields(into) if field.init}
        for key, value in found.items():
            if key not in fields:
                self._fail(value, f"unknown setting {key!r}; expected {_wanted(into)}")
        missing = [n for n, field in fields.items() if n not in found and not _may_lack(field)]
        if missing:
            self._fail(node, f"missing {', '.join(missing)}")
        values = {key: self._field(value, key, hints[key]) for key, value in found.items()}
        try:
            return into(**values)
        except ValueError as error:
            self._fail(node, str(error))

    def _field(self, node: yaml.Node, key: str, hint: Any) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Mapping:
            return {k: self._field(v, k, arguments[1]) for k, v in self._pairs(node, "names")}
        for section in (hint, *arguments):  # a section, or `section | None`
            if dataclasses.is_dataclass(section) and isinstance(section, type):
                return self.dataclass(node, section)
        return self._leaf(node, key, hint)

    def _leaf(self, node: yaml.Node, key: str, hint: Any) -> Any:
        parts = dict(self._pairs(node, "value, unit, and source or estimate"))
        if unknown := sorted(set(parts) - _LEAF_KEYS):
            self._fail(
                node, f"{key}: unknown {unknown[0]!r}; known are value, unit, source, estimate"
            )
        if "value" not in parts:
            self._fail(node, f"{key}: has no value")
        if len({"source", "estimate"} & set(parts)) != 1:
            self._fail(node, f"{key}: say either its source, or why it is an estimate")
        for word in ("source", "estimate"):
            if word in parts and not str(self._plain(parts[word]) or "").strip():
                self._fail(parts[word], f"{key}: its {word} is empty")
        self._check_unit(node, key, parts)
        return self._value(parts["value"], key, hint)

    def _check_unit(self, node: yaml.Node, key: str, parts: Mapping[str, yaml.Node]) -> None:
        wanted = unit_of(key)
        given = str(self._plain(parts["unit"])) if "unit" in parts else _PLAIN
        normal = normal_unit(given)
        foreign = wanted == _PLAIN and not set(normal.split("_per_")) <= _UNITS
        if normal != wanted and not foreign:
            hint = wanted.replace("_per_", "/")
            self._fail(node, f"{key}: unit is {given}, but its name asks for {hint}")

    def _value(self, node: yaml.Node, key: str, hint: Any) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in {typing.Union, types.UnionType}:
            inner = next(a for a in arguments if a is not type(None))
            return None if self._plain(node) is None else self._value(node, key, inner)
        if origin is tuple:
            if not isinstance(node, yaml.SequenceNode):
                self._fail(node, f"{key}: expected a list")
            return tuple(self._value(item, key, arguments[0]) for item in node.value)
        return self._scalar(node, key, hint)

    def _scalar(self, node: yaml.Node, key: str, hint: Any) -> Any:
        value = self._plain(node)
        if isinstance(hint, type) and issubclass(hint, Enum):
            if value not in {member.value for member in hint}:
                allowed = ", ".join(str(member.value) for member in hint)
                self._fail(node, f"{key}: {value!r} is not one of {allowed}")
            return hint(value)
        if hint is float:
            return self._number(node, key, value)
        if hint not in {int, str, bool}:
            raise TypeError(f"{key}: settings files can not hold a {hint}")
        if type(value) is not hint:
            self._fail(node, f"{key}: expected {hint.__name__}, got {value!r}")
        return value

    def _number(self, node: yaml.Node, key: str, value: Any) -> float:
        if not isinstance(value, bool) and isinstance(value, int | float | str):
            try:
                number = float(value)  # YAML 1.1 takes 1e6 for a word
            except ValueError:
                number = math.nan
            if math.isfinite(number):
                return number
        return self._fail(node, f"{key}: expected a finite number, got {value!r}")

    def _pairs(self, node: yaml.Node, wanted: str) -> Iterator[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, f"expected {wanted}, got {self._plain(node)!r}")
        seen: set[str] = set()
        for key_node, value in node.value:
            key = str(self._plain(key_node))
            if key in seen:
                self._fail(key_node, f"{key!r} stands twice")
            seen.add(key)
            yield key, value

    def _plain(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (ValueError, TypeError):  # such as the 99th of a month
            self._fail(node, "this is no value that YAML knows")

    def _fail(self, node: yaml.Node, what: str) -> typing.NoReturn:
        raise ConfigurationError(f"{self._name} line {node.start_mark.line + 1}: {what}")


def _wanted(into: type[Any]) -> str:
    return ", ".join(field.name for field in dataclasses.fields(into) if field.init)


def _may_lack(field: "dataclasses.Field[Any]") -> bool:
    return field.default is not dataclasses.MISSING and not field.default
