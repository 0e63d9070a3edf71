from collections.abc import Sequence

import httpx

from controller.store.gaps import Gap, GapState
from fleet.clock import NS_PER_S
from tests.api.builders import Running
from tests.controller.history.kept import T0_NS, keep, noise, times

Query = dict[str, str | int | float | bool | Sequence[str] | None]
T0_S = T0_NS // NS_PER_S
SILENT, HOLED = "h1/us01/r1/s01", "h1/us01/r1/s02"
WHERE = "/api/v1/telemetry/completeness"


def five_minutes(api: Running) -> None:
    at = times(36, 300)
    at[0] = -1
    at[1, 100:110] = -1
    keep(api.store, "h1/us01", at, {"inlet_c": noise(36, 300)})


def test_every_frame_is_accounted_for(api: Running, http: httpx.Client) -> None:
    five_minutes(api)
    span: Query = {"from": T0_S, "until": T0_S + 300, "agent": [SILENT, HOLED, "h1/us01/r2/s01"]}
    answer = http.get(WHERE, params=span).json()
    silent, holed, sound = answer["agents"]
    assert (silent["agent"], silent["received"], silent["complete"]) == (SILENT, 0, False)
    assert (holed["expected"], holed["received"], holed["missing"]) == (300, 290, 10)
    assert (sound["expected"], sound["missing"], sound["complete"]) == (300, 0, True)
    assert answer["complete"] is False
    declared = Gap(
        agent=HOLED,
        epoch=1,
        first_seq=101,
        last_seq=110,
        state=GapState.DECLARED,
        reason="dropped",
        noted_at_unix_ns=T0_NS,
    )
    with api.store.begin() as tx:
        tx.gaps.declare(declared)
    (told,) = http.get(WHERE, params={**span, "agent": HOLED}).json()["agents"]
    assert (told["declared"], told["missing"], told["complete"]) == (10, 0, True)


def test_without_an_agent_all_are_told(api: Running, http: httpx.Client) -> None:
    answer = http.get(WHERE, params={"from": T0_S, "until": T0_S + 60}).json()
    assert len(answer["agents"]) == 73
    assert answer["complete_until"] is None


def test_a_bad_question_gets_one_clear_line(quiet_http: httpx.Client) -> None:
    unknown = quiet_http.get(WHERE, params={"agent": "h9/us01"})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "unknown agent 'h9/us01'")
    long = quiet_http.get(WHERE, params={"from": 1e9, "until": 2e9})
    assert long.status_code == 422
    assert "less time or fewer agents" in long.json()["detail"]
