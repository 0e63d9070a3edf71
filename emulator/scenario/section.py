"""Reads one section of a scenario, and says file, line, key and what is allowed when it can not."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from emulator.scenario.document import Located
from fleet.errors import ConfigurationError

_Choice = TypeVar("_Choice", bound=StrEnum)


class Section:
    """Keys are taken one by one; `end` refuses what nobody asked for.

    Every method raises ConfigurationError in one line.
    """

    def __init__(self, file: Path, path: str, located: Located) -> None:
        self.file = file
        self.path = path
        self.line = located.line
        if not isinstance(located.value, dict):
            raise self.error("", f"expected keys and values, got {_shown(located.value)}")
        self._values: dict[str, Located] = located.value
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, key: str, words: str) -> ConfigurationError:
        """`key` empty: the section as a whole."""
        found = self._values.get(key) if key else None
        line = found.line if found else self.line
        name = f"{self.path}.{key}".strip(".") if key else self.path
        return ConfigurationError(f"{self.file}:{line}: {name or 'scenario'}: {words}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"{_shown(value)}: expected text")
        return value.strip()

    def number(
        self, key: str, low: float, high: float, unit: str, default: float | None = None
    ) -> float:
        value = self._take(key, default)
        if isinstance(value, str):  # YAML 1.1 takes 1e6 for text
            value = _number(value)
        if not (_finite(value) and low <= value <= high):
            words = f"{_shown(value)}: expected {low:g} to {high:g} {unit}"
            raise self.error(key, words.rstrip())
        return float(value)

    def number_or_none(self, key: str, low: float, high: float, unit: str) -> float | None:
        """None when the key is not there."""
        if key in self._values:
            return self.number(key, low, high, unit)
        self._asked.append(key)
        return None

    def count(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self._take(key, default)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and low <= value <= high):
            raise self.error(key, f"{_shown(value)}: expected a whole number, {low} to {high}")
        return int(value)

    def choice(self, key: str, kind: type[_Choice], default: _Choice | None = None) -> _Choice:
        return kind(self.one_of(key, list(kind), default))

    def one_of(self, key: str, allowed: Iterable[str], default: str | None = None) -> str:
        value, names = self._take(key, default), list(allowed)
        if value not in names:
            words = f"{_shown(value)}: expected one of {', '.join(names)}"
            raise self.error(key, words + _near(str(value), names))
        return str(value)

    def file_at(self, key: str) -> Path | None:
        """A path, relative to the scenario; None when the key is not there."""
        if key not in self._values:
            self._asked.append(key)
            return None
        path = self.file.parent / Path(self.text(key)).expanduser()
        if not path.is_file():
            raise self.error(key, f"{path}: no such file")
        return path

    def number_or_text(self, key: str) -> float | str | None:
        """None when the key is not there."""
        if key not in self._values:
            self._asked.append(key)
            return None
        value = self._take(key, None)
        if _finite(value):
            return float(value)
        return _number(self.text(key))

    def section(self, key: str) -> "Section":
        """The section of that name; without keys when it is not there."""
        self._asked.append(key)
        found = self._values.get(key, Located(value={}, line=self.line))
        return Section(self.file, f"{self.path}.{key}".strip("."), found)

    def sections(self, key: str) -> list["Section"]:
        """Of a list of sections; empty when it is not there."""
        return [
            Section(self.file, f"{self.path}.{key}[{number}]".strip("."), item)
            for number, item in enumerate(self._list(key))
        ]

    def pairs(self, key: str) -> list[tuple[float, float]]:
        """Of a list of lists of two numbers."""
        found = []
        for number, item in enumerate(self._list(key)):
            values = [part.value for part in item.value] if isinstance(item.value, list) else []
            if len(values) != 2 or not all(map(_finite, values)):
                where = f"{self.file}:{item.line}: {self.path}.{key}[{number}]"
                raise ConfigurationError(f"{where}: expected [seconds, value]")
            found.append((float(values[0]), float(values[1])))
        return found

    def end(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                words = f"unknown key; there are {', '.join(self._asked)}"
                raise self.error(key, words + _near(key, self._asked))

    def _list(self, key: str) -> list[Located]:
        self._asked.append(key)
        if key not in self._values:
            return []
        value = self._values[key].value
        if not isinstance(value, list):
            raise self.error(key, f"{_shown(value)}: expected a list")
        return value

    def _take(self, key: str, default: Any) -> Any:
        """The key's value; `default` None: it must be there."""
        self._asked.append(key)
        if key in self._values:
            return self._values[key].value
        if default is None:
            raise self.error("", f"{key} is missing")
        return default


def _finite(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _near(value: str, names: list[str]) -> str:
    near = get_close_matches(value, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    return repr(value)
