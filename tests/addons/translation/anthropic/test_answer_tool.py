import json

import pytest

from addons.translation.anthropic.read_answer import reader_for
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from tests.addons.translation.anthropic.bodies import ALWAYS
from tests.addons.translation.anthropic.bodies import FUNCTIONS
from tests.addons.translation.anthropic.bodies import LIST
from tests.addons.translation.anthropic.bodies import OBJECT
from tests.addons.translation.anthropic.bodies import UNASKED
from tests.addons.translation.anthropic.bodies import Json
from tests.addons.translation.anthropic.bodies import asked
from tests.addons.translation.anthropic.bodies import called
from tests.addons.translation.anthropic.bodies import text
from tests.addons.translation.anthropic.bodies import written
from tests.addons.translation.anthropic.events import begin
from tests.addons.translation.anthropic.events import choice_of
from tests.addons.translation.anthropic.events import delta
from tests.addons.translation.anthropic.events import end
from tests.addons.translation.anthropic.events import message
from tests.addons.translation.anthropic.events import started
from tests.addons.translation.anthropic.events import stopped


class TestFormats:
    @pytest.mark.parametrize(
        ("choice", "names", "expected"),
        [
            (None, [], {"type": "tool", "name": "answer", "disable_parallel_tool_use": True}),
            (None, ["f", "answer"], {"type": "any"}),
            (ToolChoice("auto", ["f"]), ["f", "g"], {"type": "any"}),
            (ToolChoice("none"), ["f"], {"type": "tool", "name": "answer", "disable_parallel_tool_use": True}),
        ],
    )
    def test_a_schema_is_a_tool(self, choice: ToolChoice | None, names: list[str], expected: Json) -> None:
        functions = [Function(name) for name in names]
        body = written(functions=functions, tool_choice=choice, format=Format(OBJECT))
        tool = body["tools"][-1]
        assert tool["name"] == ("answer_" if "answer" in names else "answer")
        assert (tool["input_schema"], body["tool_choice"]) == (OBJECT, expected)
        assert "system" not in body

    def test_a_schema_of_no_object(self) -> None:
        schema = written(format=Format(LIST))["tools"][0]["input_schema"]
        inner = {**LIST, "items": {"$ref": "#/properties/value/$defs/a"}}
        assert schema == {"type": "object", "properties": {"value": inner}, "required": ["value"]}

    @pytest.mark.parametrize(
        ("members", "thinking"),
        [
            ({"thinking": Thinking("low")}, "enabled"),
            ({"thinking": Thinking("low"), "model": UNASKED}, "adaptive"),
            ({"model": ALWAYS}, None),
            ({"functions": FUNCTIONS, "tool_choice": ToolChoice("required")}, None),
        ],
    )
    def test_where_no_tool_can_be_forced_it_is_an_instruction(self, members: Json, thinking: str | None) -> None:
        body = written(system=[Text("s")], format=Format(OBJECT), **members)
        assert [tool["name"] for tool in body.get("tools", [])] == [one.name for one in members.get("functions", [])]
        assert body["system"][0] == text("s")
        assert json.dumps(OBJECT) in body["system"][1]["text"]
        assert body.get("thinking", {}).get("type") == thinking

    def test_json_without_a_schema(self) -> None:
        body = written(format=Format())
        assert "JSON object" in body["system"][0]["text"]
        assert "tools" not in body


class TestAnswersInJson:
    def test_what_the_tool_is_called_with_is_the_text(self) -> None:
        reader = reader_for(asked(format=Format(OBJECT)))
        choice = choice_of(message(called("t", "answer", a="é"), stop_reason="tool_use"), reader=reader)
        assert (choice.parts, choice.finish) == ([Text('{"a": "é"}')], Finish.STOP)

    def test_it_does_not_wait(self) -> None:
        reader = reader_for(asked(format=Format(OBJECT)))
        pieces = [delta(0, "input_json_delta", partial_json=piece) for piece in ("", '{"a": ', '"é"}')]
        block = begin(0, type="tool_use", id="t", name="answer", input={})
        choice = choice_of(started(), block, *pieces, end(0), stopped("tool_use"), reader=reader)
        assert (choice.parts, choice.finish) == ([Text('{"a": '), Text('"é"}')], Finish.STOP)

    @pytest.mark.parametrize("schema", [OBJECT, LIST])
    def test_nothing_that_was_cut_is_made_whole(self, schema: Json) -> None:
        reader = reader_for(asked(format=Format(schema)))
        block = begin(0, type="tool_use", id="t", name="answer", input={})
        piece = delta(0, "input_json_delta", partial_json='{"a": "')
        choice = choice_of(block, piece, end(0), stopped("max_tokens"), reader=reader)
        assert (choice.parts, choice.finish) == ([Text('{"a": "')] if schema is OBJECT else [], Finish.LENGTH)

    def test_an_empty_object(self) -> None:
        reader = reader_for(asked(format=Format(OBJECT)))
        assert choice_of(begin(0, type="tool_use", name="answer"), end(0), reader=reader).parts == [Text("{}")]

    def test_a_value_that_is_no_object(self) -> None:
        documents = [
            [message(called("t", "answer", value=["é"]))],
            [
                begin(0, type="tool_use", id="t", name="answer"),
                delta(0, "input_json_delta", partial_json='{"value": ["é'),
                delta(0, "input_json_delta", partial_json='"]}'),
                end(0),
            ],
        ]
        for each in documents:
            assert choice_of(*each, reader=reader_for(asked(format=Format(LIST)))).parts == [Text('["é"]')]

    def test_a_call_of_a_function_instead(self) -> None:
        reader = reader_for(asked(functions=[Function("answer")], format=Format(OBJECT)))
        choice = choice_of(message(called("t", "answer"), stop_reason="tool_use"), reader=reader)
        assert (choice.parts, choice.finish) == ([ToolCall("t", "answer", {})], Finish.TOOL_CALLS)
