"""One story for both ways to run: idle, load, a blocked cold plate, and back to calm."""

from collections.abc import Callable
from typing import Any

from tests.datacenter.site import Receiver, Site

SUPPLY_C = 40.0
SUPPLY_ERROR_K = 2.0
THROTTLE_C = 90.0
"""A chip that reaches this is slowed by its own firmware."""
LOOP = "h1/loop01"


def tell(site: Site, receiver: Receiver) -> None:
    idle(site)
    secret = site.api.add_webhook(name="on call", url=receiver.url)["secret"]
    job = submit(site, "chat", chips=64, tensor_parallel=4)
    submit(site, "code", chips=40, tensor_parallel=4)
    crowded_out(site)
    load_step(site)
    chip = blocked_plate(site, job)
    told(site, receiver, secret, chip)
    moved(site, job, chip)
    recovered(site, receiver, secret, job, chip)


def idle(site: Site) -> None:
    def reporting() -> bool:
        totals = site.api.fleet()["totals"]
        steered: bool = site.api.loop(LOOP)["mode"] == "auto"
        return steered and totals["chips_reporting"] == 288

    site.until(reporting, "every chip reports and the loop is steered", 30)
    totals = site.api.fleet()["totals"]
    assert totals["jobs_running"] == 0
    assert totals["max_junction_c"] < 60
    # A role that starts late on a busy machine is rightly called silent; that must pass.
    site.until(lambda: site.api.incidents() == [], "all is calm", 90)


def submit(site: Site, name: str, *, chips: int, tensor_parallel: int) -> str:
    submitted = site.api.submit(
        name=name, model="llama-3-70b", chips=chips, tensor_parallel=tensor_parallel
    )
    job_id: str = submitted["id"]
    site.until(lambda: site.api.job(job_id)["state"] == "running", f"{name} runs", 20)
    shares = site.api.job(job_id)["placement"]
    assert sum(len(share["chips"]) for share in shares) == chips
    assert len({share["sled_id"].rsplit("/", 2)[0] for share in shares}) == 1
    return job_id


def crowded_out(site: Site) -> None:
    """A gang that needs a whole UltraServer waits for one, says why, and leaves when told to."""
    site.api.cordon("h1/us02/r1/s01", reason="swap of a cold plate")
    job_id = site.api.submit(name="all", model="llama-3-70b", chips=144)["id"]
    site.until(lambda: bool(site.api.job(job_id)["reasons"]), "the waiting job says why", 10)
    reasons = " ".join(site.api.job(job_id)["reasons"])
    assert "144 chips" in reasons
    assert "cordon" in reasons
    site.api.cancel(job_id)
    site.until(lambda: site.api.job(job_id)["state"] == "stopped", "the job is cancelled", 10)
    site.api.uncordon("h1/us02/r1/s01")


def load_step(site: Site) -> None:
    """20 to 100 %: the supply stays within 2 K, and no chip comes near throttling."""
    site.set_load(0.2)
    steady(site, lambda power_w: power_w > 60_000)
    before_w = power_w(site)
    site.set_load(1.0)
    peak = Peak(site)
    site.until(lambda: peak.look() > 40, "the load step settles", 90)
    assert power_w(site) > 1.2 * before_w
    assert peak.supply_error_k <= SUPPLY_ERROR_K
    assert peak.junction_c < THROTTLE_C
    assert site.api.loop(LOOP)["mode"] == "auto"
    incidents = site.api.incidents()
    assert not incidents, incidents


class Peak:
    """The worst that was seen over some seconds."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._seen = ""
        self._looks = 0
        self.supply_error_k = 0.0
        self.junction_c = 0.0

    def look(self) -> int:
        """How many different seconds were looked at."""
        loop = self._site.api.loop(LOOP)
        if loop["at"] != self._seen:
            self._seen = loop["at"]
            self._looks += 1
            self.supply_error_k = max(self.supply_error_k, abs(loop["cdu"]["supply_c"] - SUPPLY_C))
            hottest = self._site.api.fleet()["totals"]["max_junction_c"]
            self.junction_c = max(self.junction_c, hottest)
        return self._looks


def power_w(site: Site) -> float:
    total: float = site.api.fleet()["totals"]["power_w"]
    return total


def steady(site: Site, warm: Callable[[float], bool]) -> None:
    """Warm, and within half a kelvin of the set-point for ten seconds in a row."""
    calm: list[str] = []

    def settled() -> bool:
        loop = site.api.loop(LOOP)
        if abs(loop["cdu"]["supply_c"] - SUPPLY_C) > 0.6 or not warm(power_w(site)):
            calm.clear()
        elif not calm or calm[-1] != loop["at"]:
            calm.append(loop["at"])
        return len(calm) >= 10

    site.until(settled, "the loop is steady", 180)


def blocked_plate(site: Site, job_id: str) -> str:
    share = site.api.job(job_id)["placement"][3]
    chip = f"{share['sled_id']}/c{share['chips'][1]}"
    site.inject("plate_blockage", chip, 0.97)
    site.until(lambda: bool(about(site, chip)), "an incident names the chip", 60)
    return chip


def about(site: Site, chip: str) -> list[dict[str, Any]]:
    """Incidents, resolved ones too, that a critical finding on the chip belongs to."""
    return [
        incident
        for incident in site.api.incidents(resolved_too=True)
        if any(
            finding["subject"] == chip and finding["severity"] == "critical"
            for finding in incident["findings"]
        )
    ]


def told(site: Site, receiver: Receiver, secret: str, chip: str) -> None:
    """The receiver hears of it once, in Alertmanager's form, signed."""

    def heard() -> bool:
        return any(chip.encode() in one.body for one in receiver.received)

    site.until(heard, "the webhook arrives", 20)
    first = next(one for one in receiver.received if chip.encode() in one.body)
    document = first.verified(secret)
    assert (document["version"], document["status"]) == ("4", "firing")
    assert document["alerts"][0]["labels"]["severity"] in ("warning", "critical")
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert len(ids) == len(set(ids))


def moved(site: Site, job_id: str, chip: str) -> None:
    """The sled is cordoned by the incident and the job runs again, elsewhere."""
    sled_id = chip.rsplit("/", 1)[0]
    site.until(
        lambda: site.api.sled(sled_id)["cordon"] is not None, "the incident cordons the sled", 60
    )
    cordon = site.api.sled(sled_id)["cordon"]
    assert cordon["incident_id"] in {incident["id"] for incident in about(site, chip)}

    def elsewhere() -> bool:
        job = site.api.job(job_id)
        sleds = {share["sled_id"] for share in job["placement"]}
        return job["state"] == "running" and job["attempt"] == 2 and sled_id not in sleds

    site.until(elsewhere, "the job runs on other sleds", 60)
    assert sum(len(share["chips"]) for share in site.api.job(job_id)["placement"]) == 64


def recovered(site: Site, receiver: Receiver, secret: str, job_id: str, chip: str) -> None:
    """The chip cools, the incident ends, the receiver hears; the cordon waits for a person."""
    site.clear("plate_blockage", chip)
    site.until(lambda: site.api.incidents() == [], "every incident is resolved", 240)
    resolved = about(site, chip)
    assert [incident["state"] for incident in resolved] == ["resolved"] * len(resolved)

    def heard() -> bool:
        return any(one.document["status"] == "resolved" for one in receiver.received)

    site.until(heard, "the receiver hears that it is over", 20)
    for one in receiver.received:
        one.verified(secret)
    assert site.api.job(job_id)["state"] == "running"
    assert site.api.fleet()["totals"]["max_junction_c"] < THROTTLE_C
    sled_id = chip.rsplit("/", 1)[0]
    assert site.api.sled(sled_id)["cordon"] is not None
    site.api.uncordon(sled_id)
    assert site.api.sled(sled_id)["cordon"] is None
