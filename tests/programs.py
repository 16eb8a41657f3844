"""Imports what `mitmdump`, `mitmweb` and `vertex-tap` need, once, before the tests fork them. See `forked.py`."""

import gc
from collections.abc import Callable

from mitmproxy.tools.main import mitmdump
from mitmproxy.tools.main import mitmweb

import vertex_tap
from addons import gateway as _gateway  # noqa: F401
from addons import launch as _launch  # noqa: F401

MAIN: dict[str, Callable[[], object]] = {"mitmdump": mitmdump, "mitmweb": mitmweb, "vertex-tap": vertex_tap.main}

# Keeps the garbage collector from writing to memory that the forks share.
gc.freeze()
