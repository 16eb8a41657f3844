"""Writes a request's settings of thinking for Gemini: a budget of tokens or a level, whichever the model takes.

Sources: Google's pages on thinking and on OpenAI compatibility.
"""

from addons.translation.conversation import BUDGETS_OF_EFFORTS
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Thinking
from addons.translation.gemini.families import Family

BUDGETS = BUDGETS_OF_EFFORTS | {"minimal": 1024, "high": 24576}
"""Effort -> tokens to think with (Google's page on OpenAI compatibility)."""
_RANKS = ("minimal", "low", "medium", "high", "xhigh", "max")
"""Efforts, the lowest first."""


def thinking_config(thinking: Thinking, family: Family, notes: Notes) -> Json | None:
    """The `thinkingConfig` of a request. None if the client sets nothing, or the family takes none. An effort that the
    family does not have, in whose place it gets another, is added to the notes."""
    if not family.budgets and not family.levels:
        return None
    config: Json = {}
    if family.levels:
        if (effort := thinking.as_effort) is not None:
            config["thinkingLevel"] = level = _level(effort, family.levels)
            if thinking.effort and level.lower() != effort:
                notes.assumed.append(f"{thinking.effort_param}={level.lower()}")
    elif family.budgets:
        effort = thinking.effort
        budget = thinking.budget if thinking.budget is not None else effort and BUDGETS.get(effort, BUDGETS["high"])
        if isinstance(budget, int):
            config["thinkingBudget"] = fitting = _budget_within(budget, family)
            if thinking.effort == "none" and fitting:
                notes.assumed.append(f"{thinking.effort_param}={fitting}")
            if thinking.effort and thinking.effort not in BUDGETS:
                notes.assumed.append(f"{thinking.effort_param}=high")
    asked = thinking.effort is not None or thinking.budget is not None
    if not thinking.is_off and (thinking.include or (asked and thinking.include is None)):
        config["includeThoughts"] = True
    elif thinking.include is False:
        config["includeThoughts"] = False
    return config or None


def drop_budget_or_level(config: object, family: Family) -> str | None:
    """If a `thinkingConfig` has both `thinkingBudget` and `thinkingLevel`, which Google refuses, removes the one that
    the family does not take. Returns the name of the removed one in snake_case: `thinking_level`; else None."""
    if not isinstance(config, dict) or not {"thinkingBudget", "thinkingLevel"} <= config.keys():
        return None
    name, gone = ("thinkingBudget", "thinking_budget") if family.levels else ("thinkingLevel", "thinking_level")
    del config[name]
    return gone


def _budget_within(budget: int, family: Family) -> int:
    """The nearest budget that the family takes. A budget of -1 is kept: the model decides."""
    assert family.budgets
    if budget < 0 or (budget == 0 and family.stops_at_zero):
        return max(budget, -1)
    least, most = family.budgets
    return min(max(budget, least), most)


def _level(effort: str, levels: tuple[str, ...]) -> str:
    """The level with the name of the effort, else the next higher one, else the highest."""
    if effort == "none":
        return levels[0]
    higher = (name.upper() for name in _RANKS[_RANKS.index(effort) :])
    return next((level for level in higher if level in levels), levels[-1])
