"""The content view, as mitmproxy calls it: through the interface of the version that is installed."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import contentviews
from mitmproxy import ctx
from mitmproxy import http
from mitmproxy.test import tflow

from addons.faces import CUT
from addons.translation.transcript import show
from addons.views import NAME
from addons.views import PRIORITY
from addons.views import Views
from tests.addons.translation.transcript.bodies import ANSWERS
from tests.addons.translation.transcript.bodies import PATHS
from tests.addons.translation.transcript.bodies import REQUESTS


@pytest.fixture(autouse=True, scope="module")
def _views() -> None:
    views: Any = Views()
    views.load(None)
    # When the script is loaded again.
    views.load(None)


def flow_of(place: str, answer: tuple[str, str, bytes] = ANSWERS[0]) -> http.HTTPFlow:
    body = json.dumps(REQUESTS[place]).encode()
    headers = ((b"content-type", b"application/json"),)
    request = http.Request.make("POST", f"https://host.example{PATHS[place]}", body, headers)
    return tflow.tflow(req=request, resp=http.Response.make(200, answer[2], {"content-type": answer[1]}))


@pytest.fixture(autouse=True)
def _options(monkeypatch: pytest.MonkeyPatch) -> None:
    """What mitmproxy 12 asks for before it calls a view."""
    monkeypatch.setattr(ctx, "options", SimpleNamespace(protobuf_definitions=None), raising=False)


def seen(flow: http.HTTPFlow, message: http.Message | None, view: str = "auto") -> tuple[str, str]:
    """The view that mitmproxy chooses for a message, and what it shows."""
    views: Any = contentviews
    if hasattr(views, "Contentview"):
        made = views.prettify_message(message, flow, view)
        return made.view_name, made.text
    name, lines, error = views.get_message_content_view(view, message, flow)
    assert error is None or view != "auto", error
    return name, "\n".join("".join(text for _, text in line) for line in lines)


@pytest.mark.parametrize("place", REQUESTS)
def test_requests(place: str) -> None:
    flow = flow_of(place)
    name, text = seen(flow, flow.request)
    assert name == NAME
    assert "What is this?\n  <image/png, 48 kB>\nassistant\n  [call] weather" in text


@pytest.mark.parametrize("answer", ANSWERS, ids=[name for name, *_ in ANSWERS])
def test_answers(answer: tuple[str, str, bytes]) -> None:
    flow = flow_of("gemini", answer)
    name, text = seen(flow, flow.response)
    assert name == NAME
    assert "It is a cat." in text


def test_what_was_cut() -> None:
    flow = flow_of("gemini")
    assert flow.response
    flow.metadata[CUT] = "request"
    assert seen(flow, flow.request)[1].endswith(show.CUT)
    assert not seen(flow, flow.response)[1].endswith(show.CUT)


def test_other_flows_have_mitmproxys_views() -> None:
    flow = flow_of("chat")
    flow.request.path = "/v1/images/generations"
    for message in (flow.request, flow.response):
        assert seen(flow, message)[0] == "JSON"
    assert seen(flow, flow.request, NAME)[0] != "JSON"
    empty = flow_of("chat")
    empty.request.content = b""
    assert NAME not in seen(empty, empty.request)[0]
    assert PRIORITY > 2


def test_control_characters_are_visible() -> None:
    flow = flow_of("gemini")
    flow.request.content = json.dumps({"contents": [{"parts": [{"text": "a\x1b[31m"}]}]}).encode()
    assert "\x1b" not in seen(flow, flow.request)[1]
