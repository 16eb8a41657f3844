"""The first connection finds everything ready: clients call from before the listener opens."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import connection
from tests.http import raw
from tests.http import send
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent?key=MARK"
CLIENTS = 4
CALLS = 5
"""By each client, on a connection of its own each."""


class Callers:
    """Clients that call a port again and again, as soon as something listens there."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: list[int | str] = []
        """Statuses, or what went wrong on a connection that had been accepted."""
        self.stopped = False
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._babble, daemon=True))
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _call(self) -> None:
        calls = 0
        while calls < CALLS and not self.stopped:
            with connection(self.url) as client:
                try:
                    client.connect()
                except OSError:
                    time.sleep(0.002)
                    continue
                calls += 1
                try:
                    answer: int | str = send(client, UNARY, HELLO, headers={"x-goog-api-key": ""}).status
                except (OSError, http.client.HTTPException) as e:
                    answer = repr(e)
                self.answers.append(answer)

    def _babble(self) -> None:
        """What mitmproxy quotes in its log."""
        calls = 0
        while calls < CALLS and not self.stopped:
            try:
                raw(self.url, b"GET /x?key=MARK and more\r\n\r\n")
                calls += 1
            except OSError:
                time.sleep(0.002)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def callers(port: int) -> Iterator[Callers]:
    callers = Callers(port)
    yield callers
    callers.stopped = True


def check(proxy: Proxy, callers: Callers) -> None:
    callers.join()
    assert callers.answers == [200] * CLIENTS * CALLS
    rows = until(lambda: len(rows := proxy.rows("surface IS NOT NULL")) == CLIENTS * CALLS and rows)
    assert {(row["state"], row["usage_state"]) for row in rows} == {("done", "final")}
    assert "MARK" not in proxy.output


@pytest.mark.parametrize("serve", [False, True])
@pytest.mark.parametrize("target", ["reached", "not reached"])
def test_the_first_calls(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, port: int, callers: Callers, target: str, serve: bool
) -> None:
    """With credentials of ours, and where the `reverse:` target is not where calls go."""
    mode = f"reverse:{simulator.url if target == 'reached' else 'http://127.0.0.1:1'}"
    credentials = ("vertex_auth=service_account", f"vertex_credentials={key_file}")
    arguments = ("--port", str(port)) if serve else ("-p", str(port))
    endpoint = f"vertex_endpoint={simulator.url}"
    proxy = start_proxy(*credentials, endpoint, mode=mode, arguments=arguments, serve=serve)
    check(proxy, callers)


CHANGES = """
import pathlib
from mitmproxy import ctx, exceptions

def running():
    told = []
    for change in ({"connection_strategy": "eager"}, {"stream_large_bodies": "1m"}, {"connection_strategy": "lazy"}):
        try:
            ctx.options.update(**change)
        except exceptions.OptionsError as e:
            told.append(str(e))
    told += [ctx.options.connection_strategy, str(ctx.options.stream_large_bodies)]
    pathlib.Path("told").write_text("\\n".join(told))
"""


def test_options_that_must_stay(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    """What a user sets at start gives way, and what he sets later is refused."""
    script = tmp_path / "changes.py"
    script.write_text(CHANGES)
    theirs = ("connection_strategy=eager", "stream_large_bodies=1m")
    mode, endpoint = "reverse:http://127.0.0.1:1", f"vertex_endpoint={simulator.url}"
    proxy = start_proxy(*theirs, endpoint, mode=mode, arguments=("-s", str(script)))
    with connection(proxy.url) as client:
        assert send(client, f"{MODEL}:generateContent", HELLO).status == 200
    first, second, strategy, size = until(lambda: (tmp_path / "told").read_text()).splitlines()
    assert first.startswith("connection_strategy: ")
    assert second.startswith("stream_large_bodies: ")
    assert (strategy, size) == ("lazy", "None")
    assert "Traceback" not in proxy.output
