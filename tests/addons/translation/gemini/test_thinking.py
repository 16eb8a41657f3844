from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Effort
from addons.translation.conversation import Notes
from addons.translation.conversation import Thinking
from addons.translation.gemini.families import FAMILIES
from addons.translation.gemini.families import Family
from addons.translation.gemini.families import family_of
from addons.translation.gemini.thinking import beside_own
from addons.translation.gemini.thinking import fit_config
from addons.translation.gemini.thinking import thinking_config

Json = dict[str, Any]


def budget(tokens: int, include: bool | None = None) -> Json:
    return {"thinkingBudget": tokens} | ({} if include is None else {"includeThoughts": include})


def level(name: str, include: bool | None = None) -> Json:
    return {"thinkingLevel": name} | ({} if include is None else {"includeThoughts": include})


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        # Budgets: as Google's own OpenAI endpoint has them, held in the range of the model.
        ("gemini-2.5-flash", Thinking("minimal"), budget(1024, True)),
        ("gemini-2.5-flash", Thinking("low"), budget(1024, True)),
        ("gemini-2.5-flash", Thinking("medium"), budget(8192, True)),
        ("gemini-2.5-flash", Thinking("high"), budget(24576, True)),
        ("gemini-2.5-flash", Thinking(budget=100_000), budget(24576, True)),
        ("gemini-2.5-flash", Thinking(budget=7), budget(7, True)),
        ("gemini-2.5-flash", Thinking(budget=-1), budget(-1, True)),
        ("gemini-2.5-flash-lite", Thinking(budget=7), budget(512, True)),
        ("gemini-2.5-pro", Thinking(budget=7), budget(128, True)),
        ("gemini-2.5-pro", Thinking(budget=100_000), budget(32768, True)),
        # Off: "include_thoughts is only enabled when thinking is enabled".
        ("gemini-2.5-flash", Thinking("none"), budget(0)),
        ("gemini-2.5-flash-lite", Thinking("none"), budget(0)),
        ("gemini-2.5-flash", Thinking(budget=0, include=True), budget(0)),
        # Pro cannot stop.
        ("gemini-2.5-pro", Thinking("none"), budget(128)),
        # Levels.
        ("gemini-3-pro-preview", Thinking("low"), level("LOW", True)),
        ("gemini-3-pro-preview", Thinking("high"), level("HIGH", True)),
        ("gemini-3-pro-preview", Thinking("medium"), level("HIGH", True)),
        ("gemini-3-pro-preview", Thinking("minimal"), level("LOW", True)),
        ("gemini-3.1-pro-preview", Thinking("medium"), level("MEDIUM", True)),
        ("gemini-3-flash-preview", Thinking("minimal"), level("MINIMAL", True)),
        ("gemini-3.7-flash", Thinking("minimal"), level("LOW", True)),
        ("gemini-3.8-flash", Thinking("minimal"), level("LOW", True)),
        # Not a budget of 0, which also suppresses the use of tools.
        ("gemini-3-pro-preview", Thinking("none"), level("LOW")),
        ("gemini-3-flash-preview", Thinking("none"), level("MINIMAL")),
        ("gemini-3-flash-preview", Thinking(budget=0), level("MINIMAL")),
        # A budget where there are levels.
        ("gemini-3-flash-preview", Thinking(budget=1024), level("LOW", True)),
        ("gemini-3-flash-preview", Thinking(budget=5000), level("MEDIUM", True)),
        ("gemini-3-flash-preview", Thinking(budget=20_000), level("HIGH", True)),
        ("gemini-3-flash-preview", Thinking(budget=-1), {"includeThoughts": True}),
        # Whether thoughts are told.
        ("gemini-2.5-flash", Thinking("low", include=False), budget(1024, False)),
        ("gemini-2.5-flash", Thinking(include=True), {"includeThoughts": True}),
        ("gemini-3-pro-preview", Thinking(include=False), {"includeThoughts": False}),
        ("gemini-2.5-flash", Thinking(), None),
        # A name that is not known is one of the newest.
        ("somebodys-model", Thinking("high"), level("HIGH", True)),
        # Models that do not think, or of which that is not known.
        ("gemini-2.0-flash", Thinking("high"), None),
        ("gemini-2.5-flash-image", Thinking("high"), None),
        ("4611686018427387904", Thinking("high"), None),
    ],
)
def test_configs(model: str, thinking: Thinking, expected: Json | None) -> None:
    assert thinking_config(thinking, family_of(model), Notes()) == expected


@pytest.mark.parametrize(
    ("model", "effort", "config", "assumed"),
    [
        ("gemini-3-pro-preview", "xhigh", level("HIGH", True), ["reasoning_effort=high"]),
        ("gemini-3-flash-preview", "max", level("HIGH", True), ["reasoning_effort=high"]),
        ("gemini-2.5-pro", "xhigh", budget(24576, True), ["reasoning_effort=high"]),
        ("gemini-2.5-flash", "max", budget(24576, True), ["reasoning_effort=high"]),
        ("gemini-2.5-flash", "high", budget(24576, True), []),
        ("gemini-2.5-pro", "none", budget(128), ["reasoning_effort=128"]),
    ],
)
def test_an_effort_that_gemini_does_not_have(model: str, effort: Effort, config: Json, assumed: list[str]) -> None:
    notes = Notes()
    assert thinking_config(Thinking(effort), family_of(model), notes) == config
    assert notes == Notes([], assumed)


@pytest.mark.parametrize(
    ("model", "thinking", "assumed"),
    [
        ("gemini-3.8-flash", Thinking("none"), ["reasoning_effort=low"]),
        ("gemini-3.8-flash", Thinking("minimal"), ["reasoning_effort=low"]),
        ("gemini-3.8-flash", Thinking("low"), []),
        ("gemini-3.8-flash", Thinking(budget=0, param="thinking"), ["thinking=low"]),
        ("gemini-3.8-flash", Thinking(budget=2048, param="thinking"), []),
        ("gemini-2.5-pro", Thinking(budget=0, param="reasoning"), ["reasoning=128"]),
        ("gemini-2.5-pro", Thinking(budget=40_000, param="reasoning"), ["reasoning=32768"]),
        ("gemini-2.5-pro", Thinking(budget=-1, param="reasoning"), []),
        ("gemini-3-pro-preview", Thinking("medium", param="reasoning.effort"), ["reasoning.effort=high"]),
        ("gemini-3-flash-preview", Thinking("none"), ["reasoning_effort=minimal"]),
        ("gemini-3-flash-preview", Thinking("minimal"), []),
        ("gemini-2.5-pro", Thinking("none"), ["reasoning_effort=128"]),
        ("gemini-2.5-flash", Thinking("none"), []),
        # The budget is what counts.
        ("gemini-2.5-flash", Thinking("max", budget=2048), []),
        ("gemini-3-flash-preview", Thinking("max", budget=2048), ["reasoning_effort=high"]),
        ("gemini-2.0-flash", Thinking("none"), []),
    ],
)
def test_an_effort_that_the_family_does_not_have_is_named(model: str, thinking: Thinking, assumed: list[str]) -> None:
    notes = Notes()
    thinking_config(thinking, family_of(model), notes)
    assert notes == Notes([], assumed)


@pytest.mark.parametrize(
    ("model", "config", "left", "notes"),
    [
        (
            "gemini-2.5-flash",
            {"thinkingBudget": 1, "thinkingLevel": "LOW"},
            {"thinkingBudget": 1},
            Notes(["g.thinking_level"]),
        ),
        (
            "gemini-3-pro",
            {"thinkingBudget": 1, "thinkingLevel": "LOW"},
            {"thinkingLevel": "LOW"},
            Notes(["g.thinking_budget"]),
        ),
        ("gemini-3-pro", {"thinkingBudget": 1}, {"thinkingBudget": 1}, Notes()),
        ("gemini-3-pro", None, None, Notes()),
        # A level that the family does not have, in either case of letters.
        (
            "gemini-3.8-flash",
            {"thinkingLevel": "MINIMAL"},
            {"thinkingLevel": "LOW"},
            Notes([], ["g.thinking_level=LOW"]),
        ),
        (
            "gemini-3.8-flash",
            {"thinkingLevel": "minimal"},
            {"thinkingLevel": "LOW"},
            Notes([], ["g.thinking_level=LOW"]),
        ),
        ("gemini-3.8-flash", {"thinkingLevel": "high"}, {"thinkingLevel": "high"}, Notes()),
        ("gemini-3.8-flash", {"thinkingLevel": "OTHER"}, {"thinkingLevel": "OTHER"}, Notes()),
        # A level where there are budgets, or neither.
        (
            "gemini-2.5-pro",
            {"thinkingLevel": "LOW", "includeThoughts": True},
            {"thinkingBudget": 1024, "includeThoughts": True},
            Notes([], ["g.thinking_budget=1024"]),
        ),
        ("gemini-2.0-flash", {"thinkingLevel": "LOW"}, {}, Notes(["g.thinking_level"])),
    ],
)
def test_settings_in_googles_words(model: str, config: Json | None, left: Json | None, notes: Notes) -> None:
    told = Notes()
    fit_config(config, family_of(model), "g", told)
    assert (config, told) == (left, notes)


@pytest.mark.parametrize(
    ("thinking", "own", "left", "dropped"),
    [
        (None, {"thinkingBudget": 1}, None, []),
        (Thinking("low"), None, Thinking("low"), []),
        (Thinking("low"), {"includeThoughts": True}, Thinking("low"), []),
        (Thinking("low"), {"thinkingLevel": "HIGH"}, None, ["reasoning_effort"]),
        (Thinking("low", param="reasoning"), {"thinkingLevel": "HIGH"}, None, ["reasoning.effort"]),
        (Thinking(budget=9, param="thinking"), {"thinkingBudget": 1}, None, ["thinking"]),
        # Whether the client wants to see the thoughts is another question.
        (
            Thinking(include=True, param="reasoning"),
            {"thinkingBudget": 1},
            Thinking(include=True, param="reasoning"),
            [],
        ),
        (Thinking("low", include=False), {"thinkingBudget": 1}, Thinking(include=False), ["reasoning_effort"]),
    ],
)
def test_how_much_is_told_twice(
    thinking: Thinking | None, own: Json | None, left: Thinking | None, dropped: list[str]
) -> None:
    notes = Notes()
    assert beside_own(thinking, own, notes) == left
    assert notes == Notes(dropped)


thinkings = st.builds(
    Thinking,
    st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    st.none() | st.integers(-5, 100_000),
    st.sampled_from([None, True, False]),
)


@given(thinking=thinkings, family=st.sampled_from(list(FAMILIES.values())))
def test_what_no_family_takes(thinking: Thinking, family: Family) -> None:
    config = thinking_config(thinking, family, Notes()) or {}
    assert not {"thinkingBudget", "thinkingLevel"} <= config.keys()
    assert config.get("thinkingBudget") != 0 or not config.get("includeThoughts")
    if isinstance(tokens := config.get("thinkingBudget"), int):
        assert family.budgets
        least, most = family.budgets
        assert least <= tokens <= most or tokens == -1 or (tokens == 0 and family.stops_at_zero)
    assert config.get("thinkingLevel") in (None, *family.levels)
    assert family.budgets or family.levels or not config
