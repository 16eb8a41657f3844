"""mitmproxy's side of the options: declares them, reads them once at start, refuses what cannot be."""

from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import mode_specs

from addons.configuration.file import ConfigurationError
from addons.configuration.settings import LOOPBACK
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import Configuration
from addons.configuration.settings import Listening
from addons.configuration.settings import contradictions
from addons.configuration.settings import read

PREFIXES = ("vertex_", "openai_", "gateway_", "usage_")
"""How the names of our options begin. No other addon's options begin like this."""
LISTENING = {"mode", "listen_host", "ssl_insecure"}
"""The options of mitmproxy's that `Listening` is made of."""


def _listening() -> Listening:
    modes = [mode_specs.ProxyMode.parse(mode) for mode in ctx.options.mode]
    return Listening(modes, ctx.options.listen_host, ctx.options.ssl_insecure)


class Options:
    """Declares the options, and holds what they say as `configuration` from the start on. They are read once: a later
    change is refused."""

    configuration: Configuration

    def __init__(self, prefixes: tuple[str, ...] = PREFIXES) -> None:
        """`prefixes` are those of names that no other addon may have; an unknown one is a misspelling."""
        self._prefixes = prefixes
        self._started = False
        self._unusable: list[str] = []
        """What is wrong with values that are not one text, such as a number or a list."""

    def load(self, loader: Loader) -> None:
        # mitmproxy would drop the script over a value that is no text, and go on without it.
        for name in OPTIONS.keys() & ctx.options.deferred.keys():
            value = ctx.options.deferred[name]
            texts = getattr(value, "val", [value])
            if len(texts) != 1 or not isinstance(texts[0], str):
                self._unusable.append(f"{name}: {'set it once' if len(texts) > 1 else 'write it as text'}")
                del ctx.options.deferred[name]
        for name, (default, help) in OPTIONS.items():
            loader.add_option(name, str, default, help)

    def configure(self, updated: set[str]) -> None:
        given = {name: getattr(ctx.options, name) for name in OPTIONS if name in ctx.options}
        if is_start(updated) and not self._started:
            self.configuration = self._read(given)
            if self.configuration.gateway.injects and not ctx.options.listen_host:
                ctx.options.update(listen_host=LOOPBACK)
            self._started = True
        elif self._started and (changed := sorted(updated & OPTIONS.keys())):
            raise exceptions.OptionsError(f"{', '.join(changed)}: read at start only; restart to change it")
        elif self._started and updated & LISTENING:
            problems = [*contradictions(given, _listening(), self.configuration.gateway.injects)]
            if problems:
                raise exceptions.OptionsError("; ".join(problems))

    def _read(self, given: dict[str, str]) -> Configuration:
        """Raises SystemExit with one message that names every problem: mitmproxy then ends with status 1, with this on
        stderr, without a listener and without a traceback."""
        unknown = [name for name in ctx.options.deferred if name.startswith(self._prefixes)]
        listening = _listening()
        try:
            return read(given, unknown, listening._replace(host=listening.host or LOOPBACK), self._unusable)
        except ConfigurationError as e:
            raise SystemExit("\n  ".join(["vertex-tap cannot start:", *e.problems])) from e


def is_start(updated: set[str]) -> bool:
    """Whether a `configure` is the one at start, which names every option."""
    return OPTIONS.keys() <= updated
