"""What identification learnt, in the words of findings."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from controller.anomaly.finding import Finding, Place, Severity
from controller.cooling.settings import CoolingSettings
from controller.identities import Identities
from controller.identity_record import encode_identity
from controller.incidents.incident import IncidentState
from controller.wear import WearDetector
from fleet.topology import LoopKind
from tests.controller.learnt import make_identity
from tests.controller.spoken import SpokenFleet
from tests.controller.test_runtime import House
from thermal.model.identity import LoopIdentity
from thermal.model.loop_fit import Learnt

LOOP, CHIPS = "h1/loop01", 288
SLED = "h1/us01/r1/s02"
WORN = 4  # c0 of that sled


class Watcher:
    """A controller that has learnt what a test says."""

    def __init__(self, kind: LoopKind = LoopKind.LIQUID_TO_LIQUID) -> None:
        self.fleet = SpokenFleet()
        self.identities = Identities({LOOP: CoolingSettings.sized(CHIPS, kind)})
        self.detector = WearDetector(self.identities)

    def told(self, learnt: LoopIdentity) -> list[Finding]:
        self.identities._known.clear()
        self.identities.learn(self.fleet.tick(), [LOOP])
        self.identities.inherit(LOOP, learnt)
        found: list[Finding] = []
        for _ in range(2):
            snapshot = self.fleet.tick()
            self.identities.learn(snapshot, [LOOP])
            found = self.detector.observe(snapshot)
        return found

    def rules(self, learnt: LoopIdentity) -> list[tuple[str, str]]:
        return [(one.rule, one.subject) for one in self.told(learnt)]


def test_a_healthy_loop_says_nothing() -> None:
    healthy = make_identity(CHIPS, ua_drift_ratio=-0.05, worn={WORN: 0.06})
    assert Watcher().told(healthy) == []


def test_a_fouled_exchanger_is_told_of_its_cdu() -> None:
    [finding] = Watcher().told(make_identity(CHIPS, ua_drift_ratio=-0.1))
    assert (finding.rule, finding.subject) == ("exchanger_fouled", "h1/cdu01")
    assert (finding.severity, finding.scope) == (Severity.WARNING, Place.CDU)
    assert finding.value == pytest.approx(0.1)
    assert "has lost 10% of its conductance" in finding.text


def test_a_worn_plate_is_told_of_its_chip() -> None:
    [finding] = Watcher().told(make_identity(CHIPS, worn={WORN: 0.11}))
    assert (finding.rule, finding.subject) == ("plate_worn", f"{SLED}/c0")
    assert finding.sled_id == SLED
    assert "11% more a watt" in finding.text


def test_what_a_whole_sled_shows_is_told_once_of_the_sled() -> None:
    worn = dict.fromkeys(range(4, 8), 0.15) | {9: 0.12}
    found = Watcher().rules(make_identity(CHIPS, worn=worn))
    assert found == [("sled_worn", SLED), ("plate_worn", "h1/us01/r1/s03/c1")]


def test_what_most_chips_show_is_told_once_of_the_loop() -> None:
    found = Watcher().rules(make_identity(CHIPS, worn=dict.fromkeys(range(150), 0.2)))
    assert found == [("plates_worn", "h1/cdu01")]


def test_wear_is_told_until_half_of_it_is_mended() -> None:
    watcher = Watcher()
    assert watcher.rules(make_identity(CHIPS, ua_drift_ratio=-0.1, worn={WORN: 0.12}))
    for lost, gained, left in ((-0.06, 0.07, 2), (-0.03, 0.03, 0), (-0.06, 0.07, 0)):
        learnt = make_identity(CHIPS, ua_drift_ratio=lost, worn={WORN: gained})
        assert len(watcher.told(learnt)) == left


def test_what_is_not_known_is_no_wear() -> None:
    learnt = make_identity(CHIPS, ua_drift_ratio=-0.1, worn={WORN: 0.5})
    few = replace(learnt.loop.ua, lessons_count=3.0)
    plates = replace(learnt.plates, lessons_count=learnt.plates.lessons_count * 0.0)
    young = replace(learnt, loop=replace(learnt.loop, ua=few), plates=plates)
    assert Watcher().told(young) == []


def young(ua_ratio: float, sigma: float) -> LoopIdentity:
    """A loop that was never seen otherwise."""
    learnt = make_identity(CHIPS)
    ua = Learnt(built_log_ratio=math.log(ua_ratio), covariance=(sigma**2, 0.0, 1e-2))
    return replace(learnt, loop=replace(learnt.loop, ua=ua))


def test_an_exchanger_that_was_never_better_is_held_against_its_data_sheet() -> None:
    [finding] = Watcher().told(young(0.7, 0.05))
    assert (finding.rule, finding.subject) == ("exchanger_short", "h1/cdu01")
    assert "30% less than its data sheet" in finding.text
    assert Watcher().told(young(0.7, 0.15)) == []  # not sure yet
    assert Watcher().told(young(0.86, 0.001)) == []  # deposits by design
    # What it has lost since says more than what it lacks.
    assert Watcher().rules(make_identity(CHIPS, ua_drift_ratio=-0.3)) == [
        ("exchanger_fouled", "h1/cdu01")
    ]


def test_a_coil_is_held_against_its_own_data_sheet() -> None:
    in_row = LoopKind.LIQUID_TO_AIR
    # Of a coil a part stands as deposits in the model: 0.61 of the films' conductance is sound.
    assert Watcher(in_row).told(young(0.6, 0.04)) == []
    [finding] = Watcher(in_row).told(young(0.38, 0.04))
    assert finding.rule == "exchanger_short"
    assert finding.value == pytest.approx(0.375, abs=0.01)


def test_short_is_told_until_half_of_it_is_there_again() -> None:
    watcher = Watcher()
    for ua_ratio, left in ((0.7, 1), (0.82, 1), (0.94, 0), (0.86, 0)):
        assert len(watcher.told(young(ua_ratio, 0.05))) == left


def test_a_loop_that_is_handed_over_is_told_of_no_more() -> None:
    watcher = Watcher()
    assert watcher.told(make_identity(CHIPS, ua_drift_ratio=-0.2))
    snapshot = watcher.fleet.tick()
    watcher.identities.learn(snapshot, [])
    assert watcher.detector.observe(snapshot) == []


def test_wear_becomes_an_incident_that_outlives_a_restart(tmp_path: Path) -> None:
    house = House(url=f"sqlite:///{tmp_path}/isotherm.db")
    learnt = encode_identity(make_identity(house.fleet_map.chips, ua_drift_ratio=-0.15))
    with house.store.begin() as tx:
        tx.loop_identities.put({LOOP: learnt}, at_unix_ns=1)
    runtime = house.controller()
    house.run(runtime, cycles=15)
    (incident,) = house.incidents()
    assert (incident.rule, incident.subject) == ("exchanger_fouled", "h1/cdu01")
    assert "has lost 15%" in incident.title
    runtime.stop()
    house.clock.advance(120.0)
    again = house.controller()
    house.run(again, cycles=10)
    (after,) = house.incidents()
    assert (after.id, after.state) == (incident.id, IncidentState.OPEN)
    again.stop()
    house.store.close()
