"""Logs a line for each call that has ended."""

import logging
from collections.abc import Callable

from mitmproxy import http

from addons.exchange import Exchange
from addons.recorder import Listener
from metering.call import Call
from metering.call_line import call_line
from metering.written import Kept

logger = logging.getLogger(__name__)


class CallLines(Listener):
    """Logs the line of each call."""

    def __init__(self, cost_of: Callable[[Call], float | None]) -> None:
        """`cost_of` gives the cost of a call in US dollars; None if it has no known price."""
        self._cost_of = cost_of

    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        logger.info("vertex-tap: %s", call_line(exchange.call, self._cost_of(exchange.call)))
