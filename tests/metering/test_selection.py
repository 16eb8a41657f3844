from datetime import UTC
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from metering.selection import EVER
from metering.selection import FILTERS
from metering.selection import KEYS
from metering.selection import ReportError
from metering.selection import Selection
from metering.selection import Span
from metering.selection import keys
from metering.selection import span
from metering.selection import tag
from metering.selection import time_zone

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = 3_600_000_000
START = int(NOON.timestamp()) * 1_000_000


def test_what_can_be_asked_for() -> None:
    names = "day hour model model_served publisher location project surface operation service client sdk status state"
    assert {*KEYS} == {*names.split(), "traffic_type", "tier"}
    assert {*FILTERS} == {"model", "client", "service", "operation", "status", "state"}


class TestAsking:
    @pytest.mark.parametrize(
        ("text", "hours_ago"),
        [("7d", 168), ("24h", 24), ("30m", 0.5), ("2026-11-20", 12), ("2026-11-20T11:00", 1)],
    )
    def test_ends(self, text: str, hours_ago: float) -> None:
        assert span(text, text, UTC, NOON) == Span(*[START - int(hours_ago * HOUR)] * 2)

    def test_days_of_the_zone(self) -> None:
        # At noon in UTC it is two o'clock of the next day in Kiritimati.
        kiritimati = span("yesterday", "today", ZoneInfo("Pacific/Kiritimati"), NOON)
        assert kiritimati == Span(START - 26 * HOUR, START - 2 * HOUR)

    def test_a_day_of_23_hours(self) -> None:
        berlin = span("yesterday", "today", ZoneInfo("Europe/Berlin"), datetime(2026, 3, 30, 12, tzinfo=UTC))
        assert berlin.until - berlin.since == 23 * HOUR

    def test_dates_are_of_the_zone(self) -> None:
        tokyo = span("2026-11-20", "2026-11-20T12:00+00:00", ZoneInfo("Asia/Tokyo"), NOON)
        assert tokyo == Span(START - 21 * HOUR, START)

    def test_ever(self) -> None:
        assert span(None, None, UTC, NOON) == EVER

    @pytest.mark.parametrize("text", ["tomorrow", "7 d", "7w", "", "99999999d", "2026-13-01"])
    def test_no_time(self, text: str) -> None:
        with pytest.raises(ReportError, match="write 7d, 24h, today, yesterday, 2026-11-20"):
            span(text, None, UTC, NOON)

    @pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
    def test_no_zone(self, name: str) -> None:
        with pytest.raises(ReportError, match="Europe/Berlin"):
            time_zone(name)

    def test_keys(self) -> None:
        assert keys(" day, model ,tag:x-team,day,") == ("day", "model", "tag:x-team")

    @pytest.mark.parametrize("text", ["foo", "tag:", "tag:a b", """tag:x"'"""])
    def test_no_key(self, text: str) -> None:
        with pytest.raises(ReportError, match="choose from day, hour, model"):
            keys(text)

    def test_tag(self) -> None:
        assert tag("x-team=a=b") == ("x-team", "a=b")

    @pytest.mark.parametrize("text", ["x-team", "=red", "x team=red", ""])
    def test_no_tag(self, text: str) -> None:
        with pytest.raises(ReportError, match="write NAME=VALUE, such as x-team=red"):
            tag(text)


def test_a_selection_of_everything() -> None:
    assert Selection() == Selection(EVER, {}, ())
    assert Selection().takes(None)
