import pytest
from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.addressing import NOWHERE
from addons.addressing import go_to
from addons.faces import LONGEST_PATH
from addons.faces import LONGEST_VALUE
from addons.faces import MOST_FIELDS
from addons.faces import _put_sent
from addons.faces import phrase_of
from addons.faces import show


def shown(request: http.Request, response: http.Response | None = None) -> http.HTTPFlow:
    flow = tflow.tflow(req=request, resp=response or False)
    show(flow)
    return flow


def test_what_is_sent_is_another_object_and_comes_back() -> None:
    request = http.Request.make("POST", "https://host.example/v1/x?key=secret", b"secret", ((b"x-prompt", b"secret"),))
    response = http.Response.make(200, b"secret", {"x-answer": "secret"})
    response.reason = "secret"
    flow = shown(request, response)
    flow.metadata["password"] = "secret"
    assert flow.request is not request
    assert (flow.request.url, flow.request.content, flow.request.headers["x-prompt"]) == (
        "https://host.example/v1/x",
        None,
        "redacted",
    )
    assert flow.response
    assert (flow.response.reason, flow.response.content, flow.response.headers["x-answer"]) == ("OK", None, "redacted")
    _put_sent(flow)
    assert (flow.request, flow.response) == (request, response)
    assert flow.request is request
    assert (request.path, request.content, response.reason) == ("/v1/x?key=secret", b"secret", "secret")


def test_what_somebody_else_has_put_on_a_flow_stays() -> None:
    flow = shown(http.Request.make("GET", "https://host.example/"))
    other = flow.response = http.Response.make(403)
    _put_sent(flow)
    assert flow.response is other


@pytest.mark.parametrize(
    ("name", "value", "is_shown"),
    [
        ("content-type", "application/json", True),
        ("user-agent", "OpenAI/Python 2.0", True),
        ("user-agent", "me sk-proj-abcdefgh", False),
        ("user-agent", "x" * (LONGEST_VALUE + 1), False),
        ("via", "a?b", False),
        ("authorization", "Bearer x", False),
        ("x-team", "red", False),
    ],
)
def test_headers(name: str, value: str, is_shown: bool) -> None:
    flow = shown(http.Request.make("GET", "https://host.example/", headers=((name.encode(), value.encode()),)))
    assert flow.request.headers[name] == (value if is_shown else "redacted")


def test_names_of_headers_that_are_credentials() -> None:
    headers = [(b"AIzaSecret", b"x"), (b"host", b"user:secret@host.example")]
    flow = shown(http.Request.make("GET", "https://host.example/", headers=headers))
    assert flow.request.headers.fields[:2] == ((b"redacted", b"redacted"), (b"host", b"host.example"))


def test_long_ones_are_cut() -> None:
    headers = [(b"accept", b"x")] * (MOST_FIELDS + 1)
    flow = shown(http.Request.make("GET", "https://host.example/" + "x" * (2 * LONGEST_PATH), headers=headers))
    assert len(flow.request.headers.fields) == MOST_FIELDS
    assert len(flow.request.data.path) == LONGEST_PATH + len("…".encode())


@pytest.mark.parametrize("target", ["https://aiplatform.googleapis.com", "http://own.example:9000"])
def test_a_call_that_waits_for_its_body_has_no_made_up_host(target: str) -> None:
    """Nor one that is refused then: what is shown is the host that the proxy is in front of."""
    request = http.Request.make("POST", "https://127.0.0.1/v1/chat/completions?key=secret", headers=((b"host", b"me"),))
    go_to(request, NOWHERE, request.path)
    flow = tflow.tflow(req=request)
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(f"reverse:{target}")
    show(flow)
    assert flow.request.pretty_url == f"{target}/v1/chat/completions"
    assert NOWHERE.host not in str(flow.request.headers)
    _put_sent(flow)
    assert (flow.request, flow.request.host) == (request, NOWHERE.host)


def test_errors() -> None:
    flow = tflow.tflow()
    flow.error = flows.Error("no: b'secret'")
    show(flow)
    assert flow.error.msg == "no: …"


def test_reasons() -> None:
    assert (phrase_of(404), phrase_of(799)) == ("Not Found", "")
