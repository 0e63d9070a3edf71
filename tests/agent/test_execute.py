from pathlib import Path

import pytest

from agent.durable import AgentMemory
from agent.execute import Executor
from fleet.clock import ManualClock
from fleet.commands import CapPower, Command, Outcome
from fleet.errors import CommandRefusedError, DeviceError
from tests.agent.builders import SLED, command

CAP = CapPower(cap_ratio=0.5)


class Recorder:
    def __init__(self, error: Exception | None = None) -> None:
        self.applied: list[str] = []
        self.error = error

    def __call__(self, taken: Command) -> str:
        self.applied.append(taken.id)
        if self.error is not None:
            raise self.error
        return "done"


def executor(directory: Path, clock: ManualClock, apply: Recorder) -> Executor:
    return Executor(SLED, AgentMemory(directory, SLED), clock, apply)


def test_an_expired_command_is_refused(tmp_path: Path) -> None:
    clock, apply = ManualClock(), Recorder()
    late = command(CAP, clock, lease_s=5.0)
    clock.advance(5.0)
    assert executor(tmp_path, clock, apply).execute(late).outcome is Outcome.REFUSED_EXPIRED
    assert not apply.applied


def test_a_lower_term_is_refused_even_after_a_restart(tmp_path: Path) -> None:
    clock, apply = ManualClock(), Recorder()
    assert (
        executor(tmp_path, clock, apply).execute(command(CAP, clock, term=7)).outcome
        is Outcome.APPLIED
    )
    restarted = executor(tmp_path, clock, apply)
    assert restarted.execute(command(CAP, clock, term=6)).outcome is Outcome.REFUSED_TERM
    assert restarted.execute(command(CAP, clock, term=7)).outcome is Outcome.APPLIED


def test_a_command_that_comes_twice_is_done_once(tmp_path: Path) -> None:
    clock, apply = ManualClock(), Recorder()
    once = command(CAP, clock)
    taken = executor(tmp_path, clock, apply)
    first = taken.execute(once)
    clock.advance(60.0)
    assert taken.execute(once) == first
    assert apply.applied == [once.id]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (CommandRefusedError("too low"), Outcome.REFUSED_LIMITS),
        (DeviceError("no answer"), Outcome.FAILED),
    ],
)
def test_what_goes_wrong_is_in_the_answer(
    tmp_path: Path, error: Exception, outcome: Outcome
) -> None:
    clock = ManualClock()
    ack = executor(tmp_path, clock, Recorder(error)).execute(command(CAP, clock))
    assert (ack.outcome, ack.detail) == (outcome, str(error))


def test_a_term_that_can_not_be_stored_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, apply = ManualClock(), Recorder()
    memory = AgentMemory(tmp_path, SLED)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.durable.write_synced", full)
    ack = Executor(SLED, memory, clock, apply).execute(command(CAP, clock, term=3))
    assert (ack.outcome, memory.term, apply.applied) == (Outcome.FAILED, 0, [])


def test_each_start_is_a_new_epoch(tmp_path: Path) -> None:
    assert [AgentMemory(tmp_path, SLED).epoch for _ in range(3)] == [1, 2, 3]
