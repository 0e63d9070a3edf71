"""Other hardware in a sled's place, from its card to the incident and to a person's approval."""

from pathlib import Path
from typing import Any

from fleet.topology import FleetMap, trn3_datacenter
from tests.datacenter.embedded_site import EmbeddedSite

SLED, BESIDE = "h1/us01/r1/s07", "h1/us01/r1/s08"


def identity(site: EmbeddedSite, sled_id: str) -> dict[str, Any]:
    found: dict[str, Any] | None = site.api.sled(sled_id)["identity"]
    return found or {"state": "awaited"}


def incidents(site: EmbeddedSite) -> list[dict[str, Any]]:
    return [one for one in site.api.incidents() if one["rule"] == "identity_mismatch"]


def test_a_claimed_and_a_replaced_sled_are_refused_until_a_person_approves(tmp_path: Path) -> None:
    with EmbeddedSite(tmp_path, FleetMap(trn3_datacenter(ultraservers=1))) as site:
        site.until(
            lambda: all(sled["identity"] for sled in site.api.sleds()), "every sled announced", 20
        )
        sleds = [sled["identity"] for sled in site.api.sleds()]
        assert all(one["state"] == "enrolled" and one["attested"] for one in sleds)
        before = identity(site, SLED)

        site.inject("sled_swap", SLED, 1.0)
        site.inject("identity_claim", BESIDE, 1.0)
        site.until(lambda: len(incidents(site)) == 2, "both are told", 120)
        told = {one["subject"]: one for one in incidents(site)}
        assert "is not what was enrolled" in told[SLED]["title"]
        assert before["serial"] in told[SLED]["title"]
        assert "signed for card" in told[BESIDE]["title"]
        assert "h1/us01/r1/s09" in told[BESIDE]["title"]
        for sled_id in (SLED, BESIDE):
            assert site.api.sled(sled_id)["cordon"]["incident_id"] == told[sled_id]["id"]

        enrolled = site.api.enrol(SLED, reason="board replaced", actor="ana")
        assert enrolled["cordon"] is None
        assert (enrolled["identity"]["state"], enrolled["identity"]["approved_by"]) == (
            "enrolled",
            "ana",
        )
        assert enrolled["identity"]["serial"] != before["serial"]
        site.until(lambda: len(incidents(site)) == 1, "the approved one resolves", 60)
        assert incidents(site)[0]["subject"] == BESIDE
        assert identity(site, BESIDE)["state"] == "refused"
