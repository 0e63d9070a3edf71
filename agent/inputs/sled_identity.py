"""Who a sled is, from its BMC: serials, firmware with measurements, and the card's signed word.

Redfish: Chassis, Manager, Processors, SoftwareInventory and ComponentIntegrity (DSP2046).
"""

import base64
import binascii
from typing import Final

import msgspec

from agent.inputs.lenient import JsonObject, mapping, objects, text, within
from agent.inputs.redfish import Collection
from agent.inputs.sled_redfish import CHASSIS, SYSTEM
from agent.transport import Transport, get_json, post_json
from fleet.errors import DeviceError
from fleet.identity import Attestation, SledIdentity

MANAGER: Final = "/redfish/v1/Managers/Nitro"
INVENTORY: Final = "/redfish/v1/UpdateService/FirmwareInventory"
INTEGRITY: Final = "/redfish/v1/ComponentIntegrity/Nitro"
_ACTION: Final = "#ComponentIntegrity.SPDMGetSignedMeasurements"
_SERVICE: Final = "/redfish/v1/"


class SledIdentityReader:
    """Asks the BMC of one sled; every method raises DeviceError where it does not say."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._processors = Collection(transport, f"{SYSTEM}/Processors")
        self._inventory = Collection(transport, INVENTORY)

    def read(self) -> SledIdentity:
        chassis = get_json(self._transport, CHASSIS)
        manager = get_json(self._transport, MANAGER)
        document = {
            "serial": chassis.get("SerialNumber"),
            "part_number": chassis.get("PartNumber"),
            "nitro_serial": manager.get("SerialNumber"),
            "chip_serials": self._chip_serials(),
            "firmware": self._firmware(),
        }
        try:
            return msgspec.convert(document, SledIdentity)
        except msgspec.ValidationError as error:
            raise DeviceError(f"identity of the sled: {error}") from error

    def attest(self, nonce: str) -> Attestation:
        """The card's signature over what it says, with this nonce in it, and its certificates."""
        integrity = get_json(self._transport, INTEGRITY)
        action = within(integrity, "Actions", _ACTION)
        answer = post_json(self._transport, _of_service(action, "target"), {"Nonce": nonce})
        proof = within(integrity, "SPDM", "IdentityAuthentication", "ResponderAuthentication")
        link = _of_service(mapping(proof.get("ComponentCertificate")), "@odata.id")
        chain = text(get_json(self._transport, link).get("CertificateString"))
        try:
            signed = base64.b64decode(text(answer.get("SignedMeasurements")), validate=True)
            return msgspec.convert({"signed": signed, "chain_pem": chain}, Attestation)
        except (binascii.Error, ValueError, msgspec.ValidationError) as error:
            raise DeviceError(f"signed measurements of the sled: {error}") from error

    def _chip_serials(self) -> tuple[str, ...]:
        """By the number in `TRN0`, `TRN1`, ...; empty where a chip does not tell its own."""
        processors = _members(self._processors)
        told = {text(chip.get("Id")): text(chip.get("SerialNumber")) for chip in processors}
        places = [int(name[3:6]) for name in told if name[:3] == "TRN" and name[3:].isdecimal()]
        return tuple(told.get(f"TRN{place}", "") for place in range(max(places, default=-1) + 1))

    def _firmware(self) -> dict[str, JsonObject]:
        measured = {}
        integrity = within(get_json(self._transport, INTEGRITY), "SPDM", "MeasurementSet")
        for one in objects(integrity.get("Measurements")):
            component = text(within(one, "Oem", "Isotherm").get("Component"))
            measured[component] = text(one.get("Measurement")).lower()
        return {
            (name := text(one.get("Id"))): {
                "version": one.get("Version"),
                "sha384": measured.get(name),
            }
            for one in _members(self._inventory)
        }


def _members(collection: Collection) -> list[JsonObject]:
    members, errors = collection.read()
    if errors:
        raise errors[0]
    return members


def _of_service(document: JsonObject, name: str) -> str:
    """A link, but only within the service that gave it."""
    found = text(document.get(name))
    if not found.startswith(_SERVICE):
        raise DeviceError(f"identity of the sled: no link {name} of this service")
    return found
