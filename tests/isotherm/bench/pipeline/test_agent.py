import os

import pytest

from fleet.clock import SystemClock
from isotherm.bench.pipeline.agent import spent
from isotherm.servers.processes import StartError


def test_what_a_process_spent_is_read_from_proc() -> None:
    clock = SystemClock()
    first = spent(os.getpid(), clock)
    held = bytearray(os.urandom(64 * 2**20))
    last = spent(os.getpid(), clock)
    assert last.rss_mib - first.rss_mib > 32
    assert last.cpu_s >= first.cpu_s > 0
    assert len(held) == 64 * 2**20


def test_a_process_that_is_gone_is_said_so() -> None:
    with pytest.raises(StartError, match="is gone"):
        spent(2**22 + 1, SystemClock())
