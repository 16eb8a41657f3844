"""Who may call."""

from urllib.parse import urlsplit

from mitmproxy import http

from addons.classify import Classify
from addons.classify import fails_closed
from addons.options import Options
from addons.options import is_loopback
from addons.translation.conversation import refusal
from metering.call import ErrorType

FOREIGN = "Calls with the credentials of this proxy are not taken from web pages of other sites."


class Access:
    """Where calls get credentials that the client does not have, a web page that the user happens to visit must not
    make them: a browser tells where a page is from. (That only this machine can connect, `options` sees to.)"""

    def __init__(self, options: Options, classify: Classify) -> None:
        self._options = options
        self.exchanges = classify.exchanges

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and self._options.gateway.injects and _is_foreign(flow.request.headers):
            exchange.refuse(flow, refusal(403, FOREIGN), ErrorType.BAD_REQUEST)


def _is_foreign(headers: http.Headers) -> bool:
    if headers.get("sec-fetch-site", "").lower() == "cross-site":
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return True
    return not host or not is_loopback(host)
