"""Facts that crossed a border, each with what caused it."""

from enum import StrEnum
from typing import Final

import msgspec

from fleet.errors import MalformedMessageError


class EventKind(StrEnum):
    AGENT_STARTED = "agent_started"  # subject: agent id
    GUARD_TRIPPED = "guard_tripped"  # subject: agent id; detail: reason, level
    LEASE_LAPSED = "lease_lapsed"  # subject: CDU id; its own loop has taken over
    DESIRED_CHANGED = "desired_changed"  # subject: what the API wrote in the store
    INCIDENT_OPENED = "incident_opened"  # subject: incident id
    INCIDENT_ACKNOWLEDGED = "incident_acknowledged"  # subject: incident id
    INCIDENT_RESOLVED = "incident_resolved"  # subject: incident id
    JOB_PLACED = "job_placed"  # subject: job id
    JOB_STOPPED = "job_stopped"  # subject: job id
    SLED_CORDONED = "sled_cordoned"  # subject: sled id
    SLED_UNCORDONED = "sled_uncordoned"  # subject: sled id
    LOOP_MODE_CHANGED = "loop_mode_changed"  # subject: loop id; detail: mode, reason


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    kind: EventKind
    subject: str
    at_unix_ns: int
    cause: str
    detail: dict[str, str] = {}


_decoder: Final = msgspec.msgpack.Decoder(Event)
_encoder: Final = msgspec.msgpack.Encoder()


def encode_event(event: Event) -> bytes:
    return _encoder.encode(event)


def decode_event(data: bytes) -> Event:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not an event: {error}") from error
