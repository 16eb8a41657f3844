import io
from pathlib import Path

from rich.console import Console

from metering import costs
from metering import reports
from metering.call import AttemptRow
from metering.database import open_for_reading
from metering.ledger import Ledger
from metering.prices.catalog import Catalog
from metering.selection import Selection
from metering.summary import of_process
from metering.summary import show
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import new_ledger


def filled(path: Path) -> str:
    """A ledger with calls of two processes, which run at the same time. Returns the first one's id."""
    one, other = Ledger(new_ledger(path)), Ledger(path)
    for ledger, times in ((one, 1), (other, 10)):
        ledger.commit(done(call(started_at=2_000_000), duration_us=1_500_000 * times, output_tokens=1234 * times))
        ledger.commit(done(call(started_at=1), duration_us=9_000_000))
        ledger.commit(done(call(model="[red]", started_at=2_000_001), usage_state="absent", status=500, duration_us=1))
        tried = done(call(started_at=2_000_002, model="a"), status=200, duration_us=2000, attempts=2)
        tried.tries = [
            AttemptRow(model="b", status=500, started_at=2_000_002, input_tokens=1),
            AttemptRow(model="a", status=200, started_at=2_000_003, input_tokens=4),
        ]
        ledger.commit(tried)
    one.close()
    other.close()
    return one.instance


def test_the_calls_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    instance = filled(path)
    rows = of_process(path, instance, 2_000_000)
    known = [(row["model"], row["calls"], row["input_tokens"], row["output_tokens"], row["slowest_us"]) for row in rows]
    assert known == [
        ("g", 1, 5, 1234, 1_500_000),
        ("[red]", 1, 5, None, 1),
        ("a", 1, 4, None, 2000),
        ("b", 0, 1, None, None),
    ]
    assert set(costs.SUMS) < set(rows[0])
    assert of_process(path, "0", 0) == []
    db = open_for_reading(path)
    assert len([*reports.calls([db], Selection())]) == 8
    db.close()


def printed(rows: list[dict[str, object]], width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show(rows, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_the_table(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    prices = tmp_path / "prices.yaml"
    prices.write_text("prices:\n- {model: g, tokens: {input: 0, output: 1000}}\n")
    lines = printed(of_process(path, filled(path), 2_000_000, Catalog.with_file(prices)))
    assert [line.split() for line in lines if line.strip(" ─")] == [
        "model calls input cached output cost slowest".split(),
        "g 1 5 unknown 1,234 $1.2340 1.50 s".split(),
        "[red] 1 5 unknown unknown unknown 0.00 s".split(),
        "a 1 4 unknown unknown unknown 0.00 s".split(),
        "b 0 1 unknown unknown unknown unknown".split(),
        "total 3 15 unknown 1,234 $1.2340 1.50 s".split(),
        "Tokens of 2 of 3 calls; of others not all is known.".split(),
        "The cost of 2 calls is not known, or not all of it.".split(),
        "Calls that failed: 1; see vertex-tap report errors.".split(),
    ]


def test_numbers_are_never_cut() -> None:
    numbers = dict.fromkeys((*costs.SUMS, *costs.COST_COLUMNS), 10**12)
    row = numbers | {"model": "g" * 60, "slowest_us": 10**9, "errors": 0}
    (line,) = [line for line in printed([row | {"cost_usd": 1234.5}]) if "$" in line]
    assert line.split()[1:] == ["1,000,000,000,000"] * 4 + ["$1,234.5000", "1,000.00", "s"]
    lines = printed([row | {"cost_usd": None, "unpriced_calls": 3}])
    assert any("unknown" in line for line in lines)
    assert any("The cost of 3 calls is not known" in line for line in lines)
