import re
from typing import Any

import pytest

from addons.translation.gemini.families import FAMILIES
from addons.translation.gemini.families import NEWEST
from addons.translation.gemini.families import Family
from addons.translation.gemini.families import Modality
from addons.translation.gemini.families import family_of

BEFORE_3: dict[str, Any] = {
    "takes_call_ids": False,
    "media_in_results": False,
    "needs_signatures": False,
    "search_with_functions": False,
    "json_with_tools": False,
    "takes_last_word": True,
    "takes_sampling": True,
    "takes_penalties": True,
    "takes_logprobs": True,
    "resolution_per": "request",
    "levels": (),
}
SINCE_3: dict[str, Any] = {
    "takes_call_ids": True,
    "media_in_results": True,
    "needs_signatures": True,
    "search_with_functions": True,
    "json_with_tools": True,
    "takes_last_word": True,
    "takes_sampling": True,
    "takes_penalties": False,
    "takes_logprobs": False,
    "resolution_per": "part",
}
SINCE_3_6: dict[str, Any] = SINCE_3 | {"takes_last_word": False, "takes_sampling": False}
"""And Gemini 3.5 Flash-Lite."""
TUNED: dict[str, Any] = BEFORE_3 | {
    "takes_last_word": False,
    "takes_penalties": False,
    "takes_logprobs": False,
    "resolution_per": None,
}


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
        ("gemini-3.1-pro-preview-customtools", SINCE_3),
        ("gemini-3.1-flash-lite-preview-03-2026", SINCE_3),
        ("gemini-3.5-flash", SINCE_3),
        ("gemini-3.5-flash-001", SINCE_3),
        ("gemini-3.5-flash-lite", SINCE_3_6),
        ("gemini-3.5-flash-lite-001", SINCE_3_6),
        ("gemini-3.6-flash", SINCE_3_6),
        ("gemini-3.7-flash-preview-08-2026", SINCE_3_6),
        ("gemini-3.8-flash", SINCE_3_6),
        ("gemini-3.8-pro", SINCE_3_6),
        ("gemini-3.1-flash-live-preview", SINCE_3_6),
        ("gemini-4-ultra", SINCE_3_6),
        ("gemini-10-pro", SINCE_3_6),
        ("gemini-flash-latest", SINCE_3_6),
        ("gemini-pro-latest", SINCE_3_6),
        ("4611686018427387904", TUNED),
        ("somebodys-model", SINCE_3_6),
        # Publishers and paths are no part of the name.
        ("google/gemini-2.5-pro", BEFORE_3),
        ("publishers/google/models/gemini-3-flash-preview", SINCE_3),
        # The name has to begin like this.
        ("not-gemini-2.5-pro", SINCE_3_6),
    ],
)
def test_generations(model: str, expected: dict[str, object]) -> None:
    family = family_of(model)
    assert {name: getattr(family, name) for name in expected} == expected


LOW_TO_HIGH = ("LOW", "MEDIUM", "HIGH")
ALL = ("MINIMAL", *LOW_TO_HIGH)
TEXT: tuple[Modality, ...] = ("text",)
IMAGE: tuple[Modality, ...] = ("text", "image")
IMAGE_BEFORE_3: dict[str, Any] = BEFORE_3 | {
    "takes_functions": False,
    "takes_json": False,
    "takes_penalties": False,
    "takes_logprobs": False,
}
SPEECH: dict[str, Any] = IMAGE_BEFORE_3 | {"takes_instructions": False, "takes_sampling": False}
MODELS = {
    "gemini-1.5-pro-002": Family(**BEFORE_3, gives=TEXT),
    "gemini-2.0-flash": Family(**BEFORE_3, gives=TEXT),
    "gemini-2.0-flash-exp": Family(**BEFORE_3),
    "gemini-2.0-flash-preview-image-generation": Family(**IMAGE_BEFORE_3, gives=IMAGE),
    "gemini-2.5-flash-image": Family(**IMAGE_BEFORE_3, gives=IMAGE),
    "gemini-2.5-flash-preview-tts": Family(**SPEECH, gives=("audio",)),
    "gemini-3.1-flash-tts-preview": Family(**SPEECH, gives=("audio",)),
    "gemini-3.8-flash-lite-tts": Family(**SPEECH, gives=("audio",)),
    "gemini-live-2.5-flash": Family(**BEFORE_3),
    "gemini-2.5-flash-native-audio-preview-12-2025": Family(**BEFORE_3),
    "gemini-2.5-pro": Family(**BEFORE_3, gives=TEXT, budgets=(128, 32768), stops_at_zero=False),
    "gemini-2.5-flash-lite": Family(**BEFORE_3, gives=TEXT, budgets=(512, 24576), stops_at_zero=True),
    "gemini-2.5-flash": Family(**BEFORE_3, gives=TEXT, budgets=(1, 24576), stops_at_zero=True),
    "gemini-3-pro-image-preview": Family(**SINCE_3, gives=IMAGE, takes_functions=False, levels=()),
    "gemini-3.1-flash-image-preview": Family(**SINCE_3, gives=IMAGE, takes_functions=False, levels=("MINIMAL", "HIGH")),
    "gemini-3.8-flash-image": Family(**SINCE_3_6, gives=IMAGE, takes_functions=False, levels=()),
    "gemini-3-pro-preview": Family(**SINCE_3, gives=TEXT, levels=("LOW", "HIGH")),
    "gemini-3.1-pro-preview": Family(**SINCE_3, gives=TEXT, levels=LOW_TO_HIGH),
    "gemini-3-flash-preview": Family(**SINCE_3, gives=TEXT, levels=ALL),
    "gemini-3.1-flash-lite": Family(**SINCE_3, gives=TEXT, levels=ALL),
    "gemini-3.5-flash": Family(**SINCE_3, gives=TEXT, levels=ALL),
    "gemini-3.5-flash-lite": Family(**SINCE_3_6, gives=TEXT, levels=ALL),
    "gemini-3.6-flash": Family(**SINCE_3_6, gives=TEXT, levels=ALL),
    "gemini-3.7-flash": Family(**SINCE_3_6, gives=TEXT, levels=LOW_TO_HIGH),
    "gemini-3.8-flash": Family(**SINCE_3_6, gives=TEXT, levels=LOW_TO_HIGH),
    "gemini-flash-latest": Family(**SINCE_3_6, levels=LOW_TO_HIGH),
    "4611686018427387904": Family(**TUNED),
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
