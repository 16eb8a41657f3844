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
from tests.metering.test_costs import MODELS
from tests.metering.test_costs import any_call
from tests.metering.test_reports import EVER
from tests.metering.test_reports import by


@st.composite
def any_tried(draw: st.DrawFn) -> Call:
    columns = draw(any_call())
    for name in ("input_by_modality", "output_by_modality", "usage_raw"):
        columns[name] = json.loads(columns[name]) if columns[name] else None
    call = Call(id="a", instance="i", publisher=draw(st.sampled_from(["google", None])), **columns)
    iterations: list[object] = []
    for kind in draw(st.lists(st.sampled_from(AttemptKind), max_size=3)):
        written = draw(st.sampled_from([None, 5, 7]))
        call.tries.append(
            AttemptRow(
                kind=kind,
                model=draw(st.sampled_from([call.model, *MODELS])),
                location=draw(st.sampled_from(["global", "us-central1"])),
                traffic_type=draw(st.sampled_from([None, "ON_DEMAND_PRIORITY"])),
                status=200,
                started_at=call.started_at,
                input_cache_write_tokens=written,
                input_tokens=draw(st.none() | st.integers(0, 300_000)),
                output_tokens=draw(st.none() | st.integers(0, 300_000)),
            )
        )
        told = {"model": call.tries[-1].model, "cache_creation_input_tokens": written}
        iterations.append(told | {"cache_creation": {"ephemeral_1h_input_tokens": draw(st.integers(0, 5))}})
    call.usage_raw = (call.usage_raw or {}) | {"iterations": iterations}
    return call


def reported(call: Call) -> Any:
    with empty() as db:
        write(db, record_of(call, None))
        (row,) = costs.cost([db], by(), EVER)
        return row["cost_usd"]


@settings(max_examples=200)
@given(call=any_tried())
def test_it_is_what_reports_say(call: Call) -> None:
    expected = reported(call)
    assert call_cost(call, EVERYONES) == (expected if expected is None else pytest.approx(expected, rel=1e-12))


def test_a_call_without_a_price() -> None:
    assert call_cost(Call(started_at=1, model="nosuch", input_tokens=5), EVERYONES) is None
    assert call_cost(Call(started_at=1), EVERYONES) is None
