from controller.ingest.declared import DeclaredLosses
from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.events import LossReason, Tombstone, encode_event, tombstone_event
from fleet.topics import EVENTS

AGENT = "h1/us01/r1/s01"


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
    first = DeclaredLosses(bus, store)
    assert first.save() == 1
    tell(bus, 20)
    second = DeclaredLosses(bus, store)
    assert second.save() == 1
    assert (second.save(), first.save()) == (0, 0)
    assert kept(store) == [(10, 13, "dropped"), (20, 23, "dropped")]


def test_what_could_not_be_written_is_read_again(bus: InMemoryBus, store: Store) -> None:
    tell(bus, 10)
    losses = DeclaredLosses(bus, store)

    def refuse(_: object) -> None:
        raise RuntimeError("no lease")

    try:
        losses.save(refuse)
    except RuntimeError:
        assert kept(store) == []
    assert losses.save() == 1


def test_nonsense_is_passed_by(bus: InMemoryBus, store: Store) -> None:
    bus.publish(EVENTS, key=AGENT, value=b"\xc1 nonsense").result(1.0)
    tell(bus, 10)
    assert DeclaredLosses(bus, store).save() == 1
