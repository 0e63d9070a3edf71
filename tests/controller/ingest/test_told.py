from dataclasses import replace

from controller.enrolment.compare import approved
from controller.enrolment.enrolment import Enrolment, EnrolmentState
from controller.ingest.dead_letter import decode_dead_letter
from controller.ingest.told import Saved, ToldByAgents
from controller.store import Store
from controller.store.starts import AgentStart
from fleet.bus import InMemoryBus, Start
from fleet.clock import ManualClock
from fleet.events import (
    Event,
    EventKind,
    LossReason,
    Tombstone,
    encode_event,
    tombstone_event,
)
from fleet.identity import announcement_detail
from fleet.topics import DEAD_LETTERS, EVENTS
from fleet.topology import FleetMap, trn3_datacenter
from tests.fleet.identities import make_announcement

AGENT, BESIDE = "h1/us01/r1/s01", "h1/us01/r1/s02"
LOOP, FAR_LOOP = "h1/loop01", "h1/loop02"


def told(bus: InMemoryBus, store: Store, clock: ManualClock | None = None) -> ToldByAgents:
    fleet_map = FleetMap(trn3_datacenter(loops=2, ultraservers=1))
    return ToldByAgents(bus, store, fleet_map, clock or ManualClock())


def announce(bus: InMemoryBus, agent: str, number: int, *, key: str = LOOP) -> None:
    detail = announcement_detail(make_announcement(number))
    say(bus, key, agent, detail)


def say(bus: InMemoryBus, key: str, agent: str, detail: dict[str, str]) -> None:
    event = Event(
        id=f"{agent}@1.event2",
        kind=EventKind.SLED_ANNOUNCED,
        subject=agent,
        at_unix_ns=7,
        cause="start",
        detail=detail,
    )
    bus.publish(EVENTS, key=key, value=encode_event(event)).result(1.0)


def enrolments(store: Store) -> dict[str, Enrolment]:
    with store.read() as tx:
        return tx.enrolments.of([AGENT, BESIDE])


def letters(bus: InMemoryBus) -> list[tuple[str, str]]:
    reader = bus.reader(DEAD_LETTERS, start=Start.BEGINNING)
    dead = [decode_dead_letter(record.value) for record in reader.poll(0.0)]
    return [(letter.reason.value, letter.detail) for letter in dead]


def tell(bus: InMemoryBus, first: int) -> None:
    stone = Tombstone(
        agent=AGENT,
        epoch=2,
        first_seq=first,
        last_seq=first + 3,
        t0_unix_ns=0,
        t1_unix_ns=0,
        reason=LossReason.DROPPED,
    )
    event = tombstone_event(stone, at_unix_ns=7, cause="spool")
    bus.publish(EVENTS, key=AGENT, value=encode_event(event)).result(1.0)


def kept(store: Store) -> list[tuple[int, int, str]]:
    with store.read() as tx:
        return [(gap.first_seq, gap.last_seq, gap.reason) for gap in tx.gaps.of_agents([AGENT])]


def test_what_was_declared_while_nobody_led_is_taken(bus: InMemoryBus, store: Store) -> None:
    tell(bus, 10)
    first = told(bus, store)
    assert first.save() == Saved(declared=1)
    tell(bus, 20)
    second = told(bus, store)
    assert second.save() == Saved(declared=1)
    assert (second.save(), first.save()) == (Saved(), Saved())
    assert kept(store) == [(10, 13, "dropped"), (20, 23, "dropped")]


def test_what_could_not_be_written_is_read_again(bus: InMemoryBus, store: Store) -> None:
    tell(bus, 10)
    losses = told(bus, store)

    def refuse(_: object) -> None:
        raise RuntimeError("no lease")

    try:
        losses.save(refuse)
    except RuntimeError:
        assert kept(store) == []
    assert losses.save() == Saved(declared=1)


def test_nonsense_is_passed_by(bus: InMemoryBus, store: Store) -> None:
    bus.publish(EVENTS, key=AGENT, value=b"\xc1 nonsense").result(1.0)
    tell(bus, 10)
    assert told(bus, store).save() == Saved(declared=1)


def begin(bus: InMemoryBus, epoch: str, loss_window_s: str, agent: str = AGENT) -> None:
    event = Event(
        id=f"{agent}@{epoch}.event1",
        kind=EventKind.AGENT_STARTED,
        subject=agent,
        at_unix_ns=7,
        cause="start",
        detail={"epoch": epoch, "loss_window_s": loss_window_s},
    )
    bus.publish(EVENTS, key=LOOP, value=encode_event(event)).result(1.0)


def test_the_newest_start_of_an_agent_is_kept(bus: InMemoryBus, store: Store) -> None:
    for said in (("1", "1"), ("2", "0.25"), ("three", "1"), ("4", "inf"), ("0", "1")):
        begin(bus, *said)
    begin(bus, "1", "1", agent="h9/stranger")
    reading = told(bus, store)
    reading.save()
    assert [reason for reason, _ in letters(bus)] == ["malformed"] * 3
    kept_start = AgentStart(agent=AGENT, epoch=2, loss_window_s=0.25, at_unix_ns=7)
    with store.read() as tx:
        assert tx.starts.all() == [kept_start]
    begin(bus, "5", "0")
    reading.save()
    with store.read() as tx:
        assert tx.starts.all() == [replace(kept_start, epoch=5, loss_window_s=0.0)]


def test_an_announced_sled_is_enrolled_once_and_for_the_next_controller_too(
    bus: InMemoryBus, store: Store
) -> None:
    announce(bus, AGENT, 1)
    assert told(bus, store).save() == Saved(announced=1)
    assert told(bus, store).save() == Saved()
    announce(bus, AGENT, 1)
    told(bus, store).save()
    found = enrolments(store)[AGENT]
    assert (found.state, found.enrolled) == (EnrolmentState.ENROLLED, found.announced)
    with store.read() as tx:
        assert [entry.action for entry in tx.audit.newest()] == ["enrol"]
        assert tx.enrolments.holders(["SL1", "SL2"]) == {"SL1": AGENT}
        assert tx.enrolments.refused() == []


def test_an_agent_that_claims_anothers_serials_is_refused_by_name(
    bus: InMemoryBus, store: Store
) -> None:
    announce(bus, AGENT, 1)
    announce(bus, BESIDE, 1)
    told(bus, store).save()
    found = enrolments(store)
    assert found[AGENT].state is EnrolmentState.ENROLLED
    [wrong] = found[BESIDE].mismatches
    assert (wrong.other, f"enrolled for {AGENT}" in wrong.text) == (AGENT, True)
    with store.read() as tx:
        assert [one.sled_id for one in tx.enrolments.refused()] == [BESIDE]
        assert tx.enrolments.holders(["SL1"]) == {"SL1": AGENT}
        newest, _ = tx.audit.newest()
    assert (newest.action, newest.subject, newest.reason) == ("refuse", BESIDE, wrong.text)


def test_two_sleds_in_each_others_place_are_both_refused(bus: InMemoryBus, store: Store) -> None:
    for agent, number in ((AGENT, 1), (BESIDE, 2), (AGENT, 2), (BESIDE, 1)):
        announce(bus, agent, number)
    told(bus, store).save()
    found = enrolments(store)
    assert {one.state for one in found.values()} == {EnrolmentState.REFUSED}
    assert {one.other for one in found[AGENT].mismatches} == {BESIDE, ""}


def test_an_approved_board_is_no_longer_the_other_places(bus: InMemoryBus, store: Store) -> None:
    for agent, number in ((AGENT, 1), (BESIDE, 2), (BESIDE, 1)):
        announce(bus, agent, number)
    told(bus, store).save()
    with store.begin() as tx:
        tx.enrolments.save(approved(tx.enrolments.of([BESIDE])[BESIDE], actor="ana"))
        assert tx.enrolments.holders(["SL1", "SL2"]) == {"SL1": BESIDE}
    announce(bus, AGENT, 1)
    announce(bus, AGENT, 2)
    told(bus, store).save()
    with store.read() as tx:
        assert tx.enrolments.holders(["SL1", "SL2"]) == {"SL1": BESIDE}
    assert enrolments(store)[AGENT].state is EnrolmentState.REFUSED


def test_who_speaks_for_another_loops_sled_is_set_aside(bus: InMemoryBus, store: Store) -> None:
    announce(bus, AGENT, 9, key=FAR_LOOP)
    announce(bus, "h9/us01/r1/s01", 8)
    say(bus, LOOP, AGENT, {"announcement": "{}"})
    announce(bus, AGENT, 1)
    assert told(bus, store).save() == Saved(announced=1)
    assert enrolments(store)[AGENT].announced.serial == "SL1"
    wrong_key, unknown, malformed = letters(bus)
    assert wrong_key == (
        "wrong_key",
        f"{AGENT} of {LOOP} is announced under the key '{FAR_LOOP}'",
    )
    assert unknown == (
        "unknown_agent",
        "'h9/us01/r1/s01' announces itself, and the fleet has no such sled",
    )
    assert malformed[0] == "malformed"
