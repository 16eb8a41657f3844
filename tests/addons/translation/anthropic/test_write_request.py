import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation.anthropic.write_request import write_request
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.read_request import read_request
from addons.translation.openai_responses.read_request import read_request as read_response
from addons.translation.openai_responses.schema import LOGPROBS
from tests.addons.translation.anthropic.bodies import ADAPTIVE
from tests.addons.translation.anthropic.bodies import ALWAYS
from tests.addons.translation.anthropic.bodies import FUNCTIONS
from tests.addons.translation.anthropic.bodies import MANUAL
from tests.addons.translation.anthropic.bodies import MOST
from tests.addons.translation.anthropic.bodies import NUMBER
from tests.addons.translation.anthropic.bodies import OLD
from tests.addons.translation.anthropic.bodies import STRICT
from tests.addons.translation.anthropic.bodies import UNASKED
from tests.addons.translation.anthropic.bodies import F
from tests.addons.translation.anthropic.bodies import G
from tests.addons.translation.anthropic.bodies import Json
from tests.addons.translation.anthropic.bodies import asked
from tests.addons.translation.anthropic.bodies import assistant
from tests.addons.translation.anthropic.bodies import blocks_of
from tests.addons.translation.anthropic.bodies import check
from tests.addons.translation.anthropic.bodies import dropped
from tests.addons.translation.anthropic.bodies import refused
from tests.addons.translation.anthropic.bodies import text
from tests.addons.translation.anthropic.bodies import user
from tests.addons.translation.anthropic.bodies import written
from tests.addons.translation.chats import chats
from tests.addons.translation.chats import half_valid


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
        assert "tools.f.parameters.anyOf=merged" in notes.assumed
        assert notes.dropped == []

    def test_a_reference_that_leads_nowhere(self) -> None:
        body, _, notes = write_request(asked(functions=[Function("f", None, {"$ref": "#/$defs/a"})]))
        assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
        assert notes.dropped == ["tools.f.parameters.$ref"]

    def test_a_result_that_says_what_failed(self) -> None:
        turns = [
            Turn("user", [Text("Hi")]),
            Turn("assistant", [ToolCall("1", "f", {})]),
            Turn("user", [ToolResult("1", "f", "No such file.", is_error=True)]),
        ]
        body = written(*turns, functions=[F])
        assert body["messages"][2]["content"] == [
            {"type": "tool_result", "tool_use_id": "1", "is_error": True, "content": "No such file."}
        ]

    def test_a_name_that_claude_does_not_take(self) -> None:
        body = written(functions=[Function("f.g")], tool_choice=ToolChoice("required", ["f.g"]))
        assert [tool["name"] for tool in body["tools"]] == ["f_g"]
        assert body["tool_choice"] == {"type": "tool", "name": "f_g"}

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
def test_max_tokens(model: str, members: Json, most: int, assumed: list[str] | None) -> None:
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
    content = [{"type": "input_file", "file_url": "http://files.example/a.pdf"}]
    with pytest.raises(InvalidRequest) as error:
        write_request(read_response(RESPONSE | {"input": [{"role": "user", "content": content}]}))
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


CANNOT = re.compile("Claude|this model|text file is empty|messages are empty")


@settings(max_examples=150)
@given(chats, st.sampled_from(sorted(MOST)))
def test_what_openai_takes_is_refused_or_holds(chat: Json, model: str) -> None:
    """Refused only for what Claude cannot do."""
    assert CANNOT.search(why_not(chat, model) or "Claude")


@settings(max_examples=150)
@given(half_valid(), st.sampled_from(sorted(MOST)))
def test_the_rest_is_refused_or_holds(chat: Json, model: str) -> None:
    assert why_not(chat, model) != ""
