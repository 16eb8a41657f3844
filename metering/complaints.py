"""Says in the log that rows cannot be written to the ledger, once for each trouble."""

import logging
import time
from pathlib import Path

from metering.spill import Spill

SAY_LOST_S = 60.0
"""How long to wait before further lost rows are logged."""

logger = logging.getLogger(__name__)


class Complaints:
    """What was logged about the files of one process."""

    def __init__(self, path: Path, spill: Spill) -> None:
        """`path` is that of the ledger, whose rows wait in `spill`."""
        self._path = path
        self._spill = spill
        self._said: tuple[str | None, bool] = (None, False)
        """What was last logged: the trouble, and whether rows waited in memory."""
        self._lost_said, self._lost_said_at = 0, -SAY_LOST_S

    def say_trouble(self, trouble: str | None) -> None:
        """Log why rows cannot be written, or that they can be again (None), if that is new."""
        waiting = len(self._spill.waiting)
        said, self._said = self._said, (trouble, bool(waiting))
        if self._said == said:
            return
        if trouble is None and not waiting:
            logger.warning("vertex-tap: %s can be written again", self._path)
            return
        where = f"in memory ({waiting}): {self._spill.trouble}" if waiting else f"in {self._spill.path}"
        logger.warning("vertex-tap: %s cannot be written (%s); rows wait %s", self._path, trouble or "busy", where)

    def say_lost(self, pause_s: float = SAY_LOST_S) -> None:
        """Log how many rows are lost, if there are more than were logged at least `pause_s` seconds ago."""
        lost, now = self._spill.lost, time.monotonic()
        if lost > self._lost_said and now - self._lost_said_at >= pause_s:
            logger.error("vertex-tap: %d rows are lost so far, as no file can be written", lost)
            self._lost_said, self._lost_said_at = lost, now
