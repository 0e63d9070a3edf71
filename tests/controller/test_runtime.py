import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cramjam
import numpy as np
import pytest

from controller.cooling.control import LoopTrip, Mode, TripReset
from controller.incidents.incident import Acknowledgement, Incident, IncidentState
from controller.options import ControllerOptions
from controller.placement.job import Job, JobState
from controller.remote_write.settings import RemoteWriteSettings
from controller.runtime import ControllerRuntime
from controller.store import Store
from controller.store.leadership import LeaseSettings, shard_name
from controller.store.leases import GIVEN_BACK
from controller.store.outbox import Delivery
from controller.views import LoopView, decode_view
from fleet.bus import InMemoryBus, Start
from fleet.clock import ManualClock, SystemClock
from fleet.commands import (
    Ack,
    Command,
    Outcome,
    SetCooling,
    StartJob,
    StopJob,
    decode_command,
    encode,
)
from fleet.errors import ConfigurationError
from fleet.topics import ACKS, COMMANDS, LIVE, TELEMETRY
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.pipeline.fleet_voice import FleetVoice
from tests.controller.builders import make_job, make_webhook
from tests.controller.flaky_store import FlakyStore
from tests.controller.receiver import Receiver
from thermal.control.interlock import TripLevel, TripReason

LOOP = "h1/loop01"


@dataclass
class House:
    """A controller among agents that obey, on a clock moved by hand."""

    url: str
    fleet_map: FleetMap = field(default_factory=lambda: FleetMap(trn3_datacenter(ultraservers=1)))
    bus: InMemoryBus = field(default_factory=InMemoryBus)
    clock: ManualClock = field(default_factory=ManualClock)
    commands: list[Command] = field(default_factory=list)
    runtimes: list[ControllerRuntime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = FlakyStore(self.url)
        self.voice = FleetVoice(self.fleet_map, self.bus)
        self.voice.publish_schemas()
        self._reader = self.bus.reader(COMMANDS, start=Start.BEGINNING)

    def controller(
        self, holder: str = "a", lease: LeaseSettings | None = None
    ) -> ControllerRuntime:
        runtime = ControllerRuntime(
            ControllerOptions(holder=holder, lease=lease or LeaseSettings()),
            self.fleet_map,
            self.bus,
            self.store,
            self.clock,
            rng=np.random.default_rng(1),
        )
        self.runtimes.append(runtime)
        return runtime

    def run(self, *runtimes: ControllerRuntime, cycles: int = 1) -> list[Command]:
        """Second by second: agents speak, controllers turn, agents obey."""
        sent: list[Command] = []
        for _ in range(cycles):
            self.clock.advance(1.0)
            self.voice.say(self.clock.unix_ns())
            for runtime in runtimes:
                runtime.cycle()
            sent += self.obey()
        return sent

    def obey(self) -> list[Command]:
        read = [decode_command(record.value) for record in self._reader.poll(0.0)]
        for command in read:
            ack = Ack(
                command_id=command.id,
                target=command.target,
                term=command.term,
                seq=command.seq,
                outcome=Outcome.APPLIED,
                detail="",
                at_unix_ns=self.clock.unix_ns(),
            )
            self.bus.publish(ACKS, key=LOOP, value=encode(ack))
        self.commands += read
        return read

    def submit(self, job: Job) -> None:
        with self.store.begin() as tx:
            tx.jobs.add(replace(job, submitted_at_unix_ns=self.clock.unix_ns()))

    def job(self, job_id: str = "job-1") -> Job:
        with self.store.read() as tx:
            found = tx.jobs.get(job_id)
        assert found is not None
        return found

    def incidents(self) -> list[Incident]:
        with self.store.read() as tx:
            return tx.incidents.page(unresolved_only=False)

    def deliveries(self) -> list[Delivery]:
        with self.store.read() as tx:
            return tx.outbox.of_webhook("hook-1")

    def views(self) -> list[LoopView]:
        reader = self.bus.reader(LIVE, start=Start.BEGINNING)
        return [decode_view(record.value) for record in reader.poll(0.0)]

    def overheat(self, sled: str) -> None:
        self.voice.readings[sled] = {"junction_c/2": 99.0}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    built = House(url=f"sqlite:///{tmp_path}/isotherm.db")
    yield built
    built.store.available = True
    for runtime in built.runtimes:
        runtime.stop()
    built.store.close()


def cooling(commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command.action, SetCooling)]


def starts(commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command.action, StartJob)]


def test_a_loop_is_cooled_by_commands_that_expire(house: House) -> None:
    sent = cooling(house.run(house.controller(), cycles=20))
    assert sent
    assert {command.target for command in sent} == {"h1/cdu01"}
    assert len({command.term for command in sent}) == 1
    seqs = [command.seq for command in sent]
    assert seqs == sorted(set(seqs))
    assert all(c.expires_at_unix_ns - c.issued_at_unix_ns == 5_000_000_000 for c in sent)
    assert all(command.cause.startswith("h1/cdu01@1.") for command in sent)


def test_the_view_shows_the_loop(house: House) -> None:
    house.run(house.controller(), cycles=20)
    view = house.views()[-1]
    assert (view.loop, view.mode, view.trips) == (LOOP, Mode.AUTO.value, [])
    junctions = np.frombuffer(view.chips["junction_c"], "<f4")
    assert junctions.shape == (144,)
    assert np.all(np.isfinite(junctions))
    assert view.cdu["supply_c"] == pytest.approx(40.0, abs=1.0)
    assert len(view.pumps) == 2
    assert view.counters["frames"] == 20 * 37
    assert view.cdu_age_s == 0.0


def test_the_view_shows_how_its_controller_reads(house: House) -> None:
    runtime = house.controller()
    house.run(runtime, cycles=3)
    house.bus.publish(TELEMETRY, key=LOOP, value=b"nonsense").result(1.0)
    runtime.ends.look()
    house.run(runtime)
    shown = house.views()[-1].ingest
    assert shown is not None
    assert (shown.controller, shown.partition) == ("a", TELEMETRY.partition_of(LOOP))
    assert (shown.behind_messages, shown.dead_letters) == (0, {"malformed": 1})
    assert shown.counts["cycles"] >= 2


def test_one_of_two_controllers_acts(house: House) -> None:
    first, second = house.controller("a"), house.controller("b")
    house.run(first, second, cycles=15)
    assert second.effects.commands_total == 0
    assert second.counts["standby_cycles"] == 15
    assert not second.readiness().lease_held
    assert {view.cycle for view in house.views()} == set(range(1, 16))  # each shown once


def test_another_takes_over_with_a_higher_term(house: House) -> None:
    first, second = house.controller("a"), house.controller("b")
    house.run(first, second, cycles=15)
    (before,) = {command.term for command in cooling(house.commands)}
    in_force = cooling(house.commands)[-1].action
    sent = cooling(house.run(second, cycles=3))  # the first stands still
    (after,) = {command.term for command in sent}
    assert after > before
    assert sent[0].action == in_force
    assert house.views()[-1].mode == Mode.AUTO.value
    withheld = first.effects.commands_total
    house.run(first, second, cycles=5)  # and wakes up
    assert first.effects.commands_total == withheld
    assert not first.readiness().lease_held


def test_a_controller_that_wakes_in_the_middle_of_a_cycle_sends_nothing(house: House) -> None:
    runtime = house.controller()
    house.run(runtime, cycles=20)
    command = house.commands[-1]
    house.clock.advance(60.0)
    before = runtime.effects.commands_total
    runtime.effects._command(command.target, command.action, "late", 5.0)
    assert runtime.effects.commands_total == before
    assert runtime.effects.withheld_total == 1


def test_a_job_starts_and_runs_on_over_a_restart(house: House) -> None:
    house.submit(make_job())
    runtime = house.controller()
    sent = starts(house.run(runtime, cycles=4))
    assert house.job().state is JobState.RUNNING
    assert {chip for c in sent if isinstance(c.action, StartJob) for chip in c.action.chips}
    runtime.stop()
    before = house.job()
    sent = house.run(house.controller(), cycles=10)
    assert starts(sent) == []
    assert (house.job().state, house.job().attempt) == (JobState.RUNNING, before.attempt)
    assert house.job().placement == before.placement


def test_answers_to_the_controller_before_count(house: House) -> None:
    house.submit(make_job())
    first = house.controller()
    house.run(first, cycles=1)  # commands are out, answers are on the bus
    assert house.job().state is JobState.STARTING
    first.stop()
    house.run(house.controller(), cycles=1)
    assert house.job().state is JobState.RUNNING


def test_a_cancelled_job_stops(house: House) -> None:
    house.submit(make_job())
    runtime = house.controller()
    house.run(runtime, cycles=4)
    with house.store.begin() as tx:
        assert tx.jobs.cancel("job-1")
    sent = house.run(runtime, cycles=3)
    assert any(isinstance(command.action, StopJob) for command in sent)
    assert house.job().state is JobState.STOPPED


def test_a_job_that_can_not_run_says_why(house: House) -> None:
    house.submit(make_job(chips=144))
    with house.store.begin() as tx:
        from_person = make_job(id="job-2", chips=4)
        tx.jobs.add(replace(from_person, submitted_at_unix_ns=house.clock.unix_ns()))
    house.voice.silent = {house.fleet_map.sled_ids[0]}
    house.run(house.controller(), cycles=3)
    waiting = house.job("job-1")
    assert waiting.state is JobState.PENDING
    assert waiting.reasons


def test_from_a_hot_chip_to_a_moved_job(house: House) -> None:
    with house.store.begin() as tx:
        tx.webhooks.add(make_webhook())
    house.submit(make_job())
    runtime = house.controller()
    house.run(runtime, cycles=4)
    placement = house.job().placement
    assert placement is not None
    hot = placement.sled_ids[0]
    house.overheat(hot)
    house.run(runtime, cycles=10)
    (incident,) = house.incidents()
    assert incident.sled_id == hot
    with house.store.read() as tx:
        cordon = tx.cordons.get(hot)
        story = [event.kind for event in tx.incidents.story(incident.id)]
    assert cordon is not None
    assert cordon.incident_id == incident.id
    assert {"opened", "cordoned"} <= set(story)
    moved = house.job()
    assert moved.state is JobState.RUNNING
    assert moved.attempt == 2
    assert moved.placement is not None
    assert hot not in moved.placement.sled_ids
    assert {delivery.incident_id for delivery in house.deliveries()} == {incident.id}


def test_a_restart_neither_forgets_nor_repeats_an_incident(house: House) -> None:
    with house.store.begin() as tx:
        tx.webhooks.add(make_webhook())
    runtime = house.controller()
    house.overheat("h1/us01/r1/s05")
    house.run(runtime, cycles=10)
    before, told = house.incidents(), house.deliveries()
    assert len(before) == 1
    assert told
    runtime.stop()
    house.clock.advance(120.0)  # longer than an incident needs to be quiet
    house.run(house.controller(), cycles=10)
    after = house.incidents()
    assert [incident.id for incident in after] == [before[0].id]
    assert after[0].state is IncidentState.OPEN
    assert [delivery.id for delivery in house.deliveries()] == [delivery.id for delivery in told]


def test_a_person_takes_an_incident_and_it_ends(house: House) -> None:
    with house.store.begin() as tx:
        tx.webhooks.add(make_webhook())
    runtime = house.controller()
    house.overheat("h1/us01/r1/s05")
    house.run(runtime, cycles=6)
    (incident,) = house.incidents()
    with house.store.begin() as tx:
        tx.incidents.acknowledge(
            Acknowledgement(incident_id=incident.id, actor="ana", comment="on it")
        )
    house.run(runtime, cycles=1)
    (taken,) = house.incidents()
    assert (taken.state, taken.acknowledged_by) == (IncidentState.ACKNOWLEDGED, "ana")
    house.voice.readings.clear()
    house.run(runtime, cycles=60)
    # This CDU obeys no command, which has become an incident of its own by now.
    (over,) = (one for one in house.incidents() if one.id == incident.id)
    assert over.state is IncidentState.RESOLVED
    assert "resolved" in {delivery.kind.value for delivery in house.deliveries()}


def test_without_the_database_cooling_goes_on_under_the_same_term(house: House) -> None:
    runtime = house.controller()
    terms = {command.term for command in cooling(house.run(runtime, cycles=20))}
    house.store.available = False
    sent = cooling(house.run(runtime, cycles=60))
    assert len(sent) == 60
    assert {command.term for command in sent} <= terms
    assert runtime.counts["bugs"] == 0
    house.store.available = True
    assert {command.term for command in cooling(house.run(runtime, cycles=5))} <= terms


def test_without_the_database_cooling_does_not_go_on_for_ever(house: House) -> None:
    runtime = house.controller(lease=LeaseSettings(credit_s=10.0))
    house.run(runtime, cycles=20)
    house.store.available = False
    house.run(runtime, cycles=10)
    assert cooling(house.run(runtime, cycles=5)) == []
    house.store.available = True
    assert cooling(house.run(runtime, cycles=20))


def test_a_database_that_is_away_is_asked_by_the_leases_alone(house: House) -> None:
    runtime = house.controller()
    house.run(runtime, cycles=20)
    house.store.available = False
    house.run(runtime, cycles=1)
    before = house.store.asked
    house.run(runtime, cycles=10)
    # Once a cycle for the leases, once for history, which has a thread of its own in earnest.
    assert house.store.asked - before == 20


def test_jobs_are_not_started_without_the_database(house: House) -> None:
    runtime = house.controller()
    house.run(runtime, cycles=20)
    house.submit(make_job(chips=144))
    house.store.available = False
    sent = house.run(runtime, cycles=10)
    assert not [one for one in sent if isinstance(one.action, StartJob)]


def test_what_could_not_be_written_is_found_again(house: House) -> None:
    with house.store.begin() as tx:
        tx.webhooks.add(make_webhook())
    runtime = house.controller()
    house.run(runtime, cycles=6)
    house.overheat("h1/us01/r1/s05")
    house.store.available = False
    house.run(runtime, cycles=4)
    house.store.available = True
    assert house.incidents() == []
    house.run(runtime, cycles=6)
    assert len(house.incidents()) == 1
    assert len({d.subject_key for d in house.deliveries()}) == len(house.deliveries())


def test_latched_trips_hold_over_a_restart_until_a_person_resets(house: House) -> None:
    trip = LoopTrip(
        reason=TripReason.OVER_TEMPERATURE,
        since_unix_ns=house.clock.unix_ns(),
        level=TripLevel.SHED,
        cause="h1/cdu01@1.1",
    )
    with house.store.begin() as tx:
        tx.interlocks.latch(LOOP, trip)
    runtime = house.controller()
    house.run(runtime, cycles=15)
    assert [shown.reason for shown in house.views()[-1].trips] == ["over_temperature"]
    assert house.views()[-1].mode == Mode.FAILSAFE.value
    with house.store.begin() as tx:
        tx.interlocks.request_reset(
            TripReset(loop_id=LOOP, actor="ana", reason="cold again"),
            at_unix_ns=house.clock.unix_ns(),
        )
    house.run(runtime, cycles=1)
    assert house.views()[-1].trips == []
    with house.store.read() as tx:
        assert tx.interlocks.latched(LOOP) == ()
        assert tx.interlocks.waiting_resets() == []


def test_a_silent_cdu_is_not_commanded_on_old_news(house: House) -> None:
    runtime = house.controller()
    house.run(runtime, cycles=20)
    house.voice.silent = {"h1/cdu01"}
    house.run(runtime, cycles=8)
    assert house.views()[-1].mode == Mode.FAILSAFE.value


def test_a_bus_that_is_away_is_survived(house: House) -> None:
    runtime = house.controller()
    house.run(runtime, cycles=10)
    house.bus.available = False
    house.run(runtime, cycles=5)
    house.bus.available = True
    assert cooling(house.run(runtime, cycles=20))


def test_aggregates_are_pushed_by_whom_they_belong_to(house: House) -> None:
    """Each loop by its controller, the fleet by the one that leads placement; once in a while."""
    with Receiver() as receiver:
        pushed = RemoteWriteSettings(url=receiver.url, every_s=5.0)
        runtime = ControllerRuntime(
            ControllerOptions(holder="a", remote_write=pushed),
            house.fleet_map,
            house.bus,
            house.store,
            house.clock,
            rng=np.random.default_rng(1),
        )
        house.runtimes.append(runtime)
        house.run(runtime, cycles=8)
        assert runtime.remote_write is not None
        runtime.remote_write.work()
        assert len(receiver.got) == 2
        body = bytes(cramjam.snappy.decompress_raw(receiver.got[0].body))
        assert b"isotherm_loop_chip_junction_max_celsius" in body
        assert b"isotherm_fleet_chip_power_sum_watts" in body


def test_threads_start_and_stop_within_five_seconds(tmp_path: Path) -> None:
    fleet_map = FleetMap(trn3_datacenter(ultraservers=1))
    store, bus = Store(f"sqlite:///{tmp_path}/x.db"), InMemoryBus()
    runtime = ControllerRuntime(
        ControllerOptions(cycle_s=0.05, command_s=1.0), fleet_map, bus, store, SystemClock()
    )
    views = bus.reader(LIVE, start=Start.BEGINNING)
    runtime.start()
    assert views.poll(5.0)
    assert runtime.readiness().lease_held
    began_s = time.monotonic()
    runtime.stop()
    assert time.monotonic() - began_s < 5.0
    assert runtime.counts["bugs"] == 0
    with store.read() as tx:
        leases = tx.leases.all()
    assert {lease.name for lease in leases} == {
        "controller/controller",
        "placement",
        shard_name(TELEMETRY.partition_of(LOOP)),
    }
    assert {lease.expires_at_unix_ns for lease in leases} == {GIVEN_BACK}
    store.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ControllerOptions(cycle_s=0.0), "cycle_s"),
        (ControllerOptions(command_s=60.0), "command_s"),
        (ControllerOptions(supply_c=70.0), "supply_c"),
        (ControllerOptions(external_url="desk"), "external_url"),
    ],
)
def test_options_that_can_not_be_used(options: ControllerOptions, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        options.validate(FleetMap(trn3_datacenter(ultraservers=1)))
