from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.errors import ERROR_DIALECTS
from addons.translation.errors import GOOGLES_ERRORS
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import anthropic_error
from addons.translation.errors import code_of
from addons.translation.errors import google_error
from addons.translation.errors import openai_error
from addons.translation.errors import read_error
from tests.addons.translation.gemini.examples import documents

Json = dict[str, Any]


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


def test_a_refusal_tells_where_and_with_which_status() -> None:
    error = InvalidRequest("no", "messages[0]")
    assert (str(error), error.param, error.status) == ("no", "messages[0]", 400)


def error(**members: object) -> Json:
    return {"error": members}


QUOTA = error(code=429, message="Quota exceeded.", status="RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, QUOTA, Failure(429, "Quota exceeded.", "RESOURCE_EXHAUSTED")),
        (429, [QUOTA], Failure(429, "Quota exceeded.", "RESOURCE_EXHAUSTED")),
        # Inside of a stream only the error tells.
        (None, QUOTA, Failure(429, "Quota exceeded.", "RESOURCE_EXHAUSTED")),
        (None, error(message="x"), Failure(502, "x", "UNAVAILABLE")),
        # HTTP's status is kept.
        (500, QUOTA, Failure(500, "Quota exceeded.", "RESOURCE_EXHAUSTED")),
        # Anthropic's, Mistral's, OpenAI's.
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            Failure(529, "Overloaded", "UNAVAILABLE"),
        ),
        # Inside of a stream its type tells.
        (
            None,
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}},
            Failure(429, "Slow", "RESOURCE_EXHAUSTED"),
        ),
        (
            422,
            {"detail": [{"loc": ["body"], "msg": "field required"}, {"msg": "too short"}]},
            Failure(422, "field required; too short", "INVALID_ARGUMENT"),
        ),
        (404, {"detail": "Not Found"}, Failure(404, "Not Found", "NOT_FOUND")),
        (
            400,
            {"object": "error", "message": "bad", "type": "invalid_request_error"},
            Failure(400, "bad", "INVALID_ARGUMENT"),
        ),
        (401, error(message="bad key", code="invalid_api_key"), Failure(401, "bad key", "UNAUTHENTICATED")),
        (400, {"error": "just text"}, Failure(400, "just text", "INVALID_ARGUMENT")),
    ],
)
def test_errors(status: int | None, body: object, expected: Failure) -> None:
    assert read_error(status, body) == expected


@pytest.mark.parametrize("body", [None, [], {}, "", {"error": {}}, [{}]])
def test_an_error_without_a_word(body: object) -> None:
    """No JSON, such as Google's pages for wrong hosts and paths, comes as None."""
    failure = read_error(404, body)
    assert (failure.status, failure.code) == (404, "NOT_FOUND")
    assert "404" in failure.message


def test_which_fields_are_wrong() -> None:
    violations = [{"field": "contents[0]", "description": "is empty"}, {"description": "no"}]
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    failure = read_error(400, error(message="Invalid argument.", status="INVALID_ARGUMENT", details=details))
    assert failure.message == "Invalid argument.\ncontents[0]: is empty\nrequest: no"


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("12s", 12), ("12.5s", 13), ("0.2s", 1), ("0s", 0), ("soon", None), ("infs", None), (5, None)],
)
def test_when_to_come_back(delay: object, seconds: int | None) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    assert read_error(429, error(message="x", details=details)).retry_after == seconds


@given(status=st.none() | st.integers(400, 599), body=documents())
def test_any_error(status: int | None, body: object) -> None:
    failure = read_error(status, body)
    assert failure.message
    assert failure.code.isupper()
    assert failure.status == status or (status is None and 400 <= failure.status < 600)


@pytest.mark.parametrize(
    ("failure", "type", "code"),
    [
        (Failure(400, "x", "INVALID_ARGUMENT"), "invalid_request_error", "invalid_argument"),
        (Failure(400, "x", "FAILED_PRECONDITION"), "invalid_request_error", "failed_precondition"),
        (
            Failure(
                400,
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "INVALID_ARGUMENT",
            ),
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (
            Failure(400, "prompt is too long: 250000 tokens > 200000 maximum", "INVALID_ARGUMENT"),
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (Failure(401, "x", "UNAUTHENTICATED"), "authentication_error", "invalid_api_key"),
        (Failure(403, "x", "PERMISSION_DENIED"), "permission_error", "permission_denied"),
        (Failure(404, "x", "NOT_FOUND"), "invalid_request_error", "model_not_found"),
        (Failure(409, "x", "ABORTED"), "conflict_error", "conflict"),
        (Failure(413, "x", "INVALID_ARGUMENT"), "invalid_request_error", "request_too_large"),
        (Failure(429, "x", "RESOURCE_EXHAUSTED"), "rate_limit_error", "rate_limit_exceeded"),
        (Failure(500, "x", "INTERNAL"), "server_error", "internal_error"),
        (Failure(502, "x", "UNAVAILABLE"), "server_error", "bad_gateway"),
        (Failure(503, "x", "UNAVAILABLE"), "server_error", "service_unavailable"),
        (Failure(504, "x", "DEADLINE_EXCEEDED"), "server_error", "timeout"),
        # A word of ours stays.
        (Failure(404, "x", "UNKNOWN_URL"), "invalid_request_error", "unknown_url"),
        (Failure(422, "x", "INVALID_ARGUMENT"), "invalid_request_error", "invalid_argument"),
        (Failure(529, "x", "UNAVAILABLE"), "server_error", "unavailable"),
    ],
)
def test_in_openais_words(failure: Failure, type: str, code: str) -> None:
    expected = {"message": failure.message, "type": type, "param": "p", "code": code}
    assert openai_error(failure, "p") == {"error": expected}


# Anthropic's page on errors.
ANTHROPIC = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (409, "conflict_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
]


@pytest.mark.parametrize(("status", "type"), ANTHROPIC)
def test_a_type_of_anthropics_tells_the_status(status: int, type: str) -> None:
    assert read_error(None, {"type": "error", "error": {"type": type, "message": "x"}}).status == status


@pytest.mark.parametrize(("status", "type"), [*ANTHROPIC, (422, "invalid_request_error"), (503, "api_error")])
def test_in_anthropics_words(status: int, type: str) -> None:
    written = anthropic_error(Failure(status, "x", "UNKNOWN"))
    assert written == {"type": "error", "error": {"type": type, "message": "x"}}


@pytest.mark.parametrize(
    ("message", "param", "expected"),
    [
        ("the data is empty", "messages[0].content[12].source", "messages.0.content.12.source: The data is empty"),
        ("tools[1].name: field required", "tools[1].name", "tools.1.name: Field required"),
        ("No.", None, "No."),
    ],
)
def test_anthropics_paths(message: str, param: str | None, expected: str) -> None:
    written = anthropic_error(Failure(400, message, "INVALID_ARGUMENT"), param)
    assert written == {"type": "error", "error": {"type": "invalid_request_error", "message": expected}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
            "prompt is too long: 1200293 tokens > 1048576 maximum",
        ),
        (
            "Unable to submit request because the input token count is 1251952 but model only supports up to 1048576."
            " Reduce the input token count and try again.",
            "prompt is too long: 1251952 tokens > 1048576 maximum",
        ),
        (
            "The input token count exceeds the maximum number of tokens allowed 1048576.",
            "prompt is too long: The input token count exceeds the maximum number of tokens allowed 1048576.",
        ),
        (
            "This model's maximum context length is 8192 tokens.",
            "prompt is too long: This model's maximum context length is 8192 tokens.",
        ),
    ],
)
def test_a_prompt_that_is_too_long(message: str, expected: str) -> None:
    """In the words that Anthropic's clients look for, and with OpenAI's code."""
    failure = Failure(400, message, "INVALID_ARGUMENT")
    told: Any = (anthropic_error(failure), openai_error(failure))
    assert (told[0]["error"]["message"], told[1]["error"]["code"]) == (expected, "context_length_exceeded")


def test_a_code_of_anthropics() -> None:
    """The package anthropic 2.14.0 reads it, and then sends the request without `thread`."""
    written: Any = anthropic_error(Failure(400, "x", "THREAD_UNSUPPORTED_REQUEST"))
    assert written["error"]["details"] == {"error_code": "thread_unsupported_request"}


OPENAIS = {"error": {"message": "m", "type": "t"}}


@pytest.mark.parametrize(
    ("surface", "document", "expected"),
    [
        ("openai", OPENAIS, True),
        ("openai", {"error": {"message": "m"}}, False),
        ("openai", [OPENAIS], False),
        ("anthropic", {"type": "error", **OPENAIS}, True),
        ("anthropic", OPENAIS, False),
        ("anthropic", None, False),
    ],
)
def test_errors_that_are_in_a_dialect_already(surface: str, document: object, expected: bool) -> None:
    assert ERROR_DIALECTS[surface].is_own(document) == expected


@pytest.mark.parametrize(
    ("surface", "header", "repeated"), [("openai", "x-request-id", None), ("anthropic", "request-id", "request_id")]
)
def test_where_the_id_of_a_call_stands(surface: str, header: str, repeated: str | None) -> None:
    dialect = ERROR_DIALECTS[surface]
    assert (dialect.id_header, dialect.id_member) == (header, repeated)


def test_googles_errors() -> None:
    written = GOOGLES_ERRORS.write(Failure(400, "m", "INVALID_ARGUMENT"), "p")
    assert written == {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}
    assert not GOOGLES_ERRORS.is_own(written)


def test_in_googles_words() -> None:
    failure = Failure(429, "Slow down.", "RESOURCE_EXHAUSTED", 7)
    assert google_error(failure) == error(code=429, message="Slow down.", status="RESOURCE_EXHAUSTED")
    assert read_error(429, google_error(failure)) == Failure(429, "Slow down.", "RESOURCE_EXHAUSTED")
