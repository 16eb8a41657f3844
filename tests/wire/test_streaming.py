"""A stream stays a stream: each event reaches the client before the next leaves the upstream."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import PROJECT
from tests.http import connection
from tests.http import request
from tests.loopback import client_context
from tests.process import Proxy
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

SSE = f"{MODEL}:streamGenerateContent?alt=sse"
ARRAY = f"{MODEL}:streamGenerateContent"
CLAUDE = f"{PROJECT}/publishers/anthropic/models/claude-sonnet-4:streamRawPredict"
WORDS = {"words": 20, "events": 10}


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("path", [SSE, ARRAY])
def test_no_event_waits_for_the_next(tap: Proxy, simulator: Simulator, encoding: str, path: str) -> None:
    gate = uuid.uuid4().hex
    with connection(tap.url) as client:
        request(client, path, HELLO, plan={"gate": gate, "encoding": encoding, **WORDS})
        answer = client.getresponse()
        pieces = []
        # The upstream sends nothing more until the gate opens; a client that gets nothing waits for ever.
        while piece := answer.read1(65536):
            pieces.append(piece)
            simulator.gates[gate].release()
    assert len(pieces) >= 10
    row = tap.new_row()
    assert (row["usage_state"], row["output_tokens"]) == ("final", 20)


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
def test_whatever_ends_the_lines(tap: Proxy, simulator: Simulator, newline: str) -> None:
    gate = uuid.uuid4().hex
    with connection(tap.url) as client:
        request(client, SSE, HELLO, plan={"gate": gate, "newline": newline, "split": 90, **WORDS})
        answer = client.getresponse()
        while answer.read1(65536):
            simulator.gates[gate].release()
    assert tap.new_row()["usage_state"] == "final"


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (
            CLAUDE,
            {
                "anthropic_version": "vertex-2023-10-16",
                "max_tokens": 5,
                "stream": True,
                "messages": [{"role": "user", "content": "Hello"}],
            },
            {},
        ),
        (
            "/v1/chat/completions",
            {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hello"}]},
            {"authorization": f"Bearer {OPENAI_KEY}", "x-goog-api-key": ""},
        ),
    ],
)
def test_streams_that_end_with_an_event(
    tap: Proxy, simulator: Simulator, path: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    gate = uuid.uuid4().hex
    with connection(tap.url) as client:
        request(client, path, body, headers=headers, plan={"gate": gate})
        answer = client.getresponse()
        pieces = []
        while piece := answer.read1(65536):
            pieces.append(piece)
            simulator.gates[gate].release()
    assert len(pieces) >= 4
    assert tap.new_row()["state"] == "done"


def test_http2(tap: Proxy, simulator: Simulator, confdir: Path) -> None:
    gate = uuid.uuid4().hex
    headers = {"x-goog-api-key": API_KEY, "x-simulator": f'{{"gate": "{gate}", "words": 20, "events": 10}}'}
    context = client_context(confdir / "mitmproxy-ca-cert.pem", http2=True)
    with httpx.Client(verify=context, http2=True, trust_env=False, timeout=20) as client:
        url = f"https://127.0.0.1:{tap.port}{SSE}"
        with client.stream("POST", url, json=HELLO, headers=headers) as answer:
            pieces = 0
            for _ in answer.iter_raw():
                pieces += 1
                simulator.gates[gate].release()
    assert pieces >= 10
    assert tap.new_row()["usage_state"] == "final"


def test_many_streams_side_by_side(tap: Proxy) -> None:
    """One slow stream holds no other up."""
    with connection(tap.url) as slow, connection(tap.url) as quick:
        request(slow, SSE, HELLO, plan={"gate": "never opened"})
        assert slow.getresponse().read1(65536)
        for _ in range(5):
            request(quick, SSE, HELLO)
            assert b"STOP" in quick.getresponse().read()
    assert len(tap.new_rows()) == 6
