"""What is old is never shown as live."""

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.dashboard.site import Opened, Site

pytestmark = pytest.mark.chromium
CHIP = "h1/us01/r1/s01/c0"
STALE_MS = 8_000
BACK_MS = 15_000


def test_a_lost_server_is_told_and_found_again(unloaded: Opened, site: Site) -> None:
    """Fails when old values keep looking live, or when the page has to be loaded again."""
    server = site.serve()
    server.start()
    opened = unloaded
    try:
        opened.load(server.url)
        expect(opened.page.get_by_test_id("feed")).to_have_text("● live")
    finally:
        server.stop()
    banner = opened.page.get_by_test_id("stale")
    expect(banner).to_contain_text("nothing from the server for", timeout=STALE_MS)
    expect(opened.page.get_by_test_id("feed")).to_contain_text("stale")
    expect(opened.page.get_by_test_id("loop-stale")).to_contain_text("ago")
    assert opened.probe(CHIP)["stale"]
    again = site.serve(port=server.port)
    again.start()
    try:
        frames = opened.probe(CHIP)["frames"]
        expect(banner).to_have_count(0, timeout=BACK_MS)
        opened.wait_until(lambda: opened.probe(CHIP)["frames"] > frames, "frames flow again")
        expect(opened.page.get_by_test_id("feed")).to_have_text("● live")
    finally:
        again.stop()


def test_silence_on_an_open_connection_is_stale_too(unloaded: Opened, site: Site) -> None:
    """Fails when the page trusts that a connection that is open is also alive."""
    muted: list[bool] = []

    def pass_on(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda message: None if muted else route.send(message))

    opened = unloaded
    opened.page.route_web_socket("**/api/v1/live", pass_on)
    opened.load(site.url)
    muted.append(True)
    expect(opened.page.get_by_test_id("stale")).to_be_visible(timeout=STALE_MS)
    assert opened.probe(CHIP)["stale"]
    muted.clear()
    expect(opened.page.get_by_test_id("stale")).to_have_count(0, timeout=BACK_MS)


def test_garbage_is_counted_and_the_rest_is_drawn(unloaded: Opened, site: Site) -> None:
    """Fails when one bad message ends the feed or is drawn."""

    def spoil(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def mixed(message: str | bytes) -> None:
            route.send(message)
            route.send("{not json" if isinstance(message, str) else message[:-1])

        server.on_message(mixed)

    opened = unloaded
    opened.page.route_web_socket("**/api/v1/live", spoil)
    opened.load(site.url)
    expect(opened.page.get_by_text("bad messages")).to_be_visible()
    frames = opened.probe(CHIP)["frames"]
    opened.wait_until(lambda: opened.probe(CHIP)["frames"] > frames, "good frames are drawn")
    assert opened.probe(CHIP)["value"] is not None
    assert not opened.errors
