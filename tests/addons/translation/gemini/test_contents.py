import json

import pytest

from addons.translation.conversation import CONTINUE
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.gemini.write_request import write_request
from tests.addons.translation.chats import check
from tests.addons.translation.gemini.examples import Json
from tests.addons.translation.gemini.examples import assistant
from tests.addons.translation.gemini.examples import call
from tests.addons.translation.gemini.examples import user
from tests.vertex_simulator.gemini_rules import check_conversation

ENDS = "gemini-3.5-flash"
"""A model that continues what it said before."""
NEWER = ("gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.8-flash", "gemini-9-pro", "4611686018427387904")
OLDER = ("gemini-2.0-flash", "gemini-2.5-flash", "gemini-3-pro-preview", "gemini-3.1-pro-preview", ENDS)
PNG = Media("image/png", data="AAAA")
CLIP = Media("video/mp4", uri="gs://x")


def contents_of(model: str, *turns: Turn) -> tuple[list[Json], Notes]:
    body, _, notes = write_request(Request(model, turns=[*turns], names={"turns": "input"}))
    check(body)
    check_conversation(model, body, "AAAA")
    found = body["contents"]
    assert isinstance(found, list)
    return found, notes


def said(contents: list[Json]) -> list[tuple[str, str]]:
    return [
        (one["role"], " ".join(next(iter(part)) if "text" not in part else part["text"] for part in one["parts"]))
        for one in contents
    ]


BEHIND = f"input[-1]={CONTINUE}"
BEFORE = f"input[0]={CONTINUE}"


@pytest.mark.parametrize("model", [*NEWER, *OLDER])
def test_the_last_word(model: str) -> None:
    contents, notes = contents_of(model, user(Text("a")), assistant(Text("b ")))
    kept = [("user", "a"), ("model", "b ")]
    assert said(contents) == (kept if model in OLDER else [*kept, ("user", CONTINUE)])
    assert notes == Notes([], [] if model in OLDER else [BEHIND])


@pytest.mark.parametrize("model", [*NEWER, *OLDER])
@pytest.mark.parametrize("first", [[Text("b")], [call("1")], [Text("b"), call("1")]])
def test_the_model_begins(model: str, first: list[Text]) -> None:
    results = [ToolResult("1", "f", "r")] if len(first) > 1 or not isinstance(first[0], Text) else [Text("c")]
    contents, notes = contents_of(model, assistant(*first), user(*results))
    assert said(contents[:1]) == [("user", CONTINUE)]
    assert ([one["role"] for one in contents], notes) == (["user", "model", "user"], Notes([], [BEFORE]))


@pytest.mark.parametrize(
    ("turns", "expected", "notes"),
    [
        ([assistant(Text("a"))], [("user", CONTINUE), ("model", "a"), ("user", CONTINUE)], Notes([], [BEFORE, BEHIND])),
        # Turns that Gemini gets nothing of are none.
        (
            [assistant(Thought("hm", Signature("anthropic", "c2ln"))), user(Text("a"))],
            [("user", "a")],
            Notes(),
        ),
        (
            [user(Text("a")), assistant(Thought("hm", Signature("anthropic", "c2ln")))],
            [("user", "a")],
            Notes(),
        ),
        ([user(Text("a")), assistant()], [("user", "a")], Notes()),
        ([user(Text("a")), assistant(Text(" \n"), Text(""))], [("user", "a")], Notes()),
        ([assistant(Text(" ")), user(Text("a"))], [("user", "a")], Notes()),
    ],
)
def test_both_ends(turns: list[Turn], expected: list[tuple[str, str]], notes: Notes) -> None:
    contents, told = contents_of("gemini-3.8-flash", *turns)
    assert (said(contents), told) == (expected, notes)


@pytest.mark.parametrize("model", [*NEWER, *OLDER])
@pytest.mark.parametrize(
    "beside",
    [[Text("And now?")], [PNG], [Text("And"), PNG, Text("now?")]],
)
def test_results_have_a_turn_of_their_own(model: str, beside: list[Text]) -> None:
    result = [ToolResult("1", "f", "r"), ToolResult("2", "f", "s")]
    turns = [user(Text("x")), assistant(call("1", signature="AAAA"), call("2")), user(*beside, *result)]
    contents, notes = contents_of(model, *turns)
    roles = [(one["role"], sorted({next(iter(part)) for part in one["parts"]})) for one in contents[2:]]
    kinds = sorted({"text" if isinstance(one, Text) else "inlineData" for one in beside})
    assert roles == [("user", ["functionResponse"]), ("user", kinds)]
    assert [part.get("text") for part in contents[3]["parts"]] == [
        one.text if isinstance(one, Text) else None for one in beside
    ]
    assert contents[1]["parts"][0]["thoughtSignature"] == "AAAA"
    assert notes == Notes()


@pytest.mark.parametrize("model", [*NEWER, *OLDER])
def test_media_that_a_result_cannot_have_come_behind(model: str) -> None:
    turns = [user(Text("x")), assistant(call("1")), user(ToolResult("1", "f", "r", [CLIP]), Text("y"))]
    contents, _ = contents_of(model, *turns)
    assert len(contents) == 4
    assert "parts" not in contents[2]["parts"][0]["functionResponse"]
    assert [next(iter(part)) for part in contents[3]["parts"]] == ["fileData", "text"]
    assert json.dumps(contents).count("gs://x") == 1
