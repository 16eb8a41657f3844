"""How long the answers of a model usually are, for requests that do not say how long theirs may be."""

import sqlite3
import time

NEWEST = 5_000
"""How many of the newest calls are looked at."""
KEPT_S = 60.0
"""How long a result is used."""
UNKNOWN = 4_096
"""For a model without answers."""


class UsualAnswers:
    """The 90th percentile of the output tokens of each model's newest answers."""

    def __init__(self) -> None:
        self._known: dict[str | None, tuple[float, int]] = {}

    def of(self, db: sqlite3.Connection, model: str | None) -> int:
        """The percentile for a model, from a ledger. Raises sqlite3.Error."""
        known, now = self._known.get(model), time.monotonic()
        if known and now - known[0] < KEPT_S:
            return known[1]
        usual = _percentile(db, model)
        self._known[model] = now, usual
        return usual


def _percentile(db: sqlite3.Connection, model: str | None) -> int:
    lengths = [
        length
        for (length,) in db.execute(
            "SELECT output_tokens FROM (SELECT model, output_tokens FROM calls ORDER BY started_at DESC LIMIT ?)"
            " WHERE model = ? AND output_tokens IS NOT NULL ORDER BY output_tokens",
            (NEWEST, model),
        )
    ]
    return lengths[(len(lengths) * 9 - 1) // 10] if lengths else UNKNOWN
