import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.faults.kinds import CourseKind, FaultKind
from emulator.plant_parts import PlantParts
from emulator.scenario.library import find_scenario, known_scenarios
from emulator.scenario.read import read_scenario
from emulator.scenario.scenario import LoadCourse, LoadShape
from fleet.errors import ConfigurationError
from fleet.topology import Generation
from tests.emulator.scenario.files import SMALL, small, written
from thermal.facility import HeatRejection


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read_scenario(path)
    message = str(refused.value)
    assert "\n" not in message
    return message.replace(f"{path}:", "")


def test_a_scenario_says_everything_of_its_run(tmp_path: Path) -> None:
    scenario = small(tmp_path)

    assert (scenario.name, scenario.seed, scenario.duration_s) == ("small", 5, 20.0)
    [loop] = scenario.datacenter.loops
    assert [us.generation for us in loop.ultraservers] == [Generation.TRN3_GEN2]
    assert [job.name for job in scenario.jobs] == ["chat-1", "chat-2"]
    assert [fault.severity for fault in scenario.faults] == [0.2, None]
    assert scenario.options["settle_s"] == 10.0
    assert scenario.faults[1].where.endswith("scenario.yaml:19")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed: 5", "sead: 5", "3: sead: unknown key; there are"),
        ("seed: 5", "sead: 5", "did you mean seed?"),
        ("seed: 5", "seed: -5", "3: seed: -5: expected a whole number, 0 to"),
        ("seed: 5", "seed: yes", "3: seed: True: expected a whole number"),
        ("seed: 5", "seed: 5\nseed: 6", "4: seed stands here twice"),
        ("duration_s: 20", "duration_s: soon", "4: duration_s: 'soon': expected 1 to"),
        ("duration_s: 20", "duration_s: .nan", "4: duration_s: nan: expected 1 to"),
        ("duration_s: 20\n", "", "1: scenario: duration_s is missing"),
        ("description: one", "description: [one, ", "not YAML"),
        ("kind: liquid-to-liquid", "kind: liquid", "8: datacenter.loops[0].kind: 'liquid'"),
        ("kind: liquid-to-liquid", "kind: liquid", "liquid-to-liquid, liquid-to-air, air"),
        ("kind: liquid-to-liquid", "kind: air", "9: datacenter.loops[0].ultraservers.trn3-gen2"),
        ("trn3-gen2: 1", "trn4: 1", "9: datacenter.loops[0].ultraservers.trn4: unknown key"),
        ("trn3-gen2: 1", "trn3-gen2: 0", "needs at least one UltraServer"),
        ("    - [0, 0.2]", "    - [0]", "13: load.points[0]: expected [seconds, value]"),
        ("    - [0, 0.2]", "    - [20, 0.2]", "12: load.points: times must rise"),
        ("    - [0, 0.2]", "    - [0, 7]", "12: load.points: ratios must be 0 to 2"),
        ("  shape: linear", "  ratio: 0.5", "11: load.ratio: give ratio or points"),
        ("  shape: linear", "  trace: nowhere.csv", "nowhere.csv: no such file"),
        ("model: llama-3-8b", "model: llama-3-8", "did you mean llama-3-8b?"),
        ("chips: 8", "chips: 7", "16: jobs[0].chips: 7 is no multiple of tensor_parallel 4"),
        ("kind: leak", "kind: leek", "18: faults[0].kind: 'leek': expected one of plate_blockage"),
        ("kind: leak", "kind: leek", "did you mean leak?"),
        ("severity: weep", "severity: flood", "18: faults[0].severity: 'flood': expected 0 to 20"),
        ("severity: weep", "severity: flood", "or weep, leak, burst"),
        ("severity: weep", "severity: 21", "18: faults[0].severity: 21: expected 0 to 20 L/min"),
        ("start_s: 8", "course: ramp", "19: faults[1].course: pump_trip is there or not"),
        ("start_s: 8", "count: 2", "19: faults[1].count: 2 of one kind need place random"),
        ("start_s: 8", "start_s: -8", "19: faults[1].start_s: -8: expected 0 to"),
        ("faults:\n", "faults: none\nx:\n", "17: faults: 'none': expected a list"),
        ("name: small", "- small", "not YAML"),
        ("seed: 5", "weather: {mean_c: 99}", "3: weather.mean_c: 99: expected -40 to 45 C"),
        ("seed: 5", "weather: {file: no.epw}", "no.epw: no such file"),
        ("  shape: linear", "  trace_speed: 2", "11: load.trace_speed: give a trace"),
        ("seed: 5", "plant: {pomp: {}}", "3: plant.pomp: unknown key; there are rejection, chip"),
        ("seed: 5", "plant: {pomp: {}}", "did you mean pump?"),
        ("seed: 5", "plant: {pump: {shutoff_kpa: 9000}}", "3: plant.pump.shutoff_kpa: 9000: expe"),
        ("seed: 5", "plant: {pump: {shutoff_kpa: 9000}}", "expected 116.75 to 1868 kpa"),
        ("seed: 5", "plant: {pump: {shutof_kpa: 400}}", "did you mean shutoff_kpa?"),
        ("seed: 5", "plant: {loop: {pumps: 9}}", "3: plant.loop.pumps: 9: expected a whole number"),
        (
            "seed: 5",
            "plant: {rejection: pond}",
            "3: plant.rejection: 'pond': expected one of tower",
        ),
        ("seed: 5", "plant: {dry_cooler: {range_k: 5}}", "say rejection: dry_cooler"),
        ("seed: 5", "plant: {in_row: {coil: {x: 5}}}", "3: plant.in_row.coil.x: unknown key"),
    ],
)
def test_what_can_not_be_used_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in SMALL
    assert said in refusal(written(tmp_path, SMALL.replace(old, new)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: the file is empty"),
        ("just words", "expected keys and values"),
        ("a: &x [*x]", "aliases"),
        ("a: &x [1]\nb: *x", "1: aliases"),
        ("[" * 100_000, "not YAML"),
        ("a: !!python/name:os.system x", "not YAML"),
        ("a: 2026-99-99", "not YAML"),
    ],
)
def test_strange_yaml_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        read_scenario(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(b"name: a\ndescription: \xff\xfe")
    assert "2: not UTF-8" in refusal(path)


def test_weather_is_of_a_file_or_of_a_climate(tmp_path: Path) -> None:
    warm = small(tmp_path, changed=("seed: 5", "weather: {mean_c: 24}"))
    assert warm.options["climate"].mean_c == 24.0
    written(tmp_path, "time,dry_bulb_c,dew_point_c\n", "july.csv")
    filed = small(tmp_path, changed=("seed: 5", "weather: {file: july.csv}"))
    assert filed.options["weather"] == tmp_path / "july.csv"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(alphabet="abc:-[]{}#&*!|>'\"\n 019.,", max_size=60))
def test_nonsense_is_always_one_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_scenario(written(tmp_path, text))
    assert "\n" not in str(refused.value)


TOML = """\
description = "the same in TOML"
duration_s = 60

[[datacenter.loops]]
ultraservers = { trn3-gen2 = 1 }

[load]
ratio = 0.5

[[faults]]
kind = "leak"
place = "random"

[[faults]]
kind = "pump_trip"
place = "h1/cdu01#1"
"""


def test_toml_is_read_as_yaml_is(tmp_path: Path) -> None:
    scenario = read_scenario(written(tmp_path, TOML, "scenario.toml"))
    assert [fault.kind for fault in scenario.faults] == [FaultKind.LEAK, FaultKind.PUMP_TRIP]
    assert scenario.load.ratio_at(30.0) == 0.5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ratio = 0.5", "ratio = 5", "8: load.ratio: 5: expected 0 to 2"),
        ('"pump_trip"', '"pump_trop"', "15: faults[1].kind: 'pump_trop': expected one of"),
        ("trn3-gen2 = 1", "trn9 = 1", "5: datacenter.loops[0].ultraservers.trn9: unknown key"),
        ("ratio = 0.5", "ratio 0.5", "8: not TOML"),
    ],
)
def test_toml_errors_have_their_line_too(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert tomllib.loads(TOML)
    assert said in refusal(written(tmp_path, TOML.replace(old, new), "scenario.toml"))


def test_load_follows_its_points() -> None:
    points = ((10.0, 0.2), (20.0, 1.0))
    hold, linear = LoadCourse(points=points), LoadCourse(points=points, shape=LoadShape.LINEAR)
    assert [hold.ratio_at(t) for t in (0.0, 10.0, 19.9, 20.0, 99.0)] == [0.2, 0.2, 0.2, 1.0, 1.0]
    assert [linear.ratio_at(t) for t in (0.0, 15.0, 99.0)] == pytest.approx([0.2, 0.6, 1.0])


@pytest.mark.parametrize("name", known_scenarios())
def test_every_scenario_of_the_library_can_be_read(name: str) -> None:
    scenario = read_scenario(find_scenario(name))
    assert scenario.name == name
    assert len(scenario.description) > 20
    for fault in scenario.faults:
        assert fault.start_s < scenario.duration_s


def test_one_scenario_has_every_fault() -> None:
    scenario = read_scenario(find_scenario("everything"))
    assert {fault.kind for fault in scenario.faults} == set(FaultKind)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean pump-trip"):
        find_scenario("pump-trap")
    with pytest.raises(ConfigurationError, match="no such file"):
        find_scenario("somewhere/else.yaml")


def test_a_fault_keeps_the_course_of_its_kind_where_none_is_given(tmp_path: Path) -> None:
    scenario = small(tmp_path, changed=("severity: weep", "course: wear"))
    assert [fault.course.kind for fault in scenario.faults] == [CourseKind.WEAR, CourseKind.STEP]


def test_a_plant_is_as_described_but_for_what_the_file_says(tmp_path: Path) -> None:
    plant = (
        "plant:\n  rejection: dry_cooler\n  loop: {pumps: 3}\n  dry_cooler: {setpoint_c: 24}\n"
        "  in_row: {coil: {ua_w_per_k: 60000}}\n"
    )
    options = read_scenario(written(tmp_path, SMALL + plant)).options
    assert options["rejection"] is HeatRejection.DRY_COOLER
    changed = options["plant"].liquid_loop(288, HeatRejection.DRY_COOLER)
    assert (changed.pumps, changed.facility.setpoint_c) == (3, 24.0)
    assert options["plant"].in_row().coil.ua_w_per_k == 60_000.0
    assert read_scenario(written(tmp_path, SMALL)).options["plant"] == PlantParts()


def test_prices_are_the_scenarios(tmp_path: Path) -> None:
    usual = small(tmp_path).options["prices"]
    dear = small(tmp_path, changed=("seed: 5", "prices: {usd_per_kwh: 0.3}")).options["prices"]
    assert (dear.usd_per_kwh, dear.usd_per_chip_hour) == (0.3, usual.usd_per_chip_hour)
    with pytest.raises(ConfigurationError, match=r"usd_per_kwh: -1: expected 0 to 10 USD/kWh"):
        small(tmp_path, changed=("seed: 5", "prices: {usd_per_kwh: -1}"))


def test_what_is_multiplied_is_the_scenarios(tmp_path: Path) -> None:
    words = "products: {precision: bf16, real_chips_limit: 500}"
    products = small(tmp_path, changed=("seed: 5", words)).options["products"]
    assert (products.precision, products.real_chips_limit) == ("bf16", 500)
    assert small(tmp_path).options["products"].real_chips_limit == 4_096
    with pytest.raises(ConfigurationError, match=r"precision: 'fp4': expected one of .*bf16"):
        small(tmp_path, changed=("seed: 5", "products: {precision: fp4}"))


def test_a_trace_is_replayed_at_a_multiple_of_its_own_time(tmp_path: Path) -> None:
    (tmp_path / "requests.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n"
    )
    course = SMALL[SMALL.index("load:\n") : SMALL.index("jobs:")]
    replayed = SMALL.replace(course, "load: {trace: requests.csv, trace_speed: 4}\n")
    options = read_scenario(written(tmp_path, replayed)).options
    assert (options["replay"], options["replay_speed_ratio"]) == (True, 4.0)
    both = SMALL.replace(course, "load: {trace: requests.csv, trace_speed: 4, ratio: 1}\n")
    assert "the trace has its own load" in refusal(written(tmp_path, both))
