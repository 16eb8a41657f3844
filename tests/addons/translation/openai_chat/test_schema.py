from typing import Any

import pytest

from addons.translation.errors import InvalidRequest
from addons.translation.gemini.thinking import BUDGETS
from addons.translation.openai_chat.content_schema import AudioPart
from addons.translation.openai_chat.content_schema import ImagePart
from addons.translation.openai_chat.content_schema import TextPart
from addons.translation.openai_chat.schema import EFFORTS
from addons.translation.openai_chat.schema import ChatRequest
from addons.translation.openai_chat.schema import FunctionTool
from addons.translation.openai_chat.schema import NamedChoice
from addons.translation.openai_chat.schema import ServerTool
from addons.translation.openai_chat.schema import ToolMessage
from addons.translation.openai_chat.schema import UserMessage
from addons.translation.validation import validated

Json = dict[str, Any]


def chat(*messages: Json, **members: object) -> ChatRequest:
    return validated(
        ChatRequest, {"model": "m", "messages": [*messages] or [{"role": "user", "content": "x"}], **members}
    )


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "text", "text": "a"}, TextPart),
        ({"type": "input_text", "text": "a"}, TextPart),
        ({"type": "image_url", "image_url": "https://h/a.png"}, ImagePart),
        ({"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "LOW"}}, ImagePart),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, AudioPart),
    ],
)
def test_parts_go_by_their_type(part: Json, kind: type) -> None:
    (message,) = chat({"role": "user", "content": [part]}).messages
    assert isinstance(message, UserMessage)
    assert [type(one) for one in message.content] == [kind]


def test_messages_go_by_their_role() -> None:
    user, tool = chat({"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "x"}).messages
    assert (type(user), type(tool)) == (UserMessage, ToolMessage)


def test_what_is_no_function_is_a_tool_of_the_server() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "web_search"}, {"googleSearch": {}}]
    assert [type(tool) for tool in chat(tools=tools).tools or []] == [FunctionTool, ServerTool, ServerTool]


@pytest.mark.parametrize("choice", ["none", "auto", "required", "any"])
def test_a_choice_is_a_word_or_names(choice: str) -> None:
    assert chat(tool_choice=choice).tool_choice == choice
    named = chat(tool_choice={"type": "function", "function": {"name": "f"}}).tool_choice
    assert isinstance(named, NamedChoice)
    assert named.function
    assert named.function.name == "f"


def test_googles_objects_come_in_either_case() -> None:
    for google in ({"thinking_config": {"thinking_level": "low"}}, {"thinkingConfig": {"thinkingLevel": "LOW"}}):
        read = chat(google=google).google
        assert read
        assert read.thinking_config
        assert read.thinking_config.thinking_level == "LOW"


def test_what_is_not_declared_is_kept_apart() -> None:
    assert chat(metadata={"a": "b"}, store=True).model_extra == {"metadata": {"a": "b"}, "store": True}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"temperature": "1"}, "temperature"),
        ({"n": True}, "n"),
        ({"stop": ["a"] * 6}, "stop"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"safetySettings": [{"category": "x", "threshold": "OFF"}]}, "safetySettings[0].category"),
    ],
)
def test_what_is_wrong_is_named(members: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(**members)
    assert caught.value.param == param


def test_every_effort_is_one_of_ours() -> None:
    assert {word: effort for word, effort in EFFORTS.items() if word != effort} == {"disable": "none"}
    assert {*EFFORTS.values()} == {*BUDGETS, "xhigh", "max"}
