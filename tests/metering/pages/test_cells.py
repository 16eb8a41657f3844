from zoneinfo import ZoneInfo

import pytest

from metering.pages import cells

UTC = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("input_tokens", 1234567, "1,234,567"),
        ("input_tokens", None, "unknown"),
        ("input_tokens", 0, "0"),
        ("duration_p50_us", 1500, "1.5 ms"),
        ("hour", "2026-11-28T17:00+0000", "2026-11-28 17:00"),
        ("cost_usd", 0.01234, "$0.0123"),
        ("cost_usd", 1234.5, "$1,234.5000"),
        ("cost_usd", 0.00001, "<$0.0001"),
        ("cost_usd", None, "unknown"),
        ("cached_share", 0.256, "25.6 %"),
        ("status", 429, "429"),
        ("client", None, "–"),
        ("tag:x-team", None, "–"),
        ("error_type", None, "–"),
        ("started_at", 1_763_000_000_000_000, "2025-11-13 02:13:20"),
        ("model", "a\x1b[31m\u202eb\n", "a\\x1b[31m\\u202eb\\x0a"),
        ("model", "\ud800", "\ufffd"),
        ("model", "gemini-2.5-pro ü", "gemini-2.5-pro ü"),
    ],
)
def test_shown(name: str, value: object, text: str) -> None:
    assert cells.shown(name, value, UTC) == text


def test_times_are_in_the_zone() -> None:
    assert cells.shown("started_at", 1_763_000_000_000_000, ZoneInfo("Asia/Tokyo")) == "2025-11-13 11:13:20"


def test_columns_without_values_are_left_out() -> None:
    rows = [{"a": None, "b": 1, "c": None}, {"a": None, "b": None, "c": 0}]
    assert cells.told(("a", "b", "c", "d"), rows, ()) == ["b", "c"]
    assert cells.told(("a", "b"), rows, ("a",)) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "value", "is_number"),
    [
        ("calls", 1, True),
        ("cost_usd", 0.5, True),
        ("calls", None, False),
        ("model", "1", False),
        ("status", 200, False),
        ("upstream_status", 200, False),
        ("started_at", 1, False),
    ],
)
def test_quantities(name: str, value: object, is_number: bool) -> None:
    assert cells.is_number(name, value) == is_number
