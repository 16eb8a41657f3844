"""Redacts log records when they are created, whichever logger they come from."""

import logging
import re
import sys
import threading
import traceback
from typing import Any

from addons.keys import LONGEST_TEXT
from addons.keys import redacted
from addons.keys import without_secrets

logger = logging.getLogger(__name__)

LONGEST_BEGINNING = 256
"""The most characters of a debug record, and the most lines of a traceback, that are shown."""


def edit_log_records() -> None:
    """Install the redaction for the whole process. It cannot be undone."""
    logging.setLogRecordFactory(redacted_record)
    sys.unraisablehook = threading.excepthook = log_unraisable


OUR_LOGGERS = frozenset({"addons", "metering", "scripts"})
"""Top-level loggers whose records contain no quotations. All other loggers are those of libraries."""
_DATA = re.compile(r"""\bb(?=['"])|[,='"{?;\n]""")
"""Where the data begin in a debug record, such as `>> DataReceived(client, b'GET /')`."""


_make_record = logging.getLogRecordFactory()


def redacted_record(*args: object, **kwargs: object) -> logging.LogRecord:
    """A log record factory: makes a record whose text is redacted, with its arguments already formatted into it."""
    record: logging.LogRecord = _make_record(*args, **kwargs)
    exception = record.exc_info[1] if record.exc_info else None
    try:
        text = record.getMessage()
        if exception and (said := str(exception)):
            text = text.replace(said, type(exception).__name__)
    except Exception as e:
        text = f"a log record could not be written ({type(e).__name__})"
    if record.name.partition(".")[0] in OUR_LOGGERS:
        text = without_secrets(text[:LONGEST_TEXT])
    elif record.levelno <= logging.DEBUG:
        text = _until(_DATA, text[:LONGEST_BEGINNING])
    else:
        text = redacted(text)
    if exception:
        text += "\n" + _origin(exception)
    record.msg, record.args, record.exc_info, record.stack_info = text, None, None, None
    return record


def _origin(exception: BaseException) -> str:
    """The traceback and the type of an exception and its causes. The message is left out, as it may quote anything."""
    lines: list[str] = []
    cause: BaseException | None = exception
    while cause and len(lines) < LONGEST_BEGINNING:
        lines = [*traceback.format_tb(cause.__traceback__), f"{type(cause).__name__}\n", *lines]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "".join(lines).rstrip()


def log_unraisable(told: Any) -> None:
    """Log an exception that nobody can catch. Python would print its message unredacted."""
    logger.warning("an exception was ignored", exc_info=(told.exc_type, told.exc_value, told.exc_traceback))


def _until(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return text[: match.start()] + "…" if match else text
