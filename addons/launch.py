"""`vertex-tap serve`: runs the same addons on a mitmproxy Master of our own, with only the mitmproxy addons they need.

Every hook walks through all addons, and mitmdump has four times as many. The options of the addons that are left out
(listing, saved flows, replay, scripts, ...) do not exist here, so that nobody sets one in vain.
"""

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy import hooks
from mitmproxy import options
from mitmproxy.addons import block
from mitmproxy.addons import core
from mitmproxy.addons import disable_h2c
from mitmproxy.addons import errorcheck
from mitmproxy.addons import next_layer
from mitmproxy.addons import proxyauth
from mitmproxy.addons import proxyserver
from mitmproxy.addons import tlsconfig
from mitmproxy.addons import upstream_auth
from mitmproxy.master import Master
from mitmproxy.proxy import mode_specs

from addons import config_files
from addons.call_lines import CallLines
from addons.configuration.settings import OPTIONS
from addons.gateway import chain
from addons.options import PREFIXES
from addons.options import Options

MODE = "reverse:https://aiplatform.googleapis.com"
HOST = "127.0.0.1"
PORT = 8080
CANNOT_START = "vertex-tap cannot start:\n  "
BEFORE_OURS = (core.Core, block.Block, disable_h2c.DisableH2C, proxyauth.ProxyAuth, proxyserver.Proxyserver)
AFTER_OURS = (next_layer.NextLayer, tlsconfig.TlsConfig, upstream_auth.UpstreamAuth)
"""mitmproxy's own addons that are used, those that come before our addons, and those that come after them."""


def serve(host: str | None, port: int | None, set_options: tuple[str, ...], *, quiet: bool = False) -> None:
    """Serve until SIGINT or SIGTERM. `set_options` are texts of the form `name=value`, and override mitmproxy's
    config.yaml; `quiet` leaves out the line for each call. Raises SystemExit for bad options."""

    def listen(opts: options.Options) -> None:
        opts.update(listen_host=host or opts.listen_host, listen_port=opts.listen_port if port is None else port)

    async def start() -> None:
        master = new_master(set_options, listen, shows_log=True)
        if not quiet:
            lines = CallLines(master.addons.get("options").cost_of)
            master.addons.get("recorder").listeners.append(lines)
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, master.shutdown)
        await run_to_end(master)

    try:
        asyncio.run(start())
    except exceptions.OptionsError as e:
        raise SystemExit(f"{CANNOT_START}{e}") from e


def new_master(
    set_options: tuple[str, ...],
    arrange: Callable[[options.Options], None],
    *more: object,
    shows_log: bool,
    problems: Sequence[str] = (),
    is_private: bool = False,
) -> Master:
    """A Master that is ready to run.

    `arrange` changes the options after config.yaml and `set_options` are read; options of addons are still in
    `deferred` then. `more` are addons that come last. `shows_log` is whether the log goes to standard output.
    `problems` are those found before, which are reported with all others. `is_private`: the proxy serves one program
    of its user only. Raises SystemExit, OptionsError.
    """
    opts = options.Options(mode=[MODE], listen_host=HOST, listen_port=PORT)
    master = Master(opts, with_termlog=shows_log)
    check = ErrorCheck()
    if shows_log:
        # What is wrong at the start is said once, in the message that ends the process.
        master.addons.get("termlog").logger.addFilter(check.is_for_log)
    opts.set(*set_options, defer=True)
    given = set(opts.deferred)
    confdir = Path(opts.confdir).expanduser()
    for name in config_files.NAMES:
        config_files.load(opts, confdir / name)
    # config.yaml may set options of mitmproxy addons that are left out here; these are ignored.
    others = {name for name in opts.deferred if name not in given and not name.startswith(PREFIXES)}
    opts.set(*set_options, defer=True)
    arrange(opts)
    master.addons.add(
        *(addon() for addon in BEFORE_OURS),
        *chain(Options(prefixes=("",), problems=problems, is_private=is_private)),
        *(addon() for addon in AFTER_OURS),
        check,
        *more,
    )
    for name in others:
        opts.deferred.pop(name, None)
    _set_log_levels(opts.termlog_verbosity if shows_log else "warn")
    master.addons.trigger(hooks.ConfigureHook({"confdir", "mode", *OPTIONS}))
    return master


async def run_to_end(master: Master) -> None:
    """Run a Master until it is shut down. Raises SystemExit if it cannot listen."""
    try:
        await master.run()
    finally:
        if not master.addons.get("proxyserver").is_running:
            # mitmproxy ends without `done` if it has not started completely. The ledger must be closed nonetheless.
            master.addons.get("recorder").close()


class ErrorCheck(errorcheck.ErrorCheck):
    """Ends the process if an error is logged while it starts, with one message that says what to do."""

    is_over = False
    """Whether the start is over."""

    def is_for_log(self, record: logging.LogRecord) -> bool:
        """Whether a record goes to the log at once."""
        return self.is_over or record.levelno < logging.ERROR

    def finish(self) -> None:
        super().finish()  # type: ignore[no-untyped-call]
        self.is_over = True

    async def shutdown_if_errored(self) -> None:
        # mitmproxy's server tasks log their errors in the next turn of the loop.
        await asyncio.sleep(0)
        if self.logger.has_errored:
            problems = [*_listen_problems()] or [record.getMessage() for record in self.logger.has_errored]
            raise SystemExit(CANNOT_START + "\n  ".join(problems))


def _listen_problems() -> Iterator[str]:
    """Why listeners could not be opened, and what to do."""
    for server in ctx.master.addons.get("proxyserver").servers:
        if isinstance(server.last_exception, OSError):
            mode, opts = server.mode, ctx.options
            host, port = mode.listen_host(opts.listen_host), mode.listen_port(opts.listen_port)
            yield listen_problem(mode, host, port, server.last_exception)


def listen_problem(mode: mode_specs.ProxyMode, host: str, port: int | None, problem: OSError) -> str:
    """Why a listener of a mode cannot be opened, and what to do: `what is wrong; what to do`."""
    is_named = mode.custom_listen_port is not None
    remedy = f"name another one in mode={mode.full_spec}" if is_named else "choose another one with --port"
    if problem.errno == errno.EADDRINUSE:
        return f"port {port} at {host} is in use by another program; {remedy}"
    if problem.errno == errno.EACCES:
        return f"port {port} at {host} is for administrators only; {remedy}"
    # Numbers below 0 are of the lookup of a name.
    number = problem.errno or 0
    reason = os.strerror(number) if number >= 0 else "there is no such host"
    return f"cannot listen at {host}, port {port} ({reason}); {remedy}, or another --host"


def _set_log_levels(verbosity: str) -> None:
    root = logging.getLogger()
    root.setLevel(verbosity.upper())
    if verbosity != "debug":
        # mitmproxy logs every connection at INFO, and each listener, whose address `entrance` says in other words.
        for name in ("mitmproxy.proxy.server", "mitmproxy.proxy.mode_servers"):
            logging.getLogger(name).setLevel(logging.WARNING)
