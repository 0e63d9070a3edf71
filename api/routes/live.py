from fastapi import APIRouter, WebSocket

from api.desk import Desk
from api.stream import POLICY_VIOLATION, SUBPROTOCOL, serve_viewer

router = APIRouter()


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """The live feed; see the protocol in `api.planes` and `api.stream`."""
    desk: Desk = socket.app.state.desk
    if SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
        desk.counters.sockets_refused["subprotocol"] += 1
        await socket.close(POLICY_VIOLATION, f"this feed speaks {SUBPROTOCOL}")
        return
    if desk.hub.full:
        desk.counters.sockets_refused["full"] += 1
        await socket.close(POLICY_VIOLATION, "too many viewers")
        return
    await socket.accept(SUBPROTOCOL)
    await serve_viewer(socket, desk.hub, desk.counters, desk.options.max_unacked_ticks)
