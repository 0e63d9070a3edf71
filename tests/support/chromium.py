"""The machine's own Chromium, driven by playwright, with a new empty profile each time."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import BrowserContext, sync_playwright

from isotherm.servers.components import MissingComponentError

EXECUTABLE_VARIABLE = "ISOTHERM_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",  # containers and root have no user namespaces to build the sandbox of
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> Path:
    """The browser's executable; `ISOTHERM_CHROMIUM` names another."""
    for name in (os.environ.get(EXECUTABLE_VARIABLE), *NAMES):
        found = shutil.which(name) if name else None
        if found:
            return Path(found)
    raise MissingComponentError(
        "Chromium", f"none of {', '.join(NAMES)} on PATH; install one or set {EXECUTABLE_VARIABLE}"
    )


@contextmanager
def chromium(width: int = 1440, height: int = 900) -> Iterator[BrowserContext]:
    """A running browser; `context.new_page()` opens a page. Gone with the body's end.

    Not for use inside a running asyncio loop: playwright's synchronous side brings its own.
    """
    executable = find_chromium()
    with TemporaryDirectory(prefix="isotherm-chromium-") as profile, sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            headless=True,
            args=ARGUMENTS,
            viewport={"width": width, "height": height},
        )
        try:
            yield context
        finally:
            context.close()
