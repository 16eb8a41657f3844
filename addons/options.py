"""Declares the options to mitmproxy, reads them once at start, and refuses what cannot be used."""

import functools
from collections.abc import Callable
from collections.abc import Sequence
from threading import Thread

from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import mode_specs

from addons.configuration.file import ConfigurationError
from addons.configuration.listening import LOOPBACK
from addons.configuration.listening import Listening
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import Configuration
from addons.configuration.settings import contradictions
from addons.configuration.settings import read
from metering.call import Call
from metering.call_cost import call_cost

PREFIXES = ("vertex_", "openai_", "gateway_", "usage_")
"""The prefixes of our options' names. No other addon has options with these prefixes."""
LISTENING = {"mode", "listen_host", "ssl_insecure"}
"""mitmproxy's own options from which `Listening` is made."""


def _given() -> dict[str, str]:
    return {name: getattr(ctx.options, name) for name in OPTIONS if name in ctx.options}


def _listening() -> Listening:
    modes = [mode_specs.ProxyMode.parse(mode) for mode in ctx.options.mode]
    return Listening(modes, ctx.options.listen_host, ctx.options.ssl_insecure)


class Options:
    """Declares the options, and holds the configuration. The options are read once, at start, and a later change is
    refused. The files that they name may be read again."""

    configuration: Configuration
    """The configuration for calls that come now."""

    def __init__(
        self, prefixes: tuple[str, ...] = PREFIXES, problems: Sequence[str] = (), *, is_private: bool = False
    ) -> None:
        """`prefixes` are those of names that only our options have: an unknown option with such a name is a
        misspelling. `problems` were found before, and are reported with those of the options. `is_private`: the proxy
        serves one program only."""
        self._prefixes = prefixes
        self._is_private = is_private
        self._started = False
        self._unusable = [*problems]
        """Those problems, and messages about option values that are not a single text, such as a number or a list."""

    def load(self, loader: Loader) -> None:
        # For a value that is not text, mitmproxy would unload the script and go on without it.
        for name in OPTIONS.keys() & ctx.options.deferred.keys():
            value = ctx.options.deferred[name]
            if isinstance(value, bool) and OPTIONS[name][0] in ("true", "false"):
                # A switch in config.yaml.
                ctx.options.deferred[name] = value = str(value).lower()
            texts = getattr(value, "val", [value])
            if len(texts) != 1 or not isinstance(texts[0], str):
                self._unusable.append(f"{name}: {'set it once' if len(texts) > 1 else 'write it as text'}")
                del ctx.options.deferred[name]
        for name, (default, help) in OPTIONS.items():
            loader.add_option(name, str, default, help)

    def configure(self, updated: set[str]) -> None:
        given = _given()
        if is_start(updated) and not self._started:
            self.configuration = self._read(given)
            # The end of a call must not wait for that.
            Thread(target=self.configuration.settings.usage_prices.prepare, name="prices", daemon=True).start()
            if self.configuration.gateway.injects and not ctx.options.listen_host:
                ctx.options.update(listen_host=LOOPBACK)
            self._started = True
        elif self._started and (changed := sorted(updated & OPTIONS.keys())):
            raise exceptions.OptionsError(f"{', '.join(changed)}: read at start only; restart to change it")
        elif self._started and updated & LISTENING:
            gateway = self.configuration.gateway
            has_clients = bool(gateway.callers.clients)
            against = contradictions(
                given,
                _listening(),
                gateway.injects,
                has_clients=has_clients,
                only_names_callers=gateway.only_names_callers,
            )
            problems = [*against]
            if problems:
                raise exceptions.OptionsError("; ".join(problems))

    def reader(self) -> Callable[[], Configuration]:
        """What reads again the files and the credentials that the options name. May run in a thread. Raises
        ConfigurationError."""
        return functools.partial(read, _given(), (), _listening())

    def adopt(self, configuration: Configuration) -> None:
        """Use another configuration for the calls that come from now on. Access tokens are kept where they may."""
        gateway = configuration.gateway.with_tokens_of(self.configuration.gateway)
        self.configuration = configuration._replace(gateway=gateway)

    def cost_of(self, call: Call) -> float | None:
        """What a call cost, in US dollars; None if it has no known price."""
        return call_cost(call, self.configuration.settings.usage_prices)

    def _read(self, given: dict[str, str]) -> Configuration:
        """Parse the options. Raises SystemExit with one message that names every problem: mitmproxy then prints it to
        stderr and ends with status 1, without a traceback and before any listener opens."""
        unknown = [name for name in ctx.options.deferred if name.startswith(self._prefixes)]
        listening = _listening()
        try:
            listening = listening._replace(host=listening.host or LOOPBACK)
            return read(given, unknown, listening, self._unusable, is_private=self._is_private)
        except ConfigurationError as e:
            raise SystemExit("\n  ".join(["vertex-tap cannot start:", *e.problems])) from e


def is_start(updated: set[str]) -> bool:
    """Whether a `configure` is the one at start, for which `updated` has every option."""
    return OPTIONS.keys() <= updated
