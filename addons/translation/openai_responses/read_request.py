"""Reads a client's request for OpenAI's Responses into the neutral form. Nothing is stored here, so a request that
refers to something stored is refused.

Source: OpenAI's API reference. Members that it does not have (videos, `google`, ...) are as in `openai_chat`.
"""

from collections.abc import Sequence

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.parts import add_parts
from addons.translation.openai_chat.parts import read_arguments
from addons.translation.openai_chat.parts import read_content
from addons.translation.openai_chat.parts import read_instructions
from addons.translation.openai_chat.parts import read_parts
from addons.translation.openai_chat.parts import read_result
from addons.translation.openai_chat.schema import FunctionDefinition
from addons.translation.openai_chat.settings import read_effort
from addons.translation.openai_chat.settings import read_format
from addons.translation.openai_chat.settings import read_server_tool
from addons.translation.openai_chat.settings import start_request
from addons.translation.openai_chat.settings import take_functions
from addons.translation.openai_responses import schema
from addons.translation.openai_responses.schema import LOGPROBS
from addons.translation.openai_responses.schema import ResponsesRequest
from addons.translation.validation import NO_VALUE
from addons.translation.validation import is_finite
from addons.translation.validation import validated


def read_request(body: Json) -> Request:
    """The request in a body of Responses, parsed from JSON. Raises InvalidRequest."""
    asked = validated(ResponsesRequest, body)
    for name in schema.STORED:
        if getattr(asked, name) is not None:
            raise InvalidRequest("nothing is stored here: send the whole input and the instructions each time", name)
    if asked.background:
        raise InvalidRequest("there are no background responses: leave background out, or set stream", "background")
    for name in schema.ECHOED:
        if not is_finite(body.get(name)):
            raise InvalidRequest(NO_VALUE, name)
    request = start_request(asked)
    request.names = NAMES | _names(asked)
    request.notes.drop(*_without_target(asked))
    request.max_tokens = asked.max_output_tokens
    request.logprobs = LOGPROBS in (asked.include or ()) or bool(asked.top_logprobs)
    if asked.service_tier == "fast":
        # OpenAI's newer name of that tier.
        request.service_tier = "priority"
    if asked.text and asked.text.format:
        wanted = asked.text.format
        request.format = read_format(wanted.type, wanted.schema_, "text.format", "text.format.schema")
    request.thinking = _read_thinking(asked)
    _read_tools(asked, request)
    if asked.instructions:
        request.system.append(Text(asked.instructions))
    if isinstance(asked.input, str):
        add_parts(request.turns, "user", read_parts(asked.input, "input", request.notes))
    else:
        _History(request, asked.input or []).read()
    if not request.turns and not request.system:
        raise InvalidRequest("the input is empty; write a text", "input")
    return request


NAMES = {"turns": "input", "max_tokens": "max_output_tokens"}
"""Fields of a Request -> their paths in a body of Responses, where these differ."""


def _names(asked: ResponsesRequest) -> dict[str, str]:
    """Fields of a Request that the body can give in two members -> the member that the client used."""
    include, reasoning = asked.include or [], asked.reasoning
    summary = "generate_summary" if reasoning and not reasoning.summary else "summary"
    logprobs = f"include[{include.index(LOGPROBS)}]" if LOGPROBS in include else "top_logprobs"
    return {"logprobs": logprobs, "include": f"reasoning.{summary}"}


def _without_target(asked: ResponsesRequest) -> list[str]:
    """Paths of settings that no service here can follow, though the schema declares them or the object they are in."""
    dropped = [f"include[{place}]" for place, name in enumerate(asked.include or []) if name not in schema.INCLUDABLE]
    if asked.store:
        dropped.append("store")
    if asked.truncation == "auto":
        dropped.append("truncation")
    if asked.text and asked.text.verbosity:
        dropped.append("text.verbosity")
    if asked.reasoning:
        dropped += [f"reasoning.{name}" for name, value in (asked.reasoning.model_extra or {}).items() if value]
    return dropped


def _read_thinking(asked: ResponsesRequest) -> Thinking | None:
    reasoning = asked.reasoning or schema.ReasoningConfig()
    effort = read_effort(reasoning.effort, "reasoning.effort") if reasoning.effort is not None else None
    include = True if reasoning.summary or reasoning.generate_summary else None
    return Thinking(effort, include=include, param="reasoning") if effort or include else None


def _read_tools(asked: ResponsesRequest, request: Request) -> None:
    functions: dict[str, FunctionDefinition] = {}
    hosted: dict[str, Json] = {}
    """Path in the body -> a tool that the service runs."""
    for number, tool in enumerate(asked.tools or []):
        if isinstance(tool, schema.FlatFunctionTool):
            functions[f"tools[{number}]"] = tool
        else:
            hosted[f"tools[{number}]"] = tool.model_extra or {}
    choice, allowed = _read_choice(asked, {_type_of(tool) for tool in hosted.values()}, request)
    if choice and choice.mode == "required" and not functions:
        request.notes.drop("tool_choice")
    take_functions(request, functions, choice)
    for path, members in hosted.items():
        _read_hosted(members, path, allowed is None or _type_of(members) in allowed, request)


def _type_of(tool: Json) -> str:
    """The type of a tool; empty if it has none."""
    kind = tool.get("type")
    return kind if isinstance(kind, str) else ""


def _read_hosted(tool: Json, path: str, allowed: bool, request: Request) -> None:
    """Reads a tool that the service runs. `allowed` is whether the tool choice allows its use. Raises InvalidRequest
    for an unknown tool."""
    kind = _type_of(tool)
    if kind in schema.NOT_SERVED:
        served = "function, web_search, code_interpreter or image_generation"
        raise InvalidRequest(f"tools of type {kind} cannot be used; write one of type {served}", f"{path}.type")
    name = None if kind == "image_generation" else read_server_tool(tool, path)
    if not allowed:
        return
    if name:
        request.server_tools.setdefault(name, path)
    else:
        request.modalities = ["text", "image"]
        request.names.setdefault("modalities", path)
    if kind:
        # `container` is not named as dropped: OpenAI requires it for each code interpreter.
        options = {option: value for option, value in tool.items() if option not in ("type", "container")}
        request.notes.drop(*(f"{path}.{option}" for option, value in options.items() if value not in (None, "auto")))


def _read_choice(
    asked: ResponsesRequest, hosted: set[str], request: Request
) -> tuple[ToolChoice | None, set[str] | None]:
    """The choice among functions, and the types of hosted tools that may be used (None for all of them). Hosted tools
    are those that the service runs; `hosted` are their types in the request. Raises InvalidRequest."""
    choice = asked.tool_choice
    if choice is None:
        return None, None
    if not isinstance(choice, schema.ToolChoiceObject):
        return ToolChoice(choice), set() if choice == "none" else None
    if choice.type == "allowed_tools":
        tools = choice.tools or []
        names = [name for tool in tools if tool.get("type") == "function" and isinstance(name := tool.get("name"), str)]
        # If no function is allowed, the mode must be none: an empty list of names would allow all functions.
        return ToolChoice(choice.mode, names) if names else ToolChoice("none"), {_type_of(tool) for tool in tools}
    if choice.type == "function":
        if not choice.name:
            raise InvalidRequest('name the function: {"type": "function", "name": ...}', "tool_choice.name")
        return ToolChoice("required", [choice.name]), None
    if choice.type not in hosted:
        raise InvalidRequest("there is no tool of this type in tools", "tool_choice.type")
    # Gemini cannot be made to call a tool that it runs itself.
    request.notes.drop("tool_choice")
    return None, None


class _History:
    """Reads input items into turns.

    The texts and calls of a model that follow one another are one turn. The results of its calls, wherever they come
    after it, are the next turn, in the order of the calls. Google's signature in a reasoning item belongs to the part
    that comes after that item.
    """

    def __init__(self, request: Request, items: Sequence[schema.Item]) -> None:
        self._request = request
        self._items = items
        self._outputs: dict[str, list[tuple[int, schema.OutputItem]]] = {}
        """Id of a call -> the items with its results that are not read yet, each with its index in the input."""
        for number, item in enumerate(items):
            if isinstance(item, schema.OutputItem):
                self._outputs.setdefault(signatures.split_id(item.call_id)[0], []).append((number, item))
        self._calls: dict[str, tuple[int, ToolCall]] = {}
        """The calls of the turn so far: id -> the index of the item, and the call."""
        self._signature: Signature | None = None
        """Google's signature in the last reasoning item, until the part that it belongs to is read."""

    def read(self) -> None:
        for number, item in enumerate(self._items):
            path = f"input[{number}]"
            match item:
                case schema.MessageItem(role="assistant"):
                    self._say(read_content(item, path, self._request.notes))
                case schema.MessageItem(role="user"):
                    self._end_turn()
                    add_parts(self._request.turns, "user", read_content(item, path, self._request.notes))
                case schema.MessageItem():
                    self._request.system += read_instructions(item, path, self._request.notes)
                case schema.CallItem():
                    self._call(item, number, path)
                case schema.OutputItem():
                    self._end_turn()
                case schema.ReasoningItem():
                    self._reason(item)
                case schema.ImageItem():
                    self._image(item, path)
                case schema.OtherItem():
                    self._other(item, path)
        self._end_turn()
        if numbers := sorted(number for left in self._outputs.values() for number, _ in left):
            raise InvalidRequest(
                "there is no function_call with this call_id before it", f"input[{numbers[0]}].call_id"
            )

    def _say(self, parts: list[Part]) -> None:
        """Adds parts to the model's turn."""
        if parts and self._signature:
            parts[0].signature = self._signature  # type: ignore[union-attr]
            self._signature = None
        add_parts(self._request.turns, "assistant", parts)

    def _call(self, item: schema.CallItem, number: int, path: str) -> None:
        id, in_id = signatures.split_id(item.call_id)
        if id in self._calls:
            raise InvalidRequest("two calls have the same id; each needs its own", f"{path}.call_id")
        call = ToolCall(id, item.name, read_arguments(item.arguments, f"{path}.arguments"), cache=item.cache)
        self._say([call])
        if in_id:
            call.signature = Signature("google", in_id)
        self._calls[id] = (number, call)

    def _reason(self, item: schema.ReasoningItem) -> None:
        signature = signatures.unsealed(item.encrypted_content or "")
        if signature is None:
            # Models cannot use thoughts without a signature.
            return
        self._place_signature()
        if signature.issuer == "google":
            self._signature = signature
        else:
            summary = "".join(part.text for part in item.summary or [])
            add_parts(self._request.turns, "assistant", [Thought(summary, signature)])

    def _image(self, item: schema.ImageItem, path: str) -> None:
        if item.result:
            mime_type = media.mime_type_of(item.output_format or "png") or "image/png"
            self._say([Media(mime_type, data=media.base64_of(item.result, f"{path}.result"))])

    def _other(self, item: schema.OtherItem, path: str) -> None:
        if item.type in (None, "item_reference"):
            raise InvalidRequest("nothing is stored here: send the item itself", path)
        if item.type not in schema.SKIPPED:
            raise InvalidRequest(
                "unknown type; write a message, function_call, function_call_output or reasoning", f"{path}.type"
            )
        if item.type != "web_search_call":
            # A web_search_call is not named as dropped: what it found is in the text after it.
            self._request.notes.drop(path)

    def _place_signature(self) -> None:
        """Adds an empty text for a signature that no part has come for."""
        if self._signature:
            self._say([Text("")])

    def _end_turn(self) -> None:
        """Ends the model's turn, and adds the turn with the results of its calls. Raises InvalidRequest if one is
        missing."""
        self._place_signature()
        results: list[Part] = []
        for id, (number, call) in self._calls.items():
            behind = [output for output in self._outputs.get(id, ()) if output[0] > number]
            if not behind:
                raise InvalidRequest(
                    "a function_call must be followed by a function_call_output with its call_id", f"input[{number}]"
                )
            self._outputs[id].remove(behind[0])
            place, item = behind[0]
            output = read_parts(item.output, f"input[{place}].output", self._request.notes)
            results.append(read_result(call, output, item.cache))
        self._calls = {}
        add_parts(self._request.turns, "user", results)
