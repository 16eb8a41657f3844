"""What a conversion leaves out without a word: members of a client's body that change neither what the service gets nor
what the client is told."""

import copy
import json
import re
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from addons.translation.anthropic.write_request import write_request as for_claude
from addons.translation.conversation import Request
from addons.translation.conversation import Written
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.write_request import write_request as for_gemini
from addons.translation.openai_chat.write_request import write_request as for_openai

Json = dict[str, Any]
Place = tuple[str | int, ...]

SERVICES: dict[str, Callable[[Request], Written]] = {
    "gemini-2.5-flash": for_gemini,
    "gemini-3-flash-preview": for_gemini,
    "claude-sonnet-4-5": for_claude,
    "claude-opus-5-5": for_claude,
    "mistral-medium-3": for_openai,
}
"""Models, and how requests for them are written."""
MEANS_NOTHING = re.compile(
    r".*\.(?:id|index|status)"
    r"|input\[\d+\]\.(?:type|role|max_output_length)"
    r"|.*\.(?:images|tool_calls|summary)\[\d+\]\.type"
    r"|.*\.extra_content\.(?:google\.)?x_unheard_of"
    r"|.*\.(?:prompt_cache_breakpoint\.mode|environment\.type|namespace)"
    r"|.*format\.(?:json_schema\.)?strict"
    r"|n|logprobs|stream|stream_options\.include_usage|audio\.format|reasoning\.summary"
)
"""Members that may be missing: ids of items, types that follow from the place, values that are the default. `logprobs`
stands beside `top_logprobs`, a namespace beside a name that only it has; a summary of thoughts comes with any effort;
whether there is a stream stands in the path. Each service is held to a schema for answers, `strict` or not."""
JSON_OF_THE_CLIENT = frozenset({"parameters", "schema", "labels", "metadata", "arguments"})
"""Members with JSON of the client's own."""


def places(value: object, place: Place = ()) -> Iterator[Place]:
    """Every object in a body, and every member of these."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, one in inner:
        yield (*place, step)
        if step not in JSON_OF_THE_CLIENT:
            yield from places(one, (*place, step))


def at(body: Json, place: Place) -> Any:
    value: Any = body
    for step in place:
        value = value[step]
    return value


def path_of(place: Place) -> str:
    """`messages[0].name`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def converted(read: Callable[[Json], Request], body: Json, model: str) -> tuple[Any, ...]:
    """What the service gets and what the client is told; what is wrong if the request is refused."""
    try:
        request = read(copy.deepcopy(body) | {"model": model})
        request.model = model
        written = SERVICES[model](request)
    except InvalidRequest as e:
        return e.message, e.param
    sent = json.dumps([written.body, written.headers], sort_keys=True)
    # Where a note names a place, another one may take over when this one is gone: only what it names counts.
    return sent, sorted(written.notes.dropped), sorted(written.notes.assumed)


def is_named(path: str, names: list[str]) -> bool:
    """Whether a note names a path, or what it is part of: `input[1]` for `input[1].name`. Caches are named without
    their path."""
    caches = ("cache_control", "prompt_cache_breakpoint")
    if any(name in names and f".{name}" in path for name in caches):
        return True
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in names)


def unheard(read: Callable[[Json], Request], body: Json, model: str) -> set[str]:
    """Paths of the members of `body` that could as well be missing, and of the objects in it to which a member can be
    added that nobody knows."""
    whole = converted(read, body, model)
    assert len(whole) == 3, whole
    names = [*whole[1], *(one.partition("=")[0] for one in whole[2])]
    found: set[str] = set()
    for place in places(body):
        less = copy.deepcopy(body)
        del at(less, place[:-1])[place[-1]]
        if isinstance(place[-1], str) and converted(read, less, model) == whole:
            found.add(path_of(place))
        if isinstance(at(body, place), dict) and place[-1] not in JSON_OF_THE_CLIENT:
            more = copy.deepcopy(body)
            at(more, place)["x_unheard_of"] = "x"
            if converted(read, more, model) == whole:
                found.add(path_of((*place, "x_unheard_of")))
    return {path for path in found if not is_named(path, names) and not MEANS_NOTHING.fullmatch(path)}
