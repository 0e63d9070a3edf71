"""What a question about history means: which rows of which groups."""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.state.roster import Roster
from fleet.errors import ConfigurationError, UnknownIdError
from fleet.metrics import BY_NAME, MetricSpec, Scope
from fleet.topology import FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatShare:
    """Agents of one group: `seats` of its `size`, and one of their parts, or all (None).
    `agents` are the same as rows of the roster.
    """

    group_id: str
    size: int
    seats: range
    agents: range
    part: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One metric of one place. `together`: many parts, told as one series of all of them."""

    place: str
    metric: MetricSpec
    shares: tuple[SeatShare, ...]
    together: bool


def metric_named(name: str) -> MetricSpec:
    try:
        return BY_NAME[name]
    except KeyError:
        raise UnknownIdError("metric", name) from None


class HistoryPlaces:
    """Ids of the fleet -> where their history is kept."""

    def __init__(self, fleet_map: FleetMap, roster: Roster) -> None:
        self.fleet_map = fleet_map
        self.roster = roster

    def select(self, place: str, metric: str) -> Selection:
        """UnknownIdError for a place or metric that is not there, ConfigurationError for a metric
        that such a place has none of.
        """
        spec = metric_named(metric)
        kind, shares = self._shares(place, spec.scope)
        if not shares:
            raise ConfigurationError(
                f"history: {metric} is a metric of a {spec.scope}, and {kind} {place} has none"
            )
        together = kind in {"ultraserver", "loop"} and spec.scope in {Scope.CHIP, Scope.SLED}
        return Selection(place=place, metric=spec, shares=shares, together=together)

    def whole_fleet(self, metric: str) -> Selection:
        """All chips, sleds or CDUs; each for itself."""
        spec = metric_named(metric)
        servers = len(self.fleet_map.ultraserver_ids)
        of_sleds = spec.scope in {Scope.CHIP, Scope.SLED}
        groups = range(servers) if of_sleds else range(servers, len(self.roster.group_ids))
        return Selection(
            place=self.fleet_map.datacenter.hall,
            metric=spec,
            shares=tuple(self._whole(group) for group in groups),
            together=False,
        )

    def groups_of(self, place: str) -> tuple[str, ...]:
        """Groups with anything of a place."""
        found = [*self._shares(place, Scope.SLED)[1], *self._shares(place, Scope.CDU)[1]]
        if not found:
            found = [*self._shares(place, Scope.CHIP)[1]]
        return tuple(share.group_id for share in found)

    def row_id(self, selection: Selection, share: SeatShare, row: int) -> str:
        """Whose series a row of a share is."""
        scope = selection.metric.scope
        if scope is Scope.PUMP:
            return f"{self.roster.agents[share.agents.start]}/pump{row + 1}"
        if scope is not Scope.CHIP:
            return self.roster.agents[share.agents[row]]
        parts = 1 if share.part is not None else self._parts(share)
        chip = row % parts if share.part is None else share.part
        return f"{self.roster.agents[share.agents[row // parts]]}/c{chip}"

    def rows(self, selection: Selection, share: SeatShare) -> int:
        """How many rows a share has when all of it speaks; of pumps, only the agents say."""
        if selection.metric.scope is Scope.CHIP and share.part is None:
            return len(share.agents) * self._parts(share)
        return len(share.agents)

    def _parts(self, share: SeatShare) -> int:
        return int(self.fleet_map.chips_of_sled[share.agents.start])

    def _shares(self, place: str, scope: Scope) -> tuple[str, tuple[SeatShare, ...]]:
        kind, row = self._find(place)
        of_cdu = scope in {Scope.CDU, Scope.PUMP}
        servers = len(self.fleet_map.ultraserver_ids)
        match kind:
            case "cdu":
                return kind, (self._whole(servers + row),) if of_cdu else ()
            case "loop" if of_cdu:
                return kind, (self._whole(servers + row),)
            case "loop":
                return kind, tuple(self._whole(group) for group in self._servers_of_loop(row))
            case "ultraserver":
                return kind, () if of_cdu else (self._whole(row),)
            case "sled":
                return kind, () if of_cdu else (self._sled(row, None),)
        return kind, (self._chip(row),) if scope is Scope.CHIP else ()

    def _find(self, place: str) -> tuple[str, int]:
        fleet = self.fleet_map
        for kind, row_of in (
            ("loop", fleet.loop),
            ("cdu", fleet.cdu),
            ("ultraserver", fleet.ultraserver),
            ("sled", fleet.sled),
            ("chip", fleet.chip),
        ):
            try:
                return kind, row_of(place)
            except UnknownIdError:
                continue
        raise UnknownIdError("place", place)

    def _servers_of_loop(self, loop: int) -> Iterator[int]:
        sleds = self.fleet_map.sleds_in_loop(loop)
        owners = self.fleet_map.ultraserver_of_sled[sleds]
        return iter(range(int(owners[0]), int(owners[-1]) + 1))

    def _whole(self, group: int) -> SeatShare:
        return self._share(group, range(int(self.roster.size[group])), None)

    def _sled(self, row: int, part: int | None) -> SeatShare:
        group = int(self.roster.group_of_row[row])
        seat = row - int(self.roster.first_row[group])
        return self._share(group, range(seat, seat + 1), part)

    def _share(self, group: int, seats: range, part: int | None) -> SeatShare:
        first = int(self.roster.first_row[group])
        return SeatShare(
            group_id=self.roster.group_ids[group],
            size=int(self.roster.size[group]),
            seats=seats,
            agents=range(first + seats.start, first + seats.stop),
            part=part,
        )

    def _chip(self, row: int) -> SeatShare:
        sled = int(self.fleet_map.sled_of_chip[row])
        return self._sled(sled, row - int(self.fleet_map.first_chip_of_sled[sled]))
