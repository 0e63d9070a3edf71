"""People's words on a loop: taken once, for a while, and refused with the limit and the effect."""

import math
from dataclasses import replace

import httpx
import msgspec
import pytest

from api.client import ApiError
from controller.cooling.control import LoopTrip, Mode
from controller.cooling.loop import LoopControl
from controller.views import LoopView, TripView
from fleet.clock import NS_PER_S
from tests.api.builders import AT_UNIX_NS, LOOP, Running, make_view
from tests.controller.cooling.test_whatif import steered
from thermal.control.interlock import TripLevel, TripReason

PATH = f"/api/v1/loops/{LOOP}"
ORDER = {"supply_c": 38.0, "reason": "hot day", "actor": "ana"}


def shown(api: Running, control: LoopControl | None = None) -> LoopView:
    """A loop's view with what its control remembers, heard by the API."""
    base = steered()[0] if control is None else control
    known = replace(base, readings=steered()[1])
    view = msgspec.structs.replace(
        make_view(api.fleet_map),
        mode=known.mode.value,
        control=msgspec.msgpack.encode(known),
        trips=[
            TripView(reason=trip.reason.value, since_unix_ns=1, level="shed", cause="c")
            for trip in known.trips
        ],
    )
    api.hear(view)
    return view


def patched(api: Running, http: httpx.Client, **changed: object) -> httpx.Response:
    version = api.client.loop(LOOP)["version"]
    return http.patch(PATH, json={**ORDER, **changed}, headers={"If-Match": f'"{version}"'})


def test_a_set_point_is_stored_audited_and_ends_by_itself(api: Running) -> None:
    shown(api)
    version = api.client.loop(LOOP)["version"]
    told = api.client.set_point(
        LOOP, supply_c=38.0, version=version, reason="hot day", actor="ana", for_s=600.0
    )
    assert told["override"]["supply_c"] == 38.0
    assert (told["override"]["actor"], told["override"]["mode"]) == ("ana", "auto")
    with api.store.read() as tx:
        order = tx.loop_orders.get(LOOP)
        (entry,) = tx.audit.newest()
    assert order is not None
    assert order.until_unix_ns - order.since_unix_ns == 600 * NS_PER_S
    assert (entry.actor, entry.action, entry.subject) == ("ana", "set_point", LOOP)
    assert "hot day (supply_c 38, until " in entry.reason
    api.clock.advance(601.0)
    assert api.client.loop(LOOP)["override"] is None


def test_margins_are_shown_and_what_is_not_known_is_null(api: Running) -> None:
    shown(api)
    margins = api.client.loop(LOOP)["margins"]
    assert margins["time_to_throttle_s"] == 8.5
    assert margins["ua_ratio"] is None


def test_manual_and_release(api: Running) -> None:
    shown(api)
    version = api.client.loop(LOOP)["version"]
    body = {"valve_ratio": 0.6, "pump_ratio": 0.7, "reason": "balancing", "actor": "kim"}
    told = api.client.override_loop(LOOP, body, version=version)
    assert told["override"]["mode"] == "manual"
    assert api.client.loops()[0]["override"]["actor"] == "kim"
    assert api.client.release_loop(LOOP, reason="done", actor="kim")["override"] is None
    with api.store.read() as tx:
        actions = [entry.action for entry in tx.audit.newest()]
    assert actions == ["release_loop", "override_manual"]


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"supply_c": 55.0}, "supply_c 17..45 °C"),
        ({"supply_c": 16.9}, "supply_c 17..45 °C"),
        ({"supply_c": 313.15}, "supply_c 17..45 °C"),
    ],
)
def test_outside_the_limits_names_limit_and_effect(
    api: Running, http: httpx.Client, body: dict[str, object], limit: str
) -> None:
    shown(api)
    answer = patched(api, http, **body)
    problem = answer.json()
    assert answer.status_code == 422
    assert problem["type"].endswith("outside-limits")
    assert problem["limit"] == limit
    assert "the worst chip would reach" in problem["predicted"]
    with api.store.read() as tx:
        assert tx.loop_orders.get(LOOP) is None


def test_the_dew_point_is_a_limit(api: Running, http: httpx.Client) -> None:
    shown(api, replace(steered()[0], dew_point_c=26.0))
    problem = patched(api, http, supply_c=27.0).json()
    assert problem["limit"] == "supply_c 29..45 °C"


def test_without_reason_or_with_what_is_no_number(api: Running, http: httpx.Client) -> None:
    shown(api)
    for changed in ({"reason": None}, {"supply_c": math.nan}, {"for_s": 1e9}):
        version = api.client.loop(LOOP)["version"]
        answer = http.patch(
            PATH,
            content=msgspec.json.encode({**ORDER, **changed}).replace(b"null", b"NaN"),
            headers={"If-Match": f'"{version}"', "content-type": "application/json"},
        )
        assert answer.status_code == 422, changed
        assert answer.json()["type"].endswith("invalid-request")


def test_an_order_without_a_reason_is_told_limits_and_effect(
    api: Running, http: httpx.Client
) -> None:
    shown(api)
    bare = {name: value for name, value in ORDER.items() if name != "reason"}
    etag = http.get(PATH).headers["etag"]
    for body in (bare, {**bare, "reason": ""}, {**bare, "reason": "  "}):
        answer = http.patch(PATH, json=body, headers={"If-Match": etag})
        problem = answer.json()
        assert (answer.status_code, problem["type"][-9:]) == (422, "no-reason")
        assert "needs a reason" in problem["detail"]
        assert problem["limit"] == "supply_c 17..45 °C, valve_ratio 0..1, pump_ratio 0.3..1"
        assert "the worst chip would reach" in problem["predicted"]
    with api.store.read() as tx:
        assert tx.loop_orders.get(LOOP) is None


def test_a_stale_etag_is_refused_and_none_at_all_too(api: Running, http: httpx.Client) -> None:
    shown(api)
    etag = http.get(PATH).headers["etag"]
    assert http.patch(PATH, json=ORDER).status_code == 428
    first = http.patch(PATH, json=ORDER, headers={"If-Match": etag})
    assert first.status_code == 202
    again = http.patch(PATH, json={**ORDER, "supply_c": 37.0}, headers={"If-Match": etag})
    assert again.status_code == 412
    assert "has changed since you looked" in again.json()["detail"]
    assert again.json()["limit"].startswith("supply_c 17..45 °C")
    assert "the worst chip would reach" in again.json()["predicted"]


def test_a_loop_in_failsafe_takes_no_orders_but_full_cooling(
    api: Running, http: httpx.Client
) -> None:
    trip = LoopTrip(
        reason=TripReason.LOSS_OF_FLOW, since_unix_ns=AT_UNIX_NS, level=TripLevel.SHED, cause="c"
    )
    control = replace(
        steered()[0],
        mode=Mode.FAILSAFE,
        mode_reason="interlock: loss of flow",
        trips=(trip,),
    )
    shown(api, control)
    answer = patched(api, http)
    assert answer.status_code == 409
    assert answer.json()["limit"] == "latched trips: loss_of_flow"
    assert "interlock: loss of flow" in answer.json()["detail"]
    assert "the worst chip would reach" in answer.json()["detail"]
    version = api.client.loop(LOOP)["version"]
    body = {"mode": "failsafe", "reason": "to be sure", "actor": "kim"}
    assert api.client.override_loop(LOOP, body, version=version)["override"]["mode"] == "failsafe"


def test_an_empty_override_and_a_loop_not_heard(api: Running) -> None:
    with pytest.raises(ApiError, match="not heard yet") as refused:
        api.client.override_loop(LOOP, {"pump_ratio": 0.8, "reason": "x"}, version="?")
    assert refused.value.status == 409
    shown(api)
    with pytest.raises(ApiError, match="name valve_ratio"):
        api.client.override_loop(LOOP, {"reason": "x"}, version=api.client.loop(LOOP)["version"])


def test_what_if_shows_trajectories_and_stores_nothing(api: Running) -> None:
    shown(api)
    told = api.client.what_if(LOOP, {"pumps_out": 2, "horizon_s": 30.0})
    assert told["points"][0]["at_s"] == 0.0
    assert len(told["points"]) == 31
    assert "loss_of_flow" in told["trips"]
    first, last = told["points"][0], told["points"][-1]
    assert last["junction_c"] > first["junction_c"] + 10.0
    assert last["junction_low_c"] <= last["junction_c"] <= last["junction_high_c"]
    with api.store.read() as tx:
        assert tx.loop_orders.all() == {}
        assert tx.audit.newest() == []
    with pytest.raises(ApiError, match="3 pumps out of 2"):
        api.client.what_if(LOOP, {"pumps_out": 3})
