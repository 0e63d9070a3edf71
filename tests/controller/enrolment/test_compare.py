from typing import Any

import pytest

from controller.anomaly.finding import Family, Severity
from controller.enrolment.compare import approved, enrol
from controller.enrolment.enrolment import Enrolment, EnrolmentState, MismatchKind
from controller.enrolment.findings import findings
from controller.enrolment.settings import EnrolmentSettings
from fleet.identity import Announcement, SledIdentity
from fleet.topology import FleetMap, trn3_datacenter
from tests.fleet.identities import make_announcement, make_identity, word

SLED = "h1/us01/r1/s07"
OTHER = "h1/us01/r1/s08"


def step(
    identity: SledIdentity, before: Enrolment | None = None, *, epoch: int = 1, **changed: Any
) -> Enrolment:
    announcement = Announcement(epoch=epoch, number=1, identity=identity)
    given: dict[str, Any] = {
        "holders": {},
        "doubt": None,
        "settings": EnrolmentSettings(),
        "cause": "e1",
        "at_unix_ns": 7,
    }
    return enrol(SLED, announcement, before=before, **{**given, **changed})


def kinds(enrolment: Enrolment) -> list[MismatchKind]:
    assert (enrolment.state is EnrolmentState.REFUSED) == bool(enrolment.mismatches)
    return [one.kind for one in enrolment.mismatches]


def test_the_first_is_trusted_and_comes_again() -> None:
    first = step(make_identity())
    assert (first.state, first.enrolled) == (EnrolmentState.ENROLLED, make_identity())
    assert kinds(step(make_identity(), first)) == []


def test_another_board_is_refused_until_the_first_is_back() -> None:
    first = step(make_identity(1))
    swapped = step(make_identity(2), first)
    assert kinds(swapped) == [MismatchKind.REPLACED]
    assert swapped.mismatches[0].text == "sled SL1 is now SL2, and 3 other parts"
    assert swapped.enrolled == make_identity(1)
    assert kinds(step(make_identity(1), swapped)) == []


def test_one_exchanged_chip_is_seen_and_a_silent_one_is_not_another() -> None:
    first = step(make_identity())
    one = step(make_identity(chip_serials=("c10", "c99")), first)
    assert [m.text for m in one.mismatches] == ["chip 1 c11 is now c99"]
    assert kinds(step(make_identity(chip_serials=("c10", "")), first)) == []
    assert kinds(step(make_identity(chip_serials=("c10",)), first)) == [MismatchKind.REPLACED]


def test_what_is_enrolled_elsewhere_names_both() -> None:
    claimed = step(make_identity(2), holders={"SL2": OTHER, "c20": OTHER, "NC2": SLED})
    assert kinds(claimed) == [MismatchKind.CLAIMED]
    assert claimed.mismatches[0].other == OTHER
    assert claimed.enrolled is None
    [found] = findings([claimed], FleetMap(trn3_datacenter()), at_unix_ns=9)
    assert SLED in found.text
    assert OTHER in found.text
    assert "SL2" in found.text
    assert (found.family, found.severity) == (Family.IDENTITY, Severity.CRITICAL)
    assert (found.sled_id, found.cause, found.peer_relative) == (SLED, "e1", True)


def test_firmware_of_the_first_use_is_what_is_allowed() -> None:
    first = step(make_identity())
    drifted = step(make_identity(firmware={"nitro": word("2.28.0")}), first)
    assert kinds(drifted) == [MismatchKind.FIRMWARE]
    assert drifted.mismatches[0].text == "nitro firmware 2.28.0, allowed: 2.31.4"
    tampered = step(make_identity(firmware={"nitro": word(digit="e")}), first)
    assert kinds(tampered) == [MismatchKind.MEASUREMENT]
    [found] = findings([drifted], FleetMap(trn3_datacenter()), at_unix_ns=9)
    assert not found.peer_relative


def test_a_list_of_firmware_says_what_is_allowed() -> None:
    listed = EnrolmentSettings(firmware={"nitro": {"2.31.4": 96 * "a", "2.32.0": ""}})
    first = step(make_identity(), settings=listed)
    assert kinds(first) == []
    newer = step(make_identity(firmware={"nitro": word("2.32.0", "f")}), first, settings=listed)
    assert kinds(newer) == []
    assert newer.enrolled is not None
    assert newer.enrolled.firmware["nitro"].version == "2.32.0"
    wrong = make_identity(firmware={"nitro": word("2.31.4", "f")})
    assert kinds(step(wrong, first, settings=listed)) == [MismatchKind.MEASUREMENT]
    assert kinds(step(make_identity(firmware={"nitro": word("9")}), settings=listed)) == [
        MismatchKind.FIRMWARE
    ]


def test_the_inventory_says_what_belongs_where() -> None:
    listed = EnrolmentSettings(inventory={SLED: "SL1"})
    assert kinds(step(make_identity(1), settings=listed)) == []
    other = step(make_identity(2), settings=listed)
    assert kinds(other) == [MismatchKind.UNEXPECTED]
    assert other.mismatches[0].text == "the inventory lists SL1 where SL2 stands"
    assert kinds(step(make_identity(1), settings=EnrolmentSettings(inventory={}))) == [
        MismatchKind.UNEXPECTED
    ]


def test_a_changed_inventory_enrols_the_board_that_it_lists() -> None:
    first = step(make_identity(1), settings=EnrolmentSettings(inventory={SLED: "SL1"}))
    moved = EnrolmentSettings(inventory={SLED: "SL2"})
    assert MismatchKind.UNEXPECTED in kinds(step(make_identity(1), first, settings=moved))
    after = step(make_identity(2), first, settings=moved)
    assert (kinds(after), after.enrolled) == ([], make_identity(2))


@pytest.mark.parametrize("doubt", [None, "", "its card has signed nothing"])
def test_a_doubted_signature_is_refused(doubt: str | None) -> None:
    seen = step(make_identity(), doubt=doubt)
    assert kinds(seen) == ([MismatchKind.UNATTESTED] if doubt else [])
    assert seen.attested == (doubt == "")


def test_a_person_approves_what_is_there_and_only_that() -> None:
    listed = EnrolmentSettings(inventory={SLED: "SL1"}, firmware={"nitro": {"1": ""}})
    refused = step(make_identity(2), settings=listed)
    assert len(kinds(refused)) == 2
    word_of = approved(refused, actor="ana")
    assert (word_of.state, word_of.enrolled, word_of.approved_by) == (
        EnrolmentState.ENROLLED,
        make_identity(2),
        "ana",
    )
    again = step(make_identity(2), word_of, settings=listed)
    assert (kinds(again), again.approved_by) == ([], "ana")
    assert MismatchKind.REPLACED in kinds(step(make_identity(3), word_of, settings=listed))
    newer = make_identity(2, firmware={"nitro": word("2")})
    assert kinds(step(newer, word_of, settings=listed)) == [MismatchKind.FIRMWARE]


def test_a_sled_that_the_fleet_no_longer_has_makes_no_finding() -> None:
    gone = enrol(
        "h9/us01/r1/s01",
        make_announcement(),
        before=None,
        holders={},
        doubt="no",
        settings=EnrolmentSettings(),
        cause="e",
        at_unix_ns=1,
    )
    assert findings([gone], FleetMap(trn3_datacenter()), at_unix_ns=9) == []


def test_a_second_agent_in_the_sleds_name_is_refused_until_the_first_speaks_again() -> None:
    first = step(make_identity(), epoch=12)
    second = step(make_identity(), first, epoch=1)
    assert kinds(second) == [MismatchKind.SECOND_AGENT]
    assert "epoch 1 announces it after one in epoch 12" in second.mismatches[0].text
    assert kinds(step(make_identity(), second, epoch=2)) == [MismatchKind.SECOND_AGENT]
    assert kinds(step(make_identity(), second, epoch=13)) == []
    assert kinds(step(make_identity(), approved(second, actor="ana"), epoch=1)) == []
