"""Axe finds nothing, nothing leaves the origin, and a narrow screen suffices."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.site import Opened, Site
from tests.support.components import require

pytestmark = pytest.mark.chromium
AXE = Path(__file__).parents[2] / "api/dashboard/node_modules/axe-core/axe.min.js"
RUN_AXE = """async () => {
  const found = await axe.run({ rules: { 'target-size': { enabled: true } } });
  return found.violations.map(one => ({ id: one.id, at: one.nodes.map(node => node.html) }));
}"""
NARROW_PX = (320, 390)


def use_everything(page: Page) -> None:
    """Opens what can be opened, so that it is on the page."""
    page.keyboard.press("/")
    page.keyboard.type("s04/c3")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Submit a job").click()
    page.get_by_role("button", name="Cancel code").click()
    page.get_by_label("absolute").check()
    page.get_by_test_id("trend").hover()
    expect(page.get_by_test_id("chip")).to_contain_text("Coolant flow")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Opened, scheme: Literal["light", "dark"]) -> None:
    """Fails on too little contrast, a control without a name, a table without headers, ..."""
    if not AXE.is_file():
        require("axe-core", "not installed; run `make dashboard`")
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(RUN_AXE)
    use_everything(page)
    found += page.evaluate(RUN_AXE)
    page.get_by_role("button", name="Table").click()
    page.keyboard.press("?")
    found += page.evaluate(RUN_AXE)
    assert not found


def test_the_page_stays_at_home_and_breaks_no_rule(opened: Opened, site: Site) -> None:
    """Fails on a script error, a missing file, a request to elsewhere or a blocked one."""
    page = opened.page
    page.evaluate(
        "window.__violations = [];"
        "document.addEventListener('securitypolicyviolation',"
        " event => window.__violations.push(event.violatedDirective))"
    )
    use_everything(page)
    page.get_by_role("button", name="Table").click()
    page.get_by_label("deviation").check()
    page.wait_for_timeout(1500)
    assert not opened.errors
    assert not opened.foreign(site.url)
    assert not page.evaluate("window.__violations")
    assert any(asked.startswith("ws://") for asked in opened.asked)


@pytest.mark.parametrize("width_px", NARROW_PX)
def test_a_narrow_screen_needs_no_sideways_scroll(opened: Opened, width_px: int) -> None:
    """Fails when something on the page is wider than a phone."""
    page = opened.page
    page.set_viewport_size({"width": width_px, "height": 844})
    use_everything(page)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
