from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from metering.database import open_for_reading
from metering.ledger import Ledger
from metering.no_calls import reasons
from metering.selection import Selection
from metering.selection import Span
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import new_ledger


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Connection]]:
    ledger = Ledger(new_ledger(tmp_path_factory.mktemp("ledger") / "usage.db"))
    for number in range(12):
        ledger.commit(done(call(started_at=1, model=f"m{number:02}", client="c", tags={"x-team": "a\x1b"})))
    ledger.close()
    with closing(open_for_reading(ledger.path)) as db:
        yield [db]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Selection(filters={"model": ["m00"]}), ["No errors."]),
        (
            Selection(filters={"client": ["a*", "b"]}),
            ["No calls.", "No client is a* or b; there are c.", r"There is such a tag: --tag x-team=a\x1b"],
        ),
        (
            Selection(filters={"model": ["z"]}),
            ["No calls.", "No model is z; there are m00, m01, m02, m03, m04, m05, m06, m07 and 4 more."],
        ),
        (Selection(tags=[("x-team", "b")]), ["No calls.", r"No call has the tag x-team=b; there are a\x1b."]),
        (
            Selection(tags=[("x-app", "b")]),
            ["No calls.", "No call has a tag x-app; the option usage_tags=x-app of the proxy stores that header."],
        ),
        (
            Selection(Span(5)),
            ["No calls.", "There are none in this time; those of the ledger are from 1970-01-01 to 1970-01-01."],
        ),
        (
            Selection(filters={"model": ["m00"], "status": ["", "2*"], "client": ["d*"]}),
            ["No calls.", "No client is d*; there are c."],
        ),
    ],
)
def test_reasons(ledgers: list[Connection], asked: Selection, why: list[str]) -> None:
    assert [*reasons(ledgers, asked)] == why


def test_filters_that_fit_alone(tmp_path: Path) -> None:
    ledger = Ledger(new_ledger(tmp_path / "usage.db"))
    ledger.commit(done(call(model="a", client="c")))
    ledger.commit(done(call(model="b", client="d")))
    ledger.close()
    with closing(open_for_reading(ledger.path)) as db:
        asked = Selection(filters={"model": ["a"], "client": ["d"]})
        assert [*reasons([db], asked)][1:] == ["Each filter fits some calls, but no call meets all of them."]


def test_an_empty_ledger(tmp_path: Path) -> None:
    with closing(open_for_reading(new_ledger(tmp_path / "usage.db"))) as db:
        assert [*reasons([db], Selection(filters={"model": ["a"]}))] == ["No calls.", "The ledger has no calls yet."]
