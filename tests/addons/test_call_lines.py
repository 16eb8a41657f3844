import pytest

from addons.call_lines import line_of
from metering.call import Call
from metering.call import State


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {
                "model": "gemini-2.5-flash",
                "status": 200,
                "input_tokens": 1234,
                "output_tokens": 0,
                "duration_us": 810400,
            },
            "gemini-2.5-flash 200: 1,234 tokens in, 0 tokens out, 810 ms",
        ),
        ({"operation": "models", "status": 200, "duration_us": 1000}, "models 200: 1 ms"),
        ({"model": "imagen", "status": 200, "images": 2, "duration_us": 1000}, "imagen 200: 2 images, 1 ms"),
        (
            {
                "model": "gpt-4o",
                "status": 401,
                "state": State.REFUSED,
                "error_type": "no_credentials",
                "duration_us": 900,
            },
            "gpt-4o 401: 1 ms; refused; no_credentials; there are no usable credentials for it",
        ),
        (
            {"path": "/x\x1b\n", "status": 503, "state": State.REFUSED, "duration_us": 900},
            "/x\\x1b\\n 503: 1 ms; refused; the proxy is ending, or has failed",
        ),
        (
            {"model": "m", "status": 429, "error_type": "RESOURCE_EXHAUSTED", "duration_us": 900},
            "m 429: 1 ms; RESOURCE_EXHAUSTED",
        ),
        (
            {"model": "m", "state": State.UPSTREAM_FAILED, "error_type": "connect_failed", "duration_us": 900},
            "m without an answer: 1 ms; upstream failed; connect_failed",
        ),
    ],
)
def test_lines(fields: dict[str, object], line: str) -> None:
    assert line_of(Call(started_at=1, **({"state": State.DONE} | fields))) == line  # type: ignore[arg-type]
