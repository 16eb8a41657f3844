"""Where calls and credentials really go: a sample of tests/destinations.py over sockets, under real host names."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests import destinations
from tests.conftest import StartProxy
from tests.destinations import CREDENTIALS
from tests.destinations import PLACES
from tests.destinations import TARGETS
from tests.destinations import VERTEX
from tests.destinations import Case
from tests.http import HELLO
from tests.http import Response
from tests.http import call
from tests.loopback import GOOGLE
from tests.loopback import OTHER
from tests.loopback import environment
from tests.loopback import server_context
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator
from tests.vertex_simulator.exchange import Request

MARK = "MaRk"
SAMPLE = 60
CHAT = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello, who are you?"}]}
NATIVE = "/v1/publishers/google/models/gemini-2.5-flash:generateContent"


@pytest.fixture(scope="module")
def internet(ca: trustme.CA, credentials: Credentials) -> Iterator[Simulator]:
    """Every host there is."""
    names = (*GOOGLE, *OTHER, destinations.OWN, destinations.ENDPOINT, destinations.LLM)
    with Simulator(tls=server_context(ca, names), credentials=credentials) as running:
        yield running


@pytest.fixture
def start(start_proxy: StartProxy, internet: Simulator, ca_file: Path) -> StartProxy:
    def started(*options: str, reverse: str = VERTEX) -> object:
        trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
        return start_proxy(
            trusted, *options, mode=f"reverse:https://{reverse}", serve=True, env=environment({443: internet.port})
        )

    return started  # type: ignore[return-value]


def sent(url: str, case: Case, internet: Simulator, body: object = HELLO) -> tuple[Response, list[Request]]:
    """What the client got, and the requests that arrived anywhere."""
    internet.seen.clear()
    # Of several headers of one name the last is sent, which is the credential.
    given = None if case.method == "GET" else body
    answer = call(url, case.url, given, headers={"x-goog-api-key": "", **dict(case.headers)})
    return answer, [seen.request for seen in internet.seen]


@pytest.mark.parametrize("name", TARGETS)
def test_observing(start: StartProxy, internet: Simulator, name: str) -> None:
    target = TARGETS[name]
    proxy = start(*(f"{name}={value}" for name, value in target.options.items()), reverse=target.reverse)
    for case in random.Random(name).sample(list(destinations.cases(target)), SAMPLE):
        answer, arrived = sent(proxy.url, case, internet)
        row = proxy.new_row()
        assert [request.headers["host"] for request in arrived] == [case.expected] * (case.expected is not None), case
        if case.expected is None:
            assert answer.status in (400, 404)
            assert (row["state"], row["error_type"], row["upstream_host"]) == ("refused", "bad_request", None)
            assert MARK not in answer.body.decode()
        else:
            assert row["upstream_host"] == case.expected
            assert case.value in str((arrived[0].headers, arrived[0].query))
        assert MARK not in str(row)


GOOD = {"AIza...", "AQ....", "ya29....", "JWT of Google", "JWT for Google"}
"""Credentials that Vertex AI may take."""


def test_converting_with_the_credentials_of_clients(start: StartProxy, internet: Simulator) -> None:
    proxy = start("openai_mode=convert", "vertex_project=test-project")
    for credential in CREDENTIALS:
        for place in PLACES:
            case = Case(TARGETS["Vertex AI"], "/v1/chat/completions", credential, place)
            answer, arrived = sent(proxy.url, case, internet, CHAT)
            row = proxy.new_row()
            if credential in GOOD and place != "x-team-token":
                assert {request.headers["host"] for request in arrived} == {VERTEX}, case
                (places,) = {tuple(_places(request)) for request in arrived}
                is_token = credential.startswith(("ya29", "JWT"))
                assert places == (("authorization",) if is_token else ("x-goog-api-key",)), case
            else:
                assert (answer.status, arrived) == (401, []), case
                assert (row["state"], row["error_type"]) == ("refused", "no_credentials")
            assert MARK not in answer.body.decode()


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), (NATIVE, HELLO)])
def test_with_credentials_of_our_own_a_clients_goes_nowhere(
    start: StartProxy, internet: Simulator, key_file: Path, path: str, body: object
) -> None:
    proxy = start("vertex_auth=service_account", f"vertex_credentials={key_file}", "openai_mode=convert")
    for credential in CREDENTIALS:
        for place in PLACES:
            case = Case(TARGETS["Vertex AI"], path, credential, place)
            answer, arrived = sent(proxy.url, case, internet, body)
            assert answer.status == 200, case
            (request,) = arrived
            assert request.headers["host"] == VERTEX
            assert MARK not in str((request.headers, request.query)), case
            assert _places(request) == ["authorization"]


def _places(request: Request) -> list[str]:
    return [name for name in request.headers if name in ("authorization", "x-goog-api-key", "api-key", "x-api-key")]
