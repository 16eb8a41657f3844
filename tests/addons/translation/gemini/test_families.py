import re
from typing import Any

import pytest

from addons.translation.gemini.families import FAMILIES
from addons.translation.gemini.families import NEWEST
from addons.translation.gemini.families import Family
from addons.translation.gemini.families import family_of

SINCE_3: dict[str, Any] = {
    "takes_call_ids": True,
    "media_in_results": True,
    "needs_signatures": True,
    "search_with_functions": True,
    "json_with_functions": True,
    "resolution_per": "part",
}
BEFORE_3: dict[str, Any] = dict.fromkeys(SINCE_3, False) | {"resolution_per": "request"}
TUNED = BEFORE_3 | {"json_with_functions": True, "resolution_per": None}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-1.5-pro-002", BEFORE_3),
        ("gemini-2.0-flash-001", BEFORE_3),
        ("gemini-robotics-er-1.5-preview", BEFORE_3),
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
MODELS = {
    "gemini-1.5-pro-002": Family(**BEFORE_3, levels=()),
    "gemini-2.0-flash": Family(**BEFORE_3, levels=()),
    "gemini-2.5-flash-image": Family(**BEFORE_3, levels=()),
    "gemini-2.5-flash-preview-tts": Family(**BEFORE_3, levels=()),
    "gemini-live-2.5-flash": Family(**BEFORE_3, levels=()),
    "gemini-2.5-pro": Family(**BEFORE_3, levels=(), budgets=(128, 32768), stops_at_zero=False),
    "gemini-2.5-flash-lite": Family(**BEFORE_3, levels=(), budgets=(512, 24576), stops_at_zero=True),
    "gemini-2.5-flash": Family(**BEFORE_3, levels=(), budgets=(1, 24576), stops_at_zero=True),
    "gemini-3-pro-image-preview": Family(**SINCE_3, levels=()),
    "gemini-3.1-flash-image-preview": Family(**SINCE_3, levels=("MINIMAL", "HIGH")),
    "gemini-3-pro-preview": Family(**SINCE_3, levels=("LOW", "HIGH")),
    "gemini-3.1-pro-preview": Family(**SINCE_3, levels=LOW_TO_HIGH),
    "gemini-3-flash-preview": Family(**SINCE_3, levels=("MINIMAL", *LOW_TO_HIGH)),
    "gemini-3.6-flash": Family(**SINCE_3, levels=("MINIMAL", *LOW_TO_HIGH)),
    "gemini-3.7-flash": Family(**SINCE_3, levels=LOW_TO_HIGH),
    "gemini-3.8-flash": Family(**SINCE_3, levels=LOW_TO_HIGH),
    "gemini-flash-latest": Family(**SINCE_3, levels=LOW_TO_HIGH),
    "4611686018427387904": Family(**TUNED, levels=()),
}
"""All that is known of a model of each family."""


@pytest.mark.parametrize("model", MODELS)
def test_families(model: str) -> None:
    assert family_of(model) == MODELS[model]


def test_each_row_is_tested() -> None:
    first = {next(beginning for beginning in FAMILIES if re.match(beginning, model)) for model in MODELS}
    assert first == FAMILIES.keys()


def test_what_is_not_known_is_the_newest() -> None:
    assert family_of("gemini-99-flash") == family_of("anything") == NEWEST
