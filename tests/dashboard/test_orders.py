"""What people have asked of a loop, and which sled stands in a place."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Request, Route, expect

from api.client import ApiError
from tests.dashboard.site import Opened, Site

pytestmark = pytest.mark.chromium
LOOP, SLED = "h1/loop01", "h1/us01/r1/s03"
SHOWN_MS = 20_000


@pytest.fixture
def ordered(opened: Opened, site: Site) -> Iterator[None]:
    """A set-point of a person, for ten minutes."""
    # A loop takes no orders before its sensors have earned trust.
    opened.wait_until(lambda: taken(site), "the loop takes an order", 60.0)
    yield
    site.api.release_loop(LOOP, reason="test is over")


def taken(site: Site) -> bool:
    version = site.api.loop(LOOP)["version"]
    try:
        site.api.set_point(
            LOOP, supply_c=39.0, version=version, reason="balancing", actor="ana", for_s=600.0
        )
    except ApiError:
        return False
    return True


@pytest.mark.usefixtures("ordered")
def test_an_override_is_seen_by_everybody_and_released(opened: Opened, site: Site) -> None:
    """Fails when an order is in force that nobody can see, or can not be ended where it is seen."""
    page = opened.page
    shown = page.get_by_test_id("override")
    expect(shown).to_contain_text("by ana until", timeout=SHOWN_MS)
    expect(shown).to_contain_text("39.0 °C")
    expect(shown).to_contain_text("balancing")
    page.get_by_label("Your name").fill("ben")
    shown.get_by_label("Release because").fill("valves are balanced")
    shown.get_by_role("button", name="Release").click()
    expect(shown).to_have_count(0, timeout=SHOWN_MS)
    assert site.api.loop(LOOP)["override"] is None


def open_sled(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("/")
    page.keyboard.type(f"{SLED}/c0")
    page.keyboard.press("Enter")


def test_a_sled_tells_what_stands_there(opened: Opened, site: Site) -> None:
    """Fails when the page shows another serial than the API, or hides that it is enrolled."""
    opened.wait_until(lambda: site.api.sled(SLED)["identity"] is not None, "an announcement", 60.0)
    told = site.api.sled(SLED)["identity"]
    open_sled(opened)
    shown = opened.page.get_by_test_id("identity")
    expect(shown).to_contain_text(told["serial"], timeout=SHOWN_MS)
    expect(shown.get_by_test_id("enrolment")).to_have_text(told["state"])


def test_a_refused_sled_says_why_and_is_enrolled_by_a_person(opened: Opened, site: Site) -> None:
    """Fails when a person can not see why a sled gets no work, or the word does not go out."""
    page = opened.page
    opened.wait_until(lambda: site.api.sled(SLED)["identity"] is not None, "an announcement", 60.0)
    sent: list[dict[str, str]] = []

    def refused(route: Route, request: Request) -> None:
        if request.method == "POST":
            sent.append(json.loads(request.post_data or "{}"))
        document = site.api.sled(SLED)
        why = [] if sent else ["serial SL1 where SL2 was enrolled"]
        document["identity"] |= {"state": "enrolled" if sent else "refused", "mismatches": why}
        route.fulfill(json=document)

    page.route(f"**/api/v1/sleds/{SLED}*", refused)
    page.route(f"**/api/v1/sleds/{SLED}/enrol", refused)
    open_sled(opened)
    shown = page.get_by_test_id("identity")
    expect(shown.get_by_test_id("enrolment")).to_have_text("refused", timeout=SHOWN_MS)
    expect(shown).to_contain_text("SL1 where SL2 was enrolled")
    page.get_by_label("Your name").fill("ben")
    shown.get_by_label("What stands here is right").fill("board replaced")
    shown.get_by_role("button", name="Enrol").click()
    expect(shown.get_by_test_id("enrolment")).to_have_text("enrolled", timeout=SHOWN_MS)
    assert sent == [{"reason": "board replaced", "actor": "ben"}]
