"""Whether a trusted card has signed for an announcement."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError, MalformedMessageError
from fleet.identity import SIGNATURE_BYTES, Announcement, decode_document, nonce_of

_LONGEST_CHAIN: Final = 5
_HALF: Final = SIGNATURE_BYTES // 2


class Attestor:
    """Knows the roots. ConfigurationError when their text is not certificates in PEM."""

    def __init__(self, roots_pem: str) -> None:
        self._roots: list[x509.Certificate] = []
        if roots_pem:
            try:
                self._roots = x509.load_pem_x509_certificates(roots_pem.encode())
            except ValueError as error:
                raise ConfigurationError(f"enrolment roots: {error}") from error

    @property
    def asks(self) -> bool:
        """False without roots: then nothing is verified."""
        return bool(self._roots)

    def doubt(self, agent: str, announcement: Announcement, at_unix_ns: int) -> str:
        """Why the announcement is not to be believed, as words for a person; empty: it is."""
        attestation = announcement.attestation
        if attestation is None:
            return "its card has signed nothing"
        try:
            chain = x509.load_pem_x509_certificates(attestation.chain_pem.encode())
            if doubt := self._chain_doubt(chain, at_unix_ns):
                return doubt
            signed = attestation.signed
            return _document_doubt(agent, announcement, signed, chain[0])
        except (ValueError, TypeError, UnicodeEncodeError) as error:
            return f"its certificates can not be read ({' '.join(str(error).split())[:100]})"

    def _chain_doubt(self, chain: list[x509.Certificate], at_unix_ns: int) -> str:
        if len(chain) > _LONGEST_CHAIN:
            return f"its chain has {len(chain)} certificates"
        try:
            now = datetime.fromtimestamp(at_unix_ns / NS_PER_S, UTC)
        except (OverflowError, ValueError):
            return "the time of this check can not be"
        for one in chain:
            if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
                return f"the certificate of {_name(one)} is not valid at this time"
        for one, issuer in pairwise(chain):
            if not _issued(one, issuer):
                return f"the certificate of {_name(one)} is not by {_name(issuer)}"
        last = chain[-1]
        if last not in self._roots and not any(_issued(last, root) for root in self._roots):
            return f"the certificate of {_name(last)} leads to no trusted root"
        return ""


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        authority = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        if not authority:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return True


def _document_doubt(
    agent: str, announcement: Announcement, signed: bytes, card: x509.Certificate
) -> str:
    document, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
    key = card.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        return f"the key of {_name(card)} is not of the curve P-384"
    r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
    try:
        key.verify(encode_dss_signature(r, s), document, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        return f"the signature is not that of card {_name(card)}"
    try:
        told = decode_document(document)
    except MalformedMessageError as error:
        return f"what its card signed can not be read ({error})"
    if told.identity != announcement.identity:
        return f"its card {_name(card)} signed something else than was announced"
    if told.nonce != nonce_of(agent, announcement.epoch, announcement.number):
        return f"its card {_name(card)} signed that for another sled or at another time"
    if _name(card) != told.identity.nitro_serial:
        return f"card {_name(card)} signed for card {told.identity.nitro_serial}"
    return ""


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "no name"
