"""The answer tool: if the client wants JSON of a schema, Claude must call this tool, and its input is the answer.

A request cannot rely on Claude's structured outputs: on Vertex AI they are off until an organization allows them. A
model that cannot be made to call a tool gets an instruction that asks for the JSON.

Source: Anthropic's pages on tool use and structured outputs.
"""

from typing import NamedTuple

from addons.translation import json_schema
from addons.translation.conversation import Json
from addons.translation.conversation import Request

VALUE = "value"
"""The member of the tool's input that holds the answer, if the client's schema allows an answer that is no object. The
input itself must be an object."""


class AnswerTool(NamedTuple):
    """A tool whose input is the answer."""

    name: str
    schema: Json
    """JSON Schema of its input."""
    wraps: bool
    """Whether the answer is the member VALUE of the input; else it is the whole input."""


def answer_tool_of(request: Request) -> AnswerTool | None:
    """The answer tool for a request. None if the client gives no schema, or requires a call of one of its functions."""
    schema = request.format.described if request.format else None
    if schema is None or requires_call(request):
        return None
    name = "answer"
    while any(function.name == name for function in request.functions):
        name += "_"
    if json_schema.is_object(schema):
        return AnswerTool(name, schema, wraps=False)
    return AnswerTool(name, json_schema.inside(schema, VALUE), wraps=True)


def requires_call(request: Request) -> bool:
    """Whether the client requires a call of one of its functions."""
    return bool(request.functions and request.tool_choice and request.tool_choice.mode == "required")
