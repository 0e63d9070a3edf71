"""The Nitro card of each emulated sled: serials, measured firmware, and a key that signs for them.

Modelled on attestation documents of AWS Nitro (ECDSA P-384 with SHA-384, a key chained to a root by
X.509). The root here is emulated and its key public: its signature proves nothing outside tests.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from fleet.identity import FirmwareWord, IdentityDocument, SledIdentity, encode_document

_CURVE: Final = ec.SECP384R1()
_ORDER_LESS: Final = 2**383  # below the order of the curve
_ROOT_NAME: Final = "Isotherm emulated Nitro root"
_BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
_END: Final = datetime(2060, 1, 1, tzinfo=UTC)
_HALF_BYTES: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroSettings:
    """What every healthy card of the hall runs; names and versions are estimates."""

    part_number: str = "EMU-TRN-SLED-01"
    versions: Mapping[str, str] = field(
        default_factory=lambda: {"nitro": "2.31.4", "bmc": "1.18.0", "neuron": "2.29.17"}
    )
    drifted: Mapping[str, str] = field(default_factory=lambda: {"nitro": "2.28.0"})
    """What a card runs that was left out of the last update."""


class NitroCard:
    """The card on the board that was built for one place; it stays with the board."""

    def __init__(self, board: str, *, chips: int, settings: NitroSettings | None = None) -> None:
        self._board = board
        self._chips = chips
        self._settings = settings or NitroSettings()
        self.nitro_serial = f"NC{_digits(board, 'nitro', 12)}"

    def identity(self, *, drifted: bool = False, claims: str = "") -> SledIdentity:
        """What the card says of its sled; `claims` is another board whose serials it pretends."""
        said = claims or self._board
        versions = {**self._settings.versions, **(self._settings.drifted if drifted else {})}
        return SledIdentity(
            serial=f"SL{_digits(said, 'sled', 12)}",
            part_number=self._settings.part_number,
            nitro_serial=f"NC{_digits(said, 'nitro', 12)}",
            chip_serials=tuple(chip_serial(f"{said}/c{chip}") for chip in range(self._chips)),
            firmware={
                component: FirmwareWord(version=version, sha384=measurement(component, version))
                for component, version in versions.items()
            },
        )

    def sign(self, identity: SledIdentity, *, nonce: str, at_unix_ns: int) -> bytes:
        """Document and signature; the same for the same question at the same time."""
        document = encode_document(
            IdentityDocument(nonce=nonce, signed_at_unix_ns=at_unix_ns, identity=identity)
        )
        algorithm = ec.ECDSA(hashes.SHA384(), deterministic_signing=True)
        r, s = decode_dss_signature(_key(self.nitro_serial).sign(document, algorithm))
        return document + r.to_bytes(_HALF_BYTES, "big") + s.to_bytes(_HALF_BYTES, "big")

    @property
    def chain_pem(self) -> str:
        """The card's own certificate, then the root's."""
        return _card_pem(self.nitro_serial) + root_pem()


def chip_serial(chip: str) -> str:
    """16 hexadecimal digits, the same for ever for the chip that was built for this place."""
    return hashlib.blake2b(chip.encode(), digest_size=8).hexdigest()


def measurement(component: str, version: str) -> str:
    """SHA-384 of the image; an emulated one consists of its name and version."""
    return hashlib.sha384(f"emulated image of {component} {version}".encode()).hexdigest()


@cache
def root_pem() -> str:
    """What whoever checks these cards has to trust."""
    return _pem(_certificate(_ROOT_NAME, _key(_ROOT_NAME).public_key(), authority=True))


def _digits(board: str, part: str, count: int) -> str:
    return hashlib.blake2b(f"{part} of {board}".encode(), digest_size=8).hexdigest()[:count].upper()


@lru_cache(maxsize=65_536)
def _card_pem(nitro_serial: str) -> str:
    return _pem(_certificate(nitro_serial, _key(nitro_serial).public_key(), authority=False))


@lru_cache(maxsize=65_536)
def _key(name: str) -> ec.EllipticCurvePrivateKey:
    # Derived, not drawn: a hall that is built again has the same keys.
    seed = hashlib.sha384(f"emulated key of {name}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(seed, "big") % _ORDER_LESS + 1, _CURVE)


def _certificate(name: str, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(_ROOT_NAME))
        .public_key(key)
        .serial_number(number)
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return builder.sign(_key(_ROOT_NAME), hashes.SHA384(), ecdsa_deterministic=True)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
