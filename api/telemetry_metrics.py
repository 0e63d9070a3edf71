"""`/metrics` of telemetry itself: how far ingest is behind, and what is missing. docs/telemetry.md
explains each.
"""

from collections.abc import Iterator
from typing import Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from api.desk import Desk
from controller.store.gaps import GapState
from controller.store.starts import AgentStart
from controller.views import IngestView
from fleet.errors import StoreError
from fleet.spelling import NAMESPACE
from fleet.topics import TELEMETRY

_log: Final = structlog.get_logger(__name__)


def telemetry_metrics(desk: Desk) -> Iterator[Metric]:
    """Of controllers as they show themselves, and of the ledger in the store."""
    controllers = _controllers(desk)
    yield from _behind(desk, controllers)
    yield from _counts(controllers)
    try:
        yield from _kept(desk)
    except StoreError as error:
        _log.warning("metrics without the ledger of telemetry", error=str(error))


def _controllers(desk: Desk) -> dict[int, IngestView]:
    """Partition -> who reads it. What is shown no more is not known."""
    found: dict[int, IngestView] = {}
    for loop_id in desk.fleet_map.loop_ids:
        heard = desk.live.loop(loop_id)
        fresh = desk.live.view_age_s(loop_id) <= desk.options.live_fresh_s
        if heard is not None and heard.view.ingest is not None and fresh:
            found[heard.view.ingest.partition] = heard.view.ingest
    return found


def _behind(desk: Desk, controllers: dict[int, IngestView]) -> Iterator[Metric]:
    messages = GaugeMetricFamily(
        f"{NAMESPACE}_telemetry_lag_messages",
        "Telemetry messages that were published and not read.",
        labels=("partition",),
    )
    for partition, one in sorted(controllers.items()):
        if one.behind_messages is not None:
            messages.add_metric((str(partition),), float(one.behind_messages))
    yield messages
    seconds = GaugeMetricFamily(
        f"{NAMESPACE}_telemetry_lag_seconds",
        "Since the newest tick that was read was measured.",
        labels=("partition",),
    )
    for partition, age_s in sorted(_newest_age_s(desk).items()):
        seconds.add_metric((str(partition),), age_s)
    yield seconds


def _newest_age_s(desk: Desk) -> dict[int, float]:
    """Partition -> age of its newest tick; those that were never heard are left out."""
    sled_age_s = desk.live.sled_age_s()
    telemetry = desk.bus.laid_out(TELEMETRY)
    found: dict[int, float] = {}
    for row, loop_id in enumerate(desk.fleet_map.loop_ids):
        of_sleds = sled_age_s[desk.fleet_map.sleds_in_loop(row)]
        age_s = min(float(of_sleds.min(initial=float("inf"))), desk.live.cdu_age_s(loop_id))
        partition = telemetry.partition_of(loop_id)
        if age_s < float("inf"):
            found[partition] = min(found.get(partition, float("inf")), age_s)
    return found


def _counts(controllers: dict[int, IngestView]) -> Iterator[Metric]:
    letters = CounterMetricFamily(
        f"{NAMESPACE}_telemetry_dead_letters",
        "Messages that were set aside.",
        labels=("controller", "reason"),
    )
    families: dict[str, CounterMetricFamily] = {}
    for one in {view.controller: view for view in controllers.values()}.values():
        for reason, count in sorted(one.dead_letters.items()):
            letters.add_metric((one.controller, reason), float(count))
        for word, count in sorted(one.counts.items()):
            family = families.setdefault(
                word,
                CounterMetricFamily(
                    f"{NAMESPACE}_controller_process_{word.removesuffix('_total')}",
                    f"A controller's count of {word.replace('_', ' ')}.",
                    labels=("controller",),
                ),
            )
            family.add_metric((one.controller,), float(count))
    yield letters
    yield from families.values()


def _kept(desk: Desk) -> Iterator[Metric]:
    with desk.store.read() as tx:
        totals = tx.gaps.totals()
        numbered = tx.marks.numbered()
        starts = tx.starts.all()
    for word, text in (("gaps", "Gaps in the ledger."), ("gap_frames", "Frames in these gaps.")):
        family = GaugeMetricFamily(
            f"{NAMESPACE}_telemetry_{word}", text, labels=("state", "reason")
        )
        for total in totals:
            value = total.gaps if word == "gaps" else total.frames
            family.add_metric((total.state.value, total.reason), float(value))
        yield family
    numbers = f"{NAMESPACE}_telemetry_frames_numbered"
    yield GaugeMetricFamily(numbers, "Frames that agents numbered, as heard.", value=numbered)
    if numbered:
        missing = sum(one.frames for one in totals if one.state is GapState.MISSING)
        yield GaugeMetricFamily(
            f"{NAMESPACE}_telemetry_completeness_ratio",
            "Of the frames that agents numbered those that came or were declared lost.",
            value=max(1.0 - missing / numbered, 0.0),
        )
    yield _loss_windows(desk, starts)


def _loss_windows(desk: Desk, starts: list[AgentStart]) -> Metric:
    roster = desk.history.roster
    widest_s: dict[str, float] = {}
    for start in starts:
        row = roster.row(start.agent)
        if row is not None:
            loop_id = desk.fleet_map.loop_ids[int(roster.loop_of_row[row])]
            widest_s[loop_id] = max(widest_s.get(loop_id, 0.0), start.loss_window_s)
    family = GaugeMetricFamily(
        f"{NAMESPACE}_agent_loss_window_seconds",
        "What a power cut may take from a spool, the widest of a loop's agents.",
        labels=("loop",),
    )
    for loop_id, loss_window_s in sorted(widest_s.items()):
        family.add_metric((loop_id,), loss_window_s)
    return family
