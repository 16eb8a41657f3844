import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress

import wsproto
from wsproto.events import AcceptConnection
from wsproto.events import CloseConnection

from tests.addons.marks import MARK
from tests.addons.marks import MARKED
from tests.addons.marks import assert_clean
from tests.conftest import StartProxy
from tests.http import MODEL
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.process import until
from tests.vertex_simulator import Simulator
from tests.websocket_client import Client


def test_what_a_web_page_of_mitmproxy_shows(start_proxy: StartProxy, simulator: Simulator) -> None:
    """A call under way, and one that has ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = ["--set", f"web_port={port}", "--set", "web_open_browser=false"]
    if sys.version_info >= (3, 12):
        page += ["--set", "web_password=secret"]
    proxy = start_proxy(mode=f"reverse:{simulator.url}", program="mitmweb", arguments=page)
    headers = {"x-goog-api-key": f"AIza{MARK}", "x-prompt": MARK}
    simulator.credentials.api_keys.add(f"AIza{MARK}")
    before = len(simulator.seen)

    def shown() -> str:
        answer = call(f"http://127.0.0.1:{port}", "/flows?token=secret", headers={"authorization": "Bearer secret"})
        assert answer.status == 200
        return answer.body.decode()

    with updates(port) as pushed, connection(proxy.url) as client:
        path = f"{MODEL}:generateContent?x={MARK}"
        request(client, path, MARKED, headers=headers, plan={"delay": 2})
        until(lambda: len(simulator.seen) > before)
        under_way = shown()
        assert client.getresponse().status == 200
        client.close()
        # As it is added, and at each step.
        until(lambda: "".join(pushed).count(f"{MODEL}:generateContent") >= 3)
        assert MARK not in "".join(pushed)
    assert simulator.seen[-1].request.headers["x-goog-api-key"] == f"AIza{MARK}"
    assert simulator.seen[-1].request.query == {"x": [MARK]}
    for text in (under_way, shown()):
        assert f"{MODEL}:generateContent" in text
        assert MARK not in text
    assert_clean(proxy)


@contextmanager
def updates(port: int) -> Iterator[list[str]]:
    """What mitmweb pushes to a page that is open, as it comes."""
    told: list[str] = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        page = Client(sock)
        request = wsproto.events.Request(
            host=f"127.0.0.1:{port}",
            target="/updates?token=secret",
            extra_headers=[(b"authorization", b"Bearer secret"), (b"origin", f"http://127.0.0.1:{port}".encode())],
        )
        sock.sendall(page.connection.send(request))
        assert isinstance(page.hear(), AcceptConnection)

        def listen() -> None:
            with suppress(OSError):
                while not isinstance(message := page.hear(), CloseConnection):
                    told.append(json.dumps(message))

        threading.Thread(target=listen, daemon=True).start()
        yield told
        sock.shutdown(socket.SHUT_RDWR)
