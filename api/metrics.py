"""`/metrics`: the metric table in Prometheus' spelling and base units, a series a rack or CDU.

Chips have no series of their own here: at a million chips no Prometheus could hold them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from api.desired import read_desired
from api.desk import Desk
from api.margin_metrics import margin_metrics
from api.telemetry_metrics import telemetry_metrics
from controller.anomaly.finding import Severity
from controller.placement.job import FINAL_STATES, JobState
from fleet.errors import StoreError
from fleet.frame import FloatBlock
from fleet.metrics import Kind, MetricSpec, Scope, in_scope
from fleet.spelling import NAMESPACE, spelling
from fleet.topology import FleetMap

_RACK: Final = ("loop", "ultraserver", "rack")
_CDU: Final = ("loop", "cdu")
_log: Final = structlog.get_logger(__name__)


class Racks:
    """Which rack each sled and chip is in; the rows of one rack become one series."""

    def __init__(self, fleet_map: FleetMap) -> None:
        keys = np.stack([fleet_map.ultraserver_of_sled, fleet_map.rack_of_sled])
        found, of_sled = np.unique(keys, axis=1, return_inverse=True)
        self.of_sled: NDArray[np.intp] = of_sled.reshape(-1).astype(np.intp)
        self.of_chip: NDArray[np.intp] = self.of_sled[fleet_map.sled_of_chip]
        loop_of_rack = np.zeros(found.shape[1], np.intp)
        loop_of_rack[self.of_sled] = fleet_map.loop_of_sled
        self.labels: list[tuple[str, str, str]] = [
            (
                fleet_map.loop_ids[int(loop_of_rack[rack])],
                fleet_map.ultraserver_ids[int(found[0, rack])],
                f"r{int(found[1, rack])}",
            )
            for rack in range(found.shape[1])
        ]


class FleetCollector(Collector):
    """Reads the newest views at each scrape; values that are stale have no series."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterator[Metric]:
        groups = (
            self._rack_metrics(),
            self._cdu_metrics(),
            self._loop_metrics(),
            self._ingest_metrics(),
            telemetry_metrics(self._desk),
            self._desired_metrics(),
            self._own_metrics(),
        )
        for group in groups:
            yield from (metric for metric in group if metric.samples)

    @cached_property
    def _racks(self) -> Racks:
        return Racks(self._desk.fleet_map)

    def _rack_metrics(self) -> Iterator[Metric]:
        live = self._desk.live
        for spec in in_scope(Scope.CHIP, Scope.SLED):
            if spec.kind is Kind.COUNTER:
                continue  # exact counters do not travel in views
            of_chips = spec.scope is Scope.CHIP
            column = live.chip_column if of_chips else live.sled_column
            rack_of_row = self._racks.of_chip if of_chips else self._racks.of_sled
            values = column(spec.name, fresh=True)
            if spec.kind is Kind.STATE:
                yield self._counted_states(spec, values, rack_of_row)
            else:
                yield from self._aggregates(spec, values, rack_of_row)

    def _aggregates(
        self, spec: MetricSpec, values: FloatBlock, rack_of_row: NDArray[np.intp]
    ) -> Iterator[Metric]:
        spelled = spelling(spec.scope, spec.name)
        known = ~np.isnan(values)
        racks = len(self._racks.labels)
        found = np.bincount(rack_of_row[known], minlength=racks)
        sums = np.bincount(rack_of_row[known], weights=values[known], minlength=racks)
        peaks = np.full(racks, -np.inf)
        np.maximum.at(peaks, rack_of_row[known], values[known])
        over = {"max": peaks, "mean": sums / np.maximum(found, 1)}
        if spelled.unit.additive:
            over["sum"] = sums
        for word, results in over.items():
            text = f"{spec.help.rstrip('.')}: {word} over a rack's {spec.scope.value}s."
            family = GaugeMetricFamily(spelled.name(word), text, labels=_RACK)
            for rack in np.flatnonzero(found):
                family.add_metric(
                    self._racks.labels[rack], float(results[rack]) * spelled.unit.factor
                )
            yield family

    def _counted_states(
        self, spec: MetricSpec, values: FloatBlock, rack_of_row: NDArray[np.intp]
    ) -> Metric:
        family = GaugeMetricFamily(
            spelling(spec.scope, spec.name).name(),
            f"{spec.help.rstrip('.')}: how many of a rack's {spec.scope.value}s say so.",
            labels=(*_RACK, "state"),
        )
        for code, state in enumerate(spec.states):
            counts = np.bincount(rack_of_row[values == code], minlength=len(self._racks.labels))
            for labels, count in zip(self._racks.labels, counts, strict=True):
                family.add_metric((*labels, state), float(count))
        return family

    def _cdu_metrics(self) -> Iterator[Metric]:
        for spec in in_scope(Scope.CDU, Scope.PUMP):
            spelled = spelling(spec.scope, spec.name)
            pump = ("pump",) if spec.scope is Scope.PUMP else ()
            state = ("state",) if spec.kind is Kind.STATE else ()
            family = GaugeMetricFamily(spelled.name(), spec.help, labels=(*_CDU, *pump, *state))
            for labels, value in self._cdu_values(spec):
                if spec.kind is Kind.STATE:
                    for code, word in enumerate(spec.states):
                        family.add_metric((*labels, word), float(value == code))
                else:
                    family.add_metric(labels, value * spelled.unit.factor)
            yield family

    def _cdu_values(self, spec: MetricSpec) -> Iterator[tuple[tuple[str, ...], float]]:
        for loop in self._desk.fleet_map.datacenter.loops:
            heard = self._desk.live.loop(loop.id)
            if heard is None or self._desk.live.cdu_age_s(loop.id) > spec.staleness_s:
                continue
            labels = (loop.id, loop.cdu_id)
            if spec.scope is Scope.CDU:
                found: Iterable[tuple[tuple[str, ...], float | None]] = [
                    (labels, heard.view.cdu.get(spec.name))
                ]
            else:
                found = [
                    ((*labels, str(number)), pump.get(spec.name))
                    for number, pump in enumerate(heard.view.pumps, start=1)
                ]
            yield from ((place, value) for place, value in found if value is not None)

    def _loop_metrics(self) -> Iterator[Metric]:
        name = f"{NAMESPACE}_loop"
        age = GaugeMetricFamily(
            f"{name}_view_age_seconds", "Since the controller last spoke.", labels=("loop",)
        )
        mode = GaugeMetricFamily(
            f"{name}_mode", "1 for the mode that a loop is in.", labels=("loop", "mode")
        )
        trips = GaugeMetricFamily(
            f"{name}_trips", "Latched trips that wait for a person.", labels=("loop",)
        )
        setpoints: dict[str, GaugeMetricFamily] = {}
        for loop_id in self._desk.fleet_map.loop_ids:
            heard = self._desk.live.loop(loop_id)
            if heard is None:
                continue
            age.add_metric((loop_id,), self._desk.live.view_age_s(loop_id))
            mode.add_metric((loop_id, heard.view.mode), 1.0)
            trips.add_metric((loop_id,), float(len(heard.view.trips)))
            for wish, value in heard.view.setpoints.items():
                factor = spelling("loop", wish).unit.factor
                _setpoint(setpoints, wish).add_metric((loop_id,), value * factor)
        yield from (age, mode, trips, *setpoints.values(), *margin_metrics(self._desk))

    def _ingest_metrics(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily] = {}
        for loop_id in self._desk.fleet_map.loop_ids:
            heard = self._desk.live.loop(loop_id)
            for name, value in ({} if heard is None else heard.view.counters).items():
                word = re.sub(r"[^a-z0-9_]", "_", name.lower()).removesuffix("_total")
                family = families.setdefault(
                    word,
                    CounterMetricFamily(
                        f"{NAMESPACE}_controller_{word}",
                        f"The controller's count of {word.replace('_', ' ')}.",
                        labels=("loop",),
                    ),
                )
                family.add_metric((loop_id,), float(value))
        yield from families.values()

    def _desired_metrics(self) -> Iterator[Metric]:
        try:
            desired = read_desired(self._desk.store)
        except StoreError as error:
            _log.warning("metrics without jobs and incidents", error=str(error))
            return
        jobs = GaugeMetricFamily(
            f"{NAMESPACE}_jobs", "Jobs that have not ended.", labels=("state",)
        )
        for state in JobState:
            if state not in FINAL_STATES:
                jobs.add_metric((state.value,), float(desired.jobs_in(state)))
        yield jobs
        incidents = GaugeMetricFamily(
            f"{NAMESPACE}_incidents", "Incidents that are not resolved.", labels=("severity",)
        )
        for severity in Severity:
            found = sum(incident.severity is severity for incident in desired.incidents)
            incidents.add_metric((severity.value,), float(found))
        yield incidents

    def _own_metrics(self) -> Iterator[Metric]:
        counters = self._desk.counters
        requests = CounterMetricFamily(
            f"{NAMESPACE}_api_requests", "Requests answered.", labels=("method", "status")
        )
        for labels, count in sorted(counters.requests.items()):
            requests.add_metric(labels, float(count))
        yield requests
        yield _by_reason("viewers_refused", "Live handshakes refused.", counters.sockets_refused)
        yield _by_reason("viewers_expelled", "Viewers closed.", counters.sockets_expelled)
        for word, text, count in (
            ("planes_sent", "Planes sent to viewers.", counters.planes_sent),
            ("planes_replaced", "Planes a slow viewer never got.", counters.planes_replaced),
            ("live_views", "Views taken from the bus.", counters.live_views),
            ("live_malformed", "Views that were not what they claim.", counters.live_malformed),
            ("live_errors", "Failures to read or tell live state.", counters.live_errors),
            ("nudges_failed", "Nudges the bus did not take.", counters.nudges_failed),
        ):
            yield CounterMetricFamily(f"{NAMESPACE}_api_{word}", text, value=count)
        yield GaugeMetricFamily(
            f"{NAMESPACE}_api_viewers", "Viewers connected.", value=self._desk.hub.viewers
        )


def registry_of(desk: Desk) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(desk))
    return registry


def _setpoint(families: dict[str, GaugeMetricFamily], wish: str) -> GaugeMetricFamily:
    name = spelling("loop", f"setpoint_{wish}").name()
    return families.setdefault(
        wish, GaugeMetricFamily(name, "What the controller asks of a loop.", labels=("loop",))
    )


def _by_reason(word: str, text: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"{NAMESPACE}_api_{word}", text, labels=("reason",))
    for reason, count in sorted(counts.items()):
        family.add_metric((reason,), float(count))
    return family
