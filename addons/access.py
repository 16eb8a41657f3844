"""Refuses callers that are not let in, and requests that must not be sent with the proxy's own credentials."""

import re
from unicodedata import normalize
from urllib.parse import quote
from urllib.parse import unquote_to_bytes

from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy import server_hooks

from addons.classify import is_of_pages
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import error_response
from addons.exchange import fails_closed
from addons.identify import Identify
from addons.identify import Refusal
from addons.options import Options
from addons.options import is_start
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.errors import refusal
from metering.call import ErrorType
from metering.local import is_local

OTHER_NAME = (
    "This proxy adds its own credentials, so the Host header must be a name of this machine, such as localhost or"
    " 127.0.0.1, or the name that the proxy listens on."
)
FOREIGN = "This proxy adds its own credentials, so it refuses calls from web pages of other sites."
ECHOED = "TRACE is refused: its answer would show the credentials that this proxy adds."


class Access:
    """Refuses calls without the key of a client, where there are clients, and from other networks than are allowed.

    It also refuses calls that must not get the proxy's own credentials: those that a web page makes behind the user's
    back, and requests that an upstream may read differently than this proxy does. (`options` sees to it that only this
    machine can connect, unless there are clients.)

    A browser names the site that a request comes from. DNS rebinding defeats this: the page's own host name then
    resolves to this machine, and its requests count as same-site. But the browser still sends that name in Host. Where
    calls need a key, which such a page does not have, the proxy may have any name.
    """

    def __init__(self, options: Options, exchanges: Exchanges, identify: Identify) -> None:
        self._options = options
        self._identify = identify
        self.exchanges = exchanges

    def configure(self, updated: set[str]) -> None:
        if not (is_start(updated) or "keep_host_header" in updated) or not self._options.configuration.gateway.injects:
            return
        if is_start(updated):
            # Otherwise mitmproxy would replace the client's Host before the first hook. `route` replaces it later.
            ctx.options.update(keep_host_header=True)
        elif not ctx.options.keep_host_header:
            raise exceptions.OptionsError(
                "keep_host_header: the proxy adds credentials, and so checks Host; leave it on"
            )

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange, mode = self.exchanges.get(flow), flow.client_conn.proxy_mode
        if is_of_pages(flow) or flow.response or flow.error:
            return
        if refused := self._identify.refusal(flow):
            _turn_away(flow, exchange, refused)
            return
        if not exchange or not isinstance(mode, mode_specs.ReverseMode):
            return
        gateway, request = exchange.configuration.gateway, flow.request
        if not gateway.injects:
            return
        has_any_name = gateway.callers.need_key
        if not has_any_name and not _names_us(request, mode.listen_host(ctx.options.listen_host)):
            exchange.refuse(flow, refusal(403, OTHER_NAME), ErrorType.FORBIDDEN)
        elif _is_foreign(request.headers):
            exchange.refuse(flow, refusal(403, FOREIGN), ErrorType.FORBIDDEN)
        elif ECHOING & _methods(request):
            exchange.refuse(flow, refusal(405, ECHOED), ErrorType.BAD_REQUEST)
            assert flow.response
            flow.response.headers["allow"] = ALLOWED
        elif problem := misleading(request.path):
            exchange.refuse(flow, _not_this_path(exchange, problem), ErrorType.BAD_REQUEST)
            _make_harmless(exchange)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        # With keep_host_header, mitmproxy would use the client's SNI for the upstream too, and verify its certificate
        # by it.
        reverse = isinstance(data.client.proxy_mode, mode_specs.ReverseMode)
        if reverse and ctx.options.keep_host_header and data.server.sni and data.server.address:
            data.server.sni = data.server.address[0]


def _turn_away(flow: http.HTTPFlow, exchange: Exchange | None, refused: Refusal) -> None:
    """Refuse a caller. Whatever is wrong with its key, the answer is the same, and so has no id of the call."""
    failure, error_type, headers = refused
    if exchange:
        exchange.refuse(flow, failure, error_type)
    else:
        flow.response = error_response(failure.status, failure.message)
        flow.request.stream = False
    assert flow.response
    flow.response.headers.update(headers)
    if exchange and error_type is ErrorType.UNAUTHORIZED:
        flow.response.headers.pop(exchange.errors.id_header, None)
        if flow.response.content and exchange.errors.id_member:
            flow.response.content = to_bytes(exchange.errors.write(failure, None))


# Names


def _names_us(request: http.Request, listener: str) -> bool:
    """Whether every host that a request names is this proxy: Host, `:authority` of HTTP/2, and the host of an absolute
    URL."""
    names = request.headers.get_all("host")
    if request.authority:
        names = [*names, request.authority]
    once = len(names) == 1 or (len(names) == 2 and bool(request.authority))
    return once and all(is_local(name, listener) for name in names)


OUR_SITES = frozenset({"same-origin", "same-site", "none"})
"""Accepted values of Sec-Fetch-Site (W3C, Fetch Metadata). This proxy's name is local, so pages of the same site are
local too."""


def _is_foreign(headers: http.Headers) -> bool:
    """Whether a browser says that a page of another site sends the request. Referer is not used: pages can suppress it,
    and other programs put their own site there."""
    sites = ", ".join(headers.get_all("sec-fetch-site")).lower().split(",")
    if not OUR_SITES.issuperset(site.strip() for site in sites if site.strip()):
        return True
    return not all(is_local(origin.partition("://")[2]) for origin in headers.get_all("origin"))


# Methods


ECHOING = frozenset({"TRACE", "TRACK"})
"""Methods whose response repeats the request, including its credentials (RFC 9110, section 9.3.8; TRACK is
Microsoft's)."""
ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
METHOD_HEADERS = ("x-http-method-override", "x-http-method", "x-method-override")
"""Headers in which a POST can name another method to use instead."""


def _methods(request: http.Request) -> set[str]:
    said = [request.method, *(request.headers.get(name, "") for name in METHOD_HEADERS)]
    return {method.strip().upper() for method in said}


# Paths


DECODINGS = 4
"""How many servers in a row may percent-decode a path."""
EMPTY = "has an empty segment"
PROBLEMS = (
    (re.compile(r"[\x00-\x1f\x7f-\x9f\\]"), "has a control character or a backslash"),
    (re.compile(r"(?:^|/) *\.{1,2} *(?:[;:?#][^/]*)?(?:/|$)"), "has a segment that is . or .."),
    # google-genai puts an empty segment before the path of its Live API.
    (re.compile(r"//(?!ws/google\.)"), EMPTY),
)
"""Pattern -> what is wrong with a path that contains it, as servers may resolve such a path differently. Each is
searched for in the path as sent and in each of its decoded forms."""
_NO_URL = re.compile(r"[\x00-\x20\x7f]")
_NO_PATH = re.compile(r"#|%(?![0-9A-Fa-f]{2})")


def misleading(target: str) -> str | None:
    """Why a server may resolve a request to another resource than its path seems to name; None if nothing is wrong.

    `target` is the path and query as mitmproxy gives them (bytes that are not UTF-8 are surrogates). Servers differ in
    how often they percent-decode, in whether `..;x` and `..\\` mean the parent folder, and in how they read characters
    that only look like dots (Unicode compatibility forms). So all of these are refused.
    """
    path = target.partition("?")[0]
    if _NO_URL.search(target) or _NO_PATH.search(path):
        return "has characters that are not allowed in a URL"
    for _ in range(DECODINGS):
        plain = normalize("NFKC", path)
        if problem := next((problem for pattern, problem in PROBLEMS if pattern.search(plain)), None):
            return problem
        try:
            decoded = unquote_to_bytes(path).decode()
        except UnicodeError:
            return "is not UTF-8"
        if decoded == path:
            return None
        path = decoded
    return "is percent-encoded too many times"


def _not_this_path(exchange: Exchange, problem: str) -> Failure:
    message = f"The path {problem}, so servers may read it in different ways. Nothing was sent."
    if problem == EMPTY and exchange.speaks_openai:
        # The same error as for any other unknown path below /v1.
        return Failure(404, message, "UNKNOWN_URL")
    return refusal(400, message)


def _make_harmless(exchange: Exchange) -> None:
    """Percent-encode the path in the ledger row, so that it is printable."""
    call = exchange.call
    call.path = quote((call.path or "").encode(errors="surrogateescape"), safe="/%!$&'()*+,;=:@~")
