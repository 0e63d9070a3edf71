import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import msgspec
import structlog

from agent.cdu import CduAgent
from agent.inbox import CommandInbox
from agent.options import AgentOptions
from agent.publish import Publisher, parcel
from agent.relay import Packing, TelemetryContents
from agent.sled import SledAgent
from agent.spool import Spool
from agent.thin import Thinner
from fleet import commands
from fleet.bus import Bus
from fleet.clock import Clock, run_at_rate
from fleet.commands import Ack
from fleet.errors import ConfigurationError
from fleet.events import Event, Tombstone, encode_event, tombstone_event
from fleet.frame import Frame, encode_schema
from fleet.topics import ACKS, EVENTS

_log: Final = structlog.get_logger("isotherm.agent")
_PUMP_S: Final = 1.0
"""At least so often the publisher looks for what time alone makes due."""
_POLL_S: Final = 1.0
_REOPEN_S: Final = 1.0
_JOIN_S: Final = 1.5

Agent = SledAgent | CduAgent


class AgentRuntime:
    """Hosts agents: one beside a real sled, or all of a cooling loop as its relay.

    By hand: `tick` and `poll_commands` on one thread. In real time: `start` and `stop`. One
    agent's failure is counted and takes nothing from the others.
    """

    def __init__(
        self, options: AgentOptions, agents: Sequence[Agent], bus: Bus, clock: Clock
    ) -> None:
        options.validate()
        if not agents:
            raise ConfigurationError("no agent to run: name a sled, a CDU or a device list")
        self._options = options
        self._agents = {agent.agent_id: agent for agent in agents}
        if len(self._agents) < len(agents):
            raise ConfigurationError("two agents have the same id")
        self._clock = clock
        self.counts: Counter[str] = Counter()
        self._packing = Packing(
            compression=options.compression, max_message_bytes=options.max_message_bytes
        )
        thinner = Thinner(agent.schema for agent in agents)
        lives = {agent.agent_id: agent.epoch for agent in agents}
        self._contents = TelemetryContents(self._packing, thinner, lives, self._declare)
        # Something was spooled, or what was sent has settled: the publisher has work.
        self._due = threading.Event()
        directory = options.state_dir / "spool"
        self._notices = Spool(directory / "notices", options.spool, clock)
        self._frames = Spool(directory / "telemetry", options.spool, clock, contents=self._contents)
        schemas = {agent.schema.id: agent.schema for agent in agents} | dict(thinner.stats)
        self._publishers = (
            Publisher(bus, self._notices, clock, settled=self._due.set),
            Publisher(
                bus,
                self._frames,
                clock,
                schemas={name: encode_schema(schema) for name, schema in schemas.items()},
                catch_up_ratio=options.catch_up_ratio,
                settled=self._due.set,
            ),
        )
        self._inbox = CommandInbox(bus, {agent.loop_id for agent in agents}, self.counts)
        self._readers = (
            ThreadPoolExecutor(options.readers, "reader") if options.readers > 1 else None
        )
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._synced_s = clock.monotonic_s()

    def tick(self) -> None:
        """Collect every agent, spool one message a loop, and publish if no thread does it."""
        for payload in self._packing.pack(self._collect()):
            self._frames.append(payload)
        self._spool_notices()
        if not self._options.sync_s:
            self._sync()
        self._hand_over()

    def poll_commands(self, timeout_s: float = 0.0) -> int:
        """Carry out what has arrived; how many commands were for agents here."""
        taken = 0
        for command in self._inbox.poll(timeout_s):
            agent = self._agents.get(command.target)
            if agent is not None:
                taken += 1
                self._isolated(agent.agent_id, partial(agent.execute, command))
        if taken:
            self._spool_notices()
            self._hand_over()
        return taken

    def _hand_over(self) -> None:
        """Publish here, or by the thread that does it."""
        if self._threads:
            self._due.set()
        else:
            self.pump()

    def pump(self) -> None:
        """Publish what is spooled, as far as the bus takes it now; then see that it all fits."""
        for publisher in self._publishers:
            publisher.pump()
        if not (self._frames.refused and len(self._frames)):
            self._contents.tell_what_memory_lost()
        self._frames.make_room()
        self._notices.make_room()

    @property
    def backlog(self) -> int:
        """Messages that the bus has not confirmed yet."""
        return len(self._frames) + len(self._notices)

    def totals(self) -> dict[str, int]:
        """Every counter of the process: its own, its agents', its spools' and publishers'."""
        total = Counter(self.counts)
        for part in (*self._agents.values(), self._frames, self._notices, *self._publishers):
            total.update(part.counts)
        return dict(total)

    def start(self) -> None:
        """Tick at the period, take commands and publish, each on its own thread."""
        self._stopping.clear()
        for name, loop in (
            ("ticks", self._run_ticks),
            ("commands", self._run_commands),
            ("publish", self._run_publish),
        ):
            thread = threading.Thread(target=loop, name=f"agent-{name}", daemon=True)
            self._threads.append(thread)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads, publish what can be published, let go of the devices."""
        self._stopping.set()
        self._due.set()
        for thread in self._threads:
            thread.join(_JOIN_S)
        self._threads.clear()
        for agent in self._agents.values():
            self._isolated(agent.agent_id, agent.close)
        self._spool_notices()
        self._isolated("publish", self.pump)
        if self._readers is not None:
            self._readers.shutdown(wait=False, cancel_futures=True)
        self._inbox.close()
        self._frames.close()
        self._notices.close()

    def _declare(self, stones: Sequence[Tombstone]) -> None:
        """Durable until the bus has it: a tombstone is a notice like any other."""
        now_ns = self._clock.unix_ns()
        for stone in stones:
            self.counts[f"declared_{stone.reason}"] += 1
            agent = self._agents.get(stone.agent)
            told = tombstone_event(stone, at_unix_ns=now_ns, cause="spool")
            self._notices.append(_notice(agent.loop_id if agent else stone.agent, told))
        if stones:
            first = msgspec.structs.asdict(stones[0])
            _log.warning("frames declared", agents=len(stones), **first)
        self._notices.sync()

    def _collect(self) -> list[tuple[str, Frame]]:
        agents = self._agents.values()
        results = (
            map(self._tick_one, agents)
            if self._readers is None
            else self._readers.map(self._tick_one, agents)
        )
        return [taken for taken in results if taken is not None]

    def _tick_one(self, agent: Agent) -> tuple[str, Frame] | None:
        try:
            return agent.loop_id, agent.tick()
        except Exception:  # noqa: BLE001 - one agent must not stop the others
            self._caught(agent.agent_id)
            return None

    def _spool_notices(self) -> None:
        for agent in self._agents.values():
            for notice in agent.notices.take():
                self._notices.append(_notice(agent.loop_id, notice))

    def _isolated(self, where: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 - the process loop goes on
            self._caught(where)

    def _caught(self, where: str) -> None:
        """A bug in one place is counted and logged; the process goes on."""
        self.counts["caught"] += 1
        _log.exception("caught", where=where)

    def _run_ticks(self) -> None:
        run_at_rate(self._clock, self._stopping, self._options.period_s, self._timed_tick)

    def _timed_tick(self) -> None:
        began_s = self._clock.monotonic_s()
        self._isolated("tick", self.tick)
        if self._clock.monotonic_s() - began_s > self._options.period_s:
            self.counts["overruns"] += 1

    def _run_commands(self) -> None:
        while not self._stopping.is_set():
            self._isolated("commands", lambda: self.poll_commands(_POLL_S))
            if not self._inbox.open:
                self._clock.wait(self._stopping, _REOPEN_S)

    def _run_publish(self) -> None:
        sync_s = self._options.sync_s
        while not self._stopping.is_set():
            now_s = self._clock.monotonic_s()
            left_s = self._synced_s + sync_s - now_s if sync_s else _PUMP_S
            self._clock.wait(self._due, min(left_s, _PUMP_S))
            self._due.clear()
            self._isolated("publish", self.pump)
            now_s = self._clock.monotonic_s()
            if now_s - self._synced_s >= sync_s > 0:
                self._synced_s = now_s
                self._isolated("sync", self._sync)

    def _sync(self) -> None:
        self._frames.sync()
        self._notices.sync()


def _notice(loop: str, notice: Ack | Event) -> bytes:
    if isinstance(notice, Ack):
        return parcel(ACKS, loop, commands.encode(notice))
    return parcel(EVENTS, loop, encode_event(notice))
