"""What each family of Claude models can and cannot do.

Sources: Anthropic's overview of models, its pages on extended thinking, adaptive thinking and effort, and its pages on
what is new in each model, which name what a model no longer takes.
"""

import re
from typing import NamedTuple

from addons.translation.conversation import Effort


class Family(NamedTuple):
    """What the models of a family can do. The defaults are the newest family's."""

    most_tokens: int = 128000
    """Tokens of an answer, thoughts among them (overview of models)."""
    takes_budgets: bool = False
    """Whether it takes a budget of tokens to think with: `thinking.type: enabled` (page on extended thinking)."""
    takes_efforts: bool = True
    """Whether it takes `thinking.type: adaptive`, where the model decides how long to think, guided by
    `output_config.effort` (pages on adaptive thinking and effort: from Claude 4.6)."""
    efforts: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
    """The efforts that it takes, the lowest first (page on effort: `max` from Claude 4.6, `xhigh` from Opus 4.7)."""
    thinks_unasked: bool = True
    """Whether it thinks if the request does not mention thinking (what is new in Claude 5)."""
    stops_with: str | None = None
    """The `thinking.type` that turns its thinking off: `disabled` (Claude 5, Haiku 5.5), or most of it: `between_tools`
    (what is new in Sonnet 5.5). None: there is none (what is new in Opus 5.5)."""
    takes_sampling: bool = False
    """Whether it takes `temperature`, `top_p` and `top_k`: not from Opus 4.7 on (what is new in Opus 4.7)."""
    takes_prefill: bool = False
    """Whether the last message may be the assistant's, which it then continues: not from Claude 4.6 on (what is new in
    Claude 4.6)."""
    takes_forced_calls: bool = False
    """Whether `tool_choice` may be `any` or `tool`: not from Opus 5.5 and Sonnet 5.5 on (what is new in these)."""


NEWEST = Family()
_UNTIL_4_5 = Family(
    takes_efforts=False, thinks_unasked=False, takes_sampling=True, takes_prefill=True, takes_forced_calls=True
)
_CLAUDE_4_6 = _UNTIL_4_5._replace(takes_efforts=True, efforts=("low", "medium", "high", "max"), takes_prefill=False)
_CLAUDE_4_7 = _CLAUDE_4_6._replace(efforts=Family().efforts, takes_sampling=False)
_CLAUDE_5 = Family(stops_with="disabled", takes_forced_calls=True)
_TUNED = Family(most_tokens=4096, takes_efforts=False, thinks_unasked=False)
"""A tuned model of the project, known by a number only: it gets only what every family takes."""

FAMILIES = {
    r"claude-3-(?:opus|sonnet|haiku)": _UNTIL_4_5._replace(most_tokens=4096),
    r"claude-3-5": _UNTIL_4_5._replace(most_tokens=8192),
    r"claude-3-7": _UNTIL_4_5._replace(most_tokens=64000, takes_budgets=True),
    r"claude-opus-4-6": _CLAUDE_4_6,
    r"claude-sonnet-4-6": _CLAUDE_4_6._replace(most_tokens=64000),
    r"claude-\w+-4-[789]": _CLAUDE_4_7,
    r"claude-opus-4-5|claude-(?:sonnet|haiku)-4": _UNTIL_4_5._replace(most_tokens=64000, takes_budgets=True),
    r"claude-opus-4": _UNTIL_4_5._replace(most_tokens=32000, takes_budgets=True),
    r"claude-haiku-5-5": Family(stops_with="disabled"),
    r"claude-sonnet-5-5": Family(stops_with="between_tools"),
    r"claude-(?:opus|sonnet|haiku)-5(?!-\d\b)": _CLAUDE_5,
    r"\d+$": _TUNED,
    r"": NEWEST,
}
"""How the name of a model begins, as a regular expression -> its family. The first match counts. A name that matches
no other row is treated as one of the newest models."""


def family_of(model: str) -> Family:
    """The family of a model, by its name without publisher and path: `claude-sonnet-4-5@20250929`."""
    return next(family for beginning, family in FAMILIES.items() if re.match(beginning, model))
