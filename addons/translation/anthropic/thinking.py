"""Writes a request's settings of thinking for Claude: a budget, an effort or nothing, whichever the model takes.

Sources: Anthropic's pages on extended thinking, adaptive thinking and effort.
"""

from typing import NamedTuple

from addons.translation.anthropic.answer_tool import answer_tool_of
from addons.translation.anthropic.answer_tool import requires_call
from addons.translation.anthropic.families import Family
from addons.translation.anthropic.messages import Message
from addons.translation.conversation import EFFORTS_BY_RANK
from addons.translation.conversation import Effort
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Thinking

BUDGETS: dict[Effort, int] = {"medium": 8192, "high": 16384}
"""Effort -> tokens to think with; a lower effort gets the least. Anthropic gives no such numbers: these are ours."""
LEAST_BUDGET = 1024
"""The least `thinking.budget_tokens` (page on extended thinking)."""
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
"""Types of blocks that hold thoughts."""


class WrittenThinking(NamedTuple):
    """Settings of thinking for Claude."""

    members: Json
    """Members of the request's body."""
    on: bool
    """Whether the model will think."""
    budget: int = 0
    """Tokens to think with; 0 if no budget is given."""


def write_thinking(request: Request, family: Family, messages: list[Message]) -> WrittenThinking:
    """The settings for a model of `family`. `messages` are those that were written for the request. What is dropped or
    assumed is added to `request.notes`."""
    asked = request.thinking or Thinking()
    off = asked.is_off
    # A model that thinks cannot be made to call a tool.
    must_call = family.takes_forced_calls and (requires_call(request) or answer_tool_of(request) is not None)
    if not off and (asked.effort or asked.budget is not None or asked.include):
        if family.takes_efforts:
            return WrittenThinking(_adaptive(asked, family, request.notes), on=True)
        if family.takes_budgets and _may_think(messages):
            budget = _budget(asked, family, request.notes)
            if asked.include is False:
                request.notes.dropped.append(request.named("include", asked.param))
            return WrittenThinking({"thinking": {"type": "enabled", "budget_tokens": budget}}, on=True, budget=budget)
        request.notes.dropped.append(asked.param)
    elif family.thinks_unasked and family.stops_with and (off or must_call):
        return WrittenThinking({"thinking": {"type": family.stops_with}}, on=family.stops_with != "disabled")
    elif family.thinks_unasked and off:
        if asked.effort:
            request.notes.assumed.append(f"{asked.effort_param}=low")
        return WrittenThinking({"output_config": {"effort": "low"}}, on=True)
    return WrittenThinking({}, on=family.thinks_unasked)


def _adaptive(asked: Thinking, family: Family, notes: Notes) -> Json:
    """Members of the body for a family that takes efforts. An effort that it does not have becomes the next lower one,
    `minimal` the lowest; both are added to the notes."""
    # Newer models omit the text of their thoughts by default.
    display = "omitted" if asked.include is False else "summarized"
    members: Json = {"thinking": {"type": "adaptive", "display": display}}
    if effort := asked.as_effort:
        lower = [one for one in family.efforts if EFFORTS_BY_RANK.index(one) <= EFFORTS_BY_RANK.index(effort)]
        fitting = lower[-1] if lower else family.efforts[0]
        members["output_config"] = {"effort": fitting}
        if asked.effort and fitting != asked.effort:
            notes.assumed.append(f"{asked.effort_param}={fitting}")
    return members


def _budget(asked: Thinking, family: Family, notes: Notes) -> int:
    """Tokens to think with: as many as the client wants, within Claude's limits, with room left for the answer."""
    given = asked.budget if asked.budget is not None and asked.budget > 0 else None
    effort = asked.effort or "medium"
    if effort in ("xhigh", "max"):
        effort = "high"
        notes.assumed.append(f"{asked.effort_param}={effort}")
    budget = given or BUDGETS.get(effort, LEAST_BUDGET)
    budget = max(LEAST_BUDGET, min(budget, family.most_tokens - LEAST_BUDGET))
    if budget != given and not asked.effort:
        notes.assumed.append(f"{asked.param}={budget}")
    return budget


def _may_think(messages: list[Message]) -> bool:
    """Whether these messages allow thinking with a budget. The last message must be the user's. If it has tool results,
    the assistant's turn with the calls must begin with a thought (page on extended thinking)."""
    first = None
    for message in reversed(messages):
        if message.role == "assistant":
            first = message
        elif not any(block["type"] == "tool_result" for block in message.content):
            break
    return messages[-1].role == "user" and (first is None or first.content[0]["type"] in _THOUGHTS)
