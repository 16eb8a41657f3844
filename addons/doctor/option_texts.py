"""The options as `vertex-tap serve` reads them, without making a Master: that would write files."""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from mitmproxy import exceptions
from mitmproxy import options
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import mode_specs

from addons import config_files
from addons.configuration.settings import OPTIONS
from addons.launch import AFTER_OURS
from addons.launch import BEFORE_OURS
from addons.launch import HOST
from addons.launch import MODE
from addons.launch import PORT
from addons.options import PREFIXES


def read_options(set_options: Sequence[str]) -> tuple[options.Options, dict[str, str], list[str], list[str]]:
    """mitmproxy's options, our options as texts, problems with both, and names of options that there are not."""
    opts = options.Options(mode=[MODE], listen_host=HOST, listen_port=PORT)
    loader = Loader(SimpleNamespace(options=opts))
    for addon in (*BEFORE_OURS, *AFTER_OURS):
        getattr(addon(), "load", lambda _: None)(loader)
    told: dict[str, list[str]] = {}
    for text in set_options:
        name, equals, value = text.partition("=")
        told.setdefault(name, []).extend([value] if equals else [])
    problems = _set(opts, told)
    for name in config_files.NAMES:
        try:
            config_files.load(opts, Path(opts.confdir).expanduser() / name)
        except exceptions.OptionsError as e:
            problems.append(f"{name}: {_first_line(e)}; correct this file of mitmproxy")
    # They override what the files say.
    _set(opts, told)
    texts: dict[str, list[object]] = {name: [opts.deferred[name]] for name in OPTIONS if name in opts.deferred}
    texts |= {name: [*values] for name, values in told.items() if name in OPTIONS}
    given = {}
    for name, (default, _) in OPTIONS.items():
        try:
            given[name] = _text(texts.get(name, [default]), is_switch=default in ("true", "false"))
        except ValueError as e:
            problems.append(f"{name}: {e}")
            given[name] = default
    unknown = [name for name in told if name not in OPTIONS and name not in opts]
    unknown += [name for name in opts.deferred if name.startswith(PREFIXES) and name not in OPTIONS]
    return opts, given, problems, unknown


def _set(opts: options.Options, told: Mapping[str, list[str]]) -> list[str]:
    """Set mitmproxy's own options, and return the problems."""
    problems = []
    for name, values in told.items():
        if name in opts:
            try:
                opts.set(*(f"{name}={value}" for value in values) if values else (name,))
            except exceptions.OptionsError as e:
                why = _first_line(e).removeprefix(f"Failed to parse option {name}: ")
                problems.append(f"{name}: {why}; set it to another value")
    return problems


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(":;. ")


def _text(values: list[object], *, is_switch: bool) -> str:
    """The text of an option that is set so many times. Raises ValueError."""
    if len(values) > 1:
        raise ValueError("it is set several times; set it once")
    value = values[0] if values else None
    if is_switch and isinstance(value, bool):
        # A switch in config.yaml.
        return str(value).lower()
    if not isinstance(value, str):
        raise ValueError("write it as text")
    return value


def parsed_modes(specs: Sequence[str]) -> tuple[list[mode_specs.ProxyMode], list[str]]:
    modes, problems = [], []
    for spec in specs:
        try:
            modes.append(mode_specs.ProxyMode.parse(spec))
        except ValueError as e:
            problems.append(f"mode: {_first_line(e)}; write one such as {MODE}")
    return modes, problems
