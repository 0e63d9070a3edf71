"""What may be written to a Redfish resource, as data, and the check of a body against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from emulator.devices import redfish_errors as errors

Written = dict[str, float | str]
"""Checked values by property path such as `Oem/Isotherm/ControlMode`; a set-point object is known
by the name of its property."""


class Rule(Protocol):
    def check(self, name: str, value: object, written: Written) -> None:
        """Put what `value` says into `written`, or raise RedfishError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number within a span."""

    low: float
    high: float
    unit: str

    def check(self, name: str, value: object, written: Written) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise errors.wrong_type(name, value, f"a number, {self._span()}")
        if not self.low <= value <= self.high:
            raise errors.outside_span(name, value, self._span())
        written[name] = float(value)

    def _span(self) -> str:
        return f"span {self.low:g} to {self.high:g} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """true or false; written as 1 or 0."""

    def check(self, name: str, value: object, written: Written) -> None:
        if not isinstance(value, bool):
            raise errors.wrong_type(name, value, "true or false")
        written[name] = float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPoint:
    """A control excerpt: `{"SetPoint": x}`, or the bare number that some clients send."""

    number: Number

    def check(self, name: str, value: object, written: Written) -> None:
        if not isinstance(value, dict):
            self.number.check(name, value, written)
            return
        for inner in value:
            if inner != "SetPoint":
                raise errors.unknown_property(f"{name}/{inner}", (f"{name}/SetPoint",))
        if "SetPoint" not in value:
            raise errors.wrong_type(name, value, "an object with SetPoint")
        inner_written: Written = {}
        self.number.check(f"{name}/SetPoint", value["SetPoint"], inner_written)
        written[name] = inner_written[f"{name}/SetPoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """One of a list of strings, spelt exactly."""

    allowed: tuple[str, ...]

    def check(self, name: str, value: object, written: Written) -> None:
        if not isinstance(value, str):
            raise errors.wrong_type(name, value, f"one of: {', '.join(self.allowed)}")
        if value not in self.allowed:
            raise errors.not_in_list(name, value, self.allowed)
        written[name] = value


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """An object with writable properties of its own."""

    rules: Mapping[str, Rule]

    def check(self, name: str, value: object, written: Written) -> None:
        if not isinstance(value, dict):
            raise errors.wrong_type(name, value, "an object")
        check_object(self.rules, value, written, prefix=f"{name}/")


def check_object(
    rules: Mapping[str, Rule], body: Mapping[str, object], written: Written, *, prefix: str = ""
) -> None:
    """Check every property before any is applied, so that a PATCH is all or nothing."""
    for name, value in body.items():
        rule = rules.get(name)
        if rule is None:
            raise errors.unknown_property(prefix + name, tuple(prefix + known for known in rules))
        rule.check(prefix + name, value, written)


def decode_object(body: bytes | None) -> dict[str, object]:
    """The JSON object of a request body; RedfishError when it is none, or empty."""
    try:
        decoded: object = msgspec.json.decode(body or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.malformed(str(error)) from None
    if not isinstance(decoded, dict):
        raise errors.malformed(f"got {type(decoded).__name__}")
    if not decoded:
        raise errors.RedfishError(400, "EmptyJSON", "The request body is an empty JSON object.")
    return decoded
