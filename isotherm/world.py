"""The strings of the emulated world, over its HTTP endpoints."""

from typing import Any

import httpx

from fleet.errors import DeviceError


def ask(emulator: str, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """The emulator's answer; DeviceError in one line when it does not answer, or refuses."""
    try:
        answer = httpx.request(
            method, emulator.rstrip("/") + path, json=body, timeout=5.0, trust_env=False
        )
        document: dict[str, Any] = answer.json() if answer.content else {}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise DeviceError(f"no emulator answers at {emulator}: {error}") from error
    if not answer.is_success:
        raise DeviceError(str(document.get("detail", answer.reason_phrase)))
    return document
