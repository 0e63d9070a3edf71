import math

import pytest

from controller.anomaly.detectors.threshold import ThresholdDetector
from controller.anomaly.finding import Finding, Severity
from controller.anomaly.rules import THRESHOLDS
from controller.anomaly.signals import SIGNALS
from tests.controller.spoken import SpokenFleet, Wanted

SLED = "h1/us01/r1/s01"
CHIP = f"{SLED}/c2"


def watch(fleet: SpokenFleet, detector: ThresholdDetector, ticks: int) -> list[Finding]:
    found: list[Finding] = []
    for _ in range(ticks):
        found = detector.observe(fleet.tick())
    return found


def test_a_calm_fleet_has_no_findings() -> None:
    fleet = SpokenFleet()
    assert watch(fleet, ThresholdDetector(fleet.fleet_map), 130) == []


def test_a_hot_chip_is_told_after_its_delay_and_named() -> None:
    fleet = SpokenFleet(sled={SLED: {"junction_c": {2: 86.0}}})
    detector = ThresholdDetector(fleet.fleet_map)
    assert watch(fleet, detector, 2) == []
    [finding] = watch(fleet, detector, 1)
    assert (finding.rule, finding.subject, finding.sled_id) == ("chip_hot", CHIP, SLED)
    assert finding.severity is Severity.WARNING
    assert finding.loop_id == "h1/loop01"
    assert finding.cause == f"{SLED}@1.3"
    assert (finding.value, finding.limit) == (86.0, 85.0)


def test_the_worse_rule_silences_the_milder_one() -> None:
    fleet = SpokenFleet(sled={SLED: {"junction_c": {2: 93.0}}})
    found = watch(fleet, ThresholdDetector(fleet.fleet_map), 5)
    assert [finding.rule for finding in found] == ["chip_too_hot"]


def test_hysteresis_keeps_a_finding_until_the_value_is_well_back() -> None:
    fleet = SpokenFleet(sled={SLED: {"junction_c": {2: 86.0}}})
    detector = ThresholdDetector(fleet.fleet_map)
    watch(fleet, detector, 3)
    fleet.sled = {SLED: {"junction_c": {2: 83.0}}}
    assert len(watch(fleet, detector, 10)) == 1
    fleet.sled = {SLED: {"junction_c": {2: 81.0}}}
    assert watch(fleet, detector, 1) == []


def test_a_value_at_its_limit_now_and_then_does_not_fire() -> None:
    fleet = SpokenFleet()
    detector = ThresholdDetector(fleet.fleet_map)
    for tick in range(20):
        fleet.sled = {SLED: {"junction_c": {2: 86.0 if tick % 3 else 80.0}}}
        assert detector.observe(fleet.tick()) == []


def test_an_unknown_value_neither_starts_nor_ends_a_finding() -> None:
    fleet = SpokenFleet(sled={SLED: {"junction_c": {2: 86.0}}})
    detector = ThresholdDetector(fleet.fleet_map)
    watch(fleet, detector, 3)
    fleet.sled = {SLED: {"junction_c": math.nan}}
    assert len(watch(fleet, detector, 5)) == 1
    fleet.silent = {SLED}
    assert len(watch(fleet, detector, 10)) == 1


@pytest.mark.parametrize(
    ("cdu", "rule"),
    [
        ({"supply_c": 43.5}, "supply_over"),
        ({"supply_c": 36.0}, "supply_under"),
        ({"return_c": 61.0}, "return_hot"),
        ({"return_c": 66.0}, "return_too_hot"),
        ({"dew_point_c": 38.5}, "dew_margin_low"),
        ({"dew_point_c": 39.5}, "dew_margin_gone"),
        ({"reservoir_level_ratio": 0.4}, "reservoir_low"),
        ({"reservoir_level_ratio": 0.1}, "reservoir_empty"),
        ({"pump_state": {1: 1.0}}, "pump_trouble"),
        ({"pump_state": {1: 2.0}}, "pump_failed"),
        ({"secondary_flow_lpm": 100.0}, "loop_flow_per_kw"),
    ],
)
def test_each_trouble_of_a_loop_has_its_rule(cdu: Wanted, rule: str) -> None:
    fleet = SpokenFleet(cdu=cdu)
    found = watch(fleet, ThresholdDetector(fleet.fleet_map), 121)
    assert rule in [finding.rule for finding in found]
    assert {finding.subject for finding in found} == {"h1/cdu01"}
    assert {finding.sled_id for finding in found} == {None}


def test_a_cold_supply_with_the_valve_shut_is_only_a_low_load() -> None:
    fleet = SpokenFleet(cdu={"supply_c": 30.0, "valve_ratio": 0.0})
    assert watch(fleet, ThresholdDetector(fleet.fleet_map), 130) == []


@pytest.mark.parametrize(
    ("sled", "rule"),
    [
        ({"coolant_flow_lpm": 5.0}, "sled_flow_below_peers"),
        ({"coolant_flow_lpm": 2.5}, "sled_flow_below_peers_critical"),
        ({"sled_power_w": 14000.0}, "sled_flow_per_kw"),
        ({"inlet_c": 48.0}, "inlet_hot"),
        ({"inlet_c": 12.0}, "inlet_cold"),
        ({"hbm_c": {1: 92.0}}, "hbm_hot"),
        ({"hbm_c": {1: 97.0}}, "hbm_too_hot"),
    ],
)
def test_each_trouble_of_a_sled_has_its_rule(sled: Wanted, rule: str) -> None:
    fleet = SpokenFleet(sled={SLED: sled})
    found = watch(fleet, ThresholdDetector(fleet.fleet_map), 25)
    assert [finding.rule for finding in found] == [rule]
    assert found[0].sled_id == SLED


def test_a_sled_that_is_off_needs_no_flow() -> None:
    fleet = SpokenFleet(sled={SLED: {"coolant_flow_lpm": 0.0, "power_state": 0.0}})
    assert watch(fleet, ThresholdDetector(fleet.fleet_map), 30) == []


def test_every_row_is_sound() -> None:
    names = [row.rule.name for row in THRESHOLDS]
    assert len(set(names)) == len(names)
    for row in THRESHOLDS:
        assert SIGNALS[row.signal].place is row.rule.place
        assert row.clear != row.limit
        assert row.outranked_by is None or row.outranked_by in names
        assert row.rule.consequence
        assert row.rule.action
