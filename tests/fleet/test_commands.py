import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.commands import (
    Ack,
    CapPower,
    Command,
    Outcome,
    SetCooling,
    decode_ack,
    decode_command,
    encode,
)
from fleet.errors import MalformedMessageError
from fleet.events import Event, EventKind, decode_event, encode_event


def make_command(**changes: object) -> Command:
    command = Command(
        id="c1",
        target="h1/cdu01",
        cause="h1/cdu01@1.9",
        issued_at_unix_ns=1,
        expires_at_unix_ns=2,
        term=1,
        seq=1,
        action=SetCooling(valve_ratio=0.5, pump_ratio=0.6, supply_c=40.0),
    )
    return msgspec.structs.replace(command, **changes)


def test_a_command_survives_the_wire() -> None:
    for command in (make_command(), make_command(action=CapPower(cap_ratio=0.2))):
        assert decode_command(encode(command)) == command


@pytest.mark.parametrize(
    "action",
    [
        SetCooling(valve_ratio=1.5, pump_ratio=0.6, supply_c=40.0),
        SetCooling(valve_ratio=0.5, pump_ratio=float("nan"), supply_c=40.0),
        SetCooling(valve_ratio=0.5, pump_ratio=0.6, supply_c=313.15),
        CapPower(cap_ratio=-0.1),
    ],
)
def test_impossible_values_do_not_decode(action: SetCooling | CapPower) -> None:
    with pytest.raises(MalformedMessageError):
        decode_command(encode(make_command(action=action)))


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoders(data: bytes) -> None:
    for decode in (decode_command, decode_ack, decode_event):
        with pytest.raises(MalformedMessageError):
            decode(data)


def test_acks_and_events_survive_the_wire() -> None:
    ack = Ack(
        command_id="c1",
        target="h1/cdu01",
        term=1,
        seq=1,
        outcome=Outcome.REFUSED_TERM,
        detail="term 1 is below 2",
        at_unix_ns=3,
    )
    assert decode_ack(encode(ack)) == ack
    event = Event(
        id="e1", kind=EventKind.GUARD_TRIPPED, subject="h1/us01/r1/s01", at_unix_ns=3, cause="c1"
    )
    assert decode_event(encode_event(event)) == event
