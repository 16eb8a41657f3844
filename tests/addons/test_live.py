"""The whole is in tests/wire/test_live.py."""

import pytest
from mitmproxy import websocket

from addons.live import WORDS
from addons.live import LiveSession
from addons.live import ending_of
from metering.outcome import Ending


@pytest.mark.parametrize(
    ("code", "by_client", "expected"),
    [
        (1000, False, (Ending.COMPLETE, None)),
        (1001, True, (Ending.COMPLETE, None)),
        (1005, False, (Ending.COMPLETE, None)),
        (1006, True, (Ending.CLIENT_GONE, None)),
        (1006, False, (Ending.CUT, None)),
        (1008, False, (Ending.CUT, "websocket_1008")),
        (1011, True, (Ending.CLIENT_GONE, None)),
    ],
)
def test_ending(code: int, by_client: bool, expected: tuple[Ending, str | None]) -> None:
    session = websocket.WebSocketData()
    session.close_code, session.closed_by_client = code, by_client
    assert ending_of(session) == expected


@pytest.mark.parametrize(
    "message",
    [
        b'{"usageMetadata": {"totalTokenCount": 5}}',
        b'{"event_type": "step.delta", "delta": {"type": "text"}, "metadata": {"total_usage": {"total_tokens": 5}}}',
        b'{"stepDelta": {"metadata": {"totalUsage": {"totalTokens": 5}}}}',
        b'{"event_type": "step.start", "step": {"type": "google_search_call", "arguments": {"queries": ["a"]}}}',
    ],
)
def test_what_tells_counts_is_read_after_the_first_content(message: bytes) -> None:
    assert any(word in message for word in WORDS)


def test_the_end_is_told_once_and_before_the_hook() -> None:
    told = []
    session = LiveSession(lambda session: told.append(session.close_code))
    session.close_code = 1000
    session.close_reason = "first"
    session.close_reason = "again"
    assert told == [1000]
