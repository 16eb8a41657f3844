from typing import Any

import pytest

from addons.translation.conversation import Text
from tests.addons.translation.openai_responses.answers import told
from tests.addons.translation.openai_responses.inputs import tool

Json = dict[str, Any]


def test_what_a_response_says_of_its_request() -> None:
    function = tool(parameters={"type": "object"})
    body: Json = {
        "instructions": "i",
        "metadata": {"a": "b"},
        "temperature": 0,
        "top_p": 0.5,
        "max_output_tokens": 9,
        "parallel_tool_calls": False,
        "tools": [function, {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "max", "generate_summary": "auto"},
        "top_logprobs": 2,
        "user": "u",
        "store": True,
        "truncation": "auto",
    }
    response = told(Text("a"), body=body)
    same = ("instructions", "metadata", "temperature", "top_p", "max_output_tokens", "parallel_tool_calls", "user")
    assert {name: response[name] for name in same} == {name: body[name] for name in same}
    assert response["tools"] == [{"description": None, "strict": False, **function}, {"type": "web_search"}]
    assert (response["tool_choice"], response["text"]) == (body["tool_choice"], {"format": {"type": "json_object"}})
    assert response["reasoning"] == {"effort": "max", "summary": "auto"}
    assert (response["store"], response["truncation"], response["top_logprobs"]) == (False, "disabled", 2)


@pytest.mark.parametrize(
    ("choice", "echo"),
    [
        (None, "auto"),
        ("required", "required"),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": []},
            {"type": "allowed_tools", "mode": "auto", "tools": []},
        ),
        *(({"type": kind}, {"type": kind}) for kind in ("shell", "local_shell", "apply_patch", "tool_search")),
        # It is not kept.
        ({"type": "web_search"}, "auto"),
    ],
)
def test_what_a_response_says_of_a_choice(choice: object, echo: object) -> None:
    assert told(body={"tool_choice": choice})["tool_choice"] == echo


def test_what_a_response_says_of_a_request_that_said_little() -> None:
    response = told(Text("a"))
    expected: Json = {
        "instructions": None,
        "metadata": {},
        "temperature": None,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "tools": [],
        "tool_choice": "auto",
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None, "summary": None},
        "background": False,
    }
    assert {name: response[name] for name in expected} == expected
