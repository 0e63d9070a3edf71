import re

import pytest

from controller.ingest.dead_letter import Reason
from tests.house.tree import PACKAGES, ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = {
    "metric": "fleet/metrics.py",
    "input": "agent/inputs/__init__.py",
    "detector": "controller/anomaly/detectors/__init__.py",
    "placement rule": "controller/placement/feasible.py",
    "cooling policy": "controller/cooling/laws/",
    "receiver": "controller/notify/__init__.py",
    "API resource": "api/routes/__init__.py",
}
STEPS_MAX = 8
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))
PROSE = [
    "docs/telemetry.md",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    *(f"docs/adr/{r.name}" for r in RECORDS),
]
TOPS = (*PACKAGES, "tests", "docs", "tools", "deploy", ".ci")


def paths_in(text: str) -> list[str]:
    """What stands in backticks and begins with a folder of the repository, or is a top file."""
    quoted = re.findall(r"`([\w./-]+)`", text)
    return [q for q in quoted if (q.partition("/")[0] in TOPS and "/" in q) or q.endswith(".md")]


def recipe(name: str) -> str:
    found = re.search(rf"^### Add an? {name}\n(.*?)(?=^##|\Z)", CONTRIBUTING, re.M | re.S)
    assert found is not None, f"no recipe for {name}"
    return found[1]


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_short_and_names_its_file(name: str) -> None:
    steps = re.findall(r"^\d+\. ", recipe(name), re.M)
    assert 1 <= len(steps) <= STEPS_MAX
    assert RECIPES[name] in paths_in(recipe(name))


@pytest.mark.parametrize("document", PROSE)
def test_documents_name_what_exists(document: str) -> None:
    named = paths_in((ROOT / document).read_text())
    assert [p for p in named if not (ROOT / p).exists()] == []


@pytest.mark.parametrize("document", PROSE)
def test_links_inside_the_repository_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    folder = (ROOT / document).parent
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    text = (ROOT / "docs" / "telemetry.md").read_text()
    text = text.partition("## Dead letters")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", text, re.M)
    assert sorted(explained) == sorted(reason.value for reason in Reason)


def test_the_finder_of_paths_finds_paths() -> None:
    text = "`fleet/metrics.py`, `METRICS`, `agent/inputs/`, `api`, `docs/adr/`, `/metrics`"
    assert paths_in(text) == ["fleet/metrics.py", "agent/inputs/", "docs/adr/"]


def test_records_are_numbered_without_gaps() -> None:
    assert [r.name[:5] for r in RECORDS] == [f"{n:04}-" for n in range(1, len(RECORDS) + 1)]


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    kinds = set(re.findall(r"^### (\w+)", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
