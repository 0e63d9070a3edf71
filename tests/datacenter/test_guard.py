"""A sled that loses its coolant protects itself, and comes back when a person says so."""

from pathlib import Path

import pytest

from api.client import ApiError
from tests.datacenter.embedded_site import EmbeddedSite

NONE = 0.0


def test_loss_of_flow_switches_the_sled_off_and_only_a_person_switches_it_on(
    tmp_path: Path,
) -> None:
    with EmbeddedSite(tmp_path) as site:
        job_id = site.api.submit(name="a", model="llama-3-70b", chips=16, tensor_parallel=4)["id"]
        site.until(lambda: site.api.job(job_id)["state"] == "running", "the job runs", 20)
        sled = site.api.job(job_id)["placement"][0]["sled_id"]
        site.inject("sled_flow_blockage", sled, 1.0)
        row = site.datacenter.fleet_map.sled(sled)

        def off() -> bool:
            return not site.datacenter.world.sled_readings(row).powered

        site.until(off, "the guard switches the sled off", 60)
        assert site.api.fleet()["totals"]["max_junction_c"] < 103
        site.api.reset_guard(sled, reason="hose replaced", actor="ana")
        for _ in range(5):
            site.tick()
        assert off(), "the guard lets nobody switch on a sled that has no flow"
        site.clear("sled_flow_blockage", sled)
        for _ in range(10):
            site.tick()
        assert off(), "the trip is latched"
        site.api.reset_guard(sled, reason="hose replaced", actor="ana")
        site.until(lambda: not off(), "the sled is on again", 20)
        site.until(
            lambda: site.api.sled(sled)["values"]["guard_level"] == NONE, "the guard is calm", 20
        )


def test_an_unknown_sled_is_named(tmp_path: Path) -> None:
    with EmbeddedSite(tmp_path) as site, pytest.raises(ApiError, match="h1/us01/r9/s05"):
        site.api.reset_guard("h1/us01/r9/s05", reason="typo")
