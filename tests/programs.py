"""What processes of the tests are forked from: all that `mitmdump` and `vertex-tap` import. See `forked.py`."""

import gc
from collections.abc import Callable

from mitmproxy.tools.main import mitmdump

import vertex_tap
from addons import gateway as _gateway  # noqa: F401
from addons import launch as _launch  # noqa: F401

MAIN: dict[str, Callable[[], object]] = {"mitmdump": mitmdump, "vertex-tap": vertex_tap.main}

# So that the memory stays shared.
gc.freeze()
