"""Writes a request's settings of thinking for Gemini: a budget of tokens or a level, whichever the model takes.

Sources: Google's pages on thinking and on OpenAI compatibility.
"""

from dataclasses import replace

from addons.translation.conversation import BUDGETS_OF_EFFORTS
from addons.translation.conversation import EFFORTS_BY_RANK
from addons.translation.conversation import Effort
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Thinking
from addons.translation.gemini.families import Family
from addons.translation.gemini.schema import LEVELS

BUDGETS = BUDGETS_OF_EFFORTS | {"minimal": 1024, "high": 24576}
"""Effort -> tokens to think with (Google's page on OpenAI compatibility)."""


def thinking_config(thinking: Thinking, family: Family, notes: Notes) -> Json | None:
    """The `thinkingConfig` of a request. None if the client sets nothing, or the family takes none. An effort or a
    budget that the family does not have, in whose place it gets another, is added to the notes."""
    if not family.budgets and not family.levels:
        return None
    config: Json = {}
    if family.levels:
        if (effort := thinking.as_effort) is not None:
            config["thinkingLevel"] = level = level_of(effort, family.levels)
            if thinking.effort and level.lower() != effort:
                notes.assumed.append(f"{thinking.effort_param}={level.lower()}")
            elif thinking.is_off:
                notes.assumed.append(f"{thinking.param}={level.lower()}")
    elif family.budgets:
        effort = thinking.effort
        budget = thinking.budget if thinking.budget is not None else effort and BUDGETS.get(effort, BUDGETS["high"])
        if isinstance(budget, int):
            config["thinkingBudget"] = fitting = _budget_within(budget, family)
            if effort == "none" and fitting:
                notes.assumed.append(f"{thinking.effort_param}={fitting}")
            if thinking.budget is None and effort and effort not in BUDGETS:
                notes.assumed.append(f"{thinking.effort_param}=high")
            if thinking.budget is not None and thinking.budget != fitting:
                notes.assumed.append(f"{thinking.param}={fitting}")
    asked = thinking.effort is not None or thinking.budget is not None
    if not thinking.is_off and (thinking.include or (asked and thinking.include is None)):
        config["includeThoughts"] = True
    elif thinking.include is False:
        config["includeThoughts"] = False
    return config or None


def beside_own(thinking: Thinking | None, own: object, notes: Notes) -> Thinking | None:
    """What a client wants of thinking beside `own`, a `thinkingConfig` in Google's words. If that has a budget or a
    level, it decides: the client's effort or budget is left out, and named in the notes."""
    if thinking is None or not isinstance(own, dict) or not own.keys() & {"thinkingBudget", "thinkingLevel"}:
        return thinking
    if thinking.effort:
        notes.drop(thinking.effort_param)
    elif thinking.budget is not None:
        notes.drop(thinking.param)
    return replace(thinking, effort=None, budget=None) if thinking.include is not None else None


def fit_config(config: object, family: Family, path: str, notes: Notes) -> None:
    """Changes a `thinkingConfig` in Google's words so that the family takes it, and adds to the notes what was changed.
    `path` is its path in the client's body. Google refuses a budget beside a level, a level that the model does not
    know, and any level before Gemini 3."""
    if not isinstance(config, dict) or not isinstance(level := config.get("thinkingLevel"), str):
        return
    if "thinkingBudget" in config and family.levels:
        del config["thinkingBudget"]
        notes.dropped.append(f"{path}.thinking_budget")
    if not family.levels:
        del config["thinkingLevel"]
        effort = LEVELS.get(level.upper())
        if "thinkingBudget" in config or not family.budgets or effort is None:
            notes.dropped.append(f"{path}.thinking_level")
        else:
            config["thinkingBudget"] = budget = _budget_within(BUDGETS[effort], family)
            notes.assumed.append(f"{path}.thinking_budget={budget}")
    elif level.upper() not in family.levels and (effort := LEVELS.get(level.upper())):
        config["thinkingLevel"] = fitting = level_of(effort, family.levels)
        notes.assumed.append(f"{path}.thinking_level={fitting}")


def level_of(effort: Effort, levels: tuple[str, ...]) -> str:
    """The level with the name of the effort, else the next higher one, else the highest."""
    higher = (name.upper() for name in EFFORTS_BY_RANK[EFFORTS_BY_RANK.index(effort) :])
    return next((level for level in higher if level in levels), levels[-1])


def _budget_within(budget: int, family: Family) -> int:
    """The nearest budget that the family takes. A budget of -1 is kept: the model decides."""
    assert family.budgets
    if budget < 0 or (budget == 0 and family.stops_at_zero):
        return max(budget, -1)
    least, most = family.budgets
    return min(max(budget, least), most)
