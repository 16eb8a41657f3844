import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings

from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Written
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.read_request import read_request as google_request
from addons.translation.json_schema import as_object
from addons.translation.openai_chat.read_request import read_request
from addons.translation.openai_chat.write_request import write_request
from tests.addons.translation.chats import chats
from tests.addons.translation.gemini.examples import bodies
from tests.addons.translation.openai_chat.messages import HI
from tests.addons.translation.openai_chat.messages import PNG
from tests.addons.translation.openai_chat.messages import SHORT
from tests.addons.translation.openai_chat.messages import SIGNATURE
from tests.addons.translation.openai_chat.messages import assistant
from tests.addons.translation.openai_chat.messages import call
from tests.addons.translation.openai_chat.messages import calls
from tests.addons.translation.openai_chat.messages import message
from tests.addons.translation.openai_chat.messages import part
from tests.addons.translation.openai_chat.messages import result
from tests.addons.translation.openai_chat.messages import tool
from tests.addons.translation.openai_chat.messages import user
from tests.addons.translation.recorded import REQUESTS
from tests.addons.translation.recorded import camel

Json = dict[str, Any]


def for_service(*turns: Turn, model: str = "gpt-4o", **members: Any) -> Written:
    """What goes out, which must be what a client may send."""
    request = Request(model, turns=[*turns] or [user(Text("Hi"))], **members)
    written = write_request(request)
    assert written.headers == {}
    assert request.notes.dropped == []
    read_request(json.loads(json.dumps(written.body)))
    return written


def messages_of(*turns: Turn, **members: Any) -> Any:
    return for_service(*turns, **members).body["messages"]


class TestWrittenMessages:
    def test_turns(self) -> None:
        turns = [user(Text("a"), Text("b")), assistant(Thought("hm"), Text("c")), user(Text("d")), user(Text("e"))]
        turns.append(assistant(Text("f"), Text("g")))
        assert messages_of(*turns, system=[Text("s"), Text("t")]) == [
            message("system", [{"type": "text", "text": "s"}, {"type": "text", "text": "t"}]),
            message("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            message("assistant", "c"),
            message("user", "d"),
            message("user", "e"),
            message("assistant", "fg"),
        ]

    def test_calls_without_ids_get_them(self) -> None:
        turns = [
            assistant(Text("x"), ToolCall(None, "f", {"a": "é"}), ToolCall("call_0", "g", {}), ToolCall(None, "f", {})),
            user(ToolResult(None, "f", {"b": 1}), ToolResult("call_0", "g", "text"), ToolResult(None, "f", [2])),
            assistant(ToolCall(None, "f", {})),
            user(ToolResult(None, "f", ""), Text("And?")),
        ]
        written = messages_of(user(Text("Hi")), *turns)
        assert written == messages_of(user(Text("Hi")), *turns)
        assert written[1:] == [
            calls(call("call_1", arguments='{"a": "é"}'), call("call_0", "g"), call("call_2"), content="x"),
            result("call_1", '{"b": 1}'),
            result("call_0", "text"),
            result("call_2", "[2]"),
            calls(call("call_3")),
            result("call_3", ""),
            message("user", "And?"),
        ]

    def test_an_id_that_is_there_twice(self) -> None:
        written = messages_of(
            assistant(ToolCall("1", "f", {}), ToolCall("1", "g", {})),
            user(ToolResult("1", "f", "a"), ToolResult("1", "g", "b")),
        )
        assert written[1:] == [result("1", "a"), result("call_0", "b")]

    def test_media_of_a_result_follow_all_results(self) -> None:
        image = Media("image/png", data="AAAA")
        turns = [
            assistant(ToolCall("1", "f", {}), ToolCall("2", "f", {})),
            user(ToolResult("1", "f", "a", [image]), ToolResult("2", "f", "b"), Text("See?")),
        ]
        assert messages_of(*turns)[1:] == [
            result("1", "a"),
            result("2", "b"),
            message("user", [part("image_url", url=PNG), {"type": "text", "text": "See?"}]),
        ]

    def test_a_result_of_no_call(self) -> None:
        with pytest.raises(InvalidRequest):
            write_request(Request("m", turns=[user(ToolResult("1", "f", "x"))]))

    @pytest.mark.parametrize(
        ("model", "issuer", "given"),
        [
            ("google/gemini-3-pro-preview", "google", True),
            ("google/gemini-3-pro-preview", "anthropic", False),
            # Others cannot read what Google has signed.
            ("gpt-5", "google", False),
        ],
    )
    def test_signatures_go_back_to_who_signed(self, model: str, issuer: Any, given: bool) -> None:
        signed = Signature(issuer, SIGNATURE)
        turns = [assistant(Text("a", signed), ToolCall("1", "f", {}, signed)), user(ToolResult("1", "f", "x"))]
        extra: Json = {"extra_content": {"google": {"thought_signature": SIGNATURE}}} if given else {}
        assert messages_of(*turns, model=model)[0] == calls(call("1", **extra), content="a", **extra)

    @pytest.mark.parametrize(
        ("medium", "expected", "dropped"),
        [
            (Media("image/png", data="AAAA"), part("image_url", url=PNG), []),
            (Media("image/png", data="AAAA", detail="high"), part("image_url", url=PNG, detail="high"), []),
            (Media("image/png", uri="https://h/a"), part("image_url", url="https://h/a"), []),
            (Media("audio/mpeg", data="AAAA"), part("input_audio", data="AAAA", format="mp3"), []),
            (Media("audio/wav; rate=8000", data="AAAA"), part("input_audio", data="AAAA", format="wav"), []),
            (
                Media("application/pdf", data="AAAA"),
                part("file", filename="file.pdf", file_data="data:application/pdf;base64,AAAA"),
                [],
            ),
            (
                Media("video/mp4", uri="https://h/a", clip={"fps": 2}),
                part("video_url", url="https://h/a"),
                ["video_metadata"],
            ),
        ],
    )
    def test_media(self, medium: Media, expected: Json, dropped: list[str]) -> None:
        body, _, notes = write_request(Request("m", turns=[user(medium)]))
        assert body["messages"] == [message("user", [expected])]
        assert notes.dropped == dropped

    @pytest.mark.parametrize(
        "medium",
        [
            Media("image/png", uri="gs://b/o.png"),
            Media("application/pdf", uri="https://h/a.pdf"),
            Media("audio/mp3", uri="https://h/a.mp3"),
            Media("audio/flac", data="AAAA"),
        ],
    )
    def test_media_that_it_cannot_read(self, medium: Media) -> None:
        with pytest.raises(InvalidRequest) as caught:
            write_request(Request("m", turns=[user(medium)], names={"turns": "contents"}))
        assert caught.value.param == "contents"

    def test_what_a_model_drew(self) -> None:
        drawn = assistant(Media("image/png", data="AAAA"))
        body, _, notes = write_request(Request("m", turns=[user(Text("Hi")), drawn], names={"media": "inlineData"}))
        assert (body["messages"], notes.dropped) == ([HI], ["inlineData"])


class TestWrittenParameters:
    def test_a_reasoning_model_may_be_asked_for_what_is_usual(self) -> None:
        """OpenAI refuses the parameters with these values too, but the client loses nothing."""
        usual: dict[str, Any] = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
        body, _, notes = write_request(Request("gpt-5", turns=[user(Text("Hi"))], top_logprobs=0, **usual))
        assert (body.keys() & {*usual, "logprobs", "top_logprobs"}, notes.dropped) == (set(), [])
        other: dict[str, Any] = dict.fromkeys(usual, 0.5)
        _, _, notes = write_request(Request("gpt-5", turns=[user(Text("Hi"))], top_logprobs=1, **other))
        assert notes.dropped == ["temperature", "top_p", "top_logprobs", "presence_penalty", "frequency_penalty"]

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, {}),
            (
                {"temperature": 0, "top_p": 0, "seed": 0, "n": 1, "stop": ["a"], "presence_penalty": 0},
                {"temperature": 0, "top_p": 0, "seed": 0, "n": 1, "stop": ["a"], "presence_penalty": 0},
            ),
            ({"logprobs": True, "top_logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
            ({"logprobs": False, "top_logprobs": 3}, {}),
            # Its usage must reach client and ledger, whoever asks.
            ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
            ({"modalities": ["text"]}, {}),
            # OpenAI refuses it without tools.
            ({"parallel_tool_calls": False}, {}),
            (
                {"parallel_tool_calls": False, "functions": [Function("g")]},
                {"tools": [tool("g")], "parallel_tool_calls": False},
            ),
            ({"format": Format()}, {"response_format": {"type": "json_object"}}),
            (
                {"format": Format({"type": "object"})},
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "answer", "schema": {"type": "object"}},
                    }
                },
            ),
            (
                {"functions": [Function("f", "d", {"type": "object"}), Function("g")]},
                {"tools": [tool("f", description="d", parameters={"type": "object"}), tool("g")]},
            ),
            ({"server_tools": {"googleSearch": "tools[0]"}}, {"web_search_options": {}}),
            ({"tool_choice": ToolChoice("required")}, {}),
        ],
    )
    def test_members(self, members: Json, expected: Json) -> None:
        body, _, notes = for_service(**members)
        assert body == {"model": "gpt-4o", "messages": [HI]} | expected
        assert notes.dropped == []

    @pytest.mark.parametrize(
        ("model", "name"),
        [
            *(
                (model, "max_completion_tokens")
                for model in ("o1", "o3-mini", "openai/o4-mini", "gpt-5", "gpt-5.1-mini")
            ),
            *((model, "max_tokens") for model in ("gpt-4o", "gpt-35-turbo", "gpt-oss-120b", "qwen3", "olmo", "o")),
        ],
    )
    def test_how_many_tokens(self, model: str, name: str) -> None:
        assert for_service(model=model, max_tokens=5).body[name] == 5

    @pytest.mark.parametrize(
        ("model", "effort", "refused"),
        [
            ("gpt-4o", None, ""),
            ("gpt-5", None, "temperature top_p logprobs presence_penalty stop"),
            ("openai/o4-mini", None, "temperature top_p logprobs presence_penalty stop"),
            ("gpt-5.1-codex", "none", "temperature top_p logprobs presence_penalty stop"),
            ("gpt-5-chat-latest", None, ""),
            ("gpt-5.6", None, ""),
            ("gpt-5.6", "none", ""),
            ("gpt-5.6", "low", "temperature top_p logprobs"),
            ("gpt-oss-120b", "low", ""),
        ],
    )
    def test_what_models_that_reason_refuse(self, model: str, effort: Any, refused: str) -> None:
        asked: Json = {"temperature": 0.5, "top_p": 0.9, "logprobs": True, "presence_penalty": 0.5, "stop": ["x"]}
        body, _, notes = for_service(model=model, thinking=effort and Thinking(effort), **asked)
        assert notes.dropped == refused.split()
        assert asked.keys() & body.keys() == asked.keys() - {*refused.split()}

    def test_what_changes_nothing_is_not_named(self) -> None:
        body, _, notes = for_service(model="gpt-5", temperature=1, top_p=1, presence_penalty=0, logprobs=False)
        assert (body, notes.dropped) == ({"model": "gpt-5", "messages": [HI]}, [])

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (ToolChoice("none", ["f"]), "none"),
            (ToolChoice("auto"), "auto"),
            (ToolChoice("required"), "required"),
            (ToolChoice("required", ["f"]), tool("f")),
            (
                ToolChoice("required", ["f", "g"]),
                {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("f"), tool("g")]}},
            ),
            (
                ToolChoice("auto", ["f"]),
                {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("f")]}},
            ),
        ],
    )
    def test_choices(self, choice: ToolChoice, expected: object) -> None:
        written = for_service(functions=[Function("f"), Function("g")], tool_choice=choice)
        assert written.body["tool_choice"] == expected

    @pytest.mark.parametrize(
        ("model", "thinking", "effort", "dropped"),
        [
            ("gpt-5", Thinking("minimal"), "minimal", []),
            ("gpt-5", Thinking(budget=0), "none", []),
            ("gpt-5", Thinking(budget=1024), "low", []),
            ("gpt-5", Thinking(budget=8000), "medium", []),
            ("gpt-5", Thinking(budget=30000), "high", []),
            ("gpt-5", Thinking(budget=-1), None, []),
            ("gpt-5", Thinking("low", include=True), "low", []),
            # These would refuse it.
            ("gpt-4o", Thinking("high"), None, ["reasoning_effort"]),
            ("gpt-4.1", Thinking("none"), None, []),
            ("gpt-5.6", Thinking("xhigh"), "xhigh", []),
            ("openai/gpt-5.6", Thinking("max"), "max", []),
            ("openai/gpt-oss-120b-maas", Thinking("xhigh"), "high", []),
            ("deepseek-ai/deepseek-v3.2", Thinking("max"), "high", []),
        ],
    )
    def test_thinking(self, model: str, thinking: Thinking, effort: str | None, dropped: list[str]) -> None:
        body, _, notes = for_service(model=model, thinking=thinking)
        assert (body.get("reasoning_effort"), notes.dropped) == (effort, dropped)
        nearest = thinking.effort in ("xhigh", "max") and thinking.effort != effort
        assert notes.assumed == (["reasoning_effort=high"] if nearest else [])

    @pytest.mark.parametrize(
        ("members", "dropped"),
        [
            ({"top_k": 0}, ["top_k"]),
            ({"top_k": 5, "names": {"top_k": "generationConfig.topK"}}, ["generationConfig.topK"]),
            ({"modalities": ["text", "image"]}, ["modalities"]),
            ({"modalities": ["text", "audio"], "voice": "alloy"}, ["modalities", "voice"]),
            ({"server_tools": {"urlContext": "tools[1]"}}, ["tools[1]"]),
            (
                {"google": Google({"labels": {"a": "b"}, "x": {}}, {"imageConfig": {}}, elsewhere=["tools[0].a"])},
                ["labels", "generationConfig.imageConfig", "tools[0].a"],
            ),
        ],
    )
    def test_what_has_no_target_is_named(self, members: Json, dropped: list[str]) -> None:
        body, _, notes = for_service(**members)
        assert (body, notes.dropped) == ({"model": "gpt-4o", "messages": [HI]}, dropped)

    def test_what_is_to_be_remembered_is_named_once(self) -> None:
        body, _, notes = for_service(user(Text("a", cache=SHORT)), functions=[Function("f", cache=SHORT)])
        assert body == for_service(user(Text("a")), functions=[Function("f")]).body
        assert notes.dropped == ["cache_control"]

    def test_too_many_stops(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            write_request(Request("m", turns=[user(Text("Hi"))], stop=["a"] * 5, names={"stop": "s"}))
        assert caught.value.param == "s"


def kept(request: Request) -> Request:
    """What of a chat goes out to a service, in the words of such a chat."""
    for turn in request.turns:
        texts = [one for one in turn.parts if isinstance(one, Text)]
        if turn.role == "assistant" and texts:
            signed = [one.signature for one in texts if one.signature]
            whole = Text("".join(one.text for one in texts), signed[-1] if signed else None)
            turn.parts = [whole, *(one for one in turn.parts if not isinstance(one, Text))]
        for one in turn.parts:
            if not isinstance(one, Thought):
                one.cache = None
            for medium in one.media if isinstance(one, ToolResult) else [one]:
                if isinstance(medium, Media):
                    # Nearest is what there is.
                    medium.detail = {"medium": None, "ultra_high": "high"}.get(medium.detail or "", medium.detail)
                    medium.clip = None
    request.system = [replace(text, cache=None) for text in request.system]
    # The arguments of a function are an object without branches, whatever the client's schema says of them.
    request.functions = [
        replace(one, cache=None, parameters=one.parameters and as_object(one.parameters).schema)
        for one in request.functions
    ]
    request.thinking = None
    request.google = None
    request.names = {}
    request.top_k = None
    request.modalities = request.voice = request.audio_format = request.project = request.location = None
    request.top_logprobs = request.top_logprobs if request.logprobs else None
    request.include_usage = request.stream
    if not request.functions:
        request.tool_choice = request.parallel_tool_calls = None
    request.server_tools = {name: "web_search_options" for name in request.server_tools if name == "googleSearch"}
    request.notes = Notes()
    return request


def is_kept(turn: Turn) -> bool:
    """Pictures of the model go nowhere, those of results into the next message; calls without ids get them."""
    return not any(
        (isinstance(one, Media) and turn.role == "assistant")
        or (isinstance(one, ToolResult) and one.media)
        or (isinstance(one, ToolCall) and one.id is None)
        for one in turn.parts
    )


@settings(max_examples=100)
@given(chats)
def test_a_chat_comes_back_the_same(chat: Json) -> None:
    # Signatures are for Gemini only.
    request = read_request(chat | {"model": "google/gemini-3-pro-preview"})
    try:
        body = write_request(request).body
    except InvalidRequest:
        return
    again = read_request(json.loads(json.dumps(body)))
    if all(map(is_kept, request.turns)):
        assert kept(again) == kept(request)


CHATS: list[Json] = [
    {"model": "gpt-4o", "messages": [HI]},
    {"model": "g", "stream": True, "messages": [HI], "stream_options": {"include_usage": True}},
    {
        "model": "gpt-5.6",
        "messages": [
            message("system", "s"),
            message("user", [{"type": "text", "text": "a"}, part("image_url", url=PNG, detail="low")]),
            calls(call("call_a", "f", '{"a": 1}'), call("call_b", "g")),
            result("call_a", '{"b": 2}'),
            result("call_b", "text"),
            message("assistant", "c"),
            message("user", "d"),
        ],
        "tools": [tool("f", description="d", parameters={"type": "object"}), tool("g")],
        "tool_choice": tool("g"),
        "max_completion_tokens": 7,
        "reasoning_effort": "none",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        "temperature": 0,
        "stop": ["x"],
        "logprobs": True,
        "top_logprobs": 2,
    },
]


@pytest.mark.parametrize("chat", CHATS)
def test_a_recorded_chat_comes_back_the_same(chat: Json) -> None:
    assert write_request(read_request(chat)).body == chat


def test_a_file_of_googles() -> None:
    """Of a gs:// URL nobody else can make anything."""
    with pytest.raises(InvalidRequest) as caught:
        write_request(google_request("gpt-4o", REQUESTS["every kind of part"], stream=True))
    assert ("gs://" in caught.value.message, caught.value.param) == (True, "contents")


def test_parts_that_only_google_knows() -> None:
    body = json.loads(json.dumps(REQUESTS["every kind of part"]))
    body["contents"][0]["parts"][0] = {"text": "a"}
    body["contents"][2]["parts"].append({"toolResponse": {}})
    written, _, notes = write_request(google_request("gpt-4o", body, stream=True))
    assert written["messages"] == [
        message(
            "user",
            [
                {"type": "text", "text": "a"},
                part("image_url", url="data:image/png;base64,YWJj"),
                {"type": "text", "text": "Draw it."},
            ],
        ),
        message("assistant", "\n```python\n1 + 1\n```\n\n```\n2\n```\n"),
        message("user", "And now?"),
    ]
    assert notes.dropped == [
        "inlineData",
        "generationConfig.thinkingConfig",
        "generationConfig.mediaResolution",
        "generationConfig.speechConfig",
        "contents[0].parts[1].inlineData.displayName",
        "contents[2].parts[1]",
    ]


def test_a_function_gets_an_object_without_branches_as_its_root() -> None:
    """OpenAI refuses others, and says "schema must have type 'object'"."""
    either: Json = {"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]}
    functions = [Function("crm.find", parameters=either), Function("list", parameters={"properties": {}})]
    body, _, notes = for_service(functions=functions)
    tools: Any = body["tools"]
    assert [made["function"]["parameters"] for made in tools] == [
        {"type": "object", "properties": {"a": {}, "b": {}}},
        {"type": "object", "properties": {}},
    ]
    assert notes == Notes([], ["tools.crm.find.parameters.anyOf=merged"])


def test_settings_of_functions_and_thoughts_that_only_google_knows() -> None:
    body: Json = {
        "contents": [{"parts": [{"text": "hi", "partMetadata": {"k": 1}}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "any", "streamFunctionCallArguments": True}},
        "generationConfig": {"responseModalities": ["text"], "thinkingConfig": {"thinkingLevel": "low", "pace": 1}},
    }
    written, _, notes = write_request(google_request("gpt-5", body, stream=True))
    assert (written["tool_choice"], written["reasoning_effort"]) == ("required", "low")
    assert notes.dropped == [
        "toolConfig.functionCallingConfig.streamFunctionCallArguments",
        "generationConfig.thinkingConfig.pace",
        "contents[0].parts[0].partMetadata",
    ]


@pytest.mark.parametrize("name", sorted(REQUESTS.keys() - {"every kind of part"}))
def test_what_google_clients_ask(name: str) -> None:
    body = camel(REQUESTS[name])
    written, _, notes = write_request(google_request("gpt-4o", body, stream=True))
    read_request(json.loads(json.dumps(written)))
    assert not json.dumps(written).count("thought")
    for path in ("safetySettings", "labels", "cachedContent"):
        assert (path in notes.dropped) == (path in body)
    for path in ("topK", "imageConfig"):
        assert (f"generationConfig.{path}" in notes.dropped) == (path in body.get("generationConfig", {}))


def test_what_a_google_client_asks_in_full() -> None:
    written, _, notes = write_request(google_request("gpt-5", REQUESTS["full"], stream=False))
    assert written == {
        "model": "gpt-5",
        "messages": [
            message("system", "sys"),
            message(
                "user",
                [{"type": "text", "text": "a"}, part("image_url", url="data:image/png;base64,YWJj")],
            ),
        ],
        "max_completion_tokens": 10,
        "n": 1,
        "seed": 1,
        "web_search_options": {},
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": {"properties": {"a": {"type": "string"}}, "type": "object"},
            },
        },
        "reasoning_effort": "low",
    }
    assert notes.dropped == [
        "generationConfig.temperature",
        "generationConfig.topP",
        "generationConfig.responseLogprobs",
        "generationConfig.logprobs",
        "generationConfig.stopSequences",
        "generationConfig.topK",
        "generationConfig.thinkingConfig.includeThoughts",
        "safetySettings",
        "labels",
        "cachedContent",
    ]


@given(bodies())
def test_any_body_of_a_google_client(body: Json) -> None:
    """What is not refused is a chat."""
    try:
        written = write_request(google_request("gpt-5", body, stream=True)).body
    except InvalidRequest:
        return
    again = json.loads(json.dumps(written, allow_nan=False))
    assert read_request(again).stream
