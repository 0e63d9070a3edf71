"""The built dashboard: plain files, found beside this package."""

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HASHED_PREFIX: Final = "/assets/"
"""Where Vite puts files whose names change with their content."""
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Isotherm</title></head>
<body>
<h1>Isotherm</h1>
<p>The dashboard is not built. Run <code>make dashboard</code> and start this server again.</p>
<p>The API itself works: <a href="/api/v1/fleet">/api/v1/fleet</a>,
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>, <a href="/metrics">/metrics</a>.</p>
</body>
</html>
"""


class DashboardHeaders:
    """Says how long a file may be kept, and that a page may load nothing from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                kind = headers.get("content-type", "")
                if kind.startswith("text/html"):
                    headers["Content-Security-Policy"] = SECURITY_POLICY
                    headers["Referrer-Policy"] = "no-referrer"
                if scope["path"].startswith(HASHED_PREFIX) and message["status"] in {200, 304}:
                    headers["Cache-Control"] = _IMMUTABLE
                elif "etag" in headers:
                    # A file: keep it, but ask each time whether it is still the newest.
                    headers["Cache-Control"] = "no-cache"
            await send(message)

        await self._app(scope, receive, stamped)


def install_dashboard(app: FastAPI, directory: Path) -> None:
    """Serve the built page at `/`, or say there that it is not built."""
    if (directory / "index.html").is_file():
        app.frontend("/", directory=directory, fallback=None, check_dir=False)
    else:
        app.get("/", include_in_schema=False)(_not_built)


def _not_built() -> Response:
    return HTMLResponse(_NOT_BUILT)
