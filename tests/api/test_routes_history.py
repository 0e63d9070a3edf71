import json
import math
from collections.abc import Sequence

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.schemas.history import seven_digits
from api.schemas.values import number
from fleet.clock import NS_PER_S
from tests.api.builders import Running
from tests.controller.history.kept import T0_NS, keep, noise, times

Query = dict[str, str | int | float | bool | Sequence[str] | None]
SEATS, PARTS, TICKS = 36, 4, 300
T0_S = T0_NS // NS_PER_S
CHIP = "h1/us01/r1/s07/c2"
VALUES = noise(SEATS * PARTS, TICKS)


@pytest.fixture
def asked(api: Running, http: httpx.Client) -> httpx.Client:
    """An API with five minutes of one UltraServer and its CDU."""
    keep(api.store, "h1/us01", times(SEATS, TICKS), {"junction_c": VALUES})
    keep(api.store, "h1/cdu01", times(1, TICKS), {"supply_c": noise(1, TICKS, low=40.0)})
    return http


def test_a_chips_ticks(asked: httpx.Client) -> None:
    query: Query = {"place": CHIP, "metric": "junction_c", "from": T0_S, "until": T0_S + 60}
    answer = asked.get("/api/v1/history", params=query).json()
    assert (answer["step_s"], answer["place"]) == (1, CHIP)
    (series,) = answer["series"]
    assert series["id"] == CHIP
    assert series["at_unix_s"] == list(range(T0_S, T0_S + 60))
    assert series["values"]["value"] == VALUES[6 * PARTS + 2, :60].astype(float).round(4).tolist()
    assert answer["complete_until"].startswith("2025-10-09T09:04:59")


def test_the_step_grows_with_the_time_asked_for(asked: httpx.Client) -> None:
    query: Query = {"place": CHIP, "metric": "junction_c", "from": T0_S, "until": T0_S + 300}
    answer = asked.get("/api/v1/history", params={**query, "max_points": 30}).json()
    assert answer["step_s"] == 10
    assert set(answer["series"][0]["values"]) == {"min", "mean", "max"}
    asked_for = asked.get("/api/v1/history", params={**query, "step_s": 60, "stat": "count"}).json()
    assert asked_for["series"][0]["values"] == {"count": [60] * 5}


def test_a_loop_is_one_series_of_all_its_chips(asked: httpx.Client) -> None:
    query: Query = {"place": "h1/loop01", "from": T0_S, "until": T0_S + 300, "step_s": 10}
    answer = asked.get("/api/v1/history", params={**query, "metric": ["junction_c", "supply_c"]})
    chips, supply = answer.json()["series"]
    assert (chips["id"], supply["id"]) == ("h1/loop01", "h1/cdu01")
    assert chips["values"]["parts"] == [SEATS * PARTS] * 30
    assert chips["values"]["max"][0] == pytest.approx(VALUES[:, :10].max())
    assert set(supply["values"]) == {"min", "mean", "max"}


def test_a_moment_of_the_fleet(asked: httpx.Client) -> None:
    query: Query = {"metric": "junction_c", "at": T0_S + 130}
    answer = asked.get("/api/v1/history/moment", params=query).json()
    assert len(answer["values"]) == 288
    assert answer["values"][: SEATS * PARTS] == VALUES[:, 130].astype(float).round(4).tolist()
    assert set(answer["values"][SEATS * PARTS :]) == {None}
    of_cdu = asked.get(
        "/api/v1/history/moment", params={**query, "metric": "supply_c", "place": "h1/loop01"}
    )
    assert len(of_cdu.json()["values"]) == 1


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"place": "h9", "metric": "junction_c"}, 404, "unknown place 'h9'"),
        ({"place": CHIP, "metric": "warmth"}, 404, "unknown metric 'warmth'"),
        ({"place": CHIP, "metric": "supply_c"}, 422, "metric of a cdu"),
        ({"place": CHIP, "metric": "hbm_c", "from": 2e9, "until": 1e9}, 422, "not before"),
        ({"place": CHIP, "metric": "hbm_c", "step_s": 7}, 422, "no step of 7 s"),
        ({"place": CHIP, "metric": "hbm_c", "from": 1e9}, 422, "less time or more points"),
        ({"place": CHIP, "metric": "hbm_c", "from": 1e9, "step_s": 1}, 422, "less time"),
        ({"place": CHIP}, 422, "metric"),
        ({"place": CHIP, "metric": "hbm_c", "from": "2025-01-01"}, 422, "from"),
    ],
)
def test_a_bad_question_gets_one_clear_line(
    quiet_http: httpx.Client, query: dict[str, str | float], status: int, words: str
) -> None:
    answer = quiet_http.get("/api/v1/history", params=query)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_nothing_kept_is_an_empty_answer(quiet_http: httpx.Client) -> None:
    answer = quiet_http.get("/api/v1/history", params={"place": CHIP, "metric": "hbm_c"}).json()
    assert (answer["series"], answer["complete_until"]) == ([], None)
    moment = quiet_http.get("/api/v1/history/moment", params={"metric": "hbm_c", "at": T0_S}).json()
    assert set(moment["values"]) == {None}
    assert np.shape(moment["values"]) == (288,)


@given(
    st.lists(
        st.floats(width=32).filter(
            lambda x: not 0 < abs(x) < 1e-15 and not 1e27 < abs(x) < math.inf
        ),
        min_size=1,
    )
)
def test_many_numbers_are_rounded_as_one_is(values: list[float]) -> None:
    found = seven_digits(np.array(values, np.float32))
    written = json.loads(msgspec.json.encode(found.tolist()))
    for value, rounded in zip(values, written, strict=True):
        assert rounded == number(rounded)  # seven digits, or null
        assert (rounded is None) is (number(value) is None)
        if rounded is not None:
            assert abs(rounded - value) <= 5.001e-7 * abs(value)


def test_where_ticks_were_thinned_their_statistics_are_told(
    api: Running, http: httpx.Client
) -> None:
    rows, spans = SEATS * PARTS, 6
    at = T0_NS + 10 * NS_PER_S * np.tile(np.arange(spans, dtype=np.int64), (SEATS, 1))
    mean = noise(rows, spans)
    stats = {"min": mean - 1, "max": mean + 1, "mean": mean, "count": np.full_like(mean, 9)}
    thinned = {f"junction_c.{stat}": values for stat, values in stats.items()}
    keep(api.store, "h1/us01", at, thinned)
    query: Query = {"place": CHIP, "metric": "junction_c", "from": T0_S, "until": T0_S + 60}
    answer = http.get("/api/v1/history", params=query).json()
    (series,) = answer["series"]
    assert answer["step_s"] == 10
    assert series["at_unix_s"] == list(range(T0_S, T0_S + 60, 10))
    row = 6 * PARTS + 2
    for stat in ("min", "mean", "max"):
        assert series["values"][stat] == pytest.approx(stats[stat][row].tolist(), rel=1e-6)
    asked_for = http.get(
        "/api/v1/history", params={**query, "step_s": 60, "stat": ["count", "last"]}
    )
    assert asked_for.json()["series"][0]["values"] == {"count": [54], "last": [None]}
    ticks = http.get("/api/v1/history", params={**query, "step_s": 1}).json()
    assert ticks["step_s"] == 1
    assert ticks["series"] == []
