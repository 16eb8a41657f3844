"""What is read of a request before it becomes another. Over sockets: tests/wire/test_rewriting.py."""

import gzip

import pytest
from mitmproxy import http

from addons.configuration.services import Service
from addons.rewrite import MOST_CONTAINERS
from addons.rewrite import _can_list
from addons.rewrite import _decoded
from addons.rewrite import _named_in
from addons.translation.errors import InvalidRequest


def posting(body: bytes, **headers: str) -> http.Request:
    request = http.Request.make("POST", "http://127.0.0.1/v1/chat/completions", body)
    request.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return request


def test_a_body_without_its_coding() -> None:
    assert _decoded(posting(b'{"a": 1}')) == b'{"a": 1}'
    request = posting(b"")
    request.raw_content = gzip.compress(b'{"a": 1}')
    request.headers["content-encoding"] = "gzip"
    assert _decoded(request) == b'{"a": 1}'
    request.raw_content = b"no gzip"
    with pytest.raises(InvalidRequest, match="content-encoding"):
        _decoded(request)


@pytest.mark.parametrize("sign", [b"[", b"{"])
def test_bodies_of_more_brackets_than_any_model_reads(sign: bytes) -> None:
    assert _decoded(posting(sign * MOST_CONTAINERS))
    with pytest.raises(InvalidRequest, match="500,000") as e:
        _decoded(posting(sign * (MOST_CONTAINERS + 1)))
    assert e.value.status == 413
    assert _decoded(posting(sign * (MOST_CONTAINERS + 1), content_type="multipart/form-data; boundary=x"))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": "gemini-2.5-flash"}, "gemini-2.5-flash"),
        ({"openai": "videos/video_1/content"}, "video_1"),
        ({"openai": "chat/completions"}, "completions"),
        ({"openai": "embeddings"}, ""),
    ],
)
def test_what_a_path_names(fields: dict[str, str], named: str) -> None:
    assert _named_in(fields) == named


def test_models_are_listed_of_a_project_only() -> None:
    with_token, with_key = posting(b"", authorization="Bearer x"), posting(b"", x_goog_api_key="AIza")
    assert _can_list(with_token, Service("one", project="my-project"))
    assert not _can_list(with_key, Service("one", project="my-project"))
    assert not _can_list(with_token, Service("two"))
