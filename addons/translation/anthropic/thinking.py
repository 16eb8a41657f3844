"""How Claude is told to think: with a budget, with an effort, or not at all, as its family takes it.

Sources: Anthropic's pages on extended thinking, adaptive thinking and effort.
"""

from typing import NamedTuple

from addons.translation.anthropic.answer_tool import answer_tool_of
from addons.translation.anthropic.answer_tool import requires_call
from addons.translation.anthropic.families import Family
from addons.translation.anthropic.messages import Message
from addons.translation.conversation import Effort
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Thinking

BUDGETS: dict[Effort, int] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 16384}
"""Effort -> tokens to think with. Anthropic names none; these are ours, but for the least one."""
LEAST_BUDGET = 1024
"""Tokens, the least `thinking.budget_tokens` (page on extended thinking)."""
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
"""Types of blocks."""


class WrittenThinking(NamedTuple):
    """What a request says of thinking, and what comes of it."""

    members: Json
    """Members of the body."""
    on: bool
    """Whether the model will think."""
    budget: int = 0
    """Tokens, where it is told how many."""


def write_thinking(request: Request, family: Family, messages: list[Message]) -> WrittenThinking:
    """`messages` are those of the request, as they are written. Its notes get what is dropped or assumed."""
    asked = request.thinking or Thinking()
    off = asked.is_off
    # Who thinks cannot be made to call a tool.
    must_call = family.takes_forced_calls and (requires_call(request) or answer_tool_of(request) is not None)
    if not off and (asked.effort or asked.budget is not None or asked.include):
        if family.takes_efforts:
            return WrittenThinking(_adaptive(asked), on=True)
        if family.takes_budgets and _may_think(messages):
            budget = _budget(asked, family, request.notes)
            if asked.include is False:
                request.notes.dropped.append(request.named("include", asked.param))
            return WrittenThinking({"thinking": {"type": "enabled", "budget_tokens": budget}}, on=True, budget=budget)
        request.notes.dropped.append(asked.param)
    elif family.thinks_unasked and family.stops_with and (off or must_call):
        return WrittenThinking({"thinking": {"type": family.stops_with}}, on=family.stops_with != "disabled")
    elif family.thinks_unasked and off:
        return WrittenThinking({"output_config": {"effort": "low"}}, on=True)
    return WrittenThinking({}, on=family.thinks_unasked)


def _adaptive(asked: Thinking) -> Json:
    """Members of a body, for a family that takes efforts."""
    # Newer models leave the text of their thoughts out unless they are asked for it.
    display = "omitted" if asked.include is False else "summarized"
    members: Json = {"thinking": {"type": "adaptive", "display": display}}
    if effort := asked.as_effort:
        members["output_config"] = {"effort": "low" if effort == "minimal" else effort}
    return members


def _budget(asked: Thinking, family: Family, notes: Notes) -> int:
    """Tokens to think with: as many as are asked for, within what Claude takes, with room for an answer behind."""
    given = asked.budget if asked.budget is not None and asked.budget > 0 else None
    budget = given or BUDGETS[asked.effort or "medium"]
    budget = max(LEAST_BUDGET, min(budget, family.most_tokens - LEAST_BUDGET))
    if budget != given and not asked.effort:
        notes.assumed.append(f"{asked.param}={budget}")
    return budget


def _may_think(messages: list[Message]) -> bool:
    """Whether thinking with a budget may be asked for: not where the last turn is the assistant's, and behind results
    of calls only if the turn that made the calls began with a thought (page on extended thinking)."""
    first = None
    for message in reversed(messages):
        if message.role == "assistant":
            first = message
        elif not any(block["type"] == "tool_result" for block in message.content):
            break
    return messages[-1].role == "user" and (first is None or first.content[0]["type"] in _THOUGHTS)
