import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.spool import Opaque, Spool, SpoolSettings
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError

SMALL = SpoolSettings(max_bytes=4000, segment_bytes=1000)


def opened(directory: Path, settings: SpoolSettings = SMALL) -> Spool:
    return Spool(directory, settings, ManualClock())


def payloads(spool: Spool) -> list[bytes]:
    records = spool.lend(10_000)
    spool.give_back(record.index for record in records)
    return [record.payload for record in records]


def test_what_was_appended_is_there_after_a_crash(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for number in range(20):
        spool.append(b"message %d" % number)
    # Nothing is closed: the next one finds what a killed process leaves.
    again = opened(tmp_path)
    assert payloads(again) == [b"message %d" % number for number in range(20)]
    assert again.append(b"next") == 21


def test_what_was_confirmed_does_not_come_back(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    indexes = [spool.append(bytes(200)) for _ in range(12)]
    spool.confirm(indexes[:7])
    again = opened(tmp_path)
    assert [record.index for record in again.lend(100)] == indexes[7:]


def test_confirmed_segments_leave_the_disk(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for _ in range(40):
        spool.confirm([spool.append(bytes(200))])
    assert len(list(tmp_path.glob("*.seg"))) <= 1
    assert len(spool) == 0


@given(cut=st.integers(1, 59), noise=st.binary(max_size=40))
def test_a_torn_tail_costs_the_torn_record_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    spool = opened(directory)
    for number in range(3):
        spool.append(b"%036d" % number)
    segment = next(directory.glob("*.seg"))
    whole = segment.read_bytes()
    segment.write_bytes(whole[: len(whole) - cut] + noise)
    again = opened(directory)
    kept = payloads(again)
    assert kept == [b"%036d" % number for number in range(len(kept))]
    assert len(kept) == 2
    assert again.counts["spool_torn_bytes"] > 0
    again.append(b"after")
    last = opened(directory)
    assert payloads(last) == [*kept, b"after"]
    for one in (spool, again, last):
        one.close()


def test_a_damaged_mark_loses_nothing(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(b"one")
    (tmp_path / "confirmed").write_bytes(b"\xff" * 12)
    assert payloads(opened(tmp_path)) == [b"one"]


class Losses(Opaque):
    """Remembers what it was told to declare; nothing can be thinned."""

    def __init__(self) -> None:
        self.declared: list[tuple[bytes, bool]] = []
        self.after_torn: list[bytes | None] = []

    def dropped(self, payloads: Sequence[bytes], *, durable: bool) -> None:
        self.declared += [(payload, durable) for payload in payloads]

    def torn(self, last: bytes | None) -> None:
        self.after_torn.append(last)


def test_when_full_the_oldest_goes_and_is_declared(tmp_path: Path) -> None:
    losses = Losses()
    spool = Spool(tmp_path, SMALL, ManualClock(), contents=losses)
    for number in range(50):
        spool.append(b"%03d" % number + bytes(200))
        spool.make_room()
    kept = [int(payload[:3]) for payload in payloads(spool)]
    dropped = [int(payload[:3]) for payload, durable in losses.declared if durable]
    assert dropped + kept == list(range(50))
    assert spool.counts["spool_dropped"] == len(dropped) > 0
    assert spool.size_bytes <= SMALL.max_bytes
    assert len(spool) == len(kept)


def test_what_is_under_way_is_not_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SMALL, ManualClock())
    for _ in range(4):
        spool.append(bytes(200))
    lent = spool.lend(2)
    for _ in range(40):
        spool.append(bytes(200))
        spool.make_room()
    spool.give_back(record.index for record in lent)
    assert [record.index for record in spool.lend(2)] == [record.index for record in lent]


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = Spool(tmp_path, SpoolSettings(segment_bytes=1000, max_age_s=60.0), clock)
    for _ in range(10):
        spool.append(bytes(200))
    clock.advance(120.0)
    spool.append(b"young")
    spool.make_room()
    assert payloads(spool)[-1] == b"young"
    assert spool.counts["spool_dropped"] >= 5


def test_what_is_confirmed_out_of_order_comes_back_only_after_a_crash(tmp_path: Path) -> None:
    spool = opened(tmp_path / "before")
    for number in range(6):
        spool.append(b"%d" % number)
    spool.confirm([4, 5])
    assert payloads(spool) == [b"0", b"1", b"2", b"5"]
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    assert payloads(opened(tmp_path / "after"))[0] == b"0"
    spool.confirm([1, 2, 3])
    assert payloads(spool) == [b"5"]
    shutil.copytree(tmp_path / "before", tmp_path / "last")
    assert payloads(opened(tmp_path / "last")) == [b"5"]


def test_lanes_are_lent_apart(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for number in range(10):
        spool.append(b"%d" % number)
    assert [record.index for record in spool.lend(2, after=7)] == [8, 9]
    assert [record.index for record in spool.lend(9, until=3)] == [1, 2, 3]
    assert [record.index for record in spool.lend(9)] == [4, 5, 6, 7, 10]
    assert spool.lend(9) == []


def test_a_torn_tail_is_told(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(b"one")
    spool.append(b"two")
    segment = next(tmp_path.glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:-1])
    losses = Losses()
    again = Spool(tmp_path, SMALL, ManualClock(), contents=losses)
    assert losses.after_torn == [b"one"]
    assert payloads(again) == [b"one"]


def test_all_segments_are_synced_not_only_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path)
    for _ in range(12):
        spool.append(bytes(200))
    segments = len(list(tmp_path.glob("*.seg")))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    spool.sync()
    assert (len(synced), segments > 1) == (segments, True)
    spool.sync()
    assert len(synced) == segments


def test_a_disk_that_takes_nothing_is_bridged_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path, SpoolSettings(max_unwritten=3))
    spool.append(b"on disk")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        for number in range(5):
            spool.append(b"%d" % number)
    spool.append(b"again on disk")
    assert payloads(spool) == [b"on disk", b"2", b"3", b"4", b"again on disk"]
    assert (spool.counts["spool_write_failures"], spool.counts["spool_dropped"]) == (5, 2)
    spool.confirm(range(1, 6))
    assert payloads(opened(tmp_path)) == [b"again on disk"]


def test_a_place_that_can_not_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="spool in"):
        opened(tmp_path / "file" / "spool")


def test_bounds_that_hold_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        SpoolSettings(max_bytes=10, segment_bytes=10).validate()
