"""Makes `.venv` what a lock file says, with this project installed editable. Standard library only.

Every package comes with a hash. The project itself is built by the locked hatchling that is
already in the environment: pip's own isolated build would fetch one without a hash.
"""

import argparse
import importlib.util
import subprocess
import sys
import venv
from pathlib import Path
from time import monotonic
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BUILD_LOCK = ROOT / "requirements-build.lock"
LOCKS = {"run": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(LOCKS))
    kind: str = parser.parse_args().kind
    started_s = monotonic()
    python = make_environment()
    install(python, LOCKS[kind], BUILD_LOCK)
    install_project(python)
    say(f"environment ready in {monotonic() - started_s:.1f} s")


def make_environment() -> Path:
    """The interpreter of `.venv`, made where it is absent or no longer runs."""
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        fail(
            f"{sys.executable} can not make virtual environments: the module ensurepip is missing; "
            f"on Debian and Ubuntu: apt-get install python{version}-venv"
        )
    python = VENV / "bin" / "python"
    if not runs(python, "-m", "pip", "--version"):
        say(f"making {VENV.name}")
        venv.create(VENV, with_pip=True, clear=True)
    return python


def runs(python: Path, *arguments: str) -> bool:
    """Whether the command ends well; not so when the interpreter was removed or has no pip."""
    if not python.exists():
        return False
    return subprocess.run([python, *arguments], capture_output=True, check=False).returncode == 0


def install(python: Path, *locks: Path) -> None:
    names = " and ".join(lock.name for lock in locks)
    say(f"installing {names}")
    files = [part for lock in locks for part in ("-r", str(lock))]
    pip(python, f"install what {names} name", "--require-hashes", *files)


def install_project(python: Path) -> None:
    say("installing isotherm, editable")
    pip(python, "install the project", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def pip(python: Path, aim: str, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    # Compiling every module of every package costs a third of the set-up; most are never imported.
    command += ["--no-compile", *arguments]
    if subprocess.run(command, check=False).returncode != 0:
        fail(f"pip could not {aim}; its own words are above (is a package index within reach?)")


def say(line: str) -> None:
    sys.stderr.write(f"setup: {line}\n")


def fail(line: str) -> NoReturn:
    sys.exit(f"error: {line}")


if __name__ == "__main__":
    main()
