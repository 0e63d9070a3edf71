"""Trn1, Trn2, Trn3 Gen1 and Gen2 in one hall: everything works, and nothing is said to be wrong."""

from pathlib import Path

from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from tests.datacenter.embedded_site import EmbeddedSite

LIQUID = LoopPlan(kind=LoopKind.LIQUID_TO_LIQUID, ultraservers={Generation.TRN3_GEN2: 1})
AIR = LoopPlan(
    kind=LoopKind.AIR,
    ultraservers={Generation.TRN1: 1, Generation.TRN2: 1, Generation.TRN3_GEN1: 1},
)


def test_a_mixed_hall_works_without_findings(tmp_path: Path) -> None:
    fleet_map = FleetMap(mixed_datacenter([LIQUID, AIR]))
    with EmbeddedSite(tmp_path, fleet_map) as site:
        site.set_load(0.8)
        jobs: list[str] = []
        for chips in (16, 16, 48, 96):  # each fills the smallest host or UltraServer that is left
            job = site.api.submit(
                name=f"of {chips}", model="llama-3-70b", chips=chips, tensor_parallel=4
            )
            jobs.append(job["id"])
            site.tick()

        def running() -> bool:
            return all(site.api.job(job)["state"] == "running" for job in jobs)

        site.until(running, "a gang runs on each generation", 40)
        placed = {site.api.job(job)["placement"][0]["sled_id"][:7] for job in jobs}
        assert placed == set(fleet_map.ultraserver_ids)
        for _ in range(150):
            site.tick()
        assert site.api.incidents(resolved_too=True) == []
        assert running()
        assert site.api.fleet()["totals"]["chips_reporting"] == fleet_map.chips
        loop, row = site.api.loops()
        assert (loop["kind"], loop["mode"]) == ("liquid-to-liquid", "auto")
        assert (row["id"], row["kind"], row["mode"]) == ("h1/row01", "air", "local")
        assert not any(row["cdu"].values())
