from typing import Any

import pytest

from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.schema import NOT_SERVED
from addons.translation.openai_chat.schema import ServerTool
from addons.translation.openai_responses.schema import SKIPPED
from addons.translation.openai_responses.schema import AgentMessageItem
from addons.translation.openai_responses.schema import CallItem
from addons.translation.openai_responses.schema import FlatFunctionTool
from addons.translation.openai_responses.schema import ImageItem
from addons.translation.openai_responses.schema import MessageItem
from addons.translation.openai_responses.schema import OtherItem
from addons.translation.openai_responses.schema import OutputItem
from addons.translation.openai_responses.schema import ReasoningItem
from addons.translation.openai_responses.schema import ResponsesRequest
from addons.translation.openai_responses.schema import ToolChoiceObject
from addons.translation.validation import validated
from tests.addons.translation.openai_responses.inputs import HI
from tests.addons.translation.openai_responses.inputs import call
from tests.addons.translation.openai_responses.inputs import output
from tests.addons.translation.openai_responses.inputs import reasoning
from tests.addons.translation.openai_responses.inputs import tool

Json = dict[str, Any]


def asked(*items: Json, **members: object) -> ResponsesRequest:
    return validated(ResponsesRequest, {"model": "m", "input": [*items] or "x", **members})


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (HI, MessageItem),
        (HI | {"type": "message"}, MessageItem),
        ({"type": "agent_message", "content": []}, AgentMessageItem),
        (call(), CallItem),
        (output(), OutputItem),
        (reasoning(), ReasoningItem),
        ({"type": "image_generation_call", "result": None}, ImageItem),
        *(({"type": kind}, OtherItem) for kind in sorted(SKIPPED)),
        ({"id": "msg_1"}, OtherItem),
    ],
)
def test_items_go_by_their_type(item: Json, kind: type) -> None:
    assert [type(one) for one in asked(item).input or ()] == [kind]


@pytest.mark.parametrize("kind", sorted(NOT_SERVED))
def test_what_is_no_function_is_a_tool_of_the_server(kind: str) -> None:
    tools = asked(tools=[tool(), {"type": kind}]).tools or []
    assert [type(one) for one in tools] == [FlatFunctionTool, ServerTool]


def test_a_choice_is_a_word_or_an_object() -> None:
    assert asked(tool_choice="required").tool_choice == "required"
    assert isinstance(asked(tool_choice={"type": "web_search"}).tool_choice, ToolChoiceObject)


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "wizard", "content": "x"}, "input[0].role"),
        (call(id=""), "input[0].call_id"),
        (call(name=""), "input[0].name"),
        ({"type": "function_call_output", "call_id": "c"}, "input[0].output"),
        ({"type": "reasoning", "summary": [{}]}, "input[0].summary[0].text"),
    ],
)
def test_what_is_wrong_is_named(item: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(item)
    assert caught.value.param == param
