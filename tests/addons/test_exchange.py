import asyncio
import logging
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from addons.attempts import Attempt
from addons.configuration.clients import Client
from addons.configuration.services import Candidate
from addons.configuration.services import Gateway
from addons.configuration.services import Service
from addons.configuration.services import ServiceRoute
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.exchange import checkpoint
from addons.exchange import error_response
from addons.exchange import fails_closed
from addons.exchange import harmless
from addons.exchange import is_elsewhere
from addons.exchange import try_candidate
from addons.progress import Progress
from addons.translation.errors import Failure
from metering.call import Call
from metering.paths import parse
from metering.request import Asked
from tests.configuration import DEFAULTS

CONFIGURATION = read(DEFAULTS | {"usage_db": "/tmp/usage.db"}, [])


def exchange(path: str = "/v1/chat/completions") -> Exchange:
    return Exchange(Call(started_at=0), parse("POST", path), "", path, None, CONFIGURATION)


def in_state(state: Progress) -> Exchange:
    one = exchange()
    one.state = state
    return one


@pytest.mark.parametrize("state", [Progress.SENT, Progress.STREAMED, Progress.HELD, Progress.SETTLED])
def test_what_has_been_sent_cannot_be_refused(state: Progress) -> None:
    one = in_state(state)
    with pytest.raises(AssertionError, match="cannot become refused"):
        one.refuse(tflow.tflow(), Failure(400, "No.", "INVALID_ARGUMENT"), None)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (
            "/v1/chat/completions",
            {"message": "No.", "type": "invalid_request_error", "param": "n", "code": "invalid_argument"},
        ),
        (
            "/v1/not/known",
            {"message": "No.", "type": "invalid_request_error", "param": "n", "code": "invalid_argument"},
        ),
        ("/v1/messages", {"type": "invalid_request_error", "message": "n: No."}),
        ("/v1/messages/batches", {"type": "invalid_request_error", "message": "n: No."}),
        (
            "/v1beta/models/gemini-2.5-flash:generateContent",
            {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT", "type": "invalid_request_error"},
        ),
    ],
)
def test_an_error_is_told_in_the_clients_words(path: str, error: dict[str, Any]) -> None:
    one, flow = exchange(path), tflow.tflow()
    one.refuse(flow, Failure(400, "No.", "INVALID_ARGUMENT"), "bad_request", "n")
    assert flow.response
    assert (flow.response.status_code, flow.response.json()["error"]) == (400, error)
    assert (one.state, one.refused_as) == (Progress.REFUSED, "bad_request")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/"])
def test_an_answer_to_head_has_no_body(path: str) -> None:
    one, flow = exchange(path), tflow.tflow()
    flow.request.method = "HEAD"
    one.refuse(flow, Failure(404, "No.", "NOT_FOUND"), "bad_request")
    assert flow.response
    assert (flow.response.status_code, flow.response.raw_content, flow.response.headers["content-length"]) == (
        404,
        b"",
        "0",
    )


def test_anthropics_clients_are_told_the_id_of_the_call() -> None:
    one, flow = exchange("/v1/messages"), tflow.tflow()
    one.refuse(flow, Failure(400, "No.", "INVALID_ARGUMENT"), "bad_request")
    assert flow.response
    assert flow.response.headers["request-id"] == flow.response.json()["request_id"] == one.call.id


@pytest.mark.parametrize("state", [Progress.ASKED, Progress.AWAITS_BODY, Progress.REFUSED, Progress.ANSWERED])
def test_what_mitmproxy_refuses(state: Progress) -> None:
    one = in_state(state)
    one.refuse_unanswered()
    assert one.is_over
    assert one.refused_as == "bad_request"


def test_attempts_are_counted() -> None:
    one = exchange()
    one.note_upstream("example.com", "/v1/x?key=secret")
    one.note_sent("POST")
    first, other = one.attempts[0], http.Response.make(201)
    assert (one.state, first.target, first.answer, one.call.attempts) == (Progress.SENT, one.target, None, 1)
    assert (one.call.upstream_host, one.call.upstream_path) == ("example.com", "/v1/x")
    one.add_attempt(Attempt(first.target, "POST", other))
    assert (one.call.attempts, one.current) == (2, first)
    assert [attempt.answer for attempt in one.others] == [other]
    for attempt in list(one.attempts):
        attempt.replaced(one.call, 503)
    one.add_attempt(last := Attempt(first.target, "POST"))
    assert (one.call.attempts, one.current, one.others) == (3, last, [])
    one.answer()
    assert (one.state, one.call.attempts, one.call.upstream_host) == (Progress.ANSWERED, 0, None)


def test_another_service_begins_as_the_first_did() -> None:
    one = exchange()
    one.learn("project", "eu", "google", "gemini-x")
    said = Asked("mine", None, "anthropic", "claude-x", {"sampleCount": 2}, "720p")
    one.note_upstream("example.com", "/v1/x")
    one.choose("first", CONFIGURATION.gateway.default)
    one.note_sent("POST")
    restore = checkpoint(one)
    one.candidates = (Candidate("second", "model"),)
    try_candidate(one, one.candidates[0], said)
    call = one.call
    assert (one.state, one.service, one.plan) == (Progress.AWAITS_SERVICE, None, None)
    assert (call.project, call.location, call.publisher, call.model) == ("mine", None, "anthropic", "claude-x")
    assert (call.usage_raw, call.variant, one.real_name("any")) == ({"sampleCount": 2}, "720p", "model")
    one.refuse(tflow.tflow(), Failure(400, "No.", "INVALID_ARGUMENT"), "bad_request")
    restore()
    assert (one.state, one.candidate, one.refused_as) == (Progress.SENT, None, None)
    assert (call.project, call.location, call.publisher, call.model) == ("project", "eu", "google", "gemini-x")
    assert (call.service, one.service) == ("first", CONFIGURATION.gateway.default)
    assert (call.usage_raw, call.variant, call.attempts, one.real_name("any")) == (None, None, 1, "any")


def test_a_client_that_may_only_use_the_fallback() -> None:
    """What it names is still the project of the route's own service."""
    one = exchange()
    services = {name: Service(name, auth="express") for name in ("default", "one", "two")}
    routes = (ServiceRoute("one", fallback=(Candidate("two"),)),)
    one.configuration = CONFIGURATION._replace(gateway=Gateway(services, routes))
    one.client = Client("c", (), services=("two",))
    assert one.find_service("m") is services["two"]
    assert (one.has_fallback, is_elsewhere(one)) == (True, True)
    assert one.candidate
    try_candidate(one, one.candidate, Asked("mine", "eu", "google", "m"))
    assert (one.call.project, one.call.location, one.call.model) == (None, None, "m")
    one.leave_out([one.candidate])
    assert one.candidates == ()


def test_what_is_settled_is_not_put_back() -> None:
    one = exchange()
    one.note_sent("POST")
    restore = checkpoint(one)
    one.move(Progress.SETTLED)
    restore()
    assert one.state is Progress.SETTLED


def test_what_is_certain_replaces_what_was_supposed() -> None:
    one = exchange()
    one.suppose(project="one", location=None)
    one.suppose(project="two", location="eu")
    assert (one.call.project, one.call.location) == ("one", "eu")
    one.learn(project="three", location=None)
    assert (one.call.project, one.call.location) == ("three", "eu")


@pytest.mark.parametrize(("known", "model"), [(None, "claude-x"), ("count-tokens", "claude-x"), ("gemini", "gemini")])
def test_the_body_tells_what_the_path_does_not(known: str | None, model: str) -> None:
    one = exchange()
    one.call.model = known
    assert one.needs_body == (known != "gemini")
    one.take_body(Asked(publisher="anthropic", model="claude-x", usage_raw={"sampleCount": 2}))
    assert (one.call.model, one.call.usage_raw) == (model, {"sampleCount": 2})
    assert one.call.publisher == (None if known == "gemini" else "anthropic")


@pytest.mark.parametrize(
    ("status", "google", "openai"),
    [
        (400, "INVALID_ARGUMENT", "invalid_request_error"),
        (401, "UNAUTHENTICATED", "authentication_error"),
        (403, "PERMISSION_DENIED", "permission_error"),
        (502, "UNAVAILABLE", "server_error"),
        (503, "UNAVAILABLE", "server_error"),
        (418, "INVALID_ARGUMENT", "invalid_request_error"),
    ],
)
def test_one_body_that_every_sdk_reads(status: int, google: str, openai: str) -> None:
    response = error_response(status, "What to do.")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"error": {"code": status, "message": "What to do.", "status": google, "type": openai}}


class Broken:
    def __init__(self) -> None:
        self.exchanges: dict[http.HTTPFlow, Exchange] = {}

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        raise ValueError("a secret")

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        raise ValueError("a secret")

    @harmless
    def response(self, flow: http.HTTPFlow) -> None:
        raise ValueError("a secret")

    @harmless
    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        raise ValueError("a secret")


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("hook", ["requestheaders", "request"])
def test_a_hook_that_fails_closed(hook: str, is_known: bool, caplog: pytest.LogCaptureFixture) -> None:
    broken, flow = Broken(), tflow.tflow()
    if is_known:
        broken.exchanges[flow] = exchange()
    result = getattr(broken, hook)(flow)
    if hook == "request":
        asyncio.run(result)
    assert flow.response
    assert (flow.response.status_code, "secret" in str(flow.response.content)) == (500, False)
    assert not is_known or broken.exchanges[flow].is_refused
    assert f"(ValueError in Broken.{hook})" in caplog.text
    assert "secret" not in caplog.text


def test_a_hook_that_fails_when_a_call_was_noted_as_sent() -> None:
    broken, flow = Broken(), tflow.tflow()
    broken.exchanges[flow] = in_state(Progress.SENT)
    broken.requestheaders(flow)
    assert flow.response
    assert flow.response.status_code == 500


def test_an_answer_stays_when_a_hook_fails() -> None:
    broken, flow = Broken(), tflow.tflow()
    broken.exchanges[flow] = exchange()
    broken.exchanges[flow].refuse(flow, Failure(403, "No.", "PERMISSION_DENIED"), "forbidden")
    broken.requestheaders(flow)
    assert flow.response
    assert flow.response.status_code == 403


def test_a_hook_that_is_harmless(caplog: pytest.LogCaptureFixture) -> None:
    broken, flow = Broken(), tflow.tflow()
    with caplog.at_level(logging.ERROR):
        broken.response(flow)
        asyncio.run(broken.responseheaders(flow))
    assert [record.getMessage() for record in caplog.records] == [
        "vertex-tap: metering failed in response (ValueError)",
        "vertex-tap: metering failed in responseheaders (ValueError)",
    ]
    assert flow.response is None
