"""What mitmproxy's screens tell of calls beside their bodies: a comment and a mark on each flow in mitmweb and the
console, a line in mitmdump's log (`call_lines.py`), and the commands `vertex.report` and `vertex.calls`."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC
from datetime import datetime
from pathlib import Path
from sqlite3 import DatabaseError
from typing import cast

from mitmproxy import command
from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy import http
from mitmproxy import types
from mitmproxy.addonmanager import Loader

from addons.call_lines import CallLines
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import harmless
from addons.faces import has_screens
from addons.options import Options
from addons.recorder import Listener
from addons.recorder import Recorder
from metering import costs
from metering import reports
from metering.call_line import comment_line
from metering.call_line import dollars
from metering.call_line import is_error
from metering.database import LedgerError
from metering.database import open_for_reading
from metering.output import visible
from metering.prices.catalog import Catalog
from metering.selection import Grouping
from metering.selection import ReportError
from metering.selection import Selection
from metering.selection import keys
from metering.selection import span
from metering.written import Kept

MARK = ":red_circle:"
"""The mark of a call that has failed, by its name in mitmproxy's table of emoji."""
SUMS = {
    "calls": "calls",
    "errors": "errors",
    "input_tokens": "input",
    "input_cached_tokens": "cached",
    "output_tokens": "output",
    "output_thought_tokens": "thoughts",
    "cost_usd": "cost",
}
"""Columns of the report that `vertex.report` shows -> their headings."""
COLUMNS = {
    "started_at": "started",
    "operation": "operation",
    "model": "model",
    "status": "status",
    "state": "state",
    "error_type": "error",
    "input_tokens": "input",
    "output_tokens": "output",
    "ttft_us": "ttft ms",
    "duration_us": "ms",
    "client": "client",
    "id": "id",
}
"""Columns of the ledger that `vertex.calls` shows -> their headings."""


class Screens(Listener):
    """Tells of calls when they go upstream, and when they have ended."""

    def __init__(self, options: Options, exchanges: Exchanges, recorder: Recorder) -> None:
        self._options = options
        self._exchanges = exchanges
        self._recorder = recorder
        self._has_screens = False

    def load(self, loader: Loader) -> None:
        self._has_screens = has_screens()
        if self._has_screens:
            self._recorder.listeners.append(self)
        if ctx.master.addons.get("dumper") is not None:
            self._recorder.listeners.append(CallLines(self._options.cost_of))

    @harmless
    def request(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.get(flow)
        if exchange and self._has_screens:
            flow.comment = comment_line(exchange.call)

    @command.command("vertex.report")  # type: ignore[untyped-decorator]
    def report(self, by: str = "model", since: str = "") -> types.Data:
        """Show the usage in this proxy's ledger by `model`, `day`, `client`, or a list such as `day,model`; all of it,
        or since `today`, `7d`, `24h` or a date."""
        try:
            grouping = Grouping(keys(by), UTC)
            selection = Selection(span(since or None, None, UTC, datetime.now(UTC)))
            with closing(open_for_reading(self._ledger())) as db:
                rows = costs.usage([db], grouping, selection, self._prices())
        except (ReportError, LedgerError, DatabaseError) as e:
            raise exceptions.CommandError(str(e)) from e
        return _table(rows, {key: key for key in grouping.keys} | SUMS)

    @command.command("vertex.calls")  # type: ignore[untyped-decorator]
    def calls(self, newest: int = 20) -> types.Data:
        """List the newest calls in this proxy's ledger, the last one first."""
        try:
            with closing(open_for_reading(self._ledger())) as db:
                rows = [*reports.calls([db], Selection(), newest=max(newest, 1))]
        except (LedgerError, DatabaseError) as e:
            raise exceptions.CommandError(str(e)) from e
        return _table(rows[::-1], COLUMNS)

    def _ledger(self) -> Path:
        # No property: mitmproxy reads every attribute of an addon to find its commands, before there are options.
        return self._options.configuration.settings.usage_db

    def _prices(self) -> Catalog:
        return self._options.configuration.settings.usage_prices

    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        if flow:
            flow.comment = comment_line(exchange.call, self._options.cost_of(exchange.call))
            if is_error(exchange.call):
                flow.marked = flow.marked or MARK


def _table(rows: Sequence[reports.Row], columns: dict[str, str]) -> types.Data:
    """A table as mitmproxy shows it: rows of texts, the first of which are the headings."""
    table = [[*columns.values()], *([_cell(name, row[name]) for name in columns] for row in rows)]
    return cast(types.Data, table)


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if name == "started_at":
        return datetime.fromtimestamp(int(str(value)) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    if name == "cost_usd":
        return dollars(float(str(value)))
    if name.endswith("_us"):
        return f"{int(str(value)) / 1000:,.0f}"
    return f"{value:,}" if isinstance(value, int) and name != "status" else visible(str(value))
