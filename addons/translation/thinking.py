"""Which Gemini thinks how: the generations take budgets or levels, never both, and not all of either.

Sources: Google's pages on thinking and on its OpenAI endpoint (effort to budget), release notes of the models.
"""

import re
from typing import NamedTuple

from addons.translation.conversation import Effort
from addons.translation.conversation import Json
from addons.translation.conversation import Thinking


class Family(NamedTuple):
    name: re.Pattern[str]
    generation: int
    """0 if that is not known."""
    budgets: tuple[int, int] | None = None
    """The least and the most that may be asked for, in tokens."""
    can_stop: bool = False
    """Whether a budget of 0 turns thinking off."""
    levels: tuple[str, ...] = ()


def _family(name: str, generation: int, **how: object) -> Family:
    return Family(re.compile(name), generation, **how)  # type: ignore[arg-type]


_ALL = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
FAMILIES = (
    _family(r"gemini-2\.5-flash-image", 2),
    _family(r"gemini-2\.5-.*(?:live|tts|native-audio)|gemini-live-2\.5", 2),
    _family(r"gemini-2\.5-pro", 2, budgets=(128, 32768)),
    _family(r"gemini-2\.5-flash-lite", 2, budgets=(512, 24576), can_stop=True),
    _family(r"gemini-2\.5-", 2, budgets=(1, 24576), can_stop=True),
    _family(r"gemini-(?:1\.|2\.0)", 2),
    _family(r"gemini-3-pro-image", 3),
    _family(r"gemini-3\.1-flash-image", 3, levels=("MINIMAL", "HIGH")),
    _family(r"gemini-3-pro", 3, levels=("LOW", "HIGH")),
    _family(r"gemini-3\.\d+-pro", 3, levels=("LOW", "MEDIUM", "HIGH")),
    _family(r"gemini-3\.7-flash", 3, levels=("LOW", "MEDIUM", "HIGH")),
    _family(r"gemini-3(?:\.\d+)?-flash", 3, levels=_ALL),
    _family(r"gemini-(?:[3-9]|\d\d)|gemini-(?:pro|flash|flash-lite)-latest", 3, levels=("LOW", "MEDIUM", "HIGH")),
    _family(r"", 0),
)
"""The first whose name begins a model's."""

BUDGETS: dict[Effort, int] = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Effort -> tokens, as Google's OpenAI endpoint has it."""
_RANKS: tuple[Effort, ...] = ("minimal", "low", "medium", "high")


def family_of(model: str) -> Family:
    return next(family for family in FAMILIES if family.name.match(model))


def thinking_config(thinking: Thinking, family: Family) -> Json | None:
    """Gemini's `thinkingConfig`; None if the family takes none."""
    if not family.budgets and not family.levels:
        return None
    off = thinking.effort == "none" or thinking.budget == 0
    config: Json = {}
    if family.levels:
        if (effort := thinking.effort or effort_of(thinking.budget)) is not None:
            config["thinkingLevel"] = _level(effort, family.levels)
    elif family.budgets:
        budget = thinking.budget if thinking.budget is not None else thinking.effort and BUDGETS[thinking.effort]
        if isinstance(budget, int):
            config["thinkingBudget"] = _within(budget, family)
    asked = thinking.effort is not None or thinking.budget is not None
    if not off and (thinking.include or (asked and thinking.include is None)):
        config["includeThoughts"] = True
    elif thinking.include is False:
        config["includeThoughts"] = False
    return config or None


def settle(config: object, family: Family) -> str | None:
    """Of a `thinkingConfig` with both a budget and a level, which Google refuses, leave what the family takes.
    Returns the name of what is gone."""
    if not isinstance(config, dict) or not {"thinkingBudget", "thinkingLevel"} <= config.keys():
        return None
    name, gone = ("thinkingBudget", "thinking_budget") if family.levels else ("thinkingLevel", "thinking_level")
    del config[name]
    return gone


def _within(budget: int, family: Family) -> int:
    assert family.budgets
    if budget < 0 or (budget == 0 and family.can_stop):
        return max(budget, -1)
    least, most = family.budgets
    return min(max(budget, least), most)


def effort_of(budget: int | None) -> Effort | None:
    """What a budget amounts to where only levels are taken; None leaves it to the model."""
    if budget is None or budget < 0:
        return None
    return next((effort for effort in ("none", "low", "medium") if budget <= BUDGETS[effort]), "high")


def _level(effort: Effort, levels: tuple[str, ...]) -> str:
    """The level of that name, else the next higher one."""
    if effort == "none":
        return levels[0]
    higher = (name.upper() for name in _RANKS[_RANKS.index(effort) :])
    return next((level for level in higher if level in levels), levels[-1])
