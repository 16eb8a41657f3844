"""The end of a WebSocket connection, such as one of the Live API."""

from collections.abc import Callable

from mitmproxy import websocket

from metering.outcome import Ending

LIVE_WORDS = (b"usageMetadata", b"usage_metadata", b"groundingMetadata", b"error")
"""Of the messages, those without any of these need not be parsed."""
CLOSED_WELL = (1000, 1001, 1005)
"""WebSocket close codes of RFC 6455 that are no error (1005: none was given)."""
CLOSED_ABRUPTLY = 1006


class LiveSession(websocket.WebSocketData):
    """Calls `on_close` as soon as mitmproxy notes why a connection ends, which it does just before it sends the
    closing frames; its hook comes after."""

    def __init__(self, on_close: Callable[[websocket.WebSocketData], None]) -> None:
        self._on_close: Callable[[websocket.WebSocketData], None] | None = None
        super().__init__()
        self._on_close = on_close

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "close_reason" and self._on_close:
            on_close, self._on_close = self._on_close, None
            on_close(self)


def ending_of(session: websocket.WebSocketData) -> tuple[Ending, str | None]:
    """How a connection has ended, and the `error_type` of its row if the upstream has said why."""
    if session.close_code in CLOSED_WELL:
        return Ending.COMPLETE, None
    if session.closed_by_client:
        return Ending.CLIENT_GONE, None
    return Ending.CUT, None if session.close_code == CLOSED_ABRUPTLY else f"websocket_{session.close_code}"
