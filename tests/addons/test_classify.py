import json

import pytest
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.classify import Classify
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.options import Options
from metering.record import record_of
from tests.configuration import DEFAULTS

REVERSE = mode_specs.ProxyMode.parse("reverse:https://aiplatform.googleapis.com")
FORWARD = mode_specs.ProxyMode.parse("regular")
Given = dict[str | bytes, str | bytes]


def classified(
    method: str,
    url: str,
    mode: mode_specs.ProxyMode = REVERSE,
    headers: Given | None = None,
    **options: str,
) -> Exchange | None:
    settings = Options()
    settings.configuration = read({**DEFAULTS, "usage_db": "/tmp/usage.db", **options}, [])
    classify = Classify(settings)
    flow = tflow.tflow(req=http.Request.make(method, url, headers=headers or {}))
    flow.client_conn.proxy_mode = mode
    classify.requestheaders(flow)
    return classify.exchanges.get(flow)


def test_a_vertex_call() -> None:
    exchange = classified(
        "POST",
        "http://x/vertex/v1/projects/p/locations/us-east1/publishers/google/models/g:predict?key=secret",
        gateway_base_path="/vertex",
    )
    assert exchange
    assert exchange.path == "/v1/projects/p/locations/us-east1/publishers/google/models/g:predict"
    call = exchange.call
    assert (call.surface, call.operation, call.method, call.path) == (
        "vertex",
        "predict",
        "POST",
        exchange.path,
    )
    assert (call.project, call.location, call.publisher, call.model) == ("p", "us-east1", "google", "g")


@pytest.mark.parametrize(
    ("path", "stripped"),
    [
        ("/vertex/v1/models", "/v1/models"),
        ("/vertex/eu/v1/models", "/v1/models"),
        ("/vertexes/v1/models", "/vertexes/v1/models"),
        ("/vertex", "/"),
        ("/v1/models", "/v1/models"),
    ],
)
def test_the_longest_base_path_is_stripped(path: str, stripped: str) -> None:
    exchange = classified("GET", f"http://x{path}", gateway_base_path="/vertex,/vertex/eu")
    assert exchange
    assert exchange.path == stripped


def test_a_base_path_that_is_not_configured_stays_in_the_request_only() -> None:
    exchange = classified("POST", "http://x/api/vertex-ai/v1/publishers/google/models/g:generateContent")
    assert exchange
    assert exchange.path.startswith("/api/vertex-ai/")
    assert exchange.call.path == "/v1/publishers/google/models/g:generateContent"


@pytest.mark.parametrize(("endpoint", "model"), [("1234567890", "1234567890"), ("openapi", None)])
def test_endpoints_are_models(endpoint: str, model: str | None) -> None:
    exchange = classified("POST", f"http://x/v1/projects/p/locations/l/endpoints/{endpoint}/chat/completions")
    assert exchange
    assert exchange.call.model == model


@pytest.mark.parametrize(
    ("url", "surface"),
    [
        ("https://aiplatform.googleapis.com/v1/publishers/google/models/g:predict", "vertex"),
        ("https://us-east1-aiplatform.googleapis.com/v1/unknown", None),
        ("https://generativelanguage.googleapis.com/v1/models", "gemini"),
        ("https://api.openai.com/v1/models", "openai"),
        ("https://api.anthropic.com/v1/models", "anthropic"),
        ("https://api.anthropic.com/v1/messages", "anthropic"),
        ("https://api.anthropic.com/api/event_logging/batch", None),
        ("https://own.example/v1/models", "openai"),
    ],
)
def test_known_hosts_of_forward_mode(url: str, surface: str | None) -> None:
    exchange = classified("GET", url, FORWARD, vertex_endpoint="https://own.example")
    assert exchange
    assert exchange.call.surface == surface


@pytest.mark.parametrize(
    ("path", "headers", "surface"),
    [
        ("/v1/models", {}, "openai"),
        ("/v1/models", {"authorization": "Bearer sk-1"}, "openai"),
        ("/v1/models", {"x-goog-api-key": "AIza1"}, "gemini"),
        ("/v1/models", {"authorization": "Bearer AIza1"}, "gemini"),
        ("/v1/models", {"authorization": "Bearer ya29.a"}, "gemini"),
        ("/v1/models", {"x-goog-api-key": "unknown"}, "gemini"),
        ("/v1/files/f", {"x-api-key": "AQ.a"}, "gemini"),
        ("/v1/files:import", {}, "gemini"),
        ("/models", {"x-goog-api-key": "AIza1"}, "gemini"),
        ("/models", {}, "openai"),
        ("/v1/models/g:countTokens", {"x-goog-api-key": "AIza1"}, "gemini"),
        ("/v1/models/ft:gpt-4o:acme::id", {"authorization": "Bearer sk-1"}, "openai"),
        # A header that all of Anthropic's clients send.
        ("/v1/models", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/models/m", {"anthropic-version": "2023-06-01", "x-api-key": "AIza1"}, "anthropic"),
        ("/v1/files", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/environments", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/projects/p/locations/l/agents", {"anthropic-version": "2023-06-01"}, "vertex"),
        ("/v1/chat/completions", {"anthropic-version": "2023-06-01"}, "openai"),
        # What a client calls itself is no credential.
        ("/v1/files", {"x-goog-api-client": "google-genai-sdk/3.4.0"}, "openai"),
        ("/v1/files?key=AIza1", {}, "gemini"),
        ("/v1/chat/completions", {"x-goog-api-key": "AIza1"}, "openai"),
        ("/v1beta1/publishers/google/models", {"x-goog-api-key": "AIza1"}, "vertex"),
    ],
)
def test_a_key_of_google_is_for_google(path: str, headers: Given, surface: str) -> None:
    exchange = classified("GET", f"http://x{path}", headers=headers)
    assert exchange
    assert exchange.call.surface == surface


@pytest.mark.parametrize("url", ["https://example.com/v1/models", "https://oauth2.googleapis.com/token"])
def test_other_hosts_of_forward_mode(url: str) -> None:
    assert classified("POST", url, FORWARD) is None


def test_tags() -> None:
    headers: Given = {"X-Team": "red", "x-other": "x", "x-long": "y" * 500}
    exchange = classified("GET", "http://x/v1/models", headers=headers, usage_tags="x-team,x-missing,x-long")
    assert exchange
    assert exchange.call.tags == {"x-team": "red", "x-long": "y" * 128}


@pytest.mark.parametrize("value", ["Müller".encode(), "Müller".encode("latin-1"), "Mü".encode() + b"ller"])
def test_tags_are_text(value: bytes) -> None:
    headers: Given = {b"x-team": value}
    exchange = classified("GET", "http://x/v1/models", headers=headers, usage_tags="x-team")
    assert exchange
    assert exchange.call.tags == {"x-team": "Müller"}
    row = record_of(exchange.call).named
    assert json.loads(str(row["tags"])) == exchange.call.tags


def test_the_sdk_is_recorded() -> None:
    headers: Given = {"X-Goog-Api-Client": "google-genai-sdk/3.4.0", "User-Agent": "GeminiCLI/0.61.0 (linux)"}
    exchange = classified("GET", "http://x/v1/models", headers=headers)
    assert exchange
    assert exchange.call.sdk == "geminicli/0.61.0"
