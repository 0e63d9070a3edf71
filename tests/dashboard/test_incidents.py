"""From a fault to a person's word."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from tests.dashboard.site import Opened, Site

pytestmark = pytest.mark.chromium
INCIDENT_MS = 40_000
SEVERITY = 0.94
GREY_SPREAD = 12
"""Channels of a grey lie this close together."""


@pytest.fixture
def blocked(site: Site) -> Iterator[str]:
    """A chip that works behind a plate through which hardly anything flows."""
    (job,) = [one for one in site.api.jobs() if one["name"] == "chat"]
    chip = f"{job['placement'][-1]['sled_id']}/c2"
    site.datacenter.world.inject(
        Fault(kind=FaultKind.PLATE_BLOCKAGE, place=chip, severity=SEVERITY)
    )
    yield chip
    site.datacenter.world.clear(FaultKind.PLATE_BLOCKAGE, chip)


def test_a_fault_becomes_an_incident_that_a_person_takes_by_keyboard(
    blocked: str, opened: Opened, site: Site
) -> None:
    """Fails when an incident is told by colour alone, without what to do, when the wrong chip is
    coloured, when the keyboard can not reach it, or when the name does not go with it."""
    sled = blocked.rpartition("/")[0]
    page = opened.page
    incident = page.get_by_test_id("incident").filter(has_text=blocked).first
    expect(incident).to_be_visible(timeout=INCIDENT_MS)
    expect(incident.get_by_test_id("sign").locator("path")).to_be_visible()
    expect(incident).to_contain_text("critical", timeout=INCIDENT_MS)
    expect(incident).to_contain_text("To do:")
    opened.wait_until(
        lambda: opened.probe(blocked)["mark"] in {"high", "critical"}, "the chip marked"
    )
    colour = opened.probe(blocked)["colour"][:3]
    assert max(colour) - min(colour) > GREY_SPREAD

    acknowledge = incident.get_by_role("button", name="Acknowledge")
    acknowledge.focus()
    page.keyboard.press("Enter")
    expect(incident.get_by_test_id("trouble")).to_contain_text("enter your name")
    page.get_by_label("Your name").fill("ana")
    acknowledge.focus()
    page.keyboard.press("Enter")
    expect(incident).to_contain_text("acknowledged by ana", timeout=INCIDENT_MS)
    taken = [one for one in site.api.incidents() if one["sled_id"] == sled]
    assert taken[0]["acknowledged_by"] == "ana"

    # The name is kept, so that the next incident takes one key.
    page.reload()
    expect(page.get_by_label("Your name")).to_have_value("ana")

    uncordon = page.get_by_role("button", name=f"Uncordon {sled}")
    expect(uncordon).to_be_visible(timeout=INCIDENT_MS)


def test_a_person_cordons_a_sled_and_lifts_it(opened: Opened, site: Site) -> None:
    """Fails when a cordon does not reach the API or is not shown outside of its incident."""
    page = opened.page
    sled = "h1/us02/r2/s17"
    page.keyboard.press("/")
    page.keyboard.type(f"{sled}/c1")
    page.keyboard.press("Enter")
    panel = page.get_by_test_id("chip")
    panel.get_by_label(f"Cordon {sled} because").fill("new cold plate")
    page.get_by_label("Your name").fill("ben")
    panel.get_by_role("button", name="Cordon").click()
    listed = page.get_by_test_id("cordons").get_by_role("listitem").filter(has_text=sled)
    expect(listed).to_contain_text("new cold plate")
    assert site.api.sled(sled)["cordon"]["reason"] == "new cold plate"
    listed.get_by_role("button", name=f"Uncordon {sled}").click()
    expect(listed).to_have_count(0)
    assert site.api.sled(sled)["cordon"] is None
