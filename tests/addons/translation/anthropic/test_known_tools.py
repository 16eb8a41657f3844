import pytest

from addons.translation.anthropic.known_tools import KNOWN_TOOLS
from addons.translation.anthropic.known_tools import SERVER_TOOLS
from addons.translation.json_schema import is_object


@pytest.mark.parametrize(
    ("kind", "name", "required", "properties"),
    [
        ("bash", "bash", [], {"command", "restart"}),
        (
            "text_editor",
            "str_replace_based_edit_tool",
            ["command", "path"],
            {"command", "path", "file_text", "old_str", "new_str", "insert_line", "insert_text", "view_range"},
        ),
        (
            "memory",
            "memory",
            ["command"],
            {
                "command",
                "path",
                "file_text",
                "old_str",
                "new_str",
                "insert_line",
                "insert_text",
                "view_range",
                "old_path",
                "new_path",
            },
        ),
    ],
)
def test_what_other_models_are_told(kind: str, name: str, required: list[str], properties: set[str]) -> None:
    """The members are those of Anthropic's pages on these tools."""
    known = KNOWN_TOOLS[kind]
    schema = known.input_schema
    assert known.name == name
    assert is_object(schema)
    assert schema["required"] == required
    assert set(schema["properties"]) == properties  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("text_editor", ["view", "create", "str_replace", "insert"]),
        ("memory", ["view", "create", "str_replace", "insert", "delete", "rename"]),
    ],
)
def test_commands(kind: str, commands: list[str]) -> None:
    assert KNOWN_TOOLS[kind].input_schema["properties"]["command"]["enum"] == commands  # type: ignore[index]


def test_tools_of_the_service() -> None:
    assert SERVER_TOOLS == {
        "web_search": "googleSearch",
        "web_fetch": "urlContext",
        "code_execution": "codeExecution",
    }
