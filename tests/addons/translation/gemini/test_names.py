import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Function
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.gemini.names import Names
from addons.translation.gemini.read_answer import reader_for
from addons.translation.gemini.write_request import write_request
from tests.addons.translation.gemini.examples import candidate

FITS = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")


def names_of(*functions: str) -> Names:
    return Names(Request("gemini-3.8-flash", functions=[Function(name) for name in functions]))


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
def test_a_name(name: str, sent: str) -> None:
    names = names_of(name)
    assert (names.sent(name), names.given(sent)) == (sent, name)
    assert FITS.fullmatch(sent)


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
def test_names_are_kept_apart(given: list[str]) -> None:
    names = names_of(*given)
    sent = [names.sent(name) for name in given]
    assert len({*sent}) == len(given)
    assert all(FITS.fullmatch(name) for name in sent)
    assert [names.given(name) for name in sent] == given
    # A name that fits is never changed.
    assert all(names.sent(name) == name for name in given if FITS.fullmatch(name))


@given(st.lists(st.text(string.ascii_letters[:3] + "1_ é/", max_size=70), unique=True))
def test_any_names(given: list[str]) -> None:
    test_names_are_kept_apart(given)


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


def test_names_in_messages() -> None:
    names = names_of("21st", "get weather")
    told = "Malformed function call: print(default_api._21st(x=get_weather)), not _21st2 or a_21st"
    assert names.given_in(told) == (
        "Malformed function call: print(default_api.21st(x=get weather)), not _21st2 or a_21st"
    )
    assert names_of("plain").given_in(told) == told
