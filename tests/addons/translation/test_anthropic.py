import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pydantic_core import from_json
from pydantic_core import to_json

from addons.translation.anthropic import STOP_REASONS
from addons.translation.anthropic import AnswerReader
from addons.translation.anthropic import reader_for
from addons.translation.anthropic import write_request
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Usage
from addons.translation.gemini import write_request as write_gemini
from addons.translation.openai_chat.read_request import read_request
from addons.translation.openai_chat.write_answer import StreamWriter
from addons.translation.openai_chat.write_answer import write_answer
from addons.translation.openai_responses.read_request import read_request as read_response
from addons.translation.openai_responses.schema import LOGPROBS
from addons.translation.openai_responses.write_answer import write_answer as write_response
from tests.addons.translation.chats import chats
from tests.addons.translation.chats import half_valid
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING

Json = dict[str, Any]

OLD = "claude-3-5-sonnet-v2@20241022"
MANUAL = "claude-sonnet-4-5@20250929"
ADAPTIVE = "claude-opus-4-6"
STRICT = "claude-opus-4-7"
UNASKED = "claude-opus-5"
ALWAYS = "claude-opus-5-5"
NUMBER = "4611686018427387904"
MOST = {
    "claude-3-haiku@20240307": 4096,
    OLD: 8192,
    "claude-3-7-sonnet@20250219": 64000,
    "claude-opus-4-1@20250805": 32000,
    MANUAL: 64000,
    "claude-opus-4-5@20251101": 64000,
    ADAPTIVE: 128000,
    "claude-sonnet-4-6": 64000,
    STRICT: 128000,
    UNASKED: 128000,
    "claude-haiku-5-5": 128000,
    "claude-sonnet-5-5": 128000,
    ALWAYS: 128000,
    "claude-fable-5": 128000,
    NUMBER: 4096,
}
"""Models -> tokens of their longest answers (Anthropic's overview of models)."""
MANUAL_ONLY = frozenset({"claude-3-7-sonnet@20250219", "claude-opus-4-1@20250805", MANUAL, "claude-opus-4-5@20251101"})
NO_THINKING = frozenset({"claude-3-haiku@20240307", OLD, NUMBER})
SAMPLING = frozenset({*MANUAL_ONLY, *NO_THINKING, ADAPTIVE, "claude-sonnet-4-6"}) - {NUMBER}
PREFILL = frozenset({*MANUAL_ONLY, *NO_THINKING}) - {NUMBER}
STOPS = {UNASKED: "disabled", "claude-haiku-5-5": "disabled", "claude-sonnet-5-5": "between_tools"}
ALWAYS_ON = frozenset({ALWAYS, "claude-fable-5"})
NEVER_FORCED = frozenset({ALWAYS, "claude-fable-5", "claude-haiku-5-5", "claude-sonnet-5-5", NUMBER})
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
MEMBERS = frozenset(
    "anthropic_version messages max_tokens system thinking output_config temperature top_p top_k stop_sequences tools"
    " tool_choice metadata stream".split()
)


def check(body: Json, model: str) -> None:
    """Raises what is wrong with a body for Claude."""
    sent = from_json(to_json(body), allow_inf_nan=False)
    assert sent.keys() <= MEMBERS
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert 1 <= sent["max_tokens"] <= MOST[model]
    for text in sent.get("system", ["x"]):
        assert text == "x" or text["text"].strip()
    _check_messages(sent, model)
    _check_tools(sent, model)
    _check_thinking(sent, model)
    assert all(text.strip() for text in sent.get("stop_sequences", []))
    assert len(sent.get("metadata", {}).get("user_id", "")) <= 256
    caches = [block["cache_control"] for block in blocks_of(sent) if "cache_control" in block]
    assert len(caches) == json.dumps(sent).count('"cache_control": {"') <= 4
    assert all(one["type"] == "ephemeral" and one.keys() <= {"type", "ttl"} for one in caches)
    ttls = [one.get("ttl", "5m") for one in caches]
    assert ttls == sorted(ttls), "an hour behind five minutes"


def blocks_of(body: Json) -> list[Json]:
    """All that may be remembered, in the order in which Claude reads it."""
    said = [block for message in body["messages"] for block in message["content"]]
    return [*body.get("tools", []), *body.get("system", []), *said]


def _check_messages(sent: Json, model: str) -> None:
    owed: list[str] = []
    seen: set[str] = set()
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2), "roles do not alternate"
    for message in sent["messages"]:
        content = message["content"]
        assert content, "a message of nothing"
        kinds = [block["type"] for block in content]
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        assert results == owed, "calls and their results differ"
        assert kinds[: len(results)] == ["tool_result"] * len(results), "results do not come first"
        owed = [block["id"] for block in content if block["type"] == "tool_use"]
        assert len(set(owed)) == len(owed), "an id twice in a turn"
        assert not seen & set(owed), "an id twice"
        seen.update(owed)
        assert all(NAME.fullmatch(id) for id in owed), "an id that does not fit"
        allowed = {"text", "tool_use", "thinking", "redacted_thinking"}
        assert set(kinds) <= (
            allowed if message["role"] == "assistant" else {"text", "image", "document", "tool_result"}
        )
        for block in content:
            _check_block(block)
    assert not owed, "a call without its result"
    if roles[-1] == "assistant":
        last = sent["messages"][-1]["content"][-1]
        assert model in PREFILL
        assert last["text"] == last["text"].rstrip()
        assert "thinking" not in sent


def _check_block(block: Json) -> None:
    match block["type"]:
        case "text":
            assert block["text"].strip(), "an empty text"
        case "image" | "document":
            source = block["source"]
            assert source["type"] in ("base64", "url", "text")
            assert source["type"] != "url" or source["url"].startswith("https://")
        case "tool_use":
            assert NAME.fullmatch(block["name"])
            assert isinstance(block["input"], dict)
        case "tool_result" if isinstance(block.get("content"), list):
            for inner in block["content"]:
                assert inner["type"] in ("text", "image", "document")
                _check_block(inner)
        case "thinking":
            assert block["signature"]


def _check_tools(sent: Json, model: str) -> None:
    tools = sent.get("tools", [])
    names = [tool["name"] for tool in tools]
    assert len(set(names)) == len(names)
    for tool in tools:
        assert NAME.fullmatch(tool["name"])
        if "type" not in tool:
            schema = tool["input_schema"]
            assert schema["type"] == "object"
            assert not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys()
    choice = sent.get("tool_choice", {"type": "auto"})
    assert "tool_choice" not in sent or tools
    assert choice["type"] in ("auto", "any", "tool", "none")
    assert (choice["type"] == "tool") == ("name" in choice)
    assert choice.get("name") in (None, *names)
    assert choice["type"] != "none" or choice.keys() == {"type"}
    forced = choice["type"] in ("any", "tool")
    assert not (forced and model in NEVER_FORCED)
    assert not (forced and _thinks(sent, model)), "a forced call of a model that thinks"
    called = any(block["type"] == "tool_use" for message in sent["messages"] for block in message["content"])
    assert tools or not called


def _thinks(sent: Json, model: str) -> bool:
    kind = sent.get("thinking", {}).get("type")
    return kind in ("enabled", "adaptive", "between_tools") or (kind is None and model in STOPS.keys() | ALWAYS_ON)


def _check_thinking(sent: Json, model: str) -> None:
    thinking = sent.get("thinking", {})
    kind = thinking.get("type")
    assert kind is None or model not in NO_THINKING
    if kind == "enabled":
        assert model in MANUAL_ONLY
        assert 1024 <= thinking["budget_tokens"] < sent["max_tokens"]
        begun = None
        for message in reversed(sent["messages"]):
            if message["role"] == "assistant":
                begun = message["content"][0]["type"]
            elif message["content"][0]["type"] != "tool_result":
                break
        assert begun in (None, "thinking", "redacted_thinking")
    elif kind == "adaptive":
        assert model not in MANUAL_ONLY
        assert thinking["display"] in ("summarized", "omitted")
    elif kind:
        assert kind == STOPS[model]
    assert "output_config" not in sent or model not in MANUAL_ONLY | NO_THINKING
    assert sent.get("output_config", {}).get("effort", "low") in ("low", "medium", "high")
    if model not in SAMPLING:
        assert not {"temperature", "top_p", "top_k"} & sent.keys()
    if _thinks(sent, model):
        assert not {"temperature", "top_k"} & sent.keys()
        assert sent.get("top_p", 1) >= 0.95
    assert 0 <= sent.get("temperature", 1) <= 1
    assert not {"temperature", "top_p"} <= sent.keys()


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


def asked(*turns: Turn, model: str = MANUAL, **members: Any) -> Request:
    return Request(model, turns=[*turns] or [user(Text("Hi"))], **members)


def written(*turns: Turn, model: str = MANUAL, **members: Any) -> Json:
    body = write_request(asked(*turns, model=model, **members)).body
    check(body, model)
    return body


def dropped(*turns: Turn, model: str = MANUAL, **members: Any) -> list[str]:
    body, headers, notes = write_request(asked(*turns, model=model, **members))
    check(body, model)
    assert headers == {}
    return notes.dropped


def refused(*turns: Turn, **members: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        written(*turns, **members)
    assert (caught.value.status, bool(caught.value.param)) == (400, True)
    return caught.value


def text(text: str) -> Json:
    return {"type": "text", "text": text}


def test_a_body() -> None:
    turns = [user(Text("a"), Text("b")), assistant(Text("c")), user(Text("d"))]
    assert written(*turns, system=[Text("s"), Text("t")], max_tokens=9, stream=True) == {
        "anthropic_version": "vertex-2023-10-16",
        "system": [text("s"), text("t")],
        "messages": [
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("c")]},
            {"role": "user", "content": [text("d")]},
        ],
        "max_tokens": 9,
        "stream": True,
    }


def turns_of(body: Json) -> list[tuple[str, list[Any]]]:
    """Roles, and the texts of their blocks, or their types."""
    return [
        (message["role"][0], [block.get("text", block["type"]) for block in message["content"]])
        for message in body["messages"]
    ]


class TestMessages:
    @pytest.mark.parametrize(
        ("turns", "expected"),
        [
            # What is empty, or white space, is never sent; turns still alternate.
            ([user(Text("a"), Text(" \n"))], [("u", ["a"])]),
            ([user(Text("a")), assistant(Text(" ")), user(Text("b"))], [("u", ["a", "b"])]),
            ([user(Text("a")), assistant(Thought("hm")), user(Text("b"))], [("u", ["a", "b"])]),
            # Words put into its mouth, without white space behind them.
            ([user(Text("a")), assistant(Text(" b \n"))], [("u", ["a"]), ("a", [" b"])]),
            ([user(Text("a")), assistant(Text("b"), Text("\n"))], [("u", ["a"]), ("a", ["b"])]),
            ([user(Text("a")), assistant(Text("\n"))], [("u", ["a"])]),
            ([user(Text("a")), assistant(Thought("h", Signature("anthropic", "s")))], [("u", ["a"])]),
        ],
    )
    def test_turns(self, turns: list[Turn], expected: list[tuple[str, list[str]]]) -> None:
        assert turns_of(written(*turns)) == expected

    def test_the_user_begins(self) -> None:
        body, _, notes = write_request(asked(assistant(Text("a")), user(Text("b"))))
        assert turns_of(body) == [("u", ["Continue."]), ("a", ["a"]), ("u", ["b"])]
        assert "messages[0]=Continue." in notes.assumed

    def test_instructions_alone_are_what_the_user_says(self) -> None:
        body = write_request(Request(MANUAL, system=[Text("s")])).body
        assert (turns_of(body), "system" in body) == ([("u", ["s"])], False)

    @pytest.mark.parametrize("turns", [[user(Text(" "))], [assistant(Text(" "))], [user()]])
    def test_nothing(self, turns: list[Turn]) -> None:
        assert refused(*turns).param == "messages"

    @pytest.mark.parametrize("model", [ADAPTIVE, STRICT, UNASKED, ALWAYS, NUMBER])
    def test_newer_models_begin_themselves(self, model: str) -> None:
        assert refused(user(Text("a")), assistant(Text("b")), model=model).param == "messages"

    def test_thoughts_go_back_to_where_they_were(self) -> None:
        parts: list[Part] = [
            Thought("h", Signature("anthropic", "s")),
            Thought("of another", Signature("google", "AAAA")),
            Thought("unsigned"),
            Thought("", Signature("anthropic", "redacted_thinking:d")),
            Text("a", Signature("google", "AAAA")),
            Thought("i", Signature("anthropic", "t")),
            ToolCall("1", "f", {}, Signature("google", "AAAA")),
        ]
        turns = [user(Text("x")), assistant(*parts), user(ToolResult("1", "f", "r"))]
        assert written(*turns)["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "h", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            text("a"),
            {"type": "thinking", "thinking": "i", "signature": "t"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        ]
        # Who never thought cannot read them.
        assert turns_of(written(*turns, model=OLD))[1] == ("a", ["a", "tool_use"])


PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


class TestMedia:
    @pytest.mark.parametrize(
        ("media", "expected"),
        [
            (Media("image/png", data="AAAA"), {"type": "image", "source": PNG}),
            (
                Media("image/webp", uri="https://h/a"),
                {"type": "image", "source": {"type": "url", "url": "https://h/a"}},
            ),
            (
                Media("application/pdf", data="AAAA"),
                {"type": "document", "source": {**PNG, "media_type": "application/pdf"}},
            ),
            (
                Media("application/pdf", uri="https://h/a"),
                {"type": "document", "source": {"type": "url", "url": "https://h/a"}},
            ),
            (
                Media("text/csv", data=base64.b64encode("é,1".encode()).decode()),
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é,1"}},
            ),
            (
                Media("application/json", data=base64.b64encode(b"{}\xff").decode()),
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}\ufffd"}},
            ),
        ],
    )
    def test_media(self, media: Media, expected: Json) -> None:
        assert written(user(media))["messages"][0]["content"] == [expected]
        result = user(ToolResult("1", "f", "t", [media]))
        content = written(user(Text("x")), assistant(ToolCall("1", "f", {})), result)["messages"][2]["content"]
        assert content == [{"type": "tool_result", "tool_use_id": "1", "content": [text("t"), expected]}]

    @pytest.mark.parametrize(
        ("media", "word"),
        [
            (Media("image/png", uri="gs://b/o.png"), "Cloud Storage"),
            (Media("application/pdf", uri="gs://b/o"), "Cloud Storage"),
            (Media("image/png", uri="http://h/a"), "https://"),
            (Media("image/heic", data="AAAA"), "jpeg, png, gif"),
            (Media("audio/wav", data="AAAA"), "audio/wav"),
            (Media("video/mp4", uri="https://h/a"), "from a URL"),
            (Media("text/plain", uri="https://h/a.txt"), "text inline"),
            (Media("text/plain", data="IA=="), "no text"),
            (Media("text/plain", data="A"), "base64"),
        ],
    )
    def test_what_claude_does_not_read(self, media: Media, word: str) -> None:
        error = refused(user(Text("x"), media))
        assert (error.param, word in error.message) == ("messages", True)

    def test_media_of_the_assistant(self) -> None:
        assert refused(user(Text("x")), assistant(Media("image/png", data="AAAA"))).param == "messages"

    def test_how_closely_to_look(self) -> None:
        assert dropped(user(Media("image/png", data="AAAA", detail="high"))) == ["detail"]


def called(id: str, name: str = "f", **arguments: object) -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


class TestToolCalls:
    def test_in_parallel(self) -> None:
        body = written(
            user(Text("x")),
            assistant(Text("Let me see."), ToolCall("1", "f", {"a": 0}), ToolCall("2", "g", {})),
            user(Text("And?"), ToolResult("1", "f", {"b": "é"}), ToolResult("2", "g", " ")),
        )
        assert body["messages"][1:] == [
            {"role": "assistant", "content": [text("Let me see."), called("1", a=0), called("2", "g")]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": '{"b": "é"}'},
                    {"type": "tool_result", "tool_use_id": "2"},
                    text("And?"),
                ],
            },
        ]

    @pytest.mark.parametrize(
        ("id", "expected"),
        [
            ("toolu_01-A", "toolu_01-A"),
            ("call.1:é", r"call_1___[0-9a-f]{8}"),
            ("call.1:è", r"call_1___[0-9a-f]{8}"),
            ("", "f"),
            (None, "f"),
        ],
    )
    def test_ids(self, id: str | None, expected: str) -> None:
        turns = [user(Text("x")), assistant(ToolCall(id, "f", {})), user(ToolResult(id, "f", "r"))]
        first, again = written(*turns), written(*turns)
        assert first == again
        assert re.fullmatch(expected, first["messages"][1]["content"][0]["id"])

    def test_foreign_ids_stay_different(self) -> None:
        calls = [ToolCall(id, "f", {}) for id in ("a.b", "a:b", "a_b")]
        results = [ToolResult(id, "f", id) for id in ("a:b", "a_b", "a.b")]
        # In the order of the calls, as a reader leaves them.
        results.sort(key=lambda result: [call.id for call in calls].index(result.id))
        body = written(user(Text("x")), assistant(*calls), user(*results))
        assert [block["content"] for block in body["messages"][2]["content"]] == ["a.b", "a:b", "a_b"]

    def test_an_id_of_two_turns(self) -> None:
        turn = [assistant(ToolCall("1", "f", {})), user(ToolResult("1", "f", "r"))]
        messages = written(user(Text("x")), *turn, *turn)["messages"]
        assert [messages[place]["content"][0]["id"] for place in (1, 3)] == ["1", "1_2"]

    def test_calls_without_ids_go_by_name_and_place(self) -> None:
        calls = assistant(ToolCall(None, "f", {}), ToolCall(None, "f", {}))
        results = user(ToolResult(None, "f", "a"), ToolResult(None, "f", "b"))
        content = written(user(Text("x")), calls, results)["messages"][2]["content"]
        assert [(block["tool_use_id"], block["content"]) for block in content] == [("f", "a"), ("f_2", "b")]

    @pytest.mark.parametrize(
        "turns",
        [
            [assistant(ToolCall("1", "f", {}))],
            [assistant(ToolCall("1", "f", {})), user(Text("x"))],
            [assistant(ToolCall("1", "f", {})), user(Text("x")), user(ToolResult("1", "f", ""))],
            [assistant(ToolCall("1", "f", {})), assistant(Text("x"))],
            [user(ToolResult("1", "f", ""))],
            [assistant(ToolCall("1", "f", {})), user(ToolResult("2", "f", ""))],
            [assistant(ToolCall("1", "f", {})), user(ToolResult("1", "f", ""), ToolResult("1", "f", ""))],
            [assistant(ToolCall("1", "f.g", {})), user(ToolResult("1", "f.g", ""))],
        ],
    )
    def test_calls_that_do_not_hold(self, turns: list[Turn]) -> None:
        assert refused(user(Text("x")), *turns).param == "messages"


F, G = Function("f"), Function("g", "d", {"type": "object", "properties": {"a": {"type": "string"}}})
FUNCTIONS = [F, G]
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


class TestTools:
    def test_functions(self) -> None:
        assert written(functions=FUNCTIONS)["tools"] == [
            {"name": "f", "input_schema": {"type": "object"}},
            {"name": "g", "description": "d", "input_schema": G.parameters},
        ]

    def test_a_root_that_claude_does_not_take(self) -> None:
        function = Function("f", None, {"anyOf": [{"type": "object"}], "properties": {}})
        body, _, notes = write_request(asked(functions=[function]))
        assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
        assert notes.dropped == ["tools.f.parameters.anyOf"]

    def test_a_name_that_claude_does_not_take(self) -> None:
        assert refused(functions=[Function("f.g")]).param == "tools"

    @pytest.mark.parametrize(
        ("choice", "names", "expected"),
        [
            (None, ["f", "g"], None),
            (ToolChoice("none"), ["f", "g"], {"type": "none"}),
            (ToolChoice("auto"), ["f", "g"], {"type": "auto"}),
            (ToolChoice("required"), ["f", "g"], {"type": "any"}),
            (ToolChoice("required", ["f"]), ["f"], {"type": "tool", "name": "f"}),
            (ToolChoice("required", ["f", "g"]), ["f", "g"], {"type": "any"}),
            # Of what is not allowed it does not hear.
            (ToolChoice("auto", ["g"]), ["g"], {"type": "auto"}),
            (ToolChoice("none", ["g"]), ["f", "g"], {"type": "none"}),
        ],
    )
    def test_choices(self, choice: ToolChoice | None, names: list[str], expected: Json | None) -> None:
        body = written(functions=FUNCTIONS, tool_choice=choice)
        assert ([tool["name"] for tool in body["tools"]], body.get("tool_choice")) == (names, expected)
        assert "tool_choice" not in written(tool_choice=choice)
        alone = written(functions=FUNCTIONS, tool_choice=choice, parallel_tool_calls=False)["tool_choice"]
        if expected != {"type": "none"}:
            expected = {**(expected or {"type": "auto"}), "disable_parallel_tool_use": True}
        assert alone == expected
        assert written(functions=FUNCTIONS, tool_choice=choice, parallel_tool_calls=True) == body

    @pytest.mark.parametrize(
        ("model", "thinking", "forced"),
        [
            (MANUAL, None, True),
            (MANUAL, Thinking("low"), False),
            (ADAPTIVE, None, True),
            (ADAPTIVE, Thinking("low"), False),
            (UNASKED, None, True),
            (UNASKED, Thinking("low"), False),
            (ALWAYS, None, False),
            (NUMBER, None, False),
        ],
    )
    def test_who_thinks_is_not_forced(self, model: str, thinking: Thinking | None, forced: bool) -> None:
        members: Json = {"model": model, "functions": FUNCTIONS, "thinking": thinking}
        members["tool_choice"] = ToolChoice("required", ["f"])
        assert written(**members)["tool_choice"]["type"] == ("tool" if forced else "auto")
        assert dropped(**members) == ([] if forced else ["tool_choice"])

    def test_who_thinks_unasked_stops_for_a_forced_call(self) -> None:
        members: Json = {"model": UNASKED, "functions": FUNCTIONS}
        assert written(**members, tool_choice=ToolChoice("required"))["thinking"] == {"type": "disabled"}
        assert "thinking" not in written(**members, tool_choice=ToolChoice("auto"))

    @pytest.mark.parametrize(
        ("functions", "tools", "missed"),
        [
            ([], [SEARCH], ["tools[1]"]),
            ([F], [{"name": "f", "input_schema": {"type": "object"}}, SEARCH], ["tools[1]"]),
            (
                [Function("web_search")],
                [{"name": "web_search", "input_schema": {"type": "object"}}],
                ["tools[0]", "tools[1]"],
            ),
        ],
    )
    def test_tools_of_the_server(self, functions: list[Function], tools: list[Json], missed: list[str]) -> None:
        names = {"googleSearch": "tools[0]", "codeExecution": "tools[1]"}
        assert written(functions=functions, server_tools=names)["tools"] == tools
        assert dropped(functions=functions, server_tools=names) == missed

    def test_tools_of_the_past(self) -> None:
        """ "Requests which include tool_use or tool_result blocks must define tools" """
        turns = [user(Text("x")), assistant(ToolCall("1", "f", {})), user(ToolResult("1", "f", "r"))]
        body = written(*turns)
        assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
        assert body["tool_choice"] == {"type": "none"}


OBJECT: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
LIST: Json = {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "string"}}}


class TestFormats:
    @pytest.mark.parametrize(
        ("choice", "names", "expected"),
        [
            (None, [], {"type": "tool", "name": "answer", "disable_parallel_tool_use": True}),
            (None, ["f", "answer"], {"type": "any"}),
            (ToolChoice("auto", ["f"]), ["f", "g"], {"type": "any"}),
            (ToolChoice("none"), ["f"], {"type": "tool", "name": "answer", "disable_parallel_tool_use": True}),
        ],
    )
    def test_a_schema_is_a_tool(self, choice: ToolChoice | None, names: list[str], expected: Json) -> None:
        functions = [Function(name) for name in names]
        body = written(functions=functions, tool_choice=choice, format=Format(OBJECT))
        tool = body["tools"][-1]
        assert tool["name"] == ("answer_" if "answer" in names else "answer")
        assert (tool["input_schema"], body["tool_choice"]) == (OBJECT, expected)
        assert "system" not in body

    def test_a_schema_of_no_object(self) -> None:
        schema = written(format=Format(LIST))["tools"][0]["input_schema"]
        inner = {**LIST, "items": {"$ref": "#/properties/value/$defs/a"}}
        assert schema == {"type": "object", "properties": {"value": inner}, "required": ["value"]}

    @pytest.mark.parametrize(
        ("members", "thinking"),
        [
            ({"thinking": Thinking("low")}, "enabled"),
            ({"thinking": Thinking("low"), "model": UNASKED}, "adaptive"),
            ({"model": ALWAYS}, None),
            ({"functions": FUNCTIONS, "tool_choice": ToolChoice("required")}, None),
        ],
    )
    def test_where_no_tool_can_be_forced_it_is_an_instruction(self, members: Json, thinking: str | None) -> None:
        body = written(system=[Text("s")], format=Format(OBJECT), **members)
        assert [tool["name"] for tool in body.get("tools", [])] == [one.name for one in members.get("functions", [])]
        assert body["system"][0] == text("s")
        assert json.dumps(OBJECT) in body["system"][1]["text"]
        assert body.get("thinking", {}).get("type") == thinking

    def test_json_without_a_schema(self) -> None:
        body = written(format=Format())
        assert "JSON object" in body["system"][0]["text"]
        assert "tools" not in body


class TestThinking:
    @pytest.mark.parametrize(
        ("model", "thinking", "expected"),
        [
            (MANUAL, None, {}),
            (MANUAL, Thinking("none"), {}),
            (MANUAL, Thinking(budget=0, include=True), {}),
            (MANUAL, Thinking(include=False), {}),
            (MANUAL, Thinking("minimal"), {"type": "enabled", "budget_tokens": 1024}),
            (MANUAL, Thinking("low"), {"type": "enabled", "budget_tokens": 1024}),
            (MANUAL, Thinking("medium"), {"type": "enabled", "budget_tokens": 8192}),
            (MANUAL, Thinking("high"), {"type": "enabled", "budget_tokens": 16384}),
            (MANUAL, Thinking(budget=5), {"type": "enabled", "budget_tokens": 1024}),
            (MANUAL, Thinking(budget=9000), {"type": "enabled", "budget_tokens": 9000}),
            (MANUAL, Thinking(budget=-1), {"type": "enabled", "budget_tokens": 8192}),
            (MANUAL, Thinking(include=True), {"type": "enabled", "budget_tokens": 8192}),
            ("claude-opus-4-1@20250805", Thinking(budget=99999), {"type": "enabled", "budget_tokens": 30976}),
            (ADAPTIVE, Thinking("high"), {"type": "adaptive", "display": "summarized"}),
            (STRICT, Thinking("low", include=False), {"type": "adaptive", "display": "omitted"}),
            (STRICT, Thinking("none"), {}),
            (UNASKED, None, {}),
            (UNASKED, Thinking("none"), {"type": "disabled"}),
            ("claude-sonnet-5-5", Thinking("none"), {"type": "between_tools"}),
            ("claude-haiku-5-5", Thinking(budget=0), {"type": "disabled"}),
            (ALWAYS, Thinking("none"), {}),
            (ALWAYS, Thinking(include=True), {"type": "adaptive", "display": "summarized"}),
        ],
    )
    def test_thinking(self, model: str, thinking: Thinking | None, expected: Json) -> None:
        assert written(model=model, thinking=thinking).get("thinking", {}) == expected

    @pytest.mark.parametrize(
        ("model", "thinking", "effort"),
        [
            (ADAPTIVE, Thinking("minimal"), "low"),
            (ADAPTIVE, Thinking("high"), "high"),
            (STRICT, Thinking(budget=1024), "low"),
            (STRICT, Thinking(budget=1025), "medium"),
            (STRICT, Thinking(budget=8193), "high"),
            (STRICT, Thinking(budget=-1), None),
            (STRICT, Thinking(include=True), None),
            # It always thinks: as little as it can.
            (ALWAYS, Thinking("none"), "low"),
            (UNASKED, Thinking("none"), None),
            (MANUAL, Thinking("high"), None),
        ],
    )
    def test_efforts(self, model: str, thinking: Thinking, effort: str | None) -> None:
        assert written(model=model, thinking=thinking).get("output_config", {}).get("effort") == effort

    @pytest.mark.parametrize(
        ("model", "name"),
        [(OLD, "reasoning"), (NUMBER, "reasoning"), (MANUAL, None), (ADAPTIVE, None)],
    )
    def test_models_that_do_not_think(self, model: str, name: str | None) -> None:
        assert dropped(model=model, thinking=Thinking("high", param="reasoning")) == ([name] if name else [])
        assert dropped(model=model, thinking=Thinking("none", param="reasoning")) == []

    def test_manual_thinking_cannot_be_hidden(self) -> None:
        members: Json = {"thinking": Thinking("low", include=False), "names": {"include": "reasoning.exclude"}}
        assert dropped(**members) == ["reasoning.exclude"]
        assert dropped(model=ADAPTIVE, **members) == []

    @pytest.mark.parametrize(
        ("turns", "thinks"),
        [
            ([assistant(Text("a")), user(Text("b"))], True),
            # Words in its mouth are no thoughts of its own.
            ([assistant(Text("a"))], False),
            ([assistant(Thought("h", Signature("anthropic", "s")), Text("a"))], False),
            # A turn that goes on behind a call must have begun with a thought.
            ([assistant(ToolCall("1", "f", {})), user(ToolResult("1", "f", "r"))], False),
            (
                [
                    assistant(Thought("h", Signature("anthropic", "s")), ToolCall("1", "f", {})),
                    user(ToolResult("1", "f", "r")),
                    assistant(ToolCall("2", "f", {})),
                    user(ToolResult("2", "f", "r")),
                ],
                True,
            ),
            (
                [
                    assistant(Thought("", Signature("anthropic", "redacted_thinking:d")), ToolCall("1", "f", {})),
                    user(ToolResult("1", "f", "r")),
                ],
                True,
            ),
            (
                [
                    assistant(ToolCall("1", "f", {})),
                    user(ToolResult("1", "f", "r")),
                    assistant(Text("a")),
                    user(Text("b")),
                ],
                True,
            ),
        ],
    )
    def test_when_manual_thinking_is_taken(self, turns: list[Turn], thinks: bool) -> None:
        members: Json = {"functions": FUNCTIONS, "thinking": Thinking("low")}
        assert ("thinking" in written(user(Text("x")), *turns, **members)) == thinks
        assert dropped(user(Text("x")), *turns, **members) == ([] if thinks else ["reasoning_effort"])

    @pytest.mark.parametrize(
        ("model", "members", "most", "assumed"),
        [
            (MANUAL, {}, 8192, ["max_tokens=8192"]),
            ("claude-3-haiku@20240307", {}, 4096, ["max_tokens=4096"]),
            (UNASKED, {}, 16384, ["max_tokens=16384"]),
            (MANUAL, {"max_tokens": 7}, 7, []),
            (MANUAL, {"max_tokens": 10**6}, 64000, ["max_tokens=64000"]),
            # There is room behind the thoughts.
            (MANUAL, {"max_tokens": 100, "thinking": Thinking("low")}, 1124, ["max_tokens=1124"]),
            (MANUAL, {"max_tokens": 1024, "thinking": Thinking("low")}, 2048, ["max_tokens=2048"]),
            (MANUAL, {"max_tokens": 1025, "thinking": Thinking("low")}, 1025, []),
            (MANUAL, {"thinking": Thinking("high")}, 24576, ["max_tokens=24576"]),
            (MANUAL, {"max_tokens": 9, "thinking": Thinking(budget=10**6)}, 62985, None),
            (
                MANUAL,
                {"max_tokens": 9000, "thinking": Thinking(include=True, param="thinking")},
                9000,
                ["thinking=8192"],
            ),
            (ADAPTIVE, {"max_tokens": 100, "thinking": Thinking("high")}, 100, []),
        ],
    )
    def test_max_tokens(self, model: str, members: Json, most: int, assumed: list[str] | None) -> None:
        body, _, notes = write_request(asked(model=model, **members))
        assert body["max_tokens"] == most
        assert assumed is None or notes.assumed == assumed


@pytest.mark.parametrize(
    ("members", "expected", "missed"),
    [
        ({"temperature": 0, "top_k": 5.0}, {"temperature": 0, "top_k": 5}, []),
        ({"temperature": 1.7}, {"temperature": 1}, []),
        ({"top_p": 0}, {"top_p": 0}, []),
        # "temperature and top_p cannot both be specified for this model"
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, ["top_p"]),
        ({"temperature": 0.5, "thinking": Thinking("low")}, {}, ["temperature"]),
        ({"top_p": 0.94, "top_k": 2, "thinking": Thinking("low")}, {}, ["top_p", "top_k"]),
        ({"temperature": 1, "top_p": 0.95, "thinking": Thinking("low")}, {"top_p": 0.95}, ["temperature"]),
        ({"temperature": 0, "top_p": 1, "top_k": 1, "model": STRICT}, {}, ["temperature", "top_p", "top_k"]),
        ({"temperature": 0, "model": ADAPTIVE}, {"temperature": 0}, []),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}, []),
        ({"stop": ["\n", "b"]}, {"stop_sequences": ["b"]}, ["stop"]),
        ({"stop": [""]}, {}, ["stop"]),
        ({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}, []),
        ({"user": "u" * 257}, {}, ["user"]),
    ],
)
def test_parameters(members: Json, expected: Json, missed: list[str]) -> None:
    body = written(**members)
    about = {"anthropic_version", "messages", "max_tokens", "thinking"}
    assert {name: value for name, value in body.items() if name not in about} == expected
    assert dropped(**members) == missed


def test_a_temperature_that_is_too_high_is_told() -> None:
    assert "temperature=1" in write_request(asked(temperature=1.5)).notes.assumed


SHORT: Json = {"type": "ephemeral"}
HOUR: Json = {"type": "ephemeral", "ttl": "1h"}


def cached(*turns: Turn, **members: Any) -> tuple[list[Any], list[str]]:
    """What each block says of it, in the order in which Claude reads them, and what was dropped."""
    blocks = blocks_of(written(*turns, **members))
    return [block.get("cache_control") for block in blocks], dropped(*turns, **members)


class TestCaches:
    def test_each_is_where_it_was(self) -> None:
        body = written(
            user(Text("a"), Text("b", cache=SHORT), Media("image/png", "AAAA")),
            assistant(Text("c"), ToolCall("1", "f", {})),
            user(ToolResult("1", "f", "r", cache=SHORT), Text("d")),
            system=[Text("s", cache=HOUR), Text("t")],
            functions=[Function("f", cache=HOUR), Function("g")],
        )
        marked = [block for block in blocks_of(body) if "cache_control" in block]
        assert marked == [
            {"name": "f", "input_schema": {"type": "object"}, "cache_control": HOUR},
            {**text("s"), "cache_control": HOUR},
            {**text("b"), "cache_control": SHORT},
            {"type": "tool_result", "tool_use_id": "1", "content": "r", "cache_control": SHORT},
        ]

    @pytest.mark.parametrize(
        ("part", "kind"),
        [
            (Text("a", cache=SHORT), "text"),
            (Media("image/png", "AAAA", cache=SHORT), "image"),
            (Media("application/pdf", "AAAA", cache=SHORT), "document"),
        ],
    )
    def test_of_the_user(self, part: Part, kind: str) -> None:
        [block] = written(user(part))["messages"][0]["content"]
        assert (block["type"], block["cache_control"]) == (kind, SHORT)

    def test_of_the_assistant(self) -> None:
        said = assistant(Text("a", cache=SHORT), ToolCall("1", "f", {}, cache=SHORT))
        turns = [user(Text("x")), said, user(ToolResult("1", "f", "", [Media("image/png", "AAAA")], cache=SHORT))]
        assert cached(*turns, functions=[Function("f")]) == ([None, None, SHORT, SHORT, SHORT], [])

    def test_instructions_alone(self) -> None:
        request = Request(MANUAL, system=[Text("s", cache=HOUR), Text("t")])
        body, _, notes = write_request(request)
        assert [block.get("cache_control") for block in blocks_of(body)] == [HOUR, None]
        assert notes.dropped == []

    def test_the_last_four_count(self) -> None:
        turns = [user(*(Text(word, cache=SHORT) for word in "abc"))]
        members: Json = {"system": [Text("s", cache=SHORT)], "functions": [Function("f", cache=SHORT)]}
        assert cached(*turns, **members) == ([None, SHORT, SHORT, SHORT, SHORT], ["cache_control"])
        assert cached(*turns, system=members["system"]) == ([SHORT] * 4, [])

    @pytest.mark.parametrize(
        ("turn", "members"),
        [
            (user(Text("a"), Text(" ", cache=SHORT)), {}),
            (
                user(Text("a")),
                {
                    "functions": [Function("f", cache=SHORT), Function("g")],
                    "tool_choice": ToolChoice("required", ["g"]),
                },
            ),
        ],
    )
    def test_of_what_is_not_sent(self, turn: Turn, members: Json) -> None:
        blocks, missed = cached(turn, **members)
        assert (set(blocks), missed) == ({None}, ["cache_control"])

    def test_an_hour_is_not_behind_five_minutes(self) -> None:
        """Anthropic refuses it; instructions come first wherever they stood."""
        turn = user(Text("a", cache=HOUR), Text("b", cache={**SHORT, "ttl": "5m"}), Text("c", cache=HOUR))
        assert cached(turn) == ([HOUR, {**SHORT, "ttl": "5m"}, SHORT], ["cache_control.ttl"])
        assert cached(turn, system=[Text("s", cache=SHORT)])[0] == [SHORT, SHORT, {**SHORT, "ttl": "5m"}, SHORT]
        # Of those that count.
        turn = user(Text("x", cache=SHORT), *(Text(word, cache=HOUR) for word in "abcd"))
        assert cached(turn) == ([None, HOUR, HOUR, HOUR, HOUR], ["cache_control"])

    def test_the_request_stays_as_it_is(self) -> None:
        request = asked(user(*(Text(word, cache=HOUR if word > "b" else SHORT) for word in "abcdef")))
        first, second = write_request(request), write_request(request)
        assert first == second
        assert request.caches() == [SHORT, SHORT, HOUR, HOUR, HOUR, HOUR]


@pytest.mark.parametrize(
    ("members", "missed"),
    [
        ({"presence_penalty": 1, "frequency_penalty": -1}, ["presence_penalty", "frequency_penalty"]),
        ({"seed": 0}, ["seed"]),
        ({"logprobs": True, "top_logprobs": 2}, ["logprobs", "top_logprobs"]),
        ({"modalities": ["text", "image"], "voice": "Kore"}, ["voice", "modalities"]),
        ({"service_tier": "flex"}, ["service_tier"]),
        (
            {"google": Google({"safetySettings": [{}], "labels": {}}, {"thinkingConfig": {}})},
            ["safetySettings", "generationConfig.thinkingConfig"],
        ),
        # What asks for nothing is not missed.
        ({"presence_penalty": 0, "logprobs": False, "modalities": ["text"], "service_tier": "auto", "n": 1}, []),
    ],
)
def test_what_has_no_target_is_named(members: Json, missed: list[str]) -> None:
    assert dropped(**members) == missed
    assert written(**members) == written()


CHAT = {"model": OLD, "messages": [{"role": "user", "content": "x"}]}
RESPONSE = {"model": OLD, "input": "x"}
PICTURE_TOOL = {"type": "image_generation"}


@pytest.mark.parametrize(
    ("request_", "missed"),
    [
        (read_request(CHAT | {"logprobs": True, "top_logprobs": 2}), ["logprobs", "top_logprobs"]),
        (read_request(CHAT | {"top_logprobs": 2}), ["top_logprobs"]),
        (read_request(CHAT | {"audio": {"voice": "Kore"}}), ["audio"]),
        (read_request(CHAT | {"labels": {"a": "b"}, "cachedContent": "c"}), ["cached_content", "labels"]),
        (read_request(CHAT | {"google": {"imageConfig": {"aspectRatio": "1:1"}}}), ["google.image_config"]),
        (
            read_request(CHAT | {"extra_body": {"google": {"cached_content": "c"}}}),
            ["extra_body.google.cached_content"],
        ),
        (read_response(RESPONSE | {"top_logprobs": 2}), ["top_logprobs"]),
        (read_response(RESPONSE | {"include": ["x", LOGPROBS]}), ["include[0]", "include[1]"]),
        (read_response(RESPONSE | {"tools": [{"type": "web_search"}, PICTURE_TOOL, PICTURE_TOOL]}), ["tools[1]"]),
    ],
)
def test_what_has_no_target_goes_by_the_clients_name(request_: Request, missed: list[str]) -> None:
    assert write_request(request_).notes.dropped == missed


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (read_request(CHAT | {"max_tokens": 9999}), "max_tokens"),
        (read_request(CHAT | {"max_completion_tokens": 9999}), "max_completion_tokens"),
        (read_response(RESPONSE | {"max_output_tokens": 9999}), "max_output_tokens"),
    ],
)
def test_a_limit_goes_by_the_clients_name(request_: Request, name: str) -> None:
    assert write_request(request_).notes.assumed == [f"{name}=8192"]


def test_what_is_wrong_with_a_conversation_is_where_the_client_has_it() -> None:
    called = {"type": "function_call", "call_id": "1", "name": "a b", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "1", "output": "x"}
    with pytest.raises(InvalidRequest) as error:
        write_request(read_response(RESPONSE | {"input": [called, output]}))
    assert error.value.param == "input"


def test_one_choice_only() -> None:
    assert refused(n=2).param == "n"


def test_a_request_is_told_of_once() -> None:
    request = asked(seed=1)
    request.notes.dropped.append("x")
    assert write_request(request).notes.dropped == write_request(request).notes.dropped == ["x", "seed"]


def why_not(chat: Json, model: str) -> str | None:
    """Why it is refused; else it is converted, and must hold."""
    try:
        request = read_request({**chat, "model": model, "n": None})
        body = write_request(request).body
    except InvalidRequest as e:
        return e.message
    check(body, model)
    return None


CANNOT = re.compile("Claude|this model|no text|nothing in the messages")


@settings(max_examples=150)
@given(chats, st.sampled_from(sorted(MOST)))
def test_what_openai_takes_is_refused_or_holds(chat: Json, model: str) -> None:
    """Refused only for what Claude cannot do."""
    assert CANNOT.search(why_not(chat, model) or "Claude")


@settings(max_examples=150)
@given(half_valid(), st.sampled_from(sorted(MOST)))
def test_the_rest_is_refused_or_holds(chat: Json, model: str) -> None:
    assert why_not(chat, model) != ""


# Answers


def message(*content: object, **members: object) -> Json:
    return {
        "type": "message",
        "id": "msg_1",
        "model": "claude-x",
        "role": "assistant",
        "content": [*content],
        **members,
    }


def read(*documents: object, reader: AnswerReader | None = None) -> list[Answer]:
    reader = reader or AnswerReader()
    answers = [reader.read(document) for document in documents]
    assert reader.failure is None
    return answers


def choice_of(*documents: object, reader: AnswerReader | None = None) -> Choice:
    """All that was told of the one choice."""
    whole = Choice(0)
    for answer in read(*documents, reader=reader):
        for choice in answer.choices:
            assert choice.index == 0
            whole.parts += choice.parts
            whole.citations += choice.citations
            whole.searches += choice.searches
            whole.finish = choice.finish or whole.finish
            whole.refusal = choice.refusal or whole.refusal
    return whole


def started(**usage: object) -> Json:
    head = message(stop_reason=None, usage={"input_tokens": 10, "output_tokens": 1, **usage})
    return {"type": "message_start", "message": head}


def begin(index: int, **block: object) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **members: object) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def end(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def stopped(reason: str = "end_turn", **usage: object) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


STOP = {"type": "message_stop"}


def test_an_answer() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 2,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
        "service_tier": "priority",
    }
    reader = AnswerReader()
    answer = reader.read(message(text("Hi"), stop_reason="end_turn", usage=usage))
    choice = Choice(0, [Text("Hi")], Finish.STOP)
    assert answer == Answer("msg_1", "claude-x", [choice], Usage(17, 7, 5, 3), "priority")
    assert reader.finished


def test_a_stream() -> None:
    reader = AnswerReader()
    answers = [
        reader.read(event)
        for event in (
            {"type": "vertex_event"},
            started(cache_read_input_tokens=5),
            {"type": "ping"},
            begin(0, type="text", text=""),
            delta(0, "text_delta", text="H"),
            delta(0, "text_delta", text="i"),
            end(0),
        )
    ]
    assert answers[:3] == [Answer(), Answer("msg_1", "claude-x", [Choice(0)], Usage(15, None, 5)), Answer()]
    assert [choice.parts for answer in answers[3:] for choice in answer.choices] == [[], [Text("H")], [Text("i")], []]
    assert not reader.finished
    assert reader.read(stopped(output_tokens=9)) == Answer(
        choices=[Choice(0, finish=Finish.STOP)], usage=Usage(15, 9, 5)
    )
    assert reader.finished
    assert reader.read(STOP) == Answer(choices=[Choice(0)])


SIGNED = Signature("anthropic", "sig")
REDACTED = Thought("", Signature("anthropic", "redacted_thinking:data"))


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (text("a"), [Text("a")]),
        (text(""), []),
        ({"type": "thinking", "thinking": "h", "signature": "sig"}, [Thought("h", SIGNED)]),
        ({"type": "thinking", "thinking": "", "signature": "sig"}, [Thought("", SIGNED)]),
        ({"type": "thinking", "thinking": "h"}, [Thought("h")]),
        ({"type": "redacted_thinking", "data": "data"}, [REDACTED]),
        (called("t", a="é"), [ToolCall("t", "f", {"a": "é"})]),
        ({"type": "tool_use", "id": "t", "name": "f"}, [ToolCall("t", "f", {})]),
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}, []),
        ({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]}, []),
        ({"type": "something_new", "text": "x"}, []),
    ],
)
def test_blocks(block: Json, parts: list[Part]) -> None:
    assert choice_of(message(block)).parts == parts


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        (
            [
                begin(0, type="thinking", thinking="", signature=""),
                delta(0, "thinking_delta", thinking="h"),
                delta(0, "thinking_delta", thinking="m"),
                delta(0, "signature_delta", signature="sig"),
                end(0),
            ],
            [Thought("h"), Thought("m"), Thought("", SIGNED)],
        ),
        ([begin(0, type="redacted_thinking", data="data"), end(0)], [REDACTED]),
        # A call is told when it is whole.
        (
            [
                begin(1, type="tool_use", id="t", name="f", input={}),
                delta(1, "input_json_delta", partial_json=""),
                delta(1, "input_json_delta", partial_json='{"a": "'),
                delta(1, "input_json_delta", partial_json='é"}'),
                end(1),
            ],
            [ToolCall("t", "f", {"a": "é"})],
        ),
        ([begin(1, type="tool_use", id="t", name="f", input={}), end(1)], [ToolCall("t", "f", {})]),
        ([begin(1, type="tool_use", id="t", name="f", input={})], []),
        # What was cut is no call: nobody may act on half of it.
        ([begin(1, type="tool_use", id="t", name="f"), delta(1, "input_json_delta", partial_json='{"a'), end(1)], []),
        (
            [
                begin(1, type="server_tool_use", id="s", name="web_search", input={}),
                delta(1, "input_json_delta", partial_json='{"query": "q"}'),
                end(1),
            ],
            [],
        ),
    ],
)
def test_blocks_of_a_stream(events: list[Json], parts: list[Part]) -> None:
    assert choice_of(started(), *events).parts == parts


def searched(query: object, name: str = "web_search") -> Json:
    return {"type": "server_tool_use", "id": "s", "name": name, "input": {"query": query}}


SEARCHED = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}


@pytest.mark.parametrize(
    ("blocks", "searches"),
    [
        ([searched("é"), SEARCHED, text("a")], ["é"]),
        # Each is one of its own, also if it is asked again.
        ([searched("p"), searched("q"), searched("p")], ["p", "q", "p"]),
        ([searched(""), searched(5), searched(None), searched("x", name="web_fetch")], []),
        ([{"type": "server_tool_use", "name": "web_search"}, {**searched("q"), "type": "mcp_tool_use"}], []),
    ],
)
def test_searches(blocks: list[Json], searches: list[str]) -> None:
    assert choice_of(message(*blocks)).searches == searches
    events = [
        event
        for number, block in enumerate(blocks)
        for event in (
            begin(number, **block | ({"input": {}} if "input" in block else {})),
            *(delta(number, "input_json_delta", partial_json=piece) for piece in json.dumps(block.get("input", {}))),
            end(number),
        )
    ]
    assert choice_of(started(), *events).searches == searches


def test_a_search_is_told_when_it_is_whole() -> None:
    reader = AnswerReader()
    events = [
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query": '),
        delta(0, "input_json_delta", partial_json='"q"}'),
        end(0),
        # What was cut is none.
        begin(1, type="server_tool_use", id="t", name="web_search", input={}),
        delta(1, "input_json_delta", partial_json='{"query": "q'),
        end(1),
    ]
    told = [choice.searches for answer in read(started(), *events, reader=reader) for choice in answer.choices]
    assert told == [[], [], [], [], ["q"], [], [], []]


def test_a_search_is_an_item_of_a_response() -> None:
    said = message(searched("q"), SEARCHED, text("a"), stop_reason="end_turn")
    [answer] = read(said)
    response: Json = write_response(answer, "m", {})
    search, found = response["output"]
    assert search["action"] == {"type": "search", "query": "q", "queries": ["q"]}
    assert (search["type"], found["type"]) == ("web_search_call", "message")


def cited(url: str, title: str | None = "T") -> Json:
    return {"type": "web_search_result_location", "url": url, "title": title, "cited_text": "x", "encrypted_index": "y"}


def test_citations() -> None:
    """Of a whole block each; counted in characters of all the text."""
    expected = [Citation(2, 4, "https://a", "T"), Citation(2, 4, "https://b", "")]
    content = [text("é "), {**text("ab"), "citations": [cited("https://a"), cited("https://b", None)]}, text("c")]
    page = {"type": "page_location", "document_title": "d"}
    assert choice_of(message(*content, {**text("d"), "citations": [page]})).citations == expected
    events = [
        begin(0, type="text", text=""),
        delta(0, "text_delta", text="é "),
        end(0),
        begin(1, type="text", text="", citations=[]),
        delta(1, "citations_delta", citation=cited("https://a")),
        delta(1, "text_delta", text="a"),
        delta(1, "citations_delta", citation=cited("https://b", None)),
        delta(1, "citations_delta", citation=cited("https://a")),
        delta(1, "text_delta", text="b"),
    ]
    assert choice_of(*events).citations == []
    assert choice_of(*events, end(1), end(1)).citations == expected


@pytest.mark.parametrize(
    ("reason", "with_text", "without"),
    [
        ("end_turn", "stop", "stop"),
        ("stop_sequence", "stop", "stop"),
        ("pause_turn", "stop", "stop"),
        ("max_tokens", "length", "length"),
        ("model_context_window_exceeded", "length", "length"),
        ("refusal", "content_filter", "content_filter"),
        # Reasons of tomorrow never leak.
        ("bad_mood", "stop", "content_filter"),
    ],
)
def test_stop_reasons(reason: str, with_text: str, without: str) -> None:
    assert choice_of(message(text("a"), stop_reason=reason)).finish == with_text
    assert choice_of(message(stop_reason=reason)).finish == without
    assert choice_of(started(), begin(0, type="text", text="a"), end(0), stopped(reason)).finish == with_text


def test_every_stop_reason_of_the_api_is_known() -> None:
    known = "end_turn max_tokens stop_sequence tool_use pause_turn refusal model_context_window_exceeded"
    assert set(known.split()) == STOP_REASONS.keys()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("tool_use", "tool_calls"), ("end_turn", "tool_calls"), ("max_tokens", "length"), ("bad_mood", "tool_calls")],
)
def test_calls_stick(reason: str, finish: str) -> None:
    assert choice_of(message(called("t"), stop_reason=reason)).finish == finish
    assert choice_of(begin(0, type="tool_use", id="t", name="f"), end(0), stopped(reason)).finish == finish


def test_a_refusal_tells_why() -> None:
    details = {"type": "refusal", "explanation": "why"}
    assert choice_of(message(stop_reason="refusal", stop_details=details)).refusal == "why"
    assert choice_of(message(text("a"), stop_reason="refusal", stop_details=details)).refusal is None
    ending = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}}
    assert choice_of(started(), ending).refusal == "why"


@pytest.mark.parametrize(
    ("documents", "finished"),
    [
        ([started(), begin(0, type="text", text="a"), end(0)], False),
        ([started(), {"type": "message_delta", "delta": {"stop_reason": None}}], False),
        ([started(), STOP], True),
        ([message(text("a"))], False),
    ],
)
def test_the_end_is_known(documents: list[Json], finished: bool) -> None:
    reader = AnswerReader()
    read(*documents, reader=reader)
    assert reader.finished == finished


def test_an_end_without_a_reason() -> None:
    assert choice_of(started(), begin(0, type="text", text="a"), end(0), STOP).finish == "stop"


@pytest.mark.parametrize(
    ("document", "failure"),
    [
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            Failure(529, "Overloaded", "UNAVAILABLE"),
        ),
        (
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}},
            Failure(429, "Slow", "RESOURCE_EXHAUSTED"),
        ),
        (
            {"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}},
            Failure(429, "Quota", "RESOURCE_EXHAUSTED"),
        ),
    ],
)
def test_errors(document: Json, failure: Failure) -> None:
    reader = AnswerReader()
    reader.read(started())
    assert reader.read(document) == Answer()
    assert reader.failure == failure


# Answers in JSON


class TestAnswersInJson:
    def test_what_the_tool_is_called_with_is_the_text(self) -> None:
        reader = reader_for(asked(format=Format(OBJECT)))
        choice = choice_of(message(called("t", "answer", a="é"), stop_reason="tool_use"), reader=reader)
        assert (choice.parts, choice.finish) == ([Text('{"a": "é"}')], Finish.STOP)

    def test_it_does_not_wait(self) -> None:
        reader = reader_for(asked(format=Format(OBJECT)))
        pieces = [delta(0, "input_json_delta", partial_json=piece) for piece in ("", '{"a": ', '"é"}')]
        block = begin(0, type="tool_use", id="t", name="answer", input={})
        choice = choice_of(started(), block, *pieces, end(0), stopped("tool_use"), reader=reader)
        assert (choice.parts, choice.finish) == ([Text('{"a": '), Text('"é"}')], Finish.STOP)

    @pytest.mark.parametrize("schema", [OBJECT, LIST])
    def test_nothing_that_was_cut_is_made_whole(self, schema: Json) -> None:
        reader = reader_for(asked(format=Format(schema)))
        block = begin(0, type="tool_use", id="t", name="answer", input={})
        piece = delta(0, "input_json_delta", partial_json='{"a": "')
        choice = choice_of(block, piece, end(0), stopped("max_tokens"), reader=reader)
        assert (choice.parts, choice.finish) == ([Text('{"a": "')] if schema is OBJECT else [], Finish.LENGTH)

    def test_an_empty_object(self) -> None:
        reader = reader_for(asked(format=Format(OBJECT)))
        assert choice_of(begin(0, type="tool_use", name="answer"), end(0), reader=reader).parts == [Text("{}")]

    def test_a_value_that_is_no_object(self) -> None:
        documents = [
            [message(called("t", "answer", value=["é"]))],
            [
                begin(0, type="tool_use", id="t", name="answer"),
                delta(0, "input_json_delta", partial_json='{"value": ["é'),
                delta(0, "input_json_delta", partial_json='"]}'),
                end(0),
            ],
        ]
        for each in documents:
            assert choice_of(*each, reader=reader_for(asked(format=Format(LIST)))).parts == [Text('["é"]')]

    def test_a_call_of_a_function_instead(self) -> None:
        reader = reader_for(asked(functions=[Function("answer")], format=Format(OBJECT)))
        choice = choice_of(message(called("t", "answer"), stop_reason="tool_use"), reader=reader)
        assert (choice.parts, choice.finish) == ([ToolCall("t", "answer", {})], Finish.TOOL_CALLS)


# Any answer

NAMES = (
    "type message content_block delta index id model content text thinking signature data name input partial_json"
    " citations citation url title stop_reason stop_details explanation usage input_tokens output_tokens error"
).split()
KINDS = (
    "message message_start message_delta message_stop content_block_start content_block_delta content_block_stop text"
    " thinking redacted_thinking tool_use text_delta thinking_delta signature_delta input_json_delta citations_delta"
).split()
SHAPES: list[Json] = [
    message({**text("a"), "citations": [cited("u")]}, called("t"), stop_reason="tool_use", usage={"input_tokens": 1}),
    started(),
    begin(0, type="tool_use", id="t", name="answer", input={}),
    delta(0, "input_json_delta", partial_json="{}"),
    delta(0, "citations_delta", citation=cited("u")),
    end(0),
    stopped(output_tokens=1),
]


@st.composite
def documents(draw: st.DrawFn) -> object:
    """Any JSON, with Anthropic's names in it, or an answer with any JSON in one place."""
    words = json_values | st.sampled_from(KINDS)
    if draw(st.booleans()):
        inner = st.recursive(
            words,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
            max_leaves=6,
        )
        return draw(inner | st.sampled_from(ANYTHING))
    document: Any = json.loads(json.dumps(draw(st.sampled_from(SHAPES))))
    value = document
    while True:
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 4)):
            value = value[place]
        else:
            value[place] = draw(words)
            return document


@settings(max_examples=300)
@given(st.lists(documents(), max_size=4), st.sampled_from([None, OBJECT, LIST]))
def test_any_answer(given: list[object], schema: Json | None) -> None:
    reader = reader_for(asked(format=Format(schema)))
    writer = StreamWriter("m", include_usage=True)
    for document in given:
        answer = reader.read(document)
        for choice in answer.choices:
            assert choice.index == 0
            assert choice.finish is None or choice.finish in Finish
        assert reader.failure is None or 400 <= reader.failure.status < 600
        json.dumps(write_answer(answer, "m"))
        writer.write(answer)
    assert writer.end()


contents = st.lists(
    st.text(max_size=9).map(text)
    | st.builds(lambda said, by: {"type": "thinking", "thinking": said, "signature": by}, st.text(), st.text())
    | st.text(max_size=3).map(lambda value: called("t", a=value))
    | st.builds(lambda said: {**text(said), "citations": [cited("u" + said)]}, st.text(min_size=1)),
    max_size=4,
)


@given(contents, st.sampled_from([*STOP_REASONS, "new"]), st.integers(1, 5))
def test_a_stream_tells_what_the_whole_tells(content: list[Json], reason: str, size: int) -> None:
    whole = choice_of(message(*content, stop_reason=reason))
    streamed = choice_of(started(), *streamed_events(content, size), stopped(reason), STOP)
    assert (streamed.citations, streamed.finish) == (whole.citations, whole.finish)
    assert joined(streamed.parts) == joined(whole.parts)


def streamed_events(content: list[Json], size: int) -> list[Json]:
    events: list[Json] = []
    for index, block in enumerate(content):
        kind = block["type"]
        member = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}[kind]
        whole = json.dumps(block["input"]) if kind == "tool_use" else block[member]
        empty = {"text": "", "thinking": "", "signature": "", "input": {}, "citations": []}
        events.append(begin(index, **{**block, **empty}))
        name = "input_json_delta" if kind == "tool_use" else f"{kind}_delta"
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        events += [delta(index, name, **{member: piece}) for piece in pieces]
        events += [delta(index, "citations_delta", citation=citation) for citation in block.get("citations", [])]
        if block.get("signature"):
            events.append(delta(index, "signature_delta", signature=block["signature"]))
        events.append(end(index))
    return events


def joined(parts: list[Part]) -> list[Part]:
    """Neighbours of one kind together."""
    told: list[Part] = []
    for part in parts:
        last = told[-1] if told else None
        if isinstance(part, Text) and isinstance(last, Text):
            told[-1] = Text(last.text + part.text)
        elif isinstance(part, Thought) and isinstance(last, Thought) and last.signature is None:
            told[-1] = Thought(last.text + part.text, part.signature)
        else:
            told.append(part)
    return told


# From OpenAI and back


def test_from_openai_to_claude() -> None:
    request = read_request(
        {
            "model": MANUAL,
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [openai_call("call.1")]},
                {"role": "tool", "tool_call_id": "call.1", "content": "r"},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "parallel_tool_calls": False,
            "user": "u",
        }
    )
    body, _, notes = write_request(request)
    check(body, MANUAL)
    assert body["metadata"] == {"user_id": "u"}
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert notes.dropped == []
    assert write_gemini(request).notes.dropped == ["parallel_tool_calls", "user"]


def openai_call(id: str, name: str = "f") -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def completed(answer: Answer) -> Json:
    """The choice, in OpenAI's words."""
    choices: Any = write_answer(answer, "m")["choices"]
    (choice,) = choices
    assert isinstance(choice, dict)
    return choice


BLOCKS: list[Json] = [
    {"type": "thinking", "thinking": "hm", "signature": "sig"},
    {"type": "redacted_thinking", "data": "data"},
]


def went_round(message: Json, model: str = MANUAL) -> Request:
    messages = [
        {"role": "user", "content": "x"},
        message,
        *({"role": "tool", "tool_call_id": call["id"], "content": "r"} for call in message["tool_calls"]),
    ]
    return read_request({"model": model, "messages": messages, "reasoning_effort": "low"})


def test_thoughts_go_round_through_openai() -> None:
    (answer,) = read(message(*BLOCKS, text("a"), called("t"), stop_reason="tool_use"))
    said = completed(answer)["message"]
    assert (said["thinking_blocks"], said["reasoning_content"]) == (BLOCKS, "hm")
    # The signature is Claude's: it is not told as Google's.
    assert ("extra_content" in said, said["tool_calls"][0]["id"]) == (False, "t")
    body: Json = write_request(went_round(said)).body
    check(body, MANUAL)
    assert body["messages"][1]["content"] == [*BLOCKS, text("a"), called("t")]
    assert body["thinking"]["type"] == "enabled"
    assert "sig" not in json.dumps(write_gemini(went_round(said, "gemini-3-pro-preview")).body).replace("signature", "")


def test_thoughts_go_round_in_a_stream() -> None:
    reader, writer = AnswerReader(), StreamWriter("m", include_usage=False)
    events = [started(), *streamed_events(BLOCKS[:1], 1), begin(1, **BLOCKS[1]), end(1)]
    events += [*streamed_events([called("t")], 9), stopped("tool_use"), STOP]
    chunks = b"".join(writer.write(reader.read(event)) for event in events) + writer.end()
    deltas = [
        json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
        for line in chunks.decode().split("\n\n")
        if line and "[DONE]" not in line
    ]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"
    assert [block for delta in deltas for block in delta.get("thinking_blocks", [])] == BLOCKS
    assert not any("extra_content" in delta for delta in deltas)
    assert json.loads(chunks.decode().split("\n\n")[0].removeprefix("data: "))["id"] == "chatcmpl-msg_1"


def test_signatures_of_gemini_are_not_for_claude() -> None:
    call = {**openai_call("t__thought__QUJDRA=="), "extra_content": {"google": {"thought_signature": "QUJDRA=="}}}
    said = {"role": "assistant", "content": "a", "tool_calls": [call], "extra_content": call["extra_content"]}
    body: Json = write_request(went_round(said)).body
    check(body, MANUAL)
    assert body["messages"][1]["content"] == [text("a"), called("t")]


def test_an_answer_in_json_is_one_for_openai() -> None:
    format = {"type": "json_schema", "json_schema": {"name": "n", "schema": OBJECT}}
    request = read_request({"model": MANUAL, "messages": [{"role": "user", "content": "x"}], "response_format": format})
    answer = reader_for(request).read(message(called("t", "answer", a="b"), stop_reason="tool_use"))
    choice = completed(answer)
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", '{"a": "b"}')
    assert "tool_calls" not in choice["message"]
