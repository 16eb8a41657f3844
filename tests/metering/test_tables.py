import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from metering import tables
from metering.call import Call
from metering.ledger import Ledger
from tests.terminal import in_terminal

NOON_US = 1_795_000_000_000_000
MODELS = ("gemini-2.5-flash", "publishers/meta/models/llama-4-maverick-17b-128e-instruct-maas")
LARGE = 1_234_567_890


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a ledger of large numbers, long names, and tags that mean harm."""
    made = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(made / "usage.db")
    for number, model in enumerate(MODELS):
        ledger.commit(
            Call(
                id=f"0199c000-000{number}-7000-8000-000000000000",
                state="done",
                usage_state="final",
                started_at=NOON_US,
                ended_at=NOON_US,
                status=200,
                model=model,
                operation="streamGenerateContent",
                input_tokens=LARGE + number,
                input_cached_tokens=LARGE - 9,
                output_tokens=LARGE + 2,
                output_thought_tokens=17,
                total_tokens=2 * LARGE + 2 + number,
                duration_us=1_234_567,
                tags={"x-team": ["[/nosuch]", "[link=http://evil]\x1b[2J\u202e"][number]},
            )
        )
    ledger.commit(Call(state="done", status=429, error_type="RESOURCE_EXHAUSTED", started_at=NOON_US, ended_at=NOON_US))
    ledger.close()
    return made


HEADINGS = {
    "calls": "calls",
    "covered_calls": "covered",
    "unpriced_calls": "unpriced",
    "cost_usd": "cost",
    "cache_saved_usd": "cache saved",
    "input_tokens": "input",
    "input_cached_tokens": "cached",
    "input_cache_write_tokens": "cache write",
    "input_tool_tokens": "tool",
    "output_tokens": "output",
    "output_thought_tokens": "thoughts",
    "total_tokens": "total",
    "video_seconds": "video s",
    "input_items": "items",
    "search_queries": "searches",
    "started_at": "started",
    "usage_state": "usage",
    "error_type": "error",
    "duration_us": "duration",
    "ttft_us": "ttft",
    "ttft_p50_us": "ttft p50",
    "tag:x-team\x1b": r"tag:x-team\x1b",
}


@pytest.mark.parametrize("name", HEADINGS)
def test_headings(name: str) -> None:
    assert tables.heading(name) == HEADINGS[name]


def test_headings_have_no_units() -> None:
    assert tables.heading("duration_p50_us") == "duration p50"
    assert tables.heading("input_usd") == "input"
    assert tables.heading("tag:x-team\x1b") == "tag:x-team\\x1b"


def test_what_columns_are_called() -> None:
    names = "covered_calls input_cached_tokens input_tokens input_cache_write_tokens output_tokens"
    names += " output_thought_tokens started_at cost_usd unpriced_calls error_type calls video_seconds ttft_us"
    assert [*map(tables.heading, names.split())] == [
        *("covered", "cached", "input", "cache write", "output", "thoughts", "started", "cost", "unpriced"),
        *("error", "calls", "video s", "ttft"),
    ]
    assert tables.heading("cached_share") == "cached share"


NUMBERS = ("1,234,567,890", "1,234,567,891", "1,234,567,892", "2,469,135,781")


class TestInATerminal:
    @pytest.mark.parametrize("columns", [40, 80, 200])
    def test_no_number_is_cut(self, folder: Path, columns: int) -> None:
        said, status = in_terminal(columns, folder, "report", "--by", "model,tag:x-team")
        assert status == 0
        lines = said.splitlines()
        assert max(map(len, lines)) <= columns
        assert "…" not in said
        for number in NUMBERS:
            assert number in said
        # What nobody reported takes no room.
        assert not re.search("video|images|searches", said)
        assert "[/nosuch]" in said.replace("\n", "") or columns == 40

    @pytest.mark.parametrize("columns", [160, 200])
    def test_text_is_text(self, folder: Path, columns: int) -> None:
        said, _ = in_terminal(columns, folder, "report", "--by", "tag:x-team")
        assert "[/nosuch]" in said
        assert r"[link=http://evil]\x1b[2J\u202e" in said
        assert "\x1b" not in said

    def test_few_columns_are_one_table(self, folder: Path) -> None:
        said, _ = in_terminal(80, folder, "report", "errors")
        assert said.count("status") == 1
        assert re.search(r"429 .*RESOURCE_EXHAUSTED .* 1\n", said)

    @pytest.mark.parametrize("columns", [40, 80, 200])
    def test_calls(self, folder: Path, columns: int) -> None:
        said, status = in_terminal(columns, folder, "report", "calls")
        assert status == 0
        assert max(map(len, said.splitlines())) <= columns
        assert {"1,234,567,890", "1.23 s"} <= set(re.findall(r"[\d,.]+(?: s)?", said))
        # Every table says which call a line is of. Beginnings are as long as it takes to tell calls apart.
        tables_shown = said.count("\nid ")
        assert said.count("0199c000-0000") == said.count("0199c000-0001") == tables_shown
        assert (tables_shown == 1) == (columns == 200)
        # What is least important takes no room that is needed.
        assert ("streamGenerateContent" in said) == (columns == 200)

    @pytest.mark.parametrize("columns", [40, 80])
    def test_one_call(self, folder: Path, columns: int) -> None:
        said, status = in_terminal(columns, folder, "show", "0199c000-0001")
        assert status == 0
        assert max(map(len, said.splitlines())) <= columns
        assert "1,234,567,891" in said
        assert "0199c000-0001-7000-8000-000000000000"[: columns // 3] in said

    def test_a_very_narrow_one(self, folder: Path) -> None:
        said, status = in_terminal(20, folder, "report", "--by", "model,operation")
        assert status == 0
        assert max(map(len, said.splitlines())) <= 20
        for number in NUMBERS:
            assert number in said

    def test_as_few_tables_as_possible(self, folder: Path) -> None:
        said, _ = in_terminal(80, folder, "report", "--by", "model,tag:x-team")
        assert len(re.findall("^model ", said, re.MULTILINE)) == 2


def printed(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], **more: Any) -> str:
    tables.print_report("usage", rows, **more)
    return capsys.readouterr().out


def usage(model: str | None, calls: int, **more: Any) -> dict[str, Any]:
    return {"model": model, "calls": calls, "errors": 0, "covered_calls": calls, "input_tokens": 5} | more


class TestReport:
    def test_it_ends_with_a_total(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = printed(capsys, [usage("a", 1), usage(None, 2, input_tokens=None)])
        assert re.search(r"^total +3 +0 +5$", said, re.MULTILINE)
        assert re.search(r"^- +2 +0 +unknown$", said, re.MULTILINE)

    def test_what_is_covered(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = printed(capsys, [usage("a", 1), usage("b", 2, covered_calls=1)])
        assert re.search(r"^b +2 +0 +5 +1$", said, re.MULTILINE)
        assert "Usage is known in full for 2 of 3 calls." in said

    def test_what_tells_nothing_takes_no_room(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = printed(capsys, [usage("a", 1, output_tokens=1, total_tokens=6, cost_usd=0, other_usd=0)])
        assert said.splitlines()[0].split() == ["model", "calls", "errors", "cost", "input", "output"]

    def test_one_row_of_all_needs_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "total" not in printed(capsys, [{"calls": 3, "input_tokens": 7}])

    def test_a_limit(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = printed(capsys, [usage("a", 1), usage("b", 2), usage("c", 3)], limit=2)
        assert "\nc " not in said
        assert re.search(r"\ntotal +6 ", said)
        assert "2 of 3 lines are shown" in said

    def test_money(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = [
            usage("a", 1, cost_usd=1234.5, unpriced_calls=0),
            usage("b", 2, cost_usd=0.00001, unpriced_calls=1),
            usage("c", 2, cost_usd=None, unpriced_calls=2),
        ]
        said = printed(capsys, rows)
        assert re.search(r"^a +1 +0 +\$1,234\.5000 +5 +0$", said, re.MULTILINE)
        assert "<$0.0001" in said
        assert re.search(r"^c +2 +0 +unknown +5 +2$", said, re.MULTILINE)
        assert "The cost of 3 of 5 calls is not known in full" in said
        said = printed(capsys, rows[:1])
        assert "unpriced" not in said
        said = printed(capsys, [usage("a", 2, cost_usd=None, covered_calls=1, unpriced_calls=2)])
        assert re.search(r" covered +unpriced$", said, re.MULTILINE)
        tables.print_report("cost", [{"model": "a", "cost_usd": None, "input_usd": 2, "unpriced_calls": 1}])
        said = capsys.readouterr().out
        assert "cost" not in said.partition("\nThe cost of 1 calls")[0]
        assert re.search(r"^total +\$2\.0000 +1$", said, re.MULTILINE)

    def test_percentiles_are_not_summed_up(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows: list[dict[str, Any]] = [{"model": "a", "calls": 1, "ttft_p50_us": 1500}]
        tables.print_report("latency", rows, {"calls": 1, "ttft_p50_us": 1234567})
        said = capsys.readouterr().out
        assert re.search(r"^a +1 +1\.5 ms$", said, re.MULTILINE)
        assert re.search(r"^total +1 +1\.23 s$", said, re.MULTILINE)
        assert "ttft p50" in said

    def test_errors_are_explained(self, capsys: pytest.CaptureFixture[str]) -> None:
        tables.print_report("errors", [{"status": 200, "error_type": "upstream_cut", "model": "a", "calls": 2}])
        assert "\nupstream_cut: the connection broke before the answer's end" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0.0 ms"),
        (1_149, "1.1 ms"),
        (10_400, "10 ms"),
        (999_400, "999 ms"),
        (999_500, "1.00 s"),
        (4e9, "4,000.00 s"),
    ],
)
def test_durations(microseconds: float, text: str) -> None:
    assert tables.duration(microseconds) == text


def test_all_that_is_shown_of_a_call(capsys: pytest.CaptureFixture[str]) -> None:
    names = "id model operation state usage_state error_type"
    numbers = "started_at status input_tokens output_tokens ttft_us duration_us"
    row: dict[str, Any] = dict.fromkeys(names.split(), "x" * 9) | dict.fromkeys(numbers.split(), 2000)
    tables.print_calls([row], UTC)
    day, _, head, _, line, *_ = capsys.readouterr().out.splitlines()
    assert day == "1970-01-01 (UTC)"
    assert head.split() == ["id", "started", "model", *"status error input output duration ttft operation".split()]
    assert re.split("  +", line) == [
        *("xxxxxxxxx", "00:00:00", "xxxxxxxxx", "2000", "xxxxxxxxx", "2,000", "2,000", "2.0 ms", "2.0 ms"),
        "xxxxxxxxx",
    ]
    tables.print_call(row | {"ended_at": 10**6, "upstream_status": 2000}, [row | {"n": 2000}], UTC)
    said = capsys.readouterr().out
    assert re.search(r"started_at +1970-01-01 00:00:00\b", said)
    assert re.search(r"ended_at +1970-01-01 00:00:01\b", said)
    assert re.search(r"upstream_status +2000\b", said)
    assert re.search(r"ttft +2\.0 ms\b", said)
    assert re.search(r"\bn +.*\n─+\n.* 2000\n", said)


@pytest.mark.parametrize(
    ("columns", "last"), [(100, ["duration", "ttft", "operation"]), (70, ["duration", "ttft"]), (60, ["duration"])]
)
def test_columns_that_are_spared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, last: list[str]
) -> None:
    monkeypatch.setattr(tables, "WIDTH", columns)
    numbers = dict.fromkeys("started_at input_tokens output_tokens ttft_us duration_us".split(), 2000)
    texts = dict.fromkeys(("status", "error_type"), None) | {"state": "done"}
    names = [dict.fromkeys(("id", "model", "operation"), f"{number}{'x' * 10}") for number in range(2)]
    tables.print_calls([numbers | texts | named for named in names], UTC)
    said = capsys.readouterr().out
    assert [name for name in ("duration", "ttft", "operation") if name in said] == last


def test_what_is_the_same_in_all_calls_stands_above(capsys: pytest.CaptureFixture[str]) -> None:
    common: dict[str, Any] = dict.fromkeys(tables.CALL_COLUMNS) | {"model": "m", "operation": "o", "state": "done"}
    calls = [common | {"id": "one", "started_at": 0}, common | {"id": "two", "started_at": 5_000_000, "state": "lost"}]
    tables.print_calls(calls, UTC)
    same, _, head, _, one, two, *_ = capsys.readouterr().out.splitlines()
    assert same == "1970-01-01 (UTC), m, o"
    # A call without an error that has not come to its end shows its state.
    assert [line.split() for line in (head, one, two)] == [
        ["id", "started", "error"],
        ["one", "00:00:00", "-"],
        ["two", "00:00:05", "lost"],
    ]
    tables.print_calls([*calls, common | {"id": "three", "started_at": 90_000_000_000, "model": "n"}], UTC)
    same, _, head, _, one, *_ = capsys.readouterr().out.splitlines()
    assert (same, one.split()[1:4]) == ("Times are in UTC, o", ["1970-01-01", "00:00:00", "m"])


@pytest.mark.parametrize(("columns", "widths"), [(41, [[30, 9]]), (34, [[16, 16]]), (33, [[21, 10]])])
def test_names_are_folded_as_little_as_needed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, widths: list[list[int]]
) -> None:
    monkeypatch.setattr(tables, "WIDTH", columns)
    tables.print_list(("one", "other"), [("a" * 30, "b" * (9 if columns == 41 else 30))])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("aaa")]
    assert [[len(part) for part in line] for line in lines][:1] == widths


def test_calls_that_begin_alike(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        dict.fromkeys(tables.CALL_COLUMNS) | {"id": f"0199c000-0000-7000-8{number}", "started_at": 0, "state": "done"}
        for number in ("00", "01", "20")
    ]
    tables.print_calls(rows, UTC)
    said = capsys.readouterr().out
    assert all(row["id"] in said for row in rows)
    # Nothing else is known of them.
    assert re.search(r"^id +started *$", said, re.MULTILINE)


def test_lines_grow(capsys: pytest.CaptureFixture[str]) -> None:
    lines = tables.Lines(UTC)
    row: dict[str, Any] = dict.fromkeys((*tables.LINE_COLUMNS, "state")) | {
        "started_at": 0,
        "model": "m",
        "input_tokens": 5,
    }
    lines.add(row)
    lines.add(row | {"model": "a-long-model\x07"})
    lines.add(row)
    head, one, two, three = capsys.readouterr().out.splitlines()
    assert head.startswith("started              model  status")
    assert one.startswith("1970-01-01 00:00:00  m      -")
    assert r"a-long-model\x07  -" in two
    assert three.startswith("1970-01-01 00:00:00  m                 -")
