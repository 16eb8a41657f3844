"""What each family of Gemini models can and cannot do.

Sources: Google's pages on thinking, thought signatures, function calling and media resolution, and the error messages
that are quoted here.
"""

import re
from typing import Literal
from typing import NamedTuple


class Family(NamedTuple):
    """What the models of a family can do. The defaults are the newest family's."""

    takes_call_ids: bool = True
    """Whether `functionCall` and `functionResponse` may have an `id`. Gemini 3 gives every call one (Google's page on
    function calling). On Vertex AI, older models answer 400 if there is one, as LiteLLM found."""
    media_in_results: bool = True
    """Whether a `functionResponse` may have `parts` with media (Google's page on function calling: from Gemini 3)."""
    needs_signatures: bool = True
    """Whether a request must have the thought signature of the first call in each turn of the model; without it, the
    answer is 400 (Google's page on thought signatures: from Gemini 3)."""
    search_with_functions: bool = True
    """Whether a request may have both Google's search tools and functions. Before Gemini 3 the answer is 400, "Tool use
    with function calling is unsupported"."""
    json_with_functions: bool = True
    """Whether a request may have functions and ask for JSON. Before Gemini 3 the answer is 400, "Function calling with
    a response mime type: 'application/json' is unsupported"."""
    resolution_per: Literal["part", "request"] | None = "part"
    """Where a `mediaResolution` can stand: in each part (from Gemini 3), or once in a request (Google's page on media
    resolution). None: it is unknown whether the model takes one."""
    budgets: tuple[int, int] | None = None
    """The least and the most tokens of a `thinkingBudget` (Google's page on thinking). None: it takes no budget."""
    stops_at_zero: bool = False
    """Whether a `thinkingBudget` of 0 turns thinking off (Google's page on thinking)."""
    levels: tuple[str, ...] = ("LOW", "MEDIUM", "HIGH")
    """The values of `thinkingLevel` that it takes, the lowest first (Google's page on thinking). Empty: it takes none.
    No family takes both budgets and levels."""


NEWEST = Family()
_BEFORE_3 = Family(
    takes_call_ids=False,
    media_in_results=False,
    needs_signatures=False,
    search_with_functions=False,
    json_with_functions=False,
    resolution_per="request",
    levels=(),
)
_TUNED = _BEFORE_3._replace(json_with_functions=True, resolution_per=None)
"""A tuned model of the project, known by a number only: it gets only what every family takes. An exception is JSON with
functions: it is unknown whether tuned models take that."""
_ALL_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")

FAMILIES = {
    r"gemini-2\.5-flash-image": _BEFORE_3,
    r"gemini-2\.5-.*(?:live|tts|native-audio)|gemini-live-2\.5": _BEFORE_3,
    r"gemini-2\.5-pro": _BEFORE_3._replace(budgets=(128, 32768)),
    r"gemini-2\.5-flash-lite": _BEFORE_3._replace(budgets=(512, 24576), stops_at_zero=True),
    r"gemini-2\.5-": _BEFORE_3._replace(budgets=(1, 24576), stops_at_zero=True),
    r"gemini-(?:1\.|2\.0|robotics-er-1\.5)": _BEFORE_3,
    r"gemini-3-pro-image": Family(levels=()),
    r"gemini-3\.1-flash-image": Family(levels=("MINIMAL", "HIGH")),
    r"gemini-3-pro": Family(levels=("LOW", "HIGH")),
    r"gemini-3(?:\.[1-6])?-flash": Family(levels=_ALL_LEVELS),
    r"\d+$": _TUNED,
    r"": NEWEST,
}
"""How the name of a model begins, as a regular expression -> its family. The first match counts. A name that matches
no other row is treated as one of the newest models."""


def family_of(model: str) -> Family:
    """The family of a model, by its name without publisher and path: `gemini-2.5-flash`."""
    return next(family for beginning, family in FAMILIES.items() if re.match(beginning, model))
