"""Reads the input items of a request for Responses into turns.

Source: OpenAI's API reference.
"""

from collections.abc import Sequence

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.client_tools import CUSTOM
from addons.translation.openai_chat.client_tools import INPUT
from addons.translation.openai_chat.client_tools import ToolNames
from addons.translation.openai_chat.parts import add_parts
from addons.translation.openai_chat.parts import read_arguments
from addons.translation.openai_chat.parts import read_content
from addons.translation.openai_chat.parts import read_instructions
from addons.translation.openai_chat.parts import read_parts
from addons.translation.openai_chat.parts import read_result
from addons.translation.openai_responses import schema
from addons.translation.openai_responses.client_calls import KINDS
from addons.translation.openai_responses.client_calls import KINDS_OF_ITEMS
from addons.translation.openai_responses.client_calls import arguments_of
from addons.translation.validation import NO_VALUE
from addons.translation.validation import is_finite


class History:
    """Reads input items into turns.

    The texts and calls of a model that follow one another are one turn. The results of its calls, wherever they come
    after it, are the next turn, in the order of the calls. Google's signature in a reasoning item belongs to the part
    that comes after that item.
    """

    def __init__(self, request: Request, items: Sequence[schema.Item], names: ToolNames) -> None:
        """`names` are the names of the functions that the client's tools become."""
        self._request = request
        self._items = items
        self._names = names
        self._outputs: dict[str, list[tuple[int, schema.Result]]] = {}
        """Id of a call -> the items with its results that are not read yet, each with its index in the input."""
        for number, item in enumerate(items):
            if isinstance(item, schema.Result) and not _is_no_result(item):
                self._outputs.setdefault(signatures.split_id(item.call)[0], []).append((number, item))
        self._calls: dict[str, tuple[int, ToolCall]] = {}
        """The calls of the turn so far: id -> the index of the item, and the call."""
        self._signature: Signature | None = None
        """Google's signature in the last reasoning item, until the part that it belongs to is read."""

    def read(self) -> None:
        for number, item in enumerate(self._items):
            path = f"input[{number}]"
            match item:
                case schema.MessageItem(role="assistant"):
                    said = read_content(item, path, self._request.notes)
                    if any(isinstance(part, Media) for part in said):
                        self._request.names.setdefault("media", f"{path}.content")
                    self._say(said)
                case schema.MessageItem(role="user"):
                    self._end_turn()
                    add_parts(self._request.turns, "user", read_content(item, path, self._request.notes))
                case schema.MessageItem():
                    self._request.system += read_instructions(item, path, self._request.notes)
                case schema.AgentMessageItem():
                    self._end_turn()
                    self._hear(item, path)
                case schema.CallItem():
                    tool = ClientTool("function", item.name, item.namespace)
                    self._call(item, tool, read_arguments(item.arguments, f"{path}.arguments"), number)
                case schema.CustomCallItem():
                    self._call(item, ClientTool(CUSTOM, item.name, item.namespace), {INPUT: item.input}, number)
                case schema.ActionItem():
                    name = KINDS_OF_ITEMS[item.type]
                    held = getattr(item, KINDS[name].member)
                    if not is_finite(held):
                        raise InvalidRequest(NO_VALUE, path)
                    self._call(item, ClientTool(name, name), arguments_of(KINDS[name], held), number)
                case schema.Result():
                    if not _is_no_result(item):
                        self._end_turn()
                case schema.ReasoningItem():
                    self._reason(item, path)
                case schema.ImageItem():
                    self._image(item, path)
                case schema.OtherItem():
                    self._other(item, path)
        self._end_turn()
        if numbers := sorted(number for left in self._outputs.values() for number, _ in left):
            raise InvalidRequest("there is no call with this call_id before it", f"input[{numbers[0]}].call_id")

    def _say(self, parts: list[Part]) -> None:
        """Adds parts to the model's turn."""
        if parts and self._signature:
            parts[0].signature = self._signature  # type: ignore[union-attr]
            self._signature = None
        add_parts(self._request.turns, "assistant", parts)

    def _hear(self, item: schema.AgentMessageItem, path: str) -> None:
        """Adds what another agent says, as a text of the user's."""
        encrypted = [number for number, part in enumerate(item.content) if part.encrypted_content]
        self._request.notes.drop(*(f"{path}.content[{number}]" for number in encrypted))
        text = "\n".join(part.text for part in item.content if part.text)
        if text:
            head = f"From {item.author}:\n" if item.author else ""
            add_parts(self._request.turns, "user", [Text(head + text)])

    def _call(
        self,
        item: schema.CallItem | schema.CustomCallItem | schema.ActionItem,
        tool: ClientTool,
        arguments: Json,
        number: int,
    ) -> None:
        id, in_id = signatures.split_id(item.call_id)
        if id in self._calls:
            raise InvalidRequest("two calls have the same id; each needs its own", f"input[{number}].call_id")
        call = ToolCall(id, self._names.called(tool), arguments, cache=item.cache)
        self._say([call])
        if in_id:
            call.signature = Signature("google", in_id)
        self._calls[id] = (number, call)

    def _reason(self, item: schema.ReasoningItem, path: str) -> None:
        signature = signatures.unsealed(item.encrypted_content or "")
        if signature is None:
            # Models cannot use thoughts without a signature.
            if item.summary or item.encrypted_content:
                self._request.notes.drop(path)
            return
        self._place_signature()
        if signature.issuer == "google":
            self._signature = signature
            self._request.names.setdefault("signatures", f"{path}.encrypted_content")
            if item.summary:
                # Gemini does not take thoughts back.
                self._request.notes.drop(f"{path}.summary")
        else:
            self._request.names.setdefault("thoughts", path)
            summary = "".join(part.text for part in item.summary or [])
            add_parts(self._request.turns, "assistant", [Thought(summary, signature)])

    def _image(self, item: schema.ImageItem, path: str) -> None:
        if item.result:
            mime_type = media.mime_type_of(item.output_format or "png") or "image/png"
            self._request.names.setdefault("media", path)
            self._say([Media(mime_type, data=media.base64_of(item.result, f"{path}.result"))])
        elif "result" not in item.model_fields_set:
            raise InvalidRequest(schema.IMAGE_REFERENCE, path)
        else:
            self._request.notes.drop(path)

    def _other(self, item: schema.OtherItem, path: str) -> None:
        if item.type in (None, "item_reference"):
            raise InvalidRequest(schema.REFERENCE, path)
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
                    "a call must be followed by an output with its call_id, such as a function_call_output",
                    f"input[{number}]",
                )
            self._outputs[id].remove(behind[0])
            place, item = behind[0]
            results.append(self._result(call, item, f"input[{place}]"))
        self._calls = {}
        add_parts(self._request.turns, "user", results)

    def _result(self, call: ToolCall, item: schema.Result, path: str) -> ToolResult:
        match item:
            case schema.OutputItem():
                output = read_parts(item.output, f"{path}.output", self._request.notes)
                return read_result(call, output, item.cache)
            case schema.ShellOutputItem():
                told: object = item.output
            case schema.PatchOutputItem():
                members = {"status": item.status, "output": item.output}
                told = {name: value for name, value in members.items() if value is not None}
            case schema.LoadedTools():
                told = {"tools": self._loaded(item)}
        if not is_finite(told):
            raise InvalidRequest(NO_VALUE, path)
        return ToolResult(call.id, call.name, told, cache=item.cache)

    def _loaded(self, item: schema.LoadedTools) -> list[str]:
        """The names of the functions that tools from a search became."""
        named: list[ClientTool] = []
        for tool in item.tools:
            group = tool.name if isinstance(tool, schema.NamespaceTool) else None
            for one in tool.tools if isinstance(tool, schema.NamespaceTool) else [tool]:
                if isinstance(one, schema.FlatFunctionTool | schema.FlatCustomTool):
                    named.append(ClientTool(one.type, one.name, group))
        return [self._names.of(tool) for tool in named]


def _is_no_result(item: schema.Result) -> bool:
    """Whether an item gives tools without a search."""
    return isinstance(item, schema.LoadedTools) and not item.call_id
