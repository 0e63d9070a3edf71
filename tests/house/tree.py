"""What the house tests look at: the repository's files and the syntax of its packages."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "api", "controller", "emulator", "fleet", "isotherm", "thermal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A parsed source file; `path` is relative to the repository."""

    path: Path
    source: str
    tree: ast.Module


@cache
def tracked_files() -> tuple[Path, ...]:
    """Relative paths of all that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = (Path(name) for name in listed.split("\0") if name)
    return tuple(sorted(path for path in paths if (ROOT / path).is_file()))


@cache
def configuration() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file under the top folders named, parsed."""
    found = [p for p in tracked_files() if p.suffix == ".py" and p.parts[0] in folders]
    return tuple(_parse(path) for path in found)


def _parse(path: Path) -> Module:
    source = (ROOT / path).read_text()
    return Module(path=path, source=source, tree=ast.parse(source))


def classes(module: Module) -> Iterator[ast.ClassDef]:
    return (node for node in module.tree.body if isinstance(node, ast.ClassDef))


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (node for node in ast.walk(module.tree) if isinstance(node, kinds))
