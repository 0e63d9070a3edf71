import msgspec
import pytest

from fleet.errors import MalformedMessageError
from fleet.events import (
    EventKind,
    LossReason,
    Tombstone,
    decode_event,
    encode_event,
    tombstone_event,
    tombstone_of,
)

STONE = Tombstone(
    agent="h1/us01/r1/s01",
    epoch=3,
    first_seq=11,
    last_seq=70,
    t0_unix_ns=1_760_000_000_000_000_000,
    t1_unix_ns=1_760_000_059_000_000_000,
    reason=LossReason.THINNED,
)
EVENT = tombstone_event(STONE, at_unix_ns=5, cause="spool full")


def test_a_tombstone_travels_as_an_event() -> None:
    there = decode_event(encode_event(EVENT))
    assert tombstone_of(there) == STONE
    assert (there.subject, there.kind) == (STONE.agent, EventKind.FRAMES_DECLARED)


def test_told_twice_it_has_one_id() -> None:
    again = tombstone_event(STONE, at_unix_ns=9, cause="restart")
    other = tombstone_event(
        msgspec.structs.replace(STONE, reason=LossReason.DROPPED), at_unix_ns=5, cause="age"
    )
    assert again.id == EVENT.id != other.id


@pytest.mark.parametrize(
    "detail",
    [
        {},
        EVENT.detail | {"first_seq": "many"},
        EVENT.detail | {"reason": "eaten"},
        EVENT.detail | {"more": "1"},
    ],
)
def test_what_is_no_whole_tombstone_is_refused(detail: dict[str, str]) -> None:
    with pytest.raises(MalformedMessageError):
        tombstone_of(msgspec.structs.replace(EVENT, detail=detail))


def test_another_event_is_no_tombstone() -> None:
    other = msgspec.structs.replace(EVENT, kind=EventKind.JOB_PLACED)
    with pytest.raises(MalformedMessageError, match="no tombstone"):
        tombstone_of(other)
