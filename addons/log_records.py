"""What log lines may show. Records are edited as they are made, wherever they come from."""

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
"""Characters of a record for debugging, and lines of a traceback, that are shown."""


def edit_log_records() -> None:
    """From now on, for good."""
    logging.setLogRecordFactory(redacted_record)
    sys.unraisablehook = threading.excepthook = log_unraisable


OUR_LOGGERS = frozenset({"addons", "metering", "scripts"})
"""Their records quote nobody. All others are libraries'."""
_DATA = re.compile(r"""\bb(?=['"])|[,='"{?;\n]""")
"""Where the data begin in a record for debugging, such as `>> DataReceived(client, b'GET /')`."""


_make_record = logging.getLogRecordFactory()


def redacted_record(*args: object, **kwargs: object) -> logging.LogRecord:
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
    """Where an exception comes from, and its type. Its message may quote anything."""
    lines: list[str] = []
    cause: BaseException | None = exception
    while cause and len(lines) < LONGEST_BEGINNING:
        lines = [*traceback.format_tb(cause.__traceback__), f"{type(cause).__name__}\n", *lines]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "".join(lines).rstrip()


def log_unraisable(told: Any) -> None:
    """An exception that nobody can catch: Python would print it as it is."""
    logger.warning("an exception was ignored", exc_info=(told.exc_type, told.exc_value, told.exc_traceback))


def _until(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return text[: match.start()] + "…" if match else text
