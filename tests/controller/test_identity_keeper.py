"""What was learnt of loops, kept and found again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from controller.cooling.settings import CoolingSettings
from controller.enrolment.enrolment import Enrolment, EnrolmentState
from controller.identities import Identities
from controller.identity_keeper import KEEP_S, IdentityKeeper
from controller.identity_record import decode_identity, encode_identity
from controller.store import Transaction
from fleet.clock import ManualClock
from fleet.errors import LeaseLostError, StoreError
from fleet.identity import SledIdentity
from tests.controller.flaky_store import FlakyStore
from tests.controller.learnt import make_identity
from tests.controller.spoken import SpokenFleet
from thermal.model.identity import LoopIdentity

LOOP, CHIPS = "h1/loop01", 288
SETTINGS = CoolingSettings.sized(CHIPS)


class Keeping:
    """Controllers one after the other, with one store."""

    def __init__(self, store: FlakyStore) -> None:
        self.store = store
        self.fleet = SpokenFleet()
        self.snapshot = self.fleet.tick()
        self.clock = ManualClock()
        self.begin()

    def begin(self) -> None:
        """Another controller takes the loop."""
        self.identities = Identities({LOOP: SETTINGS})
        self.keeper = IdentityKeeper(self.identities, self.fleet.fleet_map, self.store, self.clock)

    def cycle(self, cycles: int = 1) -> None:
        """Nothing new is heard."""
        for _ in range(cycles):
            self.clock.advance(1.0)
            self.identities.learn(self.snapshot, [LOOP])
            self.keeper.turn(allowed)

    def learns(self, learnt: LoopIdentity) -> None:
        self.identities._known[LOOP].identity = learnt

    def kept(self) -> bytes | None:
        with self.store.read() as tx:
            return tx.loop_identities.of([LOOP]).get(LOOP)


def allowed(_tx: Transaction) -> None:
    """The lease holds."""


def lost(_tx: Transaction) -> None:
    raise LeaseLostError("somebody else leads")


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    store = FlakyStore(f"sqlite:///{tmp_path}/isotherm.db")
    yield Keeping(store)
    store.available = True
    store.close()


def test_the_next_controller_goes_on_where_the_last_one_was(keeping: Keeping) -> None:
    keeping.cycle()
    keeping.learns(make_identity(CHIPS, worn={7: 0.12}))
    keeping.cycle(round(KEEP_S))
    keeping.begin()
    keeping.cycle(2)
    learnt = keeping.identities.learnt(LOOP)
    assert learnt is not None
    assert learnt.plates.drift_ratio[7] == pytest.approx(0.12)
    assert learnt.loop.ua.lessons_count == pytest.approx(100.0)
    for _ in range(2):
        keeping.identities.learn(keeping.fleet.tick(), [LOOP])
    assert [one.worn_chips for _, _, one in keeping.identities.known()] == [1]


def enrolled(sled_id: str, serials: tuple[str, ...]) -> Enrolment:
    identity = SledIdentity(
        serial=f"S-{serials[0]}",
        part_number="P",
        nitro_serial=f"N-{serials[0]}",
        chip_serials=serials,
        firmware={},
    )
    return Enrolment(
        sled_id=sled_id,
        state=EnrolmentState.ENROLLED,
        announced=identity,
        announced_at_unix_ns=1,
        cause="test",
        attested=True,
        epoch=1,
        enrolled=identity,
    )


def test_of_a_swapped_board_nothing_is_remembered_and_of_others_all(keeping: Keeping) -> None:
    sled_id = keeping.fleet.fleet_map.sled_ids[2]  # chips 8 to 11
    with keeping.store.begin() as tx:
        tx.enrolments.save(enrolled(sled_id, ("a", "b", "c", "d")))
    keeping.cycle()
    keeping.learns(make_identity(CHIPS, worn={7: 0.12, 9: 0.2}))
    keeping.cycle(round(KEEP_S))
    # While no controller looks, another board is put in and approved; one chip moved along.
    keeping.keeper.finish(allowed, 1.0)
    with keeping.store.begin() as tx:
        tx.enrolments.save(enrolled(sled_id, ("e", "f", "g", "d")))
    keeping.begin()
    keeping.cycle(2)
    learnt = keeping.identities.learnt(LOOP)
    assert learnt is not None
    fit = learnt.plates
    assert fit.drift_ratio[7] == pytest.approx(0.12)
    assert fit.drift_ratio[9] == 0.0
    assert np.flatnonzero(fit.lessons_count == 0.0).tolist() == [8, 9, 10]
    assert learnt.loop.ua.lessons_count == pytest.approx(100.0)
    # Once forgotten it learns anew.
    keeping.learns(make_identity(CHIPS, worn={9: 0.1}))
    keeping.cycle(2 * round(KEEP_S))
    again = keeping.identities.learnt(LOOP)
    assert again is not None
    assert again.plates.drift_ratio[9] == pytest.approx(0.1)


def test_it_is_written_every_few_minutes_and_at_the_end(keeping: Keeping) -> None:
    keeping.cycle()
    keeping.learns(make_identity(CHIPS))
    asked = keeping.store.asked
    keeping.cycle(2 * round(KEEP_S))
    assert 1 <= keeping.store.asked - asked <= 3
    keeping.learns(make_identity(CHIPS, worn={1: 0.3}))
    keeping.keeper.finish(allowed, 1.0)
    document = keeping.kept()
    assert document is not None
    drift = decode_identity(document, SETTINGS, CHIPS).plates.drift_ratio
    assert drift[1] == pytest.approx(0.3)


def test_nothing_learnt_writes_nothing_over_what_was(keeping: Keeping) -> None:
    keeping.cycle(3)
    keeping.keeper.finish(allowed, 1.0)
    assert keeping.kept() is None


def test_who_has_not_read_it_yet_does_not_overwrite_it(keeping: Keeping) -> None:
    with keeping.store.begin() as tx:
        tx.loop_identities.put({LOOP: encode_identity(make_identity(CHIPS))}, at_unix_ns=1)
    before = keeping.kept()
    keeping.store.available = False
    keeping.identities.learn(keeping.snapshot, [LOOP])
    with pytest.raises(StoreError):
        keeping.keeper.turn(allowed)
    keeping.learns(make_identity(CHIPS, worn={1: 0.3}))
    keeping.store.available = True
    keeping.keeper.finish(allowed, 1.0)
    assert keeping.kept() == before
    keeping.cycle(2)
    learnt = keeping.identities.learnt(LOOP)
    assert learnt is not None
    np.testing.assert_allclose(learnt.plates.drift_ratio, 0.0)


def test_without_the_lease_nothing_is_written(keeping: Keeping) -> None:
    keeping.cycle()
    keeping.learns(make_identity(CHIPS))
    with pytest.raises(LeaseLostError):
        keeping.keeper.finish(lost, 1.0)
    assert keeping.kept() is None


@pytest.mark.parametrize("document", [b"", b"nonsense", encode_identity(make_identity(CHIPS - 4))])
def test_what_can_not_be_read_is_left_out(keeping: Keeping, document: bytes) -> None:
    with keeping.store.begin() as tx:
        tx.loop_identities.put({LOOP: document}, at_unix_ns=1)
    keeping.cycle(3)
    learnt = keeping.identities.learnt(LOOP)
    assert learnt is not None
    assert not learnt.begun


def test_a_thread_reads_and_writes_while_cycles_go_on(keeping: Keeping) -> None:
    with keeping.store.begin() as tx:
        learnt = make_identity(CHIPS, worn={7: 0.12})
        tx.loop_identities.put({LOOP: encode_identity(learnt)}, at_unix_ns=1)
    keeping.keeper.start()
    keeping.identities.learn(keeping.snapshot, [LOOP])
    keeping.keeper.turn(allowed)
    keeping.keeper.finish(allowed, 10.0)
    assert keeping.identities.orphans() == []
    known = keeping.identities.learnt(LOOP)
    assert known is not None
    assert known.plates.drift_ratio[7] == pytest.approx(0.12)
