"""Calls from many clients at once, and the checks of the ledger after the proxy was killed or the ledger was locked."""

import http.client
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from tests.http import HELLO
from tests.http import MODEL
from tests.http import request
from tests.process import Row

PATHS = (
    f"{MODEL}:generateContent",
    f"{MODEL}:streamGenerateContent?alt=sse",
    f"{MODEL}:streamGenerateContent",
    f"{MODEL}:countTokens",
)
CHAT = "/v1/chat/completions"
"""The path of calls that are converted; every other one is streamed."""


@dataclass
class Load:
    """Makes `calls` calls, `at_once` of them at a time, until all are done or the proxy does not answer."""

    url: str
    calls: int
    at_once: int = 16
    name: str = "run"
    paths: tuple[str, ...] = PATHS
    ended: set[str] = field(default_factory=set)
    """The names of the calls whose answer a client has read to its end."""
    slowest: float = 0.0
    """The duration of the slowest call, in seconds."""

    def run(self) -> None:
        numbers = iter(range(self.calls))
        threads = [threading.Thread(target=self._client, args=(numbers,)) for _ in range(self.at_once)]
        self._lock = threading.Lock()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, numbers: Iterator[int]) -> None:
        host, _, port = self.url.removeprefix("http://").partition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            while True:
                with self._lock:
                    number = next(numbers, None)
                if number is None:
                    return
                name = f"{self.name}-{number}"
                started = time.monotonic()
                path = self.paths[number % len(self.paths)]
                streams = "stream" in path or (path == CHAT and number % 2 == 1)
                plan = {"pause": 0.001} if streams else None
                body = chat(stream=streams) if path == CHAT else HELLO
                request(client, path, body, headers={"x-call": name}, plan=plan)
                answer = client.getresponse()
                answer.read()
                if answer.status == 200:
                    self.ended.add(name)
                self.slowest = max(self.slowest, time.monotonic() - started)
        except (OSError, http.client.HTTPException):
            return
        finally:
            client.close()


def chat(**fields: object) -> dict[str, object]:
    """The same request as HELLO, as a body of OpenAI's chat completions."""
    return {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello, who are you?"}], **fields}


@contextmanager
def locked_now_and_then(ledger: Path, seconds: float, pause: float) -> Iterator[None]:
    """Holds the ledger's write lock for `seconds`, again and again, from another connection, as another process would.
    `pause` is the time between, in seconds."""
    stop = threading.Event()

    def lock() -> None:
        db = sqlite3.connect(ledger, isolation_level=None, timeout=30)
        while not stop.wait(pause):
            db.execute("BEGIN IMMEDIATE")
            stop.wait(seconds)
            db.execute("ROLLBACK")
        db.close()

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def check(rows: list[Row], ended: set[str], arrived: set[str]) -> None:
    """Checks the rows of a ledger after a restart: each call has one correct row. `ended` are the calls that clients
    have seen end, `arrived` those that the upstream has seen."""
    names = [str(row["tags"]).split('"')[3] for row in rows]
    doubled = [name for name, times in Counter(names).items() if times > 1]
    assert not doubled, f"doubled rows: {doubled}"
    by_name = dict(zip(names, rows, strict=True))
    assert not (missing := arrived - by_name.keys()), f"calls without a row: {missing}"
    for name in ended:
        row = by_name[name]
        assert row["state"] == "done", (name, row)
        counted = "countTokens" in row["path"]
        assert row["usage_state"] == ("not_applicable" if counted else "final"), (name, row)
        assert (row["counted_tokens"] if counted else row["total_tokens"]) == (4 if counted else 8), (name, row)
    # A call may end without its client seeing it. All other calls are lost.
    assert {row["state"] for name, row in by_name.items() if name not in ended} <= {"done", "lost"}


def random_moment(seconds: float) -> float:
    return random.uniform(0.05, seconds)
