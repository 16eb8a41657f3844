"""One call costs what the report of costs says of a ledger that holds only this call."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from metering import costs
from metering.call import AttemptKind
from metering.call import AttemptRow
from metering.call import Call
from metering.call_cost import call_cost
from metering.prices.catalog import EVERYONES
from metering.record import record_of
from metering.record import write
from tests.ledgers import empty
from tests.metering.test_costs import ANY_CALL
from tests.metering.test_costs import MODELS
from tests.metering.test_reports import EVER
from tests.metering.test_reports import by

_COUNT = st.none() | st.integers(0, 300_000)
_TRIES = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(AttemptKind),
            "model": st.sampled_from([None, *MODELS]),
            "location": st.sampled_from(["global", "us-central1"]),
            "traffic_type": st.sampled_from([None, "ON_DEMAND_PRIORITY"]),
            "input_cache_write_tokens": st.sampled_from([None, 5, 7]),
            "input_tokens": _COUNT,
            "output_tokens": _COUNT,
        }
    ),
    max_size=3,
)
"""Attempts; a model of None is that of the call."""


def _tried(columns: dict[str, Any], publisher: str | None, tries: list[dict[str, Any]], hours: list[int]) -> Call:
    told = {name: columns[name] for name in ("input_by_modality", "output_by_modality", "usage_raw")}
    read = {name: json.loads(text) if text else None for name, text in told.items()}
    call = Call(id="a", instance="i", publisher=publisher, **columns | read)
    iterations: list[object] = []
    for one, hour in zip(tries, hours, strict=False):
        row = AttemptRow(status=200, started_at=call.started_at, **one | {"model": one["model"] or call.model})
        call.tries.append(row)
        written = {"model": row.model, "cache_creation_input_tokens": row.input_cache_write_tokens}
        iterations.append(written | {"cache_creation": {"ephemeral_1h_input_tokens": hour}})
    call.usage_raw = (call.usage_raw or {}) | {"iterations": iterations}
    return call


_HOURS = st.lists(st.integers(0, 5), min_size=3, max_size=3)
ANY_TRIED = st.builds(_tried, ANY_CALL, st.sampled_from(["google", None]), _TRIES, _HOURS)


def reported(call: Call) -> Any:
    with empty() as db:
        write(db, record_of(call, None))
        (row,) = costs.cost([db], by(), EVER)
        return row["cost_usd"]


@settings(max_examples=100)
@given(call=ANY_TRIED)
def test_it_is_what_reports_say(call: Call) -> None:
    expected = reported(call)
    assert call_cost(call, EVERYONES) == (expected if expected is None else pytest.approx(expected, rel=1e-12))


def test_a_call_without_a_price() -> None:
    assert call_cost(Call(started_at=1, model="nosuch", input_tokens=5), EVERYONES) is None
    assert call_cost(Call(started_at=1), EVERYONES) is None
