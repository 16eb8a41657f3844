"""`vertex-tap run`: a program with a private proxy, like `time` for tokens."""

import asyncio
import hashlib
import logging
import os
import shlex
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy import options
from mitmproxy.proxy import mode_specs
from rich.console import Console

from addons import environment
from addons.child import Child
from addons.child import Usual
from addons.child import held
from addons.child import hold_signals
from addons.configuration.listening import LOOPBACK
from addons.configuration.settings import OPTIONS
from addons.configuration.values import Endpoint
from addons.entrance import BUNDLE
from addons.entrance import listeners
from addons.entrance import write_bundle
from addons.launch import CANNOT_START
from addons.launch import MODE
from addons.launch import new_master
from addons.launch import run_to_end
from metering import summary
from metering.database import LedgerError
from metering.prices.catalog import EVERYONES

Via = Literal["base-url", "proxy"]

NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
"""Exit statuses, as of shells; the number of the signal is added to the last one."""
MOST_WARNINGS = 20
CLOCK_US = 3_600_000_000
"""How far the clock may be set back meanwhile, in microseconds."""
NO_CALL = {
    "base-url": (
        "No call came through. The program may take its base URL from no environment variable, or from another one than"
        " these: {variables}. Try: vertex-tap run --via proxy -- {command}"
    ),
    "proxy": (
        "No call to an AI API came through. The program may not honour HTTPS_PROXY, NO_PROXY may name the API's host,"
        " or the host may be none of Google's, OpenAI's or Anthropic's (set openai_endpoint to its URL then)."
        " Try: vertex-tap run -- {command}"
    ),
}


def run(command: tuple[str, ...], via: Via, set_options: tuple[str, ...]) -> int:
    """Run a command with a private proxy, print what it used on standard error, and return its exit status. Raises
    SystemExit if the proxy cannot start."""
    program = Run(command, via, hold_signals())
    chosen = {text.partition("=")[0] for text in set_options}
    problems: list[str] = []

    async def start() -> None:
        master = new_master(
            set_options,
            lambda opts: problems.extend(program.arrange(opts, chosen)),
            program,
            shows_log=False,
            problems=problems,
            is_private=True,
        )
        await run_to_end(master)

    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    try:
        asyncio.run(start())
    except exceptions.OptionsError as e:
        raise SystemExit(f"{CANNOT_START}{e}") from e
    with suppress(OSError):
        # Nobody reads it if the terminal is gone.
        program.print_summary()
        for text in warnings.texts:
            print(text, file=sys.stderr)
    assert program.status is not None
    return program.status


class Run:
    """Starts the program when the proxy listens, and ends the proxy when the program has ended."""

    def __init__(self, command: tuple[str, ...], via: Via, usual: Usual) -> None:
        self.status: int | None = None
        """The program's exit status; None until it has ended."""
        self._command, self._via, self._usual = command, via, usual
        self._gemini: Endpoint | None = None
        self._certificates = ""
        self._ledger = Path()
        self._prices = EVERYONES
        self._instance: str | None = None
        self._since = time.time_ns() // 1000 - CLOCK_US

    def arrange(self, opts: options.Options, chosen: set[str]) -> Iterator[str]:
        """Put into the options what the environment says, where the user has not set that option (`chosen`). Returns
        problems."""
        opts.update(listen_host=LOOPBACK, listen_port=0)
        if "mode" not in chosen:
            opts.update(mode=[MODE if self._via == "base-url" else "regular"])
        yield from self._misfits(opts.mode)
        if self._via == "base-url":
            # With a key, `openai_endpoint` answers some calls even if others are converted.
            has_endpoint = any(_deferred(opts, name) for name in ("openai_api_key", "gateway_config"))
            goes_on = has_endpoint or "OPENAI_API_KEY" in os.environ or _deferred(opts, "openai_mode") == "observe"
            found = environment.upstreams(os.environ, chosen, openai_goes_on=goes_on)
        else:
            found = environment.upstream_proxy({} if "mode" in chosen else os.environ)
        opts.set(*(f"{name}={value}" for name, value in found.options.items()), defer=True)
        if found.gemini:
            self._gemini = found.gemini
            opts.update(mode=[*opts.mode, f"reverse:{environment.origin(found.gemini)}@{LOOPBACK}:{_free_port()}"])
        self._certificates, problems = environment.certificates(os.environ)
        yield from (*found.problems, *problems)

    def _misfits(self, modes: Sequence[str]) -> Iterator[str]:
        for mode in modes:
            with suppress(ValueError):
                is_reverse = isinstance(mode_specs.ProxyMode.parse(mode), mode_specs.ReverseMode)
                if is_reverse != (self._via == "base-url"):
                    fitting = "reverse:..." if self._via == "base-url" else "regular or upstream:..."
                    yield f"mode: --via {self._via} needs {fitting}; write that, or leave it out"

    def running(self) -> None:
        addons = ctx.master.addons
        settings = addons.get("options").configuration.settings
        self._ledger, self._prices = settings.usage_db.absolute(), settings.usage_prices
        if addons.get("errorcheck").logger.has_errored:
            # Another addon has failed, and the proxy ends now.
            return
        if signum := held():
            self._end(SIGNALLED + signum)
            return
        loop, hurry = asyncio.get_running_loop(), addons.get("drain").hurry
        variables = self._variables()
        try:
            Child(
                self._command,
                variables,
                self._usual,
                lambda status: _call(loop, self._end, status),
                lambda: _call(loop, hurry),
            )
        except OSError as e:
            what = "command not found" if isinstance(e, FileNotFoundError) else e.strerror
            print(f"vertex-tap: {self._command[0]}: {what}", file=sys.stderr)
            self._end(NOT_FOUND if isinstance(e, FileNotFoundError) else NOT_EXECUTABLE)
        else:
            self._instance = addons.get("recorder").instance

    def _end(self, status: int) -> None:
        self.status = status
        ctx.master.shutdown()

    def _variables(self) -> dict[str, str]:
        bundle = self._write_bundle()
        (url, *_), *others = listeners()
        if self._via == "proxy":
            return environment.with_proxy(os.environ, url, bundle)
        gemini = others[-1][0] + self._gemini.path if self._gemini else url
        gateway = ctx.master.addons.get("options").configuration.gateway
        return environment.with_base_urls(os.environ, url, gemini, converts=gateway.default.rewrites("anthropic"))

    def _write_bundle(self) -> Path:
        """The file of what the program trusts, which the proxy then trusts too."""
        digest = hashlib.sha256(self._certificates.encode()).hexdigest()[:8]
        bundle = write_bundle(BUNDLE.replace(".", f"-{digest}.", 1), self._certificates)
        if not ctx.options.ssl_verify_upstream_trusted_ca:
            ctx.options.update(ssl_verify_upstream_trusted_ca=str(bundle))
        return bundle

    def print_summary(self) -> None:
        """Print what the program used on standard error, or why nothing is known of it."""
        if not self._instance:
            return
        try:
            rows = summary.of_process(self._ledger, self._instance, self._since, self._prices)
        except (LedgerError, sqlite3.Error) as e:
            print(f"vertex-tap: the ledger {self._ledger} cannot be read ({e})", file=sys.stderr)
            return
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        if rows:
            summary.show(rows, console)
        else:
            reason = NO_CALL[self._via].format(
                variables=", ".join(environment.BASE_URLS), command=shlex.join(self._command)
            )
            console.print(f"vertex-tap: {reason}", markup=False)


def _call(loop: asyncio.AbstractEventLoop, function: object, *arguments: object) -> None:
    """Have a loop call a function, unless it has ended already."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]


def _deferred(opts: options.Options, name: str) -> str:
    """The value of an option of ours, which mitmproxy does not know yet."""
    value = opts.deferred.get(name, OPTIONS[name][0])
    return str(getattr(value, "val", [value])[0])


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


class Warnings(logging.Handler):
    """Keeps what the proxy warns of, as the terminal is the program's while it runs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.texts) < MOST_WARNINGS:
            self.texts.setdefault(record.getMessage())
