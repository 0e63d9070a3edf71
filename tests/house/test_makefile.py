import re
import subprocess

import pytest

from tests.house.tree import ROOT

TARGETS = ["run", "test", "setup", "dashboard", "check", "lint", "type", "bench", "lock", "clean"]


@pytest.mark.parametrize("target", TARGETS)
def test_each_promised_target_can_be_made(target: str) -> None:
    done = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_pytest_speaks_last() -> None:
    """Its closing line is what people and machines read as the verdict."""
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert "pytest" in recipe[1].splitlines()[-1]


def test_options_reach_the_command() -> None:
    command = ["make", "-n", "run", "ARGS=--port 8080"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "isotherm up --port 8080" in said


@pytest.mark.parametrize("script", [".ci/run"])
def test_shell_scripts_are_well_formed_and_executable(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)
