import pytest

from addons.translation.conversation import Finish
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Request
from addons.translation.conversation import code_of


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        # Statuses without a code of their own.
        (418, "INVALID_ARGUMENT"),
        (529, "UNAVAILABLE"),
    ],
)
def test_codes(status: int, code: str) -> None:
    assert code_of(status) == code


def test_requests_share_nothing() -> None:
    first, second = Request("m"), Request("m")
    first.notes.dropped.append("x")
    first.server_tools["googleSearch"] = "tools[0]"
    assert (second.notes.dropped, second.server_tools) == ([], {})


def test_a_refusal_tells_where_and_with_which_status() -> None:
    error = InvalidRequest("no", "messages[0]")
    assert (str(error), error.param, error.status) == ("no", "messages[0]", 400)


def test_the_finish_reasons_are_openais() -> None:
    assert {str(finish) for finish in Finish} == {"stop", "length", "tool_calls", "content_filter"}
