"""A real PostgreSQL server in a temporary folder, on a free loopback port.

For people: `python -m isotherm.servers.postgres` runs one until Ctrl-C and prints its address.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypedDict

import psycopg
from psycopg import sql

from isotherm.servers.components import MissingComponentError
from isotherm.servers.processes import (
    StartError,
    dies_with_parent,
    end,
    free_ports,
    run_in_foreground,
    start_on_free_ports,
    wait_until,
)

USER = "isotherm"
START_TIMEOUT_S = 60
# A test database may be lost with the machine; that is worth a fourfold speed on slow disks.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
}


class _Account(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def find_binaries() -> Path:
    """The folder of the newest `initdb` and `postgres` of this machine."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda p: [int(n) for n in re.findall(r"\d+", p.parent.name)],
        reverse=True,
    )
    on_path = shutil.which("postgres")
    folders = [*debian, *([Path(on_path).parent] if on_path else [])]
    for folder in folders:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise MissingComponentError(
        "PostgreSQL",
        "no server binaries in /usr/lib/postgresql/*/bin or on PATH; install `postgresql`",
    )


def _account() -> _Account:
    """Whom the server runs as: PostgreSQL refuses root, so root lends it another account."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise MissingComponentError(
        "PostgreSQL", "it refuses to run as root, and there is no account postgres or nobody"
    )


class PostgresServer:
    """One server with a superuser that needs no password (loopback only)."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """SQLAlchemy address of the maintenance database; `fresh_database` makes more."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the server answers. Raises `MissingComponentError` or `StartError`."""
        binaries, account = find_binaries(), _account()

        def start() -> None:
            (self._port,) = free_ports(1)
            self._root = _initialise(binaries, account)
            self._run(binaries, account, self._root)

        start_on_free_ports(start, self.stop)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, first=signal.SIGINT)  # "fast": sessions are cut, data are written
            self._process = None
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def pause(self) -> None:
        """Stops the postmaster: nobody can connect any more, open sessions go on."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Blocks until the server ends; its exit code."""
        return self._running().wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StartError("PostgreSQL is not running; call start() first")
        return self._process

    def _run(self, binaries: Path, account: _Account, root: Path) -> None:
        settings = {**SETTINGS, "port": str(self._port), "unix_socket_directories": str(root)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = [str(binaries / "postgres"), "-D", str(root / "data"), *options]
        log = root / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                dies_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=root,
                **account,
            )
        wait_until(self._answers, self._process, log, START_TIMEOUT_S)

    def _answers(self) -> bool:
        try:
            psycopg.connect(libpq(self.url), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _initialise(binaries: Path, account: _Account) -> Path:
    root = Path(tempfile.mkdtemp(prefix="isotherm-postgres-"))
    if account:
        os.chown(root, account["user"], account["group"])
    options = ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    done = subprocess.run(
        [str(binaries / "initdb"), "-D", str(root / "data"), "-U", USER, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        **account,
    )
    if done.returncode != 0:
        shutil.rmtree(root, ignore_errors=True)
        raise StartError(f"initdb failed: {done.stderr.strip()}")
    return root


def libpq(url: str) -> str:
    """The same address as psycopg alone spells it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """An empty database on the server of `url`, dropped afterwards; yields its address."""
    name = f"t_{uuid.uuid4().hex}"
    database = sql.Identifier(name)
    with psycopg.connect(libpq(url), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
    try:
        yield f"{url.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(libpq(url), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def main() -> None:
    server = PostgresServer()
    run_in_foreground(server, lambda: f"PostgreSQL serves on {server.url}")


if __name__ == "__main__":
    main()
