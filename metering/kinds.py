"""The kinds of reports: what makes each one, and its columns."""

from collections.abc import Callable
from collections.abc import Mapping
from functools import partial

from metering import costs
from metering import reports
from metering.prices.catalog import Catalog
from metering.reports import Row
from metering.selection import Grouping

KINDS = ("usage", "cost", "latency", "errors", "calls")

MakeReport = Callable[..., list[Row]]
"""Makes a report from open ledgers, a Grouping and a Selection."""


def makers(catalog: Catalog) -> Mapping[str, MakeReport]:
    """Kind -> what makes such a report, with these prices. Latencies are within 5 %, or `exact`. The report of calls is
    not here, as it has no grouping (`reports.calls`)."""
    return {
        "usage": partial(costs.usage, catalog=catalog),
        "cost": partial(costs.cost, catalog=catalog),
        "latency": partial(reports.latency, exact=False),
        "errors": reports.errors,
    }


def columns(kind: str, grouping: Grouping) -> tuple[str, ...]:
    """The names of a report's columns."""
    if kind == "usage":
        return costs.usage_columns(grouping)
    return costs.cost_columns(grouping) if kind == "cost" else reports.columns(kind, grouping)
