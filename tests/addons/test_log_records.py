import logging

import pytest

from addons.log_records import redacted_record


@pytest.mark.parametrize(
    ("name", "level", "text", "shown"),
    [
        ("mitmproxy.proxy.server", logging.DEBUG, "  >> DataReceived(client, b'secret')", "  >> DataReceived(client…"),
        (
            "mitmproxy.proxy.server",
            logging.DEBUG,
            "<< Send(RequestHeaders(stream_id=1, x)",
            "<< Send(RequestHeaders(stream_id…",
        ),
        (
            "mitmproxy.proxy.server",
            logging.DEBUG,
            """[h2] <X headers:[(b"it's", b'secret"')]>""",
            "[h2] <X headers:[(…",
        ),
        ("mitmproxy.proxy.server", logging.DEBUG, "half-closing Client", None),
        ("root", logging.INFO, """cut: b'it "is" secret and…""", "cut: …"),
        ("root", logging.INFO, """two: 'a' secret "b" end""", "two: …"),
        ("root", logging.INFO, "document: {secret: 1}", "document: …"),
        ("addons.meter", logging.DEBUG, "vertex-tap: 'x' and 'y'", None),
        ("addons.meter", logging.ERROR, "vertex-tap: no AIzaSecret", "vertex-tap: no …"),
    ],
)
def test_log_records(name: str, level: int, text: str, shown: str | None) -> None:
    record = redacted_record(name, level, "", 1, "%s", (text,), None)
    assert record.getMessage() == (text if shown is None else shown)


def test_exceptions_are_told_without_their_messages() -> None:
    try:
        try:
            int("secret one")
        except ValueError as e:
            raise RuntimeError("secret two") from e
    except RuntimeError as e:
        record = redacted_record("root", logging.ERROR, "", 1, f"Addon error: {e}", (), (type(e), e, e.__traceback__))
    text = logging.Formatter().format(record)
    assert text.startswith("Addon error: RuntimeError\n")
    assert "secret" not in text.replace('int("secret one")', "").replace('RuntimeError("secret two")', "")
    types = [line for line in text.splitlines() if line in ("ValueError", "RuntimeError")]
    assert types == ["ValueError", "RuntimeError"]
    assert "test_log_records.py" in text


def test_a_record_that_cannot_be_formatted() -> None:
    record = redacted_record("root", logging.INFO, "", 1, "%d", ("secret",), None)
    assert record.getMessage() == "a log record could not be written (TypeError)"
