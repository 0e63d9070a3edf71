import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import MalformedMessageError
from fleet.events import Event, EventKind, decode_event, encode_event
from fleet.identity import (
    Attestation,
    IdentityDocument,
    announcement_detail,
    announcement_of,
    decode_document,
    encode_document,
    nonce_of,
)
from tests.fleet.identities import make_announcement, make_identity

SLED = "h1/us01/r1/s07"


def event(detail: dict[str, str], kind: EventKind = EventKind.SLED_ANNOUNCED) -> Event:
    return Event(id="e1", kind=kind, subject=SLED, at_unix_ns=7, cause="start", detail=detail)


def test_an_announcement_comes_back_whole() -> None:
    attestation = Attestation(signed=bytes(range(200)), chain_pem="-----BEGIN")
    sent = msgspec.structs.replace(make_announcement(), attestation=attestation)
    carried = decode_event(encode_event(event(announcement_detail(sent))))
    assert announcement_of(carried) == sent


def test_a_document_comes_back_whole() -> None:
    document = IdentityDocument(
        nonce=nonce_of(SLED, 3, 1), signed_at_unix_ns=5, identity=make_identity()
    )
    assert decode_document(encode_document(document)) == document


@pytest.mark.parametrize(
    "change",
    [
        {"serial": ""},
        {"serial": "a b"},
        {"serial": "x" * 65},
        {"serial": None},
        {"chip_serials": ["c"] * 65},
        {"firmware": {"nitro": {"version": "1", "sha384": "f" * 95}}},
        {"firmware": {"nitro": {"version": "1"}}},
        {"colour": "red"},
    ],
)
def test_what_is_not_quite_an_identity_is_refused(change: dict[str, object]) -> None:
    detail = announcement_detail(make_announcement())
    document = json.loads(detail["announcement"])
    document["identity"] |= change
    with pytest.raises(MalformedMessageError, match="event e1"):
        announcement_of(event({"announcement": json.dumps(document)}))


def test_other_events_are_no_announcements() -> None:
    detail = announcement_detail(make_announcement())
    with pytest.raises(MalformedMessageError, match="no announcement"):
        announcement_of(event(detail, EventKind.AGENT_STARTED))
    with pytest.raises(MalformedMessageError, match="no announcement"):
        announcement_of(event({**detail, "more": "x"}))


@given(st.text() | st.text(alphabet='{}[]":,0123456789'))
def test_nonsense_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(MalformedMessageError):
        announcement_of(event({"announcement": text}))


@given(st.binary())
def test_a_nonsense_document_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_document(data)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(MalformedMessageError):
        decode_document(b'{"identity":' * 100_000)


def test_a_nonce_is_one_agents_at_one_time() -> None:
    nonces = {
        nonce_of(agent, epoch, number)
        for agent in (SLED, "h1/us01/r1/s08")
        for epoch in (1, 2)
        for number in (1, 2)
    }
    assert len(nonces) == 8
    assert all(len(nonce) == 64 for nonce in nonces)
