import pytest
from mitmproxy import http

from addons.again import Failed
from addons.repeatable import KeptRequest
from addons.repeatable import goes_out_at_once
from addons.repeatable import is_safe_after
from addons.repeatable import may_go_elsewhere
from metering.paths import parse

GEMINI = "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash"
ELSEWHERE = {
    ("POST", f"{GEMINI}:generateContent"): True,
    ("POST", f"{GEMINI}:streamGenerateContent"): True,
    ("POST", f"{GEMINI}:countTokens"): True,
    ("POST", f"{GEMINI}:predict"): True,
    ("POST", f"{GEMINI}:predictLongRunning"): True,
    ("POST", f"{GEMINI}:fetchPredictOperation"): False,
    ("POST", "/v1/projects/p/locations/l/endpoints/123:generateContent"): False,
    ("POST", "/v1/projects/p/locations/l/endpoints/openapi/chat/completions"): True,
    ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:streamRawPredict"): True,
    ("POST", "/v1/projects/p/locations/l/cachedContents"): False,
    ("GET", "/v1/projects/p/locations/l/operations/1"): False,
    ("POST", "/v1beta/models/gemini-2.5-flash:embedContent"): True,
    ("POST", "/v1beta/tunedModels/mine:generateContent"): False,
    ("POST", "/v1/chat/completions"): True,
    ("POST", "/v1/responses"): True,
    ("GET", "/v1/responses/resp_1"): False,
    ("POST", "/v1/embeddings"): True,
    ("POST", "/v1/images/edits"): True,
    ("POST", "/v1/videos"): True,
    ("GET", "/v1/videos/video_1"): False,
    ("POST", "/v1/files"): False,
    ("POST", "/v1/batches"): False,
    ("POST", "/v1/messages"): True,
    ("POST", "/v1/messages/count_tokens"): True,
    ("POST", "/not/known"): False,
}


def request(body: bytes = b"{}", method: str = "POST", **headers: str) -> http.Request:
    return http.Request.make(
        method,
        "http://127.0.0.1/",
        body,
        http.Headers([(name.encode(), value.encode()) for name, value in headers.items()]),
    )


def test_operations() -> None:
    found = {
        (method, path): may_go_elsewhere(request(method=method), parse(method, path), "m") for method, path in ELSEWHERE
    }
    assert found == ELSEWHERE


BODIES = {
    b'{"contents": []}': True,
    b'{"cachedContent": "projects/p/cachedContents/1"}': False,
    b'{"google": {"cached_content": "x"}}': False,
    b'{"cachedContent": null, "previous_response_id": null}': True,
    b'{"cachedContent": ""}': True,
    b'{"fileData": {"fileUri": "gs://bucket/x"}}': False,
    b'{"file_data": {"file_uri" : "https://x.example"}}': False,
    b'{"type": "file", "file": {"file_id": "file-1"}}': False,
    b'{"gcsUri": "gs://bucket/x"}': False,
    b'{"previous_response_id": "resp_1"}': False,
    b'{"conversation": "conv_1"}': False,
    b'{"conversation": {"id": "conv_1"}}': False,
    b'{"parameters": {"properties": {"conversation": {"type": "object"}}}}': True,
    rb'{"text": "write \"file_id\": \"x\" here"}': True,
    b'{"text": "cachedContent", "next": "file_id"}': True,
}


def test_bodies() -> None:
    target = parse("POST", "/v1/chat/completions")
    assert {body: may_go_elsewhere(request(body), target, "m") for body in BODIES} == BODIES


def test_what_is_not_kept() -> None:
    target = parse("POST", "/v1/chat/completions")
    streamed = request()
    streamed.stream = True
    unknown = request()
    unknown.raw_content = None
    found = [may_go_elsewhere(one, target, "m") for one in (request(), streamed, unknown, request(upgrade="websocket"))]
    assert found == [True, False, False, False]
    assert not may_go_elsewhere(request(), target, "1234567890")


def test_a_copy_of_the_request_as_it_was() -> None:
    one = request(b"{}", accept="a")
    kept = KeptRequest(one)
    one.headers["accept"], one.headers["x-new"] = "b", "c"
    one.host, one.path, one.method, one.content = "other.example", "/other", "PUT", b"other"
    for _ in "12":
        again = kept.copy()
        assert (again.host, again.path, again.method, again.content) == ("127.0.0.1", "/", "POST", b"{}")
        assert again.headers.fields == ((b"accept", b"a"), (b"content-length", b"2"))
        # The next copy is none of this one.
        again.headers["accept"], again.path = "d", "/changed"


@pytest.mark.parametrize(
    ("failed", "status", "safe"),
    [
        (Failed.UNCONNECTED, None, True),
        (Failed.ANSWERED, 429, True),
        (Failed.ANSWERED, 503, False),
        (Failed.CUT, None, False),
        (Failed.TIMED_OUT, None, False),
    ],
)
def test_jobs(failed: Failed, status: int | None, safe: bool) -> None:
    """Only if none has begun."""
    for path in (f"{GEMINI}:predictLongRunning", "/v1/videos"):
        assert is_safe_after(parse("POST", path), failed, status) is safe
    assert is_safe_after(parse("POST", "/v1/chat/completions"), failed, status)


@pytest.mark.parametrize(
    ("headers", "needs_body", "expected"),
    [
        ({"content-length": "64"}, False, False),
        ({"content-length": str(64 * 1024 * 1024)}, True, False),
        ({"content-length": str(64 * 1024 * 1024 + 1)}, True, True),
        ({"content-length": "9" * 20}, True, True),
        ({"transfer-encoding": "chunked"}, False, True),
        ({"transfer-encoding": "chunked"}, True, False),
        ({"content-type": "application/grpc+proto"}, True, True),
        ({}, False, False),
    ],
)
def test_what_is_streamed(headers: dict[str, str], needs_body: bool, expected: bool) -> None:
    one = http.Request.make("POST", "http://127.0.0.1/")
    one.headers = http.Headers([(name.encode(), value.encode()) for name, value in headers.items()])
    assert goes_out_at_once(one, needs_body=needs_body) is expected
