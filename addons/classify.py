"""Which flows are AI calls, and what is known of each before it goes anywhere."""

import contextlib
import functools
import inspect
import logging
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import MutableMapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import TypeVar
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons import keys
from addons.configuration.services import Service
from addons.configuration.settings import Configuration
from addons.configuration.settings import Settings
from addons.error_pages import error_response
from addons.options import Options
from addons.translation.conversation import Failure
from addons.translation.conversation import to_bytes
from addons.translation.errors import anthropic_error
from addons.translation.errors import openai_error
from metering.call import Call
from metering.call import ErrorType
from metering.call import word
from metering.paths import Api
from metering.paths import Target
from metering.paths import api_of
from metering.paths import parse

logger = logging.getLogger(__name__)

LONGEST_PATH = 1024
LONGEST_TAG = 128


Hook = TypeVar("Hook", bound=Callable[..., Any])


def fails_closed(hook: Hook) -> Hook:
    """After an exception in a hook mitmproxy lets a call go on as it is. Where that could send a credential to
    somebody, or a call unconverted, it is answered instead."""

    @contextlib.contextmanager
    def guard(addon: Any, flow: http.HTTPFlow) -> Iterator[None]:
        try:
            yield
        except Exception as e:
            # The message of an exception may quote the prompt; its type does not.
            logger.error("vertex-tap: a call was not sent (%s in %s)", type(e).__name__, hook.__qualname__)
            failure = Failure(500, "The proxy could not send this call on.", "INTERNAL")
            if exchange := addon.exchanges.get(flow):
                exchange.refuse(flow, failure, None)
            else:
                flow.response = error_response(failure.status, failure.message)

    @functools.wraps(hook)
    def guarded(addon: Any, flow: http.HTTPFlow) -> None:
        with guard(addon, flow):
            hook(addon, flow)

    @functools.wraps(hook)
    async def guarded_async(addon: Any, flow: http.HTTPFlow) -> None:
        with guard(addon, flow):
            await hook(addon, flow)

    return guarded_async if inspect.iscoroutinefunction(hook) else guarded  # type: ignore[return-value]


LIKE_OPENAI = re.compile(r"/+v1(?:/|%2f|$)(?!(?:.*/)?(?:projects|publishers)/)", re.IGNORECASE)
"""Paths that OpenAI's clients may mean, of those that are not known."""


@dataclass(slots=True, weakref_slot=True)
class Exchange:
    """An AI call under way."""

    call: Call
    """The row that it will leave."""
    target: Target | None
    """What its path asks; None for an unknown path on a known host."""
    base: str
    """The configured base path that it came with; empty without."""
    path: str
    """The path without query and that."""
    credential: str | None
    """What tells its client from others. A secret: only its fingerprint is kept."""
    configuration: Configuration
    """What the proxy was told to do when the call came; it holds until the call ends, whatever is read later."""
    service: Service | None = None
    """What answers it, if that is one of ours."""
    is_rewritten: bool = False
    """Whether it becomes a call of another dialect, once its body is here."""
    answered_by: Target | None = None
    """What it then asks, and `answered_with` by which method."""
    answered_with: str = "POST"
    refused: bool = False
    answered: bool = False
    """Whether we, or another addon, have answered it without an upstream."""
    held: bool = False
    """Whether its answer is held until it is whole, as it will be another one."""
    repeated: http.Response | None = None
    """The answer to its repetition."""
    others: list[http.Response] = field(default_factory=list)
    """The answers to the other calls that this one became."""

    @property
    def speaks_openai(self) -> bool:
        """Whether its client reads errors in OpenAI's words, and nobody else's."""
        return self.target.surface == "openai" if self.target else LIKE_OPENAI.match(self.path) is not None

    def refuse(
        self, flow: http.HTTPFlow, failure: Failure, error_type: ErrorType | None, param: str | None = None
    ) -> None:
        """Answer the call ourselves, in its own dialect; `param` is what is wrong in its body."""
        if self.speaks_openai or (self.target and self.target.surface == "anthropic"):
            body = to_bytes(openai_error(failure, param) if self.speaks_openai else anthropic_error(failure))
            flow.response = http.Response.make(failure.status, body, {"content-type": "application/json"})
        else:
            flow.response = error_response(failure.status, failure.message)
        self.refused = True
        self.call.error_type = error_type


class Classify:
    """Makes an `Exchange` of every flow that is an AI call. In reverse mode all flows are; others are passed on as
    they come."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.exchanges: MutableMapping[http.HTTPFlow, Exchange] = WeakKeyDictionary()

    def is_ai_host(self, host: str) -> bool:
        """Whether forward mode looks into connections to this host: Google's, OpenAI's, and those in options."""
        settings = self._options.configuration.settings
        named = (endpoint.host for endpoint in (settings.vertex_endpoint, settings.openai_endpoint) if endpoint)
        return api_of(host) is not None or host in named

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        request, configuration = flow.request, self._options.configuration
        path = request.path.partition("?")[0]
        api: Api | None = None
        base = ""
        if isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode):
            base = _base_of(path, configuration.settings)
            path = path[len(base) :] or "/"
            api = _told_api(request, path)
        elif host := next(
            (name for name in (request.host, flow.client_conn.sni) if name and self.is_ai_host(name)), None
        ):
            api = api_of(host)
        else:
            request.stream = True
            return
        target = parse(request.method, path, api)
        call = Call(
            started_at=int(request.timestamp_start * 1_000_000),
            method=word(request.method, 16),
            path=path.removeprefix(target.base if target else "")[:LONGEST_PATH],
            sdk=sdk_of(request.headers),
            tags=_tags(request.headers, configuration.settings),
        )
        if target:
            call.surface = target.surface
            call.operation = target.operation
            call.project = word(target.fields.get("project"), 128)
            call.location = word(target.fields.get("location"))
            call.publisher = word(target.publisher)
            call.model = word(target.fields.get("model") or _endpoint_id(target), 256)
        self.exchanges[flow] = Exchange(call, target, base, path, keys.client_of(request), configuration)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response and flow not in self.exchanges:
            flow.response.stream = True


def _base_of(path: str, settings: Settings) -> str:
    """The configured base path that a path begins with; empty without."""
    bases = settings.gateway_base_path
    return next((base for base in bases if path == base or path.startswith(base + "/")), "")


def _tags(headers: http.Headers, settings: Settings) -> dict[str, str] | None:
    names = (name for name in settings.usage_tags if name in headers)
    return {name: headers[name][:LONGEST_TAG] for name in names} or None


def _told_api(request: http.Request, path: str) -> Api | None:
    """Of a path that Google's API and OpenAI's share (`/v1/models`, `/v1/files`): Google's, if the credential is."""
    target = parse(request.method, path)
    if target and target.api == "openai" and keys.Issuer.GOOGLE in keys.issuers(request):
        return "gemini" if parse(request.method, path, "gemini") else None
    return None


def _endpoint_id(target: Target) -> str | None:
    endpoint = target.fields.get("endpoint")
    return None if endpoint == "openapi" else endpoint


SDKS = (
    ("x-goog-api-client", re.compile(r"\b(google-genai-sdk/[\w.+-]+)"), r"\1"),
    ("user-agent", re.compile(r"^(?:Async)?([A-Za-z]+)/(?:Python|JS) ([\w.+-]+)"), r"\1/\2"),
    ("user-agent", re.compile(r"^([\w.-]+/[\w.+-]+)"), r"\1"),
)
"""Where clients name themselves: header, pattern, and what becomes the column `sdk`."""


def sdk_of(headers: http.Headers) -> str | None:
    for header, pattern, template in SDKS:
        if match := pattern.search(headers.get(header, "")):
            return word(match.expand(template).lower())
    return None
