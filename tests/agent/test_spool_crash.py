"""Wherever the process or the power ends, nothing is lost undeclared and nothing sent twice
beyond the mark: at every write, sync, rename and deletion.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.spool import Opaque, Record, Spool, SpoolSettings, Thinned
from fleet.clock import ManualClock
from tests.agent.failing_disk import FailingDisk, Killed

SETTINGS = SpoolSettings(max_bytes=1500, segment_bytes=400)


def payload(numbers: Sequence[int]) -> bytes:
    return msgspec.json.encode(list(numbers)).ljust(90)


def numbers_of(data: bytes) -> list[int]:
    return msgspec.json.decode(data, type=list[int])


class Numbers(Opaque):
    """Payloads are lists of numbers; four become one."""

    def __init__(self) -> None:
        self.dropped_numbers: set[int] = set()
        self.thinned_numbers: set[int] = set()

    def span_s(self, payload: bytes) -> float:
        held = len(numbers_of(payload))
        return 1.0 if held == 1 else 10.0 if held <= 4 else 60.0

    def thin(self, records: Sequence[Record], span_s: float) -> Thinned | None:  # type: ignore[override]
        groups = [records[at : at + 4] for at in range(0, len(records), 4)]
        merged = [
            Record(group[-1].index, payload([n for r in group for n in numbers_of(r.payload)]))
            for group in groups
        ]
        gone = {number for record in records for number in numbers_of(record.payload)}
        return Thinned(records=merged, declare=lambda: self.thinned_numbers.update(gone))

    def dropped(self, payloads: Sequence[bytes], *, durable: bool) -> None:
        self.dropped_numbers.update(number for p in payloads for number in numbers_of(p))


class Story:
    """What was done to a spool, as far as the one who did it knows."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.contents = Numbers()
        self.appended = 0
        self.begun = 0
        self.synced = 0
        self.delivered: set[int] = set()
        self.confirmed: set[int] = set()
        self._spool: Spool | None = None

    def run(self, deeds: Sequence[str]) -> None:
        self._spool = self._open()
        for deed in deeds:
            self._do(self._spool, deed)

    def _open(self) -> Spool:
        return Spool(self._directory, SETTINGS, ManualClock(), contents=self.contents)

    def _do(self, spool: Spool, deed: str) -> None:
        match deed:
            case "append":
                self.begun += 1
                spool.append(payload([self.begun]))
                self.appended = self.begun
            case "sync":
                spool.sync()
                self.synced = self.appended
            case "room":
                spool.make_room()
            case "new":
                self._deliver(spool, spool.lend(2, after=spool.newest - 2))
            case "old":
                self._deliver(spool, spool.lend(5))
            case "lost":
                spool.give_back([record.index for record in spool.lend(3)])

    def _deliver(self, spool: Spool, records: Sequence[Record]) -> None:
        numbers = {number for record in records for number in numbers_of(record.payload)}
        self.delivered |= numbers  # the bus has them, whatever comes of the word of it
        spool.confirm([record.index for record in records])
        self.confirmed |= numbers

    def left(self) -> list[int]:
        again = self._open()
        found = [number for r in again.lend(10_000) for number in numbers_of(r.payload)]
        again.close()
        return found


def killed(directory: Path, deeds: Sequence[str], disk: FailingDisk) -> tuple[Story, bool]:
    story = Story(directory)
    with disk.installed():
        try:
            story.run(deeds)
        except Killed:
            return story, True
    return story, False


def check(story: Story, promised: int) -> None:
    left = story.left()
    assert len(left) == len(set(left)), "twice"
    assert set(left) <= set(range(1, story.begun + 1)), "invented"
    accounted = {*left} | story.delivered | story.contents.dropped_numbers
    assert set(range(1, promised + 1)) <= accounted, "lost"


deeds = st.lists(
    st.sampled_from(["append"] * 12 + ["sync"] * 3 + ["room"] * 4 + ["old", "new", "lost"]),
    max_size=150,
)


@given(deeds=deeds, last=st.integers(0, 300), tear=st.integers(0, 120))
def test_a_killed_process_loses_nothing_it_had_appended(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[str], last: int, tear: int
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    story, _ = killed(directory, deeds, FailingDisk(last, tear=tear))
    check(story, story.appended)


@given(deeds=deeds, last=st.integers(0, 300))
def test_a_power_cut_takes_only_what_was_not_synced(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[str], last: int
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    disk = FailingDisk(last)
    story, _ = killed(directory, deeds, disk)
    disk.cut_power(directory)
    check(story, story.synced)


FILLING = ["append", "append", "append", "sync", "room"] * 15
EMPTYING = ["old", "sync", "append", "new", "room"] * 8


@pytest.mark.parametrize("power", [False, True])
def test_every_single_step_may_be_the_last(tmp_path: Path, power: bool) -> None:
    """One story in which segments fill, are thinned twice, dropped, confirmed and deleted."""
    story_deeds = FILLING + EMPTYING
    step, ended = 0, True
    while ended:
        directory = tmp_path / str(step)
        directory.mkdir()
        disk = FailingDisk(step)
        story, ended = killed(directory, story_deeds, disk)
        if power:
            disk.cut_power(directory)
        check(story, story.synced if power else story.appended)
        step += 1
    assert story.contents.thinned_numbers
    assert story.contents.dropped_numbers
    assert step > 150


def test_what_the_mark_covers_is_not_sent_again(tmp_path: Path) -> None:
    for step in range(0, 400, 3):
        directory = tmp_path / str(step)
        directory.mkdir()
        deeds = ["append", "append", "sync", "old"] * 40
        story, _ = killed(directory, deeds, FailingDisk(step))
        assert not story.confirmed & set(story.left())
