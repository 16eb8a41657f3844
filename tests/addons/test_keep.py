"""With `gateway_keep_content`: what saved flows hold, that streams stay streams, and that credentials stay hidden."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy import io

from addons.faces import CUT
from addons.kept import LARGEST
from tests.addons.marks import MARK
from tests.addons.marks import MARKED
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
WHOLE = f"{MODEL}:generateContent"


def saved(proxy: Proxy) -> list[http.HTTPFlow]:
    """The flows in the file of a proxy, which ends."""
    assert proxy.stop() == 0
    with (proxy.folder / "flows").open("rb") as file:
        return [flow for flow in io.FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]


def test_saved_flows_hold_bodies(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("gateway_keep_content=true", mode=f"reverse:{simulator.url}", arguments=("-w", "flows"))
    streamed = call(proxy.url, f"{STREAM}&key={API_KEY}", MARKED, headers={"x-goog-api-key": "", "x-prompt": "secret"})
    whole = call(proxy.url, WHOLE, HELLO, headers={"accept-encoding": "gzip"}, plan={"encoding": "gzip"})
    refused = call(proxy.url, WHOLE, {**HELLO, "labels": {"key": API_KEY}}, headers={"x-goog-api-key": "AIzaUnknown"})
    assert (streamed.status, whole.status, refused.status // 100) == (200, 200, 4)
    one, two, three = saved(proxy)
    assert one.request.json() == MARKED
    assert one.response
    assert one.response.content == streamed.body
    assert two.response
    assert two.response.json()["candidates"]
    assert two.response.headers.get("content-encoding") is None
    assert three.request.json()["labels"]["key"] == "…"
    assert one.comment.startswith("gemini-2.5-flash, ")
    assert three.marked
    kept = (proxy.folder / "flows").read_bytes()
    assert MARK.encode() in kept
    for secret in (API_KEY, "AIzaUnknown", "secret"):
        assert secret.encode() not in kept
    assert MARK not in proxy.output


def test_nothing_is_saved_without_the_option(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", arguments=("-w", "flows"))
    call(proxy.url, STREAM, MARKED)
    call(proxy.url, WHOLE, MARKED)
    assert "gateway_keep_content" not in proxy.output
    for flow in saved(proxy):
        assert flow.response
        assert (flow.request.raw_content, flow.response.raw_content) == (None, None)
    assert MARK.encode() not in (proxy.folder / "flows").read_bytes()


def test_no_event_waits_and_what_broke_off_is_there(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("gateway_keep_content=true", mode=f"reverse:{simulator.url}", arguments=("-w", "flows"))
    gate = uuid.uuid4().hex
    with connection(proxy.url) as client:
        request(client, STREAM, HELLO, plan={"gate": gate, "events": 5, "words": 10})
        answer = client.getresponse()
        pieces = []
        # The upstream sends nothing more until the gate opens; a client that gets nothing waits for ever.
        while piece := answer.read1(65536):
            pieces.append(piece)
            simulator.gates[gate].release()
    assert len(pieces) >= 5
    with connection(proxy.url) as client:
        request(client, STREAM, HELLO, plan={"cut": 1})
        begun = client.getresponse().read1(65536)
        # Not the client's going away is what ends the call.
        until(lambda: len(proxy.rows("state = 'upstream_failed'")) == 1)
    whole, cut = saved(proxy)
    assert whole.response
    assert whole.response.content == b"".join(pieces)
    assert cut.response
    assert cut.response.content == begun
    assert cut.marked


def test_a_converted_call(start_proxy: StartProxy, simulator: Simulator) -> None:
    """Kept is what was sent, to either side."""
    proxy = start_proxy(
        "gateway_keep_content=true", "openai_mode=convert", mode=f"reverse:{simulator.url}", arguments=("-w", "flows")
    )
    chat = {"model": "gemini-2.5-flash", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {API_KEY}", "x-goog-api-key": ""}
    streamed = call(proxy.url, "/v1/chat/completions", chat, headers=headers)
    unary = call(proxy.url, "/v1/chat/completions", chat | {"stream": False}, headers=headers)
    with connection(proxy.url) as client:
        request(client, "/v1/chat/completions", chat, headers=headers, plan={"cut": 1})
        broken = client.getresponse().read()
    assert (streamed.status, unary.status) == (200, 200)
    assert b'"error"' in broken
    flows = saved(proxy)
    assert [flow.request.json()["contents"][0]["parts"][0]["text"] for flow in flows] == ["Hello"] * 3
    assert [flow.response.content for flow in flows[:2] if flow.response] == [streamed.body, unary.body]
    assert API_KEY.encode() not in (proxy.folder / "flows").read_bytes()


def test_large_bodies_are_cut(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("gateway_keep_content=true", mode=f"reverse:{simulator.url}", arguments=("-w", "flows"))
    text = "word " * 300_000
    body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    assert call(proxy.url, WHOLE, body, plan={"padding": 2_000_000, "encoding": "identity"}).status == 200

    def pieces() -> Iterator[bytes]:
        yield json.dumps(HELLO).encode()

    with connection(proxy.url) as client:
        # Without a length the body is streamed, as its model is in the path.
        headers = {"content-type": "application/json", "x-goog-api-key": API_KEY}
        client.request("POST", WHOLE, pieces(), headers, encode_chunked=True)
        assert client.getresponse().status == 200
    large, chunked = saved(proxy)
    assert large.response
    assert large.metadata[CUT] == "request response"
    assert (len(large.request.raw_content or b""), len(large.response.raw_content or b"")) == (LARGEST, LARGEST)
    assert chunked.request.json() == HELLO
    assert CUT not in chunked.metadata


def test_paths_that_are_not_known(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("gateway_keep_content=true", mode=f"reverse:{simulator.url}", arguments=("-w", "flows"))
    call(proxy.url, "/unknown", {"assertion": MARK})
    (flow,) = saved(proxy)
    assert flow.response
    assert (flow.request.raw_content, flow.response.raw_content) == (None, None)


@pytest.mark.parametrize("options", [("flow_detail=4",), ("flow_detail=4", "gateway_keep_content=true")])
def test_mitmdumps_details(
    start_proxy: StartProxy, simulator: Simulator, options: tuple[str, ...], tmp_path: Path
) -> None:
    proxy = start_proxy(*options, mode=f"reverse:{simulator.url}")
    call(proxy.url, STREAM, HELLO)
    assert proxy.stop() == 0
    assert "200 OK" in proxy.output
    is_kept = len(options) > 1
    assert ("Hello, who are you?" in proxy.output) is is_kept
    assert ("tokens: 4 input, 4 output" in proxy.output) is is_kept
    assert API_KEY not in proxy.output


def test_serve_has_no_screen(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("gateway_keep_content=true", mode=f"reverse:{simulator.url}", serve=True)
    assert call(proxy.url, STREAM, HELLO).status == 200
    until(lambda: "gateway_keep_content has no effect" in proxy.output)
