"""What emulated cards sign, as the controller checks it."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inputs.sled_identity import SledIdentityReader
from controller.enrolment.attest import Attestor
from emulator.devices.sled_bmc import SledBmc
from emulator.nitro import NitroCard, root_pem
from fleet.errors import DeviceError
from fleet.identity import Announcement, Attestation, nonce_of
from tests.emulator.devices.builders import HandHall

SLED, OTHER = "h1/us01/r1/s07", "h1/us01/r1/s08"
NOW = round(datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1e9)
CARD = NitroCard(SLED, chips=4)
NEIGHBOUR = NitroCard(OTHER, chips=4)
ATTESTOR = Attestor(root_pem())


def announced(card: NitroCard = CARD, agent: str = SLED, *, claims: str = "") -> Announcement:
    identity = card.identity(claims=claims)
    signed = card.sign(identity, nonce=nonce_of(agent, 3, 1), at_unix_ns=NOW)
    attestation = Attestation(signed=signed, chain_pem=card.chain_pem)
    return Announcement(epoch=3, number=1, identity=identity, attestation=attestation)


def test_a_cards_own_word_is_believed_over_redfish() -> None:
    hall = HandHall()
    bmc = SledBmc(hall, hall.fleet_map.sled(SLED))
    reader = SledIdentityReader(bmc)
    announcement = Announcement(
        epoch=3, number=1, identity=reader.read(), attestation=reader.attest(nonce_of(SLED, 3, 1))
    )
    assert announcement.identity == CARD.identity()
    assert ATTESTOR.doubt(SLED, announcement, NOW) == ""


def test_what_stands_there_now_speaks() -> None:
    hall = HandHall()
    reader = SledIdentityReader(SledBmc(hall, hall.fleet_map.sled(SLED)))
    hall.change_sled(board=OTHER)
    assert reader.read() == NEIGHBOUR.identity()
    hall.change_sled(board="", firmware_drifted=True)
    assert reader.read() == CARD.identity(drifted=True)
    assert CARD.identity(drifted=True) != CARD.identity()


@pytest.mark.parametrize("body", [b"{}", b'{"Nonce": "12"}', b'{"Nonce": 5}', b'{"Colour": 1}'])
def test_a_card_signs_no_odd_question(body: bytes) -> None:
    hall = HandHall()
    path = "/redfish/v1/ComponentIntegrity/Nitro/Actions/ComponentIntegrity."
    bmc = SledBmc(hall, 0)
    assert bmc.handle("POST", path + "SPDMGetSignedMeasurements", body).status == 400
    with pytest.raises(DeviceError, match="HTTP 400"):
        SledIdentityReader(bmc).attest("short")


def test_a_document_is_no_proof_for_another_sled_or_another_time() -> None:
    assert "another sled" in ATTESTOR.doubt(OTHER, announced(), NOW)
    later = msgspec.structs.replace(announced(), epoch=4)
    assert "at another time" in ATTESTOR.doubt(SLED, later, NOW)


def test_a_claimed_identity_needs_the_other_cards_key() -> None:
    """It tells what it should, but it can only sign with its own key."""
    forged = announced(CARD, claims=OTHER)
    assert forged.identity == NEIGHBOUR.identity()
    doubt = ATTESTOR.doubt(SLED, forged, NOW)
    assert doubt == f"card {CARD.nitro_serial} signed for card {NEIGHBOUR.nitro_serial}"


def test_another_cards_certificate_does_not_help() -> None:
    own = announced(CARD, claims=OTHER)
    assert own.attestation is not None
    dressed = msgspec.structs.replace(own.attestation, chain_pem=NEIGHBOUR.chain_pem)
    forged = msgspec.structs.replace(own, attestation=dressed)
    assert "signature is not that of card" in ATTESTOR.doubt(SLED, forged, NOW)


def test_what_was_signed_is_what_was_announced() -> None:
    changed = msgspec.structs.replace(announced(), identity=CARD.identity(drifted=True))
    assert "signed something else" in ATTESTOR.doubt(SLED, changed, NOW)


def test_nothing_signed_is_nothing_believed() -> None:
    bare = msgspec.structs.replace(announced(), attestation=None)
    assert ATTESTOR.doubt(SLED, bare, NOW) == "its card has signed nothing"


def test_a_root_of_ones_own_is_not_trusted() -> None:
    """A card that is its own root: every signature holds, and nobody knows it."""
    card_alone = CARD.chain_pem.split("-----END CERTIFICATE-----\n")[0]
    stranger = Attestor(card_alone + "-----END CERTIFICATE-----\n")
    assert "leads to no trusted root" in stranger.doubt(OTHER, announced(NEIGHBOUR, OTHER), NOW)


def test_a_card_can_not_vouch_for_a_card() -> None:
    """Only an authority may issue, whatever its signature says."""
    whole = announced()
    assert whole.attestation is not None
    chain = CARD.chain_pem.split("-----BEGIN")[1]
    twice = f"-----BEGIN{chain}-----BEGIN{chain}"
    attestation = msgspec.structs.replace(whole.attestation, chain_pem=twice)
    longer = msgspec.structs.replace(whole, attestation=attestation)
    assert "is not by" in ATTESTOR.doubt(SLED, longer, NOW)


@pytest.mark.parametrize("year", [2019, 2061])
def test_certificates_have_their_time(year: int) -> None:
    at = round(datetime(year, 1, 2, tzinfo=UTC).timestamp() * 1e9)
    assert "not valid at this time" in ATTESTOR.doubt(SLED, announced(), at)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 7))
def test_any_flipped_bit_is_seen(place: int, bit: int) -> None:
    whole = announced()
    assert whole.attestation is not None
    signed = bytearray(whole.attestation.signed)
    signed[place % len(signed)] ^= 1 << bit
    attestation = msgspec.structs.replace(whole.attestation, signed=bytes(signed))
    torn = msgspec.structs.replace(whole, attestation=attestation)
    assert ATTESTOR.doubt(SLED, torn, NOW) != ""


@settings(max_examples=25)
@given(st.binary(min_size=98, max_size=300), st.text(max_size=100))
def test_nonsense_is_doubted_and_never_raises(signed: bytes, chain: str) -> None:
    for pem in (chain, CARD.chain_pem):
        odd = Attestation(signed=signed, chain_pem=pem)
        announcement = msgspec.structs.replace(announced(), attestation=odd)
        assert ATTESTOR.doubt(SLED, announcement, NOW) != ""
