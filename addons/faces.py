"""The two faces of a flow: the one that is sent, and a redacted copy, which mitmproxy's listing and saved flows show.

The copy has no credentials, query, prompt or answer; prompt and answer only if the user wants to see them
(`keep_content`). The original is never edited: it is put back on the flow before
mitmproxy's layers go on with it (`handle_event`), so they always send the original.
"""

import copy
import re
from collections.abc import Generator
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any
from typing import NamedTuple
from typing import TypeVar
from weakref import WeakKeyDictionary
from weakref import WeakSet

from mitmproxy import ctx
from mitmproxy import http
from mitmproxy import tcp
from mitmproxy import udp
from mitmproxy.proxy import commands
from mitmproxy.proxy import mode_servers
from mitmproxy.proxy.layers import http as layers

from addons import keys
from addons.addressing import NOWHERE
from addons.addressing import go_to
from addons.addressing import reverse_target
from addons.configuration.values import Endpoint
from addons.kept import Shelf
from addons.kept import kept_body
from addons.keys import redacted

SCREENS = ("dumper", "view", "save", "savehar")
"""The mitmproxy addons that show or save flows."""
REDACTED = "redacted"
LONGEST_PATH = 1024
"""The most bytes of a path that are shown."""
LONGEST_VALUE = 256
"""The most bytes of a header's value that are shown."""
MOST_FIELDS = 256
"""The most headers of a message that are shown."""


class Face(NamedTuple):
    """The members of a flow that are swapped. `metadata` is one of them, as mitmproxy keeps its users' passwords
    there."""

    request: http.Request
    response: http.Response | None
    metadata: dict[str, Any]


class _Faces(NamedTuple):
    sent: Face
    shown: Face


_faces: MutableMapping[http.HTTPFlow, _Faces] = WeakKeyDictionary()
"""The two faces of each flow under way that has been shown."""
_with_content: WeakSet[http.HTTPFlow] = WeakSet()
"""The flows whose bodies may be shown."""
_shelf = Shelf()
CUT = "vertex_tap_cut"
"""The member of the shown copy's `metadata` that names the messages of which only the beginning of the body is kept:
`request`, `response`, or both, separated by a space."""


def keep_content(flow: http.HTTPFlow) -> None:
    """Show the bodies of `flow` too, without credentials."""
    _with_content.add(flow)


def show(flow: http.HTTPFlow) -> None:
    """Put the redacted copy on `flow`, until mitmproxy's layers go on with it."""
    _put_sent(flow)
    faces = _faces.get(flow)
    sent = Face(flow.request, flow.response, flow.metadata)
    if not faces or any(one is not other for one, other in zip(faces.sent, sent, strict=True)):
        shown = Face(
            _shown_request(flow.request, reverse_target(flow)), flow.response and _shown_response(flow.response), {}
        )
        if flow in _with_content:
            _add_content(sent, shown)
        faces = _faces[flow] = _Faces(sent, shown)
    flow.request, flow.response, flow.metadata = faces.shown
    redact_error(flow)


def _add_content(sent: Face, shown: Face) -> None:
    """Put the bodies into the copies of request and response, as far as they have come."""
    for name in ("request", "response"):
        message, copied = getattr(sent, name), getattr(shown, name)
        if message is None:
            continue
        copied.data.content, is_cut = kept_body(message, sent.request)
        # The body is kept without it.
        copied.headers.pop("content-encoding", None)
        _shelf.add(copied)
        if is_cut:
            shown.metadata[CUT] = f"{shown.metadata.get(CUT, '')} {name}".strip()


def _put_sent(flow: http.HTTPFlow) -> None:
    """Put the original members back on `flow`. A member that another addon has replaced meanwhile stays."""
    if faces := _faces.get(flow):
        for name, sent, shown in zip(Face._fields, *faces, strict=True):
            if getattr(flow, name) is shown:
                setattr(flow, name, sent)


_theirs = layers.HttpStream.handle_event


def handle_event(self: layers.HttpStream, event: Any) -> Generator[Any, Any, None]:
    """Does what mitmproxy's `handle_event` does, with the original on the flow."""
    if self._paused and getattr(event, "command", None) is not self._paused.command:
        # The event is queued until the layer's pending command is done, such as a hook whose addons now use the flow.
        return _theirs(self, event)
    # While a response is streamed nothing is shown, so there is nothing to put back.
    is_shown = _has_view() or getattr(self, "flow", None) in _faces
    return _handle_shown(self, event) if is_shown else _theirs(self, event)


def has_screens() -> bool:
    """Whether anything shows or saves flows. (Compared to None: an empty view is false.)"""
    return any(ctx.master.addons.get(name) is not None for name in SCREENS)


def _has_view() -> bool:
    """Whether there is a console, which may read flows at any time."""
    return ctx.master.addons.get("view") is not None


def _handle_shown(self: layers.HttpStream, event: Any) -> Generator[Any, Any, None]:
    try:
        _enter(self)
        for command in _theirs(self, event):
            yield command
            # The command may have led to another event for this stream, after which the copy is on the flow.
            _enter(self)
    finally:
        _leave(self)


def _enter(stream: layers.HttpStream) -> None:
    if flow := getattr(stream, "flow", None):
        _put_sent(flow)


def _leave(stream: layers.HttpStream) -> None:
    flow: http.HTTPFlow | None = getattr(stream, "flow", None)
    if not flow:
        return
    is_hook = stream._paused is not None and isinstance(stream._paused.command, commands.StartHook)
    if _has_view() or (flow in _faces and not is_hook):
        show(flow)
        if not flow.live and not is_hook:
            del _faces[flow]
    elif is_hook:
        _faces.pop(flow, None)


OF_CALLS = frozenset({"requestheaders", "request", "attempt_failed", "responseheaders", "response", "error"})
"""Hooks in which addons see the original, and may change it. The addons that show flows come last."""
_their_hook = mode_servers.ProxyConnectionHandler.handle_hook


async def handle_hook(self: mode_servers.ProxyConnectionHandler, hook: commands.StartHook) -> None:
    """Does what mitmproxy's `handle_hook` does, with the original on the flow. Until then the copy is on it, as a
    console may read the flow before the hook begins."""
    for flow in hook.args() if hook.name in OF_CALLS else ():
        _put_sent(flow)
        _faces.pop(flow, None)
    await _their_hook(self, hook)


def _shown_request(request: http.Request, named: Endpoint | None) -> http.Request:
    """A copy of a request with only what may be shown. `named` is the target of reverse mode, which is shown if the
    request has not been given an upstream."""
    if named and request.host == NOWHERE.host:
        request = request.copy()
        go_to(request, named, request.path)
    data = request.data
    path = re.split(rb"[?#]", data.path, maxsplit=1)[0]
    if len(path) > LONGEST_PATH:
        path = path[:LONGEST_PATH] + "…".encode()
    return _copy(
        request,
        host=data.host.rpartition("@")[2],
        authority=data.authority.rpartition(b"@")[2],
        path=keys.SECRET.sub("…", path.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"),
    )


def _shown_response(response: http.Response) -> http.Response:
    return _copy(response, reason=phrase_of(response.status_code).encode())


Message = TypeVar("Message", bound=http.Message)


def _copy(message: Message, **changes: object) -> Message:
    """A copy of a request or response with only what may be shown. Made with `copy.copy`, as mitmproxy's constructor
    would check the types of all fields again."""
    shown, data = copy.copy(message), message.data
    shown.data, shown.stream = copy.copy(data), False
    trailers = data.trailers and _shown_headers(data.trailers)
    changes |= {"content": None, "headers": _shown_headers(data.headers), "trailers": trailers}
    for name, value in changes.items():
        setattr(shown.data, name, value)
    return shown


SHOWN_HEADERS = frozenset(
    b"accept accept-encoding accept-ranges age allow anthropic-beta anthropic-version cache-control connection"
    b" content-encoding content-length content-range content-type date expect grpc-accept-encoding grpc-encoding"
    b" grpc-status grpc-timeout host keep-alive openai-beta openai-processing-ms openai-version request-id"
    b" retry-after retry-after-ms sec-websocket-version server server-timing te trailer transfer-encoding upgrade"
    b" user-agent vary via x-envoy-upstream-service-time x-goog-api-client x-goog-upload-command"
    b" x-goog-upload-header-content-length x-goog-upload-header-content-type x-goog-upload-offset"
    b" x-goog-upload-protocol x-goog-upload-status x-ratelimit-limit-requests x-ratelimit-limit-tokens"
    b" x-ratelimit-remaining-requests x-ratelimit-remaining-tokens x-ratelimit-reset-requests"
    b" x-ratelimit-reset-tokens x-request-id x-should-retry x-stainless-arch x-stainless-async x-stainless-lang"
    b" x-stainless-os x-stainless-package-version x-stainless-retry-count x-stainless-runtime"
    b" x-stainless-runtime-version x-stainless-timeout x-vertex-tap-service".split()
)
"""Headers and trailers whose values are shown, unless a value looks like a secret. All others are hidden, as
applications may put anything into headers of their own."""


def _shown_headers(headers: http.Headers) -> http.Headers:
    return http.Headers([_shown_header(name, value) for name, value in headers.fields[:MOST_FIELDS]])


def _shown_header(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    key = name.lower()
    if key not in SHOWN_HEADERS:
        is_plain = len(name) <= LONGEST_VALUE and not keys.SECRET.search(name.decode("latin-1"))
        return name if is_plain else REDACTED.encode(), REDACTED.encode()
    if key == b"host":
        value = value.rpartition(b"@")[2]
    if len(value) > LONGEST_VALUE or b"?" in value or keys.SECRET.search(value.decode("latin-1")):
        return name, REDACTED.encode()
    return name, value


def redact_error(flow: http.HTTPFlow | tcp.TCPFlow | udp.UDPFlow) -> None:
    """Redact the error message of a flow, in place."""
    # mitmproxy's layers only compare the message with that of a killed flow, which `redacted` does not change.
    if flow.error:
        flow.error.msg = redacted(flow.error.msg)


def phrase_of(status: int) -> str:
    """The reason phrase of an HTTP status, such as `Not Found`; empty for an unknown status."""
    return HTTPStatus(status).phrase if status in _STATUSES else ""


_STATUSES = frozenset(HTTPStatus)
