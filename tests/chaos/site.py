"""One cooling loop on real brokers: its relay's spool and publisher, and a controller's ingest."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from agent.publish import Publisher, parcel
from agent.spool import Spool, SpoolSettings
from controller.ingest.consume import Consumer, IngestSettings
from controller.ingest.writer import HistoryWriter
from controller.store import Store
from fleet.bus import Start
from fleet.bus_kafka import KafkaBus
from fleet.clock import NS_PER_S, SystemClock
from fleet.codec import decode_message, encode_message
from fleet.errors import BusError, BusUnavailableError
from fleet.kafka_admin import connected
from fleet.kafka_options import KafkaOptions
from fleet.topics import TELEMETRY
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.pipeline.accounts import Verdict, judge, stored_frames
from isotherm.bench.pipeline.fleet_voice import FleetVoice
from isotherm.servers.kafka_cluster import KafkaCluster

EVENT_S: Final = 90.0
"""What is waited for has happened by then, or never will."""
NOBODY: Final = -1
LOOK_S: Final = 0.01
AGO_S: Final = 3600
"""Ticks are a second apart, though they come faster: they begin so long ago."""


class Site:
    """Loop number `loop` of three, each in a partition of its own; one thread uses it."""

    def __init__(
        self,
        cluster: KafkaCluster,
        folder: Path,
        loop: int,
        *,
        ingest: IngestSettings | None = None,
        catch_up_ratio: float = 9.0,
        window: int = 64,
    ) -> None:
        self.clock = SystemClock()
        self._never = threading.Event()
        # As short as a client can give up; sites wait 30 s.
        self.options = KafkaOptions(
            bootstrap=cluster.bootstrap, replication=3, min_in_sync=2, delivery_timeout_s=3.0
        )
        self.fleet_map = FleetMap(trn3_datacenter(loops=3, ultraservers=1))
        self._row, self.loop_id = loop, self.fleet_map.loop_ids[loop]
        self.partition = TELEMETRY.partition_of(self.loop_id)
        self.bus = KafkaBus(self.options)
        self.voice = FleetVoice(self.fleet_map, self.bus)
        self.voice.publish_schemas()
        self.bus.flush(30.0)
        self._spool = Spool(folder / "spool", SpoolSettings(), self.clock)
        self.publisher = Publisher(
            self.bus, self._spool, self.clock, catch_up_ratio=catch_up_ratio, window=window
        )
        self._database = f"sqlite:///{folder}/isotherm.db"
        self.store = Store(self._database)
        self.ingest = Consumer(
            self.bus,
            self.store,
            self.fleet_map,
            self.clock,
            loops=[self.loop_id],
            settings=ingest or IngestSettings(),
        )
        self.writer = HistoryWriter(self.ingest, self.store)
        self._agents: set[str] = set()
        self._begin_ns = self.clock.unix_ns() - AGO_S * NS_PER_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ingest.close()
        self.bus.close()
        self._spool.close()
        self.store.close()

    def say(self) -> None:
        """One tick of all agents of the loop, into the spool and as far as it goes now."""
        self.voice.seq += 1
        at_ns = self._begin_ns + self.voice.seq * NS_PER_S
        frames = self.voice.frames(self._row, at_ns)
        self._agents |= {frame.agent for frame in frames}
        self._spool.append(parcel(TELEMETRY, self.loop_id, encode_message(self.loop_id, frames)))

    def go_on(self) -> None:
        """A moment of everybody's work, but for new ticks."""
        self.publisher.pump()
        with suppress(BusError):  # as the controller's own loop: it is tried again
            self.ingest.poll(LOOK_S)
        self.writer.turn(lambda _: None)

    def speak(self, ticks: int) -> None:
        for _ in range(ticks):
            self.say()
            self.go_on()

    def until(self, happened: Callable[[], bool], what: str) -> None:
        deadline_s = self.clock.monotonic_s() + EVENT_S
        while not happened():
            assert self.clock.monotonic_s() < deadline_s, (
                f"not within {EVENT_S:g} s: {what}; said {self.voice.seq}, unconfirmed "
                f"{self.unconfirmed()}, heard {dict(self.ingest.counts[self.loop_id])}, "
                f"read to {dict(self.ingest.positions())}"
            )
            self.go_on()

    def all_is_heard(self) -> bool:
        heard = self.ingest.counts[self.loop_id]["frames"]
        return heard == self.voice.seq * len(self._agents)

    def unconfirmed(self) -> int:
        """Ticks that wait for the brokers, or for their word."""
        return len(self._spool)

    def oldest_unconfirmed(self) -> int:
        """The number of a tick; beyond the newest when the brokers have all."""
        waiting = self._spool._entries
        return waiting[0].index if waiting else self.voice.seq + 1

    def largest_window_bytes(self) -> int:
        windows = self.ingest._windows.open_windows()
        return max((window.memory_bytes for window in windows), default=0)

    def leader(self) -> int:
        """Number of the broker that leads the loop's partition; NOBODY when none says so."""
        try:
            with connected(self.options) as admin:
                (topic,) = admin.describe_topics([TELEMETRY.name])
        except BusUnavailableError:  # it asked the one that died
            return NOBODY
        places = {p["partition_index"]: p["leader_id"] for p in topic["partitions"]}
        return int(places[self.partition])

    def arrived(self) -> list[int]:
        """Numbers of the ticks on the bus, in the order in which they stand there."""
        found: list[int] = []
        reader = self.bus.reader(TELEMETRY, start=Start.BEGINNING, partitions=[self.partition])
        end = reader.ends([self.partition])[self.partition]
        while reader.positions()[self.partition] < end:
            found += [decode_message(record.value).frames[0].seq for record in reader.poll(1.0)]
        reader.close()
        return found

    def verdict(self) -> Verdict:
        """Of all that was said, by what stands in history now."""
        self.writer.finish(lambda _: None, EVENT_S)
        lives = {(agent, self.voice.epoch): self.voice.seq for agent in self._agents}
        return judge(lives, stored_frames(self._database, self.fleet_map))
