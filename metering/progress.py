"""Says in a terminal how far a long piece of work has come. In pipes, and about short work, it says nothing."""

import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import ProgressColumn
from rich.progress import SpinnerColumn
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn

from metering.output import visible

PATIENCE_S = 1.0
"""Work that takes no longer is not spoken of."""


@contextmanager
def progress(
    what: str, total: int | None = None, *, is_counted: bool = False, is_quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """A line on stderr while the block runs, from `PATIENCE_S` on: `what` is done, and for how long. Gives a function
    to call with the number of steps that were just done. They are shown if their `total` is known, or with
    `is_counted`; with `is_quiet` there is no line."""
    console = Console(stderr=True)
    if is_quiet or not console.is_terminal:
        yield lambda steps: None
        return
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    columns += [BarColumn()] if total is not None else []
    columns += [MofNCompleteColumn()] if total is not None or is_counted else []
    line = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, redirect_stdout=False)
    task = line.add_task(visible(what), total=total)
    waits = threading.Timer(PATIENCE_S, line.start)
    waits.start()
    try:
        yield lambda steps: line.advance(task, steps)
    finally:
        waits.cancel()
        waits.join()
        if line.live.is_started:
            line.stop()
