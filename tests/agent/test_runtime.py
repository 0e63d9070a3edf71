import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agent.options import AgentOptions
from agent.publish import unpack
from agent.relay import Packing
from agent.runtime import AgentRuntime
from agent.spool import SpoolSettings
from fleet import commands
from fleet.bus import InMemoryBus, Start
from fleet.clock import ManualClock
from fleet.codec import Compression, decode_message
from fleet.commands import Ack, CapPower, Outcome, SetCooling
from fleet.errors import ConfigurationError
from fleet.events import Event, EventKind, LossReason, decode_event, tombstone_of
from fleet.frame import Frame, decode_schema, stat_schema
from fleet.topics import ACKS, COMMANDS, EVENTS, SCHEMAS, TELEMETRY
from tests.agent.builders import CDU_ID, LOOP, SLED, CduPlace, Sled, command


def frames(bus: InMemoryBus) -> list[Frame]:
    records = bus.reader(TELEMETRY, start=Start.BEGINNING).poll(0, 10_000)
    return [frame for record in records for frame in decode_message(record.value).frames]


def acks(bus: InMemoryBus) -> list[Ack]:
    records = bus.reader(ACKS, start=Start.BEGINNING).poll(0)
    return [commands.decode_ack(record.value) for record in records]


def events(bus: InMemoryBus) -> list[Event]:
    return [decode_event(r.value) for r in bus.reader(EVENTS, start=Start.BEGINNING).poll(0)]


def runtime(sled: Sled, bus: InMemoryBus) -> AgentRuntime:
    return AgentRuntime(sled.options, [sled.agent()], bus, sled.clock)


def run(host: AgentRuntime, clock: ManualClock, ticks: int) -> None:
    for _ in range(ticks):
        clock.advance(1.0)
        host.tick()


def test_a_loop_travels_in_one_message(tmp_path: Path) -> None:
    bus, clock = InMemoryBus(), ManualClock()
    names = [f"h1/us01/r1/s{number:02d}" for number in range(1, 4)]
    agents = [Sled(tmp_path, clock, name).agent() for name in names]
    host = AgentRuntime(AgentOptions(state_dir=tmp_path), agents, bus, clock)
    run(host, clock, 2)
    records = bus.reader(TELEMETRY, start=Start.BEGINNING).poll(0)
    assert [record.key for record in records] == [LOOP, LOOP]
    message = decode_message(records[0].value)
    assert (message.loop, [frame.agent for frame in message.frames]) == (LOOP, names)


def test_schemas_and_the_start_are_told(tmp_path: Path) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    run(runtime(sled, bus), sled.clock, 1)
    documents = bus.reader(SCHEMAS, start=Start.BEGINNING).poll(0)
    assert [record.key for record in documents] == [
        decode_schema(record.value).id for record in documents
    ]
    assert frames(bus)[0].schema_id == documents[0].key
    assert stat_schema(decode_schema(documents[0].value)).id == documents[1].key
    [started] = events(bus)
    assert started.kind is EventKind.AGENT_STARTED
    assert started.detail == {"epoch": "1", "loss_window_s": "1"}


def test_while_the_bus_is_away_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    host = runtime(sled, bus)
    run(host, sled.clock, 3)
    bus.available = False
    run(host, sled.clock, 100)
    assert host.backlog == 100
    bus.available = True
    run(host, sled.clock, 20)
    seqs = [frame.seq for frame in frames(bus)]
    assert sorted(seqs) == list(range(1, 124))
    # Each lane keeps its order, and what is new is never behind the backlog.
    first = seqs[3]  # the bus was asked again, in vain, just before it was made
    assert first > 90
    assert [seq for seq in seqs if seq < first] == list(range(1, first))
    assert [seq for seq in seqs if seq >= first] == list(range(first, 124))
    assert seqs.index(first + 2) < seqs.index(first - 1)
    assert (host.backlog, host.totals()["publish_failures"] > 0) == (0, True)
    assert len(bus.reader(SCHEMAS, start=Start.BEGINNING).poll(0)) == 2


def test_a_crash_between_spool_and_bus_loses_nothing(tmp_path: Path) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path / "before")
    host = runtime(sled, bus)
    run(host, sled.clock, 5)
    bus.available = False
    run(host, sled.clock, 7)
    shutil.copytree(tmp_path / "before", tmp_path / "after")  # what a killed process leaves
    bus.available = True
    after = Sled(tmp_path / "after", sled.clock)
    run(runtime(after, bus), sled.clock, 2)
    found = [(frame.epoch, frame.seq) for frame in frames(bus)]
    assert sorted(found) == [*((1, seq) for seq in range(1, 13)), (2, 1), (2, 2)]


def test_a_command_is_carried_out_and_acknowledged(tmp_path: Path) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    host = runtime(sled, bus)
    sent = command(CapPower(cap_ratio=0.5), sled.clock)
    bus.publish(COMMANDS, key=LOOP, value=commands.encode(sent))
    bus.publish(COMMANDS, key=LOOP, value=b"not a command")
    other = command(CapPower(cap_ratio=0.1), sled.clock, target="h1/us01/r1/s09")
    bus.publish(COMMANDS, key=LOOP, value=commands.encode(other))
    assert host.poll_commands() == 1
    assert set(sled.bmc.caps_w.values()) == {500.0}
    assert [(ack.command_id, ack.outcome) for ack in acks(bus)] == [(sent.id, Outcome.APPLIED)]
    assert host.totals()["malformed_commands"] == 1


def test_one_agent_that_breaks_takes_nothing_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, clock = InMemoryBus(), ManualClock()
    broken = Sled(tmp_path, clock, "h1/us01/r1/s01").agent()
    sound = Sled(tmp_path, clock, "h1/us01/r1/s02").agent()
    host = AgentRuntime(AgentOptions(state_dir=tmp_path), [broken, sound], bus, clock)

    def fail() -> Frame:
        raise RuntimeError("a bug")

    monkeypatch.setattr(broken, "tick", fail)
    run(host, clock, 3)
    assert [frame.agent for frame in frames(bus)] == [sound.agent_id] * 3
    assert host.totals()["caught"] == 3


def test_several_readers_keep_the_order_of_the_agents(tmp_path: Path) -> None:
    bus, clock = InMemoryBus(), ManualClock()
    agents = [Sled(tmp_path, clock, f"h1/us01/r1/s{n:02d}").agent() for n in range(1, 9)]
    options = AgentOptions(state_dir=tmp_path, readers=4)
    host = AgentRuntime(options, agents, bus, clock)
    run(host, clock, 1)
    assert [frame.agent for frame in frames(bus)] == [agent.agent_id for agent in agents]
    host.stop()


def test_stopping_gives_the_cdu_back_to_its_own_loop(tmp_path: Path) -> None:
    bus, place = InMemoryBus(), CduPlace(tmp_path)
    host = AgentRuntime(AgentOptions(state_dir=tmp_path), [place.agent()], bus, place.clock)
    wanted = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=38.0)
    sent = command(wanted, place.clock, target=CDU_ID)
    bus.publish(COMMANDS, key=LOOP, value=commands.encode(sent))
    host.poll_commands()
    assert place.bmc.mode == "Remote"
    host.stop()
    assert place.bmc.mode == "Local"


def test_two_agents_of_one_id_are_refused(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    with pytest.raises(ConfigurationError, match="same id"):
        AgentRuntime(sled.options, [sled.agent(), sled.agent()], InMemoryBus(), sled.clock)


def test_no_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no agent"):
        AgentRuntime(AgentOptions(state_dir=tmp_path), [], InMemoryBus(), ManualClock())


def test_threads_tick_and_stop(tmp_path: Path) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    host = runtime(sled, bus)
    reader = bus.reader(TELEMETRY, start=Start.END)
    host.start()
    found = reader.poll(5.0)
    host.stop()
    assert found
    assert decode_message(found[0].value).frames[0].agent == SLED


def declared(bus: InMemoryBus) -> set[tuple[LossReason, int, int]]:
    """(reason, epoch, seq) of every frame that a tombstone names."""
    found: set[tuple[LossReason, int, int]] = set()
    for event in events(bus):
        if event.kind is EventKind.FRAMES_DECLARED:
            stone = tombstone_of(event)
            seqs = range(stone.first_seq, stone.last_seq + 1)
            found.update((stone.reason, stone.epoch, seq) for seq in seqs)
    return found


def test_what_a_full_spool_thinned_is_declared_once_the_bus_is_back(tmp_path: Path) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    small = SpoolSettings(max_bytes=100_000, segment_bytes=12_500)
    host = AgentRuntime(replace(sled.options, spool=small), [sled.agent()], bus, sled.clock)
    bus.available = False
    run(host, sled.clock, 900)
    bus.available = True
    run(host, sled.clock, 120)
    assert host.backlog == 0
    arrived = frames(bus)
    raw = {frame.seq for frame in arrived if frame.dt_ns == 10**9}
    thinned = {frame.seq for frame in arrived if frame.dt_ns > 10**9}
    named = {seq for reason, _, seq in declared(bus) if reason is LossReason.THINNED}
    assert len(arrived) == len(raw) + len(thinned)
    assert thinned <= named
    assert {frame.dt_ns for frame in arrived} == {10**9, 10 * 10**9, 60 * 10**9}
    dropped = {seq for reason, _, seq in declared(bus) if reason is LossReason.DROPPED}
    assert raw | named | dropped == set(range(1, 1021))
    assert not raw & named
    assert host.totals()["spool_thinned"] > 0


def test_a_full_disk_keeps_what_memory_holds_and_declares_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    few = SpoolSettings(max_unwritten=20)
    host = AgentRuntime(replace(sled.options, spool=few), [sled.agent()], bus, sled.clock)
    run(host, sled.clock, 5)
    bus.available = False

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        run(host, sled.clock, 50)
    bus.available = True
    run(host, sled.clock, 10)
    seqs = {frame.seq for frame in frames(bus)}
    assert declared(bus) == {(LossReason.DROPPED, 1, seq) for seq in range(6, 36)}
    assert seqs == {*range(1, 6), *range(36, 66)}
    assert host.backlog == 0


def test_a_torn_tail_is_declared_as_what_comes_after_the_last_whole_frame(tmp_path: Path) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    bus.available = False
    run(runtime(sled, bus), sled.clock, 5)
    segment = next((tmp_path / "spool" / "telemetry").glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:-3])
    shutil.copytree(tmp_path, tmp_path.with_name("after"))
    bus.available = True
    after = Sled(tmp_path.with_name("after"), sled.clock)
    run(runtime(after, bus), sled.clock, 3)
    [stone] = [tombstone_of(e) for e in events(bus) if e.kind is EventKind.FRAMES_DECLARED]
    assert (stone.agent, stone.epoch, stone.first_seq, stone.last_seq) == (SLED, 1, 5, 0)
    assert stone.reason is LossReason.TORN
    assert (1, 5) not in {(frame.epoch, frame.seq) for frame in frames(bus)}


def test_a_message_is_no_larger_than_asked_and_loses_nobody(tmp_path: Path) -> None:
    clock = ManualClock()
    names = [f"h1/us01/r1/s{number:02d}" for number in range(1, 21)]
    taken = [(LOOP, Sled(tmp_path, clock, name).agent().tick()) for name in names]
    packing = Packing(compression=Compression.NONE, max_message_bytes=2000)
    parcels = list(packing.pack(taken))
    assert len(parcels) > 3
    assert all(len(parcel) <= 2200 for parcel in parcels)
    messages = [decode_message(unpack(parcel).value) for parcel in parcels]
    assert [frame.agent for message in messages for frame in message.frames] == names


def test_with_no_loss_window_every_tick_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, sled = InMemoryBus(), Sled(tmp_path)
    bus.available = False
    host = AgentRuntime(replace(sled.options, sync_s=0.0), [sled.agent()], bus, sled.clock)
    run(host, sled.clock, 1)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    run(host, sled.clock, 4)
    assert len(synced) == 4
