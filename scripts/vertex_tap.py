"""The `vertex-tap` command line: the proxy, and what reads its ledger."""

import signal
import sys


def on_interrupt(handler: object) -> None:
    """Set what Ctrl-C does, unless this process was started so that it ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]


if sys.argv[0].endswith("vertex-tap"):
    # Ctrl-C ends the program without a word while it is still being read.
    on_interrupt(signal.SIG_DFL)

import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import closing
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from functools import partial
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from typing import BinaryIO
from typing import Literal

import click

from metering import companions
from metering import database
from metering import datasette
from metering import export as exports
from metering import ledger_names
from metering import no_calls
from metering import output
from metering import rejected
from metering import reports
from metering import selection
from metering import tables
from metering import verify as soundness
from metering.kinds import KINDS
from metering.kinds import columns
from metering.kinds import makers
from metering.prices import listing
from metering.prices.catalog import Catalog
from metering.problems import problems
from metering.progress import progress
from metering.ship_command import ship
from metering.store import Store
from metering.tail import Tail

FORMATS = ("table", "json", "csv")
REPORT_FORMATS = (*FORMATS, "html")
SHOWN_CALLS = 100


class InOrder(click.Group):
    """Lists the commands in the order of this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands]


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="vertex-tap")
@click.pass_context
def main(context: click.Context) -> None:
    """Sits between AI clients and Google Vertex AI, and keeps a ledger of every call."""
    # The proxy handles Ctrl-C itself, as soon as it can.
    on_interrupt(signal.SIG_DFL if context.invoked_subcommand in ("serve", "run") else signal.default_int_handler)
    # A terminal that has no UTF-8 gets escapes.
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


set_option = click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE", help="Set an option; can be repeated."
)


@main.command()
@click.option("--host", show_default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), show_default="8080", help="Port to listen on.")
@set_option
@click.option("--quiet", is_flag=True, help="No line for each call.")
def serve(host: str | None, port: int | None, options: tuple[str, ...], quiet: bool) -> None:
    """Run the proxy until Ctrl-C or SIGTERM.

    `vertex-tap options` lists the options that --set takes, and the values they have here.
    """
    # mitmproxy takes half a second to import, which the other commands need not pay.
    from addons.launch import serve

    serve(host, port, options, quiet=quiet)


@main.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--via",
    type=click.Choice(("base-url", "proxy")),
    default="base-url",
    show_default=True,
    help="How COMMAND finds the proxy: variables with base URLs, or HTTPS_PROXY and certificates.",
)
@set_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND...")
def run(via: Literal["base-url", "proxy"], options: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Run COMMAND with a proxy of its own, then print what it used. Exits with COMMAND's status."""
    from addons.run import run

    sys.exit(run(command, via, options))


@main.command("options")
def list_options() -> None:
    """List the options of the proxy, with their values here.

    The values are those of mitmproxy's config.yaml and of the environment. Keys are not shown.
    """
    from addons.option_values import option_values
    from addons.option_values import unknown_options

    with problems():
        try:
            rows, unknown = option_values(), unknown_options()
        except ValueError as e:
            raise click.ClickException(str(e)) from e
        tables.print_list(("option", "value", "from", "meaning"), rows)
        for name in unknown:
            click.echo(f"{output.visible(name)}: there is no such option; the proxy does not start with it", err=True)


@main.command("script-path", short_help="Print where the script for mitmproxy is.")
def script_path() -> None:
    """Print where the script for mitmproxy is: mitmdump -s "$(vertex-tap script-path)"."""
    script = find_spec("addons.gateway")
    click.echo(script.origin if script else "")


_SPAN = (
    click.option(
        "--since", metavar="WHEN", help="Start of the time span: 7d, 24h, today, yesterday, or an ISO date or time."
    ),
    click.option("--until", metavar="WHEN", help="End of the time span, excluded; written like --since."),
)
_ZONE = click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="IANA time zone.")
_FILTERS = (
    *(
        click.option(
            f"--{name}", multiple=True, metavar="PATTERN", help=f"Only calls with such a {name}; can be repeated."
        )
        for name in selection.FILTERS
    ),
    click.option("--tag", multiple=True, metavar="NAME=PATTERN", help="Only calls with this tag; can be repeated."),
)


def which_calls(command: Callable[..., None], *, has_span: bool = True) -> Callable[..., None]:
    """Gives a command the options that select calls. It gets an argument `asked` for them."""

    @wraps(command)
    def with_selection(**told: Any) -> None:
        since, until, tz, tags = (told.pop(name, None) for name in ("since", "until", "tz", "tag"))
        filters = {name: told.pop(name) for name in selection.FILTERS}
        with problems():
            zone = selection.time_zone(tz)
            calls = selection.Selection(
                selection.span(since, until, zone, datetime.now(UTC)),
                {name: globs for name, globs in filters.items() if globs},
                [*map(selection.tag, tags)],
            )
        command(**told, asked=selection.Asked(calls, zone))

    for option in reversed((*(_SPAN if has_span else ()), _ZONE, *_FILTERS)):
        with_selection = option(with_selection)
    return with_selection


prices_option = click.option(
    "--prices", type=click.Path(path_type=Path), metavar="FILE", help="Price file (YAML) that goes before all others."
)
ledgers_argument = click.argument("ledgers", nargs=-1, metavar="[LEDGER]...")
form_option = partial(click.option, "--format", "form", show_default=True)


@main.command(short_help="Print sums, costs, percentiles, errors or calls.")
@click.argument("arguments", nargs=-1, metavar=f"[{'|'.join(KINDS)}] [LEDGER]...")
@click.option(
    "--by",
    metavar="KEYS",
    help=f"Group by a comma-separated list of {', '.join(selection.KEYS)}, tag:NAME.  [default: model]",
)
@which_calls
@click.option("--limit", type=click.IntRange(1, 10**9), metavar="N", help="At most N lines; of calls the newest (100).")
@prices_option
@click.option("--exact", is_flag=True, help="Latencies exactly, from all rows; else within 5 %.")
@form_option(type=click.Choice(REPORT_FORMATS), default="table")
def report(
    arguments: tuple[str, ...],
    by: str | None,
    limit: int | None,
    prices: Path | None,
    exact: bool,
    form: str,
    asked: selection.Asked,
) -> None:
    """Print sums, costs, percentiles, errors or rows of each LEDGER (usage.db if none is named; globs are expanded)."""
    kind, names = (arguments[0], arguments[1:]) if arguments[:1] and arguments[0] in KINDS else ("usage", arguments)
    with problems():
        if exact and kind != "latency":
            raise selection.ReportError("only the report of latencies takes --exact")
        if by is not None and kind == "calls":
            raise selection.ReportError("the report of calls lists single calls; leave out --by")
        default = "" if kind == "errors" else "model"
        grouping = selection.Grouping(selection.keys(default if by is None else by), asked.zone)
        catalog = Catalog.with_file(prices)
        with ledger_names.opened(names, KINDS) as opened:
            total: reports.Row | None = None
            with progress("reading calls"):
                if kind == "calls":
                    rows = [*reports.calls(opened, asked.calls, newest=limit or SHOWN_CALLS)]
                elif kind == "latency":
                    rows, total = reports.latency_and_total(opened, grouping, asked.calls, exact)
                else:
                    rows = makers(catalog)[kind](opened, grouping, asked.calls)
            if form == "table" and not rows:
                click.echo("\n".join(no_calls.reasons(opened, asked.calls)))
            if form == "html":
                _write_html(opened, kind, columns(kind, grouping), rows[:limit], asked, catalog)
        if form == "json":
            output.write_json(rows[:limit], sys.stdout)
        elif form == "csv":
            output.write_csv(rows[:limit], columns(kind, grouping), sys.stdout)
        elif form == "table" and rows:
            tables.print_calls(rows, asked.zone) if kind == "calls" else tables.print_report(kind, rows, total, limit)


def _write_html(
    opened: Sequence[Store],
    kind: str,
    columns: Sequence[str],
    rows: Sequence[reports.Row],
    asked: selection.Asked,
    catalog: Catalog,
) -> None:
    # Few reports need what makes pages.
    from metering.pages.html_report import document

    with progress("reading calls"):
        html = document(opened, f"report {kind}", columns, rows, asked, makers(catalog), datetime.now(UTC))
    click.echo(html, nl=False)


@main.command()
@ledgers_argument
@partial(which_calls, has_span=False)
@form_option(type=click.Choice(FORMATS[:2]), default="table")
def tail(ledgers: tuple[str, ...], form: str, asked: selection.Asked) -> None:
    """Print calls as they end, from the next one on, until Ctrl-C.

    A LEDGER may come into being later, and may be replaced. With --format json each call is one line.
    """
    with problems():
        paths = ledger_names.paths(ledgers)
        for path in paths:
            if path.exists() and path.stat().st_size:
                database.open_for_reading(path).close()
            else:
                click.echo(output.visible(f"waiting for {path}"), err=True)
        try:
            following = Tail(paths, asked.calls)
            show = tables.Lines(asked.zone).add if form == "table" else _print_json
            for row in following.forever():
                show(row)
        except KeyboardInterrupt:
            return


@main.command()
@click.argument("id")
@ledgers_argument
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="IANA time zone.")
@form_option(type=click.Choice(FORMATS[:2]), default="table")
def show(id: str, ledgers: tuple[str, ...], tz: str, form: str) -> None:
    """Print all that is known of one call, with its attempts. ID is its id, or the beginning of it."""
    with problems(), ledger_names.opened(ledgers) as opened:
        zone = selection.time_zone(tz)
        call, tries = reports.one(opened, output.readable(id))
        if form == "json":
            _print_json(call | {"tries": tries})
        else:
            tables.print_call(call, tries, zone)


def _print_json(value: object) -> None:
    print(output.json_of(value), flush=True)


@main.command(short_help="Show what is known of a price.")
@click.argument("model", required=False)
@prices_option
@form_option(type=click.Choice(FORMATS[:2]), default="table")
def prices(model: str | None, prices: Path | None, form: str) -> None:
    """Show what is known of the prices of MODEL, those first that go before others. Without it, all prices but those
    of genai-prices."""
    with problems():
        catalog = Catalog.with_file(prices)
        if not (found := catalog.about(model)):
            raise selection.ReportError(f"no price of {model} is known; vertex-tap prices lists models that have one")
        if form == "json":
            output.write_json(listing.rows(found), sys.stdout)
        else:
            lines, headings, texts = listing.apart([*listing.texts(found)])
            click.echo("".join(f"{output.visible(line)}\n" for line in lines))
            tables.print_list(headings, texts)


@main.command(short_help="Show ledgers in a browser, without a proxy.")
@ledgers_argument
@click.option("--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="Port to listen on.")
@prices_option
def dashboard(ledgers: tuple[str, ...], port: int, prices: Path | None) -> None:
    """Show the pages of ledgers at http://127.0.0.1:8081/-/, without a proxy, until Ctrl-C."""
    from metering.pages.app import Source
    from metering.pages.app import application
    from metering.pages.server import listen
    from metering.pages.server import serve

    with problems():
        made = makers(Catalog.with_file(prices))
        with ledger_names.opened(ledgers):
            pass
        try:
            listening = listen(port)
        except OSError as e:
            problem = os.strerror(e.errno or 0)
            raise click.ClickException(f"port {port} cannot be used ({problem}); choose another with --port") from e
        click.echo(f"http://127.0.0.1:{listening.getsockname()[1]}/-/")
        serve(application(Source(partial(ledger_names.opened, ledgers), lambda: made, lambda: True)), listening)


@main.command()
@ledgers_argument
@which_calls
@form_option(type=click.Choice((*exports.WRITERS,)), default="csv")
@click.option("--output", "path", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE when complete.")
def export(ledgers: tuple[str, ...], form: str, path: Path | None, asked: selection.Asked) -> None:
    """Write all columns of all rows."""
    with problems(), ledger_names.opened(ledgers) as opened:
        sources, total = ledger_names.sources(ledgers), None
        if path is None and form == "parquet" and sys.stdout.isatty():
            raise selection.ReportError("Parquet is no text; write it to a file with --output FILE")
        if sys.stderr.isatty():
            total = sum(exports.count(db, asked.calls) for db in opened)
        # A terminal that shows the rows has no room for a line of progress.
        is_shown = path is None and sys.stdout.isatty()
        with progress("rows written", total, is_quiet=is_shown) as told, _sink(path) as out:
            exports.WRITERS[form](sources, asked.calls, out, told)


@contextmanager
def _sink(path: Path | None) -> Iterator[BinaryIO]:
    """Where an export goes: a file that is complete or not there, or standard output."""
    if path is None:
        yield sys.stdout.buffer
        return
    with exports.replaced(path) as out:
        yield out


@main.command()
@ledgers_argument
@click.option("--older-than", required=True, metavar="AGE", help="Delete calls that are older, such as 90d or 12h.")
def prune(ledgers: tuple[str, ...], older_than: str) -> None:
    """Delete the rows of old calls. Their sums stay in the usage report."""
    # Other commands need not pay for the import.
    from metering import upkeep

    with problems():
        before = selection.ago(older_than, datetime.now(UTC))
        if before is None:
            raise selection.ReportError(f"--older-than {older_than!r} is not an age; write 90d or 12h")
        for path in ledger_names.paths(ledgers):
            with progress("rows deleted", is_counted=True) as told:
                deleted = upkeep.prune(path, selection.microseconds(before), told)
            click.echo(output.visible(f"{path}: {deleted} rows deleted"))


@main.command()
@ledgers_argument
def verify(ledgers: tuple[str, ...]) -> None:
    """Check ledgers. Exits with 1 if one is damaged."""
    with problems():
        broken = False
        for path in ledger_names.paths(ledgers):
            with closing(database.open_for_reading(path)) as db, progress(f"checking {path}"):
                found = soundness.verify(db, partial(companions.is_alive, path))
            for invariant, times in found.items():
                result = f"BROKEN ({times} times)" if times else "ok"
                click.echo(output.visible(f"{path}: {result}: {invariant}"))
                broken = broken or bool(times)
            _tell_rejected(path)
    sys.exit(1 if broken else 0)


@main.command("datasette", short_help="Write metadata for Datasette.")
@click.argument("ledger", default="usage.db", type=click.Path(path_type=Path))
@click.option("--config", is_flag=True, help="Write the queries and the dashboard for Datasette 1.0 instead.")
def write_datasette(ledger: Path, config: bool) -> None:
    """Write metadata with which Datasette 0.65 shows LEDGER: datasette LEDGER -m FILE."""
    with problems():
        click.echo(datasette.written((datasette.configuration if config else datasette.metadata)(ledger)), nl=False)


main.add_command(ship)


def _tell_rejected(path: Path) -> None:
    """Rows that were set aside are no fault of the ledger."""
    name = companions.rejected_path(path)
    try:
        for reason, times in rejected.reasons(path).most_common():
            click.echo(output.visible(f"{path}: set aside in {name} ({times} rows): {reason}"))
    except OSError as e:
        click.echo(output.visible(f"{path}: {name} cannot be read ({e.strerror})"))


if __name__ == "__main__":
    main()
