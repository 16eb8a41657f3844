import pytest

from addons.translation.anthropic.write_request import write_request
from addons.translation.conversation import Effort
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from tests.addons.translation.anthropic.bodies import ADAPTIVE
from tests.addons.translation.anthropic.bodies import ALWAYS
from tests.addons.translation.anthropic.bodies import FUNCTIONS
from tests.addons.translation.anthropic.bodies import MANUAL
from tests.addons.translation.anthropic.bodies import NUMBER
from tests.addons.translation.anthropic.bodies import OLD
from tests.addons.translation.anthropic.bodies import STRICT
from tests.addons.translation.anthropic.bodies import UNASKED
from tests.addons.translation.anthropic.bodies import Json
from tests.addons.translation.anthropic.bodies import assistant
from tests.addons.translation.anthropic.bodies import dropped
from tests.addons.translation.anthropic.bodies import user
from tests.addons.translation.anthropic.bodies import written


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        (MANUAL, None, {}),
        (MANUAL, Thinking("none"), {}),
        (MANUAL, Thinking(budget=0, include=True), {}),
        (MANUAL, Thinking(include=False), {}),
        (MANUAL, Thinking("minimal"), {"type": "enabled", "budget_tokens": 1024}),
        (MANUAL, Thinking("low"), {"type": "enabled", "budget_tokens": 1024}),
        (MANUAL, Thinking("medium"), {"type": "enabled", "budget_tokens": 8192}),
        (MANUAL, Thinking("high"), {"type": "enabled", "budget_tokens": 16384}),
        (MANUAL, Thinking(budget=5), {"type": "enabled", "budget_tokens": 1024}),
        (MANUAL, Thinking(budget=9000), {"type": "enabled", "budget_tokens": 9000}),
        (MANUAL, Thinking(budget=-1), {"type": "enabled", "budget_tokens": 8192}),
        (MANUAL, Thinking(include=True), {"type": "enabled", "budget_tokens": 8192}),
        ("claude-opus-4-1@20250805", Thinking(budget=99999), {"type": "enabled", "budget_tokens": 30976}),
        (ADAPTIVE, Thinking("high"), {"type": "adaptive", "display": "summarized"}),
        (STRICT, Thinking("low", include=False), {"type": "adaptive", "display": "omitted"}),
        (STRICT, Thinking("none"), {}),
        (UNASKED, None, {}),
        (UNASKED, Thinking("none"), {"type": "disabled"}),
        ("claude-sonnet-5-5", Thinking("none"), {"type": "between_tools"}),
        ("claude-haiku-5-5", Thinking(budget=0), {"type": "disabled"}),
        (ALWAYS, Thinking("none"), {}),
        (ALWAYS, Thinking(include=True), {"type": "adaptive", "display": "summarized"}),
    ],
)
def test_thinking(model: str, thinking: Thinking | None, expected: Json) -> None:
    assert written(model=model, thinking=thinking).get("thinking", {}) == expected


@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        (ADAPTIVE, Thinking("minimal"), "low"),
        (ADAPTIVE, Thinking("high"), "high"),
        (STRICT, Thinking(budget=1024), "low"),
        (STRICT, Thinking(budget=1025), "medium"),
        (STRICT, Thinking(budget=8193), "high"),
        (STRICT, Thinking(budget=-1), None),
        (STRICT, Thinking(include=True), None),
        # It always thinks: as little as it can.
        (ALWAYS, Thinking("none"), "low"),
        (UNASKED, Thinking("none"), None),
        (MANUAL, Thinking("high"), None),
    ],
)
def test_efforts(model: str, thinking: Thinking, effort: str | None) -> None:
    assert written(model=model, thinking=thinking).get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("model", "effort", "assumed"),
    [
        ("claude-opus-4-6", "minimal", "low"),
        ("claude-opus-4-6", "low", None),
        ("claude-opus-4-6", "high", None),
        ("claude-opus-4-6", "xhigh", "high"),
        ("claude-opus-4-6", "max", None),
        ("claude-opus-4-7", "xhigh", None),
        ("claude-opus-4-7", "max", None),
        ("claude-sonnet-5", "xhigh", None),
        ("claude-opus-5-5", "max", None),
        ("claude-opus-5-5", "none", "low"),
    ],
)
def test_an_effort_is_kept_or_the_nearest_is_named(model: str, effort: Effort, assumed: str | None) -> None:
    request = Request(model, turns=[user(Text("x"))], thinking=Thinking(effort), max_tokens=9)
    made = write_request(request)
    output = made.body["output_config"]
    assert output == {"effort": assumed or effort}
    assert made.notes.assumed == ([f"reasoning_effort={assumed}"] if assumed else [])


@pytest.mark.parametrize("effort", ["xhigh", "max"])
def test_a_budget_for_the_highest_efforts(effort: Effort) -> None:
    made = write_request(Request(MANUAL, turns=[user(Text("x"))], thinking=Thinking(effort), max_tokens=20000))
    assert made.body["thinking"] == {"type": "enabled", "budget_tokens": 16384}
    assert made.notes.assumed == ["reasoning_effort=high"]


@pytest.mark.parametrize(
    ("model", "name"),
    [(OLD, "reasoning"), (NUMBER, "reasoning"), (MANUAL, None), (ADAPTIVE, None)],
)
def test_models_that_do_not_think(model: str, name: str | None) -> None:
    assert dropped(model=model, thinking=Thinking("high", param="reasoning")) == ([name] if name else [])
    assert dropped(model=model, thinking=Thinking("none", param="reasoning")) == []


def test_manual_thinking_cannot_be_hidden() -> None:
    members: Json = {"thinking": Thinking("low", include=False), "names": {"include": "reasoning.exclude"}}
    assert dropped(**members) == ["reasoning.exclude"]
    assert dropped(model=ADAPTIVE, **members) == []


@pytest.mark.parametrize(
    ("turns", "thinks"),
    [
        ([assistant(Text("a")), user(Text("b"))], True),
        # Words in its mouth are no thoughts of its own.
        ([assistant(Text("a"))], False),
        ([assistant(Thought("h", Signature("anthropic", "s")), Text("a"))], False),
        # A turn that goes on behind a call must have begun with a thought.
        ([assistant(ToolCall("1", "f", {})), user(ToolResult("1", "f", "r"))], False),
        (
            [
                assistant(Thought("h", Signature("anthropic", "s")), ToolCall("1", "f", {})),
                user(ToolResult("1", "f", "r")),
                assistant(ToolCall("2", "f", {})),
                user(ToolResult("2", "f", "r")),
            ],
            True,
        ),
        (
            [
                assistant(Thought("", Signature("anthropic", "redacted_thinking:d")), ToolCall("1", "f", {})),
                user(ToolResult("1", "f", "r")),
            ],
            True,
        ),
        (
            [
                assistant(ToolCall("1", "f", {})),
                user(ToolResult("1", "f", "r")),
                assistant(Text("a")),
                user(Text("b")),
            ],
            True,
        ),
    ],
)
def test_when_manual_thinking_is_taken(turns: list[Turn], thinks: bool) -> None:
    members: Json = {"functions": FUNCTIONS, "thinking": Thinking("low")}
    assert ("thinking" in written(user(Text("x")), *turns, **members)) == thinks
    assert dropped(user(Text("x")), *turns, **members) == ([] if thinks else ["reasoning_effort"])
