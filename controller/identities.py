"""What each loop turned out to be, learnt from telemetry beside its control."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from controller.cooling.settings import CoolingSettings
from controller.hardware import Marks, swapped
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from thermal.model import identity
from thermal.model.identity import Identified, LoopIdentity
from thermal.model.loop_fit import LoopSight
from thermal.model.plates import PlateSight

LONGEST_STEP_S = 5.0
"""After a longer pause averages go on as if it had been this long."""
SUMMARY_S = 10.0
"""Lessons are taken so often: in between a summary does not change."""


@dataclass(slots=True)
class _Known:
    identity: LoopIdentity
    at_unix_ns: int
    summed_unix_ns: int = 0
    identified: Identified = field(default_factory=Identified)
    inherited: bool = False
    """Whether it is known what the controller before had learnt."""
    hardware: Marks | None = None
    """[chips] of which it was learnt; None until that is told."""


class Identities:
    """By loop. Learning begins at once; what the controller before had learnt takes the place of
    the first seconds' when it is found. One thread uses it.
    """

    def __init__(self, settings: Mapping[str, CoolingSettings]) -> None:
        """`settings` of the coolant loops, by id."""
        self.settings = settings
        self._known: dict[str, _Known] = {}

    def learn(self, snapshot: FleetSnapshot, loops: Iterable[str]) -> dict[str, Identified]:
        """What is known of these loops after a cycle; others are forgotten."""
        self._known = {
            loop_id: self._learnt(self._known.get(loop_id), loop_id, snapshot) for loop_id in loops
        }
        return {loop_id: one.identified for loop_id, one in self._known.items()}

    def known(self) -> Iterator[tuple[str, LoopIdentity, Identified]]:
        """By loop; a summary stays the same object until it is renewed."""
        for loop_id, one in self._known.items():
            yield loop_id, one.identity, one.identified

    def orphans(self) -> list[str]:
        """Loops of which it is not known yet what the controller before had learnt."""
        return [loop_id for loop_id, one in self._known.items() if not one.inherited]

    def inherit(
        self, loop_id: str, before: LoopIdentity | None, hardware: Marks | None = None
    ) -> None:
        """Go on from what was learnt `before`, of which `hardware`; None: nothing was."""
        known = self._known.get(loop_id)
        if known is None or known.inherited:
            return
        known.inherited = True
        if before is not None:
            known.identity, known.summed_unix_ns = before, 0
            known.hardware = hardware if hardware is not None and len(hardware) else None

    def stands(self, loop_id: str, hardware: Marks) -> None:
        """Which hardware [chips] stands there now: what was learnt of other chips is forgotten."""
        known = self._known.get(loop_id)
        if known is None or not known.inherited:
            return
        before = hardware if known.hardware is None else known.hardware
        others = swapped(before, hardware)
        if others.any():
            settings = self.settings[loop_id]
            known.identity = identity.forgotten(
                settings.identity, settings.model, known.identity, others
            )
            known.summed_unix_ns = 0
        # Who is silent for once is still remembered.
        known.hardware = np.where(hardware != 0, hardware, before)

    def hardware(self, loop_id: str) -> Marks | None:
        """Of which chips it was learnt; None until that is told."""
        known = self._known.get(loop_id)
        return None if known is None else known.hardware

    def learnt(self, loop_id: str) -> LoopIdentity | None:
        """What is worth keeping of a loop; None before it is known what was learnt before."""
        known = self._known.get(loop_id)
        return known.identity if known is not None and known.inherited else None

    def _learnt(self, known: _Known | None, loop_id: str, snapshot: FleetSnapshot) -> _Known:
        settings = self.settings[loop_id]
        row = snapshot.fleet_map.loop(loop_id)
        chips = snapshot.fleet_map.chips_in_loop(row)
        if known is None:
            unknown = LoopIdentity.unknown(
                settings.identity, settings.model, chips.stop - chips.start
            )
            known = _Known(unknown, snapshot.at_unix_ns)
        dt_s = (snapshot.at_unix_ns - known.at_unix_ns) / NS_PER_S
        if dt_s <= 0.0:
            return known
        known.identity = identity.learn(
            settings.identity,
            settings.model,
            known.identity,
            chips=plate_sight(snapshot, row, settings),
            loop=loop_sight(snapshot, row, settings),
            busy_ratio=_mean(snapshot.chip["neuroncore_utilization_ratio"][chips]),
            dt_s=min(dt_s, LONGEST_STEP_S),
        )
        known.at_unix_ns = snapshot.at_unix_ns
        if snapshot.at_unix_ns - known.summed_unix_ns >= SUMMARY_S * NS_PER_S:
            known.summed_unix_ns = snapshot.at_unix_ns
            known.identified = identity.summary(settings.identity, settings.model, known.identity)
        return known


def plate_sight(snapshot: FleetSnapshot, loop: int, settings: CoolingSettings) -> PlateSight:
    """What a loop's chips show; those of sleds that are not heard lately show nothing."""
    fleet_map = snapshot.fleet_map
    chips, sleds = fleet_map.chips_in_loop(loop), fleet_map.sleds_in_loop(loop)
    of_chip = fleet_map.sled_of_chip[chips] - sleds.start
    fresh = snapshot.sled_age_s[sleds] <= settings.estimate.stale_s
    in_sled = np.bincount(of_chip, minlength=sleds.stop - sleds.start)
    chip_lpm = snapshot.sled["coolant_flow_lpm"][sleds] * settings.model.chip_flow_share
    chip_lpm = chip_lpm / np.maximum(in_sled, 1)
    return PlateSight(
        junction_c=np.where(fresh[of_chip], snapshot.chip["junction_c"][chips], np.nan),
        power_w=np.where(fresh[of_chip], snapshot.chip["power_w"][chips], np.nan),
        inlet_c=snapshot.sled["inlet_c"][sleds][of_chip],
        flow_lpm=chip_lpm[of_chip],
    )


def loop_sight(snapshot: FleetSnapshot, loop: int, settings: CoolingSettings) -> LoopSight:
    """What a loop's CDU shows; nothing while it is silent."""
    heard = snapshot.cdu_age_s[loop] <= settings.estimate.stale_s
    inlets_c = snapshot.sled["inlet_c"][snapshot.fleet_map.sleds_in_loop(loop)]
    known_c = inlets_c[np.isfinite(inlets_c)]

    def shown(name: str) -> float:
        return float(snapshot.cdu[name][loop]) if heard else float("nan")

    return LoopSight(
        supply_c=shown("supply_c"),
        return_c=shown("return_c"),
        flow_lpm=shown("secondary_flow_lpm"),
        dp_kpa=shown("secondary_dp_kpa"),
        primary_supply_c=shown("primary_supply_c"),
        primary_return_c=shown("primary_return_c"),
        inlet_c=float(np.median(known_c)) if len(known_c) else float("nan"),
    )


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
