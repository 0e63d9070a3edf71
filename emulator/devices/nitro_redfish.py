"""What a sled's card tells of its hardware over Redfish: serials, firmware, signed measurements."""

import base64
import re
from collections.abc import Callable
from typing import Final

import msgspec

from emulator.devices.redfish import (
    ENABLED,
    ROOT,
    Collection,
    Node,
    Question,
    Resource,
    identity,
    link,
    static,
)
from emulator.devices.view import WorldView
from emulator.nitro import NitroCard, NitroSettings
from emulator.readings import SledReadings
from fleet.identity import SledIdentity

MANAGER: Final = f"{ROOT}/Managers/Nitro"
INTEGRITY: Final = f"{ROOT}/ComponentIntegrity/Nitro"
INVENTORY: Final = f"{ROOT}/UpdateService/FirmwareInventory"
CERTIFICATE: Final = f"{ROOT}/Managers/Nitro/Certificates/1"
SIGN: Final = f"{INTEGRITY}/Actions/ComponentIntegrity.SPDMGetSignedMeasurements"
MAKER: Final = "Isotherm emulator"
_NONCE: Final = re.compile("[0-9a-fA-F]{64}")


class NitroSeat:
    """The place of a card: whichever board stands there now speaks."""

    def __init__(self, world: WorldView, row: int, settings: NitroSettings | None = None) -> None:
        self._world = world
        self._row = row
        self._chips = int(world.fleet_map.chips_of_sled[row])
        self._settings = settings or NitroSettings()
        self._cards: dict[str, NitroCard] = {}

    def identity(self) -> SledIdentity:
        seen = self._seen()
        return self._card(seen).identity(drifted=seen.firmware_drifted, claims=seen.claims)

    def signed(self, nonce: str) -> bytes:
        """Document and signature over what it says now."""
        seen = self._seen()
        said = self._card(seen).identity(drifted=seen.firmware_drifted, claims=seen.claims)
        return self._card(seen).sign(said, nonce=nonce.lower(), at_unix_ns=seen.at_unix_ns)

    def chain_pem(self) -> str:
        return self._card(self._seen()).chain_pem

    def _seen(self) -> SledReadings:
        return self._world.sled_readings(self._row)

    def _card(self, seen: SledReadings) -> NitroCard:
        board = seen.board or self._world.fleet_map.sled_ids[self._row]
        if board not in self._cards:
            self._cards[board] = NitroCard(board, chips=self._chips, settings=self._settings)
        return self._cards[board]


def nitro_nodes(seat: NitroSeat, *, system: str, chips: int) -> tuple[Node, ...]:
    """Manager, firmware inventory, integrity and processors; links hang on the service root."""
    components = tuple(seat.identity().firmware)
    return (
        Collection(f"{ROOT}/Managers", "Manager", "Managers", [_manager(seat)]),
        Collection(f"{MANAGER}/Certificates", "Certificate", "Certificates", [_certificate(seat)]),
        static(
            f"{ROOT}/UpdateService",
            "UpdateService.v1_14_0",
            "Update service",
            {"ServiceEnabled": False, "FirmwareInventory": link(INVENTORY)},
        ),
        Collection(
            INVENTORY,
            "SoftwareInventory",
            "Firmware",
            [_firmware(seat, component) for component in components],
        ),
        Collection(
            f"{ROOT}/ComponentIntegrity",
            "ComponentIntegrity",
            "Integrity of components",
            [_integrity(seat, components)],
        ),
        Question(path=SIGN, parameter="Nonce", pattern=_NONCE, answer=_signer(seat)),
        Collection(
            f"{system}/Processors",
            "Processor",
            "Chips",
            [_processor(seat, system, chip) for chip in range(chips)],
        ),
    )


def _manager(seat: NitroSeat) -> Resource:
    fixed = {
        **identity(MANAGER, "Manager.v1_20_0", "Nitro card"),
        "ManagerType": "BMC",
        "Manufacturer": MAKER,
        "Certificates": link(f"{MANAGER}/Certificates"),
        "Status": ENABLED,
    }

    def told(said: SledIdentity) -> dict[str, object]:
        version = said.firmware["nitro"].version
        return {"SerialNumber": said.nitro_serial, "FirmwareVersion": version}

    return _saying(MANAGER, fixed, seat, told)


def _firmware(seat: NitroSeat, component: str) -> Resource:
    path = f"{INVENTORY}/{component}"
    fixed = {
        **identity(path, "SoftwareInventory.v1_11_0", f"Firmware of {component}"),
        "SoftwareId": component,
        "Updateable": False,
        "Status": ENABLED,
    }
    return _saying(path, fixed, seat, lambda said: {"Version": said.firmware[component].version})


def _integrity(seat: NitroSeat, components: tuple[str, ...]) -> Resource:
    """Measurements as DSP2046's ComponentIntegrity has them; their index is 1, 2, 3, ..."""
    fixed = {
        **identity(INTEGRITY, "ComponentIntegrity.v1_3_1", "Integrity of the Nitro card"),
        "ComponentIntegrityType": "SPDM",
        "ComponentIntegrityTypeVersion": "1.2.0",
        "ComponentIntegrityEnabled": True,
        "TargetComponentURI": MANAGER,
        "Status": ENABLED,
        "Actions": {"#ComponentIntegrity.SPDMGetSignedMeasurements": {"target": SIGN}},
    }

    def told(said: SledIdentity) -> dict[str, object]:
        measured = [
            {
                "MeasurementIndex": place,
                "MeasurementType": "MutableFirmware",
                "MeasurementHashAlgorithm": "TPM_ALG_SHA_384",
                "Measurement": said.firmware[component].sha384,
                "Oem": {"Isotherm": {"Component": component}},
            }
            for place, component in enumerate(components, start=1)
        ]
        proof = {"ResponderAuthentication": {"ComponentCertificate": link(CERTIFICATE)}}
        return {
            "SPDM": {
                "IdentityAuthentication": proof,
                "MeasurementSet": {"MeasurementSpecification": "DMTF", "Measurements": measured},
            }
        }

    return _saying(INTEGRITY, fixed, seat, told)


def _certificate(seat: NitroSeat) -> Resource:
    fixed = {
        **identity(CERTIFICATE, "Certificate.v1_9_0", "Key of the Nitro card"),
        "CertificateType": "PEMchain",
        "CertificateUsageTypes": ["Device"],
    }

    def render() -> bytes:
        return msgspec.json.encode({**fixed, "CertificateString": seat.chain_pem()})

    return Resource(path=CERTIFICATE, render=render)


def _signer(seat: NitroSeat) -> Callable[[str], bytes]:
    def answer(nonce: str) -> bytes:
        signed = base64.b64encode(seat.signed(nonce)).decode()
        return msgspec.json.encode(
            {
                "Version": "1.2.0",
                "HashingAlgorithm": "TPM_ALG_SHA_384",
                "SigningAlgorithm": "TPM_ALG_ECDSA_ECC_NIST_P384",
                "SignedMeasurements": signed,
                "Certificate": link(CERTIFICATE),
            }
        )

    return answer


def _processor(seat: NitroSeat, system: str, chip: int) -> Resource:
    path = f"{system}/Processors/TRN{chip}"
    fixed = {
        **identity(path, "Processor.v1_20_0", f"TRN{chip}"),
        "ProcessorType": "Accelerator",
        "Manufacturer": MAKER,
        "Status": ENABLED,
    }

    def told(said: SledIdentity) -> dict[str, object]:
        version = said.firmware["neuron"].version
        return {"SerialNumber": said.chip_serials[chip], "FirmwareVersion": version}

    return _saying(path, fixed, seat, told)


def _saying(
    path: str,
    fixed: dict[str, object],
    seat: NitroSeat,
    told: Callable[[SledIdentity], dict[str, object]],
) -> Resource:
    return Resource(
        path=path, render=lambda: msgspec.json.encode({**fixed, **told(seat.identity())})
    )
