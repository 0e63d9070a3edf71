from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.clock import SystemClock
from isotherm.up.processes import Role, RoleProcesses, RoleStoppedError


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[RoleProcesses]:
    made = RoleProcesses(tmp_path, SystemClock())
    yield made
    made.stop()


def make_role(module: str, *arguments: str, ready: bool = True) -> Role:
    return Role(name="role", arguments=(module, *arguments), ready=lambda: ready)


def test_a_role_that_fails_is_named_with_the_end_of_its_log(roles: RoleProcesses) -> None:
    with pytest.raises(RoleStoppedError, match=r"role ended with code 2.*unrecognized"):
        roles.start(make_role("http.server", "--no-such-option", ready=False))


def test_a_role_that_never_gets_ready_is_given_up(roles: RoleProcesses) -> None:
    with pytest.raises(RoleStoppedError, match="not ready after 1 s"):
        roles.start(make_role("http.server", "0", ready=False), timeout_s=1.0)


def test_a_role_that_ends_later_is_noticed(roles: RoleProcesses) -> None:
    roles.start(make_role("this"))
    with pytest.raises(RoleStoppedError, match="ended with code 0"):
        check_until_it_fails(roles)


def check_until_it_fails(roles: RoleProcesses) -> None:
    while True:
        roles.check()


def test_a_role_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    clock = SystemClock()
    roles = RoleProcesses(tmp_path, clock)
    log = roles.log_of("role")
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('deaf', flush=True); time.sleep(60)"
    )
    role = Role(
        name="role",
        arguments=("timeit", "-n1", "-r1", deaf),
        ready=lambda: log.exists() and "deaf" in log.read_text(),
    )
    roles.start(role)
    begin_s = clock.monotonic_s()
    roles.stop()
    assert clock.monotonic_s() - begin_s < 5.0
    with pytest.raises(RoleStoppedError):
        roles.start(make_role("http.server", "--no-such-option", ready=False))
