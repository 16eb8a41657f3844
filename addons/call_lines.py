"""The log line of a call that has ended: `gemini-2.5-flash 200: 12 tokens in, 34 out, 810 ms`."""

import logging

from mitmproxy import http

from addons.exchange import Exchange
from addons.recorder import Listener
from metering.call import Call
from metering.call import ErrorType
from metering.call import State
from metering.written import Kept

logger = logging.getLogger(__name__)

WHY: dict[str | None, str] = {
    ErrorType.BAD_REQUEST: "it cannot be sent on like this, and its answer says why",
    ErrorType.NO_CREDENTIALS: "there are no usable credentials for it",
    ErrorType.FORBIDDEN: "it is not allowed",
    None: "the proxy is ending, or has failed",
}
"""`error_type` of a refused call -> why it was refused."""


class CallLines(Listener):
    """Logs the line of each call."""

    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        logger.info("%s", line_of(exchange.call))


def line_of(call: Call) -> str:
    """The model (else the operation, else the path), the status, tokens, images and milliseconds as far as they are
    known, and what went wrong."""
    # The path may be any text.
    about = call.model or call.operation or (call.path or "").encode("unicode_escape").decode()
    measured = (
        (call.input_tokens, "tokens in"),
        (call.output_tokens, "tokens out"),
        (call.images, "images"),
        (call.duration_us and round(call.duration_us / 1000), "ms"),
    )
    amounts = ", ".join(f"{amount:,} {unit}" for amount, unit in measured if amount is not None)
    return f"{about} {call.status or 'without an answer'}: {amounts}{_trouble(call)}"


def _trouble(call: Call) -> str:
    if call.state == State.REFUSED:
        said = ["refused", call.error_type, WHY.get(call.error_type)]
    else:
        said = ["" if call.state == State.DONE else str(call.state).replace("_", " "), call.error_type]
    return "".join(f"; {word}" for word in said if word)
