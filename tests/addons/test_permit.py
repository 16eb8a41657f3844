"""What a client may use: models and services, in every dialect and place."""

from typing import Any

import pytest
from wsproto.events import AcceptConnection

from addons.permit import names_several
from tests.addons import guarded as g
from tests.addons.guarded import CHAT
from tests.addons.guarded import MESSAGES
from tests.addons.guarded import NATIVE
from tests.addons.guarded import NOBODY
from tests.addons.guarded import ask
from tests.addons.guarded import bearer
from tests.addons.guarded import message_of
from tests.http import HELLO
from tests.http import call
from tests.process import Proxy
from tests.process import until
from tests.protobuf import message
from tests.vertex_simulator import Simulator
from tests.websocket_client import connected

LIVE = "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"


@pytest.mark.parametrize(
    ("key", "path", "model", "service"),
    [
        (g.FLASH, NATIVE, "gemini-2.5-flash", "prod"),
        (g.FLASH, NATIVE, "gemini-2.5-flash-lite", "prod"),
        (g.FLASH, NATIVE, "gemini-2.5-pro", None),
        (g.FLASH, CHAT, "gemini-2.5-flash", "prod"),
        (g.FLASH, CHAT, "google/gemini-2.5-flash", "prod"),
        (g.FLASH, CHAT, "gemini-2.5-pro", None),
        (g.FLASH, CHAT, "qwen-max", None),
        (g.FLASH, CHAT, "unknown", None),
        (g.FLASH, MESSAGES, "gemini-2.5-flash", "prod"),
        (g.FLASH, MESSAGES, "gemini-2.5-pro", None),
        # By its alias, or by what that stands for
        (g.FLASH, CHAT, "fast", "prod"),
        (g.PRO, CHAT, "gpt-4o", "prod"),
        (g.PRO, CHAT, "cheap", "qwen"),
        (g.PRO, CHAT, "fast", None),
        (g.FLASH, CHAT, "cheap", None),
        # With and without its publisher
        (g.PRO, CHAT, "meta/llama-4-scout-maas", "prod"),
        (g.PRO, CHAT, "meta/gpt-oss", None),
        (g.PRO, NATIVE.replace("google", "openai"), "gpt-oss-120b-maas", "prod"),
        (g.FLASH, NATIVE.replace("google", "openai"), "gpt-oss-120b-maas", None),
        (g.SERVICE, CHAT, "qwen-max", "qwen"),
        (g.SERVICE, CHAT, "gemini-2.5-flash", None),
        (g.SERVICE, NATIVE, "gemini-2.5-flash", None),
        (g.SERVICE, f"/own{NATIVE}", "gemini-2.5-flash", None),
        (g.SERVICE, MESSAGES, "qwen-max", "qwen"),
        (g.A, CHAT, "qwen-max", "qwen"),
        (g.A, NATIVE, "gemini-2.5-pro", "prod"),
        # A route of this client alone
        (g.ROUTED, CHAT, "gemini-2.5-flash", "qwen"),
    ],
)
def test_which(guarded: Proxy, simulator: Simulator, key: str, path: str, model: str, service: str | None) -> None:
    guarded.new_rows()
    before = len(simulator.seen)
    answer = ask(guarded, path, model, bearer(key))
    row = guarded.new_row()
    if service and row["service"] == "qwen" and "qwen" not in (row["model"] or ""):
        # The simulated service does not know this model, but has been asked.
        assert row["service"] == service
        return
    assert answer.status == (200 if service else 403), answer.body
    if service:
        assert (row["service"], row["state"]) == (service, "done")
    else:
        assert (row["state"], row["error_type"], row["status"]) == ("refused", "forbidden", 403)
        assert row["client"]
        assert "may not use the" in message_of(answer)
        assert [seen for seen in simulator.seen[before:] if seen.request.path != "/token"] == []


MODEL = '"model": "gemini-2.5-flash"'
REST = '"messages": [{"role": "user", "content": "Hi"}]'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, f'{{{MODEL}, {REST}, "model": "gemini-2.5-pro"}}'),
        (CHAT, f'{{"model": "gemini-2.5-pro", {REST}, {MODEL}}}'),
        (CHAT, f'{{"Model": "gemini-2.5-pro", {REST}, {MODEL}}}'),
        (CHAT, f'{{"m\\u006fdel": "gemini-2.5-pro", {REST}, {MODEL}}}'),
        (CHAT, f"{{{REST}}}"),
        (CHAT, f'{{"model": 5, {REST}}}'),
        (CHAT, ""),
        ("/v1/batches", '{"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}'),
        ("/nobodys", "{}"),
        ("/v1/projects/p/locations/global/endpoints/openapi/chat/completions", '{"model": "google/gemini-2.5-pro"}'),
    ],
)
def test_bodies(guarded: Proxy, simulator: Simulator, path: str, body: str) -> None:
    """A model that a parser finds where another does not, and calls that say none."""
    before = len(simulator.seen)
    answer = call(guarded.url, path, body.encode(), method="POST", headers=bearer(g.FLASH))
    assert answer.status == 403
    assert [seen for seen in simulator.seen[before:] if seen.request.path != "/token"] == []
    # Others may say it as they like.
    assert call(guarded.url, path, body.encode(), method="POST", headers=bearer(g.A)).status != 403


def test_what_uses_no_model(guarded: Proxy) -> None:
    for path in ("/v1/files", "/v1/projects/p/locations/global/cachedContents"):
        assert call(guarded.url, path, headers=bearer(g.FLASH)).status != 403


SETUP = {"setup": {"model": "publishers/google/models/gemini-2.5-flash-live"}}


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        (SETUP, True),
        ({"setup": {"model": "publishers/google/models/gemini-2.5-pro-live"}}, False),
        (SETUP | {"model": "publishers/google/models/gemini-2.5-pro-live"}, True),
        ({"model": "gemini-2.5-flash", "setup": {"model": "publishers/google/models/gemini-2.5-pro"}}, False),
        ({"setup": SETUP["setup"], "Setup": {}}, False),
        ({"setup": {}}, False),
        ({"client_content": {}}, False),
        ([], False),
    ],
)
def test_the_first_message_of_a_live_connection(guarded: Proxy, said: object, allowed: bool) -> None:
    guarded.new_rows()
    key = {"x-goog-api-key": "AIzaSimulatedKey", "x-vertex-tap-key": g.FLASH}
    with connected(guarded.port, f"/own{LIVE}", key) as (client, answer):
        assert isinstance(answer, AcceptConnection)
        client.say(said)
        told = client.hear()
        if allowed:
            assert told == {"setupComplete": {}}
            client.close()
        else:
            assert (told.code, told.reason) == (1008, "The client flash may not use this model.")
    until(lambda: guarded.rows()[-1]["state"] != "open")
    row = guarded.new_row()
    assert (row["client"], row["error_type"]) == ("flash", None if allowed else "websocket_1008")


def test_where_the_model_comes_too_late(guarded: Proxy) -> None:
    """On a WebSocket whose later messages name models, in messages of gRPC, or in a body that is too large."""
    headers: dict[str, Any] = {"x-goog-api-key": g.FLASH}
    with connected(guarded.port, "/v1/responses", headers) as (_, answer):
        assert answer.status_code in (403, 426)
    with connected(guarded.port, "/v1beta/interactions/live", headers) as (_, answer):
        assert answer.status_code == 403
    with connected(guarded.port, "/v1/realtime?model=gpt-realtime", {"x-api-key": g.FLASH}) as (_, answer):
        assert answer.status_code == 403
    rpc = "/google.cloud.aiplatform.v1.PredictionService/StreamDirectPredict"
    headers = NOBODY | {"x-goog-api-key": g.FLASH, "content-type": "application/grpc"}
    sent = message({1: "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash"})
    assert call(guarded.url, rpc, b"\0" + len(sent).to_bytes(4) + sent, headers=headers).status == 403


@pytest.mark.parametrize(
    ("model", "status"),
    [("gemini-2.5-flash", 200), ("gemini-2.5-pro", 403), ("", 403), ('{"model":"gemini-2.5-flash"}', 403)],
)
def test_grpc(guarded: Proxy, simulator: Simulator, model: str, status: int) -> None:
    """A unary call is held until its model is known. (The simulated service knows no gRPC: it was asked.)"""
    before = len(simulator.seen)
    resource = f"projects/p/locations/us-central1/publishers/google/models/{model}" if "{" not in model else model
    sent = message({5: resource} if model else {2: {1: "user"}})
    headers = NOBODY | {"x-goog-api-key": g.FLASH, "content-type": "application/grpc"}
    rpc = "/google.cloud.aiplatform.v1.PredictionService/GenerateContent"
    answer = call(guarded.url, rpc, b"\0" + len(sent).to_bytes(4) + sent, headers=headers)
    assert (answer.status == 403) == (status == 403)
    assert bool(simulator.seen[before:]) == (status == 200)


def test_a_native_call_of_any_size(guarded: Proxy) -> None:
    """The path says its model, so its body may be streamed, and may have any members."""
    body = HELLO | {"labels": {"model": "a", "Model": "b"}}
    assert call(guarded.url, NATIVE, body, headers=bearer(g.FLASH)).status == 200


@pytest.mark.parametrize(
    ("content_type", "body", "several"),
    [
        ("application/json", b'{"model": "a"}', False),
        ("application/json", b'{"model": "a", "x": {"model": "b"}}', False),
        ("application/json", b'{"model": "a", "model": "a"}', True),
        ("application/json", b'{"MODEL": "a", "model": "a"}', True),
        ("application/json", b'{"model": "a"', True),
        ("application/json", b"[" * 100_000, True),
        ("", b"", False),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\na', False),
        ("Multipart/form-data; boundary=x", b'; name="model"\r\n\r\na\r\n; NAME = model\r\n\r\nb', True),
    ],
)
def test_bodies_that_name_several_models(content_type: str, body: bytes, several: bool) -> None:
    assert names_several(content_type, body) == several
