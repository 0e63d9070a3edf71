"""What a loop's cycle was decided on, and what was decided; the same again gives the same bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from controller.cooling.control import CoolingEffect, ManualOrder, TripReset
from controller.cooling.estimate import LoopReadings
from controller.cooling.loop import LoopControl, advance
from controller.cooling.settings import CoolingSettings
from fleet.errors import MalformedMessageError


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle of one loop. `settings` and `before` stand where a recording of the loop begins
    anew; elsewhere the control of the decision before is what this one started from.
    """

    loop: str
    at_unix_ns: int
    cause: str
    readings: LoopReadings
    order: ManualOrder | None
    resets: tuple[TripReset, ...]
    outcome: bytes
    settings: CoolingSettings | None = None
    before: LoopControl | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A recorded decision taken again."""

    decision: Decision
    outcome: bytes
    """What came out now."""

    @property
    def same(self) -> bool:
        return self.outcome == self.decision.outcome


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Decision)


def encode_decision(decision: Decision) -> bytes:
    return _encoder.encode(decision)


def decode_decision(data: bytes) -> Decision:
    """Raises MalformedMessageError when the bytes are no decision."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not a decision: {error}") from error


def outcome_of(control: LoopControl, effects: Iterable[CoolingEffect]) -> bytes:
    """Everything that was decided: effects in their order, and what the control remembers."""
    told = [(type(effect).__name__, effect) for effect in effects]
    return _encoder.encode((told, control))


class DecisionBook:
    """Makes decisions to keep out of cycles, and knows which need their beginning told."""

    def __init__(self) -> None:
        self._last: dict[str, LoopControl] = {}

    def begin(self) -> None:
        """The next decision of each loop tells its beginning: a new file stands for itself."""
        self._last.clear()

    def decided(
        self,
        before: LoopControl,
        after: LoopControl,
        effects: Iterable[CoolingEffect],
        *,
        cause: str,
        order: ManualOrder | None,
        resets: tuple[TripReset, ...],
        settings: CoolingSettings,
    ) -> Decision | None:
        """None for a cycle without readings."""
        if after.readings is None:
            return None
        goes_on = self._last.get(after.loop_id) is before
        self._last[after.loop_id] = after
        return Decision(
            loop=after.loop_id,
            at_unix_ns=after.at_unix_ns,
            cause=cause,
            readings=after.readings,
            order=order,
            resets=resets,
            outcome=outcome_of(after, effects),
            settings=None if goes_on else settings,
            before=None if goes_on else before,
        )


def replay(decisions: Iterable[Decision]) -> Iterator[Replayed]:
    """Each decision once more, from its recorded readings. Those of a loop whose beginning is not
    in the recording are passed over.
    """
    controls: dict[str, tuple[LoopControl, CoolingSettings]] = {}
    for decision in decisions:
        if decision.before is not None and decision.settings is not None:
            controls[decision.loop] = decision.before, decision.settings
        if decision.loop not in controls:
            continue
        control, settings = controls[decision.loop]
        after, effects = advance(
            control,
            decision.readings,
            at_unix_ns=decision.at_unix_ns,
            cause=decision.cause,
            order=decision.order,
            resets=decision.resets,
            settings=settings,
        )
        controls[decision.loop] = after, settings
        yield Replayed(decision=decision, outcome=outcome_of(after, effects))
