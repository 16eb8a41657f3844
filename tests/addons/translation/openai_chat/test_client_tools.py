import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import ClientTool
from addons.translation.openai_chat.client_tools import ToolNames
from addons.translation.openai_chat.client_tools import custom_description
from addons.translation.openai_chat.client_tools import custom_input

tools = st.builds(
    ClientTool, st.sampled_from(["function", "custom"]), st.text(min_size=1), st.none() | st.text(min_size=1)
)


@given(st.lists(tools), st.sets(st.text(min_size=1)))
def test_names_are_valid_and_each_has_its_own(asked: list[ClientTool], functions: set[str]) -> None:
    names = ToolNames(functions | {tool.name for tool in asked if tool.is_plain})
    given_names = {tool: names.of(tool) for tool in asked}
    assert len({*given_names.values()}) == len(given_names)
    for tool, name in given_names.items():
        if tool.is_plain:
            assert name == tool.name
        else:
            assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", name)
            assert name not in functions
            assert names.tools()[name] == tool


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        (ClientTool("function", "find", "crm"), "crm__find"),
        (ClientTool("function", "find", "mcp__crm__"), "mcp__crm__find"),
        (ClientTool("custom", "apply_patch"), "apply_patch"),
        (ClientTool("shell", "shell"), "shell"),
        (ClientTool("function", "f", "n" * 61), "n" * 61 + "__f"),
    ],
)
def test_names(tool: ClientTool, name: str) -> None:
    assert ToolNames(set()).of(tool)[:63] == name[:63]


@pytest.mark.parametrize("name", ["wait for", "2nd", "ä", "x" * 65])
def test_a_name_that_changes_is_told_apart(name: str) -> None:
    written = ToolNames(set()).of(ClientTool("custom", name))
    assert re.fullmatch(r".*_[0-9a-f]{8}", written)


GRAMMAR = {"syntax": "regex", "definition": "a+"}


@pytest.mark.parametrize(
    ("description", "format", "expected"),
    [
        ("D", None, "D"),
        (None, None, None),
        ("D", {"type": "text"}, "D"),
        ("D", {"type": "grammar", **GRAMMAR}, "D\n\nThe input must follow this regex grammar:\na+"),
        (None, {"type": "grammar", "grammar": GRAMMAR}, "The input must follow this regex grammar:\na+"),
        (None, {"type": "grammar", "definition": "x"}, "The input must follow this lark grammar:\nx"),
        ("D", {"type": "grammar", "grammar": 5}, "D"),
    ],
)
def test_a_grammar_is_told(description: str | None, format: dict[str, object] | None, expected: str | None) -> None:
    assert custom_description(description, format) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input": "x", "why": "y"}, "x"),
        ({"patch": "x"}, "x"),
        ({}, "{}"),
        ({"input": 5}, '{"input": 5}'),
        ({"a": "ä", "b": "c"}, '{"a": "ä", "b": "c"}'),
    ],
)
def test_the_text_of_a_call(arguments: dict[str, object], text: str) -> None:
    assert custom_input(arguments) == text
