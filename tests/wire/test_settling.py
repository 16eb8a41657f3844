"""Every call has a settled row, whatever dies above us: mitmproxy's layers, or another addon."""

import asyncio
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from addons.drain import PATIENCE_S
from addons.entrance import BUNDLE
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import connection
from tests.http import request
from tests.http import send
from tests.loopback import client_context
from tests.process import BIN
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import Simulator
from tests.wire.test_live import live
from tests.wire.test_live import turn

STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
UNARY = f"{MODEL}:generateContent"
SCRIPT = """
import asyncio
from mitmproxy import http as http_module
from mitmproxy.proxy import server
from mitmproxy.proxy.layers import http, websocket

# A traceback shows the lines of this script.
secret = "MA" + "RK"


def crashing(cls, name, wants):
    theirs = getattr(cls, name)

    def ours(self, event):
        if wants(self, event):
            raise RuntimeError(f"the layer crashed, of purpose, quoting {secret}")
        yield from theirs(self, event)

    setattr(cls, name, ours)


def wants(self, event):
    name = type(event).__name__
    flow = getattr(self, "flow", None)
    plan = flow.request.headers.get("x-plan", "") if flow else ""
    if f"once={name}" in plan:
        flow.request.headers["x-plan"] = ""
    return f"crash={name}" in plan or f"once={name}" in plan


crashing(http.HttpStream, "_handle_event", wants)


# So that the rest of an answer always comes before the connection is closed.
close = server.ConnectionHandler.close_connection


def close_later(self, connection, half_close=False):
    if connection.error:
        asyncio.get_running_loop().call_later(0.2, close, self, connection, half_close)
    else:
        close(self, connection, half_close)


server.ConnectionHandler.close_connection = close_later


def is_third(self, event):
    if type(event).__name__ == "DataReceived" and event.connection is self.context.client:
        self.said = getattr(self, "said", 0) + 1
    return getattr(self, "said", 0) > 2


crashing(websocket.WebsocketLayer, "relay_messages", is_third)


def broken(data):
    raise RuntimeError(f"the callable crashed, of purpose, quoting {secret}")


class Hooks:
    def __getattr__(self, hook):
        if hook not in ("requestheaders", "request", "responseheaders", "response", "error"):
            raise AttributeError(hook)

        async def run(flow):
            plan = flow.request.headers.get("x-plan", "")
            if f"kill={hook} " in plan + " ":
                flow.kill()
            if f"raise={hook} " in plan + " ":
                raise RuntimeError(f"an addon raised, of purpose, quoting {secret}")
            if f"wait={hook} " in plan + " ":
                await asyncio.sleep(1)
            if f"answer={hook} " in plan + " ":
                flow.response = http_module.Response.make(418, b"an answer of the addon")
            if f"callable={hook} " in plan + " ":
                flow.response.stream = broken

        return run


addons = [Hooks()]
"""
"""A script beside ours that does what the header `x-plan` says."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, confdir: Path, simulator: Simulator) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("settling")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    arguments = ("-s", str(script))
    with Proxy(folder=folder, confdir=confdir, mode=f"reverse:{simulator.url}", arguments=arguments) as running:
        yield running
        with connection(running.url) as idle:
            assert send(idle, UNARY, HELLO).status == 200
            started = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - started < PATIENCE_S
        assert running.rows("state = 'open'") == []
        verify = subprocess.run([BIN / "vertex-tap", "verify", running.ledger], capture_output=True, check=False)
        assert verify.returncode == 0, verify.stdout
        assert "MARK" not in running.output


@pytest.fixture
def proxy(shared: Proxy) -> Proxy:
    shared.new_rows()
    return shared


def closed(client: http.client.HTTPConnection) -> bool:
    """Whether the connection ends without a whole answer, soon."""
    try:
        client.getresponse().read()
    except TimeoutError:
        return False
    except (OSError, http.client.HTTPException):
        return True
    return False


def settled(proxy: Proxy, number: int = 1, states: str = "state != 'open'") -> list[Row]:
    """The rows, as soon as so many are settled."""

    def rows() -> list[Row]:
        found = proxy.rows(f"id > '{proxy._last_id}' AND {states}")
        return found if len(found) == number else []

    try:
        found: list[Row] = until(rows, 15)
    except AssertionError:
        told = [(row["state"], row["method"], row["path"]) for row in proxy.rows(f"id > '{proxy._last_id}'")]
        raise AssertionError(f"not {number} settled rows: {told}\n{proxy.output[-3000:]}") from None
    proxy.new_rows()
    return found


CRASHES = {
    "RequestData": "interrupted",
    "RequestEndOfMessage": "interrupted",
    "ResponseHeaders": "interrupted",
    "ResponseData": "interrupted",
    "ResponseEndOfMessage": "done",
}
"""What the layer was about to handle when it crashed -> the row's state."""


class TestLayersThatCrash:
    @pytest.mark.parametrize("path", [UNARY, STREAM])
    @pytest.mark.parametrize("event", CRASHES)
    def test_in_a_call(self, proxy: Proxy, event: str, path: str) -> None:
        with connection(proxy.url) as client:
            request(client, path, HELLO, headers={"x-plan": f"crash={event}"})
            # An answer whose length is known is whole before its end has been noticed.
            assert closed(client) or (event, path) == ("ResponseEndOfMessage", UNARY)
            # While the client's side is still open.
            (row,) = settled(proxy)
        assert row["state"] == CRASHES[event]
        assert row["usage_state"] == ("final" if row["state"] == "done" else "absent")
        assert row["status"] == (200 if "Response" in event and event != "ResponseHeaders" else None)

    def test_in_the_middle_of_a_stream(self, proxy: Proxy, simulator: Simulator) -> None:
        with connection(proxy.url) as client:
            plan = {"gate": "settling"}
            request(client, STREAM, HELLO, plan=plan, headers={"x-plan": "crash=ResponseEndOfMessage"})
            answer = client.getresponse()
            assert answer.read1(65536)
            for _ in range(10):
                simulator.gates["settling"].release()
            with pytest.raises((OSError, http.client.HTTPException)):
                answer.read()
            (row,) = settled(proxy)
        assert (row["state"], row["usage_state"], row["status"]) == ("done", "final", 200)

    def test_nothing_comes_after_it(self, proxy: Proxy, simulator: Simulator) -> None:
        """The rest of the answer comes before the connection is closed."""
        crashes = proxy.output.count("has crashed")
        with connection(proxy.url) as client:
            request(client, STREAM, HELLO, plan={"gate": "settling"}, headers={"x-plan": "once=ResponseData"})
            until(lambda: proxy.output.count("has crashed") > crashes, 15)
            for _ in range(10):
                simulator.gates["settling"].release()
            assert closed(client)
            (row,) = settled(proxy)
        assert (row["state"], row["usage_state"], row["status"]) == ("interrupted", "absent", 200)

    def test_a_stream_callable(self, proxy: Proxy) -> None:
        with connection(proxy.url) as client:
            request(client, UNARY, HELLO, headers={"x-plan": "callable=responseheaders"})
            assert closed(client)
            (row,) = settled(proxy)
        assert (row["state"], row["usage_state"], row["status"]) == ("interrupted", "absent", 200)

    def test_one_of_several_streams(self, proxy: Proxy, confdir: Path, simulator: Simulator) -> None:
        """The connection is closed, so all of its calls end."""
        context = client_context(confdir / BUNDLE, http2=True)
        url = proxy.url.replace("http://127.0.0.1", "https://localhost")
        before = len(simulator.seen)
        key = {"x-goog-api-key": API_KEY}

        async def calls() -> None:
            async with httpx.AsyncClient(base_url=url, verify=context, http2=True, trust_env=False) as client:
                assert (await client.post(UNARY, json=HELLO, headers=key)).status_code == 200

                async def post(plan: dict[str, str]) -> None:
                    with pytest.raises(httpx.HTTPError):
                        await client.post(UNARY, json=HELLO, headers=key | plan, timeout=20)

                async with asyncio.TaskGroup() as tasks:
                    for _ in range(3):
                        tasks.create_task(post({"x-simulator": json.dumps({"hang": True})}))
                    await asyncio.to_thread(until, lambda: len(simulator.seen) >= before + 4)
                    tasks.create_task(post({"x-plan": "crash=ResponseHeaders"}))

        asyncio.run(calls())
        # A client may ask again, on a connection of its own, what it has not been answered.
        rows = settled(proxy, 4, "state = 'interrupted'")
        assert {(row["usage_state"], row["status"]) for row in rows} == {("absent", None)}

    def test_a_live_session(self, proxy: Proxy) -> None:
        with live(proxy) as client:
            client.say({"setup": {"model": "projects/p/locations/us-central1/publishers/google/models/m"}})
            assert client.hear() == {"setupComplete": {}}
            turn(client, "crash")
            assert client.sock.recv(1000) == b""
            (row,) = settled(proxy)
        assert (row["state"], row["usage_state"], row["status"]) == ("interrupted", "absent", 101)


class TestAddonsThatInterfere:
    @pytest.mark.parametrize("hook", ["requestheaders", "request", "responseheaders"])
    def test_that_kill(self, proxy: Proxy, hook: str) -> None:
        with connection(proxy.url) as client:
            request(client, UNARY, HELLO, headers={"x-plan": f"kill={hook}"})
            assert closed(client)
            (row,) = settled(proxy)
        assert (row["state"], row["usage_state"], row["status"]) == ("interrupted", "absent", None)

    @pytest.mark.parametrize("hook", ["requestheaders", "request", "responseheaders", "response"])
    def test_that_raise(self, proxy: Proxy, hook: str) -> None:
        with connection(proxy.url) as client:
            for _ in range(2):
                assert send(client, UNARY, HELLO, headers={"x-plan": f"raise={hook}"}).status == 200
        assert {(row["state"], row["usage_state"]) for row in settled(proxy, 2)} == {("done", "final")}

    @pytest.mark.parametrize("hook", ["requestheaders", "request", "responseheaders"])
    def test_clients_that_do_not_wait_for_them(self, proxy: Proxy, hook: str) -> None:
        with connection(proxy.url) as client:
            request(client, UNARY, HELLO, headers={"x-plan": f"wait={hook}"})
            time.sleep(0.3)
        (row,) = settled(proxy)
        assert (row["state"], row["usage_state"], row["error_type"]) == ("client_closed", "absent", "client_closed")


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
@pytest.mark.parametrize("path", [UNARY, STREAM])
def test_an_answer_of_another_addon(proxy: Proxy, simulator: Simulator, hook: str, path: str) -> None:
    before = len(simulator.seen)
    with connection(proxy.url) as client:
        answer = send(client, path, HELLO, headers={"x-plan": f"answer={hook}"})
        assert (answer.status, answer.body) == (418, b"an answer of the addon")
        # The connection goes on.
        assert send(client, UNARY, HELLO).status == 200
    first, second = settled(proxy, 2)
    assert (first["state"], first["status"], first["upstream_status"]) == ("done", 418, None)
    assert (first["usage_state"], first["upstream_host"], first["attempts"]) == ("not_applicable", None, 0)
    assert second["upstream_status"] == 200
    assert len(simulator.seen) == before + 1
