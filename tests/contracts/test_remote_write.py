"""What is pushed, in a real Prometheus."""

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import numpy as np
import pytest

from controller.remote_write.aggregates import Aggregates
from controller.remote_write.sender import RemoteWriter
from controller.remote_write.settings import Breadth, RemoteWriteSettings
from controller.views import LoopView
from fleet.clock import SystemClock
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.servers.prometheus import PrometheusServer
from tests.api.builders import make_view
from tests.support.components import required

FLEET = FleetMap(trn3_datacenter(loops=2, ultraservers=1))


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusServer]:
    with ExitStack() as stack:
        with required():
            server = stack.enter_context(PrometheusServer())
        yield server


def views(at_unix_ns: int) -> list[LoopView]:
    return [
        msgspec.structs.replace(make_view(FLEET, loop), at_unix_ns=at_unix_ns) for loop in (0, 1)
    ]


@pytest.mark.prometheus
def test_every_sample_arrives_as_it_was(prometheus: PrometheusServer) -> None:
    settings = RemoteWriteSettings(
        url=prometheus.write_url, breadths=tuple(Breadth), series_a_request=500
    )
    clock = SystemClock()
    writing = RemoteWriter(settings, FLEET, clock, np.random.default_rng(1))
    now_ns = clock.unix_ns()
    shown = views(now_ns)
    writing.offer(shown, shown)
    writing.work()
    aggregates = Aggregates(settings, FLEET)
    samples = [sample for view in shown for sample in aggregates.of_loop(view)]
    samples += aggregates.of_fleet(shown)
    assert (writing.counts["samples_sent"], writing.queued) == (len(samples), 0)
    found = prometheus.query('{__name__=~"isotherm_.+"}', now_ns / 1e9)
    read = {
        frozenset(one["metric"].items()): (float(one["value"][1]), one["value"][0]) for one in found
    }
    assert {key: value for key, (value, _) in read.items()} == {
        frozenset({"__name__": one.name, **dict(one.labels)}.items()): one.value for one in samples
    }
    # The same again is neither sent nor counted; what is older is refused, and nothing stays.
    writing.offer(shown, shown)
    writing.work()
    assert writing.counts["samples_sent"] == len(samples)
    other = RemoteWriter(settings, FLEET, clock, np.random.default_rng(1))
    other.offer(views(now_ns - 3600 * 10**9), None)
    other.work()
    assert other.counts["samples_refused"] > 0
    assert (other.counts["retries"], other.queued) == (0, 0)
    writing.stop()
    other.stop()
