"""What the bus in files keeps over restarts, crashes and a full disk; what it shares with every
bus is in tests/contracts.
"""

import errno
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.bus import Bus, Start
from fleet.bus_local import LocalBus, LocalBusSettings
from fleet.clock import ManualClock
from fleet.errors import BusError, ConfigurationError
from fleet.topics import Topic

FACTS = Topic(name="facts", partitions=2)
DOCUMENTS = Topic(name="documents", partitions=1, compacted=True)
SIGHTS = Topic(name="sights", partitions=1, volatile=True)
TOPICS = (FACTS, DOCUMENTS, SIGHTS)
SMALL = LocalBusSettings(max_partition_bytes=4000, segment_bytes=1000)


def opened(
    directory: Path, settings: LocalBusSettings = SMALL, clock: ManualClock | None = None
) -> LocalBus:
    return LocalBus(directory, clock or ManualClock(), TOPICS, settings)


def values(bus: Bus, topic: Topic) -> list[bytes]:
    return [record.value for record in bus.reader(topic, start=Start.BEGINNING).poll(0.0, 10_000)]


def key_in(partition: int) -> str:
    return next(k for k in map(str, range(100)) if FACTS.partition_of(k) == partition)


def test_offsets_and_messages_go_on_after_a_crash(tmp_path: Path) -> None:
    bus = opened(tmp_path / "before", LocalBusSettings())
    for number in range(30):
        bus.publish(FACTS, key=key_in(number % 2), value=b"%d" % number).result(0)
    # Nothing is closed: this is what a killed process leaves.
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    again = opened(tmp_path / "after", LocalBusSettings())
    assert sorted(values(again, FACTS), key=int) == [b"%d" % n for n in range(30)]
    place = again.publish(FACTS, key=key_in(1), value=b"next").result(0)
    assert (place.partition, place.offset) == (1, 15)


def test_where_a_group_was_is_kept(tmp_path: Path) -> None:
    bus = opened(tmp_path)
    for number in range(3):
        bus.publish(FACTS, key=key_in(0), value=b"%d" % number)
    reader = bus.reader(FACTS, start=Start.BEGINNING, group="g")
    reader.poll(0.0, 2)
    reader.commit()
    bus.close()
    after = opened(tmp_path).reader(FACTS, start=Start.BEGINNING, group="g")
    assert [record.value for record in after.poll(0.0)] == [b"2"]


def test_what_is_worth_nothing_later_is_not_kept(tmp_path: Path) -> None:
    bus = opened(tmp_path)
    bus.publish(SIGHTS, key="k", value=b"seen")
    assert values(bus, SIGHTS) == [b"seen"]
    bus.close()
    assert values(opened(tmp_path), SIGHTS) == []
    assert not (tmp_path / SIGHTS.name).exists()


def test_the_oldest_files_go_when_there_is_too_much(tmp_path: Path) -> None:
    bus = opened(tmp_path)
    for number in range(60):
        bus.publish(FACTS, key=key_in(0), value=b"%03d" % number + bytes(200)).result(0)
    kept = [int(value[:3]) for value in values(bus, FACTS)]
    assert kept == list(range(kept[0], 60))
    assert 0 < kept[0] < 50
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*.seg"))
    assert on_disk <= SMALL.max_partition_bytes + SMALL.segment_bytes
    bus.close()
    again = opened(tmp_path)
    assert [int(value[:3]) for value in values(again, FACTS)] == kept
    reader = again.reader(FACTS, start=Start.BEGINNING, offsets={FACTS.partition_of(key_in(0)): 1})
    assert int(reader.poll(0.0)[0].value[:3]) == kept[0]  # what is gone is passed over


def test_the_oldest_files_go_when_they_are_too_old(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = opened(tmp_path, LocalBusSettings(segment_bytes=1000, max_age_s=60.0), clock)
    for _ in range(10):
        bus.publish(FACTS, key=key_in(0), value=bytes(200)).result(0)
    clock.advance(120.0)
    bus.publish(FACTS, key=key_in(0), value=b"young").result(0)
    assert values(bus, FACTS)[-1] == b"young"
    assert len(values(bus, FACTS)) <= 5


def test_compaction_keeps_the_newest_of_each_key_and_little_disk(tmp_path: Path) -> None:
    for number in range(60):
        bus = opened(tmp_path, LocalBusSettings())
        for key in ("a", "b"):
            bus.publish(DOCUMENTS, key=key, value=b"%s%02d" % (key.encode(), number) + bytes(2000))
        bus.close()
    last = opened(tmp_path, LocalBusSettings())
    assert [value[:3] for value in values(last, DOCUMENTS)] == [b"a59", b"b59"]
    assert last.publish(DOCUMENTS, key="a", value=b"a60").result(0).offset >= 120
    on_disk = sum(path.stat().st_size for path in (tmp_path / DOCUMENTS.name).rglob("*.seg"))
    assert on_disk < 60 * 2000


@given(cut=st.integers(0, 100), noise=st.binary(max_size=50))
def test_a_torn_tail_costs_torn_messages_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    directory = tmp_path_factory.mktemp("bus")
    bus = opened(directory)
    for number in range(4):
        bus.publish(FACTS, key=key_in(0), value=b"%036d" % number)
    bus.close()
    [path] = (directory / FACTS.name).rglob("*.seg")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut] + noise)
    again = opened(directory)
    kept = values(again, FACTS)
    assert kept == [b"%036d" % number for number in range(len(kept))]
    assert len(kept) >= 4 - (cut + 62) // 63
    place = again.publish(FACTS, key=key_in(0), value=b"after").result(0)
    assert (place.offset, values(again, FACTS)) == (len(kept), [*kept, b"after"])
    again.close()


def test_a_full_disk_fails_the_message_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = opened(tmp_path)
    bus.publish(FACTS, key=key_in(0), value=b"before").result(0)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(BusError, match="No space left on device"):
            bus.publish(FACTS, key=key_in(0), value=b"lost").result(0)
    assert bus.counts["write_failures"] == 1
    bus.publish(FACTS, key=key_in(0), value=b"after").result(0)
    assert values(bus, FACTS) == [b"before", b"after"]


@pytest.mark.parametrize(("sync_s", "syncs"), [(0.0, 20), (5.0, 3)])
def test_messages_are_synced_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync_s: float, syncs: int
) -> None:
    clock = ManualClock()
    bus = opened(tmp_path, LocalBusSettings(sync_s=sync_s), clock)
    bus.publish(FACTS, key=key_in(0), value=b"x")
    done: list[int] = []
    monkeypatch.setattr(os, "fsync", done.append)
    for _ in range(20):
        clock.advance(0.9)
        bus.publish(FACTS, key=key_in(0), value=b"x")
    assert len(done) == syncs


def test_two_processes_may_not_share_a_directory(tmp_path: Path) -> None:
    bus = opened(tmp_path)
    with pytest.raises(ConfigurationError, match="another process uses it"):
        opened(tmp_path)
    bus.close()
    opened(tmp_path).close()


def test_a_place_that_can_not_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="bus in"):
        opened(tmp_path / "file" / "bus")


def test_a_damaged_group_file_is_named(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "groups.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"groups\.json is damaged"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        LocalBusSettings(max_partition_bytes=10, segment_bytes=10),
        LocalBusSettings(max_age_s=0),
        LocalBusSettings(sync_s=-1),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, settings: LocalBusSettings
) -> None:
    with pytest.raises(ConfigurationError, match="bus:"):
        opened(tmp_path, settings)
