"""A scenario file as a tree of values that know their line."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from fleet.errors import ConfigurationError

_MOST_BYTES: Final = 1024 * 1024
_MOST_DEPTH: Final = 20
_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY: Final = re.compile(r"""^\s*["']?([\w.-]+)["']?\s*=""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """`value` is a scalar, or a dict or list of `Located`."""

    value: Any
    line: int


def read_document(path: Path) -> Located:
    """ConfigurationError in one line, `file:line: ...`, for a file that can not be read."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}:{line}: not UTF-8 text") from None
    if len(raw) > _MOST_BYTES:
        raise ConfigurationError(f"{path}: larger than {_MOST_BYTES} bytes; is it a scenario?")
    return _toml(path, text) if path.suffix == ".toml" else _yaml(path, text)


def _yaml(path: Path, text: str) -> Located:
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise ConfigurationError(f"{path}:1: the file is empty")
            return _YamlTree(path, loader).located(node, 0)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    except (RecursionError, ValueError) as error:
        raise ConfigurationError(f"{path}: not YAML that can be used: {error}") from None


class _YamlTree:
    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self._path = path
        self._loader = loader
        self._seen: set[int] = set()

    def located(self, node: yaml.Node, depth: int) -> Located:
        line = node.start_mark.line + 1
        # An alias may stand for itself, or for itself many times.
        if id(node) in self._seen or depth > _MOST_DEPTH:
            raise ConfigurationError(f"{self._path}:{line}: aliases and deep nests are not taken")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return Located(value=self._mapping(node, depth), line=line)
        if isinstance(node, yaml.SequenceNode):
            items = [self.located(item, depth + 1) for item in node.value]
            return Located(value=items, line=line)
        return Located(value=self._loader.construct_object(node), line=line)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Located]:
        found: dict[str, Located] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                line = key.start_mark.line + 1
                raise ConfigurationError(f"{self._path}:{line}: {name} stands here twice")
            inner = self.located(value, depth + 1)
            found[name] = Located(value=inner.value, line=key.start_mark.line + 1)
        return found


def _toml(path: Path, text: str) -> Located:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = re.search(r"at line (\d+)", str(error))
        raise ConfigurationError(f"{path}:{at[1] if at else 1}: not TOML: {error}") from None
    return _from_toml(document, (), _toml_lines(text), 1)


def _toml_lines(text: str) -> dict[tuple[str, ...], int]:
    """Line of each key and table by its path; items of arrays of tables are numbered from 0."""
    lines: dict[tuple[str, ...], int] = {}
    counts: dict[str, int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = header[2]
            table = tuple(part.strip("\"' ") for part in name.split("."))
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
            table = _numbered(table, counts)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *key[1].split(".")), number)
    return lines


def _numbered(table: tuple[str, ...], counts: dict[str, int]) -> tuple[str, ...]:
    spelled: list[str] = []
    for depth, part in enumerate(table, start=1):
        spelled.append(part)
        if (count := counts.get(".".join(table[:depth]))) is not None:
            spelled.append(str(count))
    return tuple(spelled)


def _from_toml(
    value: Any, path: tuple[str, ...], lines: dict[tuple[str, ...], int], above: int
) -> Located:
    line = lines.get(path, above)
    if isinstance(value, dict):
        return Located(
            value={k: _from_toml(v, (*path, k), lines, line) for k, v in value.items()}, line=line
        )
    if isinstance(value, list):
        items = [_from_toml(v, (*path, str(n)), lines, line) for n, v in enumerate(value)]
        return Located(value=items, line=line)
    return Located(value=value, line=line)
