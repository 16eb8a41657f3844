import gzip
from pathlib import Path

import pytest
from mitmproxy import http

from addons.addressing import NOWHERE
from tests.addons.routed import JOB
from tests.addons.routed import JSON
from tests.addons.routed import OPENAI
from tests.addons.routed import Routed
from tests.addons.routed import said
from tests.addons.translation.client_requests import FORM
from tests.addons.translation.client_requests import form


class TestServiceOfABody:
    @pytest.mark.parametrize(
        ("method", "path", "body", "service"),
        [
            ("POST", "/v1/chat/completions", said("qwen-max"), "qwen"),
            ("POST", "/v1/chat/completions", said("gemini-2.5-flash"), "prod"),
            ("POST", "/v1/chat/completions", said("google/gemini-2.5-flash"), "prod"),
            ("POST", "/v1/embeddings", said("gemini-embedding-001"), "prod"),
            ("POST", "/team/v1/chat/completions", said("gemini-2.5-flash"), "qwen"),
            ("POST", "/team/v1/chat/completions", b"", "qwen"),
            ("GET", "/team/v1/models", b"", "qwen"),
            ("GET", f"/v1/videos/{JOB}", b"", "prod"),
            ("GET", f"/v1/videos/{JOB}/content?variant=video", b"", "prod"),
            ("GET", "/v1/models/gemini-2.5-flash", b"", "prod"),
            ("POST", "/v1/messages", said("qwen-max"), "qwen"),
            ("POST", "/v1/messages", said("gemini-1.5-flash"), "prod"),
            ("POST", "/team/v1/messages/count_tokens", said("claude-opus-5"), "qwen"),
            # Those that no service of ours rewrites go to OpenAI.
            ("POST", "/v1/chat/completions", said("gpt-4o"), None),
            ("POST", "/v1/chat/completions", said("gemini-1.5-flash"), None),
            ("POST", "/v1/chat/completions", said(5), None),
            ("POST", "/v1/chat/completions", b"{", None),
            ("POST", "/v1/chat/completions", b"", None),
            ("GET", "/v1/models", b"", None),
            ("GET", "/v1/videos/video_1", b"", None),
        ],
    )
    def test_which(self, tmp_path: Path, method: str, path: str, body: bytes, service: str | None) -> None:
        routed = Routed(tmp_path, method, path)
        assert (routed.flow.request.host, routed.exchange.awaits_body) == (NOWHERE.host, True)
        routed.complete(body)
        exchange = routed.exchange
        if service:
            assert exchange.service
            assert (exchange.service.name, exchange.call.service, exchange.awaits_body) == (service, service, True)
            # Whoever rewrites it says where it goes.
            assert routed.flow.request.host == NOWHERE.host
        else:
            assert (exchange.service, exchange.call.service, exchange.awaits_body) == (None, "openai", False)
            assert routed.flow.request.url == f"{OPENAI}{path}"
            assert exchange.call.upstream_host == "api.openai.com"
            assert exchange.call.upstream_path == path.partition("?")[0]

    def test_messages_that_no_service_rewrites(self, tmp_path: Path) -> None:
        routed = Routed(tmp_path, "POST", "/v1/messages")
        assert routed.exchange.awaits_body
        routed.complete(said("claude-opus-5"))
        assert routed.exchange.is_refused
        response = routed.flow.response
        assert response
        assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")

    @pytest.mark.parametrize(
        ("body", "content_type", "headers"),
        [
            (form(prompt="x", model="qwen-image", image=b"png"), FORM, {}),
            (form(model="qwen-image", image=b"png"), FORM, {}),
            (gzip.compress(said("qwen-image"), mtime=0), JSON, {"content-encoding": "gzip"}),
            (said("qwen-image"), "text/plain", {}),
        ],
    )
    def test_any_form_of_a_body(self, tmp_path: Path, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        routed = Routed(tmp_path, "POST", "/v1/images/edits")
        routed.complete(body, content_type, **headers)
        assert routed.exchange.service
        assert routed.exchange.service.name == "qwen"

    def test_what_is_passed_on_goes_to_the_endpoint_that_was_named(self, tmp_path: Path) -> None:
        routed = Routed(tmp_path, "POST", "/v1/embeddings?x=1", openai_endpoint="https://other.example/v2")
        routed.complete(said("text-embedding-3-small"))
        assert routed.flow.request.url == "https://other.example/v2/embeddings?x=1"
        assert routed.flow.request.headers["host"] == "other.example"

    def test_with_a_default_that_rewrites_none_is_passed_on(self, tmp_path: Path) -> None:
        routed = Routed(tmp_path, "POST", "/v1/chat/completions", openai_mode="convert")
        routed.complete(said("gpt-4o"))
        assert routed.exchange.service
        assert (routed.exchange.service.name, routed.exchange.awaits_body) == ("default", True)

    def test_a_call_that_is_refused_goes_nowhere(self, tmp_path: Path) -> None:
        routed = Routed(tmp_path, "POST", "/v1/chat/completions")
        routed.flow.response = http.Response.make(401)
        routed.complete(said("gpt-4o"))
        assert (routed.flow.request.host, routed.exchange.service) == (NOWHERE.host, None)
