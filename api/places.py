"""Sleds and chips as people see them: what they last said, who keeps them, what they run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from api.desired import holders
from api.live import LiveViews
from api.schemas.chips import ChipOut
from api.schemas.cordons import cordon_out
from api.schemas.sleds import SledOut, identity_out
from api.schemas.values import Values, number, numbers, states
from controller.enrolment.enrolment import Enrolment
from controller.placement.job import Cordon
from controller.store import Store
from fleet.frame import FloatBlock
from fleet.metrics import Kind, Scope, in_scope
from fleet.topology import FleetMap


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """One look at the whole fleet; columns are opened once for all the rows that are asked for."""

    fleet_map: FleetMap
    live: LiveViews
    cordons: Mapping[str, Cordon]
    held: Mapping[str, Mapping[int, str]]
    enrolments: Mapping[str, Enrolment]
    """Of the sleds that were asked for."""

    def sled(self, row: int) -> SledOut:
        sled_id = self.fleet_map.sled_ids[row]
        values = _row(self._sled_columns, row)
        cordon, enrolment = self.cordons.get(sled_id), self.enrolments.get(sled_id)
        return SledOut(
            id=sled_id,
            loop_id=self.fleet_map.loop_ids[int(self.fleet_map.loop_of_sled[row])],
            ultraserver_id=self.fleet_map.ultraserver_ids[
                int(self.fleet_map.ultraserver_of_sled[row])
            ],
            age_s=number(float(self._age_s[row])),
            values=values,
            states=states(values),
            chips=list(self.fleet_map.chip_ids[self.fleet_map.chips_in_sled(row)]),
            cordon=None if cordon is None else cordon_out(cordon),
            identity=None if enrolment is None else identity_out(enrolment),
            jobs=sorted(set(self.held.get(sled_id, {}).values())),
        )

    def chip(self, row: int) -> ChipOut:
        sled = int(self.fleet_map.sled_of_chip[row])
        sled_id = self.fleet_map.sled_ids[sled]
        inside = row - int(self.fleet_map.first_chip_of_sled[sled])
        return ChipOut(
            id=self.fleet_map.chip_ids[row],
            index=row,
            sled_id=sled_id,
            job_id=self.held.get(sled_id, {}).get(inside),
            age_s=number(float(self._age_s[sled])),
            values=_row(self._chip_columns, row),
        )

    @cached_property
    def _sled_columns(self) -> dict[str, FloatBlock]:
        return {name: self.live.sled_column(name) for name in _gauges(Scope.SLED)}

    @cached_property
    def _chip_columns(self) -> dict[str, FloatBlock]:
        return {name: self.live.chip_column(name) for name in _gauges(Scope.CHIP)}

    @cached_property
    def _age_s(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return self.live.sled_age_s()


def look(fleet_map: FleetMap, live: LiveViews, store: Store, sleds: Iterable[int] = ()) -> Places:
    """`sleds` are the rows of those whose identity is asked for."""
    with store.read() as transaction:
        cordons = transaction.cordons.all()
        jobs = transaction.jobs.unfinished()
        enrolments = transaction.enrolments.of(fleet_map.sled_ids[row] for row in sleds)
    return Places(
        fleet_map=fleet_map, live=live, cordons=cordons, held=holders(jobs), enrolments=enrolments
    )


def _gauges(scope: Scope) -> Iterable[str]:
    # Exact counters do not travel in views: a float32 would round them.
    return (spec.name for spec in in_scope(scope) if spec.kind is not Kind.COUNTER)


def _row(columns: Mapping[str, FloatBlock], row: int) -> Values:
    return numbers({name: float(column[row]) for name, column in columns.items()})
