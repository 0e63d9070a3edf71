"""Scenario files, checked key by key."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from emulator.faults.catalogue import FaultSpec, catalogue, usual_course
from emulator.faults.course import Course
from emulator.faults.kinds import CourseKind, FaultKind
from emulator.models import SERVED
from emulator.scenario.document import read_document
from emulator.scenario.read_plant import read_plant
from emulator.scenario.scenario import (
    FaultPlan,
    JobPlan,
    LoadCourse,
    LoadShape,
    Recording,
    Scenario,
)
from emulator.scenario.section import Section
from emulator.serving.report import PriceSettings
from emulator.weather import ClimateSettings
from emulator.workload import ProductOptions
from emulator.workload.number_type import NumberType
from fleet.errors import ConfigurationError
from fleet.topology import (
    FANOUTS,
    Datacenter,
    Generation,
    LoopKind,
    LoopPlan,
    mixed_datacenter,
)

LONGEST_S: Final = 366 * 86_400.0
_MOST_LOOPS: Final = 5_000
_OPTIONS: Final[Mapping[str, tuple[float, float, str]]] = {
    "emulated_peak_flop_per_s": (1e5, 1e12, "FLOP/s"),
    "settle_s": (0.0, 3600.0, "s"),
    "reload_s": (0.0, 3600.0, "s"),
    "longest_plant_step_s": (0.01, 1.0, "s"),
}
"""Options of the emulator that a scenario may set, with span and unit."""
_PRICES: Final[Mapping[str, tuple[float, float, str]]] = {
    "usd_per_kwh": (0.0, 10.0, "USD/kWh"),
    "usd_per_chip_hour": (0.0, 1_000.0, "USD/h"),
}
"""What energy and chips cost, with span and unit."""
_TRACE_SPEED: Final = (0.001, 1_000.0, "of the trace's own time")
_CLIMATE: Final[Mapping[str, tuple[float, float, str]]] = {
    "mean_c": (-40.0, 45.0, "C"),
    "season_k": (0.0, 40.0, "K"),
    "day_k": (0.0, 25.0, "K"),
    "front_k": (0.0, 15.0, "K"),
    "depression_k": (0.0, 40.0, "K"),
    "start_s": (0.0, LONGEST_S, "s of the year"),
}
"""Of the weather's generator, with span and unit."""


def read_scenario(file: Path) -> Scenario:
    """ConfigurationError in one line: file, line, key, what stands there, what is allowed."""
    top = Section(file, "", read_document(file))
    duration_s = top.number("duration_s", 1.0, LONGEST_S, "s")
    load = top.section("load")
    datacenter, loops_at = _datacenter(top.section("datacenter"))
    scenario = Scenario(
        file=file,
        name=top.text("name", file.stem),
        description=top.text("description"),
        seed=top.count("seed", 0, 2**31 - 1, 0),
        duration_s=duration_s,
        datacenter=datacenter,
        loops_at=loops_at,
        load=_load(load),
        options=_options(top) | _trace(load),
        jobs=tuple(plan for section in top.sections("jobs") for plan in _jobs(section)),
        faults=tuple(_fault(section) for section in top.sections("faults")),
        recording=_recording(top.section("recording")),
    )
    load.end()
    top.end()
    return scenario


def _options(top: Section) -> dict[str, Any]:
    section = top.section("options")
    given = {name: section.number_or_none(name, *span) for name, span in _OPTIONS.items()}
    section.end()
    given["step_s"] = top.number("step_s", 0.05, 5.0, "s", 1.0)
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    rejection, plant = read_plant(top.section("plant"))
    options |= {"rejection": rejection, "plant": plant, "prices": _prices(top.section("prices"))}
    options["products"] = _products(top.section("products"))
    return options | _weather(top.section("weather"))


def _prices(section: Section) -> PriceSettings:
    given = {name: section.number_or_none(name, *span) for name, span in _PRICES.items()}
    section.end()
    changed = {name: value for name, value in given.items() if value is not None}
    return replace(PriceSettings(), **changed)


def _products(section: Section) -> ProductOptions:
    usual = ProductOptions()
    precision = section.choice("precision", NumberType, usual.precision)
    limit = section.count("real_chips_limit", 1, 10_000_000, usual.real_chips_limit)
    section.end()
    return replace(usual, precision=precision, real_chips_limit=limit)


def _trace(load: Section) -> dict[str, Any]:
    """Recorded requests: a loop of them at the wanted load, or each once at its own time."""
    trace = load.file_at("trace")
    speed = load.number_or_none("trace_speed", *_TRACE_SPEED)
    if speed is None:
        return {"trace": trace}
    if trace is None:
        raise load.error("trace_speed", "give a trace, or ratio or points")
    if "ratio" in load or "points" in load:
        raise load.error("trace_speed", "the trace has its own load: no ratio and no points")
    return {"trace": trace, "replay": True, "replay_speed_ratio": speed}


def _weather(section: Section) -> dict[str, Any]:
    """A file, or the generator's climate."""
    file = section.file_at("file")
    given = {name: section.number_or_none(name, *span) for name, span in _CLIMATE.items()}
    section.end()
    changed = {name: value for name, value in given.items() if value is not None}
    if file is not None and changed:
        raise section.error("file", f"give a file or {', '.join(changed)}, not both")
    return {"weather": file, "climate": replace(ClimateSettings(), **changed)}


def _datacenter(section: Section) -> tuple[Datacenter, tuple[int, ...]]:
    """The hall, and the line of each of its loops."""
    hall = section.text("hall", "h1")
    described = [(loop.line, plan) for loop in section.sections("loops") for plan in _loops(loop)]
    section.end()
    try:
        hall_of_plans = mixed_datacenter([plan for _, plan in described], hall=hall)
        return hall_of_plans, tuple(line for line, _ in described)
    except ConfigurationError as error:
        raise section.error("loops", str(error)) from None


def _loops(section: Section) -> list[LoopPlan]:
    kind = section.choice("kind", LoopKind, LoopKind.LIQUID_TO_LIQUID)
    count = section.count("count", 1, _MOST_LOOPS, 1)
    servers = section.section("ultraservers")
    wanted = {generation: servers.count(generation, 0, 1000, 0) for generation in Generation}
    servers.end()
    section.end()
    present = {generation: number for generation, number in wanted.items() if number}
    for generation in present:
        if kind.cooling is not FANOUTS[generation].cooling:
            words = f"{generation} is not cooled by a loop of kind {kind}"
            raise servers.error(generation, words)
    return [LoopPlan(kind=kind, ultraservers=present)] * count


def _load(section: Section) -> LoadCourse:
    ratio = section.number_or_none("ratio", 0.0, 2.0, "of what running replicas can serve")
    points = tuple(section.pairs("points"))
    shape = section.choice("shape", LoadShape, LoadShape.HOLD)
    if points and ratio is not None:
        raise section.error("ratio", "give ratio or points, not both")
    times = [at_s for at_s, _ in points]
    if times != sorted(times) or any(at_s < 0.0 for at_s in times):
        raise section.error("points", "times must rise from 0 s")
    if not all(0.0 <= wanted <= 2.0 for _, wanted in points):
        raise section.error("points", "ratios must be 0 to 2")
    return LoadCourse(points=points or ((0.0, 0.5 if ratio is None else ratio),), shape=shape)


def _jobs(section: Section) -> list[JobPlan]:
    model = section.one_of("model", SERVED)
    name = section.text("name", model)
    count = section.count("count", 1, 100_000, 1)
    chips = section.count("chips", 1, 100_000)
    generation = section.one_of("generation", [*Generation, "any"], "any")
    tensor_parallel = section.count("tensor_parallel", 1, 1024)
    if chips % tensor_parallel:
        words = f"{chips} is no multiple of tensor_parallel {tensor_parallel}"
        raise section.error("chips", words)
    start_s = section.number("start_s", 0.0, LONGEST_S, "s", 0.0)
    duration_s = section.number_or_none("duration_s", 1.0, LONGEST_S, "s")
    section.end()
    return [
        JobPlan(
            name=f"{name}-{number}" if count > 1 else name,
            model=model,
            chips=chips,
            tensor_parallel=tensor_parallel,
            start_s=start_s,
            duration_s=duration_s,
            generation=None if generation == "any" else Generation(generation),
            where=f"{section.file}:{section.line}",
        )
        for number in range(1, count + 1)
    ]


def _fault(section: Section) -> FaultPlan:
    kind = section.choice("kind", FaultKind)
    plan = FaultPlan(
        kind=kind,
        place=section.text("place"),
        count=section.count("count", 1, 1_000_000, 1),
        severity=_severity(section, catalogue()[kind]),
        start_s=section.number("start_s", 0.0, LONGEST_S, "s", 0.0),
        duration_s=section.number_or_none("duration_s", 0.0, LONGEST_S, "s"),
        course=_course(section, kind),
        where=f"{section.file}:{section.line}",
    )
    section.end()
    if plan.count > 1 and not plan.place.startswith("random"):
        raise section.error("count", f"{plan.count} of one kind need place random")
    return plan


def _severity(section: Section, spec: FaultSpec) -> float | None:
    given = section.number_or_text("severity")
    if isinstance(given, str):
        if given not in spec.presets:
            named = ", ".join(spec.presets) or "no named ones"
            words = f"{given!r}: expected {spec.low:g} to {spec.high:g} {spec.unit}, or {named}"
            raise section.error("severity", words)
        return spec.presets[given]
    if given is not None and not spec.low <= given <= spec.high:
        words = f"{given:g}: expected {spec.low:g} to {spec.high:g} {spec.unit}"
        raise section.error("severity", words)
    return given


def _course(section: Section, kind: FaultKind) -> Course:
    spec = catalogue()[kind]
    wanted = section.choice("course", CourseKind, spec.course.kind)
    course = usual_course(
        kind,
        wanted,
        over_s=section.number_or_none("over_s", 1e-3, 1e9, "s"),
        period_s=section.number_or_none("period_s", 1e-3, 1e9, "s"),
        duty_ratio=section.number_or_none("duty_ratio", 0.001, 0.999, "of 1"),
        seed=section.count("seed", 0, 2**31 - 1, 0),
    )
    if spec.all_or_nothing and wanted in (CourseKind.RAMP, CourseKind.WEAR):
        words = f"{kind} is there or not; expected one of step, intermittent"
        raise section.error("course", words)
    return course


def _recording(section: Section) -> Recording:
    usual = Recording()
    recording = Recording(
        telemetry_s=section.number("telemetry_s", 0.05, 86_400.0, "s", usual.telemetry_s),
        truth_s=section.number("truth_s", 0.05, 86_400.0, "s", usual.truth_s),
    )
    section.end()
    return recording
