"""The tool that Claude must call with its answer, where the client wants JSON of a schema.

Claude on Vertex AI cannot be told to answer in JSON: its structured outputs are off there until an organization allows
them. Where it cannot be made to call a tool either, an instruction asks for the JSON.

Source: Anthropic's pages on tool use and structured outputs.
"""

import json
from typing import NamedTuple

from addons.translation import json_schema
from addons.translation.conversation import Json
from addons.translation.conversation import Request

VALUE = "value"
"""The member of the tool's input that holds the answer, where the answer need not be an object."""


class AnswerTool(NamedTuple):
    """A tool whose input is the answer."""

    name: str
    schema: Json
    """JSON Schema of its input."""
    wraps: bool
    """Whether the answer is the member VALUE of the input, else it is all of the input."""


def answer_tool_of(request: Request) -> AnswerTool | None:
    """The tool for a request. None if the client gives no schema, or wants one of its functions to be called."""
    if request.format is None or request.format.schema is None or requires_call(request):
        return None
    schema = request.format.schema
    name = "answer"
    while any(function.name == name for function in request.functions):
        name += "_"
    if json_schema.is_object(schema):
        return AnswerTool(name, schema, wraps=False)
    return AnswerTool(name, json_schema.inside(schema, VALUE), wraps=True)


def requires_call(request: Request) -> bool:
    """Whether the client wants one of its functions to be called."""
    return bool(request.functions and request.tool_choice and request.tool_choice.mode == "required")


def json_instruction(schema: Json | None) -> str:
    """Asks for JSON in words: for an object, or for what the schema describes."""
    form = "a JSON object" if schema is None else "JSON"
    asked = f"Answer with {form} and with nothing else: no words around it, no code fence."
    if schema is None:
        return asked
    return f"{asked} It must hold against this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
