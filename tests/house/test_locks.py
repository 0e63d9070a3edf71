import json
import re

import pytest

from tests.house.tree import ROOT, configuration

LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_all_four_locks_are_here() -> None:
    kinds = ["requirements-build.lock", "requirements-dev.lock", "requirements-node.lock"]
    assert [*kinds, "requirements.lock"] == LOCKS


@pytest.mark.parametrize("lock", LOCKS)
def test_each_package_is_pinned_with_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    without = [e for e in entries if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+(.|\n)*sha256:", e)]
    assert without == []


@pytest.mark.parametrize("lock", [*LOCKS, "api/dashboard/package-lock.json"])
def test_locks_name_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    # npm copies where a package asks for donations; nothing is fetched from there.
    text = re.sub(r'"funding": (\{[^}]*\}|\[[^]]*\])', "", text)
    assert re.findall(r"\b(?:https?|git\+\w+)://\S+", text) == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_tests_run_on_the_versions_that_are_shipped(lock: str) -> None:
    development = pins("requirements-dev.lock")
    assert {n: v for n, v in pins(lock).items() if development.get(n) != v} == {}


@pytest.mark.parametrize("group", ["runtime", "build", "node", "dev"])
def test_each_lock_covers_its_requirements(group: str) -> None:
    lock = "requirements.lock" if group == "runtime" else f"requirements-{group}.lock"
    settings = configuration()
    wanted = settings["dependency-groups"].get(group, settings["project"]["dependencies"])
    names = {re.split(r"[\[<>=~ ]", w)[0].lower() for w in wanted if isinstance(w, str)}
    assert names - {name.lower() for name in pins(lock)} == set()


def test_npm_packages_have_integrity_and_no_address() -> None:
    lock = json.loads((ROOT / "api/dashboard/package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    bundled = [n for n, entry in packages.items() if "integrity" not in entry]
    assert [n for n in bundled if not packages[n].get("inBundle")] == []
