"""The catalogue of faults, read from `catalogue.yaml` beside this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from emulator.faults.columns import COLUMNS
from emulator.faults.course import Course
from emulator.faults.kinds import CourseKind, FaultKind, PlaceKind
from fleet.errors import ConfigurationError
from fleet.topology import LoopKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """Where a kind may strike, how badly, how it grows, and what people should know of it."""

    place: PlaceKind
    loops: frozenset[LoopKind]
    """Kinds that have what breaks."""
    low: float
    high: float
    unit: str
    default: float
    course: Course
    acts_on: tuple[str, ...]
    """Fields of `FaultColumns`; empty for faults of sensors."""
    presets: Mapping[str, float]
    """Severities with a name of their own."""
    what: str
    shows: str
    """How it looks from outside."""
    remedy: str
    source: str
    """Where the figures come from; "estimate" where nobody publishes them."""

    @property
    def all_or_nothing(self) -> bool:
        return self.low == self.high


@cache
def catalogue() -> Mapping[FaultKind, FaultSpec]:
    """Every kind; ConfigurationError when the file is not what it should be."""
    text = resources.files(__package__).joinpath("catalogue.yaml").read_text("utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    missing, unknown = set(FaultKind) - entries.keys(), entries.keys() - set(FaultKind)
    if missing or unknown:
        odd = ", ".join(sorted(missing | unknown))
        raise ConfigurationError(f"catalogue.yaml and FaultKind do not agree on: {odd}")
    return MappingProxyType({kind: _spec(kind, entries[kind]) for kind in FaultKind})


def _spec(kind: FaultKind, entry: dict[str, Any]) -> FaultSpec:
    try:
        span = entry["severity"]
        spec = FaultSpec(
            place=PlaceKind(entry["place"]),
            loops=frozenset(map(LoopKind, entry.get("loops", LoopKind))),
            low=float(span["low"]),
            high=float(span["high"]),
            unit=span["unit"],
            default=float(span["default"]),
            course=_course(entry["course"]),
            acts_on=tuple(entry["acts_on"]),
            presets=MappingProxyType({k: float(v) for k, v in entry.get("presets", {}).items()}),
            what=entry["what"],
            shows=entry["shows"],
            remedy=entry["remedy"],
            source=entry["source"],
        )
        spec.course.validate()
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"catalogue.yaml, {kind}: {error!r}") from error
    severities = (spec.default, *spec.presets.values())
    if not all(spec.low <= value <= spec.high for value in severities):
        raise ConfigurationError(f"catalogue.yaml, {kind}: a severity is outside its own span")
    if set(spec.acts_on) - COLUMNS.keys():
        raise ConfigurationError(f"catalogue.yaml, {kind}: acts on an unknown column")
    return spec


def _course(entry: dict[str, Any]) -> Course:
    return Course(**{**entry, "kind": CourseKind(entry["kind"])})


def fault_kind(name: str) -> FaultKind:
    """ConfigurationError with the nearest name, if any is near."""
    try:
        return FaultKind(name)
    except ValueError:
        near = get_close_matches(name, FaultKind, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError(
            f"unknown fault {name!r}{hint} (`isotherm emulator faults` lists them all)"
        ) from None


def usual_course(
    kind: FaultKind,
    course: CourseKind | None,
    *,
    over_s: float | None = None,
    period_s: float | None = None,
    duty_ratio: float | None = None,
    seed: int | None = None,
) -> Course:
    """The course of a kind, with what is given in place of its own."""
    own = catalogue()[kind].course
    return Course(
        kind=own.kind if course is None else course,
        over_s=own.over_s if over_s is None else over_s,
        period_s=own.period_s if period_s is None else period_s,
        duty_ratio=own.duty_ratio if duty_ratio is None else duty_ratio,
        seed=own.seed if seed is None else seed,
    )
