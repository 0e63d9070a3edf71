"""Everything without a mouse."""

import pytest
from playwright.sync_api import expect

from tests.dashboard.site import Opened

pytestmark = pytest.mark.chromium


def test_a_chip_is_found_opened_and_closed_by_keyboard(opened: Opened) -> None:
    """Fails when an arrow goes astray, when focus is lost, or when Escape does not lead back."""
    page = opened.page
    pointed = page.get_by_test_id("pointed")
    page.get_by_test_id("map").focus()
    expect(pointed).to_contain_text("h1/us01/r1/s01/c0: ")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(pointed).to_contain_text("h1/us01/r1/s02/c2: ")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    expect(pointed).to_contain_text("h1/us01/r2/s01/c0: ")
    expect(pointed).to_contain_text("°C")
    page.keyboard.press("Enter")
    panel = page.get_by_test_id("chip")
    expect(panel.get_by_role("heading")).to_have_text("h1/us01/r2/s01/c0")
    expect(panel.get_by_role("heading")).to_be_focused()
    expect(panel).to_contain_text("Coolant flow")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(page.get_by_test_id("map")).to_be_focused()


def test_search_takes_the_end_of_an_id_and_says_when_nothing_matches(opened: Opened) -> None:
    """Fails when `/` does not reach the field, or when a miss looks like a hit."""
    page = opened.page
    page.keyboard.press("/")
    page.keyboard.type("us02/r1/s03/c1")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("chip").get_by_role("heading")).to_have_text("h1/us02/r1/s03/c1")
    page.keyboard.press("/")
    page.keyboard.type("us09/r1/s03/c1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("no chip “us09/r1/s03/c1”")).to_be_visible()


def test_the_keys_are_told(opened: Opened) -> None:
    """Fails when help does not open, or takes the question mark away from a field."""
    page = opened.page
    help_dialog = page.get_by_test_id("help")
    page.get_by_label("Your name").press("?")
    expect(help_dialog).not_to_be_visible()
    page.get_by_test_id("map").focus()
    page.keyboard.press("?")
    expect(help_dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(help_dialog).not_to_be_visible()
