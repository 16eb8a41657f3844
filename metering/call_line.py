"""A call in one line, for logs and for lists of calls."""

from collections.abc import Iterator

from metering.call import Call
from metering.call import State
from metering.output import visible


def call_line(call: Call, cost: float | None = None) -> str:
    """A call that has ended, as a line for a log: `streamGenerateContent gemini-2.5-flash 200 done, 12 in, 30 out`.
    `cost` is in US dollars."""
    asked = call.operation or f"{call.method or ''} {call.path or ''}"
    head = " ".join(filter(None, (asked, call.model, str(call.status or "-"), _end(call))))
    client = [f"from {call.client}"] if call.client else []
    return visible(", ".join((head, *_details(call, cost), *client)))


def comment_line(call: Call, cost: float | None = None) -> str:
    """The same as a comment beside the call, without what a list of calls shows anyway: `gemini-2.5-flash, 12 in, 30
    out, done`."""
    return visible(", ".join(filter(None, (call.model or "", *_details(call, cost), _end(call)))))


def is_error(call: Call) -> bool:
    """Whether a call has failed, as reports count it."""
    return call.state not in (State.OPEN, State.DONE) or (call.status or 0) >= 400 or call.error_type is not None


def _end(call: Call) -> str:
    return " ".join(filter(None, dict.fromkeys((call.state, call.error_type))))


def _details(call: Call, cost: float | None) -> Iterator[str]:
    yield from _tokens(call)
    if cost is not None:
        yield dollars(cost)
    if call.ttft_us is not None:
        yield f"ttft {_seconds(call.ttft_us)}"
    if call.duration_us is not None:
        yield _seconds(call.duration_us)


def _tokens(call: Call) -> Iterator[str]:
    if call.input_tokens is not None:
        yield f"{call.input_tokens:,} in" + _parts(
            ("cached", call.input_cached_tokens), ("written to a cache", call.input_cache_write_tokens)
        )
    if call.output_tokens is not None:
        yield f"{call.output_tokens:,} out" + _parts(("thoughts", call.output_thought_tokens))
    for number, name in (
        (call.counted_tokens, "tokens counted"),
        (call.images, "images"),
        (call.video_seconds, "s of video"),
    ):
        if number is not None:
            yield f"{number:,} {name}"


def _parts(*parts: tuple[str, int | None]) -> str:
    """The parts of a count that are not 0, in brackets."""
    told = ", ".join(f"{number:,} {name}" for name, number in parts if number)
    return f" ({told})" if told else ""


def _seconds(microseconds: int) -> str:
    return f"{microseconds / 1e6:.2f} s"


def dollars(cost: float) -> str:
    """An amount in US dollars with the digits that matter: `$12.35`, `$0.0012`."""
    return f"${cost:,.2f}" if cost >= 1 or not cost else f"${cost:.2g}" if cost >= 1e-4 else f"${cost:.1e}"
