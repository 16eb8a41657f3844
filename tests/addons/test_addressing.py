from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.addressing import go_to
from addons.addressing import is_google
from addons.addressing import may_have_credentials
from addons.addressing import parent
from addons.addressing import query_of
from addons.addressing import reverse_target
from addons.addressing import vertex_endpoint
from addons.addressing import vertex_upstream
from addons.configuration.services import Service
from addons.configuration.settings import read
from addons.configuration.values import Endpoint
from tests.configuration import DEFAULTS

GOOGLE = Endpoint("https", "aiplatform.googleapis.com", 443, "")
ONLY = (
    "aiplatform-genai1.p.googleapis.com",
    "aiplatform.us-central1.p.rep.googleapis.com",
    "7.us-east1-1.prediction.vertexai.goog",
    "aiplatform.mtls.googleapis.com",
)
OWN = Endpoint("http", "127.0.0.1", 9000, "/base")


def test_a_request_is_sent_to_an_endpoint() -> None:
    request = http.Request.make("POST", "http://evil.example/x")
    request.authority = "evil.example"
    go_to(request, OWN, "/v1/y?alt=sse")
    assert (request.url, request.authority) == ("http://127.0.0.1:9000/base/v1/y?alt=sse", "")
    assert query_of(request) == "?alt=sse"
    assert query_of(http.Request.make("GET", "http://127.0.0.1/x")) == ""


@pytest.mark.parametrize(
    ("location", "named", "host"),
    [
        ("europe-west4", GOOGLE, "europe-west4-aiplatform.googleapis.com"),
        ("global", GOOGLE, "aiplatform.googleapis.com"),
        ("eu", GOOGLE, "aiplatform.eu.rep.googleapis.com"),
        (None, GOOGLE, "aiplatform.googleapis.com"),
        (None, GOOGLE._replace(host="generativelanguage.googleapis.com"), "aiplatform.googleapis.com"),
        ("evil.example/", GOOGLE, "aiplatform.googleapis.com"),
        ("europe-west4", OWN, "127.0.0.1"),
        # Only this host can be reached from a private network.
        *((place, GOOGLE._replace(host=host), host) for place in ("us-east1", "global", None) for host in ONLY),
    ],
)
def test_the_host_of_a_location(location: str | None, named: Endpoint, host: str) -> None:
    assert vertex_endpoint(location, named) == named._replace(host=host)
    assert is_google(named) == (named is not OWN)


def test_a_named_endpoint_is_for_every_location(tmp_path: Path) -> None:
    flow = tflow.tflow(req=http.Request.make("POST", "http://127.0.0.1/x"))
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse("reverse:https://aiplatform.googleapis.com")
    for endpoint, url in (
        ("", GOOGLE._replace(host="us-east1-aiplatform.googleapis.com")),
        ("http://127.0.0.1:9000/base", OWN),
    ):
        given = {"usage_db": str(tmp_path / "usage.db"), "vertex_endpoint": endpoint}
        assert vertex_upstream(flow, read(DEFAULTS | given, []).settings, "us-east1") == url


@pytest.mark.parametrize(
    ("mode", "target"),
    [
        ("reverse:https://aiplatform.googleapis.com", GOOGLE),
        ("reverse:http://127.0.0.1:9000", OWN._replace(path="")),
        ("regular", None),
    ],
)
def test_the_reverse_target(mode: str, target: Endpoint | None) -> None:
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(mode)
    assert reverse_target(flow) == target


def test_what_resources_are_below() -> None:
    service = Service("one", project="my-project", location="us-east1")
    assert parent(service) == "/projects/my-project/locations/us-east1"
    assert parent(service, "other-project", "global") == "/projects/other-project/locations/global"
    with pytest.raises(ValueError, match="set vertex_project"):
        parent(Service("two"))


@pytest.mark.parametrize(
    ("url", "mode", "endpoint", "may"),
    [
        ("https://us-central1-aiplatform.googleapis.com/x", "reverse:https://aiplatform.googleapis.com", "", True),
        ("http://aiplatform.googleapis.com/x", "reverse:https://aiplatform.googleapis.com", "", False),
        ("https://generativelanguage.googleapis.com/x", "reverse:https://aiplatform.googleapis.com", "", False),
        *((f"https://{host}/x", f"reverse:https://{host}", "", True) for host in ONLY),
        (f"http://{ONLY[0]}/x", f"reverse:https://{ONLY[0]}", "", False),
        (f"https://{ONLY[0]}.evil.com/x", f"reverse:https://{ONLY[0]}", "", False),
        ("https://evil.com/x", "reverse:https://aiplatform.googleapis.com", "", False),
        ("https://private.example/x", "reverse:https://aiplatform.googleapis.com", "https://private.example", True),
        (
            "https://private.example:8443/x",
            "reverse:https://aiplatform.googleapis.com",
            "https://private.example",
            False,
        ),
        ("http://127.0.0.1:9000/x", "reverse:http://127.0.0.1:9000", "", True),
        ("http://127.0.0.1:9001/x", "reverse:http://127.0.0.1:9000", "", False),
    ],
)
def test_who_may_have_credentials(url: str, mode: str, endpoint: str, may: bool, tmp_path: Path) -> None:
    flow = tflow.tflow(req=http.Request.make("POST", url))
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(mode)
    given = {"usage_db": str(tmp_path / "usage.db"), "vertex_endpoint": endpoint}
    assert may_have_credentials(flow, read(DEFAULTS | given, []).settings) == may
