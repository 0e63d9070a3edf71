from controller.anomaly.detector import Detector
from controller.anomaly.detectors import build_detectors
from controller.anomaly.detectors.ecc import EccDetector
from controller.anomaly.detectors.guard import GuardDetector
from controller.anomaly.detectors.leak import LeakDetector
from controller.anomaly.detectors.plate import PlateDetector
from controller.anomaly.detectors.staleness import StalenessDetector
from controller.anomaly.finding import Finding, Severity
from tests.controller.spoken import SpokenFleet, mixed_map

SLED = "h1/us01/r1/s01"
CHIP = f"{SLED}/c2"


def watch(fleet: SpokenFleet, detector: Detector, ticks: int) -> list[Finding]:
    found: list[Finding] = []
    for _ in range(ticks):
        found = detector.observe(fleet.tick())
    return found


def rules(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.subject) for finding in found]


def test_a_silent_sled_is_first_a_warning_and_then_lost() -> None:
    fleet = SpokenFleet()
    detector = StalenessDetector(fleet.fleet_map)
    assert watch(fleet, detector, 3) == []
    fleet.silent = {SLED}
    assert watch(fleet, detector, 5) == []
    assert rules(watch(fleet, detector, 1)) == [("sled_silent", SLED)]
    [lost] = watch(fleet, detector, 60)
    assert (lost.rule, lost.severity) == ("sled_lost", Severity.CRITICAL)
    fleet.silent = set()
    assert watch(fleet, detector, 1) == []


def test_a_silent_loop_is_one_finding_and_a_silent_cdu_another() -> None:
    fleet = SpokenFleet()
    detector = StalenessDetector(fleet.fleet_map)
    watch(fleet, detector, 3)
    fleet.silent = {"h1/cdu01"}
    assert rules(watch(fleet, detector, 6)) == [("cdu_silent", "h1/cdu01")]
    fleet.silent = {"h1/cdu01", *fleet.fleet_map.sled_ids}
    assert rules(watch(fleet, detector, 6)) == [("loop_silent", "h1/loop01")]


def test_agents_have_time_to_be_heard_for_the_first_time() -> None:
    fleet = SpokenFleet(silent={SLED})
    detector = StalenessDetector(fleet.fleet_map)
    assert watch(fleet, detector, 31) == []
    assert rules(watch(fleet, detector, 1)) == [("sled_silent", SLED)]


def test_a_leak_needs_two_reads_and_keeps_its_grade() -> None:
    fleet = SpokenFleet(sled={SLED: {"leak_state": 2.0}})
    detector = LeakDetector(fleet.fleet_map)
    assert watch(fleet, detector, 1) == []
    [leak] = watch(fleet, detector, 1)
    assert (leak.rule, leak.severity) == ("leak", Severity.CRITICAL)
    fleet.silent = {SLED}
    assert rules(watch(fleet, detector, 9)) == [("leak", SLED)]
    fleet.silent, fleet.sled = set(), {SLED: {"leak_state": 3.0}}
    assert rules(watch(fleet, detector, 2)) == [("leak_detector_unavailable", SLED)]
    fleet.sled = {}
    assert watch(fleet, detector, 2) == []


def test_moisture_at_the_cdu_is_told_of_the_cdu() -> None:
    fleet = SpokenFleet(cdu={"cdu_leak_state": 1.0})
    [finding] = watch(fleet, LeakDetector(fleet.fleet_map), 2)
    assert (finding.rule, finding.subject) == ("leak_suspected", "h1/cdu01")
    assert finding.severity is Severity.WARNING


def test_only_new_uncorrected_errors_count() -> None:
    name = "hbm_ecc_uncorrected_total"
    fleet = SpokenFleet(counts={SLED: {name: {2: 7}}})
    detector = EccDetector(fleet.fleet_map)
    assert watch(fleet, detector, 3) == []
    fleet.counts = {SLED: {name: {2: 9}}}
    [finding] = watch(fleet, detector, 1)
    assert (finding.rule, finding.subject) == ("hbm_ecc_uncorrected", CHIP)
    assert (finding.severity, finding.value) == (Severity.CRITICAL, 2.0)
    assert len(watch(fleet, detector, 59)) == 1
    assert watch(fleet, detector, 1) == []


def test_a_count_that_starts_anew_is_no_error() -> None:
    name = "hbm_ecc_uncorrected_total"
    fleet = SpokenFleet(counts={SLED: {name: {2: 7}}})
    detector = EccDetector(fleet.fleet_map)
    watch(fleet, detector, 2)
    fleet.counts = {SLED: {}}
    watch(fleet, detector, 2)
    fleet.counts = {SLED: {name: {2: 3}}}
    assert watch(fleet, detector, 2) == []
    fleet.counts = {SLED: {name: {2: 4}}}
    assert len(watch(fleet, detector, 1)) == 1


def test_errors_across_a_gap_of_telemetry_are_not_lost() -> None:
    name = "sram_ecc_uncorrected_total"
    fleet = SpokenFleet(counts={SLED: {name: {2: 7}}})
    detector = EccDetector(fleet.fleet_map)
    watch(fleet, detector, 2)
    fleet.counts = {SLED: {}}
    watch(fleet, detector, 2)
    fleet.counts = {SLED: {name: {2: 8}}}
    assert rules(watch(fleet, detector, 1)) == [("sram_ecc_uncorrected", CHIP)]


def test_a_storm_of_corrected_errors_is_told_and_a_trickle_is_not() -> None:
    name = "hbm_ecc_corrected_total"
    fleet = SpokenFleet()
    detector = EccDetector(fleet.fleet_map)
    for second in range(300):
        fleet.counts = {SLED: {name: {1: second, 2: second * 4}}}
        found = watch(fleet, detector, 1)
    assert rules(found) == [("hbm_ecc_corrected", CHIP)]
    assert found[0].severity is Severity.WARNING


def test_a_blocked_plate_is_found_and_the_chip_named() -> None:
    fleet = SpokenFleet(every_sled={"power_w": 800.0, "junction_c": 67.0})
    detector = PlateDetector(fleet.fleet_map)
    assert watch(fleet, detector, 30) == []
    fleet.sled = {SLED: {"junction_c": {0: 67.0, 1: 67.0, 2: 88.0, 3: 67.0}}}
    found = watch(fleet, detector, 40)
    assert rules(found) == [("plate_blocked", CHIP)]
    assert 1.6 < found[0].value < 1.9


def test_one_blocked_plate_is_found_where_one_sled_alone_works() -> None:
    fleet = SpokenFleet(every_sled={"power_w": 150.0, "junction_c": 45.0})
    fleet.sled = {SLED: {"power_w": 800.0, "junction_c": {0: 67.0, 1: 67.0, 2: 88.0, 3: 67.0}}}
    assert rules(watch(fleet, PlateDetector(fleet.fleet_map), 30)) == [("plate_blocked", CHIP)]


def test_a_loop_or_a_sled_that_is_warm_as_a_whole_has_no_blocked_plate() -> None:
    fleet = SpokenFleet(every_sled={"power_w": 800.0, "junction_c": 88.0})
    fleet.sled = {SLED: {"power_w": 800.0, "junction_c": 110.0}}
    assert watch(fleet, PlateDetector(fleet.fleet_map), 40) == []


def test_idle_chips_are_not_judged() -> None:
    fleet = SpokenFleet(every_sled={"power_w": 150.0, "junction_c": 45.0})
    fleet.sled = {SLED: {"power_w": 150.0, "junction_c": {2: 60.0}}}
    assert watch(fleet, PlateDetector(fleet.fleet_map), 40) == []


def test_a_chip_whose_job_just_left_is_not_blocked() -> None:
    """Its power is gone at once, its warmth is not; the rest of its sled is idle already."""
    fleet = SpokenFleet(every_sled={"power_w": 800.0, "junction_c": 67.0})
    fleet.sled = {SLED: {"power_w": {0: 190.0, 1: 190.0, 2: 800.0, 3: 190.0}, "junction_c": 67.0}}
    detector = PlateDetector(fleet.fleet_map)
    assert watch(fleet, detector, 40) == []
    for second in range(30):
        junction_c = 46.0 + 21.0 * 0.9**second
        powers: dict[int, float] = dict.fromkeys(range(4), 190.0)
        fleet.sled = {SLED: {"power_w": powers, "junction_c": junction_c}}
        assert watch(fleet, detector, 1) == []


def test_chips_with_more_power_than_others_are_not_blocked() -> None:
    fleet = SpokenFleet(every_sled={"power_w": 400.0, "junction_c": 53.6})
    fleet.sled = {SLED: {"power_w": {2: 1000.0}, "junction_c": {2: 74.0}}}
    assert watch(fleet, PlateDetector(fleet.fleet_map), 40) == []


def test_what_the_guard_did_is_told() -> None:
    fleet = SpokenFleet(sled={SLED: {"guard_level": 2.0}})
    assert rules(watch(fleet, GuardDetector(fleet.fleet_map), 1)) == [("guard_off", SLED)]


def test_the_same_snapshots_give_the_same_findings() -> None:
    def story() -> list[list[Finding]]:
        fleet = SpokenFleet(every_sled={"power_w": 800.0, "junction_c": 67.0})
        detectors = build_detectors(fleet.fleet_map)
        told = []
        for second in range(40):
            fleet.sled = {SLED: {"junction_c": {2: 67.0 + second}, "leak_state": second // 20.0}}
            snapshot = fleet.tick()
            told.append([found for each in detectors for found in each.observe(snapshot)])
        return told

    first = story()
    assert any(first)
    assert first == story()


def test_a_calm_mixed_hall_has_no_findings() -> None:
    fleet = SpokenFleet(mixed_map())
    for detector in build_detectors(fleet.fleet_map):
        assert watch(fleet, detector, 45) == []


def test_an_air_handler_is_never_silent_but_its_hosts_are() -> None:
    fleet = SpokenFleet(mixed_map())
    detector = StalenessDetector(fleet.fleet_map)
    watch(fleet, detector, 3)
    fleet.silent = {"h1/us03/r1/s01"}
    assert rules(watch(fleet, detector, 6)) == [("sled_silent", "h1/us03/r1/s01")]


def test_plates_are_compared_with_plates_of_their_own_kind() -> None:
    """Wafers and heat sinks differ by design, which says nothing about a cold plate."""
    fleet = SpokenFleet(mixed_map())
    fleet.sled = {"h1/us02/r1/s01": {"junction_c": 84.0}, "h1/us03/r1/s01": {"junction_c": 84.0}}
    detector = PlateDetector(fleet.fleet_map)
    assert watch(fleet, detector, 40) == []
    fleet.sled[SLED] = {"junction_c": {2: 75.0}}
    assert rules(watch(fleet, detector, 40)) == [("plate_blocked", CHIP)]
