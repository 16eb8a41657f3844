from typing import Any

import pytest

from addons.translation.anthropic.schema import MessageRequest
from addons.translation.anthropic.schema import TextBlock
from addons.translation.validation import validated
from tests.addons.translation.anthropic.requests import CALL
from tests.addons.translation.anthropic.requests import HI
from tests.addons.translation.anthropic.requests import asked
from tests.addons.translation.anthropic.requests import body
from tests.addons.translation.anthropic.requests import refused
from tests.addons.translation.anthropic.requests import said
from tests.addons.translation.anthropic.requests import text


@pytest.mark.parametrize(
    ("messages", "members", "told"),
    [
        ([], {"model": ""}, "model: String should have at least 1 character"),
        ([], {"model": None}, "model: Input should be a valid string"),
        ([], {"max_tokens": None}, "max_tokens: Input should be a valid integer"),
        ([], {"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ([], {"system": {"type": "text", "text": "a"}}, "system: Input should be a valid string"),
        ([], {"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ([], {"top_p": -1}, "top_p: Input should be greater than or equal to 0"),
        ([], {"top_k": -1}, "top_k: Input should be greater than or equal to 0"),
        ([], {"stream": "yes"}, "stream: Input should be a valid boolean"),
        ([], {"service_tier": "fast"}, "service_tier: Input should be 'auto' or 'standard_only'"),
        (
            [],
            {"thinking": {"type": "enabled", "budget_tokens": 1023}},
            "thinking.budget_tokens: Input should be greater than or equal to 1024",
        ),
        ([], {"thinking": {"type": "enabled"}}, "thinking.budget_tokens: Field required"),
        ([], {"tool_choice": {"type": "tool"}}, "tool_choice.name: Field required"),
        ([], {"tools": [{"name": "f"}]}, "tools.0.input_schema: Field required"),
        ([], {"tools": [{"name": "f.g", "input_schema": {}}]}, "tools.0.name: String should match pattern"),
        ([], {"output_config": {"effort": "most"}}, "output_config.effort: Input should be 'low', 'medium', 'high'"),
        ([{"content": "Hi"}], {}, "messages.0.role: Field required"),
        ([{"role": "tool", "content": "Hi"}], {}, "messages.0.role: Input should be 'user', 'assistant' or 'system'"),
        ([{"role": "user"}], {}, "messages.0.content: Field required"),
        ([HI, {"role": "assistant", "content": None}], {}, "messages.1.content: Field required"),
        ([{"role": "user", "content": 5}], {}, "messages.0.content: Input should be a valid string"),
        ([HI, said({"type": "text"})], {}, "messages.1.content.0.text: Field required"),
        ([asked(text("x", cache_control={"type": "no"}))], {}, "messages.0.content.0.cache_control.type: Input should"),
        ([asked({"type": "image", "source": {"type": "base64"}})], {}, "messages.0.content.0.source.media_type: Field"),
        ([HI, said(CALL | {"input": "x"})], {}, "messages.1.content.0.input: Input should be a valid dictionary"),
        ([HI, said({"type": "thinking", "thinking": "hm"})], {}, "messages.1.content.0.signature: Field required"),
        ([asked({"type": "video"})], {}, "messages.0.content.0: Input tag 'video' found using 'type' does not match"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(messages: list[Any], members: Any, told: str) -> None:
    assert refused(*messages, **members).startswith(told)


def test_no_messages() -> None:
    assert refused(messages=[]).startswith("messages: List should have at least 1 item")


@pytest.mark.parametrize(
    ("control", "cache"),
    [
        (None, None),
        ({"type": "ephemeral"}, {"type": "ephemeral"}),
        ({"type": "ephemeral", "ttl": "1h", "scope": "x"}, {"type": "ephemeral", "ttl": "1h"}),
    ],
)
def test_what_a_block_caches(control: object, cache: object) -> None:
    assert validated(TextBlock, text("x", cache_control=control)).cache == cache


def test_a_request_that_says_all() -> None:
    everything = body(system="s", stop_sequences=["x"], top_k=0, metadata={"user_id": None}, thinking=None, tools=None)
    assert validated(MessageRequest, everything).stop_sequences == ["x"]
