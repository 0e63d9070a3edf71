"""Facts that crossed a border, each with what caused it."""

from enum import StrEnum
from typing import Final

import msgspec

from fleet.errors import MalformedMessageError


class EventKind(StrEnum):
    AGENT_STARTED = "agent_started"  # subject: agent id; detail: epoch, loss_window_s
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
    FRAMES_DECLARED = "frames_declared"  # subject: agent id; detail: as `Tombstone`
    SLED_ANNOUNCED = "sled_announced"  # subject: sled id; detail: as `fleet.identity` has it


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    kind: EventKind
    subject: str
    at_unix_ns: int
    cause: str
    detail: dict[str, str] = {}


class LossReason(StrEnum):
    THINNED = "thinned"  # only statistics of these frames are left, in frames of a stat schema
    DROPPED = "dropped"  # beyond the spool's bounds, or the disk took nothing for too long
    TORN = "torn"  # a crash tore the end of what was written


class Tombstone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent's word that frames of its spool will not come, or not as they were measured.

    `first_seq` to `last_seq`, both included; a `last_seq` of 0 means to the end of that epoch, a
    `first_seq` of 0 that it is not known where the loss begins. Times are from the beginning of the
    first to the end of the last, 0 where not known.
    """

    agent: str
    epoch: int
    first_seq: int
    last_seq: int
    t0_unix_ns: int
    t1_unix_ns: int
    reason: LossReason


_decoder: Final = msgspec.msgpack.Decoder(Event)
_encoder: Final = msgspec.msgpack.Encoder()


def encode_event(event: Event) -> bytes:
    return _encoder.encode(event)


def decode_event(data: bytes) -> Event:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not an event: {error}") from error


def tombstone_event(stone: Tombstone, *, at_unix_ns: int, cause: str) -> Event:
    """The event's id names what it is about, so that told twice it is known."""
    span = f"{stone.agent}@{stone.epoch}.{stone.first_seq}-{stone.last_seq}"
    return Event(
        id=f"{span}.{stone.reason}",
        kind=EventKind.FRAMES_DECLARED,
        subject=stone.agent,
        at_unix_ns=at_unix_ns,
        cause=cause,
        detail={
            name: str(value)
            for name, value in msgspec.structs.asdict(stone).items()
            if name != "agent"
        },
    )


def tombstone_of(event: Event) -> Tombstone:
    """Raises MalformedMessageError when the event is no tombstone, or not a whole one."""
    if event.kind is not EventKind.FRAMES_DECLARED:
        raise MalformedMessageError(f"event {event.id} is a {event.kind}, no tombstone")
    try:
        return msgspec.convert(event.detail | {"agent": event.subject}, Tombstone, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedMessageError(f"event {event.id}: {error}") from error
