"""Views of loops into series: the names, units and order of `/metrics`, over wider places."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.cooling.control import Mode
from controller.remote_write.settings import Breadth, RemoteWriteSettings
from controller.views import LoopView
from fleet.clock import NS_PER_S
from fleet.frame import FloatBlock
from fleet.metrics import METRICS, Kind, MetricSpec, Scope
from fleet.spelling import NAMESPACE, Spelling, spelling
from fleet.topology import FleetMap

Labels = tuple[tuple[str, str], ...]
Rows = NDArray[np.intp]
_MODES: Final = (*(mode.value for mode in Mode), "local")
_OLDEST_VIEW_NS: Final = 10 * NS_PER_S
"""A loop whose controller is silent for so long is no part of the fleet's figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of one series."""

    name: str
    labels: Labels
    value: float
    at_unix_ns: int


class Aggregates:
    """What the settings ask for, from views; values that are stale have no sample."""

    def __init__(self, settings: RemoteWriteSettings, fleet_map: FleetMap) -> None:
        self._map = fleet_map
        self._breadths = frozenset(settings.breadths)
        self._whole = not settings.metrics
        wanted = settings.metrics or tuple(spec.name for spec in METRICS)
        self._specs = tuple(
            spec for spec in METRICS if spec.name in wanted and spec.kind is not Kind.COUNTER
        )

    def of_loop(self, view: LoopView) -> Iterator[Sample]:
        """Of the loop's own controller. UnknownIdError for a loop that the fleet does not have."""
        row = self._map.loop(view.loop)
        loop: Labels = (("loop", view.loop),)
        if Breadth.LOOP in self._breadths:
            for spec, values in self._fresh(view):
                at_once = np.zeros(len(values), np.intp)
                yield from _over(Breadth.LOOP, spec, values, at_once, [loop], view.at_unix_ns)
            yield from self._cdu(view, (*loop, ("cdu", self._map.cdu_ids[row])))
            if self._whole:
                yield from _told(view, loop)
        if Breadth.SLED in self._breadths:
            yield from self._sleds(view, row, loop)

    def of_fleet(self, views: Iterable[LoopView]) -> Iterator[Sample]:
        """Of the controller that leads placement, from the views of all loops."""
        if Breadth.FLEET not in self._breadths:
            return
        heard = list(views)
        newest = max((view.at_unix_ns for view in heard), default=0)
        fresh = [view for view in heard if newest - view.at_unix_ns <= _OLDEST_VIEW_NS]
        columns: dict[str, list[FloatBlock]] = {}
        for view in fresh:
            for spec, values in self._fresh(view):
                columns.setdefault(spec.name, []).append(values)
        for spec in self._specs:
            values = np.concatenate(columns.get(spec.name, [np.zeros(0, np.float32)]))
            at_once = np.zeros(len(values), np.intp)
            yield from _over(Breadth.FLEET, spec, values, at_once, [()], newest)
        name = f"{NAMESPACE}_fleet_loops"
        yield Sample(name=name, labels=(), value=float(len(fresh)), at_unix_ns=newest)

    def _sleds(self, view: LoopView, row: int, loop: Labels) -> Iterator[Sample]:
        sleds = self._map.sleds_in_loop(row)
        labels = [(*loop, ("sled", self._map.sled_ids[sled])) for sled in _range(sleds)]
        of_chip = self._sled_of_chip(row)
        for spec, values in self._fresh(view):
            if spec.kind is Kind.STATE:
                continue
            if spec.scope is Scope.CHIP:
                yield from _over(Breadth.SLED, spec, values, of_chip, labels, view.at_unix_ns)
                continue
            spelled = spelling(spec.scope, spec.name)
            for sled in np.flatnonzero(~np.isnan(values)).tolist():
                yield Sample(
                    name=spelled.name(),
                    labels=labels[sled],
                    value=float(values[sled]) * spelled.unit.factor,
                    at_unix_ns=view.at_unix_ns,
                )

    def _fresh(self, view: LoopView) -> Iterator[tuple[MetricSpec, FloatBlock]]:
        """Columns of chips and sleds, NaN where they are stale."""
        row = self._map.loop(view.loop)
        age_s = np.frombuffer(view.sled_age_s, "<f4")
        of_chip = self._sled_of_chip(row)
        for spec in self._specs:
            of_chips = spec.scope is Scope.CHIP
            data = (view.chips if of_chips else view.sleds).get(spec.name)
            values = np.frombuffer(data or b"", "<f4")
            if len(values) != (len(of_chip) if of_chips else len(age_s)):
                continue  # a CDU's metric, or a view of another fleet
            stale = ~(age_s <= spec.staleness_s)
            yield spec, np.where(stale[of_chip] if of_chips else stale, np.float32(np.nan), values)

    def _sled_of_chip(self, row: int) -> Rows:
        """Within the loop."""
        chips = self._map.chips_in_loop(row)
        first = self._map.sleds_in_loop(row).start
        rows: Rows = self._map.sled_of_chip[chips].astype(np.intp) - first
        return rows

    def _cdu(self, view: LoopView, labels: Labels) -> Iterator[Sample]:
        """Exactly as `/metrics` has them."""
        age_s = np.inf if view.cdu_age_s is None else view.cdu_age_s
        for spec in self._specs:
            if spec.scope not in {Scope.CDU, Scope.PUMP} or age_s > spec.staleness_s:
                continue
            found: list[tuple[Labels, float | None]] = [(labels, view.cdu.get(spec.name))]
            if spec.scope is Scope.PUMP:
                found = [
                    ((*labels, ("pump", str(number))), pump.get(spec.name))
                    for number, pump in enumerate(view.pumps, start=1)
                ]
            spelled = spelling(spec.scope, spec.name)
            for place, value in found:
                if value is None:
                    continue
                yield from _one(spec, spelled, place, value, view.at_unix_ns)


def _one(
    spec: MetricSpec, spelled: Spelling, labels: Labels, value: float, at_unix_ns: int
) -> Iterator[Sample]:
    plain = Sample(name=spelled.name(), labels=labels, value=value, at_unix_ns=at_unix_ns)
    if spec.kind is not Kind.STATE:
        yield replace(plain, value=value * spelled.unit.factor)
        return
    for code, state in enumerate(spec.states):
        yield replace(plain, labels=(*labels, ("state", state)), value=float(value == code))


def _over(
    breadth: Breadth,
    spec: MetricSpec,
    values: FloatBlock,
    place_of_row: Rows,
    labels: Sequence[Labels],
    at_unix_ns: int,
) -> Iterator[Sample]:
    """Rows taken together place by place: largest, mean and, where it means something, sum; of a
    state how many say so.
    """
    spelled = spelling(spec.scope, spec.name)
    # A name of its own for each breadth: a sum over one name must not count a chip twice.
    stem = spelled.stem.replace(f"{NAMESPACE}_", f"{NAMESPACE}_{breadth.value}_", 1)
    spelled = Spelling(stem=stem, unit=spelled.unit)
    known = ~np.isnan(values)
    rows, values = place_of_row[known], values[known].astype(np.float64)
    places = len(labels)
    found = np.bincount(rows, minlength=places)
    words: dict[tuple[str, Labels], NDArray[np.float64]] = {}
    if spec.kind is Kind.STATE:
        for code, state in enumerate(spec.states):
            count = np.bincount(rows[values == code], minlength=places).astype(np.float64)
            words[spelled.name(), (("state", state),)] = count
    else:
        factor = spelled.unit.factor
        total = np.bincount(rows, weights=values, minlength=places).astype(np.float64) * factor
        peaks = np.full(places, -np.inf)
        np.maximum.at(peaks, rows, values)
        words[spelled.name("max"), ()] = peaks * factor
        words[spelled.name("mean"), ()] = total / np.maximum(found, 1)
        if spelled.unit.additive:
            words[spelled.name("sum"), ()] = total
    for (name, more), results in words.items():
        for place in np.flatnonzero(found).tolist():
            value = float(results[place])
            yield Sample(
                name=name, labels=(*labels[place], *more), value=value, at_unix_ns=at_unix_ns
            )


def _told(view: LoopView, loop: Labels) -> Iterator[Sample]:
    """Mode, trips, set-points and the controller's own counts."""
    said: dict[tuple[str, Labels], float] = {
        # All of them: without a scrape nothing tells the server that the mode before is over.
        **{
            (f"{NAMESPACE}_loop_mode", (*loop, ("mode", mode))): float(mode == view.mode)
            for mode in _MODES
        },
        (f"{NAMESPACE}_loop_trips", loop): float(len(view.trips)),
    }
    for wish, value in view.setpoints.items():
        spelled = spelling("loop", f"setpoint_{wish}")
        said[spelled.name(), loop] = value * spelled.unit.factor
    for word, count in view.counters.items():
        name = re.sub(r"[^a-z0-9_]", "_", word.lower()).removesuffix("_total")
        said[f"{NAMESPACE}_controller_{name}_total", loop] = float(count)
    for (name, labels), value in said.items():
        yield Sample(name=name, labels=labels, value=value, at_unix_ns=view.at_unix_ns)


def _range(rows: slice) -> range:
    return range(rows.start, rows.stop)
