from pathlib import Path

import numpy as np
import pytest

from api.options import ApiOptions
from emulator.datacenter import World
from emulator.options import EmulatorOptions
from emulator.scenario.course import ScenarioCourse, options_of, played_runtime
from emulator.scenario.run import ScenarioRun
from emulator.scenario.scenario import Scenario
from emulator.workload import ProductOptions
from emulator.workload.backend import BackendName
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError
from fleet.hall import read_hall
from fleet.topology import Datacenter, FleetMap, trn3_datacenter
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions
from isotherm.up.plan import UpPlan
from isotherm.up.played import jobs_of
from isotherm.up.processes import Role
from isotherm.up.run import roles_of
from tests.emulator.scenario.files import small


def played(tmp_path: Path, *changed: tuple[str, str]) -> tuple[World, ScenarioCourse]:
    scenario = small(tmp_path)
    for change in changed:
        scenario = small(tmp_path, changed=change)
    options = options_of(scenario, EmulatorOptions(seed=5))
    rng = np.random.default_rng(5)
    world = World(options, FleetMap(scenario.datacenter), rng, ManualClock())
    course = ScenarioCourse(scenario, places_jobs=False)
    course.begin(world, seed=5)
    return world, course


def test_load_and_faults_come_at_their_times(tmp_path: Path) -> None:
    world, course = played(tmp_path)
    course(world)
    assert world.load_ratio == pytest.approx(0.2)
    for _ in range(9):
        world.step(1.0)
    course(world)
    assert world.load_ratio > 0.2
    assert "pump_trip" in {fault.kind for fault, _ in world.severities()}


def test_a_load_that_people_set_stays_until_the_scenarios_own_changes(tmp_path: Path) -> None:
    world, course = played(tmp_path, ("shape: linear", "shape: hold"))
    course(world)
    world.load_ratio = 1.5
    course(world)
    assert world.load_ratio == 1.5


def test_a_served_scenario_strikes_where_its_run_does_and_places_its_jobs(tmp_path: Path) -> None:
    scenario, clock = small(tmp_path), ManualClock()
    options = options_of(scenario, EmulatorOptions(seed=scenario.seed))
    runtime = played_runtime(scenario, options, clock, places_jobs=True)
    clock.advance(1.0)
    runtime.tick()
    run = ScenarioRun(scenario)
    assert runtime.world.faults() == run.faults
    run.step()
    assert [len(runtime.world.sled_requests(row).jobs) for row in range(36)] == [
        len(run.world.sled_requests(row).jobs) for row in range(36)
    ]


def test_what_is_given_goes_before_what_the_scenario_says(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    trace, given = tmp_path / "t.csv", EmulatorOptions(weather=tmp_path / "w.csv")
    assert options_of(scenario, given).weather == tmp_path / "w.csv"
    assert options_of(scenario, EmulatorOptions(trace=trace)).trace == trace
    assert options_of(scenario, given).settle_s == 10.0
    fast = EmulatorOptions(products=ProductOptions(backend=BackendName.TORCH))
    assert options_of(scenario, fast).products.backend is BackendName.TORCH
    assert options_of(scenario, given).step_s == 1.0


def test_jobs_have_names_of_their_own_and_times(tmp_path: Path) -> None:
    scenario = small(tmp_path, changed=("count: 2", "start_s: 4, duration_s: 8"))
    [job] = jobs_of(scenario)
    assert (job.name, job.start_s, job.end_s) == ("chat", 4.0, 12.0)


def test_a_hall_that_no_flow_can_cool_is_refused_with_its_line(tmp_path: Path) -> None:
    scenario = small(tmp_path, changed=("seed: 5", "weather: {mean_c: 45, depression_k: 0}"))
    options = EmbeddedOptions(
        state_dir=tmp_path / "var",
        emulator=options_of(scenario, EmulatorOptions()),
        scenario=scenario,
    )
    fleet_map = FleetMap(scenario.datacenter)
    with pytest.raises(ConfigurationError, match=r"scenario\.yaml:8: h1/loop01"):
        EmbeddedDatacenter(options, fleet_map, ManualClock())


def roles_by_name(
    tmp_path: Path, played: Scenario | None = None, *, named: str = "", replay: Path | None = None
) -> dict[str, Role]:
    hall = FleetMap(played.datacenter if played else trn3_datacenter())
    plan = UpPlan(
        fleet_map=hall,
        loops=1,
        ultraservers=2,
        embedded=EmbeddedOptions(state_dir=tmp_path / "var", scenario=played, replay=replay),
        api=ApiOptions(),
        emulator_port=1,
        kafka="127.0.0.1:9092",
        database="postgresql://a@b/c",
        scenario=named,
        jobs=(),
    )
    plan.validate()
    devices, api = "http://127.0.0.1:1", "http://127.0.0.1:2"
    return {role.name: role for role in roles_of(plan, 1, devices, api)}


def hall_told(role: Role) -> Datacenter:
    return read_hall(Path(role.arguments[role.arguments.index("--hall") + 1]))


def test_processes_of_a_scenario_know_its_hall_and_leave_its_jobs_to_placement(
    tmp_path: Path,
) -> None:
    scenario = small(tmp_path)
    roles = roles_by_name(tmp_path, scenario, named="pump-trip")
    world = roles["emulator"].arguments
    assert world[:2] == ("emulator", "serve")
    assert world[world.index("--scenario") + 1] == "pump-trip"
    assert "--no-jobs" in world
    for name in ("controller", "api"):
        assert hall_told(roles[name]) == scenario.datacenter


def test_processes_of_a_recording_know_its_hall(tmp_path: Path) -> None:
    roles = roles_by_name(tmp_path, replay=tmp_path / "record")
    world = roles["emulator"].arguments
    assert world[:4] == ("emulator", "replay", str(tmp_path / "record"), "--loop")
    for name in ("controller", "api"):
        assert hall_told(roles[name]) == trn3_datacenter()


def test_recorded_devices_are_heard_as_a_worlds_are(tmp_path: Path) -> None:
    run = ScenarioRun(small(tmp_path), record=tmp_path / "record")
    for _ in run.run():
        pass
    options = EmbeddedOptions(state_dir=tmp_path / "var", replay=tmp_path / "record")
    clock = ManualClock()
    center = EmbeddedDatacenter(options, run.world.fleet_map, clock)
    try:
        for _ in range(24):  # the recording has 20 steps and begins anew
            clock.advance(1.0)
            center.tick()
        snapshot = center.controller.ingest.columns.snapshot(clock.unix_ns(), 1)
        heard_c = snapshot.cdu["supply_c"]
        ages_s = snapshot.cdu_age_s, snapshot.sled_age_s
    finally:
        center.close()
    assert heard_c == pytest.approx(run.world.loops.scalars("supply_c"), abs=3.0)
    assert max(float(age_s.max()) for age_s in ages_s) < 5.0
