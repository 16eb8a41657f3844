"""An HTTP server on this machine that answers as a test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from time import time


@dataclass
class Answering:
    url: str = ""
    status: int = 200
    body: object = None
    ahead_s: float | None = 0
    """By how much its clock is ahead; None if it tells no time."""
    asked: list[str] = field(default_factory=list)
    """The requests that came, as `GET /path`."""
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def answering() -> Iterator[Answering]:
    told = Answering()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            told.asked.append(f"{self.command} {self.path}")
            told.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.dumps(told.body).encode()
            self.send_response_only(told.status)
            if told.ahead_s is not None:
                self.send_header("Date", formatdate(time() + told.ahead_s, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield told
        server.shutdown()
        thread.join(10)
