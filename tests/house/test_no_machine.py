"""Nothing in the repository depends on, or speaks of, the machine that it was written on."""

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, tracked_files

# Written in parts, so that this file does not find itself.
PATHS = r"(?<![\w./-])/(?:" + "|".join(["root", "work", r"home/\w+", r"Users/\w+"]) + r")(?![\w-])"
REGISTRIES = [r"pypi\." + "org", "python" + "hosted", "npm" + "js", "repo1?" + r"\.maven"]
REGISTRIES += ["arti" + "factory", "jfr" + "og", r"\.inter" + r"nal\b", "nex" + r"us\."]
FORBIDDEN = re.compile("|".join([PATHS, *REGISTRIES]))


def text_of(path: Path) -> str:
    """The file's text; empty for what is no text, such as pictures."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("line", ["cd /" + "work/x", "'/" + "root'", "https://pypi" + ".org/s"])
def test_the_search_finds_what_it_should(line: str) -> None:
    assert FORBIDDEN.search(line)


@pytest.mark.parametrize("line", ["/api/v1/workloads", "docs/root", "~/.cache", "/var/lib/x"])
def test_the_search_leaves_ordinary_paths_alone(line: str) -> None:
    assert not FORBIDDEN.search(line)


def test_no_machine_path_and_no_registry_host_is_tracked() -> None:
    found = [
        f"{path}:{number} {line.strip()[:80]}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_nothing_generated_is_tracked() -> None:
    generated = {"node_modules", "__pycache__", "static", "dist", ".cache"}
    assert [str(p) for p in tracked_files() if generated & set(p.parts)] == []
