import hashlib
import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.anthropic.messages import TOOL_NAMES
from addons.translation.anthropic.read_answer import reader_for as reader_for_claude
from addons.translation.anthropic.write_request import write_request as write_for_claude
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.function_names import NameRule
from addons.translation.function_names import Names
from addons.translation.gemini.read_answer import reader_for
from addons.translation.gemini.schema import FUNCTION_NAMES
from addons.translation.gemini.write_request import write_request
from addons.translation.openai_chat.read_answer import reader_for as reader_for_openai
from addons.translation.openai_chat.schema import FUNCTION_NAMES as OPENAI_NAMES
from addons.translation.openai_chat.write_request import write_request as write_for_openai
from tests.addons.translation.gemini.examples import candidate

RULES = {"Gemini": FUNCTION_NAMES, "Claude": TOOL_NAMES, "OpenAI": OPENAI_NAMES}
FITS = {
    "Gemini": re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}"),
    "Claude": re.compile(r"[a-zA-Z0-9_-]{1,128}"),
    "OpenAI": re.compile(r"[a-zA-Z0-9_-]{1,64}"),
}


def sent_of(rule: NameRule, *names: str) -> tuple[Names, list[str]]:
    request = Request("m", functions=[Function(name) for name in names])
    found = Names(request, rule)
    return found, [function.name for function in found.applied(request).functions]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("weather", "weather"),
        ("_a.b:c-9", "_a.b:c-9"),
        ("a" * 64, "a" * 64),
        ("21st_magic", "_21st_magic"),
        ("-x", "_-x"),
        (".x", "_.x"),
        ("get weather", "get_weather"),
        ("mcp/files", "mcp_files"),
        ("weather\n", "weather_"),
        ("größe", "gr__e"),
        ("天気", "__"),
        ("", "_"),
        # By the hash of the whole name.
        ("a" * 65, "a" * 55 + "_635361c4"),
        ("9" * 64, "_" + "9" * 54 + "_06dcb600"),
    ],
)
def test_a_name_for_gemini(name: str, sent: str) -> None:
    names, found = sent_of(FUNCTION_NAMES, name)
    assert (found, names.given(sent)) == ([sent], name)
    assert FITS["Gemini"].fullmatch(sent)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("weather", "weather"),
        ("21st_magic", "21st_magic"),
        ("-x", "-x"),
        ("a" * 128, "a" * 128),
        ("a.b:c", "a_b_c"),
        ("天気", "__"),
        ("", "_"),
        ("a" * 129, "a" * 119 + "_" + hashlib.sha256(b"a" * 129).hexdigest()[:8]),
    ],
)
def test_a_name_for_claude(name: str, sent: str) -> None:
    names, found = sent_of(TOOL_NAMES, name)
    assert (found, names.given(sent)) == ([sent], name)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("21st_magic", "21st_magic"),
        ("-x", "-x"),
        ("a" * 64, "a" * 64),
        ("a.b:c", "a_b_c"),
        ("get weather", "get_weather"),
        ("a" * 65, "a" * 55 + "_635361c4"),
    ],
)
def test_a_name_for_openai(name: str, sent: str) -> None:
    names, found = sent_of(OPENAI_NAMES, name)
    assert (found, names.given(sent)) == ([sent], name)


@pytest.mark.parametrize("service", RULES)
@pytest.mark.parametrize(
    "given",
    [
        ["21st_magic", "_21st_magic"],
        ["_21st_magic", "21st_magic"],
        ["a b", "a/b", "a_b"],
        ["天気", "時間"],
        ["a" * 65, "a" * 66],
    ],
)
def test_names_are_kept_apart(given: list[str], service: str) -> None:
    names, sent = sent_of(RULES[service], *given)
    assert len({*sent}) == len(given)
    assert all(FITS[service].fullmatch(name) for name in sent)
    assert [names.given(name) for name in sent] == given
    # A name that fits is never changed.
    assert all(one == name for name, one in zip(given, sent, strict=True) if FITS[service].fullmatch(name))


@given(st.lists(st.text(string.ascii_letters[:3] + "1_ é/", max_size=70), unique=True))
def test_any_names(given: list[str]) -> None:
    for service in RULES:
        test_names_are_kept_apart(given, service)


def test_everywhere_in_a_request_and_back() -> None:
    request = Request(
        "gemini-3.8-flash",
        functions=[Function("21st_magic"), Function("plain")],
        tool_choice=ToolChoice("required", ["21st_magic"]),
        turns=[
            Turn("user", [Text("x")]),
            Turn("assistant", [ToolCall("1", "21st_magic", {}), ToolCall("2", "of old", {})]),
            Turn("user", [ToolResult("1", "21st_magic", "a"), ToolResult("2", "of old", "b")]),
        ],
    )
    body: Any = write_request(request).body
    declared = [one["name"] for one in body["tools"][0]["functionDeclarations"]]
    assert declared == ["_21st_magic", "plain"]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["_21st_magic"]}}
    _, calls, results = body["contents"]
    assert [part["functionCall"]["name"] for part in calls["parts"]] == ["_21st_magic", "of_old"]
    assert [part["functionResponse"]["name"] for part in results["parts"]] == ["_21st_magic", "of_old"]
    assert isinstance(call := request.turns[1].parts[0], ToolCall)
    assert call.name == "21st_magic"
    reader = reader_for(request)
    for sent, name in (("_21st_magic", "21st_magic"), ("plain", "plain"), ("of_old", "of old"), ("new", "new")):
        answer = reader.read({"candidates": [candidate({"functionCall": {"name": sent, "args": {}}})]})
        (called,) = answer.choices[0].parts
        assert isinstance(called, ToolCall)
        assert called.name == name


def test_claude_gets_names_of_its_own() -> None:
    turns = [
        Turn("user", [Text("x")]),
        Turn("assistant", [ToolCall("1", "a.b", {})]),
        Turn("user", [ToolResult("1", "a.b", "r")]),
    ]
    schema: dict[str, Any] = {"type": "object", "anyOf": [{"required": ["a"]}]}
    functions = [Function("a.b", parameters=schema), Function("answer"), Function("answer ")]
    request = Request("claude-sonnet-4-5", turns=turns, functions=functions, format=Format({"type": "object"}))
    body, _, notes = write_for_claude(request)
    tools: Any = body["tools"]
    # The last one is the tool whose input is the answer.
    assert [tool["name"] for tool in tools] == ["a_b", "answer", "answer_", "answer__"]
    assert [path for path in [*notes.dropped, *notes.assumed] if "a_b" in path] == []
    reader = reader_for_claude(request)
    block = {"type": "tool_use", "id": "1", "name": "a_b", "input": {}}
    (choice,) = reader.read({"type": "message", "content": [block], "stop_reason": "tool_use"}).choices
    assert [part.name for part in choice.parts if isinstance(part, ToolCall)] == ["a.b"]


def test_openai_gets_names_of_its_own() -> None:
    turns = [
        Turn("user", [Text("x")]),
        Turn("assistant", [ToolCall("1", "a.b", {})]),
        Turn("user", [ToolResult("1", "a.b", "r")]),
    ]
    choice = ToolChoice("required", ["a.b"])
    request = Request("gpt-5", turns=turns, functions=[Function("a.b"), Function("a_b")], tool_choice=choice)
    body: Any = write_for_openai(request).body
    tools = [tool["function"]["name"] for tool in body["tools"]]
    assert tools == ["a_b_2e7336dc", "a_b"]
    assert body["tool_choice"]["function"]["name"] == tools[0]
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == tools[0]
    calls = [{"index": n, "id": f"{n}", "function": {"name": name}} for n, name in enumerate(tools)]
    said = {"choices": [{"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}
    (answer,) = reader_for_openai(request).read(said).choices
    assert [part.name for part in answer.parts if isinstance(part, ToolCall)] == ["a.b", "a_b"]


def test_names_in_messages() -> None:
    names, _ = sent_of(FUNCTION_NAMES, "21st", "get weather")
    told = "Malformed function call: print(default_api._21st(x=get_weather)), not _21st2 or a_21st"
    back = "Malformed function call: print(default_api.21st(x=get weather)), not _21st2 or a_21st"
    assert names.given_in(told) == back
    assert sent_of(FUNCTION_NAMES, "plain")[0].given_in(told) == told
    notes = Notes(["tools._21st.parameters.x"], ["tools.get_weather.y=1"])
    names.restore(notes)
    assert notes == Notes(["tools.21st.parameters.x"], ["tools.get weather.y=1"])
