"""What can not be read goes here with its reason, so that a person can look at it later."""

from enum import StrEnum
from typing import Final

import msgspec
import structlog

from fleet.bus import Bus, Record
from fleet.topics import DEAD_LETTERS

_log = structlog.get_logger(__name__)


class Reason(StrEnum):
    MALFORMED = "malformed"  # not what it claims to be
    UNKNOWN_LOOP = "unknown_loop"  # the fleet has no such cooling loop
    WRONG_KEY = "wrong_key"  # a loop's, in a partition that its key does not lead to
    UNKNOWN_AGENT = "unknown_agent"  # the loop has no such agent
    WRONG_CLOCK = "wrong_clock"  # measured long ago or in the future, by the agent's own clock
    FORGOTTEN_LIFE = "forgotten_life"  # of a start of its agent too long ago to know what is stored
    UNKNOWN_SCHEMA = "unknown_schema"  # its schema document did not come in time


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message as it was read, where it stood, and why it was set aside."""

    reason: Reason
    detail: str
    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(DeadLetter)


def decode_dead_letter(data: bytes) -> DeadLetter:
    return _decoder.decode(data)


def set_aside(bus: Bus, record: Record, reason: Reason, detail: str) -> None:
    letter = DeadLetter(
        reason=reason,
        detail=detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
    )
    _log.warning(
        "message_set_aside",
        reason=reason.value,
        detail=detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )
    bus.publish(DEAD_LETTERS, key=reason.value, value=_encoder.encode(letter))
