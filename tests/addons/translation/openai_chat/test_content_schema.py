import pytest
from pydantic import TypeAdapter

from addons.translation.openai_chat.content_schema import Cached
from addons.translation.openai_chat.content_schema import Content
from addons.translation.openai_chat.content_schema import InputFilePart
from addons.translation.openai_chat.content_schema import TextPart
from addons.translation.validation import validated


def test_content_is_a_text_or_parts() -> None:
    content: TypeAdapter[object] = TypeAdapter(Content)
    assert content.validate_python("x") == "x"
    read = content.validate_python([{"type": "output_text", "text": "x"}, {"type": "input_file", "file_id": "f"}])
    assert isinstance(read, list)
    assert [type(part) for part in read] == [TextPart, InputFilePart]


@pytest.mark.parametrize(
    ("members", "cache"),
    [
        ({}, None),
        ({"cache_control": None}, None),
        ({"cache_control": {"type": "ephemeral"}}, {"type": "ephemeral"}),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h", "x": 1}}, {"type": "ephemeral", "ttl": "1h"}),
        ({"prompt_cache_breakpoint": {"mode": "explicit"}}, {"type": "ephemeral"}),
        ({"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}, {"type": "ephemeral", "ttl": "1h"}),
        (
            {"cache_control": {"type": "ephemeral"}, "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            {"type": "ephemeral"},
        ),
    ],
)
def test_both_names_of_a_cache(members: dict[str, object], cache: object) -> None:
    assert validated(Cached, members).cache == cache
