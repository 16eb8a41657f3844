"""A clean end, with real signals."""

import http.client
import signal
import socket
import time

import pytest

from addons.drain import PATIENCE_S
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.http import send
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
UNARY = f"{MODEL}:generateContent"


def is_listening(proxy: Proxy) -> bool:
    try:
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("serve", [False, True])
def test_what_is_in_flight_finishes(start_proxy: StartProxy, simulator: Simulator, signum: int, serve: bool) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", serve=serve)
    gate = f"drain {signum} {serve}"
    with connection(proxy.url) as streaming, connection(proxy.url) as waiting, connection(proxy.url) as idle:
        assert send(idle, UNARY, HELLO).status == 200
        request(streaming, STREAM, HELLO, plan={"gate": gate})
        stream = streaming.getresponse()
        first = stream.read1(65536)
        arrived = len(simulator.seen)
        request(waiting, UNARY, HELLO, plan={"delay": 0.5})
        until(lambda: len(simulator.seen) > arrived)
        proxy.process.send_signal(signum)
        until(lambda: not is_listening(proxy))
        # A kept connection may still ask, and is told.
        refused = send(idle, UNARY, HELLO)
        assert (refused.status, refused.json()["error"]["status"]) == (503, "UNAVAILABLE")
        assert refused.header("connection") == "close"
        answer = waiting.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        for _ in range(10):
            simulator.gates[gate].release()
        assert b"finishReason" in first + stream.read()
        assert b"usageMetadata" in answer.read()
        assert proxy.process.wait(timeout=30) == 0
    states = sorted((row["state"], row["status"], row["error_type"]) for row in proxy.rows())
    assert states == [("done", 200, None)] * 3 + [("refused", 503, None)]
    assert [file.name for file in proxy.folder.glob("usage.db*")] == ["usage.db"]
    assert "Traceback" not in proxy.output


@pytest.mark.parametrize("serve", [False, True])
def test_a_second_ctrl_c_stops_at_once(start_proxy: StartProxy, simulator: Simulator, serve: bool) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", serve=serve)
    with connection(proxy.url) as client, connection(proxy.url) as other:
        for one in (client, other):
            request(one, UNARY, HELLO, plan={"hang": True})
        until(lambda: len(proxy.rows()) == 2)
        started = time.monotonic()
        proxy.process.send_signal(signal.SIGINT)
        until(lambda: "finishing 2 calls, Ctrl-C again to stop at once" in proxy.stdout)
        proxy.process.send_signal(signal.SIGINT)
        assert proxy.process.wait(timeout=30) == 0
        assert time.monotonic() - started < PATIENCE_S
    assert [row["state"] for row in proxy.rows()] == ["interrupted"] * 2
    assert [file.name for file in proxy.folder.glob("usage.db*")] == ["usage.db"]
    assert "Traceback" not in proxy.output


def test_it_does_not_wait_for_ever(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    with connection(proxy.url) as client:
        request(client, UNARY, HELLO, plan={"hang": True})
        until(lambda: proxy.rows())
        started = time.monotonic()
        assert proxy.stop() == 0
        assert time.monotonic() - started >= PATIENCE_S
        with pytest.raises((http.client.HTTPException, OSError)):
            client.getresponse()
    (row,) = proxy.rows()
    assert (row["state"], row["usage_state"], row["status"]) == ("interrupted", "absent", None)
    assert row["ended_at"] > row["started_at"]
    assert "Traceback" not in proxy.output


def test_idle_connections_hold_nothing_up(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    with connection(proxy.url) as one, connection(proxy.url) as two:
        assert send(one, UNARY, HELLO).status == 200
        two.connect()
        started = time.monotonic()
        assert proxy.stop() == 0
        assert time.monotonic() - started < PATIENCE_S
    assert proxy.output.count("Traceback") == 0


def test_a_touched_script_goes_on(start_proxy: StartProxy, simulator: Simulator) -> None:
    """mitmproxy loads a script anew when its file changes; nothing of the old one may be left behind."""
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    assert call(proxy.url, UNARY, HELLO).status == 200
    script = proxy.touch_script()
    until(lambda: proxy.stdout.count("Loading script") == 2)
    until(lambda: call(proxy.url, UNARY, HELLO).status == 200)
    assert script.exists()
    assert len({row["instance"] for row in proxy.rows()}) == 2, proxy.output
    assert proxy.stop() == 0
    assert {row["state"] for row in proxy.rows()} == {"done"}
    assert "Traceback" not in proxy.output
