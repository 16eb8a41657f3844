"""What mitmproxy's own listing, log lines and saved flows may show: no credential, no query, no prompt."""

import logging
import re
import traceback
from dataclasses import fields
from http import HTTPStatus
from typing import TYPE_CHECKING
from typing import Any

from mitmproxy import http
from mitmproxy import tcp
from mitmproxy.addonmanager import Loader

from addons.keys import holds_credential

if TYPE_CHECKING:
    from addons.classify import Classify

REDACTED = "redacted"


class Redact:
    """Edits a flow once it has gone out unchanged: in `response` and `error`, the last hooks before mitmproxy's
    listing and its saved flows. Log records are edited as they are made, wherever they come from."""

    def __init__(self, classify: "Classify") -> None:
        self._exchanges = classify.exchanges

    def load(self, loader: Loader) -> None:
        # Before the listener opens.
        logging.setLogRecordFactory(_redacted_record)

    def response(self, flow: http.HTTPFlow) -> None:
        self._redact(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._redact(flow)

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        if flow.websocket:
            flow.websocket.close_reason = None

    def tcp_message(self, flow: tcp.TCPFlow) -> None:
        # What is no HTTP on a connection to an AI host. It goes on all the same.
        del flow.messages[:-1]

    def tcp_end(self, flow: tcp.TCPFlow) -> None:
        flow.messages.clear()

    def tcp_error(self, flow: tcp.TCPFlow) -> None:
        flow.messages.clear()

    def done(self) -> None:
        # mitmproxy saves what is still under way when it ends.
        for flow in list(self._exchanges):
            self._redact(flow)

    def _redact(self, flow: http.HTTPFlow) -> None:
        request, response = flow.request, flow.response
        request.path = request.path.partition("?")[0]
        _redact_headers(request.headers)
        if flow.error:
            flow.error.msg = redacted(flow.error.msg)
        # An answer that is not streamed is sent after this hook, so it must stay as it is.
        if response and response.stream:
            _redact_headers(response.headers)
            response.reason = reason_of(response.status_code)
        if flow in self._exchanges:
            request.content = None
            if response and response.stream:
                response.content = None
            elif response:
                flow.response = Unsaved(**{f.name: getattr(response.data, f.name) for f in fields(response.data)})


class Unsaved(http.Response):
    """An answer that is yet to be sent, and saved by whoever saves flows: without its body."""

    def get_state(self) -> Any:
        state: Any = super().get_state()  # type: ignore[no-untyped-call]
        return state | {"content": None}


_QUERY = re.compile(r"(?<=\?)[^\s'\"]+")
_SECRETS = (
    # mitmproxy quotes what it could not parse: request lines, headers, answers.
    re.compile(r"""(?<!\w)(?:b|bytearray\(b)?(?P<quote>['"])(?:\\.|(?!(?P=quote)).)*(?P=quote)\)?""", re.DOTALL),
    _QUERY,
    re.compile(r"(?<=Bearer )\S+|\bya29\.\S+|\bAIza\S+|\bAQ\.\S+|\bsk-\S+|\beyJ\S+"),
)


def redacted(text: str) -> str:
    """`text` without quoted bytes, query strings and tokens."""
    for pattern in _SECRETS:
        text = pattern.sub("…", text)
    return text


_make_record = logging.getLogRecordFactory()


def _redacted_record(*args: object, **kwargs: object) -> logging.LogRecord:
    record: logging.LogRecord = _make_record(*args, **kwargs)
    text = record.getMessage()
    if record.exc_info and record.exc_info[0]:
        text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_info = None
    record.msg, record.args = redacted(text), None
    return record


def reason_of(status: int) -> str:
    """The phrase of an HTTP status."""
    return HTTPStatus(status).phrase if status in _STATUSES else ""


_STATUSES = frozenset(HTTPStatus)


def _redact_headers(headers: http.Headers) -> None:
    for name, value in list(headers.items()):
        # OpenAI's browser clients put the key into `sec-websocket-protocol`.
        if holds_credential(name) or name.lower() == "sec-websocket-protocol":
            headers[name] = REDACTED
        elif "?" in value:
            headers[name] = _QUERY.sub("…", value)
