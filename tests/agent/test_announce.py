from collections import Counter
from typing import Any

from agent.announce import Announcer
from agent.inputs.sled_identity import INTEGRITY, INVENTORY, MANAGER, SledIdentityReader
from agent.notices import Notices
from fleet.clock import ManualClock
from fleet.events import Event, EventKind
from fleet.identity import Announcement, announcement_of
from tests.agent.devices import Device, Json

AGENT = "h1/us01/r1/s07"
SIGN = "/redfish/v1/ComponentIntegrity/Nitro/Actions/Sign"
CHAIN = "/redfish/v1/Managers/Nitro/Certificates/1"


class Card(Device):
    """A BMC that tells who its sled is; `signs` False: an older one."""

    def __init__(self) -> None:
        super().__init__()
        self.serial: object = "SL1"
        self.signs = True
        self.nonces: list[str] = []

    def documents(self) -> dict[str, Json]:
        proof = {"ResponderAuthentication": {"ComponentCertificate": {"@odata.id": CHAIN}}}
        measured = [{"Measurement": 96 * "A", "Oem": {"Isotherm": {"Component": "nitro"}}}]
        target = {"#ComponentIntegrity.SPDMGetSignedMeasurements": {"target": SIGN}}
        return {
            "/redfish/v1/Chassis/Sled": {"SerialNumber": self.serial, "PartNumber": "P1"},
            MANAGER: {"SerialNumber": "NC1"},
            INTEGRITY: {
                "SPDM": {
                    "IdentityAuthentication": proof,
                    "MeasurementSet": {"Measurements": measured},
                },
                "Actions": target if self.signs else {},
            },
            CHAIN: {"CertificateString": "pem"},
        }

    def collections(self) -> dict[str, dict[str, Json]]:
        return {
            INVENTORY: {"nitro": {"Id": "nitro", "Version": "2.31.4"}},
            "/redfish/v1/Systems/Sled/Processors": {
                "TRN1": {"Id": "TRN1", "SerialNumber": "c1"},
                "TRN0": {"Id": "TRN0", "SerialNumber": None},
                "CPU0": {"Id": "CPU0", "SerialNumber": "x"},
            },
        }

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        status, answer = super().request(method, path, body)
        if path == SIGN and status == 204:
            [(_, _, document)] = self.written[-1:]
            assert isinstance(document, dict)
            self.nonces.append(document["Nonce"])
            return 200, b'{"SignedMeasurements": "' + 200 * b"QUJD" + b'"}'
        return status, answer


class Bench:
    def __init__(self) -> None:
        self.card = Card()
        self.counts = Counter[str]()
        self.notices = Notices(AGENT, 3, ManualClock())
        reader = SledIdentityReader(self.card)
        self.announcer = Announcer(AGENT, 3, reader, self.notices, self.counts, every_s=60.0)

    def told(self, *at_s: float) -> list[Announcement]:
        for now_s in at_s:
            self.announcer.step(now_s)
        events: list[Any] = self.notices.take()
        assert all(isinstance(event, Event) for event in events)
        assert {event.kind for event in events} <= {EventKind.SLED_ANNOUNCED}
        return [announcement_of(event) for event in events]


def test_it_tells_at_the_start_and_when_something_changed() -> None:
    bench = Bench()
    [first] = bench.told(0.0, 1.0, 2.0)
    assert (first.epoch, first.number) == (3, 1)
    assert first.identity.chip_serials == ("", "c1")
    assert first.identity.firmware["nitro"].sha384 == 96 * "a"
    assert first.attestation is not None
    assert first.attestation.chain_pem == "pem"
    assert bench.told(100.0) == []
    bench.card.serial = "SL2"
    assert bench.told(101.0) == []
    [second] = bench.told(200.0)
    assert (second.number, second.identity.serial) == (2, "SL2")
    assert len(set(bench.card.nonces)) == 2
    assert not bench.counts


def test_a_card_that_signs_nothing_is_told_all_the_same() -> None:
    bench = Bench()
    bench.card.signs = False
    [first] = bench.told(0.0)
    assert first.attestation is None
    assert bench.counts["identity_errors"] == 1


def test_what_could_not_be_read_is_tried_again_less_and_less() -> None:
    bench = Bench()
    bench.card.serial = "two words"
    seconds = [float(second) for second in range(200)]
    assert bench.told(*seconds) == []
    assert (
        4 <= bench.counts["identity_errors"] <= 7
    )  # after 5, 10, 20, 40 s, then as seldom as ever
    bench.card.serial = "SL1"
    assert len(bench.told(*(200.0 + second for second in seconds))) == 1


def test_a_link_out_of_the_service_is_not_followed() -> None:
    bench = Bench()
    original = bench.card.documents

    def elsewhere() -> dict[str, Json]:
        documents = original()
        action = {"target": "http://elsewhere/redfish/v1/Sign"}
        name = "#ComponentIntegrity.SPDMGetSignedMeasurements"
        return {**documents, INTEGRITY: {**documents[INTEGRITY], "Actions": {name: action}}}

    bench.card.documents = elsewhere  # type: ignore[method-assign]
    [first] = bench.told(0.0)
    assert first.attestation is None
    assert all(path.startswith("/redfish/v1/") for _, path in bench.card.asked)


def test_a_dead_bmc_costs_one_request_a_try() -> None:
    bench = Bench()
    bench.card.away = True
    assert bench.told(0.0, 1.0, 2.0) == []
    assert bench.counts["identity_errors"] == 1
