"""Scenarios that come with Isotherm."""

from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from fleet.errors import ConfigurationError


def known_scenarios() -> dict[str, Path]:
    """By name, in order of name."""
    folder = Path(str(resources.files("emulator.scenario").joinpath("library")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_scenario(name: str) -> Path:
    """A name of the library, or a file; ConfigurationError with the nearest name."""
    known = known_scenarios()
    if name in known:
        return known[name]
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml", ".toml") or "/" in name:
        raise ConfigurationError(f"{name}: no such file")
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigurationError(f"no scenario {name!r}{hint} (there are: {', '.join(known)})")
