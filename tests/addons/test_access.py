"""Which callers are let in where calls get credentials that the client does not have."""

from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://localhost.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_web_pages(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, headers: dict[str, str], status: int
) -> None:
    injecting = ("vertex_auth=service_account", f"vertex_credentials={key_file}")
    proxy = start_proxy(*injecting, mode=f"reverse:{simulator.url}", serve=True)
    before = len(simulator.seen)
    answer = call(proxy.url, UNARY, HELLO, headers={"x-goog-api-key": "", **headers})
    assert answer.status == status
    row = proxy.new_row()
    if status == 403:
        assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
        assert simulator.seen[before:] == []
        assert (row["state"], row["attempts"], row["error_type"]) == ("refused", 0, "bad_request")


def test_who_brings_credentials_may_come_from_anywhere(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    assert call(proxy.url, UNARY, HELLO, headers={"origin": "https://app.example"}).status == 200
