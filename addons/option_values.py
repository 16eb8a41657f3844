"""`vertex-tap options`: the options with the values that a proxy started here would have, and where they come from."""

import os
from pathlib import Path
from typing import NamedTuple

from mitmproxy import exceptions
from mitmproxy import options

from addons import config_files
from addons.configuration.settings import ENVIRONMENT
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import Settings
from addons.configuration.settings import asks_for
from addons.keys import without_secrets
from addons.options import PREFIXES

HIDDEN = "(set, not shown)"


class OptionValue(NamedTuple):
    """An option as a proxy would read it."""

    name: str
    value: str
    """For people: a secret is only said to be set."""
    origin: str
    """Where the value comes from: a file, an environment variable, or `default`."""
    help: str


def option_values() -> list[OptionValue]:
    """The options, in the order of `OPTIONS`. Raises ValueError if mitmproxy's configuration cannot be read."""
    given, files = _configured()
    texts = {name: str(given.get(name, default)) for name, (default, _) in OPTIONS.items()}
    found = []
    for name, (_, help) in OPTIONS.items():
        value, origin = texts[name], files.get(name, "default")
        variable = ENVIRONMENT.get(name)
        if variable and not value and asks_for(texts, name) and os.environ.get(variable):
            value, origin = os.environ[variable], variable
        is_secret = not Settings.model_fields[name].repr
        found.append(OptionValue(name, HIDDEN if value and is_secret else without_secrets(value), origin, help))
    return found


def unknown_options() -> list[str]:
    """The names in mitmproxy's configuration that look like options of ours, and are none: with these the proxy does
    not start. Raises ValueError."""
    given, _ = _configured()
    return sorted(name for name in given if name.startswith(PREFIXES) and name not in OPTIONS)


def _configured() -> tuple[dict[str, object], dict[str, str]]:
    """The values that mitmproxy's configuration files have for options that are not its own, and the file of each."""
    given: dict[str, object] = {}
    files: dict[str, str] = {}
    for name in config_files.NAMES:
        opts = options.Options()
        path = Path(opts.confdir).expanduser() / name
        try:
            config_files.load(opts, path)
        except exceptions.OptionsError as e:
            raise ValueError(str(e)) from e
        given |= opts.deferred
        files |= dict.fromkeys(opts.deferred, str(path))
    return given, files
