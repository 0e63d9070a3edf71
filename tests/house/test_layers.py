"""The import contracts hold, and each of them notices a planted violation."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, configuration

PLANTS = {
    "layers: imports go down only": {"fleet/planted.py": "import thermal"},
    # Two siblings: an import upwards would close a cycle as well.
    "controller layers": {"controller/anomaly/planted.py": "import controller.placement"},
    "the mind may not peek at the truth": {
        # Not straight: through a module that it may use.
        "controller/planted.py": "import thermal.model.planted",
        "thermal/model/planted.py": "import thermal.plant",
    },
    "the world knows no control law but the PID of CDU firmware": {
        "emulator/planted.py": "import thermal.control.select"
    },
    "pure cores do no I/O": {"thermal/planted.py": "import socket"},
    "no cycles": {
        "fleet/planted_a.py": "import fleet.planted_b",
        "fleet/planted_b.py": "import fleet.planted_a",
    },
}


def broken_contracts(folder: Path) -> set[str]:
    """Runs import-linter on the packages in `folder`; names of the contracts it reports broken."""
    linter = Path(sys.executable).with_name("lint-imports")
    command = [str(linter), "--no-cache", "--config", "pyproject.toml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)", done.stdout, re.MULTILINE))
    assert verdicts.keys() == PLANTS.keys(), done.stdout + done.stderr
    return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}


def test_each_contract_has_a_planted_violation() -> None:
    contracts = configuration()["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == PLANTS.keys()


def test_every_contract_holds() -> None:
    assert broken_contracts(ROOT) == set()


@pytest.mark.slow
@pytest.mark.parametrize("contract", PLANTS)
def test_a_planted_violation_is_reported(contract: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        dashboard = shutil.ignore_patterns("dashboard", "static", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=dashboard)
    for path, line in PLANTS[contract].items():
        (tmp_path / path).write_text(f"{line}\n")
    assert broken_contracts(tmp_path) == {contract}
