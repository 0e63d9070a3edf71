"""LeakDetector of Redfish (v1.6), with the reactions that may be written to one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from emulator.devices.redfish import Resource, identity
from emulator.devices.redfish_rules import Flag, Number, OneOf, Rule, Written
from emulator.readings import LeakPolicy, LeakReaction
from fleet.metrics import LeakState

_HEALTHS: Final = {LeakState.WARNING: "Warning", LeakState.CRITICAL: "Critical"}
_STATES: Final = {LeakState.UNAVAILABLE: "UnavailableOffline", LeakState.ABSENT: "Absent"}
_LONGEST_DELAY_S: Final = 3600.0
_REACTION: Final = OneOf(allowed=tuple(LeakReaction))
_RULES: Final[Mapping[str, Rule]] = {
    "Enabled": Flag(),
    "WarningReactionType": _REACTION,
    "CriticalReactionType": _REACTION,
    "ReactionDelaySeconds": Number(low=0.0, high=_LONGEST_DELAY_S, unit="s"),
}


def leak_detector(path: str, state: Callable[[], LeakState], kind: str = "Moisture") -> Resource:
    """One DetectorState; `kind` is a Redfish LeakDetectorType: a rope, or a `FloatSwitch`."""
    fixed = _fixed(path, kind)
    return Resource(path=path, render=lambda: msgspec.json.encode({**fixed, **_told(state())}))


def reacting_leak_detector(
    path: str,
    state: Callable[[], LeakState],
    policy: Callable[[], LeakPolicy],
    keep: Callable[[LeakPolicy], None],
) -> Resource:
    """The same, with a policy that can be read and written."""
    fixed = _fixed(path, "Moisture")

    def render() -> bytes:
        now = policy()
        told = _told(state()) if now.enabled else _told(LeakState.UNAVAILABLE)
        if not now.enabled:
            told["Status"] = {"State": "Disabled", "Health": "OK"}
        return msgspec.json.encode(
            {
                **fixed,
                **told,
                "Enabled": now.enabled,
                "WarningReactionType": now.on_warning.value,
                "CriticalReactionType": now.on_critical.value,
                "ReactionDelaySeconds": now.delay_s,
            }
        )

    def write(written: Written) -> None:
        now = policy()
        keep(
            replace(
                now,
                enabled=bool(written.get("Enabled", now.enabled)),
                on_warning=LeakReaction(str(written.get("WarningReactionType", now.on_warning))),
                on_critical=LeakReaction(str(written.get("CriticalReactionType", now.on_critical))),
                delay_s=float(written.get("ReactionDelaySeconds", now.delay_s)),
            )
        )

    return Resource(path=path, render=render, rules=_RULES, write=write)


def _fixed(path: str, kind: str) -> dict[str, object]:
    name = f"Leak detector {path.rsplit('/', 1)[1]}"
    return {**identity(path, "LeakDetector.v1_6_0", name), "LeakDetectorType": kind}


def _told(state: LeakState) -> dict[str, object]:
    status = {"State": _STATES.get(state, "Enabled"), "Health": _HEALTHS.get(state, "OK")}
    return {"DetectorState": state.value, "Status": status}
