import json
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.configuration.services import Service
from addons.configuration.settings import read
from addons.configuration.values import endpoint
from addons.dispatch import dispatch
from addons.exchange import Exchange
from addons.progress import Progress
from addons.translation import conversions
from addons.translation.errors import InvalidRequest
from addons.translation.plan import ClientRequest
from addons.translation.plan import Plan
from metering.call import Call
from metering.paths import parse
from tests.configuration import DEFAULTS

GOOGLE = "reverse:https://aiplatform.googleapis.com"
VERTEX = Service("prod", auth="service_account", openai="convert", project="my-project", location="us-east1")
QWEN = Service("qwen", provider="openai", base_url=endpoint("https://qwen.example/api/v1"))
CHAT = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}]}


async def never(request: http.Request) -> bool:
    return False


def plan_of(operation: str, body: dict[str, Any], *, passed: bool = False) -> Plan:
    asked = ClientRequest(operation, "POST", operation, "", "application/json", json.dumps(body).encode())
    return conversions.pass_on(asked, str) if passed else conversions.from_openai(asked, str)


def dispatched(
    plan: Plan, service: Service, folder: Path, mode: str = GOOGLE, **headers: str
) -> tuple[http.HTTPFlow, Exchange]:
    """A call of an OpenAI client, sent as the plan says."""
    flow = tflow.tflow(req=http.Request.make("POST", "https://rewritten.invalid/v1/chat/completions"))
    flow.request.headers.clear()
    flow.request.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(mode)
    path = "/v1/chat/completions"
    configuration = read(DEFAULTS | {"usage_db": str(folder / "usage.db")}, [])
    exchange = Exchange(
        Call(started_at=0), parse("POST", path), "", path, None, configuration, Progress.AWAITS_BODY, plan=plan
    )
    dispatch(flow, exchange, service, never)
    return flow, exchange


def test_of_anthropics_clients_only_what_is_for_vertex_goes_on(tmp_path: Path) -> None:
    body = json.dumps({"model": "claude-opus-5", "messages": []}).encode()
    betas = "context-1m-2025-08-07,oauth-2025-04-20"
    asked = ClientRequest("messages", "POST", "messages", "", "application/json", body, betas)
    flow, _ = dispatched(
        conversions.from_anthropic(asked, str),
        VERTEX,
        tmp_path,
        authorization="Bearer ya29.x",
        user_agent="claude-cli/2.1",
        anthropic_version="2023-06-01",
        anthropic_beta=betas,
        anthropic_dangerous_direct_browser_access="true",
        x_app="cli",
        x_claude_code_session_id="1",
    )
    assert {name: value for name, value in flow.request.headers.items() if name != "content-length"} == {
        "authorization": "Bearer ya29.x",
        "user-agent": "claude-cli/2.1",
        "anthropic-beta": "context-1m-2025-08-07",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
    }
    path = "/v1/projects/my-project/locations/us-east1/publishers/anthropic/models/claude-opus-5:rawPredict"
    assert flow.request.path == path


def test_a_chat_goes_to_vertex(tmp_path: Path) -> None:
    flow, exchange = dispatched(
        plan_of("chat/completions", CHAT | {"stream": True}),
        VERTEX,
        tmp_path,
        authorization="Bearer ya29.x",
        user_agent="OpenAI/Python",
        openai_beta="x",
        x_stainless_arch="x",
        origin="http://localhost",
    )
    request, call = flow.request, exchange.call
    path = "/v1/projects/my-project/locations/us-east1/publishers/google/models/gemini-2.5-flash:streamGenerateContent"
    assert request.url == f"https://us-east1-aiplatform.googleapis.com{path}?alt=sse"
    assert {name: value for name, value in request.headers.items() if name != "content-length"} == {
        "authorization": "Bearer ya29.x",
        "user-agent": "OpenAI/Python",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
    }
    assert request.json()["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert (exchange.state, call.attempts, call.rewritten) == (Progress.SENT, 1, True)
    assert (call.upstream_host, call.upstream_path) == ("us-east1-aiplatform.googleapis.com", path)
    assert (call.model, call.publisher) == ("gemini-2.5-flash", "google")
    assert (call.project, call.location) == ("my-project", "us-east1")
    target = exchange.attempts[0].target
    assert target
    assert target.operation == "streamGenerateContent"


def test_a_chat_that_another_service_can_answer_goes_on_as_it_is(tmp_path: Path) -> None:
    body = CHAT | {"model": "qwen-max"}
    flow, exchange = dispatched(plan_of("chat/completions", body, passed=True), QWEN, tmp_path, openai_beta="x")
    assert flow.request.url == "https://qwen.example/api/v1/chat/completions"
    assert (flow.request.json(), flow.request.headers["openai-beta"]) == (body, "x")
    assert (exchange.call.rewritten, exchange.call.model) == (False, "qwen-max")
    target = exchange.attempts[0].target
    assert target
    assert target.operation == "chat/completions"


def test_ours_are_not_for_other_hosts(tmp_path: Path) -> None:
    """Such as those of Google's without TLS."""
    flow, exchange = dispatched(
        plan_of("chat/completions", CHAT), VERTEX, tmp_path, mode="reverse:http://aiplatform.googleapis.com"
    )
    assert flow.response
    assert (flow.response.status_code, exchange.state, exchange.refused_as) == (502, Progress.REFUSED, "no_credentials")
    assert exchange.attempts == []


def test_a_key_is_of_no_location(tmp_path: Path) -> None:
    plan = plan_of("chat/completions", CHAT | {"region": "europe-west4"})
    flow, _ = dispatched(plan, Service("express", auth="express"), tmp_path, x_goog_api_key="AIzaX")
    path = "/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    assert flow.request.url == f"https://aiplatform.googleapis.com{path}"
    assert "region" in plan.notes.dropped


@pytest.mark.parametrize(
    ("fields", "param"), [({"region": "evil.example/"}, "region"), ({"project_id": "../x"}, "project_id")]
)
def test_names_that_are_none(fields: dict[str, str], param: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=f"^{param}: ") as e:
        dispatched(plan_of("chat/completions", CHAT | fields), VERTEX, tmp_path)
    assert e.value.param == param
