from datetime import UTC

from metering.kinds import KINDS
from metering.kinds import columns
from metering.kinds import makers
from metering.prices.catalog import EVERYONES
from metering.selection import Grouping
from metering.selection import Selection
from tests.ledgers import empty
from tests.metering.test_rollup import put


def test_every_kind_has_its_columns() -> None:
    grouping = Grouping(("model",), UTC)
    made = makers(EVERYONES)
    assert {*made, "calls"} == {*KINDS}
    with empty() as db:
        put(db, "a", model="g", status=500, duration_us=5)
        for kind, make in made.items():
            (row,) = make([db], grouping, Selection())
            assert tuple(row) == columns(kind, grouping)
    assert "id" in columns("calls", grouping)
