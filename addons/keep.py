"""Keeps the bodies of AI calls in memory for mitmproxy's screens and saved flows, with the option
`gateway_keep_content`."""

import logging

from mitmproxy import http
from mitmproxy.addonmanager import Loader

from addons.exchange import Exchanges
from addons.exchange import harmless
from addons.faces import has_screens
from addons.faces import keep_content
from addons.kept import LARGEST
from addons.kept import MOST
from addons.kept import KeptStream
from addons.options import Options

logger = logging.getLogger(__name__)

MB = 1024 * 1024
KEPT = (
    "vertex-tap: gateway_keep_content is on: prompts and answers stay in memory, and in flows that are saved (-w);"
    f" up to {LARGEST // MB} MB of a body, {MOST // MB} MB of all. Credentials stay hidden."
)
IN_VAIN = "vertex-tap: gateway_keep_content has no effect: this proxy has no screen and saves no flows."


class Keep:
    """Copies bodies that are streamed. It comes after every addon that sets what a stream passes through; `redact`
    shows the copies, and the bodies that are held."""

    def __init__(self, options: Options, exchanges: Exchanges) -> None:
        self._options = options
        self._exchanges = exchanges
        self._has_screens = False

    def load(self, loader: Loader) -> None:
        self._has_screens = has_screens()

    def running(self) -> None:
        if self._options.configuration.settings.gateway_keep_content:
            logger.warning(KEPT if self._has_screens else IN_VAIN)

    @harmless
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if self._is_kept(flow):
            keep_content(flow)
            if flow.request.stream:
                flow.request.stream = KeptStream(flow.request.stream)

    @harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response and flow.response.stream and self._is_kept(flow):
            flow.response.stream = KeptStream(flow.response.stream)

    def _is_kept(self, flow: http.HTTPFlow) -> bool:
        exchange = self._exchanges.get(flow)
        if not self._has_screens or not exchange or not exchange.configuration.settings.gateway_keep_content:
            return False
        # On a path that nobody knows a body may be anything, such as the answer of a token endpoint.
        return exchange.target is not None
