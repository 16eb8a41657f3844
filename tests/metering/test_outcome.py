import pytest

from metering.call import Reading
from metering.call import UsageState
from metering.outcome import Ending
from metering.outcome import outcome
from metering.usage.errors import ErrorReader
from metering.usage.formats import Usage
from metering.usage.gemini import GeminiReader
from metering.usage.openai import ChatReader
from metering.usage.predict import PredictReader

GEMINI = Usage(GeminiReader(), None)
CHAT = Usage(ChatReader(), None)
COUNTED = Reading(input_tokens=3)
NOTHING = Reading()
NO_USE = Usage(None, UsageState.NOT_APPLICABLE)
UNREAD = Usage(None, UsageState.UNSUPPORTED)
GUESSED = Usage(PredictReader(None), UsageState.UNSUPPORTED)
REFUSED = Usage(ErrorReader(), None)


ENDED: list[tuple[Ending, int | None, Usage, Reading, tuple[str, str, str | None]]] = [
    # ending, status, usage, reading, expected
    (Ending.COMPLETE, 200, GEMINI, COUNTED, ("done", "final", None)),
    (Ending.COMPLETE, 200, GEMINI, NOTHING, ("done", "absent", None)),
    (Ending.COMPLETE, 200, NO_USE, NOTHING, ("done", "not_applicable", None)),
    (Ending.COMPLETE, 200, UNREAD, NOTHING, ("done", "unsupported", None)),
    # Images of another answer that is part of this call.
    (Ending.COMPLETE, 200, UNREAD, Reading(images=1), ("done", "unsupported", None)),
    (Ending.COMPLETE, 200, GUESSED, NOTHING, ("done", "unsupported", None)),
    (Ending.COMPLETE, 200, GUESSED, COUNTED, ("done", "final", None)),
    (Ending.COMPLETE, 429, GUESSED, NOTHING, ("done", "not_applicable", None)),
    (Ending.CUT, 200, GUESSED, COUNTED, ("upstream_failed", "partial", "upstream_cut")),
    (Ending.CUT, 200, GUESSED, NOTHING, ("upstream_failed", "unsupported", "upstream_cut")),
    # Pages, or seconds of sound.
    (Ending.COMPLETE, 200, GUESSED, Reading(measured=True), ("done", "final", None)),
    (Ending.COMPLETE, 200, GEMINI, Reading(measured=True, by_tokens=True), ("done", "final", None)),
    (
        Ending.COMPLETE,
        429,
        REFUSED,
        Reading(failed=True, error_type="X"),
        ("done", "not_applicable", "X"),
    ),
    (Ending.COMPLETE, 500, REFUSED, NOTHING, ("done", "not_applicable", None)),
    (
        Ending.COMPLETE,
        200,
        GEMINI,
        Reading(failed=True, error_type="X"),
        ("upstream_failed", "absent", "X"),
    ),
    (
        Ending.COMPLETE,
        200,
        GEMINI,
        Reading(failed=True, error_type="X", input_tokens=1),
        ("upstream_failed", "partial", "X"),
    ),
    (Ending.NO_CONNECTION, None, GEMINI, NOTHING, ("upstream_failed", "absent", "connect_failed")),
    (Ending.TIMED_OUT, None, GEMINI, NOTHING, ("upstream_failed", "absent", "timed_out")),
    (Ending.NO_TLS, None, GEMINI, NOTHING, ("upstream_failed", "absent", "tls_failed")),
    (Ending.CUT, 200, GEMINI, NOTHING, ("upstream_failed", "absent", "upstream_cut")),
    (Ending.CUT, 200, GEMINI, COUNTED, ("upstream_failed", "partial", "upstream_cut")),
    (Ending.CUT, 200, GEMINI, Reading(terminal=True, input_tokens=1), ("done", "final", None)),
    (Ending.CLIENT_GONE, 200, CHAT, Reading(terminal=True, input_tokens=1), ("done", "final", None)),
    (Ending.CLIENT_GONE, 200, CHAT, Reading(terminal=True), ("done", "absent", None)),
    (Ending.CLIENT_GONE, 200, GEMINI, COUNTED, ("client_closed", "partial", "client_closed")),
    (Ending.CLIENT_GONE, None, GEMINI, NOTHING, ("client_closed", "absent", "client_closed")),
    (Ending.SHUTDOWN, 200, GEMINI, COUNTED, ("interrupted", "partial", None)),
    (Ending.SHUTDOWN, None, GEMINI, NOTHING, ("interrupted", "absent", None)),
    (Ending.REFUSED, None, GEMINI, NOTHING, ("refused", "not_applicable", None)),
    (Ending.CUT, 200, NO_USE, NOTHING, ("upstream_failed", "not_applicable", "upstream_cut")),
]


def test_the_table() -> None:
    found = [(*row[:4], outcome(*row[:4], event_stream=True)) for row in ENDED]
    assert found == ENDED


@pytest.mark.parametrize(
    ("usage", "reading", "event_stream", "state", "error_type"),
    [
        (CHAT, Reading(input_tokens=1), True, "upstream_failed", "upstream_cut"),
        (CHAT, Reading(input_tokens=1, finish_reason="stop"), True, "done", None),
        (CHAT, Reading(input_tokens=1), False, "done", None),
        (GEMINI, Reading(input_tokens=1), True, "done", None),
    ],
)
def test_a_stream_that_must_end_with_an_event(
    usage: Usage, reading: Reading, event_stream: bool, state: str, error_type: str | None
) -> None:
    ended = outcome(Ending.COMPLETE, 200, usage, reading, event_stream=event_stream)
    assert (ended.state, ended.error_type) == (state, error_type)
