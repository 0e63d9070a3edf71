import importlib
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, configuration
from tests.support.components import require

SCRIPTS = sorted(configuration()["project"]["scripts"])
HELP_TIMEOUT_S = 60


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_comes_from_this_repository(package: str) -> None:
    """Names as plain as `api` and `agent` could be taken by something that is installed."""
    origin = importlib.import_module(package).__file__
    assert origin is not None
    assert Path(origin).resolve() == ROOT / package / "__init__.py"


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    arguments = [str(part) for part in command]
    return subprocess.run(
        arguments, cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    built = run(sys.executable, "-m", "pip", "wheel", *options, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of an environment that holds the wheel and its lock, nothing else."""
    home = tmp_path_factory.mktemp("empty") / "environment"
    venv.create(home, with_pip=True)
    pip = [home / "bin" / "python", "-m", "pip", "install", "-q", "--no-compile"]
    lock = ["--require-hashes", "-r", ROOT / "requirements.lock"]
    locked = run(*pip, *lock, cwd=home)
    if locked.returncode != 0:
        require("a package index", f"the lock could not be installed: {locked.stderr[-300:]}")
    installed = run(*pip, "--no-deps", wheel, cwd=home)
    assert installed.returncode == 0, installed.stderr
    return home / "bin"


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_the_built_dashboard(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == set(PACKAGES)
    assert "api/static/index.html" in names, "run `make dashboard` first"
    assert [name for name in names if name.startswith("api/dashboard/")] == []
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_lock_is_all_that_the_wheel_needs(environment: Path) -> None:
    checked = run(environment / "python", "-m", "pip", "check", cwd=environment)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_each_command_answers_help_where_only_the_wheel_is(
    script: str, environment: Path, tmp_path: Path
) -> None:
    answer = run(environment / script, "--help", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Usage" in answer.stdout or "usage" in answer.stdout
