"""Decides which flows are AI calls, and records what the request headers say about each."""

from collections.abc import Iterator
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons import keys
from addons.addressing import names_listener
from addons.configuration.settings import Settings
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import fails_closed
from addons.identify import Identify
from addons.options import Options
from metering.call import Call
from metering.call import word
from metering.hosts import api_of
from metering.hosts import is_door
from metering.output import readable
from metering.paths import Target
from metering.paths import parse
from metering.sdks import sdk_of
from metering.templates import Api
from metering.usage.formats import OPENAI_SOCKETS

LONGEST_PATH = 1024
LONGEST_TAG = 128
PAGES_HOST = "vertex-tap.local"
"""The host that forward mode answers itself."""


class Classify:
    """Makes an `Exchange` for every flow that is an AI call. In reverse mode every flow is one; in forward mode only
    those to AI hosts are, and those to the proxy itself, which are refused. Other flows pass through unchanged."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.identify = Identify(options)
        self.exchanges: Exchanges = WeakKeyDictionary()

    def is_ai_host(self, host: str) -> bool:
        """Whether forward mode decrypts connections to this host: those of Google's and OpenAI's APIs, and the
        endpoints in the options."""
        settings = self._options.configuration.settings
        named = (endpoint.host for endpoint in (settings.vertex_endpoint, settings.openai_endpoint) if endpoint)
        return api_of(host) is not None or host in named

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if is_of_pages(flow):
            return
        request, configuration = flow.request, self._options.configuration
        # First, as the keys of clients are removed, and what else the request has is judged.
        client = self.identify.client_of(flow)
        path = request.path.partition("?")[0]
        api: Api | None = None
        base = ""
        if isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode) or names_listener(flow):
            base = _base_of(path, configuration.settings)
            path = path[len(base) :] or "/"
            api = _told_api(request, path)
        elif host := next(filter(self.is_ai_host, _names(flow)), None):
            api = api_of(host)
        else:
            request.stream = True
            return
        target = parse(request.method, path, api)
        fields = target.fields if target else {}
        call = Call(
            started_at=int(request.timestamp_start * 1_000_000),
            method=word(request.method, 16),
            path=path.removeprefix(target.base if target else "")[:LONGEST_PATH],
            client=client.name if client else None,
            sdk=sdk_of(request.headers),
            tags=_tags(request.headers, configuration.settings),
            surface=target.surface if target else None,
            operation=target.operation if target else None,
            project=word(fields.get("project"), 128),
            location=word(fields.get("location")),
            publisher=word(target.publisher) if target else None,
            model=word(fields.get("model") or _endpoint_id(fields) or _queried_model(request, target), 256),
        )
        # Where clients have names, no fingerprint stands for them.
        credential = None if configuration.gateway.callers.need_key else keys.client_of(request)
        exchange = Exchange(call, target, base, path, credential, configuration, client=client)
        exchange.note_trace(request.headers.get("traceparent"))
        self.exchanges[flow] = exchange
        if flow.error:
            exchange.refuse_unanswered()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response and flow not in self.exchanges:
            flow.response.stream = True


def is_of_pages(flow: http.HTTPFlow) -> bool:
    """Whether a request is for a page of this proxy, which `pages.py` answers: below `/-/` at its own address, and all
    at `vertex-tap.local` in forward mode."""
    is_reverse = isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode)
    if is_reverse or names_listener(flow):
        path = flow.request.path.partition("?")[0]
        return path == "/-" or path.startswith("/-/")
    return flow.request.host.lower() == PAGES_HOST


def _names(flow: http.HTTPFlow) -> Iterator[str]:
    """What the client calls the host of a request in forward mode."""
    names = (flow.request.host, flow.client_conn.sni or flow.request.host)
    yield from names
    if is_door(names[-1]):
        yield flow.request.pretty_host


def _base_of(path: str, settings: Settings) -> str:
    """The configured base path that `path` begins with; empty if none."""
    bases = settings.gateway_base_path
    return next((base for base in bases if path == base or path.startswith(base + "/")), "")


def _tags(headers: http.Headers, settings: Settings) -> dict[str, str] | None:
    names = (name for name in settings.usage_tags if name in headers)
    return {name: readable(headers[name])[:LONGEST_TAG] for name in names} or None


def _told_api(request: http.Request, path: str) -> Api | None:
    """The API of a path that several have: `anthropic` for `/v1/models` with the header that all its clients send,
    `gemini` for `/v1/models` and `/v1/files` if the request has a Google credential. None if the path alone decides."""
    target = parse(request.method, path)
    if target and target.api == "vertex":
        return None
    if "anthropic-version" in request.headers:
        return "anthropic" if parse(request.method, path, "anthropic") else None
    if target and target.api == "openai" and keys.Issuer.GOOGLE in keys.issuers(request):
        return "gemini" if parse(request.method, path, "gemini") else None
    return None


def _endpoint_id(fields: Mapping[str, str]) -> str | None:
    endpoint = fields.get("endpoint")
    return None if endpoint == "openapi" else endpoint


def _queried_model(request: http.Request, target: Target | None) -> str | None:
    """The model in the query, where OpenAI's Realtime API has it."""
    return request.query.get("model") if target and target.operation in OPENAI_SOCKETS else None
