"""Reads the configuration again on SIGHUP, while calls go on."""

import asyncio
import functools
import logging
import os
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path

from mitmproxy import ctx
from mitmproxy import optmanager
from mitmproxy.addonmanager import Loader

from addons.configuration.file import ConfigurationError
from addons.configuration.services import Gateway
from addons.configuration.settings import Configuration
from addons.options import Options
from addons.options import is_start
from addons.upstream import in_thread

logger = logging.getLogger(__name__)


class Reload:
    """Reads the YAML file, the price file and the credentials again on SIGHUP. If anything is wrong, all problems are
    logged in one message, and everything stays as it was.

    Calls under way keep the configuration that they began with. The options themselves are read at start only.
    """

    name = "vertex_tap_reload"
    """mitmproxy refuses two addons of one name, and a user's script may well have a `Reload`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._written: Mapping[str, object] = {}
        """What mitmproxy's configuration files said at the start."""
        self._is_asked = False
        """Whether a SIGHUP has come that no reading has begun for."""
        self._task: asyncio.Task[None] | None = None
        self._ends_with_terminal = False

    def load(self, loader: Loader) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL and not _is_passed_on():
            # It would end the process while that starts, which may take as long as a credentials_command does.
            had_terminal = _has_terminal()
            signal.signal(signal.SIGHUP, lambda *_: self._hang_up_early(had_terminal))

    def _hang_up_early(self, had_terminal: bool) -> None:
        if had_terminal and not _has_terminal():
            raise SystemExit(128 + signal.SIGHUP)
        self._is_asked = True

    def configure(self, updated: set[str]) -> None:
        if is_start(updated):
            self._written = _written(ctx.options.confdir)

    def running(self) -> None:
        if _is_passed_on():
            return
        if ctx.master.addons.get("consoleaddon"):
            # mitmproxy's console would never notice that its terminal is closed.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            return
        # Under `nohup` it is ignored at the start: then the process outlives the terminal.
        self._ends_with_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        if self._is_asked:
            self._hang_up()

    def done(self) -> None:
        if self._task:
            self._task.cancel()

    def _hang_up(self) -> None:
        if ctx.master.should_exit.is_set():
            return
        if self._end_with_terminal():
            return
        if self._ends_with_terminal:
            # tmux sends the signal before it closes the terminal.
            asyncio.get_running_loop().call_later(CLOSING_S, self._end_with_terminal)
        self._is_asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._answer())

    def _end_with_terminal(self) -> bool:
        """Shut down if the terminal has been closed, and tell whether it has."""
        is_closed = self._ends_with_terminal and not _has_terminal()
        if is_closed:
            ctx.master.shutdown()
        return is_closed

    async def _answer(self) -> None:
        """Read once after the last signal, and never twice at the same time."""
        while self._is_asked:
            self._is_asked = False
            read = functools.partial(_read, self._options.reader(), self._written, ctx.options.confdir)
            try:
                await self._adopt(await in_thread(read))
            except ConfigurationError as e:
                logger.error("\n  ".join((KEPT, *e.problems)))
            except Exception as e:
                logger.error(f"{KEPT} {type(e).__name__}")

    async def _adopt(self, configuration: Configuration) -> None:
        if configuration.gateway.injects and not ctx.options.keep_host_header:
            # `access` compares Host, which mitmproxy has replaced in requests that are on their way to it. These still
            # get the configuration that was.
            ctx.options.update(keep_host_header=True)
            await asyncio.sleep(0)
        before = self._options.configuration
        self._options.adopt(configuration)
        changes = [*_changes(before, self._options.configuration)]
        logger.info("vertex-tap: read the configuration again: %s", ", ".join(changes) or "nothing has changed")


CLOSING_S = 1.0
"""How long after a SIGHUP the terminal may still be open that it told of."""
KEPT = "vertex-tap: the configuration stays as it was, as it cannot be read again:"


SECTIONS: Mapping[str, Callable[[Gateway], object]] = {
    "routes": lambda gateway: (gateway.routes, gateway.has_default),
    "aliases": lambda gateway: gateway.aliases,
    "models": lambda gateway: gateway.models,
    "allow_from": lambda gateway: gateway.callers.allow_from,
    "trusted_proxies": lambda gateway: gateway.callers.trusted_proxies,
    "clients": lambda gateway: gateway.callers.clients,
    "limits": lambda gateway: gateway.limits,
}
"""Section of the file, except `services` -> what was made of it."""


def _read(read: Callable[[], Configuration], written: Mapping[str, object], confdir: str) -> Configuration:
    """The configuration as it is now. Raises ConfigurationError with all problems; one is an option that differs from
    what was `written` at the start."""
    problems, configuration = [], None
    try:
        problems += [CHANGED.format(name) for name in _differing(written, _written(confdir))]
    except ConfigurationError as e:
        problems += e.problems
    try:
        configuration = read()
    except ConfigurationError as e:
        problems += e.problems
    if problems or configuration is None:
        raise ConfigurationError(problems)
    return configuration


CHANGED = "{}: config.yaml has another value than at the start; restart to change it"


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _written(confdir: str) -> Mapping[str, object]:
    """What mitmproxy's configuration files say. Raises ConfigurationError."""
    written: dict[str, object] = {}
    for path in (Path(confdir).expanduser() / name for name in ("config.yaml", "config.yml")):
        if path.is_file():
            try:
                written |= optmanager.parse(path.read_text("utf-8"))
            except Exception:
                # The message may quote a key.
                raise ConfigurationError([f"{path}: cannot be read as YAML; correct it"]) from None
    return written


def _changes(before: Configuration, now: Configuration) -> Iterator[str]:
    """What differs between two configurations, in words."""
    old, new = before.gateway.services, now.gateway.services
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"service {name} {'added' if name not in old else 'removed' if name not in new else 'changed'}"
    for section, of in SECTIONS.items():
        if of(before.gateway) != of(now.gateway):
            yield f"{section} changed"
    if before.settings.usage_prices != now.settings.usage_prices:
        yield "prices changed"


def _is_passed_on() -> bool:
    """Whether SIGHUP is for the program that `vertex-tap run` has started."""
    return signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _has_terminal() -> bool:
    """Whether this process has a terminal, which has not hung up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
