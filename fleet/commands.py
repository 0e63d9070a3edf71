"""What the controller may ask of an agent, and what the agent answers."""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from fleet.errors import MalformedMessageError

_Ratio = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class SetCooling(msgspec.Struct, frozen=True, kw_only=True, tag="set_cooling"):
    """Move a CDU's actuators; a lease: when it runs out, the CDU's own loop takes over.

    `supply_c` is the set-point that the CDU's own loop is to hold when it takes over.
    """

    valve_ratio: _Ratio
    pump_ratio: _Ratio
    supply_c: Annotated[float, msgspec.Meta(ge=5.0, le=60.0)]
    facility_c: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] | None = None
    """Facility water asked of the building; None asks nothing."""


class StartJob(msgspec.Struct, frozen=True, kw_only=True, tag="start_job"):
    """Start this sled's share of a gang. Idempotent by `job_id` and `attempt`."""

    job_id: _Name
    attempt: _Count
    model: _Name
    chips: tuple[Annotated[int, msgspec.Meta(ge=0, lt=64)], ...]  # chips of this sled
    tensor_parallel: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    gang: tuple[_Name, ...]  # every sled of the gang, this one included


class StopJob(msgspec.Struct, frozen=True, kw_only=True, tag="stop_job"):
    job_id: _Name
    attempt: _Count


class CapPower(msgspec.Struct, frozen=True, kw_only=True, tag="cap_power"):
    """Limit every chip of the sled to `cap_ratio` of its rated power; 1 lifts the limit."""

    cap_ratio: _Ratio


class SetSledPower(msgspec.Struct, frozen=True, kw_only=True, tag="set_sled_power"):
    on: bool


class ResetGuard(msgspec.Struct, frozen=True, kw_only=True, tag="reset_guard"):
    """A person's word that a latched local trip may be lifted."""

    actor: _Name
    reason: _Name


Action = SetCooling | StartJob | StopJob | CapPower | SetSledPower | ResetGuard


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`term` is the sender's fencing token: a receiver refuses lower ones than it has seen.

    `cause` is the id of what led to the command (a frame, an incident, a request).
    """

    id: _Name
    target: _Name  # agent id: a sled's or a CDU's
    cause: str
    issued_at_unix_ns: _Count
    expires_at_unix_ns: _Count
    term: _Count
    seq: _Count
    action: Action


class Outcome(StrEnum):
    APPLIED = "applied"  # done, and the device took it
    REFUSED_EXPIRED = "refused_expired"  # came too late
    REFUSED_TERM = "refused_term"  # a newer controller has spoken
    REFUSED_LIMITS = "refused_limits"  # outside what this agent allows
    FAILED = "failed"  # the device did not take it
    LAPSED = "lapsed"  # the lease ran out; the local default is in force


class Ack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command_id: str
    target: str
    term: int
    seq: int
    outcome: Outcome
    detail: str
    at_unix_ns: int


_command_decoder: Final = msgspec.msgpack.Decoder(Command)
_ack_decoder: Final = msgspec.msgpack.Decoder(Ack)
_encoder: Final = msgspec.msgpack.Encoder()


def encode(message: Command | Ack) -> bytes:
    return _encoder.encode(message)


def decode_command(data: bytes) -> Command:
    try:
        return _command_decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not a command: {error}") from error


def decode_ack(data: bytes) -> Ack:
    try:
        return _ack_decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not an acknowledgement: {error}") from error
