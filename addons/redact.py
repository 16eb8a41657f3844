"""Hides secrets from mitmproxy's listing and saved flows: no credential, query, prompt or answer is shown. `faces.py`
makes the redacted copies, and `log_records.py` redacts log lines."""

from mitmproxy import ctx
from mitmproxy import http
from mitmproxy import tcp
from mitmproxy import udp
from mitmproxy import websocket
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import mode_servers
from mitmproxy.proxy.layers import http as layers

from addons.curtain import Curtain
from addons.exchange import Exchanges
from addons.faces import handle_event
from addons.faces import handle_hook
from addons.faces import has_screens
from addons.faces import redact_error
from addons.faces import show
from addons.log_records import edit_log_records


class Redact:
    """Puts the redacted copy on a flow in the last hooks before mitmproxy lists or saves it. Also installs the
    redaction of log records."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._curtain = Curtain()
        self._is_shown = False

    def load(self, loader: Loader) -> None:
        edit_log_records()
        addons = ctx.master.addons
        self._is_shown = has_screens()
        if self._is_shown:
            # Never undone: when a script is reloaded, calls under way must still get their originals back.
            layers.HttpStream.handle_event = handle_event  # type: ignore[method-assign,assignment]
            mode_servers.ProxyConnectionHandler.handle_hook = handle_hook  # type: ignore[method-assign]
        # Compared to None, as a view without flows is false.
        if (view := addons.get("view")) is not None:
            addons.chain.insert(addons.chain.index(view), self._curtain)

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        self._show(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        self._show(flow)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        # The layer sends its own copy of the message; this list is only shown.
        if self._is_shown and flow.websocket:
            last = flow.websocket.messages[-1]
            flow.websocket.messages[:] = [
                websocket.WebSocketMessage(last.type, last.from_client, b"", last.timestamp, last.dropped)
            ]

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        if flow.websocket:
            flow.websocket.messages.clear()
            flow.websocket.close_reason = None

    def error(self, flow: http.HTTPFlow) -> None:
        self._show(flow)

    def tcp_message(self, flow: tcp.TCPFlow) -> None:
        # Non-HTTP traffic on a connection to an AI host. It passes, but its content is not shown.
        last = flow.messages[-1]
        flow.messages[:] = [tcp.TCPMessage(last.from_client, b"", last.timestamp)]

    def tcp_end(self, flow: tcp.TCPFlow) -> None:
        flow.messages.clear()

    def tcp_error(self, flow: tcp.TCPFlow) -> None:
        flow.messages.clear()
        redact_error(flow)

    def udp_message(self, flow: udp.UDPFlow) -> None:
        last = flow.messages[-1]
        flow.messages[:] = [udp.UDPMessage(last.from_client, b"", last.timestamp)]

    def udp_end(self, flow: udp.UDPFlow) -> None:
        flow.messages.clear()

    def udp_error(self, flow: udp.UDPFlow) -> None:
        flow.messages.clear()
        redact_error(flow)

    def done(self) -> None:
        chain = ctx.master.addons.chain
        if self._curtain in chain:
            chain.remove(self._curtain)
        if ctx.master.should_exit.is_set():
            # mitmproxy saves the flows that are still under way when it ends.
            for flow in list(self._exchanges):
                self._show(flow)

    def _show(self, flow: http.HTTPFlow) -> None:
        if self._is_shown:
            show(flow)
