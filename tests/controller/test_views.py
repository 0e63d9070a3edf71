from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cooling.loop import initial
from controller.cooling.settings import CoolingSettings
from controller.state.columns import FleetColumns
from controller.views import decode_view, encode_view, loop_view
from fleet.errors import MalformedMessageError
from fleet.topology import FleetMap, trn3_datacenter


def test_a_view_holds_the_rows_of_its_own_loop() -> None:
    fleet_map = FleetMap(trn3_datacenter(loops=2, ultraservers=1))
    columns = FleetColumns(fleet_map)
    control = initial("h1/loop02", "h1/cdu02", CoolingSettings())
    view = loop_view(control, columns.snapshot(1, 7), {"frames": 3})
    again = decode_view(encode_view(view))
    assert again == view
    assert (again.loop, again.cycle, again.counters) == ("h1/loop02", 7, {"frames": 3})
    assert len(again.chips["junction_c"]) == 4 * 144
    assert np.all(np.isnan(np.frombuffer(again.chips["junction_c"], "<f4")))
    assert np.all(np.isinf(np.frombuffer(again.sled_age_s, "<f4")))
    assert again.cdu_age_s is None
    assert again.cdu["supply_c"] is None
    assert again.pumps == []


@given(st.binary(max_size=300))
def test_bytes_that_are_no_view_are_refused(data: bytes) -> None:
    with suppress(MalformedMessageError):
        decode_view(data)


def test_a_view_that_was_cut_short_is_refused() -> None:
    fleet_map = FleetMap(trn3_datacenter(ultraservers=1))
    control = initial("h1/loop01", "h1/cdu01", CoolingSettings())
    data = encode_view(loop_view(control, FleetColumns(fleet_map).snapshot(1, 1), {}))
    with pytest.raises(MalformedMessageError):
        decode_view(data[:-1])
