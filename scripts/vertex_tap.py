"""The `vertex-tap` command line: the proxy, and what reads its ledger."""

import csv
import glob
import itertools
import json
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from datetime import tzinfo
from functools import partial
from functools import wraps
from pathlib import Path
from sqlite3 import Connection
from sqlite3 import DatabaseError
from typing import Any
from typing import NamedTuple
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from metering import companions
from metering import database
from metering import rejected
from metering import reports
from metering import selection
from metering import verify as soundness
from metering.call import COLUMNS

KINDS = ("usage", "latency", "errors", "calls")
FORMATS = ("table", "json", "csv")
REPORT_FORMATS = (*FORMATS, "html")
SHOWN_CALLS = 100
WIDTH = 200
"""Of tables that do not go to a terminal."""

Row = dict[str, object]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vertex-tap")
def main() -> None:
    """Sits between AI clients and Google Vertex AI, and keeps a ledger of every call."""


@main.command()
@click.option("--host", show_default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), show_default="8080", help="Port to listen on.")
@click.option("--set", "options", multiple=True, metavar="NAME=VALUE", help="Set an option; can be repeated.")
def serve(host: str | None, port: int | None, options: tuple[str, ...]) -> None:
    """Run the proxy until Ctrl-C or SIGTERM."""
    # mitmproxy takes half a second to import, which the other commands need not pay.
    from addons.launch import serve

    serve(host, port, options)


_WHICH = (
    click.option(
        "--since", metavar="WHEN", help="Start of the time span: 7d, 24h, today, yesterday, or an ISO date or time."
    ),
    click.option("--until", metavar="WHEN", help="End of the time span, excluded; written like --since."),
    click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="IANA time zone."),
    *(
        click.option(
            f"--{name}", multiple=True, metavar="GLOB", help=f"Only calls with such a {name}; can be repeated."
        )
        for name in selection.FILTERS
    ),
    click.option("--tag", multiple=True, metavar="NAME=GLOB", help="Only calls with such a tag; can be repeated."),
)


class Asked(NamedTuple):
    """The calls that a command is about."""

    calls: selection.Selection
    zone: tzinfo


def which_calls(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that select calls. It gets an argument `asked` for them."""

    @wraps(command)
    def with_selection(**told: Any) -> None:
        since, until, tz, tags = (told.pop(name) for name in ("since", "until", "tz", "tag"))
        filters = {name: told.pop(name) for name in selection.FILTERS}
        with _problems():
            zone = selection.time_zone(tz)
            calls = selection.Selection(
                selection.span(since, until, zone, datetime.now(UTC)),
                {name: globs for name, globs in filters.items() if globs},
                [*map(selection.tag, tags)],
            )
        command(**told, asked=Asked(calls, zone))

    for option in reversed(_WHICH):
        with_selection = option(with_selection)
    return with_selection


ledgers_argument = click.argument("ledgers", nargs=-1, metavar="[LEDGER]...")


@main.command()
@click.argument("arguments", nargs=-1, metavar=f"[{'|'.join(KINDS)}] [LEDGER]...")
@click.option(
    "--by",
    metavar="KEYS",
    help=f"Group by a comma-separated list of {', '.join(selection.KEYS)}, tag:NAME.  [default: model]",
)
@which_calls
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N lines; of calls, the newest (100).")
@click.option("--format", "form", type=click.Choice(REPORT_FORMATS), default="table", show_default=True)
def report(arguments: tuple[str, ...], by: str | None, limit: int | None, form: str, asked: Asked) -> None:
    """Print sums, percentiles, errors or rows of each LEDGER (usage.db if none is named; globs are expanded)."""
    kind, names = (arguments[0], arguments[1:]) if arguments[:1] and arguments[0] in KINDS else ("usage", arguments)
    with _problems(), _opened(names) as opened:
        default = "" if kind == "errors" else "model"
        grouping = selection.Grouping(selection.keys(default if by is None else by), asked.zone)
        columns = reports.columns(kind, grouping)
        if kind == "calls":
            if by is not None:
                raise selection.ReportError("the report of calls lists single calls; leave out --by")
            rows = reports.calls(opened, asked.calls, newest=limit or SHOWN_CALLS)
            if form == "html":
                _write_html(opened, kind, columns, rows, asked)
            else:
                _write(form, rows, columns, lambda rows: _show_calls(rows, asked.zone))
        else:
            make = {"usage": reports.usage, "latency": reports.latency, "errors": reports.errors}[kind]
            made = make(opened, grouping, asked.calls)[:limit]
            if form == "html":
                _write_html(opened, kind, columns, made, asked)
            else:
                _write(form, made, columns, lambda rows: _show(kind, list(rows)))


def _write_html(
    opened: list[Connection], kind: str, columns: tuple[str, ...], rows: Iterable[Row], asked: Asked
) -> None:
    # Few reports need what makes pages.
    from metering.pages.board import REPORTS
    from metering.pages.html_report import document
    from metering.pages.questions import Asked as Selected

    selected = Selected(asked.calls, asked.zone)
    title = f"report {kind}"
    click.echo(document(opened, title, columns, rows, selected, REPORTS, datetime.now(UTC)), nl=False)


@main.command()
@ledgers_argument
@click.option("--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="Port to listen on.")
def dashboard(ledgers: tuple[str, ...], port: int) -> None:
    """Show the pages of ledgers at http://127.0.0.1:8081/-/, without a proxy, until Ctrl-C."""
    from metering.pages.app import Source
    from metering.pages.app import application
    from metering.pages.board import REPORTS
    from metering.pages.server import listen
    from metering.pages.server import serve

    with _problems():
        with _opened(ledgers):
            pass
        try:
            listening = listen(port)
        except OSError as e:
            raise click.ClickException(f"port {port} cannot be used ({e.strerror}); choose another with --port") from e
        click.echo(f"http://127.0.0.1:{listening.getsockname()[1]}/-/")
        serve(application(Source(partial(_opened, ledgers), REPORTS, lambda: True)), listening)


@main.command()
@ledgers_argument
@which_calls
@click.option("--format", "form", type=click.Choice(FORMATS[1:]), default="csv", show_default=True)
def export(ledgers: tuple[str, ...], form: str, asked: Asked) -> None:
    """Write all columns of all rows to standard output."""
    with _problems(), _opened(ledgers) as opened:
        _write(form, reports.calls(opened, asked.calls), COLUMNS, None)


@main.command()
@ledgers_argument
@click.option("--older-than", required=True, metavar="AGE", help="Delete calls that are older, such as 90d or 12h.")
def prune(ledgers: tuple[str, ...], older_than: str) -> None:
    """Delete the rows of old calls. Their sums stay in the usage report."""
    with _problems():
        before = selection.ago(older_than, datetime.now(UTC))
        if before is None:
            raise selection.ReportError(f"--older-than {older_than!r} is not an age; write 90d or 12h")
        for path in _paths(ledgers):
            deleted = database.prune(path, selection.microseconds(before))
            click.echo(f"{path}: {deleted} rows deleted")


@main.command()
@ledgers_argument
def verify(ledgers: tuple[str, ...]) -> None:
    """Check ledgers. Exits with 1 if one is damaged."""
    with _problems(), _opened(ledgers) as opened:
        broken = False
        for path, db in zip(_paths(ledgers), opened, strict=True):
            for invariant, times in soundness.verify(db, partial(companions.is_alive, path)).items():
                click.echo(f"{path}: {'ok' if not times else f'BROKEN ({times} times)'}: {invariant}")
                broken = broken or bool(times)
            _tell_rejected(path)
    sys.exit(1 if broken else 0)


def _tell_rejected(path: Path) -> None:
    """Rows that were set aside are no fault of the ledger."""
    name = companions.rejected_path(path)
    try:
        for reason, times in rejected.reasons(path).most_common():
            click.echo(f"{path}: set aside in {name} ({times} rows): {reason}")
    except OSError as e:
        click.echo(f"{path}: {name} cannot be read ({e.strerror})")


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except (selection.ReportError, database.LedgerError) as e:
        raise click.ClickException(str(e)) from e
    except DatabaseError as e:
        raise click.ClickException(f"the ledger cannot be read: {e}") from e


def _paths(names: tuple[str, ...]) -> list[Path]:
    """The ledgers that are named, globs expanded, each once; a glob leaves out the files that belong to one."""
    found = itertools.chain.from_iterable(_expanded(name) or [name] for name in names or ("usage.db",))
    return list({path.resolve(): path for path in reversed([*map(Path, found)])}.values())[::-1]


def _expanded(name: str) -> list[str]:
    found = sorted(glob.glob(name))
    return found if len(found) == 1 else [path for path in found if not companions.COMPANION.search(path)]


@contextmanager
def _opened(names: tuple[str, ...]) -> Iterator[list[Connection]]:
    with ExitStack() as stack:
        opened = [database.open_for_reading(path) for path in _paths(names)]
        for db in opened:
            stack.callback(db.close)
        yield opened


def _write(
    form: str, rows: Iterable[Row], columns: Iterable[str], show: Callable[[Iterable[Row]], None] | None
) -> None:
    if form == "json":
        _write_json(rows, sys.stdout)
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif show:
        show(rows)


def _write_json(rows: Iterable[Row], out: TextIO) -> None:
    """One row a line, as they come: a ledger may hold millions."""
    before = "[\n"
    for row in rows:
        out.write(before + json.dumps(row))
        before = ",\n"
    out.write("\n]\n" if before != "[\n" else "[]\n")


# Tables for people

HEADINGS = {
    "covered_calls": "covered",
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
    "duration_us": "ms",
    "ttft_us": "ttft ms",
}
ALWAYS = {"input_tokens", "output_tokens"}
"""Sums that are shown even if unknown in every line; others are left out then."""
CALL_COLUMNS = (
    "started_at",
    "operation",
    "model",
    "status",
    "state",
    "usage_state",
    "error_type",
    "input_tokens",
    "output_tokens",
    "ttft_us",
    "duration_us",
)
NOTHING = "[dim]-[/]"
UNKNOWN = "[dim]unknown[/]"


def _show(kind: str, rows: list[Row]) -> None:
    if not rows:
        click.echo("No calls.")
        return
    measured = [name for name in rows[0] if name not in selection.KEYS and not name.startswith("tag:")]
    shown = [
        name for name in rows[0] if name not in measured or name in ALWAYS or any(row[name] is not None for row in rows)
    ]
    table = Table()
    for name in shown:
        heading = HEADINGS.get(name, name.removesuffix("_us").replace("_", " "))
        is_number = name in measured and name not in ("error_type",)
        table.add_column(heading, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(_cell(name, row[name], UNKNOWN if name in measured else NOTHING) for name in shown))
    console = _console()
    console.print(table)
    if kind == "usage":
        calls, covered = (sum(int(str(row[name])) for row in rows) for name in ("calls", "covered_calls"))
        console.print(f"The sums cover {covered:,} of {calls:,} calls, those whose usage is known in full.")
    if kind == "latency":
        console.print("Times are in milliseconds.")


def _show_calls(rows: Iterable[Row], zone: tzinfo) -> None:
    shown = [*rows]
    if not shown:
        click.echo("No calls.")
        return
    table = Table()
    for name in CALL_COLUMNS:
        table.add_column(HEADINGS.get(name, name.replace("_", " ")))
    for row in shown:
        started = datetime.fromtimestamp(int(str(row["started_at"])) / 1_000_000, zone)
        row = row | {"started_at": started.strftime("%Y-%m-%d %H:%M:%S")}
        table.add_row(*(_cell(name, row[name], NOTHING) for name in CALL_COLUMNS))
    _console().print(table)


def _cell(name: str, value: object, missing: str) -> str:
    if value is None:
        return missing
    if name.endswith("_us") and isinstance(value, int):
        return f"{value / 1000:,.1f}"
    return f"{value:,}" if isinstance(value, int) and name != "status" else str(value)


def _console() -> Console:
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDTH)


if __name__ == "__main__":
    main()
