"""What was measured is in history once, whatever happens to the brokers meanwhile."""

import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from agent.inbox import CommandInbox
from controller.history.windows import HistorySettings
from controller.ingest.consume import IngestSettings
from controller.store import Transaction
from fleet.clock import NS_PER_S
from fleet.commands import Ack, Command, Outcome, SetCooling, encode
from fleet.topics import ACKS, COMMANDS
from isotherm.servers.kafka_cluster import KafkaCluster
from tests.chaos.site import NOBODY, Site

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    # kafka-python lets go of sockets whose connection was refused without closing them.
    pytest.mark.filterwarnings("ignore:unclosed <.*ocket:ResourceWarning"),
]

WINDOW = 16
HELD_BYTES = 60_000
COMMANDS_SENT = 100


def accounted(site: Site) -> None:
    verdict = site.verdict()
    assert (verdict.lost, verdict.duplicates, verdict.undeclared_gaps) == (0, 0, 0)
    assert verdict.stored == verdict.spooled > 0


def all_serve(cluster: KafkaCluster) -> bool:
    return all(cluster.node(number).says_ready() for number in cluster.numbers)


def test_the_leader_of_a_partition_dies_under_load(cluster: KafkaCluster, tmp_path: Path) -> None:
    with Site(cluster, tmp_path, loop=0) as site:
        site.speak(100)
        leader = site.leader()
        cluster.node(leader).kill()
        site.speak(100)
        site.until(lambda: site.leader() not in {leader, NOBODY}, "another broker leads")
        cluster.node(leader).launch()
        site.speak(100)
        site.until(lambda: all_serve(cluster), "the dead broker is back")
        site.until(site.all_is_heard, "all has come")
        accounted(site)


def test_after_an_outage_of_all_brokers_what_is_new_goes_first(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    with Site(cluster, tmp_path, loop=1, catch_up_ratio=1.0, window=WINDOW) as site:
        site.speak(20)
        site.until(site.all_is_heard, "all is well at first")
        for number in cluster.numbers:
            cluster.node(number).kill()
        site.speak(200)
        site.until(lambda: site.publisher.counts["publish_failures"] > 0, "given up and spooled")
        for number in cluster.numbers:
            cluster.node(number).launch()
        site.until(lambda: all_serve(cluster), "the brokers are back")
        backlog = site.voice.seq

        def caught_up() -> bool:
            site.say()
            return site.oldest_unconfirmed() > backlog

        site.until(caught_up, "the backlog has gone")
        site.until(site.all_is_heard, "all has come")
        arrived = site.arrived()
        accounted(site)
    assert set(arrived) == set(range(1, site.voice.seq + 1))
    first = next(n for n, seq in enumerate(arrived) if seq > backlog)
    assert len(set(range(1, backlog + 1)) - set(arrived[:first])) > 120, "old ticks came first"
    late = [seq <= backlog for seq in arrived[first:]]
    assert max(map(len, "".join("bn"[not old] for old in late).split("n"))) <= WINDOW + 1


def test_a_slow_store_holds_up_no_command(cluster: KafkaCluster, tmp_path: Path) -> None:
    settings = IngestSettings(
        batch=1, held_bytes=HELD_BYTES, history=HistorySettings(window_s=4, grace_ticks=2)
    )
    gate = threading.Event()

    def slow(_: Transaction) -> None:
        gate.wait(60.0)

    with (
        Site(cluster, tmp_path, loop=2, ingest=settings) as site,
        closing(CommandInbox(site.bus, [site.loop_id], Counter())) as inbox,
    ):
        site.ingest.hear_answers()
        answered: list[Ack] = []
        sent = one_window = 0
        while len(answered) < COMMANDS_SENT:
            if sent < len(answered) + 5:
                sent += 1
                command = encode(order(site, sent))
                site.bus.publish(COMMANDS, key=site.loop_id, value=command)
            site.say()
            site.publisher.pump()
            site.ingest.poll(0.0)
            site.writer.turn(slow)
            for taken in inbox.poll(0.005):
                site.bus.publish(ACKS, key=site.loop_id, value=encode(answer(taken)))
            site.ingest.poll_answers()
            answered += site.ingest.take_acks()
            one_window = max(one_window, site.largest_window_bytes())
            # A message completes at most one window of each group: the UltraServer and the CDU.
            assert site.ingest.held_bytes() <= HELD_BYTES + 2 * one_window
        assert site.ingest.paused
        assert not site.all_is_heard()
        assert [ack.seq for ack in answered] == list(range(1, len(answered) + 1))
        gate.set()
        site.until(site.all_is_heard, "what waited on the bus is read")
        accounted(site)


def order(site: Site, number: int) -> Command:
    now_ns = site.clock.unix_ns()
    return Command(
        id=f"1.{number}:cool",
        target=site.fleet_map.cdu_ids[2],
        cause="test",
        issued_at_unix_ns=now_ns,
        expires_at_unix_ns=now_ns + 60 * NS_PER_S,
        term=1,
        seq=number,
        action=SetCooling(valve_ratio=0.5, pump_ratio=0.5, supply_c=40.0),
    )


def answer(command: Command) -> Ack:
    return Ack(
        command_id=command.id,
        target=command.target,
        term=command.term,
        seq=command.seq,
        outcome=Outcome.APPLIED,
        detail="",
        at_unix_ns=command.issued_at_unix_ns,
    )
