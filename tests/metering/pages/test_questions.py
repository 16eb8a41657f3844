import pytest

from metering.pages import questions
from metering.selection import ReportError
from metering.selection import microseconds
from tests.metering.pages.filled import NOW


def test_the_options_of_a_report() -> None:
    pairs = [("since", "24h"), ("model", "gemini-*"), ("model", "claude-*"), ("tag", "x-team=red")]
    pairs += [("by", "day,client"), ("tz", "Europe/Berlin"), ("limit", "7"), ("format", "json")]
    asked = questions.report("usage", pairs, NOW)
    assert asked.calls.span.since == microseconds(NOW) - 86_400_000_000
    assert asked.calls.filters == {"model": ["gemini-*", "claude-*"]}
    assert asked.calls.tags == [("x-team", "red")]
    assert asked.grouping.keys == ("day", "client")
    assert str(asked.grouping.zone) == "Europe/Berlin"
    assert (asked.limit, asked.is_exact) == (7, False)


def test_what_is_not_said() -> None:
    assert questions.report("usage", [], NOW).grouping.keys == ("model",)
    assert questions.report("errors", [], NOW).grouping.keys == ()
    assert questions.report("usage", [], NOW).limit is None
    assert questions.report("calls", [], NOW).limit == questions.SHOWN_CALLS
    assert [questions.report("latency", [("exact", text)], NOW).is_exact for text in ("1", "", "True", "0")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("kind", "pair", "say"),
    [
        ("usage", ("since", "soon"), "write 7d"),
        ("usage", ("tz", "Mars"), "IANA name"),
        ("usage", ("by", "colour"), "choose from day"),
        ("usage", ("modle", "x"), "choose from since"),
        ("usage", ("prices", "/etc/passwd"), "choose from since"),
        ("usage", ("tag", "red"), "NAME=VALUE"),
        ("usage", ("limit", "0"), "such as limit=20"),
        ("usage", ("limit", "many"), "such as limit=20"),
        ("usage", ("limit", "²"), "such as limit=20"),
        ("usage", ("exact", "1"), "only the report of latencies"),
        ("latency", ("exact", "maybe"), "neither true nor false"),
        ("usage", ("format", "csv"), "format is json here"),
        ("calls", ("by", "day"), "leave out by"),
        ("calls", ("limit", "10001"), "at most 10000"),
    ],
)
def test_what_is_wrong_is_told(kind: str, pair: tuple[str, str], say: str) -> None:
    with pytest.raises(ReportError, match=say):
        questions.report(kind, [pair], NOW)
