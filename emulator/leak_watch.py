"""Leak detectors of sleds and CDUs: what they are wet by, what they say, what stays latched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emulator.readings import SLED_LEAK_DETECTORS, CduRequests, LeakReaction, SledRequests
from emulator.sensing import Sensors
from emulator.skus.fleet import FleetSkus
from fleet.metrics import LeakState
from fleet.topology import FleetMap
from thermal.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakWatchSettings:
    """How much coolant a CDU's detectors need. Estimates.

    They are slower than the ropes inside a sled, since what a sled loses meets those first.
    """

    pan_warning_l: float = 2.0
    pan_critical_l: float = 10.0
    """In the drip pan under the racks."""
    floor_warning_l: float = 10.0
    floor_critical_l: float = 30.0
    level_warning_ratio: float = 0.6
    level_critical_ratio: float = 0.2
    """Float switches of the expansion vessel, which a leak empties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What the detectors of one CDU say: drip pan, floor, level of the expansion vessel."""

    states: tuple[LeakState, ...]
    latched: tuple[bool, ...]


class LeakWatch:
    """All leak detectors of the hall.

    A detector is a sensor of `leak_state` (the sled's rope, by its litres) or `cdu_leak_state` (the
    drip pan, by its litres): one that shows nothing is Unavailable.
    """

    def __init__(
        self,
        fleet_map: FleetMap,
        sensors: Sensors,
        skus: FleetSkus,
        settings: LeakWatchSettings | None = None,
    ) -> None:
        self._sensors = sensors
        self._skus = skus
        self._settings = settings or LeakWatchSettings()
        self._loop_of_sled = fleet_map.loop_of_sled
        self._wet_s: dict[tuple[int, int, LeakState], float] = {}
        """Sled, detector and state -> for how long it has said so."""
        self._latched: list[tuple[bool, ...]] = [(False,) * 3 for _ in fleet_map.loop_ids]

    def sleds(
        self, spilled_l: FloatArray, requests: Sequence[SledRequests], dt_s: float
    ) -> list[tuple[LeakState, ...]]:
        """A rope under the couplings, and the tray that sees a quarter of what it sees; [sleds].

        BMCs react as they were told to.
        """
        seen_l = self._sensors.read("leak_state", spilled_l, dt_s)
        if not seen_l.any() and not spilled_l.any():  # nearly always
            self._wet_s = {}
            return [(LeakState.OK,) * SLED_LEAK_DETECTORS] * len(spilled_l)
        states: list[tuple[LeakState, ...]] = [
            self._sled(row, rope, 0.25 * truth)
            for row, (rope, truth) in enumerate(
                zip(seen_l.tolist(), spilled_l.tolist(), strict=True)
            )
        ]
        self._react(states, requests, dt_s)
        return states

    def _react(
        self,
        states: Sequence[tuple[LeakState, ...]],
        requests: Sequence[SledRequests],
        dt_s: float,
    ) -> None:
        wet_s = {}
        for row, shown in enumerate(states):
            for place, state in enumerate(shown):
                policy = requests[row].leak_policies[place]
                reaction = policy.reaction(state)
                if not policy.enabled or reaction is LeakReaction.NONE:
                    continue
                lasted_s = self._wet_s.get((row, place, state), 0.0) + dt_s
                wet_s[row, place, state] = lasted_s
                if lasted_s >= policy.delay_s:
                    requests[row].powered = False
        self._wet_s = wet_s

    def _sled(self, row: int, rope_l: float, tray_l: float) -> tuple[LeakState, LeakState]:
        limits = self._skus.of_sled(row)
        low, high = limits.leak_warning_l, limits.leak_critical_l
        return _state(rope_l, low, high), _state(tray_l, low, high)

    def cdus(
        self,
        spilled_l: FloatArray,
        level_ratio: Sequence[float],
        requests: Sequence[CduRequests],
        dt_s: float,
    ) -> list[Detected]:
        """`level_ratio` [loops] as the level sensor shows it."""
        lost_l = np.zeros(len(requests))
        np.add.at(lost_l, self._loop_of_sled, spilled_l)
        pan_l = self._sensors.read("cdu_leak_state", lost_l, dt_s).tolist()
        return [
            self._detected(loop, (pan, floor, level), requests[loop])
            for loop, (pan, floor, level) in enumerate(
                zip(pan_l, lost_l.tolist(), level_ratio, strict=True)
            )
        ]

    def _detected(
        self, loop: int, seen: tuple[float, float, float], asked: CduRequests
    ) -> Detected:
        limits = self._settings
        pan, floor, level = seen
        states = (
            _state(pan, limits.pan_warning_l, limits.pan_critical_l),
            _state(floor, limits.floor_warning_l, limits.floor_critical_l),
            _state(-level, -limits.level_warning_ratio, -limits.level_critical_ratio),
        )
        kept = self._latched[loop]
        if asked.clear_latches:
            asked.clear_latches = False
            kept = (False,) * len(states)
        latched = tuple(
            was or state is LeakState.CRITICAL for was, state in zip(kept, states, strict=True)
        )
        self._latched[loop] = latched
        return Detected(states=states, latched=latched)


def _state(value: float, low: float, high: float) -> LeakState:
    if math.isnan(value):
        return LeakState.UNAVAILABLE
    if value >= high:
        return LeakState.CRITICAL
    return LeakState.WARNING if value >= low else LeakState.OK
