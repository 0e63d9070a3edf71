"""Which hardware stands in a sled's place: its serials, its firmware, and its card's signed word.

The signed bytes are a document and a raw ECDSA P-384 signature over it (r and s, 48 bytes each), as
SPDM appends it to measurements; the document is JSON of `IdentityDocument`.
"""

import hashlib
from typing import Annotated, Final

import msgspec

from fleet.errors import MalformedMessageError
from fleet.events import Event, EventKind

SIGNATURE_BYTES: Final = 96
_SHOWN: Final = r"^[\x21-\x7e]+$"
_Serial = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_SHOWN)]
_ChipSerial = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[\x21-\x7e]*$")]
_Sha384 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{96}$")]


class FirmwareWord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs on one component, and the digest that was measured of it at boot."""

    version: _Serial
    sha384: _Sha384


class SledIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chip serial is empty where the chip does not tell it. `firmware` is by component."""

    serial: _Serial
    part_number: _Serial
    nitro_serial: _Serial
    chip_serials: Annotated[tuple[_ChipSerial, ...], msgspec.Meta(max_length=64)]
    firmware: Annotated[dict[_Serial, FirmwareWord], msgspec.Meta(max_length=16)]

    @property
    def serials(self) -> dict[str, str]:
        """Every serial that was told, by the part that has it."""
        chips = {f"chip {place}": serial for place, serial in enumerate(self.chip_serials)}
        every = {"sled": self.serial, "Nitro card": self.nitro_serial, **chips}
        return {part: serial for part, serial in every.items() if serial}


class IdentityDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a card signs. `nonce` is the asker's, so that an old document is known as one."""

    nonce: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    signed_at_unix_ns: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    identity: SledIdentity


class Attestation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Document and signature, and the PEM certificates of the key: the card's own first."""

    signed: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES + 2, max_length=65_536)]
    chain_pem: Annotated[str, msgspec.Meta(max_length=32_768)]


class Announcement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent found in its sled's place; `number` counts within the agent's epoch."""

    epoch: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    number: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    identity: SledIdentity
    attestation: Attestation | None = None


_announcement: Final = msgspec.json.Decoder(Announcement)
_document: Final = msgspec.json.Decoder(IdentityDocument)
_encoder: Final = msgspec.json.Encoder(order="deterministic")
_DETAIL: Final = "announcement"


def nonce_of(agent: str, epoch: int, number: int) -> str:
    """64 hexadecimal digits: they tie a signed document to the agent that asked, and when, so that
    the document of one place is no proof for another.
    """
    return hashlib.sha256(f"isotherm identity {agent}@{epoch}.{number}".encode()).hexdigest()


def announcement_detail(announcement: Announcement) -> dict[str, str]:
    return {_DETAIL: _encoder.encode(announcement).decode()}


def announcement_of(event: Event) -> Announcement:
    """Raises MalformedMessageError when the event is no announcement, or not a whole one."""
    if event.kind is not EventKind.SLED_ANNOUNCED or event.detail.keys() != {_DETAIL}:
        raise MalformedMessageError(f"event {event.id} is a {event.kind}, no announcement")
    try:
        return _announcement.decode(event.detail[_DETAIL])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise MalformedMessageError(f"event {event.id}: {error}") from error


def encode_document(document: IdentityDocument) -> bytes:
    return _encoder.encode(document)


def decode_document(data: bytes) -> IdentityDocument:
    try:
        return _document.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not an identity document: {error}") from error
    except RecursionError as error:
        raise MalformedMessageError("not an identity document: nested too deeply") from error
