"""Keeps mitmproxy's consoles from seeing secrets in a call that has just begun."""

from mitmproxy import http

from addons.faces import show


class Curtain:
    """Shows only the redacted copy of a flow to mitmproxy's consoles, which list a flow as soon as it begins. In the
    addon chain it comes right before the consoles, after every addon that may still change a call."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        show(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        show(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        show(flow)
