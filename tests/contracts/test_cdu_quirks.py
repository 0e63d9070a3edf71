"""A CDU whose firmware spells its readings in its own way, as the agent reads it."""

import pytest

from agent.inputs.cdu_redfish import CduRedfishInput
from emulator.devices.cdu_redfish import UNIT, CduIdentity, CduRedfish
from fleet.clock import ManualClock
from tests.emulator.devices.builders import HandHall


def cdu(*, as_text: bool) -> CduRedfish:
    described = CduIdentity(readings_as_text=as_text)
    return CduRedfish(HandHall(), 0, ManualClock(), described)


def test_readings_as_text_are_the_same_readings() -> None:
    plain, texts = cdu(as_text=False), cdu(as_text=True)
    _, body = texts.request("GET", f"{UNIT}/SecondaryCoolantConnectors/1")
    assert b'"Reading":"40"' in body
    seen = CduRedfishInput(plain).read(0.0)
    told = CduRedfishInput(texts).read(0.0)
    assert (seen.errors, told.errors) == ((), ())
    assert told.values == pytest.approx(dict(seen.values))
    assert len(told.values) > 10
