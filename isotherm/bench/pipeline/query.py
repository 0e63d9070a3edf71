"""Case P6: questions about history, asked over HTTP of an API on SQLite and on PostgreSQL."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Final

import httpx
import numpy as np
from msgspec import structs

from api.app import create_app
from api.options import ApiOptions
from api.server import ApiServer
from controller.chores.rolling import roll_up
from controller.chores.settings import ChoreSettings
from controller.history.block import decode_count, encode_count
from controller.history.levels import LEVELS
from controller.history.window import TIMES, Block, Window
from controller.state.roster import GroupShare
from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.clock import NS_PER_S, ManualClock
from fleet.frame import MISSING_COUNT, decode_schema, schema_id
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.pipeline.recorded import Recorded, record
from isotherm.bench.report import Case
from isotherm.servers.components import MissingComponentError
from isotherm.servers.postgres import PostgresServer
from isotherm.servers.processes import StartError

LOOPS: Final = 70
"""20,160 chips in 140 UltraServers."""
WINDOW_S: Final = 60
DAY_S: Final = 86_400
BEGIN_S: Final = 1_767_225_600
"""A midnight."""
PAST_S: Final = BEGIN_S + DAY_S // 2
METRIC: Final = "junction_c"
METRICS: Final = (TIMES, METRIC, "power_w", "hbm_c", "coolant_flow_lpm")
"""All others are left out of the data set: they would only make it longer to write."""
QUICK_ASKED: Final = 40
ASKED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How long answers took, p95 in ms."""

    chip_day: float
    chip_day_ticks: float
    fleet_moment: float


def p6(quick: bool, seed: int) -> Case:
    """One UltraServer has 24 h of four metrics, rolled up by the leader's own chores; the other 139
    have three minutes of the same around noon. The windows are two of the emulated world, said
    again.
    """
    windows = sealed(record(2 * WINDOW_S, seed))
    asked = QUICK_ASKED if quick else ASKED
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as folder:
        url = f"sqlite:///{folder}/isotherm.db"
        rows = fill(url, windows)
        sqlite = ask(url, asked, seed)
    metrics = {**told("", sqlite), "chips": LOOPS * 288.0, "blocks": float(rows)}
    try:
        with PostgresServer() as server:
            fill(server.url, windows)
            metrics |= told("postgresql_", ask(server.url, asked, seed))
    except (MissingComponentError, StartError):
        pass  # the columns are left out: it is not installed here
    return Case(
        id="P6",
        title=f"history over HTTP, {asked} questions each, files in the page cache",
        metrics=metrics,
        target={
            name: (operator, bound)
            for name, operator, bound in _BARS
            if name in metrics or not name.startswith("postgresql_")
        },
    )


_BARS: Final = (
    ("chip_day_p95_ms", "<=", 50.0),
    ("fleet_moment_p95_ms", "<=", 200.0),
    ("postgresql_chip_day_p95_ms", "<=", 50.0),
    ("postgresql_fleet_moment_p95_ms", "<=", 200.0),
)


def told(prefix: str, asked: Asked) -> dict[str, float]:
    return {
        f"{prefix}chip_day_p95_ms": asked.chip_day,
        f"{prefix}fleet_moment_p95_ms": asked.fleet_moment,
        f"{prefix}chip_day_ticks_p95_ms": asked.chip_day_ticks,
    }


# --- what is asked of -----------------------------------------------------------------------------


def sealed(recorded: Recorded) -> list[tuple[Block, ...]]:
    """Minutes of one UltraServer as ingest seals them."""
    schemas = {schema_id(document): decode_schema(document) for _, document in recorded.schemas}
    found = []
    for first in range(0, len(recorded.slabs) - WINDOW_S + 1, WINDOW_S):
        slabs = recorded.slabs[first : first + WINDOW_S]
        window = Window(
            group=0,
            size=36,
            schema=schemas[slabs[0].schema_id],
            start_unix_ns=BEGIN_S * NS_PER_S,
            opened_s=0.0,
        )
        share = GroupShare(group=0, frames=slice(0, 36), seats=slice(0, 36))
        for tick, slab in enumerate(slabs):
            at = np.full(len(slab), (BEGIN_S + tick) * NS_PER_S, np.int64)
            window.add([structs.replace(slab, t0_unix_ns=at)], share, 0, tick)
        blocks = window.seal("", 0, {}).blocks
        found.append(tuple(block for block in blocks if block.metric in METRICS))
    return found


def fill(url: str, windows: Sequence[tuple[Block, ...]]) -> int:
    """How many blocks of ticks the database holds then."""
    fleet_map = FleetMap(trn3_datacenter(loops=LOOPS))
    first, *others = fleet_map.ultraserver_ids
    rows = 0
    with closing(Store(url)) as store:
        for hour in range(24):
            starts = range(BEGIN_S + hour * 3600, BEGIN_S + (hour + 1) * 3600, WINDOW_S)
            rows += _keep(store, ((first, start) for start in starts), windows)
        noon = (PAST_S - WINDOW_S, PAST_S, PAST_S + WINDOW_S)
        for start in noon:
            rows += _keep(store, ((group, start) for group in others), windows)
        clock = ManualClock((BEGIN_S + 2 * DAY_S) * NS_PER_S)
        while roll_up(store, clock, ChoreSettings(), stopped=lambda: False):
            continue
    return rows


def _keep(
    store: Store, places: Iterator[tuple[str, int]], windows: Sequence[tuple[Block, ...]]
) -> int:
    rows = 0
    with store.begin() as tx:
        for group, start_s in places:
            said = windows[start_s // WINDOW_S % len(windows)]
            blocks = [_at(block, group, start_s) for block in said]
            tx.blocks.append(blocks)
            rows += len(blocks)
    return rows


def _at(block: Block, group: str, start_s: int) -> Block:
    """The same minute of another UltraServer at another time."""
    later_ns = (start_s - BEGIN_S) * NS_PER_S
    body = block.body
    if block.metric == TIMES:
        names = decode_count(body)
        seats = len(names) // 3
        names[:seats] += np.where(names[:seats] == MISSING_COUNT, 0, later_ns).astype(np.uint64)
        body = encode_count(names)
    return replace(
        block,
        group_id=group,
        start_unix_ns=block.start_unix_ns + later_ns,
        last_unix_ns=block.last_unix_ns + later_ns,
        body=body,
    )


# --- asking ---------------------------------------------------------------------------------------


def ask(url: str, asked: int, seed: int) -> Asked:
    rng = np.random.default_rng(seed)
    fleet_map = FleetMap(trn3_datacenter(loops=LOOPS))
    chips = rng.integers(0, 144, asked)
    days = [
        {
            "place": fleet_map.chip_ids[int(chip)],
            "metric": METRIC,
            "from": str(BEGIN_S),
            "until": str(BEGIN_S + DAY_S),
        }
        for chip in chips
    ]
    ticks = [{**day, "step_s": "1"} for day in days[: max(5, asked // 20)]]
    moments = [
        {"metric": METRIC, "at": str(PAST_S + int(second))}
        for second in rng.integers(0, WINDOW_S, asked)
    ]
    with _api(url, fleet_map) as http:
        day_ms = _p95_ms(http, "/api/v1/history", days, points=DAY_S // LEVELS[1].step_s)
        ticks_ms = _p95_ms(http, "/api/v1/history", ticks, points=DAY_S)
        moment_ms = _p95_ms(http, "/api/v1/history/moment", moments, points=fleet_map.chips)
    return Asked(chip_day=day_ms, chip_day_ticks=ticks_ms, fleet_moment=moment_ms)


@contextmanager
def _api(url: str, fleet_map: FleetMap) -> Iterator[httpx.Client]:
    options = ApiOptions(port=0)
    with closing(Store(url)) as store, InMemoryBus() as bus:
        clock = ManualClock((BEGIN_S + DAY_S) * NS_PER_S)
        server = ApiServer(create_app(options, fleet_map, store, bus, clock), options)
        server.start()
        try:
            with httpx.Client(base_url=server.url, trust_env=False, timeout=60.0) as http:
                yield http
        finally:
            server.stop()


def _p95_ms(
    http: httpx.Client, path: str, queries: Sequence[Mapping[str, str]], *, points: int
) -> float:
    _check(http.get(path, params=dict(queries[0])), points)
    taken_ms = []
    for query in queries:
        began_s = time.perf_counter()
        answer = http.get(path, params=dict(query))
        taken_ms.append((time.perf_counter() - began_s) * 1e3)
        answer.raise_for_status()
    return float(np.percentile(taken_ms, 95))


def _check(answer: httpx.Response, points: int) -> None:
    """A fast answer with nothing in it is no answer."""
    document = answer.raise_for_status().json()
    if "series" in document:
        found = len(document["series"][0]["at_unix_s"])
    else:
        found = sum(value is not None for value in document["values"])
    if found != points:
        raise StartError(f"{answer.url} answered {found} values, not {points}")
