from dataclasses import replace

import msgspec
import numpy as np
import pytest

from api.counters import Counters
from api.live import LiveViews
from controller.views import encode_view
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.topics import LIVE
from fleet.topology import FleetMap, trn3_datacenter
from tests.api.builders import block, make_view, publish

LOOPS = FleetMap(trn3_datacenter(loops=2, ultraservers=1))


class Followed:
    def __init__(self, bus: InMemoryBus) -> None:
        self.bus = bus
        self.clock = ManualClock()
        self.counters = Counters()
        self.live = LiveViews(LOOPS, bus, self.clock, self.counters)


@pytest.fixture
def followed(bus: InMemoryBus) -> Followed:
    return Followed(bus)


def test_columns_hold_each_loop_at_its_place(followed: Followed) -> None:
    publish(followed.bus, make_view(LOOPS, 1, chips={"junction_c": 71.0}))
    assert followed.live.poll() == 1
    column = followed.live.chip_column("junction_c")
    assert np.isnan(column[LOOPS.chips_in_loop(0)]).all()
    assert (column[LOOPS.chips_in_loop(1)] == 71.0).all()
    assert np.isnan(followed.live.chip_column("hbm_c")).all()


def test_the_newest_view_of_a_loop_counts(followed: Followed) -> None:
    for degrees in (50.0, 51.0):
        publish(followed.bus, make_view(LOOPS, 0, chips={"junction_c": degrees}))
    followed.live.poll()
    assert followed.live.chip_column("junction_c")[0] == 51.0


def test_values_grow_stale_when_the_controller_falls_silent(followed: Followed) -> None:
    publish(followed.bus, make_view(LOOPS, 0, sled_age_s=2.0))
    followed.live.poll()
    followed.clock.advance(2.9)
    assert not np.isnan(followed.live.chip_column("junction_c", fresh=True)[0])
    followed.clock.advance(0.2)
    assert np.isnan(followed.live.chip_column("junction_c", fresh=True)[0])
    assert followed.live.chip_column("junction_c")[0] == 60.0
    assert followed.live.sled_age_s()[0] == pytest.approx(5.1)


def test_silent_loops_are_named(followed: Followed) -> None:
    assert followed.live.silent(10.0) == LOOPS.loop_ids
    publish(followed.bus, make_view(LOOPS, 0))
    followed.live.poll()
    assert followed.live.silent(10.0) == ("h1/loop02",)
    followed.clock.advance(10.5)
    assert followed.live.silent(10.0) == LOOPS.loop_ids


def test_bad_views_are_counted_and_the_good_ones_stay(followed: Followed) -> None:
    good = make_view(LOOPS, 0)
    short = msgspec.structs.replace(good, chips={"junction_c": block(99.0, 3)})
    stranger = msgspec.structs.replace(good, loop="h9/loop99")
    publish(followed.bus, good)
    for bad in (b"", b"\xc1", encode_view(good)[:-7], encode_view(short), encode_view(stranger)):
        followed.bus.publish(LIVE, key=good.loop, value=bad)
    assert followed.live.poll() == 1
    assert followed.counters.live_malformed == 5
    assert followed.live.chip_column("junction_c")[0] == 60.0


def test_metrics_of_a_newer_controller_are_skipped(followed: Followed) -> None:
    publish(followed.bus, make_view(LOOPS, 0, chips={"junction_c": 60.0, "aura_c": 1.0}))
    assert followed.live.poll() == 1


def test_following_ends_when_it_is_stopped_while_the_bus_is_away(followed: Followed) -> None:
    followed.live.start()
    followed.bus.available = False
    followed.live.stop()
    assert replace(followed.counters).live_errors == 0
