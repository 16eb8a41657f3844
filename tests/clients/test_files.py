"""google-genai's `files.upload`: its first answer has no body, and says in a header with a query where the bytes go.

It names Google's host. In reverse mode the header stays as it is: JavaScript's client takes the host of its base URL
instead, Python's only that of the call's `http_options`, and else sends the bytes to Google without us.
"""

from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from addons.entrance import BUNDLE
from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rows
from tests.conftest import StartProxy
from tests.loopback import GOOGLE
from tests.loopback import Tunnel
from tests.loopback import environment
from tests.loopback import server_context
from tests.process import until
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator

HOST = "https://generativelanguage.googleapis.com"


@pytest.fixture(scope="module")
def google(ca: trustme.CA, credentials: Credentials) -> Iterator[Simulator]:
    with Simulator(tls=server_context(ca, GOOGLE), credentials=credentials) as running:
        yield running


@pytest.mark.parametrize(
    ("mode", "script", "call", "direct"),
    [
        ("regular", "genai_calls.py", "files", 0),
        ("regular", "genai_calls.mjs", "files", 0),
        (f"reverse:{HOST}", "genai_calls.py", "files", 1),
        (f"reverse:{HOST}", "genai_calls.py", "files_of_call", 0),
        (f"reverse:{HOST}", "genai_calls.mjs", "files", 0),
    ],
)
def test_upload(
    start_proxy: StartProxy,
    google: Simulator,
    run_client: RunClient,
    trusting: Callable[[Path | None], dict[str, str]],
    confdir: Path,
    ca_file: Path,
    mode: str,
    script: str,
    call: str,
    direct: int,
) -> None:
    """`direct` is how many requests go to Google without us."""
    asked = {"auth": "gemini", "calls": [call], "base_url": HOST}
    proxied = {"NODE_USE_ENV_PROXY": "1", "NO_PROXY": "127.0.0.1"}
    with Tunnel({443: google.port}) as tunnel:
        expected = run_client(script, asked, proxied | {"HTTPS_PROXY": tunnel.url} | trusting(None))
        before = len(google.seen)
        trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
        options = [trusted] if mode == "regular" else [trusted, "gateway_base_path=/gemini"]
        proxy = start_proxy(*options, mode=mode, env=environment({443: google.port}))
        proxied["HTTPS_PROXY"] = tunnel.url
        if mode == "regular":
            proxied["HTTPS_PROXY"] = proxy.url
        else:
            asked["base_url"] = f"{proxy.url}/gemini"
        assert run_client(script, asked, proxied | trusting(confdir / BUNDLE)) == expected
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = proxy.new_rows(), google.seen[before:]
    operations = ["files.create", "files.create", "files.get", "files.delete"]
    del seen[1 : 1 + direct], operations[1 : 1 + direct]
    check_rows(rows, seen)
    assert [row["operation"] for row in rows] == operations
    assert {(row["surface"], row["usage_state"]) for row in rows} == {("gemini", "not_applicable")}
    assert sum(row["request_bytes"] == 13_000 for row in rows) == 1 - direct
