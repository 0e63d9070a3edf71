from dataclasses import replace
from random import Random  # noqa: TID251 - the type that hypothesis hands out

from hypothesis import given
from hypothesis import strategies as st

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.incidents.incident import (
    Acknowledgement,
    Change,
    CordonSled,
    Incident,
    IncidentEffect,
    IncidentState,
    OpenIncident,
    ResolveIncident,
    UpdateIncident,
    WithholdCordon,
)
from controller.incidents.lifecycle import IncidentBook, fingerprint, step
from controller.incidents.settings import IncidentSettings
from fleet.clock import NS_PER_S
from tests.controller.spoken import START_UNIX_NS

SETTINGS = IncidentSettings()
SLED = "h1/us01/r1/s01"


def make_finding(
    rule: str = "chip_hot",
    *,
    scope: Place = Place.CHIP,
    sled: str = SLED,
    chip: int = 0,
    severity: Severity = Severity.WARNING,
    family: Family = Family.COOLING,
    peer_relative: bool = False,
    explains: bool = False,
) -> Finding:
    subject = {Place.CHIP: f"{sled}/c{chip}", Place.SLED: sled, Place.CDU: "h1/cdu01"}.get(
        scope, "h1/loop01"
    )
    return Finding(
        rule=rule,
        family=family,
        severity=severity,
        subject=subject,
        scope=scope,
        loop_id="h1/loop01",
        sled_id=sled if scope in (Place.CHIP, Place.SLED) else None,
        value=86.0,
        limit=85.0,
        text=f"{subject}: {rule}",
        consequence="",
        action="",
        cause=f"{sled}@1.7",
        at_unix_ns=START_UNIX_NS,
        peer_relative=peer_relative,
        explains=explains,
    )


CDU_WARM = make_finding("supply_over", scope=Place.CDU, explains=True)


class Desk:
    """A book over time."""

    def __init__(self, settings: IncidentSettings = SETTINGS) -> None:
        self.book = IncidentBook()
        self.seconds = 0
        self.settings = settings

    def cycle(
        self,
        *findings: Finding,
        after_s: int = 1,
        acks: tuple[Acknowledgement, ...] = (),
        cordoned: frozenset[str] = frozenset(),
        sleds: int = 72,
    ) -> tuple[IncidentEffect, ...]:
        self.seconds += after_s
        self.book, effects = step(
            self.book,
            findings,
            at_unix_ns=START_UNIX_NS + self.seconds * NS_PER_S,
            acks=acks,
            cordoned=cordoned,
            sleds=sleds,
            settings=self.settings,
        )
        return effects


def kinds(effects: tuple[IncidentEffect, ...]) -> list[type]:
    return [type(effect) for effect in effects]


def test_findings_of_one_sled_open_one_incident_which_is_not_told_again() -> None:
    desk = Desk()
    effects = desk.cycle(make_finding(chip=0), make_finding(chip=1))
    assert kinds(effects) == [OpenIncident]
    [incident] = desk.book.open
    assert len(incident.findings) == 2
    assert incident.cause == f"{SLED}@1.7"
    assert desk.cycle(make_finding(chip=0), make_finding(chip=1)) == ()


def test_another_chip_or_a_worse_rule_updates_it() -> None:
    desk = Desk()
    desk.cycle(make_finding(chip=0))
    [more] = desk.cycle(make_finding(chip=0), make_finding(chip=1))
    assert isinstance(more, UpdateIncident)
    assert more.change is Change.FINDINGS
    worse = desk.cycle(make_finding("chip_too_hot", severity=Severity.CRITICAL))
    assert isinstance(worse[0], UpdateIncident)
    assert worse[0].change is Change.SEVERITY
    desk.cycle(make_finding(chip=0))
    assert desk.book.open[0].severity is Severity.CRITICAL


def test_it_resolves_only_after_thirty_quiet_seconds() -> None:
    desk = Desk()
    desk.cycle(make_finding())
    assert desk.cycle(after_s=29) == ()
    desk.cycle(make_finding())
    assert desk.cycle(after_s=29) == ()
    assert kinds(desk.cycle(after_s=1)) == [ResolveIncident]
    assert desk.book.open == ()


def test_coming_back_soon_reopens_the_same_incident() -> None:
    desk = Desk()
    [opened] = desk.cycle(make_finding())
    desk.cycle(after_s=30)
    [again] = desk.cycle(make_finding(), after_s=100)
    assert isinstance(opened, OpenIncident)
    assert isinstance(again, UpdateIncident)
    assert again.change is Change.REOPENED
    assert again.incident.id == opened.incident.id
    assert again.incident.state is IncidentState.OPEN
    desk.cycle(after_s=30)
    [anew] = desk.cycle(make_finding(), after_s=301)
    assert isinstance(anew, OpenIncident)
    assert anew.incident.id != opened.incident.id
    assert anew.incident.fingerprint == opened.incident.fingerprint


def test_an_acknowledged_incident_stays_until_it_is_quiet() -> None:
    desk = Desk()
    [opened] = desk.cycle(make_finding())
    assert isinstance(opened, OpenIncident)
    ack = Acknowledgement(incident_id=opened.incident.id, actor="kim", comment="on it")
    [taken] = desk.cycle(make_finding(), acks=(ack,))
    assert isinstance(taken, UpdateIncident)
    assert taken.incident.state is IncidentState.ACKNOWLEDGED
    assert taken.incident.acknowledged_by == "kim"
    assert desk.cycle(make_finding(), acks=(ack,)) == ()
    assert desk.book.open[0].state is IncidentState.ACKNOWLEDGED
    assert kinds(desk.cycle(after_s=30)) == [ResolveIncident]


def test_a_warm_loop_explains_its_hot_chips_and_counts_them() -> None:
    desk = Desk()
    hot = [make_finding(sled=f"h1/us01/r1/s{n:02d}", chip=c) for n in range(1, 4) for c in range(4)]
    assert kinds(desk.cycle(CDU_WARM, *hot)) == [OpenIncident]
    [incident] = desk.book.open
    assert incident.subject == "h1/cdu01"
    assert incident.inhibited_count == 12


def test_no_shared_cause_explains_what_stands_out_from_its_peers() -> None:
    desk = Desk()
    plate = make_finding("plate_blocked", peer_relative=True, explains=True)
    assert kinds(desk.cycle(CDU_WARM, plate)) == [OpenIncident, OpenIncident]


def test_what_explains_nothing_hides_nothing() -> None:
    desk = Desk()
    silent_cdu = make_finding("cdu_silent", scope=Place.CDU, family=Family.SILENCE)
    silent_sled = make_finding("sled_silent", scope=Place.SLED, family=Family.SILENCE)
    assert kinds(desk.cycle(silent_cdu, silent_sled)) == [OpenIncident, OpenIncident]


def test_a_sled_without_flow_explains_its_chips() -> None:
    desk = Desk()
    flow = make_finding(
        "sled_flow_below_peers", scope=Place.SLED, peer_relative=True, explains=True
    )
    desk.cycle(make_finding(chip=0), make_finding(chip=1), flow)
    [incident] = desk.book.open
    assert (incident.rule, incident.inhibited_count) == ("sled_flow_below_peers", 2)


def test_the_blocked_plate_leads_and_not_the_guard_that_acted_on_it() -> None:
    desk = Desk()
    critical = Severity.CRITICAL
    desk.cycle(
        make_finding("guard_shed", scope=Place.SLED, severity=critical, peer_relative=True),
        make_finding("chip_too_hot", severity=critical),
        make_finding("plate_blocked", severity=critical, peer_relative=True, explains=True),
    )
    [incident] = desk.book.open
    assert incident.rule == "plate_blocked"


def test_many_sleds_at_once_are_one_incident_and_no_cordon() -> None:
    desk = Desk()
    hot = [
        make_finding("chip_too_hot", sled=f"h1/us01/r1/s{n:02d}", severity=Severity.CRITICAL)
        for n in range(1, 9)
    ]
    assert kinds(desk.cycle(*hot)) == [OpenIncident]
    assert desk.book.open[0].title.startswith("8 sleds of h1/loop01")


def test_a_critical_finding_cordons_its_sled_once() -> None:
    desk = Desk()
    hot = make_finding("chip_too_hot", severity=Severity.CRITICAL)
    effects = desk.cycle(hot)
    [cordon] = [effect for effect in effects if isinstance(effect, CordonSled)]
    assert cordon.sled_id == SLED
    assert cordon.cause == desk.book.open[0].id
    assert desk.cycle(hot, cordoned=frozenset({SLED})) == ()
    assert desk.cycle(hot) == ()  # a person has lifted it: that stands


def test_cordons_stop_before_they_take_too_much_of_the_fleet() -> None:
    desk = Desk(replace(SETTINGS, storm_sleds=99))
    hot = [
        make_finding("chip_too_hot", sled=f"h1/us01/r1/s{n:02d}", severity=Severity.CRITICAL)
        for n in range(1, 18)
    ]
    effects = desk.cycle(*hot, sleds=72)
    assert sum(isinstance(effect, CordonSled) for effect in effects) == 14
    assert sum(isinstance(effect, WithholdCordon) for effect in effects) == 3


def test_a_warning_cordons_nothing() -> None:
    assert kinds(Desk().cycle(make_finding())) == [OpenIncident]


def test_a_book_from_a_store_goes_on_where_it_was() -> None:
    desk = Desk()
    desk.cycle(make_finding())
    desk.book = IncidentBook.of(desk.book.incidents.values())
    assert desk.cycle(make_finding()) == ()


def test_fingerprints_never_change() -> None:
    assert fingerprint("cooling:h1/us01/r1/s01") == FINGERPRINT
    assert len(FINGERPRINT) == 16


FINGERPRINT = "c73a5271975079a7"

findings = st.builds(
    make_finding,
    rule=st.sampled_from(["chip_hot", "plate_blocked", "leak", "sled_silent"]),
    scope=st.sampled_from(Place),
    sled=st.sampled_from([f"h1/us01/r1/s{n:02d}" for n in range(1, 13)]),
    chip=st.integers(0, 3),
    severity=st.sampled_from(Severity),
    family=st.sampled_from(Family),
    peer_relative=st.booleans(),
    explains=st.booleans(),
)
cycles = st.lists(
    st.tuples(st.lists(findings, max_size=12), st.integers(1, 40), st.booleans()), max_size=12
)


@given(cycles)
def test_incidents_come_from_findings_and_go_only_by_quiet(
    story: list[tuple[list[Finding], int, bool]],
) -> None:
    desk = Desk()
    last_found: dict[str, int] = {}
    for found, after_s, ack in story:
        acks = tuple(
            Acknowledgement(incident_id=incident.id, actor="kim", comment="")
            for incident in desk.book.open
            if ack
        )
        effects = desk.cycle(*found, after_s=after_s, acks=acks)
        for effect in effects:
            assert effect.cause
            if isinstance(effect, OpenIncident):
                assert set(effect.incident.findings) <= set(found)
                assert effect.incident.findings
            if isinstance(effect, ResolveIncident):
                assert desk.seconds - last_found[effect.incident.key] >= SETTINGS.quiet_s
        for incident in desk.book.open:
            if incident.last_found_at_unix_ns == START_UNIX_NS + desk.seconds * NS_PER_S:
                last_found[incident.key] = desk.seconds
        keys = [incident.key for incident in desk.book.open]
        assert len(keys) == len(set(keys))
        assert not found or desk.book.open


@given(st.lists(findings, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(found: list[Finding], random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert [i.title for i in _sorted(found)] == [i.title for i in _sorted(shuffled)]


def _sorted(found: list[Finding]) -> list[Incident]:
    desk = Desk()
    desk.cycle(*found)
    return sorted(desk.book.open, key=lambda incident: incident.key)
