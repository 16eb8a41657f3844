"""Calls from many clients at once, while the proxy is killed and the ledger is locked."""

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
"""Rewritten, and every other one streamed."""


@dataclass
class Load:
    """`calls` calls, `at_once` at a time, until all are done or the proxy is gone."""

    url: str
    calls: int
    at_once: int = 16
    name: str = "run"
    paths: tuple[str, ...] = PATHS
    ended: set[str] = field(default_factory=set)
    """The calls of which a client saw the end."""
    slowest: float = 0.0
    """Seconds that the slowest call took."""

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
    """The same as HELLO, in OpenAI's words."""
    return {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello, who are you?"}], **fields}


@contextmanager
def locked_now_and_then(ledger: Path, seconds: float, pause: float) -> Iterator[None]:
    """Another process (here: another connection) that holds the write lock for `seconds`, again and again."""
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
    """What must hold after a restart, whatever happened before."""
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
    # A call may end without its client having seen it; all others are lost.
    assert {row["state"] for name, row in by_name.items() if name not in ended} <= {"done", "lost"}


def random_moment(seconds: float) -> float:
    return random.uniform(0.05, seconds)
