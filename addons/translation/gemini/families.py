"""What each family of Gemini models can and cannot do.

Sources: Google's pages on each model, on thinking, thought signatures, function calling, structured output, speech and
media resolution, and the error messages that are quoted here.
"""

import re
from typing import Literal
from typing import NamedTuple

Modality = Literal["text", "image", "audio"]


class Family(NamedTuple):
    """What the models of a family can do. The defaults are the newest family's: what any new model refuses is False."""

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
    takes_functions: bool = True
    """Whether it calls functions. Models of images and of speech answer 400, "Function calling is not enabled for this
    model"."""
    takes_instructions: bool = True
    """Whether a request may have a `systemInstruction`. Models of speech answer 400, "Developer instruction is not
    enabled for this model"."""
    takes_json: bool = True
    """Whether a request may ask for JSON. Models of speech, and of images before Gemini 3, answer 400, "JSON mode is
    not enabled for this model"."""
    json_with_tools: bool = True
    """Whether a request may ask for JSON beside functions or tools of the server. Before Gemini 3 the answer is 400,
    "Function calling with a response mime type: 'application/json' is unsupported"; likewise for "Tool use"."""
    takes_last_word: bool = False
    """Whether the last content may be the model's, which it then continues. From Gemini 3.5 Flash-Lite on the answer is
    400, "Requests ending with a model turn are not supported" (Google's pages on 3.5 Flash-Lite and 3.6 Flash)."""
    takes_sampling: bool = False
    """Whether `temperature`, `topP` and `topK` change anything. From Gemini 3.5 Flash-Lite on, values of the client are
    ignored (Google's pages on 3.5 Flash-Lite and 3.6 Flash). Models of speech ignore them, or answer 400 from 3.8 on
    (Google's page on migrating to Gemini 3.8 TTS)."""
    takes_penalties: bool = False
    """Whether it takes penalties. From Gemini 3 on the answer is 400, "Penalty is not enabled for this model"."""
    takes_logprobs: bool = False
    """Whether it gives log probabilities. From Gemini 3 on the answer is 400, "Logprobs is not supported for this
    model"."""
    gives: tuple[Modality, ...] | None = None
    """The modalities that an answer has. With others the answer is 400, "The requested combination of response
    modalities is not supported by the model". None: it is unknown, and the client's wish is sent as it is."""
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
    json_with_tools=False,
    takes_last_word=True,
    takes_sampling=True,
    takes_penalties=True,
    takes_logprobs=True,
    resolution_per="request",
    levels=(),
)
_TEXT_BEFORE_3 = _BEFORE_3._replace(gives=("text",))
_ALL_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_GEMINI_3 = Family(takes_last_word=True, takes_sampling=True, gives=("text",))
"""Gemini 3, 3.1 and 3.5 Flash."""
_GEMINI_3_IMAGE = _GEMINI_3._replace(gives=("text", "image"), takes_functions=False)
_TUNED = _BEFORE_3._replace(takes_last_word=False, takes_penalties=False, takes_logprobs=False, resolution_per=None)
"""A tuned model of the project, known by a number only: it gets only what every family takes."""

_IMAGE_BEFORE_3 = _BEFORE_3._replace(
    gives=("text", "image"), takes_functions=False, takes_json=False, takes_penalties=False, takes_logprobs=False
)
_SPEECH = _IMAGE_BEFORE_3._replace(gives=("audio",), takes_instructions=False, takes_sampling=False)

FAMILIES = {
    r"gemini-[12]\.\d+-.*image": _IMAGE_BEFORE_3,
    r"gemini-.*-tts|gemini-tts": _SPEECH,
    r"gemini-2\.\d+-.*(?:live|native-audio)|gemini-live-2": _BEFORE_3,
    r"gemini-2\.5-pro": _TEXT_BEFORE_3._replace(budgets=(128, 32768)),
    r"gemini-2\.5-flash-lite": _TEXT_BEFORE_3._replace(budgets=(512, 24576), stops_at_zero=True),
    r"gemini-2\.5-": _TEXT_BEFORE_3._replace(budgets=(1, 24576), stops_at_zero=True),
    r"gemini-2\.0-flash-exp": _BEFORE_3,
    r"gemini-(?:1\.|2\.0|robotics-er-1\.5)": _TEXT_BEFORE_3,
    r"gemini-3-pro-image": _GEMINI_3_IMAGE._replace(levels=()),
    r"gemini-3\.1-flash-image": _GEMINI_3_IMAGE._replace(levels=("MINIMAL", "HIGH")),
    r"gemini-.*-image": NEWEST._replace(gives=("text", "image"), takes_functions=False, levels=()),
    r"gemini-3-pro": _GEMINI_3._replace(levels=("LOW", "HIGH")),
    r"gemini-3\.1-pro": _GEMINI_3,
    r"gemini-3\.5-flash-lite|gemini-3\.6-flash": NEWEST._replace(gives=("text",), levels=_ALL_LEVELS),
    r"gemini-3(?:\.[1-5])?-flash(?!.*live)": _GEMINI_3._replace(levels=_ALL_LEVELS),
    r"gemini-3\.[78]-flash(?!.*live)": NEWEST._replace(gives=("text",)),
    r"\d+$": _TUNED,
    r"": NEWEST,
}
"""How the name of a model begins, as a regular expression -> its family. The first match counts. A name that matches
no other row is treated as one of the newest models."""


def family_of(model: str) -> Family:
    """The family of a model, by its name, with or without publisher and path: `google/gemini-2.5-flash`."""
    name = model.rpartition("/")[2]
    return next(family for beginning, family in FAMILIES.items() if re.match(beginning, name))
