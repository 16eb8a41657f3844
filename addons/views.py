"""The content view that shows bodies of AI calls as conversations, in mitmweb, the console, and mitmdump with
`flow_detail=3`. mitmproxy has one interface for content views up to version 11, and another one since 12."""

from contextlib import suppress
from typing import Any

from mitmproxy import contentviews
from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.addonmanager import Loader
from mitmproxy.contentviews import base

from addons.faces import CUT
from addons.translation.transcript.show import Body
from addons.translation.transcript.show import is_chat
from addons.translation.transcript.show import shown
from addons.translation.transcript.write_lines import Line

NAME = "AI conversation"
PRIORITY = 3.0
"""mitmproxy's own views have at most 2."""
STYLES = {"role": "header", "text": "text", "note": "offset", "error": "error"}
"""Style of a line -> its name in mitmproxy's palette."""


def _body(data: bytes, flow: flows.Flow | None, message: object) -> Body | None:
    """The body that is to be shown; None if it is none of a chat."""
    if not isinstance(flow, http.HTTPFlow) or not isinstance(message, http.Message):
        return None
    path = flow.request.data.path.decode("utf-8", "surrogateescape")
    if not is_chat(flow.request.method, path):
        return None
    is_answer, status = False, None
    if isinstance(message, http.Response):
        is_answer, status = True, message.status_code
    is_cut = ("response" if is_answer else "request") in str(flow.metadata.get(CUT, "")).split()
    return Body(data, flow.request.method, path, message.headers.get("content-type", ""), is_answer, status, is_cut)


def _priority(data: bytes, flow: flows.Flow | None, message: object) -> float:
    return PRIORITY if data and _body(data, flow, message) else -1.0


def _lines(data: bytes, flow: flows.Flow | None, message: object) -> list[Line]:
    """Raises ValueError if this is no body of a chat."""
    body = _body(data, flow, message)
    if not body:
        raise ValueError("this is no chat with an AI API")
    return shown(body)


def _view_of_11() -> Any:
    class Conversation(base.View):
        name = NAME

        def __call__(self, data: bytes, *, flow: Any = None, http_message: Any = None, **_: Any) -> base.TViewResult:
            lines = _lines(data, flow, http_message)
            return NAME, ([(STYLES[line.style], line.text)] for line in lines)

        def render_priority(self, data: bytes, *, flow: Any = None, http_message: Any = None, **_: Any) -> float:
            return _priority(data, flow, http_message)

    return Conversation()


class Conversation:
    """The view for mitmproxy 12. It has what the protocol `contentviews.Contentview` asks for, which 11 does not
    have."""

    name = NAME
    syntax_highlight = "none"

    def prettify(self, data: bytes, metadata: Any) -> str:
        return "\n".join(line.text for line in _lines(data, metadata.flow, metadata.http_message))

    def render_priority(self, data: bytes, metadata: Any) -> float:
        return _priority(data, metadata.flow, metadata.http_message)

    def __lt__(self, other: Any) -> bool:
        return bool(other.name > NAME)


class Views:
    """Adds the content view to mitmproxy."""

    def load(self, loader: Loader) -> None:
        view: Any = Conversation() if hasattr(contentviews, "Contentview") else _view_of_11()
        # mitmproxy 11 refuses to add it again when the script is loaded again.
        with suppress(ValueError):
            contentviews.add(view)
