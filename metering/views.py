"""SQL views with plain names and units, for programs that read the ledger themselves, such as Datasette.

Their names and columns are stable: a later version may add columns, but neither removes nor renames any. Times are UTC
text, durations are milliseconds. The views of days read sums, not calls: 10 million calls take well under a second.
"""

import sqlite3

from metering.call import COUNTS
from metering.days import DAY_US

CALLS = """
SELECT
  id,
  strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000000, 'unixepoch')
    || printf('.%03dZ', started_at / 1000 % 1000) AS started,
  state,
  operation,
  model,
  model_served,
  publisher,
  service,
  client,
  location,
  project,
  surface,
  sdk,
  status,
  error_type,
  finish_reason,
  streamed,
  duration_us / 1000.0 AS duration_ms,
  ttft_us / 1000.0 AS ttft_ms,
  overhead_us / 1000.0 AS overhead_ms,
  usage_state,
  input_tokens,
  input_cached_tokens,
  input_cache_write_tokens,
  input_tool_tokens,
  output_tokens,
  output_thought_tokens,
  total_tokens,
  images,
  video_seconds,
  input_items,
  search_queries,
  traffic_type,
  attempts,
  request_bytes,
  response_bytes,
  tags,
  path,
  upstream_host,
  started_at
FROM calls
"""

_DAYS = f"""
WITH RECURSIVE
  done(day) AS (SELECT day FROM summed_days WHERE token = ''),
  found(day) AS (
    SELECT (SELECT bucket FROM rollup ORDER BY bucket LIMIT 1) / {DAY_US} * {DAY_US}
    UNION ALL
    SELECT (SELECT bucket FROM rollup WHERE bucket >= day + {DAY_US} ORDER BY bucket LIMIT 1) / {DAY_US} * {DAY_US}
    FROM found WHERE day IS NOT NULL
  ),
  rest(day) AS (SELECT day FROM found WHERE day IS NOT NULL AND day NOT IN done)
"""
"""`done` are the days that are summed up in `rollup_days`; `rest` are the other days that have calls. Looking for the
next bucket skips all others of a day."""


def _daily(keys: tuple[str, ...], sums: tuple[str, ...], condition: str) -> str:
    """A view with a row for each day and group. `keys` and `sums` are columns of the rollup."""
    names = ", ".join((*keys, *sums))
    shown = ", ".join(
        "nullif(status, 0) AS status" if key == "status" else f"nullif({key}, '') AS {key}" for key in keys
    )
    return f"""{_DAYS}
SELECT date(day / 1000000, 'unixepoch') AS day, {shown}, {", ".join(f"sum({name}) AS {name}" for name in sums)}
FROM (
  SELECT day, {names} FROM done CROSS JOIN rollup_days ON bucket = day WHERE {condition}
  UNION ALL
  SELECT day, {names} FROM rest CROSS JOIN rollup ON bucket >= day AND bucket < day + {DAY_US} WHERE {condition}
)
GROUP BY day, {", ".join(keys)}
"""


USAGE_KEYS = (*("model", "publisher", "service", "client", "location", "project", "surface", "operation", "tier"),)
ERROR_KEYS = ("model", "service", "client", "operation", "status", "error_type", "state")
VIEWS = {
    "v_calls": CALLS,
    "v_usage_daily": _daily(USAGE_KEYS, ("calls", "errors", "covered_calls", *COUNTS), "1"),
    "v_errors_daily": _daily(ERROR_KEYS, ("errors",), "errors > 0"),
}
"""Name -> its SELECT."""


def create(db: sqlite3.Connection) -> None:
    """Create the views. Needs the tables of `rollup.py` and `days.py`."""
    for name, select in VIEWS.items():
        db.execute(f"CREATE VIEW {name} AS {select.strip()}")
