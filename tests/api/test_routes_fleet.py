import pytest

from api.client import ApiError
from controller.placement.job import JobState
from tests.api.builders import LOOP, SLED, Running, make_incident, make_job, make_view


def test_fleet_says_what_it_is_made_of(quiet_api: Running) -> None:
    fleet = quiet_api.client.fleet()
    assert (fleet["hall"], fleet["chips"], fleet["loops"]) == ("h1", 288, [LOOP])
    assert fleet["epoch"] == quiet_api.desk.hub.epoch
    assert fleet["ultraservers"][1] == {
        "id": "h1/us02",
        "generation": "trn3-gen2",
        "loop_id": LOOP,
        "racks": 2,
        "sleds_per_rack": 18,
        "chips_per_sled": 4,
        "first_chip": 144,
    }


def test_totals_add_up_what_is_fresh(api: Running) -> None:
    api.hear(make_view(api.fleet_map))
    with api.store.begin() as transaction:
        transaction.jobs.save([make_job("job-1", state=JobState.RUNNING), make_job("job-2")])
        transaction.incidents.save(make_incident())
    totals = api.client.fleet()["totals"]
    assert totals == {
        "power_w": 72 * 3500.0,
        "heat_removed_w": 250e3,
        "max_junction_c": 60.0,
        "chips_busy": 2,
        "chips_reporting": 288,
        "jobs_running": 1,
        "jobs_pending": 1,
        "incidents_open": 1,
    }
    api.clock.advance(6.0)
    stale = api.client.fleet()["totals"]
    assert stale["power_w"] is stale["heat_removed_w"] is stale["max_junction_c"] is None
    assert stale["chips_reporting"] == 0


def test_a_loop_that_has_not_spoken_is_there_all_the_same(quiet_api: Running) -> None:
    loop = quiet_api.client.loop(LOOP)
    assert (loop["id"], loop["cdu_id"], loop["mode"], loop["at"]) == (LOOP, "h1/cdu01", None, None)


def test_a_loop_shows_its_view(api: Running) -> None:
    api.hear(make_view(api.fleet_map))
    api.clock.advance(1.5)
    (loop,) = api.client.loops()
    assert loop["mode"] == "auto"
    assert loop["age_s"] == 1.5
    assert loop["cdu_age_s"] == 2.0
    assert loop["setpoints"]["supply_c"] == 40.0
    assert loop["cdu"]["supply_c"] == 40.25
    assert loop["states"] == {"control_mode": "remote"}
    assert loop["pumps"] == [{"pump_speed_ratio": 0.6, "pump_power_w": 900.0, "pump_state": 0.0}]


def test_a_reset_is_left_for_the_controller_and_audited(api: Running) -> None:
    api.client.reset_loop(LOOP, reason="leak repaired", actor="ana")
    with api.store.read() as transaction:
        ((_, reset),) = transaction.interlocks.waiting_resets()
        (entry,) = transaction.audit.newest()
    assert (reset.loop_id, reset.actor, reset.reason) == (LOOP, "ana", "leak repaired")
    assert (entry.action, entry.actor, entry.subject) == ("reset_trips", "ana", LOOP)
    with pytest.raises(ApiError, match="unknown loop 'h1/loop77'"):
        api.client.reset_loop("h1/loop77", reason="x")


def test_a_sled_shows_values_states_chips_and_who_holds_it(api: Running) -> None:
    api.hear(make_view(api.fleet_map, sled_age_s=1.0))
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job(state=JobState.RUNNING))
    sled = api.client.sled(SLED)
    assert sled["age_s"] == 1.0
    assert sled["values"]["inlet_c"] == 40.0
    assert sled["values"]["outlet_c"] is None
    assert sled["states"]["leak_state"] == "OK"
    assert sled["chips"] == [f"{SLED}/c{chip}" for chip in range(4)]
    assert (sled["cordon"], sled["jobs"]) == (None, ["job-1"])


def test_chips_know_their_job_and_their_index(api: Running) -> None:
    api.hear(make_view(api.fleet_map, chips={"junction_c": 61.234567}))
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job(state=JobState.STARTING))
    chips = api.client.chips(sled=SLED)
    assert [chip["job_id"] for chip in chips] == ["job-1", "job-1", None, None]
    chip = api.client.chip(f"{SLED}/c2")
    assert chip == chips[2]
    assert chip["index"] == api.fleet_map.chip(f"{SLED}/c2")
    assert chip["values"]["junction_c"] == 61.23457
    assert chip["values"]["hbm_c"] is None


def test_an_unknown_chip_is_named(quiet_api: Running) -> None:
    with pytest.raises(ApiError, match=r"unknown chip 'h1/us01/r1/s07/c9'") as refused:
        quiet_api.client.chip("h1/us01/r1/s07/c9")
    assert refused.value.status == 404


@pytest.mark.parametrize("limit", [1, 7, 71, 72, 1000])
def test_pages_of_sleds_join_without_gap_or_repeat(quiet_api: Running, limit: int) -> None:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        query = {"limit": str(limit), "ultraserver": "h1/us02", **cursor}
        page = quiet_api.client._document("GET", "/api/v1/sleds", query=query)
        found += [sled["id"] for sled in page["items"]]
        assert len(page["items"]) <= limit
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == list(quiet_api.fleet_map.sled_ids[36:])


def test_filters_that_exclude_each_other_give_an_empty_list(quiet_api: Running) -> None:
    assert quiet_api.client.chips(sled=SLED, ultraserver="h1/us02") == []


def test_cordon_and_uncordon(api: Running) -> None:
    cordoned = api.client.cordon(SLED, reason="swap", actor="ana")
    assert cordoned["cordon"]["reason"] == "swap"
    assert cordoned["cordon"]["incident_id"] is None
    assert api.client.sled(SLED)["cordon"] == cordoned["cordon"]
    api.client.uncordon(SLED, actor="ben")
    api.client.uncordon(SLED, actor="ben")
    assert api.client.sled(SLED)["cordon"] is None
    with api.store.read() as transaction:
        acts = [(entry.action, entry.actor) for entry in transaction.audit.newest()]
    assert acts == [("uncordon", "ben"), ("cordon", "ana")]
