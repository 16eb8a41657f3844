"""Contents for Gemini: writes the turns of a conversation, in the order that Google takes.

Sources: Google's pages on function calling, on thought signatures and on each model; the error messages that are quoted
here.
"""

from addons.translation import signatures
from addons.translation.conversation import CONTINUE
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.families import Family
from addons.translation.gemini.parts import stands_in_result
from addons.translation.gemini.parts import write_media
from addons.translation.gemini.parts import write_part


def write_contents(request: Request, family: Family) -> list[Json]:
    """The contents of a request. What is put before or behind them is added to `request.notes`. Raises InvalidRequest
    if nothing is left for Gemini."""
    # If there are only instructions, they become the user's turn: Gemini needs one.
    turns = request.turns or [Turn("user", list(request.system))]
    contents: list[Json] = []
    for turn in turns:
        if turn.role == "user":
            contents += _user_contents(turn.parts, family)
        elif parts := _model_parts(turn.parts, family):
            contents.append({"role": "model", "parts": parts})
    path = request.named("turns", "messages")
    if not contents:
        raise InvalidRequest("the conversation has only thoughts of another model; write a text", path)
    _add_user(contents, family, path, request.notes.assumed)
    return contents


def _add_user(contents: list[Json], family: Family, path: str, assumed: list[str]) -> None:
    """Puts a content of the user before and behind the contents if Google wants one there. Its errors say: "Please
    ensure that function call turn comes immediately after a user turn", and "Requests ending with a model turn are not
    supported"."""
    said: Json = {"role": "user", "parts": [{"text": CONTINUE}]}
    if contents[0]["role"] == "model":
        contents.insert(0, said)
        assumed.append(f"{path}[0]={CONTINUE}")
    if contents[-1]["role"] == "model" and not family.takes_last_word:
        contents.append(said)
        assumed.append(f"{path}[-1]={CONTINUE}")


def _user_contents(parts: list[Part], family: Family) -> list[Json]:
    """The contents of a user turn: one, or two if it has function results and other parts. Gemini wants function
    results in a content of their own: from 3.6 on it takes other parts beside them for a turn of the model."""
    results = [part for part in parts if isinstance(part, ToolResult)]
    # Media that cannot stand in their result go into the second content.
    outside = [
        medium
        for result in results
        if not result.google
        for medium in result.media
        if not stands_in_result(medium, family)
    ]
    rest = [write_media(medium, family) for medium in outside]
    rest += [write_part(part, family) for part in parts if isinstance(part, Text | Media)]
    contents: list[Json] = []
    if results:
        contents.append({"role": "user", "parts": [write_part(result, family) for result in results]})
    if rest:
        contents.append({"role": "user", "parts": rest})
    return contents


def _model_parts(parts: list[Part], family: Family) -> list[Json]:
    """The parts of a turn of the model. Thoughts are among them only if a Gemini client sent them. If the first call
    has lost its signature, it gets a value that Google accepts instead: Google asks for that one only. There are no
    parts if the turn has only white space, or only Claude's thoughts; it is then left out."""
    if not any(_says_something(part) for part in parts):
        return []
    first = next((part for part in parts if isinstance(part, ToolCall)), None)
    return [
        write_part(part, family, signatures.MISSING if family.needs_signatures and part is first else None)
        for part in parts
        if isinstance(part, Text | Media | ToolCall) or part.google
    ]


def _says_something(part: Part) -> bool:
    """Whether a part of the model's is worth a turn."""
    return not isinstance(part, Text) or bool(part.text.strip() or part.signature or part.google)
