import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard

from emulator.devices.catalogue import Devices
from emulator.faults.catalogue import catalogue
from emulator.faults.course import Course
from emulator.recording.replay import Replay
from emulator.scenario.library import find_scenario, known_scenarios
from emulator.scenario.placing import shifts_of
from emulator.scenario.read import read_scenario
from emulator.scenario.run import ScenarioRun
from emulator.scenario.scenario import Scenario
from emulator.scenario.strike import faults_of
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, Generation, LoopKind
from tests.emulator.scenario.files import small


def finished(
    scenario: Scenario, *, seed: int | None = None, record: Path | None = None
) -> ScenarioRun:
    made = ScenarioRun(scenario, seed=seed, record=record)
    for _ in made.run():
        pass
    return made


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[ScenarioRun, Path]:
    """The small scenario, run to its end, and its recording. Nothing may be changed in either."""
    folder = tmp_path_factory.mktemp("kept")
    return finished(small(folder), record=folder / "record"), folder / "record"


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def truth(folder: Path) -> list[dict[str, Any]]:
    with (folder / "truth.jsonl.zst").open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    return [msgspec.json.decode(line) for line in raw.splitlines()]


def test_the_same_seed_gives_the_same_recording_byte_for_byte(
    kept: tuple[ScenarioRun, Path], tmp_path: Path
) -> None:
    _, record = kept  # by the scenario's own seed, which is 5
    scenario = small(tmp_path)
    for name, seed in (("same", 5), ("other", 6)):
        finished(scenario, seed=seed, record=tmp_path / name)

    assert digests(record)
    assert digests(record) == digests(tmp_path / "same")
    assert digests(record) != digests(tmp_path / "other")


def test_the_truth_says_what_was_broken_when(kept: tuple[ScenarioRun, Path]) -> None:
    _, record = kept
    head, *lines = truth(record)
    broken = {line["t_s"]: line["faults"] for line in lines if "faults" in line}
    states = [line for line in lines if "chips" in line]

    assert len(head["chips"]) == 144
    assert [[fault["kind"] for fault in broken[at_s]] for at_s in sorted(broken)] == [
        ["leak"],
        ["leak", "pump_trip"],
        ["pump_trip"],
    ]
    assert broken[min(broken)][0]["severity"] == 0.2
    assert [line["t_s"] for line in states] == [1.0, 5.0, 10.0, 15.0, 20.0]
    assert all(len(line["chips"]["junction_c"]) == 144 for line in states)


def test_load_jobs_and_faults_come_at_their_times(tmp_path: Path) -> None:
    scenario = small(tmp_path, changed=("count: 2", "start_s: 4, duration_s: 8"))
    made = ScenarioRun(scenario)
    seen = [(len(made.world.sled_requests(0).jobs), made.world.load_ratio) for _ in made.run()]

    assert [jobs for jobs, _ in seen] == [0] * 4 + [1] * 8 + [0] * 8
    assert seen[5][1] == pytest.approx(0.2 + 0.8 * 0.5)
    assert [span.kind for span in made.history.fault_spans()] == ["leak", "pump_trip"]
    [leak, trip] = made.history.fault_spans()
    assert leak.end_s - leak.start_s == 10.0
    assert trip.end_s == made.world.now_s


def test_a_recording_that_is_there_is_not_written_over(
    kept: tuple[ScenarioRun, Path], tmp_path: Path
) -> None:
    _, record = kept
    before = digests(record)
    with pytest.raises(ConfigurationError, match="there is one already"):
        ScenarioRun(small(tmp_path), record=record)
    assert digests(record) == before


def test_a_recording_is_served_as_devices_again(kept: tuple[ScenarioRun, Path]) -> None:
    made, record = kept
    replay = Replay(record)
    while replay.step():
        pass

    path = "/redfish/v1/ThermalEquipment/CDUs/1"
    now = Devices(made.world, made.clock).cdu("h1/cdu01").request("GET", path)
    assert replay.now_s == 20.0
    assert replay.cdu("h1/cdu01").request("GET", path) == now


def test_a_gang_without_room_is_refused_with_line_and_numbers(tmp_path: Path) -> None:
    scenario = small(
        tmp_path,
        changed=(
            "chips: 8, tensor_parallel: 4, count: 2",
            "chips: 96, tensor_parallel: 4, count: 2",
        ),
    )
    with pytest.raises(ConfigurationError, match=r"yaml:16: job chat-2 wants 96.*is 48"):
        ScenarioRun(scenario)


def test_a_hall_that_no_flow_can_cool_is_refused_with_line_and_numbers(tmp_path: Path) -> None:
    scenario = small(tmp_path, changed=("seed: 5", "weather: {mean_c: 45, depression_k: 0}"))
    with pytest.raises(ConfigurationError, match=r"scenario\.yaml:8: h1/loop01.* kW"):
        ScenarioRun(scenario)


def test_a_place_that_is_not_there_is_refused_with_its_line(tmp_path: Path) -> None:
    scenario = small(tmp_path, changed=("h1/cdu01#1", "h1/cdu09#1"))
    with pytest.raises(ConfigurationError, match="yaml:19: pump_trip: unknown cdu 'h1/cdu09'"):
        ScenarioRun(scenario)


@pytest.mark.parametrize("count", [145, 10_000])
def test_more_faults_than_places_are_refused(tmp_path: Path, count: int) -> None:
    old = "{kind: leak, place: random, severity: weep"
    scenario = small(tmp_path, changed=(old, f"{{kind: hbm_storm, place: random, count: {count}"))
    with pytest.raises(ConfigurationError, match="the hall has 144 such places"):
        ScenarioRun(scenario)


def test_chips_are_given_back_and_never_shared(tmp_path: Path) -> None:
    scenario = small(
        tmp_path,
        changed=(
            "  - {name: chat, model: llama-3-8b, chips: 8, tensor_parallel: 4, count: 2}",
            "  - {model: llama-3-8b, chips: 144, tensor_parallel: 4, duration_s: 5}\n"
            "  - {model: llama-3-8b, chips: 72, tensor_parallel: 4, count: 2, start_s: 5}",
        ),
    )
    held: set[tuple[int, int]] = set()
    for shift in shifts_of(scenario.jobs, FleetMap(scenario.datacenter)):
        chips = {(sled, chip) for sled, spec in shift.shares for chip in spec.chips}
        assert held.isdisjoint(chips) if shift.starts else chips <= held
        held = held | chips if shift.starts else held - chips
    assert len(held) == 144


def test_all_generations_and_kinds_of_loop_run_together() -> None:
    planned = read_scenario(find_scenario("mixed-generations"))
    assert {us.generation for loop in planned.datacenter.loops for us in loop.ultraservers} == set(
        Generation
    )
    assert {loop.kind for loop in planned.datacenter.loops} == set(LoopKind)
    quick = {**planned.options, "settle_s": 5.0, "emulated_peak_flop_per_s": 1e5}
    made = finished(replace(planned, duration_s=8.0, options=quick))
    models = {plan.model.partition(":")[0] for plan in planned.jobs}
    assert set(made.world.serving.models) == models
    for model in models:
        assert made.world.serving_report(model).completed > 0, model
    assert made.world.serving_report("llama-3-8b").moved_cache_bytes > 0.0


def test_prompts_and_answers_on_chips_of_their_own() -> None:
    planned = read_scenario(find_scenario("disaggregated-serving"))
    quick = {**planned.options, "settle_s": 5.0, "emulated_peak_flop_per_s": 1e5}
    made = finished(replace(planned, duration_s=15.0, options=quick))
    report = made.world.serving_report()
    assert report.completed > 0
    assert report.moved_cache_bytes > 0.0
    assert report.refused == 0


@pytest.mark.parametrize("name", known_scenarios())
def test_faults_and_jobs_of_the_library_fit_their_hall(name: str) -> None:
    scenario = read_scenario(find_scenario(name))
    fleet_map = FleetMap(scenario.datacenter)
    shifts_of(scenario.jobs, fleet_map)
    drawn = [
        faults_of(scenario.faults, fleet_map, np.random.default_rng(seed), pumps=2)
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1]
    random = sum(plan.place.startswith("random") for plan in scenario.faults)
    assert not random or drawn[0] != drawn[2]


def test_every_fault_runs_in_a_world(tmp_path: Path) -> None:
    """All at once, quickly: none may stop the world."""
    planned = read_scenario(find_scenario("everything"))
    faults = tuple(
        replace(plan, start_s=2.0, duration_s=5.0, course=Course()) for plan in planned.faults
    )
    quick = {**planned.options, "settle_s": 5.0, "emulated_peak_flop_per_s": 1e5}
    made = finished(
        replace(planned, faults=faults, duration_s=16.0, options=quick), record=tmp_path / "r"
    )

    assert len(made.history.fault_spans()) == len(catalogue())
    assert made.world.severities() == ()
    assert np.isfinite(made.history.series("junction_c")).all()
