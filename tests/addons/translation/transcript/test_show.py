import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.transcript.show import CUT
from addons.translation.transcript.show import Body
from addons.translation.transcript.show import is_chat
from addons.translation.transcript.show import shown
from tests.addons.translation.transcript.bodies import ANSWERS
from tests.addons.translation.transcript.bodies import EVENTS
from tests.addons.translation.transcript.bodies import IMAGE
from tests.addons.translation.transcript.bodies import PATHS
from tests.addons.translation.transcript.bodies import REQUESTS
from tests.metering.usage.test_recordings import RECORDINGS

IDS = [name for name, *_ in ANSWERS]


def text(body: Body) -> str:
    return "\n".join(line.text for line in shown(body))


def asked(place: str, **more: bool) -> Body:
    return Body(json.dumps(REQUESTS[place]).encode(), "POST", PATHS[place], "application/json", **more)


def told(content_type: str, data: bytes, **more: Any) -> Body:
    return Body(data, "POST", PATHS["gemini"], content_type, is_answer=True, **more)


CONVERSATION = """\
tools: weather(city, unit)
system
  Be brief.
user
  What is this?
  <image/png, 48 kB>
assistant
  [call] weather {"city": "Paris"}
user
  [result] weather """
HEADS = {
    "gemini": "gemini-2.5-pro, temperature 0.5",
    "chat": "gpt-5, temperature 0.5",
    "responses": "gpt-5, temperature 0.5",
    "messages": "claude-opus-4-1, temperature 0.5, max tokens 100",
    "claude": "claude-opus-4-1, temperature 0.5, max tokens 100",
    "mistral": "mistral-large, temperature 0.5",
}


@pytest.mark.parametrize("place", REQUESTS)
def test_a_request_of_every_dialect(place: str) -> None:
    assert is_chat("POST", PATHS[place])
    result = '{"output": "20 degrees"}' if place == "gemini" else "20 degrees"
    assert text(asked(place)) == f"{HEADS[place]}\n{CONVERSATION}{result}"


ANSWER = """\
assistant
  [thought] Let me think.
  It is a cat.
  [call] weather {}
"""


@pytest.mark.parametrize(("name", "content_type", "data"), ANSWERS, ids=IDS)
def test_an_answer_of_every_dialect(name: str, content_type: str, data: bytes) -> None:
    lines = text(told(content_type, data))
    assert lines.startswith(ANSWER)
    assert "\ntokens: 12 input (4 cached), 30 output (20 thoughts)\n" in lines
    assert "\nmodel served" in lines or "\nmodel asked" in lines
    assert "breaks off" not in lines


@pytest.mark.parametrize(("name", "content_type", "data"), ANSWERS, ids=IDS)
def test_an_answer_that_breaks_off(name: str, content_type: str, data: bytes) -> None:
    """The end is missing. What is there is shown, and so is that it is not all."""
    half = data[: data.index(b"a cat") + 2]
    lines = text(told(content_type, half, is_cut=True))
    assert "It is " in lines
    assert "breaks off" in lines
    assert lines.endswith(f"\n{CUT}")


def test_a_request_that_was_cut() -> None:
    body = asked("gemini", is_cut=True)
    data = body.data
    lines = text(body._replace(data=data[: data.index(b"What is this?") + 6]))
    assert "user" in lines
    assert "What i" in lines
    assert lines.endswith(f"\n{CUT}")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}, "429 RESOURCE_EXHAUSTED"),
        ([{"error": {"code": 403, "message": "Slow down.", "status": "PERMISSION_DENIED"}}], "403 PERMISSION_DENIED"),
        ({"error": {"message": "Slow down.", "type": "rate_limit_error"}}, "429 RESOURCE_EXHAUSTED"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Slow down."}}, "529 UNAVAILABLE"),
    ],
)
def test_an_error(error: object, line: str) -> None:
    assert text(told("application/json", json.dumps(error).encode())) == f"error {line}: Slow down."


def test_an_error_without_a_code_has_the_status_of_the_answer() -> None:
    error = b'{"error": {"message": "Slow down."}}'
    assert text(told("application/json", error, status=429)) == "error 429 RESOURCE_EXHAUSTED: Slow down."
    assert text(told("application/json", error, status=200)) == "error 502 UNAVAILABLE: Slow down."


RECORDED = [
    (path.stem, recording)
    for path in RECORDINGS
    if is_chat((recording := json.loads(path.read_text()))["method"], recording["path"])
]


@pytest.mark.parametrize("recording", [one for _, one in RECORDED], ids=[name for name, _ in RECORDED])
def test_recorded_answers(recording: dict[str, Any]) -> None:
    """What their formats' documentation shows, with the counts of the ledger."""
    kind = recording["headers"].get("content-type", "")
    body = Body("\n".join(recording["body"]).encode(), recording["method"], recording["path"], kind, is_answer=True)
    lines = text(body._replace(status=recording["status"]))
    row = recording["row"]
    if "error_type" not in row and {"input_tokens", "output_tokens"} <= row.keys():
        assert f"\ntokens: {row['input_tokens']:,} input" in lines
        assert f" {row['output_tokens']:,} output" in lines
        assert lines.startswith("assistant\n  ")
    assert "could not be read" not in lines
    assert "RainRain" not in lines


def test_an_error_within_a_stream() -> None:
    _, content_type, data = next(one for one in ANSWERS if one[0] == "gemini streamed")
    error = b'data: {"error": {"code": 503, "message": "Gone.", "status": "UNAVAILABLE"}}\n\n'
    begun = data.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    lines = text(told(content_type, begun + b"\n\n" + error))
    assert "Let me" in lines
    assert "error 503 UNAVAILABLE: Gone." in lines


def test_what_is_no_conversation_is_shown_as_json() -> None:
    """A call without its result cannot be read, but can be looked at."""
    body = json.loads(asked("chat").data)
    del body["messages"][3]
    lines = text(asked("chat")._replace(data=json.dumps(body).encode()))
    assert lines.startswith("(Shown as it is. It is no conversation that can be read: ")
    assert '"arguments": "{\\"city\\": \\"Paris\\"}"' in lines
    assert '"url": "<image/png, 48 kB>"' in lines
    assert text(told("application/json", b'{"totalTokens": 5}')) == '{\n  "totalTokens": 5\n}'
    assert text(told("text/html", b"<p>\nno")) == "<p>\nno"
    assert text(told("application/json", b"")) == ""


def test_a_deep_body_is_shown() -> None:
    deep = b'{"contents": ' + b"[" * 100_000
    assert deep[:200].decode() in text(asked("gemini")._replace(data=deep))
    deep += b"]" * 100_000 + b"}"
    assert deep[:200].decode() in text(told("application/json", deep))


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", True),
        ("POST", "/v1beta/models/gemini-2.5-flash:countTokens", True),
        ("POST", "/v1/images/generations", False),
        ("GET", "/v1/models", False),
        ("GET", "/v1/chat/completions", True),
        ("POST", "/nothing", False),
    ],
)
def test_which_calls_are_chats(method: str, path: str, expected: bool) -> None:
    assert is_chat(method, path) is expected


BODIES = [(body.data, body.path, body.content_type, False) for body in map(asked, REQUESTS)] + [
    (data, PATHS["gemini"], content_type, True) for _, content_type, data in ANSWERS
]


@given(st.sampled_from(BODIES), st.data())
def test_broken_bodies_never_raise(body: tuple[bytes, str, str, bool], data: st.DataObject) -> None:
    """A body that was cut, or of which a piece was replaced by anything."""
    whole, path, content_type, is_answer = body
    whole = whole.replace(IMAGE.encode(), b"aaaa")
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    piece = data.draw(st.binary(max_size=8) | st.sampled_from([b"null", b"[]", b"{}", b'"x"', b"1e999", b"\\ud800"]))
    kind = data.draw(st.sampled_from([content_type, EVENTS, "", "application/json"]))
    lines = shown(Body(whole[:start] + piece + whole[end:], "POST", path, kind, is_answer))
    assert not any("\n" in line.text for line in lines)
    assert not any("could not be read" in line.text for line in lines)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(BODIES), st.data())
def test_any_json_never_raises(body: tuple[bytes, str, str, bool], data: st.DataObject) -> None:
    """A body in which a value is of another type."""
    whole, path, _, is_answer = body
    text = whole.decode()
    if text.startswith(("data:", "event:")):
        text = next(line for line in text.splitlines() if line.startswith("data: {")).removeprefix("data: ")
    document = json.loads(text)
    _replace(document, data)
    lines = shown(Body(json.dumps(document).encode(), "POST", path, "application/json", is_answer))
    assert not any("could not be read" in line.text for line in lines)


def _replace(document: object, data: st.DataObject) -> None:
    """Replaces a value somewhere within a document."""
    while isinstance(document, dict | list) and document:
        place = data.draw(st.sampled_from([*document] if isinstance(document, dict) else range(len(document))))
        inner = document[place]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 4)) == 0:
            document[place] = data.draw(_VALUES)
            return
        document = inner
