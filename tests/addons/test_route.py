from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.addressing import NOWHERE
from addons.classify import Classify
from addons.configuration.settings import read
from addons.options import Options
from addons.route import Route
from tests import destinations
from tests.addons.routed import GOOGLE
from tests.addons.routed import Routed
from tests.configuration import DEFAULTS
from tests.process import ROOT

P = "/v1/projects/p/locations"
EXPRESS = "/v1beta1/publishers/google/models/g:generateContent"
LIVE = "//ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"


def routed(path: str, target: str = GOOGLE, method: str = "POST", mode: str = "", **options: str) -> http.HTTPFlow:
    settings = Options()
    settings.configuration = read({**DEFAULTS, "usage_db": "/tmp/usage.db", **options}, [])
    classify = Classify(settings)
    route = Route(classify.exchanges)
    flow = tflow.tflow(req=http.Request.make(method, "http://127.0.0.1:8080", headers=[(b"host", b"127.0.0.1:8080")]))
    flow.request.path = path
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(mode or f"reverse:{target}")
    classify.requestheaders(flow)
    route.requestheaders(flow)
    return flow


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (EXPRESS, f"{GOOGLE}{EXPRESS}"),
        (
            f"{P}/global/publishers/google/models/g:predict",
            f"{GOOGLE}{P}/global/publishers/google/models/g:predict",
        ),
        (
            f"{P}/us-east1/endpoints/1:predict",
            f"https://us-east1-aiplatform.googleapis.com{P}/us-east1/endpoints/1:predict",
        ),
        (f"{P}/eu/cachedContents", f"https://aiplatform.eu.rep.googleapis.com{P}/eu/cachedContents"),
        (f"{P}/us/cachedContents", f"https://aiplatform.us.rep.googleapis.com{P}/us/cachedContents"),
        # What cannot be part of a host goes where the user said; Google will refuse it.
        (f"{P}/evil.com%23/cachedContents", f"{GOOGLE}{P}/evil.com%23/cachedContents"),
        (
            "/v1beta/models/g:generateContent",
            "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent",
        ),
        (
            "/v1/models/g:generateContent",
            "https://generativelanguage.googleapis.com/v1/models/g:generateContent",
        ),
        (
            "/v1beta/openai/chat/completions",
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        ),
        ("/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("/v1/models", "https://api.openai.com/v1/models"),
        ("/v1/files/f/content", "https://api.openai.com/v1/files/f/content"),
        ("/unknown?x=1", f"{GOOGLE}/unknown?x=1"),
        (f"{EXPRESS}?alt=sse&key=k", f"{GOOGLE}{EXPRESS}?alt=sse&key=k"),
        (LIVE, f"{GOOGLE}{LIVE}"),
    ],
)
def test_googles_hosts(path: str, url: str) -> None:
    assert routed(path).request.url == url


def test_the_host_that_was_named_answers_what_has_no_location() -> None:
    regional = "https://us-east1-aiplatform.googleapis.com"
    assert routed(LIVE, regional).request.url == f"{regional}{LIVE}"
    assert routed(EXPRESS, regional).request.url == f"{regional}{EXPRESS}"
    assert routed(EXPRESS, "https://generativelanguage.googleapis.com").request.url == f"{GOOGLE}{EXPRESS}"


def test_a_port_of_googles_hosts_is_kept() -> None:
    assert routed(f"{P}/eu/models", f"{GOOGLE}:8443").request.pretty_url.startswith(
        "https://aiplatform.eu.rep.googleapis.com:8443/"
    )


@pytest.mark.parametrize(
    "path",
    [
        EXPRESS,
        f"{P}/us-east1/models",
        "/v1beta/models",
        "/v1/chat/completions",
        "/v1/models",
        "/unknown",
        LIVE,
    ],
)
def test_another_target_is_taken_at_its_word(path: str) -> None:
    assert routed(path, "http://127.0.0.1:9000").request.url == f"http://127.0.0.1:9000{path}"


@pytest.mark.parametrize(
    ("path", "target", "options", "url"),
    [
        (EXPRESS, GOOGLE, {"vertex_endpoint": "http://sim:9000/v"}, f"http://sim:9000/v{EXPRESS}"),
        (
            f"{P}/eu/models",
            "http://other",
            {"vertex_endpoint": "http://sim:9000"},
            f"http://sim:9000{P}/eu/models",
        ),
        (
            "/v1beta/models",
            GOOGLE,
            {"vertex_endpoint": "http://sim"},
            "https://generativelanguage.googleapis.com/v1beta/models",
        ),
        (
            "/v1/models",
            GOOGLE,
            {"openai_endpoint": "https://q.example/compatible/v1"},
            "https://q.example/compatible/v1/models",
        ),
        ("/v1/models", "http://other", {"openai_endpoint": "http://q:1/x"}, "http://q:1/x/models"),
        ("/v1/embeddings?a=1", GOOGLE, {"openai_endpoint": "http://q:1"}, "http://q:1/embeddings?a=1"),
        (f"/vertex{EXPRESS}", GOOGLE, {"gateway_base_path": "/vertex"}, f"{GOOGLE}{EXPRESS}"),
        ("/gemini/v1/models", GOOGLE, {"gateway_base_path": "/gemini"}, "https://api.openai.com/v1/models"),
        (f"/other{EXPRESS}", GOOGLE, {"gateway_base_path": "/vertex"}, f"{GOOGLE}/other{EXPRESS}"),
    ],
)
def test_options(path: str, target: str, options: dict[str, str], url: str) -> None:
    flow = routed(path, target, **options)
    assert flow.request.url == url
    assert flow.request.headers["host"] == flow.request.host + (
        f":{flow.request.port}" if flow.request.port not in (80, 443) else ""
    )


def test_what_the_row_says() -> None:
    settings = Options()
    settings.configuration = read({**DEFAULTS, "usage_db": "/tmp/usage.db"}, [])
    classify = Classify(settings)
    flow = tflow.tflow(req=http.Request.make("POST", "http://127.0.0.1/v1/chat/completions?x=secret"))
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(f"reverse:{GOOGLE}")
    classify.requestheaders(flow)
    Route(classify.exchanges).requestheaders(flow)
    call = classify.exchanges[flow].call
    assert (call.service, call.upstream_host) == ("openai", "api.openai.com")
    assert call.upstream_path == "/v1/chat/completions"


@pytest.mark.parametrize("path", ["/", "/vertex", "/vertex/"])
def test_a_client_that_lost_its_model(path: str) -> None:
    flow = routed(path, gateway_base_path="/vertex")
    assert flow.response
    assert flow.response.status_code == 400
    assert "api_key=..." in flow.response.json()["error"]["message"]


def test_a_look_at_the_root_is_passed_on() -> None:
    assert routed("/", method="GET").response is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_look_at_the_root_is_not_passed_on_if_calls_are_rewritten(method: str) -> None:
    response = routed("/", method=method, openai_mode="convert").response
    assert response
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("mode", "target", "url"),
    [
        ("observe", GOOGLE, None),
        ("compatible", GOOGLE, None),
        ("observe", "https://own.example", "https://own.example/v1/messages?beta=true"),
        ("compatible", "https://own.example", "https://own.example/v1/messages?beta=true"),
        ("convert", GOOGLE, f"https://{NOWHERE.host}/v1/messages?beta=true"),
        ("convert", "https://own.example", f"https://{NOWHERE.host}/v1/messages?beta=true"),
    ],
)
def test_messages(mode: str, target: str, url: str | None) -> None:
    flow = routed("/v1/messages?beta=true", target, openai_mode=mode)
    if url is None:
        assert flow.response
        assert (flow.response.status_code, flow.response.json()["error"]["type"]) == (404, "not_found_error")
    else:
        assert (flow.response, flow.request.url) == (None, url)


def test_forward_mode_leaves_requests_alone() -> None:
    flow = routed("/v1beta/models", mode="regular", vertex_endpoint="http://127.0.0.1:9000")
    assert flow.request.url == "http://127.0.0.1:8080/v1beta/models"


class TestServiceOfAPath:
    @pytest.mark.parametrize(
        ("path", "service"),
        [
            (f"{P}/global/publishers/openai/models/gpt-5:generateContent", "qwen"),
            ("/v1/publishers/google/models/qwen-max:generateContent", "qwen"),
            ("/v1beta/models/qwen-max:generateContent", "qwen"),
            ("/team/v1/publishers/google/models/gemini-2.5-flash:generateContent", "qwen"),
            ("/v1/publishers/google/models/gemini-2.5-flash:generateContent", "prod"),
            ("/v1/publishers/google/models/gemini-1.5-flash:generateContent", "prod"),
            ("/v1/publishers/anthropic/models/claude-x:rawPredict", "default"),
        ],
    )
    def test_which(self, tmp_path: Path, path: str, service: str) -> None:
        routed = Routed(tmp_path, "POST", path)
        exchange = routed.exchange
        assert exchange.service
        assert (exchange.service.name, exchange.call.service) == (service, service)
        assert exchange.awaits_body == (service == "qwen")
        assert (routed.flow.request.host == NOWHERE.host) == (service == "qwen")
        assert (exchange.call.upstream_host is None) == (service == "qwen")

    @pytest.mark.parametrize(
        ("model", "mode", "service"),
        [
            ("gpt-image-2", "convert", "openai"),
            ("gpt-oss-120b-maas", "convert", "default"),
            ("gpt-image-2", "compatible", "openai"),
            ("gpt-image-2", "observe", "default"),
        ],
    )
    def test_openais_models_on_vertex_paths(self, tmp_path: Path, model: str, mode: str, service: str) -> None:
        given = {"usage_db": str(tmp_path / "usage.db"), "openai_mode": mode, "openai_api_key": "sk-1"}
        options = Options()
        options.configuration = read(DEFAULTS | given, [])
        classify = Classify(options)
        flow = tflow.tflow(req=http.Request.make("POST", f"http://x/v1/publishers/openai/models/{model}:predict"))
        flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(f"reverse:{GOOGLE}")
        classify.requestheaders(flow)
        Route(classify.exchanges).requestheaders(flow)
        exchange = classify.exchanges[flow]
        assert exchange.service
        assert (exchange.service.name, exchange.awaits_body) == (service, service == "openai")


class TestDestinations:
    """Where each call and each credential goes, of all that can be combined. Over sockets: tests/wire."""

    @pytest.mark.parametrize("name", destinations.TARGETS)
    def test_all(self, name: str) -> None:
        target = destinations.TARGETS[name]
        settings = Options()
        settings.configuration = read({**DEFAULTS, "usage_db": "/tmp/usage.db", **target.options}, [])
        classify = Classify(settings)
        route = Route(classify.exchanges)
        mode = mode_specs.ProxyMode.parse(f"reverse:https://{target.reverse}")
        wrong = []
        for case in destinations.cases(target):
            flow = tflow.tflow(req=http.Request.make(case.method, "http://127.0.0.1"))
            given = tuple((name.encode(), value.encode()) for name, value in case.headers)
            flow.request.headers = http.Headers([(b"host", b"127.0.0.1"), *given])
            flow.request.path = case.url
            flow.client_conn.proxy_mode = mode
            classify.requestheaders(flow)
            route.requestheaders(flow)
            if flow.response:
                went = None
                is_right = flow.response.status_code == (404 if destinations.PATHS[case.path] == "anthropic" else 400)
                is_right &= "MaRk" not in str(flow.response.content)
            else:
                went = flow.request.host
                is_right = flow.request.headers.fields[1:] == given and case.arrives_as(flow.request.path)
            if went != case.expected or not is_right:
                wrong.append((case.path, case.credential, case.place, went, case.expected))
        assert wrong == []

    def test_the_page_shows_them(self) -> None:
        assert destinations.page() in (ROOT / "docs" / "credentials.md").read_text()
