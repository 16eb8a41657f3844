"""What consoles see of a call as soon as it has begun."""

from mitmproxy import http

from addons.faces import show


class Curtain:
    """Stands before mitmproxy's consoles in its chain of addons, and behind all that may still change a call: they
    list a flow as soon as it has begun."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        show(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        show(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        show(flow)
