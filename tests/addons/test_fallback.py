"""Calls that are tried at one service after the other, on the wire: what falls back and what does not."""

import contextlib
import http.client
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from itertools import product
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import NamedTuple

import pytest

from metering.database import open_for_reading
from metering.verify import verify
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import Response
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator

WORDS = {"one": "one-project", "two": "two-project", "express": API_KEY, "qwen": "qwen", "flat": "flat-project"}
"""Service -> what tells the simulator its requests."""
CHATS = [{"role": "user", "content": "Hello, who are you?"}]
NOBODY = {"x-goog-api-key": ""}
_numbers = count(1)


class Upstreams(NamedTuple):
    google: Simulator
    openai: Simulator
    folder: Path


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstreams]:
    folder = tmp_path_factory.mktemp("fallback")
    with Simulator(credentials=Credentials()) as google, Simulator(name="qwen") as openai:
        yield Upstreams(google, openai, folder)


ORDERS = (
    ("one", "qwen", "express"),
    ("qwen", "two", "one"),
    ("express", "one", "qwen"),
    ("one", "two"),
    ("two", "one"),
    ("dead", "one"),
    ("one", "dead"),
    ("flat", "qwen"),
    ("qwen", "flat"),
    ("slow", "qwen"),
    ("mine", "qwen"),
    ("broke", "qwen"),
    ("observing", "one"),
)


@pytest.fixture(scope="module")
def proxy(upstreams: Upstreams, confdir: Path) -> Iterator[Proxy]:
    """One proxy for all tests, with a base path for each order of services."""
    google, openai, folder = upstreams
    for name in ("one", "two", "flat", "slow", "observing"):
        info = google.credentials.service_account(google.token_uri, f"{name}-project")
        (folder / f"{name}.json").write_text(json.dumps(info))
    unknown = Credentials().service_account(google.token_uri, "broke-project")
    (folder / "broke.json").write_text(json.dumps(unknown))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    account = {"auth": "service_account"}
    services = {
        "one": account | {"credentials": "one.json"},
        "two": account | {"credentials": "two.json", "location": "us-central1"},
        "flat": account | {"credentials": "flat.json", "openai": "compatible"},
        "slow": account | {"credentials": "slow.json", "timeout": 0.4},
        "broke": account | {"credentials": "broke.json"},
        "observing": account | {"credentials": "observing.json", "openai": "observe"},
        "express": {"auth": "express", "api_key_env": "EXPRESS_KEY"},
        "mine": {"auth": "passthrough", "project": "mine-project"},
        "qwen": {"provider": "openai", "base_url": f"{openai.url}/v1", "api_key_env": "QWEN_KEY"},
        "dead": {"provider": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "api_key_env": "QWEN_KEY"},
    }
    routes: list[dict[str, Any]] = [
        {"base_path": "/" + "-".join(order), "service": order[0], "fallback": list(order[1:])} for order in ORDERS
    ]
    routes += [
        {"base_path": "/as", "service": "one", "as": "gemini-2.5-pro", "fallback": [{"service": "qwen", "as": "max"}]},
        {"base_path": "/fixed", "service": "one", "as": "gemini-2.5-flash"},
        {"base_path": "/slow", "service": "slow"},
    ]
    (folder / "gateway.yaml").write_text(json.dumps({"services": services, "routes": routes}))
    options = ("gateway_config=gateway.yaml", f"vertex_endpoint={google.url}")
    env = {"EXPRESS_KEY": API_KEY, "QWEN_KEY": OPENAI_KEY}
    mode = f"reverse:{google.url}"
    with Proxy(*options, folder=folder, confdir=confdir, mode=mode, serve=True, env=env) as running:
        yield running


@pytest.fixture
def tap(proxy: Proxy) -> Proxy:
    """The shared proxy, with the rows of earlier tests behind it."""
    proxy.new_rows()
    return proxy


def ask(proxy: Proxy, client: str, order: str, *, streamed: bool, model: Any = "", **at: Any) -> Response:
    """Makes a call. A service that is named in `at` behaves as it says. Each call has a model of its own, as services
    rest by model."""
    model = model or f"gemini-2.5-flash-{next(_numbers)}"
    stream = {"stream": True} if streamed else {}
    if client == "google":
        action = "streamGenerateContent?alt=sse" if streamed else "generateContent"
        path, body = f"/v1beta1/publishers/google/models/{model}:{action}", HELLO
    elif client == "gemini":
        action = "streamGenerateContent?alt=sse" if streamed else "generateContent"
        path, body = f"/v1beta/models/{model}:{action}", HELLO
    elif client == "chat":
        usage = {"stream_options": {"include_usage": True}} if streamed else {}
        path, body = "/v1/chat/completions", {"model": model, "messages": CHATS} | stream | usage
    elif client == "responses":
        path, body = "/v1/responses", {"model": model, "input": "Hello, who are you?"} | stream
    else:
        path, body = "/v1/messages", {"model": model, "messages": CHATS, "max_tokens": 99} | stream
    plan = {"at": {WORDS.get(name, name): plan for name, plan in at.items()}}
    return call(proxy.url, f"/{order}{path}", body, headers=NOBODY, plan=plan)


def attempts_of(proxy: Proxy, row: Row) -> list[dict[str, Any]]:
    with closing(open_for_reading(proxy.ledger)) as db:
        db.row_factory = sqlite3.Row
        return [dict(one) for one in db.execute("SELECT * FROM attempts WHERE call_id = ? ORDER BY n", (row["id"],))]


CLIENTS = ("google", "gemini", "chat", "responses", "messages")
FAILURES: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in (408, 429, 500, 502, 503, 529)},
    "cut": {"cut": 0},
    "nothing": {"stop_after": 0, "chunked": True},
}
OF_STREAMS: dict[str, dict[str, Any]] = {"an error event": {"error_after": 0}}
"""How an upstream may fail that is tried elsewhere; the second in streams only."""


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_what_falls_back(tap: Proxy, client: str, streamed: bool) -> None:
    """Statuses and broken answers, at the first service, at the first two, and at all three."""
    plans = FAILURES | (OF_STREAMS if streamed else {})
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    expected: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for case in product(plans, ORDERS[:3], (1, 2, 3)):
        name, order, failing = case
        answer = ask(tap, client, "-".join(order), streamed=streamed, **dict.fromkeys(order[:failing], plans[name]))
        row = tap.new_row()
        tries = [(one["service"], one["status"]) for one in attempts_of(tap, row)]
        failed = [(service, plans[name].get("status", 200)) for service in order[:failing]]
        if failing < 3:
            ended = (answer.header("x-vertex-tap-service"), row["state"], row["usage_state"])
            answered = order[failing]
            expected[case] = (200, answered, failing + 1, [*failed, (answered, 200)], answered, "done", "final")
        else:
            ended = None, None, None
            # A stream that was cut before its first content has got no status yet.
            status = 502 if name == "cut" else failed[-1][1]
            if name == "nothing" and answer.status == 502:
                # Nothing cannot be converted.
                status = 502
            expected[case] = (status, order[2], 3, failed, None, None, None)
        found[case] = (answer.status, row["service"], row["attempts"], tries, *ended)
    wrong = {case: (found[case], expected[case]) for case in found if found[case] != expected[case]}
    assert not wrong, "\n".join(f"{case}\n  {one}\n  {other}" for case, (one, other) in wrong.items())
    with closing(open_for_reading(tap.ledger)) as db:
        assert not any(verify(db, lambda _: True).values())


PASSED = {"400": {"status": 400}, "401": {"status": 401}, "403": {"status": 403}, "404": {"status": 404}}


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_the_requests_fault_does_not_fall_back(tap: Proxy, client: str) -> None:
    found = {}
    for name, plan in PASSED.items():
        for order in ORDERS[1:3]:
            for streamed in (False, True):
                answer = ask(tap, client, "-".join(order), streamed=streamed, **{order[0]: plan})
                row = tap.new_row()
                header = answer.header("x-vertex-tap-service")
                found[name, order, streamed] = (answer.status, header, row["attempts"], row["service"], row["state"])
    assert found == {
        (name, order, streamed): (int(name), order[0], 1, order[0], "done") for name, order, streamed in found
    }


class TestStreams:
    @pytest.mark.parametrize("client", CLIENTS)
    def test_after_the_first_content_nothing_is_tried(self, tap: Proxy, client: str) -> None:
        found = {}
        for order in ORDERS[:3]:
            # The first event of an OpenAI service tells the role, the first two of a response say that it begins.
            begun = 3 if order[0] == "qwen" else 1
            for name in ("cut", "error_after"):
                with contextlib.suppress(http.client.IncompleteRead):
                    ask(tap, client, "-".join(order), streamed=True, **{order[0]: {name: begun}})
                row = tap.new_row()
                found[order, name] = (row["status"], row["service"], row["attempts"], row["state"])
        assert found == {(order, name): (200, order[0], 1, "upstream_failed") for order, name in found}

    @pytest.mark.parametrize("client", ["google", "chat", "messages"])
    def test_a_role_is_no_content(self, tap: Proxy, client: str) -> None:
        """An OpenAI service sends the role first; the client has not got it yet."""
        answer = ask(tap, client, "qwen-two-one", streamed=True, qwen={"cut": 1})
        assert (answer.status, answer.header("x-vertex-tap-service")) == (200, "two")
        assert answer.body.count(b'"role"') <= 3
        row = tap.new_row()
        assert (row["state"], row["attempts"], row["ttft_us"] is None) == ("done", 2, False)
        first, second = attempts_of(tap, row)
        assert (first["status"], first["error_type"], second["error_type"]) == (200, "upstream_cut", None)
        assert first["started_at"] + first["duration_us"] <= second["started_at"]

    def test_an_array_is_a_stream_too(self, tap: Proxy) -> None:
        """streamGenerateContent without `alt=sse`."""
        path = "/one-two/v1beta1/publishers/google/models/gemini-2.5-array:streamGenerateContent"
        plan = {"at": {"one-project": {"error_after": 0}}}
        answer = call(tap.url, path, HELLO, headers=NOBODY, plan=plan)
        assert (answer.status, answer.header("x-vertex-tap-service")) == (200, "two")
        assert len(answer.json()) > 1
        assert [one["error_type"] for one in attempts_of(tap, tap.new_row())] == ["UNAVAILABLE", None]


class TestConversions:
    """Each attempt is converted anew, from any client's dialect to any service's."""

    @pytest.mark.parametrize("streamed", [False, True])
    def test_vertex_openai_endpoint(self, tap: Proxy, upstreams: Upstreams, streamed: bool) -> None:
        for order, failing in (("flat-qwen", "flat"), ("qwen-flat", "qwen")):
            answer = ask(tap, "chat", order, streamed=streamed, **{failing: {"status": 503}})
            row = tap.new_row()
            answered = order.replace(failing, "").strip("-")
            assert (answer.status, row["service"], row["usage_state"]) == (200, answered, "final")
            assert [one["service"] for one in attempts_of(tap, row)] == [failing, answered]

    @pytest.mark.parametrize(
        ("client", "order", "answered"), [("responses", "flat-qwen", "qwen"), ("messages", "qwen-flat", "qwen")]
    )
    def test_a_service_that_cannot_have_it_is_skipped(self, tap: Proxy, client: str, order: str, answered: str) -> None:
        answer = ask(tap, client, order, streamed=False)
        row = tap.new_row()
        assert (answer.status, row["service"], row["attempts"]) == (200, answered, 1)

    @pytest.mark.parametrize(
        ("order", "failing", "sent", "place"),
        [
            ("one-two", ["one"], "/v1/projects/two-project/locations/us-central1", ("two-project", "us-central1")),
            ("one-qwen-express", ["one", "qwen"], "/v1", (None, None)),
            ("one-qwen-express", ["one"], None, (None, None)),
            ("one-two", [], "/v1/projects/one-project/locations/europe-west4", ("one-project", "europe-west4")),
        ],
    )
    def test_a_project_in_the_path(
        self,
        tap: Proxy,
        upstreams: Upstreams,
        order: str,
        failing: list[str],
        sent: str | None,
        place: tuple[str | None, str | None],
    ) -> None:
        """It is that of the route's own service. Others use theirs."""
        model = f"publishers/google/models/gemini-2.5-{next(_numbers)}:generateContent"
        path = f"/{order}/v1/projects/one-project/locations/europe-west4/{model}"
        plan = {"at": {WORDS[name]: {"status": 503} for name in failing}}
        assert call(tap.url, path, HELLO, headers=NOBODY, plan=plan).status == 200
        row = tap.new_row()
        assert (row["project"], row["location"]) == place
        if sent:
            assert upstreams.google.seen[-1].request.path == f"{sent}/{model}"

    def test_a_project_in_the_body(self, tap: Proxy, upstreams: Upstreams) -> None:
        body = {"messages": CHATS, "project_id": "one-project", "region": "europe-west4"}
        for failing, place in (({}, "one-project/locations/europe-west4"), ({"one-project": {"status": 503}}, None)):
            model = f"gemini-2.5-flash-{next(_numbers)}"
            plan = {"at": failing}
            answer = call(tap.url, "/one-two/v1/chat/completions", body | {"model": model}, headers=NOBODY, plan=plan)
            assert answer.status == 200
            sent = upstreams.google.seen[-1].request.path
            assert f"/projects/{place or 'two-project/locations/us-central1'}/publishers/" in sent

    def test_nobody_else_can_have_it(self, tap: Proxy) -> None:
        """The client gets the error of the one that could."""
        answer = ask(tap, "messages", "qwen-flat", streamed=False, qwen={"status": 503})
        row = tap.new_row()
        assert (answer.status, answer.json()["type"], row["service"], row["attempts"]) == (503, "error", "qwen", 1)
        assert (row["state"], row["error_type"], row["rewritten"]) == ("done", "server_error", 1)

    def test_nobody_can_have_it(self, tap: Proxy) -> None:
        answer = call(tap.url, "/qwen-flat/v1/messages/count_tokens", {"model": "x", "messages": CHATS}, headers=NOBODY)
        assert answer.status >= 400
        row = tap.new_row()
        assert (row["state"], row["service"], row["attempts"]) == ("refused", "qwen", 0)

    def test_a_service_that_observes(self, tap: Proxy) -> None:
        assert ask(tap, "chat", "observing-one", streamed=False).header("x-vertex-tap-service") == "one"

    @pytest.mark.parametrize("client", CLIENTS)
    def test_as(self, tap: Proxy, upstreams: Upstreams, client: str) -> None:
        answer = ask(tap, client, "as", streamed=False, model="gemini-2.5-flash")
        sent = upstreams.google.seen[-1].request
        row = tap.new_row()
        assert (answer.status, "models/gemini-2.5-pro:generateContent" in sent.path) == (200, True)
        assert (row["model"], row["publisher"], row["attempts"]) == ("gemini-2.5-pro", "google", 1)
        answer = ask(tap, client, "as", streamed=False, model="gemini-2.5-flash", one={"status": 400})
        assert (answer.status, tap.new_row()["model"]) == (400, "gemini-2.5-pro")

    @pytest.mark.parametrize("client", CLIENTS)
    def test_a_route_that_fixes_the_model(self, tap: Proxy, upstreams: Upstreams, client: str) -> None:
        answer = ask(tap, client, "fixed", streamed=True, model="whatever")
        assert answer.status == 200
        assert "models/gemini-2.5-flash:streamGenerateContent" in upstreams.google.seen[-1].request.path
        row = tap.new_row()
        assert (row["model"], row["usage_state"], answer.header("x-vertex-tap-service")) == (
            "gemini-2.5-flash",
            "final",
            None,
        )


class TestSplitCalls:
    """Calls that become several, which are sent at the same time: the first decides."""

    BODY: ClassVar = {"model": "gemini-embedding-001", "input": ["one", "two", "three"]}

    def embed(self, proxy: Proxy, order: str, **at: Any) -> tuple[Response, Row]:
        plan = {"at": {WORDS[name]: plan for name, plan in at.items()}}
        answer = call(proxy.url, f"/{order}/v1/embeddings", self.BODY, headers=NOBODY, plan=plan)
        return answer, proxy.new_row()

    def test_all_are_sent_again(self, tap: Proxy) -> None:
        answer, row = self.embed(tap, "one-two", one={"status": 503, "retry_after": "0"})
        assert (answer.status, len(answer.json()["data"])) == (200, 3)
        assert (row["service"], row["state"], row["input_items"]) == ("two", "done", 3)
        tries = [(one["service"], one["status"]) for one in attempts_of(tap, row)]
        assert (len(tries), row["attempts"]) == (row["attempts"], len(tries))
        assert [status for service, status in tries if service == "two"] == [200] * 3
        assert {status for service, status in tries if service == "one"} == {503}
        with closing(open_for_reading(tap.ledger)) as db:
            assert not any(verify(db, lambda _: True).values())

    def test_none_is_left(self, tap: Proxy) -> None:
        failing = {"status": 503, "retry_after": "0"}
        until(lambda: self.embed(tap, "one-two")[1]["service"] == "one")
        answer, row = self.embed(tap, "one-two", one=failing, two=failing)
        assert (answer.status, row["service"], row["state"]) == (503, "two", "done")
        with closing(open_for_reading(tap.ledger)) as db:
            assert not any(verify(db, lambda _: True).values())


class TestCounts:
    """What a failed attempt has used is part of the call."""

    BODY: ClassVar = {
        "anthropic_version": "vertex-2023-10-16",
        "messages": CHATS,
        "max_tokens": 99,
        "stream": True,
    }

    def path(self) -> str:
        return f"/one-two/v1/publishers/anthropic/models/claude-{next(_numbers)}:streamRawPredict"

    def test_they_add_up(self, tap: Proxy) -> None:
        """Claude tells the input in its first event, before any content."""
        plan = {"at": {"one-project": {"cut": 1}}}
        answer = call(tap.url, self.path(), self.BODY, headers=NOBODY, plan=plan)
        row = tap.new_row()
        assert (answer.status, row["service"], row["usage_state"], row["attempts"]) == (200, "two", "final", 2)
        first, second = attempts_of(tap, row)
        assert (first["status"], first["error_type"], second["status"]) == (200, "upstream_cut", 200)
        assert first["input_tokens"] == second["input_tokens"] == row["input_tokens"] / 2 > 0
        assert answer.body.count(b"message_start") == 2
        with closing(open_for_reading(tap.ledger)) as db:
            assert not any(verify(db, lambda _: True).values())

    def test_at_the_last_service(self, tap: Proxy) -> None:
        plan = {"at": {"project": {"cut": 1}}}
        answer = call(tap.url, self.path(), self.BODY, headers=NOBODY, plan=plan)
        row = tap.new_row()
        assert (answer.status, row["status"], row["upstream_status"], row["attempts"]) == (502, 502, 200, 2)
        assert (row["state"], row["usage_state"], row["error_type"]) == ("upstream_failed", "partial", "upstream_cut")
        first, second = attempts_of(tap, row)
        assert first["input_tokens"] + second["input_tokens"] == row["input_tokens"] > 0
        assert (second["status"], second["error_type"]) == (200, "upstream_cut")

    def test_of_a_client_that_hangs_up(self, tap: Proxy, upstreams: Upstreams) -> None:
        """While the first events are held."""
        path, sent = self.path(), upstreams.google.sent
        with connection(tap.url) as client:
            request(client, path, self.BODY, headers=NOBODY, plan={"gate": f"gate-{path}"})
            until(lambda: upstreams.google.sent > sent)
        row = until(lambda: tap.new_rows())[-1]
        row = until(lambda: tap.rows(f"id = '{row['id']}' AND state <> 'open'"))[0]
        assert (row["state"], row["usage_state"], row["status"]) == ("client_closed", "partial", None)
        assert row["upstream_status"] == 200
        assert (row["input_tokens"] > 0, row["attempts"]) == (True, 1)


class TestLarge:
    PATH: ClassVar = "/one-two/v1beta1/publishers/google/models/gemini-2.5-large:generateContent"

    def test_a_request(self, tap: Proxy, upstreams: Upstreams) -> None:
        """It is sent again as it was."""
        body = {"contents": [{"role": "user", "parts": [{"text": "x" * 5_000_000}]}]}
        plan = {"at": {"one-project": {"status": 503, "retry_after": "0"}}}
        answer = call(tap.url, self.PATH, body, headers=NOBODY, plan=plan)
        assert (answer.status, answer.header("x-vertex-tap-service")) == (200, "two")
        first, second = [seen.request for seen in upstreams.google.seen if seen.request.path != "/token"][-2:]
        assert first.body == second.body == json.dumps(body).encode()
        assert tap.new_row()["request_bytes"] == len(second.body)

    def test_an_answer(self, tap: Proxy) -> None:
        """One that is too large to be held passes on."""
        plan = {"padding": 20 * 1024 * 1024, "encoding": "identity"}
        answer = ask(tap, "google", "two-one", streamed=False, one=plan, two=plan)
        assert (answer.status, len(answer.body) > 20 * 1024 * 1024) == (200, True)
        row = tap.new_row()
        assert (row["state"], row["usage_state"], row["attempts"]) == ("done", "final", 1)


class TestRest:
    """A service that has failed is left alone for a while, and is trusted again after one call."""

    def test_a_model_at_a_service(self, tap: Proxy, upstreams: Upstreams) -> None:
        failing = {"one": {"status": 429, "retry_after": "300"}}
        for expected in (2, 1, 1):
            answer = ask(tap, "google", "one-two", streamed=False, model="gemini-2.5-resting", **failing)
            assert (answer.header("x-vertex-tap-service"), tap.new_row()["attempts"]) == ("two", expected)
        answer = ask(tap, "google", "one-two", streamed=False, model="gemini-2.5-other")
        assert answer.header("x-vertex-tap-service") == "one"

    def test_it_is_trusted_again(self, tap: Proxy) -> None:
        failing: dict[str, Any] = {"one": {"status": 503, "retry_delay": "0.01s"}}
        assert ask(tap, "google", "one-two", streamed=False, model="gemini-2.5-back", **failing).status == 200

        def is_back() -> bool:
            answer = ask(tap, "google", "one-two", streamed=False, model="gemini-2.5-back")
            return answer.header("x-vertex-tap-service") == "one"

        until(is_back)

    def test_no_connection(self, tap: Proxy) -> None:
        """Whatever the model is."""
        tries = []
        for _ in "12":
            answer = ask(tap, "chat", "dead-one", streamed=False)
            row = tap.new_row()
            assert (answer.status, row["service"], row["state"]) == (200, "one", "done")
            tries.append([(one["service"], one["status"], one["error_type"]) for one in attempts_of(tap, row)])
        assert tries[0] == [("dead", None, "connect_failed"), ("one", 200, None)] or tries == [[], []]

    def test_no_connection_at_the_last(self, tap: Proxy) -> None:
        def is_tried() -> bool:
            answer = ask(tap, "chat", "one-dead", streamed=True, one={"status": 500})
            row = tap.new_row()
            if row["attempts"] == 1:
                # It still rests after another test.
                assert answer.status == 500
                return False
            assert (answer.status, row["error_type"], row["upstream_status"]) == (502, "connect_failed", None)
            assert [one["error_type"] for one in attempts_of(tap, row)] == ["INTERNAL", "connect_failed"]
            return True

        until(is_tried)

    def test_the_smallest_time_is_told(self, tap: Proxy) -> None:
        """All have failed: the client gets the last answer, and when the first of them may be asked again."""
        told = {"one": {"status": 503, "retry_after": "7"}, "qwen": {"status": 429, "retry_after": "60"}}
        for client in ("google", "chat"):
            at = told | {"express": {"status": 503, "retry_delay": "20s"}}
            answer = ask(tap, client, "one-qwen-express", streamed=False, **at)
            assert (answer.status, answer.header("retry-after")) == (503, "7")
            assert tap.new_row()["service"] == "express"

    def test_all_rest(self, tap: Proxy) -> None:
        """The one that may be asked first is, alone."""
        at = {"one": {"status": 429, "retry_after": "300"}, "two": {"status": 429, "retry_after": "200"}}
        for expected in (("two", 2), ("two", 1)):
            ask(tap, "google", "one-two", streamed=False, model="gemini-2.5-all", **at)
            row = tap.new_row()
            assert (row["service"], row["attempts"]) == expected


class TestCredentials:
    @pytest.mark.parametrize("client", ["google", "chat"])
    def test_no_token(self, tap: Proxy, client: str) -> None:
        answer = ask(tap, client, "broke-qwen", streamed=False)
        row = tap.new_row()
        assert (answer.status, row["service"], row["attempts"], row["state"]) == (200, "qwen", 1, "done")

    @pytest.mark.parametrize("client", ["google", "chat"])
    def test_a_client_without_one(self, tap: Proxy, client: str) -> None:
        """The service `mine` takes the client's own credential. This one has none; the next service has its own."""
        answer = ask(tap, client, "mine-qwen", streamed=False)
        assert answer.status == (200 if client == "chat" else 401)

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("client", ["google", "chat"])
    def test_a_token_that_was_revoked(self, tap: Proxy, upstreams: Upstreams, client: str, streamed: bool) -> None:
        """Google's answer 401 is not the client's affair while another token can be had, and then streams."""
        ask(tap, client, "one-two", streamed=False)
        upstreams.google.credentials.revoke()
        tap.new_rows()
        answer = ask(tap, client, "one-two", streamed=streamed)
        row = tap.new_row()
        assert (answer.status, row["service"], row["attempts"], row["usage_state"]) == (200, "one", 2, "final")
        tries = [(one["service"], one["status"], one["error_type"]) for one in attempts_of(tap, row)]
        assert tries == [("one", 401, "UNAUTHENTICATED"), ("one", 200, None)]

    def test_a_new_token_is_rejected_too(self, tap: Proxy) -> None:
        answer = ask(tap, "chat", "flat-qwen", streamed=True, flat={"status": 401})
        row = tap.new_row()
        assert (answer.status, row["service"], row["attempts"]) == (200, "qwen", 3)
        assert [(one["service"], one["status"]) for one in attempts_of(tap, row)] == [
            ("flat", 401),
            ("flat", 401),
            ("qwen", 200),
        ]


class TestTimeout:
    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("client", ["google", "chat"])
    def test_it_is_tried_elsewhere(self, tap: Proxy, client: str, streamed: bool) -> None:
        answer = ask(tap, client, "slow-qwen", streamed=streamed, slow={"hang": True})
        row = tap.new_row()
        assert (answer.status, row["service"], row["usage_state"]) == (200, "qwen", "final")
        first, _ = attempts_of(tap, row)
        assert (first["service"], first["status"], first["error_type"]) == ("slow", None, "timed_out")
        assert first["duration_us"] >= 400_000

    @pytest.mark.parametrize("client", ["google", "chat", "messages"])
    def test_there_is_no_other(self, tap: Proxy, client: str) -> None:
        answer = ask(tap, client, "slow", streamed=True, slow={"hang": True})
        assert (answer.status, answer.header("content-type")) == (504, "application/json")
        assert "0.4 seconds" in answer.json()["error"]["message"]
        row = tap.new_row()
        assert (row["state"], row["error_type"], row["upstream_status"]) == ("upstream_failed", "timed_out", None)

    def test_the_first_byte_is_enough(self, tap: Proxy) -> None:
        answer = ask(tap, "google", "slow", streamed=True, slow={"pause": 0.3})
        assert answer.status == 200
        assert tap.new_row()["duration_us"] > 400_000


class TestNotElsewhere:
    """Calls that name what one service has, and jobs that may have begun."""

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1beta1/publishers/google/models/{}:generateContent", HELLO | {"cachedContent": "cachedContents/1"}),
            (
                "/v1beta1/publishers/google/models/{}:generateContent",
                {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": "gs://a/b", "mimeType": "a/b"}}]}]},
            ),
            ("/v1/responses", {"input": "Hi", "previous_response_id": "resp_1"}),
            ("/v1beta1/publishers/google/models/{}:predictLongRunning", {"instances": [{"prompt": "a cat"}]}),
        ],
    )
    def test_after_an_error(self, tap: Proxy, path: str, body: dict[str, Any]) -> None:
        model = f"gemini-2.5-here-{next(_numbers)}"
        body = body | ({} if "{}" in path else {"model": model})
        order = "one-two" if "{}" in path else "qwen-two-one"
        plan = {"at": {"one-project": {"status": 500}, "qwen": {"status": 500}}}
        answer = call(tap.url, f"/{order}{path.format(model)}", body, headers=NOBODY, plan=plan)
        row = tap.new_row()
        assert (answer.status, row["attempts"], row["service"]) == (500, 1, order.partition("-")[0])

    VEO = "/one-two/v1beta1/publishers/google/models/veo-3.0-generate-001"
    BUSY: ClassVar = {"at": {"one-project": {"status": 429, "retry_after": "0"}}}

    def test_a_job_that_was_not_taken(self, tap: Proxy, upstreams: Upstreams) -> None:
        """The next service may have it. Polls go there too, although the first would answer now."""
        body = {"instances": [{"prompt": "a cat"}]}
        answer = call(tap.url, f"{self.VEO}:predictLongRunning", body, headers=NOBODY, plan=self.BUSY)
        assert (answer.status, tap.new_row()["service"]) == (200, "two")
        name = answer.json()["name"]
        assert name.startswith("projects/two-project/")
        for _ in range(3):
            poll = call(tap.url, f"{self.VEO}:fetchPredictOperation", {"operationName": name}, headers=NOBODY)
            assert (poll.status, tap.new_row()["service"]) == (200, "two")
            call(tap.url, f"/one-two/v1beta1/{name}", headers=NOBODY)
            assert tap.new_row()["service"] == "two"

    def test_a_video_of_an_openai_client(self, tap: Proxy) -> None:
        body = {"model": "veo-3.0-fast-generate-001", "prompt": "a cat"}
        answer = call(tap.url, "/one-two/v1/videos", body, headers=NOBODY, plan=self.BUSY)
        assert (answer.status, tap.new_row()["service"]) == (200, "two")
        for _ in range(3):
            poll = call(tap.url, f"/one-two/v1/videos/{answer.json()['id']}", headers=NOBODY)
            assert (poll.status, tap.new_row()["service"]) == (200, "two")
