"""What becomes of chats: where they go, and what the answers become, for every client and service."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pydantic_core import from_json
from pydantic_core import to_json

from addons.translation.chats import CLIENTS
from addons.translation.conversions import from_google
from addons.translation.conversions import from_openai
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import unfinished
from addons.translation.plan import Plan
from tests.addons.translation import chats
from tests.addons.translation.client_requests import GOOGLE
from tests.addons.translation.client_requests import HELLO
from tests.addons.translation.client_requests import Json
from tests.addons.translation.client_requests import aliased
from tests.addons.translation.client_requests import asked
from tests.addons.translation.client_requests import chat
from tests.addons.translation.client_requests import check
from tests.addons.translation.client_requests import response
from tests.addons.translation.client_requests import same

CHATS = [
    ("gemini-2.5-flash", False, f"{GOOGLE}gemini-2.5-flash:generateContent"),
    ("gemini-2.5-flash", True, f"{GOOGLE}gemini-2.5-flash:streamGenerateContent?alt=sse"),
    ("vertex_ai/gemini-2.5-flash", False, f"{GOOGLE}gemini-2.5-flash:generateContent"),
    ("1234567890", False, "endpoints/1234567890:generateContent"),
    ("1234567890", True, "endpoints/1234567890:streamGenerateContent?alt=sse"),
    ("claude-sonnet-4@1", False, "publishers/anthropic/models/claude-sonnet-4@1:rawPredict"),
    ("claude-sonnet-4@1", True, "publishers/anthropic/models/claude-sonnet-4@1:streamRawPredict"),
    ("anthropic/claude-sonnet-4", False, "publishers/anthropic/models/claude-sonnet-4:rawPredict"),
    ("mistral-small-2503@001", False, "publishers/mistralai/models/mistral-small-2503@001:rawPredict"),
    ("mistral-small-2503@001", True, "publishers/mistralai/models/mistral-small-2503@001:streamRawPredict"),
    ("llama-4-maas", False, "endpoints/openapi/chat/completions"),
    ("llama-4-maas", True, "endpoints/openapi/chat/completions"),
]
SENT = {
    "mistral-small-2503@001": "mistral-small-2503",
    "llama-4-maas": "meta/llama-4-maas",
}
"""Model -> its name in bodies, for those that are asked in OpenAI's dialect."""


class TestChats:
    @pytest.mark.parametrize(("operation", "body"), [("chat/completions", chat()), ("responses", response())])
    @pytest.mark.parametrize(("model", "stream", "resource"), CHATS)
    def test_where_they_go(self, operation: str, body: Json, model: str, stream: bool, resource: str) -> None:
        plan = from_openai(asked(operation, body | {"model": model, "stream": stream}), same)
        (sending,) = plan.sendings
        assert sending.resource == resource
        check(plan)
        assert json.loads(sending.body).get("model") == SENT.get(model)
        is_the_same = operation == "chat/completions" and model in SENT
        assert (plan.conversion is None) == is_the_same
        assert plan.conversion is None or plan.conversion.streams == stream

    @pytest.mark.parametrize(
        ("model", "resource", "sent"),
        [
            ("gemini-2.5-flash", "endpoints/openapi/chat/completions", "google/gemini-2.5-flash"),
            ("1234567890", "endpoints/1234567890/chat/completions", "1234567890"),
            ("llama-4-maas", "endpoints/openapi/chat/completions", "meta/llama-4-maas"),
            # Vertex's OpenAI endpoint has no Claude.
            ("claude-sonnet-4", "publishers/anthropic/models/claude-sonnet-4:rawPredict", None),
        ],
    )
    def test_compatible(self, model: str, resource: str, sent: str | None) -> None:
        plan = from_openai(asked("chat/completions", chat(model=model)), same, compatible=True)
        check(plan)
        (sending,) = plan.sendings
        assert (sending.resource, json.loads(sending.body).get("model")) == (resource, sent)
        assert (plan.conversion is None) == (sent is not None)

    def test_only_the_name_of_a_model_changes(self) -> None:
        raw = b'{ "messages":[{"role":"user","content":"H\\u00e9 \\/"}],\n "model" : "llama-4-maas" , "top_k":5.0 }\n'
        (sending,) = from_openai(asked("chat/completions", raw), same).sendings
        assert sending.body == raw.replace(b"llama-4-maas", b"meta/llama-4-maas")


MODELS = [
    ("gpt-4o", "gemini-2.5-pro", None),
    ("opus", "claude-opus-4-1", "anthropic"),
    ("mine", "1234567890", None),
    ("models/gemini-2.5-flash", "gemini-2.5-flash", None),
]


@pytest.mark.parametrize(("name", "model", "publisher"), MODELS)
@pytest.mark.parametrize(("operation", "body"), [("chat/completions", chat()), ("responses", response())])
def test_aliases(operation: str, body: Json, name: str, model: str, publisher: str | None) -> None:
    plan = from_openai(asked(operation, body | {"model": name}), aliased)
    assert plan.model
    assert (plan.model.name, plan.model.publisher) == (model, publisher)
    assert model in plan.sendings[0].resource


TEXT = "Hello there."
GEMINI: list[Any] = [
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello "}]}}], "responseId": "r"},
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "there."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
    },
]
CLAUDE: list[Any] = [
    {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "there."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
OPENAI: list[Any] = [
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello "}}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"content": "there."}}]},
    {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    None,
]
STREAMS = {"gemini-2.5-flash": GEMINI, "claude-sonnet-4": CLAUDE, "llama-4-maas": OPENAI, "gpt-5": OPENAI}
WHOLE: dict[str, Json] = {
    "gemini-2.5-flash": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP"}]
    },
    "claude-sonnet-4": {"type": "message", "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn"},
    "llama-4-maas": {"choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]},
}
WHOLE["gpt-5"] = WHOLE["llama-4-maas"]
ERRORS: dict[str, Json] = {
    "gemini-2.5-flash": {"error": {"code": 429, "message": "Too many.", "status": "RESOURCE_EXHAUSTED"}},
    "claude-sonnet-4": {"type": "error", "error": {"type": "rate_limit_error", "message": "Too many."}},
    "llama-4-maas": {"error": {"type": "rate_limit_error", "message": "Too many."}},
}
ERRORS["gpt-5"] = ERRORS["llama-4-maas"]


def text_of(value: object) -> str:
    """What an answer says, whoever's dialect it is in."""
    if isinstance(value, list):
        return "".join(map(text_of, value))
    if not isinstance(value, dict):
        return ""
    kind, text = value.get("type"), value.get("text") or value.get("content") or value.get("delta")
    if isinstance(text, str) and kind in (None, "output_text", "response.output_text.delta"):
        return text
    return "".join(text_of(value[name]) for name in INSIDE if name in value)


INSIDE = ("candidates", "choices", "message", "delta", "output", "content", "parts")


def events(written: bytes) -> list[Any]:
    """Those of a stream, of any framing."""
    if written.startswith(b"["):
        return list(json.loads(written))
    data = [re.sub(rb"^event: .*\n", b"", event) for event in re.split(rb"\r?\n\r?\n", written) if event]
    assert all(event.startswith(b"data: ") for event in data)
    return [event[6:] if event == b"data: [DONE]" else json.loads(event[6:]) for event in data]


def openai_plan(operation: str, body: Json) -> Callable[[str, bool], Plan]:
    return lambda model, stream: from_openai(asked(operation, body | {"model": model, "stream": stream}), same)


def google_plan(query: str) -> Callable[[str, bool], Plan]:
    def plan(model: str, stream: bool) -> Plan:
        action = "streamGenerateContent" if stream else "generateContent"
        return from_google(asked(action, HELLO, path=f"m:{action}{query}", resource=model), same)

    return plan


PAIRS = [
    pytest.param(plan, model, id=f"{client}-{model}")
    for client, plan, models in [
        ("chat", openai_plan("chat/completions", chat()), ["gemini-2.5-flash", "claude-sonnet-4"]),
        (
            "responses",
            openai_plan("responses", response()),
            ["gemini-2.5-flash", "claude-sonnet-4", "llama-4-maas"],
        ),
        ("google events", google_plan("?alt=sse"), ["gpt-5"]),
        ("google array", google_plan(""), ["gpt-5"]),
    ]
    for model in models
]
ENDS: dict[str, Callable[[Any], bool]] = {
    "chat": lambda last: last == b"[DONE]",
    "responses": lambda last: last["type"] == "response.completed",
    "google": lambda last: last["candidates"][0]["finishReason"] == "STOP",
}


def is_end(last: Any) -> bool:
    return any(_holds(end, last) for end in ENDS.values())


def _holds(end: Callable[[Any], bool], last: Any) -> bool:
    try:
        return end(last)
    except (KeyError, TypeError):
        return False


def is_error(last: Any) -> bool:
    if last.get("type") == "response.failed":
        return bool(last["response"]["error"]["message"])
    return bool(last["error"]["message"])


@pytest.mark.parametrize(("plan", "model"), PAIRS)
class TestAnswers:
    def streaming(self, plan: Callable[[str, bool], Plan], model: str) -> Any:
        conversion = plan(model, True).conversion
        assert conversion
        assert conversion.streams
        return conversion

    def test_whole(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = plan(model, False).conversion
        assert conversion
        assert text_of(conversion.whole([WHOLE[model]])) == TEXT

    def test_an_error_that_came_whole(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = plan(model, False).conversion
        assert conversion
        failure = conversion.whole([ERRORS[model]])
        assert isinstance(failure, Failure)
        assert failure.message == "Too many."

    @pytest.mark.parametrize("document", [{}, {"candidates": [], "choices": []}, {"candidates": [{}], "choices": [{}]}])
    def test_an_answer_without_any(self, plan: Callable[[str, bool], Plan], model: str, document: Any) -> None:
        """It is an error, as it is in a stream."""
        conversion = plan(model, False).conversion
        assert conversion
        assert conversion.whole([document]) == unfinished()

    def test_a_stream(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        pieces = [conversion.feed(event) for event in STREAMS[model]]
        said = next(number for number, event in enumerate(STREAMS[model]) if "Hello" in str(event))
        assert b"Hello" in pieces[said], "an event has waited for a later one"
        told = events(b"".join(pieces) + conversion.end())
        deltas = [event for event in told if isinstance(event, dict) and not _repeats(event)]
        assert "".join(map(text_of, deltas)) == TEXT
        assert is_end(told[-1])
        assert not conversion.failed
        assert (conversion.end(), conversion.cut(), conversion.fail(Failure(500, "x", "INTERNAL"))) == (b"",) * 3

    def test_cut_before_its_end(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(conversion.feed(event) for event in STREAMS[model][:1])
        told = events(written + conversion.cut())
        assert is_error(told[-1])
        assert not any(map(is_end, told))
        assert conversion.failed
        assert conversion.end() == b""

    def test_cut_after_its_end(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(map(conversion.feed, STREAMS[model]))
        told = events(written + conversion.cut())
        assert is_end(told[-1])
        assert not conversion.failed

    def test_ended_before_its_end(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(conversion.feed(event) for event in STREAMS[model][:1])
        assert is_error(events(written + conversion.end())[-1])
        assert conversion.failed

    def test_an_error_inside(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(conversion.feed(event) for event in [*STREAMS[model][:1], ERRORS[model]])
        told = events(written + conversion.end())
        assert is_error(told[-1])
        assert "Too many." in str(told[-1])
        assert conversion.failed

    def test_failed_by_us(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        told = events(conversion.fail(Failure(502, "Of ours.", "UNAVAILABLE")))
        assert is_error(told[-1])
        assert "Of ours." in str(told[-1])
        assert conversion.failed
        assert b"".join(map(conversion.feed, STREAMS[model])) + conversion.end() + conversion.cut() == b""


def _repeats(event: Json) -> bool:
    """Whether an event of a Response tells again what deltas have told."""
    kind = event.get("type", "")
    return kind.startswith("response.") and not kind.endswith(".delta")


json_values: st.SearchStrategy[Any] = chats.values | st.sampled_from(
    [None, [], "x", 5, {"error": {}}, {"candidates": 1}, {"choices": [1]}]
)


@pytest.mark.parametrize(("plan", "model"), PAIRS)
@given(documents=st.lists(json_values, max_size=3))
@settings(max_examples=20)
def test_any_answer_becomes_one(plan: Callable[[str, bool], Plan], model: str, documents: list[object]) -> None:
    whole, conversion = plan(model, False).conversion, plan(model, True).conversion
    assert whole
    assert conversion
    for document in documents:
        assert isinstance(whole.whole([document]), dict | Failure)
    told = events(b"".join(map(conversion.feed, documents)) + conversion.end())
    # Nothing of it says why the answer ended.
    assert is_error(told[-1])
    assert conversion.failed


LEFT_OUT = frozenset({"messages", "tools", "tool_choice", "metadata"})


def responding(body: Json) -> Json:
    """A chat as a Response: its messages are items, its tools are flat."""
    asked = {name: value for name, value in body.items() if name not in LEFT_OUT}
    items: list[Any] = []
    for message in body["messages"]:
        calls = message.get("tool_calls") or []
        if message["role"] == "tool":
            items.append(
                {"type": "function_call_output", "call_id": message["tool_call_id"], "output": str(message["content"])}
            )
        elif message["role"] != "function":
            content = message.get("content")
            items += [{"role": message["role"], "content": content}] if isinstance(content, str) else []
        items += [{"type": "function_call", "call_id": call["id"], **call["function"]} for call in calls]
    tools = [{**tool.get("function", {}), **tool} for tool in body.get("tools", [])]
    return {**asked, "input": items, "tools": tools}


SERVING = st.sampled_from(["gemini-2.5-flash", "claude-sonnet-4", "llama-4-maas", "mistral-small-2503", "1234567890"])


@given(body=chats.chats, model=SERVING, operation=st.sampled_from(sorted(CLIENTS)), compatible=st.booleans())
def test_any_chat_is_planned_or_refused(body: Json, model: str, operation: str, compatible: bool) -> None:
    given = (body if operation == "chat/completions" else responding(body)) | {"model": model}
    try:
        plan = from_openai(asked(operation, to_json(given)), same, compatible=compatible)
    except InvalidRequest:
        return
    (sending,) = plan.sendings
    check(plan)
    if sending.resource.startswith(GOOGLE):
        chats.check(from_json(sending.body))


@st.composite
def half_valid(draw: st.DrawFn) -> tuple[str, Json]:
    operation = draw(st.sampled_from(sorted(CLIENTS)))
    body = draw(chats.chats)
    if operation == "responses":
        body = chats.spoiled(draw, responding(body), "input")
    else:
        body = chats.spoiled(draw, body, "messages")
    return operation, body | {"model": draw(SERVING)}


@given(half_valid())
def test_what_is_nearly_a_chat_is_planned_or_refused(given: tuple[str, Json]) -> None:
    operation, body = given
    try:
        plan = from_openai(asked(operation, to_json(body, inf_nan_mode="constants")), same)
    except InvalidRequest:
        return
    check(plan)


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "claude-opus-4-5", "meta/llama-4"])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_the_clients_names(model: str, stream: bool) -> None:
    """The client knows no function of the name that the service gets."""
    body = response(model=model, stream=stream, tools=[{"type": "function", "name": "get weather"}])
    conversion = from_openai(asked("responses", body), same).conversion
    assert conversion
    error = {"error": {"message": "Bad schema of get_weather."}}
    if stream:
        message = events(conversion.feed(error))[-1]["response"]["error"]["message"]
    else:
        failure = conversion.whole([error])
        assert isinstance(failure, Failure)
        message = failure.message
    assert message == "Bad schema of get weather."
