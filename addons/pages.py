"""The pages of this proxy: `/-/` of a reverse-mode listener, `http://vertex-tap.local/-/` through a forward-mode one.

The application itself is `metering/pages`. mitmproxy hands it the requests, and waits for its whole answers. None of
them is a call, so they leave no row.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import closing
from contextlib import contextmanager
from sqlite3 import Connection
from typing import Any
from urllib.parse import unquote

from mitmproxy import http
from mitmproxy.addons import asgiapp
from mitmproxy.proxy import mode_specs
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send

from addons.addressing import go_to
from addons.classify import PAGES_HOST
from addons.classify import is_of_pages
from addons.configuration.clients import Callers
from addons.configuration.values import Endpoint
from addons.drain import Drain
from addons.identify import OTHER_NETWORK
from addons.identify import PROXY_HEADER
from addons.identify import keys_in
from addons.identify import origin_of
from addons.layers import names_called
from addons.metrics import Metrics
from addons.options import Options
from addons.recorder import Recorder
from metering.database import open_for_reading
from metering.kinds import MakeReport
from metering.kinds import makers
from metering.pages import visitors
from metering.pages.app import Source
from metering.pages.app import application
from metering.pages.visitors import Refusal
from metering.pages.visitors import Visit

HERE = Endpoint("http", PAGES_HOST, 80, "")


class Pages:
    """Answers requests for pages."""

    def __init__(self, options: Options, drain: Drain, recorder: Recorder, metrics: Metrics) -> None:
        self._options = options
        self._drain = drain
        self._recorder = recorder
        source = Source(self._opened, self._reports, self._is_ready, self._refusal, metrics.metrics_text)
        self._application = application(source)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if is_of_pages(flow):
            # Otherwise mitmproxy's screens would show the upstream's host, to which nothing is sent.
            go_to(flow.request, HERE, flow.request.path)

    async def request(self, flow: http.HTTPFlow) -> None:
        if not is_of_pages(flow) or flow.response or flow.error:
            return
        names = names_called(flow)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            callers = self._options.configuration.gateway.callers
            await self._application({**scope, **_corrected(flow, callers, names, scope)}, receive, send)

        await asgiapp.serve(answer, flow)
        if flow.request.method == "HEAD" and flow.response:
            # mitmproxy would send the body, which the client would take for its next answer.
            flow.response.raw_content = b""

    def _reports(self) -> Mapping[str, MakeReport]:
        return makers(self._options.configuration.settings.usage_prices)

    def _is_ready(self) -> bool:
        return self._recorder.is_well and not self._drain.is_draining

    def _refusal(self, visit: Visit) -> Refusal | None:
        """Why a visitor may not see a page; None if it may."""
        callers = self._options.configuration.gateway.callers
        if not callers.need_key:
            return visitors.refusal(visit)
        given = [key for name in KEY_HEADERS for key in keys_in(visit.headers.get(name, ""))]
        client = next(filter(None, map(callers.client_of, given)), None)
        if client is None:
            return visitors.NO_KEY
        if not client.pages:
            return Refusal(f"The client {client.name} may not see these pages; it needs pages: true.")
        if not callers.let_in(callers.address_of(visit.client, ()), client):
            return Refusal(OTHER_NETWORK.message)
        return visitors.foreign(visit)

    @contextmanager
    def _opened(self) -> Iterator[list[Connection]]:
        with closing(open_for_reading(self._options.configuration.settings.usage_db)) as db:
            yield [db]


KEY_HEADERS = ("authorization", PROXY_HEADER)
"""Headers in which a visitor has its key. In forward mode a browser has given it to the proxy already."""


def _corrected(flow: http.HTTPFlow, callers: Callers, names: list[str], scope: Scope) -> dict[str, Any]:
    """What mitmproxy's scope says otherwise: the path is still percent-encoded in it, the connection may come from a
    trusted proxy, and Host is that of the upstream."""
    is_reverse = isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode)
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    headers += [(b"host", name.encode("latin-1", errors="replace")) for name in dict.fromkeys(names)]
    return {
        "path": unquote(flow.request.path.partition("?")[0]),
        "scheme": flow.request.scheme.lower(),
        "client": (str(callers.address_of(*origin_of(flow)) or ""), flow.client_conn.peername[1]),
        "server": ("localhost" if is_reverse else PAGES_HOST, None),
        "headers": headers,
    }
