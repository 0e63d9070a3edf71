"""What was wanted survives a restart, and what no longer runs is started anew."""

from pathlib import Path

from tests.datacenter.embedded_site import EmbeddedSite


def running(site: EmbeddedSite, job_id: str) -> bool:
    """As the world has it, not as the controller believes."""
    shares = site.datacenter.world.sled_requests
    job = site.api.job(job_id)
    return job["state"] == "running" and all(
        job_id in shares(site.datacenter.fleet_map.sled(share["sled_id"])).jobs
        for share in job["placement"]
    )


def test_jobs_of_before_run_again_in_a_world_that_began_anew(tmp_path: Path) -> None:
    with EmbeddedSite(tmp_path) as site:
        job_id = site.api.submit(name="a", model="llama-3-70b", chips=32, tensor_parallel=4)["id"]
        site.until(lambda: running(site, job_id), "the job runs", 20)
    with EmbeddedSite(tmp_path) as site:
        site.tick()
        assert not running(site, job_id)
        site.until(lambda: running(site, job_id), "the job runs in the new world", 60)
        assert site.api.job(job_id)["attempt"] == 2
