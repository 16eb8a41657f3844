"""What is read of a request before it becomes another. Over sockets: tests/wire/test_rewriting.py."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from addons.configuration.services import Service
from addons.configuration.settings import read
from addons.credentials import Credentials
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.options import Options
from addons.progress import Progress
from addons.recorder import Recorder
from addons.rewrite import MOST_CONTAINERS
from addons.rewrite import Rewrite
from addons.rewrite import _can_list
from addons.rewrite import _decoded
from addons.rewrite import _named_in
from addons.translation.errors import InvalidRequest
from addons.upstream import LARGE
from metering.call import Call
from metering.paths import parse
from tests.configuration import DEFAULTS


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


@pytest.mark.parametrize("body", [{"model": "gemini-2.5-flash"}, {"model": 5}])
def test_a_client_that_has_gone_while_its_body_was_read(
    body: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its row is closed by then: nothing is sent, and nothing is answered."""
    options = Options()
    options.configuration = read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db")}, [])
    exchanges: Exchanges = {}
    rewrite = Rewrite(exchanges, Credentials(exchanges), Recorder(options, exchanges))
    messages = [{"role": "user", "content": "x" * LARGE}]
    flow = tflow.tflow(req=posting(json.dumps(body | {"messages": messages}).encode()))
    path = "/v1/chat/completions"
    exchange = Exchange(Call(started_at=0), parse("POST", path), "", path, None, options.configuration)
    exchanges[flow] = exchange
    exchange.move(Progress.AWAITS_BODY)
    exchange.service = Service("prod", openai="convert", project="my-project")

    async def leave() -> None:
        sending = asyncio.create_task(rewrite.request(flow))
        await asyncio.sleep(0)
        exchange.move(Progress.SETTLED)
        await sending

    asyncio.run(leave())
    assert (exchange.attempts, flow.response, caplog.text) == ([], None, "")
    assert flow.request.path == path
