from dataclasses import replace

import msgspec
import numpy as np
import pytest

from controller.remote_write.aggregates import Aggregates, Sample
from controller.remote_write.settings import Breadth, RemoteWriteSettings
from controller.views import LoopView
from fleet.errors import UnknownIdError
from fleet.topology import FleetMap, trn3_datacenter
from tests.api.builders import block, make_view

FLEET = FleetMap(trn3_datacenter(loops=2, ultraservers=1))
SLEDS, CHIPS = 36, 144
SETTINGS = RemoteWriteSettings(url="http://127.0.0.1/", breadths=tuple(Breadth))


def by_name(samples: list[Sample], **labels: str) -> dict[str, float]:
    wanted = set(labels.items())
    return {one.name: one.value for one in samples if wanted == set(one.labels)}


def of_loop(view: LoopView, settings: RemoteWriteSettings = SETTINGS) -> list[Sample]:
    return list(Aggregates(settings, FLEET).of_loop(view))


def uneven(loop: int = 0) -> LoopView:
    """Chip n is at n °C; the first sled is stale, the second chip of the second has no reading."""
    view = make_view(FLEET, loop)
    junction_c = np.arange(CHIPS, dtype="<f4")
    junction_c[5] = np.nan
    age_s = np.full(SLEDS, 0.5, "<f4")
    age_s[0] = 99.0
    return msgspec.structs.replace(
        view,
        chips={**view.chips, "junction_c": junction_c.tobytes()},
        sled_age_s=age_s.tobytes(),
    )


def test_a_loop_is_told_over_what_is_fresh() -> None:
    found = by_name(of_loop(uneven()), loop="h1/loop01")
    fresh = [chip for chip in range(4, CHIPS) if chip != 5]
    assert found["isotherm_loop_chip_junction_max_celsius"] == CHIPS - 1
    assert found["isotherm_loop_chip_junction_mean_celsius"] == pytest.approx(np.mean(fresh))
    assert found["isotherm_loop_chip_power_sum_watts"] == 800.0 * (CHIPS - 4)
    assert "isotherm_loop_chip_junction_sum_celsius" not in found
    assert found["isotherm_loop_setpoint_supply_celsius"] == 40.0
    assert found["isotherm_controller_frames_total"] == 72


def test_states_are_counted_and_every_mode_is_said() -> None:
    samples = of_loop(make_view(FLEET))
    said = {one.labels: one.value for one in samples if one.name == "isotherm_loop_sled_leak_state"}
    assert said[(("loop", "h1/loop01"), ("state", "OK"))] == SLEDS
    assert said[(("loop", "h1/loop01"), ("state", "Critical"))] == 0
    modes = {one.labels[-1][1]: one.value for one in samples if one.name == "isotherm_loop_mode"}
    assert modes == {"auto": 1.0, "manual": 0.0, "failsafe": 0.0, "local": 0.0}


def test_a_sled_is_told_for_itself() -> None:
    found = by_name(of_loop(uneven()), loop="h1/loop01", sled=FLEET.sled_ids[1])
    assert found["isotherm_sled_chip_junction_max_celsius"] == 7
    assert found["isotherm_sled_chip_junction_mean_celsius"] == pytest.approx((4 + 6 + 7) / 3)
    assert found["isotherm_sled_inlet_celsius"] == 40.0
    assert by_name(of_loop(uneven()), loop="h1/loop01", sled=FLEET.sled_ids[0]) == {}


def test_a_cdu_is_told_as_metrics_has_it() -> None:
    samples = of_loop(make_view(FLEET, cdu={"supply_c": 40.25, "secondary_dp_kpa": 120.0}))
    found = by_name(samples, loop="h1/loop01", cdu="h1/cdu01")
    assert found == {
        "isotherm_cdu_supply_celsius": 40.25,
        "isotherm_cdu_secondary_dp_pascals": 12e4,
    }
    assert by_name(samples, loop="h1/loop01", cdu="h1/cdu01", pump="1") == {
        "isotherm_pump_speed_ratio": pytest.approx(0.6),
        "isotherm_pump_power_watts": 900.0,
    }
    silent = msgspec.structs.replace(make_view(FLEET), cdu_age_s=None)
    assert not [one for one in of_loop(silent) if dict(one.labels).get("cdu")]


def test_the_fleet_is_all_loops_that_are_heard() -> None:
    views = [make_view(FLEET), uneven(1)]
    found = by_name(list(Aggregates(SETTINGS, FLEET).of_fleet(views)))
    assert found["isotherm_fleet_chip_power_sum_watts"] == 800.0 * (2 * CHIPS - 4)
    assert found["isotherm_fleet_chip_junction_max_celsius"] == CHIPS - 1
    assert found["isotherm_fleet_loops"] == 2
    late = msgspec.structs.replace(views[1], at_unix_ns=views[1].at_unix_ns - 60 * 10**9)
    found = by_name(list(Aggregates(SETTINGS, FLEET).of_fleet([views[0], late])))
    assert found["isotherm_fleet_chip_junction_max_celsius"] == 60.0
    assert found["isotherm_fleet_loops"] == 1


def test_no_series_comes_twice() -> None:
    samples = of_loop(uneven()) + list(Aggregates(SETTINGS, FLEET).of_fleet([uneven()]))
    names = [(one.name, one.labels) for one in samples]
    assert len(set(names)) == len(names)


def test_only_what_was_chosen() -> None:
    chosen = replace(SETTINGS, breadths=(Breadth.LOOP,), metrics=("junction_c", "supply_c"))
    names = {one.name for one in of_loop(make_view(FLEET), chosen)}
    assert names == {
        "isotherm_loop_chip_junction_max_celsius",
        "isotherm_loop_chip_junction_mean_celsius",
        "isotherm_cdu_supply_celsius",
    }
    assert list(Aggregates(chosen, FLEET).of_fleet([make_view(FLEET)])) == []


def test_columns_of_another_fleet_are_left_out() -> None:
    view = msgspec.structs.replace(make_view(FLEET), chips={"junction_c": block(1.0, 3)})
    assert not [one for one in of_loop(view) if "junction" in one.name]
    with pytest.raises(UnknownIdError):
        of_loop(msgspec.structs.replace(view, loop="h9/loop99"))
