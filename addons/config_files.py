"""mitmproxy's configuration files."""

from pathlib import Path

from mitmproxy import exceptions
from mitmproxy import optmanager
from mitmproxy.options import Options

NAMES = ("config.yaml", "config.yml")
"""What is in the second goes before what is in the first."""


def load(opts: Options, path: Path) -> None:
    """Set options as a file says; without it, none. Raises OptionsError, whatever is wrong with it."""
    try:
        optmanager.load_paths(opts, path)
    except (OSError, AttributeError, TypeError) as e:
        # mitmproxy takes for granted that the file holds options, of the right types.
        if isinstance(e, OSError):
            why = e.strerror
        else:
            why = str(e) if str(e).startswith("Expected ") else "write options into it, such as listen_port: 8081"
        raise exceptions.OptionsError(f"Error reading {path}: {why}") from e
