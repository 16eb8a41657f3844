import re

import pytest

from addons.translation.gemini.families import FAMILIES
from addons.translation.gemini.families import NEWEST
from addons.translation.gemini.families import family_of

SINCE_3 = {
    "takes_call_ids": True,
    "media_in_results": True,
    "needs_signatures": True,
    "search_with_functions": True,
    "json_with_functions": True,
    "resolution_per": "part",
}
BEFORE_3 = dict.fromkeys(SINCE_3, False) | {"resolution_per": "request"}
TUNED = BEFORE_3 | {"json_with_functions": True, "resolution_per": None}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-1.5-pro-002", BEFORE_3),
        ("gemini-2.0-flash-001", BEFORE_3),
        ("gemini-2.5-pro", BEFORE_3),
        ("gemini-2.5-flash-lite-preview-09-2025", BEFORE_3),
        ("gemini-live-2.5-flash-preview", BEFORE_3),
        ("gemini-3-pro-preview", SINCE_3),
        ("gemini-3.1-pro-preview", SINCE_3),
        ("gemini-3.5-flash-lite", SINCE_3),
        ("gemini-4-ultra", SINCE_3),
        ("gemini-10-pro", SINCE_3),
        ("gemini-flash-latest", SINCE_3),
        ("4611686018427387904", TUNED),
        ("somebodys-model", SINCE_3),
        # The name has to begin like this.
        ("not-gemini-2.5-pro", SINCE_3),
    ],
)
def test_generations(model: str, expected: dict[str, object]) -> None:
    family = family_of(model)
    assert {name: getattr(family, name) for name in SINCE_3} == expected


LOW_TO_HIGH = ("LOW", "MEDIUM", "HIGH")
THINKING: dict[str, tuple[tuple[int, int] | None, bool, tuple[str, ...]]] = {
    "gemini-1.5-pro-002": (None, False, ()),
    "gemini-2.0-flash": (None, False, ()),
    "gemini-2.5-flash-image": (None, False, ()),
    "gemini-2.5-flash-preview-tts": (None, False, ()),
    "gemini-live-2.5-flash": (None, False, ()),
    "gemini-2.5-pro": ((128, 32768), False, ()),
    "gemini-2.5-flash-lite": ((512, 24576), True, ()),
    "gemini-2.5-flash": ((1, 24576), True, ()),
    "gemini-3-pro-image-preview": (None, False, ()),
    "gemini-3.1-flash-image-preview": (None, False, ("MINIMAL", "HIGH")),
    "gemini-3-pro-preview": (None, False, ("LOW", "HIGH")),
    "gemini-3.1-pro-preview": (None, False, LOW_TO_HIGH),
    "gemini-3-flash-preview": (None, False, ("MINIMAL", *LOW_TO_HIGH)),
    "gemini-3.6-flash": (None, False, ("MINIMAL", *LOW_TO_HIGH)),
    "gemini-3.7-flash": (None, False, LOW_TO_HIGH),
    "gemini-3.8-flash": (None, False, LOW_TO_HIGH),
    "gemini-flash-latest": (None, False, LOW_TO_HIGH),
    "4611686018427387904": (None, False, ()),
}
"""Models -> budgets, whether 0 stops it, levels (Google's page on thinking)."""


@pytest.mark.parametrize("model", THINKING)
def test_thinking(model: str) -> None:
    family = family_of(model)
    assert (family.budgets, family.stops_at_zero, family.levels) == THINKING[model]


def test_each_row_is_tested() -> None:
    first = {next(beginning for beginning in FAMILIES if re.match(beginning, model)) for model in THINKING}
    assert first == FAMILIES.keys()


def test_what_is_not_known_is_the_newest() -> None:
    assert family_of("gemini-99-flash") == family_of("anything") == NEWEST
