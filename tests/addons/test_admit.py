"""Limits, over sockets: what is refused, what is reserved, and what counts as used."""

import http.client
import json
import re
import signal
import sqlite3
import threading
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextlib import closing
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from wsproto.events import AcceptConnection
from wsproto.events import CloseConnection

from addons.admit import duration
from tests.addons.guarded import CHAT
from tests.addons.guarded import GEMINI
from tests.addons.guarded import MESSAGES
from tests.addons.guarded import NATIVE
from tests.addons.guarded import SERVICES
from tests.addons.guarded import UPSTREAM
from tests.addons.guarded import ask
from tests.addons.guarded import bearer
from tests.addons.guarded import message_of
from tests.addons.guarded import said
from tests.http import HELLO
from tests.http import Response
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.process import Proxy
from tests.process import until
from tests.raw_upstream import RawUpstream
from tests.redis_server import RedisServer
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator
from tests.websocket_client import connected

LIVE = "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"
STREAM = NATIVE.replace(":generateContent", ":streamGenerateContent?alt=sse")
IMAGEN = NATIVE.replace("gemini-2.5-flash:generateContent", "imagen-4.0-generate-001:predict")
PICTURE = {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 1}}
LIMITS = {
    **{f"once-{number}": "{requests: 1/day}" for number in range(5)},
    "unlimited": "{}",
    "told": "{requests: 5/day, tokens: 1000/day}",
    "tokens": "{tokens: 5000/day}",
    "little": "{tokens: 1/day, cost: 1/day}",
    "cent": "{cost: 0.01/day}",
    "cheap": "{cost: 0.0001/day}",
    "films": "{cost: 4/day}",
}


def key(client: str) -> str:
    return f"vt-{client}-0123456789"


def clients(limits: dict[str, str]) -> str:
    made = (
        f"  - {{name: {name}, key_sha256: {sha256(key(name).encode()).hexdigest()}, limits: {text}}}\n"
        for name, text in limits.items()
    )
    return "clients:\n" + "".join(made)


@pytest.fixture(scope="module")
def limited(
    simulator: Simulator, key_file: Path, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("limited")
    services = SERVICES.format(key_file=key_file, url=simulator.url)
    other = "{service: qwen, as: qwen-unheard-of}"
    routes = f'routes: [{{model: "qwen*", service: qwen}}, {{service: prod, base_path: /other, fallback: [{other}]}},'
    routes += " {service: prod}]\n"
    (folder / "gateway.yaml").write_text(services + routes + clients(LIMITS))
    sets = (f"gateway_config={folder / 'gateway.yaml'}",)
    mode = f"reverse:{simulator.url}"
    with Proxy(*sets, mode=mode, folder=folder, confdir=confdir, env=UPSTREAM, serve=True) as proxy:
        yield proxy
    assert "rror" not in proxy.stderr


def left(proxy: Proxy, client: str) -> int:
    """How many tokens are left of a client's budget, as a call is told that may use too many."""
    body = HELLO | {"generationConfig": {"maxOutputTokens": 10**9}}
    answer = call(proxy.url, NATIVE, body, headers=bearer(key(client)))
    assert answer.status == 429
    proxy.new_rows()
    told = re.search(r"and (\d+) tokens are left", message_of(answer))
    assert told
    return int(told[1])


def refused(answer: Response) -> Response | None:
    return answer if answer.status == 429 else None


def reserved(body: object, output: int) -> int:
    return -(-len(json.dumps(body)) // 3) + output


ERRORS: dict[str, Callable[[Any], tuple[object, ...]]] = {
    CHAT: lambda body: (body["error"]["type"], body["error"]["code"]),
    MESSAGES: lambda body: (body["type"], body["error"]["type"]),
    NATIVE: lambda body: (body["error"]["code"], body["error"]["status"]),
    GEMINI: lambda body: (body["error"]["code"], body["error"]["status"]),
    STREAM: lambda body: (body["error"]["code"], body["error"]["status"]),
}
TOLD = {
    CHAT: ("rate_limit_error", "rate_limit_exceeded"),
    MESSAGES: ("error", "rate_limit_error"),
    NATIVE: (429, "RESOURCE_EXHAUSTED"),
    GEMINI: (429, "RESOURCE_EXHAUSTED"),
    STREAM: (429, "RESOURCE_EXHAUSTED"),
}


class TestRefused:
    def test_in_the_clients_dialect_before_anything_is_sent(self, limited: Proxy, simulator: Simulator) -> None:
        found = {}
        for number, path in enumerate(ERRORS):
            headers = bearer(key(f"once-{number}"))
            assert ask(limited, path, "gemini-2.5-flash", headers).status == 200
            limited.new_rows()
            before = len(simulator.seen)
            answer = ask(limited, path, "gemini-2.5-flash", headers)
            assert len(simulator.seen) == before
            assert answer.status == 429
            assert 80_000 < int(answer.header("retry-after") or 0) <= 86_400
            assert f"The client once-{number} has reached its limit requests: 1/day." in message_of(answer)
            found[path] = ERRORS[path](answer.json())
            row = limited.new_row()
            assert (row["state"], row["status"], row["error_type"]) == ("refused", 429, "over_limit")
            assert (row["usage_state"], row["attempts"], row["upstream_status"]) == ("not_applicable", 0, None)
            assert (row["client"], row["reserved_tokens"]) == (f"once-{number}", None)
        assert found == TOLD

    def test_others_are_not(self, limited: Proxy) -> None:
        for _ in range(3):
            answer = ask(limited, CHAT, "gemini-2.5-flash", bearer(key("unlimited")))
            assert (answer.status, answer.header("x-ratelimit-limit-requests")) == (200, None)

    def test_a_model_without_a_price(self, limited: Proxy, simulator: Simulator) -> None:
        before = len(simulator.seen)
        answer = ask(limited, CHAT, "qwen-unheard-of", bearer(key("cent")))
        assert (answer.status, len(simulator.seen)) == (403, before)
        assert message_of(answer) == (
            "The cost of the client cent is limited, and no price of the model qwen-unheard-of is known. Whoever runs"
            " this proxy can write one into the file that usage_prices names."
        )
        assert limited.new_rows()[-1]["error_type"] == "over_limit"

    def test_a_fallback_without_a_price(self, limited: Proxy) -> None:
        """It is tried for clients whose cost is not limited."""
        found, body = [], HELLO | {"generationConfig": {"maxOutputTokens": 9}}
        for client in ("cent", "unlimited"):
            plan = {"at": {"/projects/": {"status": 503, "retry_after": "0"}}}
            answer = call(limited.url, f"/other{NATIVE}", body, headers=bearer(key(client)), plan=plan)
            found.append((answer.status, limited.new_rows()[-1]["service"]))
        assert found == [(503, "prod"), (200, "qwen")]

    def test_what_costs_too_much(self, limited: Proxy) -> None:
        body = HELLO | {"generationConfig": {"maxOutputTokens": 100_000}}
        answer = call(limited.url, NATIVE, body, headers=bearer(key("cheap")))
        assert answer.status == 429
        assert "limit cost: 0.0001/day. This call may use 0.250" in message_of(answer)
        assert "and 0.000100 US dollars are left" in message_of(answer)

    def test_a_body_that_is_not_held(self, limited: Proxy, simulator: Simulator) -> None:
        before = len(simulator.seen)
        with connection(limited.url) as client:
            headers = bearer(key("once-0")) | {"content-type": "application/json"}
            client.request("POST", NATIVE, iter([json.dumps(HELLO).encode()]), headers, encode_chunked=True)
            assert client.getresponse().status == 429
        assert len(simulator.seen) == before

    def test_with_the_quick_answer_of_a_head_request(self, limited: Proxy) -> None:
        headers = bearer(key("once-0"))
        answer = call(limited.url, "/v1/models", method="HEAD", headers=headers)
        assert (answer.status, answer.body) == (429, b"")


class TestTold:
    def test_what_is_left(self, limited: Proxy) -> None:
        body = said("gemini-2.5-flash", max_tokens=50)
        answer = call(limited.url, CHAT, body, headers=bearer(key("told")))
        told = {name: value for name, value in answer.headers if name.startswith("x-ratelimit-")}
        assert re.fullmatch(r"24h0m0s|23h59m\d+s", told.pop("x-ratelimit-reset-requests"))
        assert told == {
            "x-ratelimit-limit-requests": "5",
            "x-ratelimit-remaining-requests": "4",
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": str(1000 - reserved(body, 50)),
            "x-ratelimit-reset-tokens": "24h0m0s",
        }
        row = limited.new_rows()[-1]
        used = row["input_tokens"] + row["output_tokens"]
        assert 0 < used < reserved(body, 50)
        # A stream has them too. Only what was used is gone.
        body = said("gemini-2.5-flash", max_tokens=50, stream=True)
        answer = call(limited.url, CHAT, body, headers=bearer(key("told")))
        assert answer.header("x-ratelimit-remaining-tokens") == str(1000 - used - reserved(body, 50))
        # Native answers are the upstream's.
        body = HELLO | {"generationConfig": {"maxOutputTokens": 10}}
        answer = call(limited.url, NATIVE, body, headers=bearer(key("told")))
        assert (answer.status, answer.header("x-ratelimit-limit-tokens")) == (200, None)

    def test_durations_are_written_as_openai_does(self) -> None:
        written = {0.0: "0ms", 0.0115: "12ms", 1: "1s", 59.2: "1m0s", 360: "6m0s", 7325: "2h2m5s"}
        assert {seconds: duration(seconds) for seconds in written} == written


LONG = HELLO | {"generationConfig": {"maxOutputTokens": 200}}
OF_LONG = reserved(LONG, 200)
ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "answered": (NATIVE, {}),
    "streamed": (STREAM, {}),
    "cut, with counts": (STREAM, {"usage": "cumulative", "cut": 2}),
    "cut, without counts": (STREAM, {"cut": 1}),
    "no counts": (NATIVE, {"usage": "none"}),
    "an error": (NATIVE, {"status": 500}),
}


class TestUsed:
    @pytest.mark.parametrize("end", ENDS)
    def test_what_counts(self, limited: Proxy, end: str) -> None:
        path, plan = ENDS[end]
        before, last = left(limited, "tokens"), limited.rows()[-1]["id"]
        with connection(limited.url) as client:
            request(client, path, LONG, headers=bearer(key("tokens")), plan=plan)
            answer = client.getresponse()
            assert answer.status == plan.get("status", 200)
            with suppress(http.client.HTTPException, OSError):
                answer.read()
        (row,) = until(lambda: limited.rows(f"id > '{last}' AND state <> 'open'"))
        counts = [row["input_tokens"], row["output_tokens"]]
        if counts != [None, None]:
            used = sum(count or 0 for count in counts)
            assert (row["reserved_tokens"], used < OF_LONG) == (None, True)
        elif "error" in end:
            used = 0
            assert row["reserved_tokens"] is None
        else:
            used = OF_LONG
            assert row["reserved_tokens"] == used
        assert ("without" in end or "no counts" in end) == (used == OF_LONG)
        # It is counted when the client may have all of its answer.
        until(lambda: left(limited, "tokens") == before - used)

    def test_a_call_of_unknown_size_is_admitted_while_anything_is_left(self, limited: Proxy) -> None:
        headers = bearer(key("cent"))
        assert call(limited.url, IMAGEN, PICTURE, headers=headers).status == 200
        answer = until(lambda: refused(call(limited.url, IMAGEN, PICTURE, headers=headers)))
        assert message_of(answer).startswith("The client cent has reached its limit cost: 0.01/day. Try again in ")
        with connected(limited.port, LIVE, {"x-goog-api-key": key("cent")}) as (_, upgrade):
            assert upgrade.status_code == 429

    def test_a_job_counts_when_a_poll_tells_that_it_is_done(self, limited: Proxy) -> None:
        headers = bearer(key("films"))
        film = NATIVE.replace("gemini-2.5-flash:generateContent", "veo-3.0-generate-001:predictLongRunning")
        parameters = {"sampleCount": 1, "durationSeconds": 8, "generateAudio": True}
        body = {"instances": [{"prompt": "a cat"}], "parameters": parameters}
        submitted = call(limited.url, film, body, headers=headers)
        poll = {"operationName": submitted.json()["name"]}
        polling = film.replace("predictLongRunning", "fetchPredictOperation")
        until(lambda: call(limited.url, polling, poll, headers=headers).json().get("done"))
        # Eight seconds with sound cost 3.2 dollars.
        body = HELLO | {"generationConfig": {"maxOutputTokens": 10**7}}
        told = message_of(call(limited.url, NATIVE, body, headers=headers))
        assert "limit cost: 4/day" in told
        assert "and 0.800000 US dollars are left" in told

    def test_a_body_that_is_not_held(self, limited: Proxy) -> None:
        before, last = left(limited, "tokens"), limited.rows()[-1]["id"]
        with connection(limited.url) as client:
            headers = bearer(key("tokens")) | {"content-type": "application/json"}
            client.request("POST", NATIVE, iter([json.dumps(LONG).encode()]), headers, encode_chunked=True)
            answer = client.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
        (row,) = until(lambda: limited.rows(f"id > '{last}' AND state = 'done'"))
        assert row["reserved_tokens"] is None
        until(lambda: left(limited, "tokens") == before - row["input_tokens"] - row["output_tokens"])

    def test_what_uses_nothing(self, limited: Proxy) -> None:
        headers = bearer(key("little"))
        counting = NATIVE.replace("generateContent", "countTokens")
        assert call(limited.url, counting, HELLO, headers=headers).status == 200
        claudes = "/v1/publishers/anthropic/models/count-tokens:rawPredict"
        body = said("claude-sonnet-4-5", anthropic_version="vertex-2023-10-16")
        assert call(limited.url, claudes, body, headers=headers).status == 200
        assert call(limited.url, "/v1/models", headers=headers).status == 200
        assert call(limited.url, IMAGEN, PICTURE, headers=headers).status == 200
        assert call(limited.url, NATIVE, HELLO, headers=headers).status == 429
        assert {row["reserved_tokens"] for row in limited.new_rows() if row["client"] == "little"} == {None}


def test_each_response_on_a_connection_counts(
    start_proxy: Callable[..., Proxy], simulator: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text(clients({"sockets": "{tokens: 20/day}"}))
    sets = f"gateway_config={tmp_path / 'gateway.yaml'}", f"openai_endpoint={simulator.url}/v1"
    proxy = start_proxy(*sets, mode=f"reverse:{simulator.url}")
    headers = {"authorization": f"Bearer {OPENAI_KEY}", "x-vertex-tap-key": key("sockets")}
    asked = {"type": "response.create", "model": "gpt-5.5", "input": "Hello"}
    with connected(proxy.port, "/v1/responses", headers) as (client, upgraded):
        assert isinstance(upgraded, AcceptConnection)
        for _ in range(2):
            # Each uses 16 tokens. The second is admitted, as some are left.
            client.say(asked)
            assert [client.hear()["type"] for _ in range(3)][-1] == "response.completed"
        client.say(asked)
        closed = client.hear()
        assert isinstance(closed, CloseConnection)
        assert (closed.code, closed.reason) == (1008, "The client sockets has reached its limit tokens: 20/day.")
    until(lambda: not proxy.rows("state = 'open'"))
    assert [(row["state"], row["total_tokens"]) for row in proxy.rows()] == [("done", 16)] * 2
    with connected(proxy.port, "/v1/responses", headers) as (_, refused):
        assert refused.status_code == 429


MANY = 50
BODY = said("counted", max_tokens=70)
EACH = reserved(BODY, 70)
ADMITTED = 11
SHARED = {
    "shared": f"{{tokens: {EACH * ADMITTED + EACH - 1}/day}}",
    "killed": "{tokens: 5000/day}",
    "gone": "{tokens: 5000/day}",
    "once": "{requests: 1/day}",
    "free": "{}",
}


class Counted(RawUpstream):
    """An upstream that counts exactly what was reserved."""

    def __init__(self) -> None:
        super().__init__()
        usage = {"prompt_tokens": EACH - 70, "completion_tokens": 70, "total_tokens": EACH}
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "model": "counted", "choices": [choice], "usage": usage}
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._whole = (head.encode(), body)
        self.default = self._answer
        self.is_open = threading.Event()
        """Calls wait while it is not set."""
        self.is_open.set()

    def _answer(self) -> tuple[bytes, ...]:
        self.is_open.wait(60)
        return self._whole


@pytest.fixture(scope="module")
def counted() -> Iterator[Counted]:
    upstream = Counted()
    with upstream:
        yield upstream


class Start:
    """Starts proxies in front of that upstream."""

    def __init__(self, upstream: Counted, folder: Path, confdir: Path, stack: ExitStack) -> None:
        self._upstream, self._folder, self._confdir, self._stack = upstream, folder, confdir, stack

    def __call__(self, name: str, ledger: str, more: str = "") -> Proxy:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        services = f'services: {{own: {{provider: openai, base_url: "{self._upstream.url}/v1", api_key_env: A_KEY}}}}\n'
        routes = "routes: [{service: own}]\n"
        (folder / "gateway.yaml").write_text(services + routes + clients(SHARED) + more)
        sets = f"gateway_config={folder / 'gateway.yaml'}", f"usage_db={self._folder / ledger}"
        proxy = Proxy(
            *sets,
            mode=f"reverse:{self._upstream.url}",
            folder=folder,
            confdir=self._confdir,
            env={"A_KEY": "sk-of-ours"},
        )
        proxy.ledger = self._folder / ledger
        return self._stack.enter_context(proxy)


@pytest.fixture
def start(counted: Counted, tmp_path: Path, confdir: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield Start(counted, tmp_path, confdir, stack)


def spend(proxies: list[Proxy]) -> list[int]:
    """The statuses of the answers to many calls at once, spread over proxies, on one budget."""
    together = threading.Barrier(MANY)
    statuses: list[int] = []

    def one(proxy: Proxy) -> None:
        together.wait()
        statuses.append(chat(proxy, "shared").status)

    threads = [threading.Thread(target=one, args=(proxies[number % len(proxies)],)) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


def chat(proxy: Proxy, client: str) -> Response:
    return call(proxy.url, CHAT, BODY, headers=bearer(key(client)))


def left_of_chat(proxy: Proxy, client: str) -> int:
    answer = call(proxy.url, CHAT, BODY | {"max_tokens": 10**9}, headers=bearer(key(client)))
    assert answer.status == 429
    told = re.search(r"and (\d+) tokens are left", message_of(answer))
    assert told
    return int(told[1])


def test_proxies_on_one_ledger_share_a_budget_that_is_never_exceeded(start: Start, counted: Counted) -> None:
    a, b = start("a", "usage.db"), start("b", "usage.db")
    assert spend([a, b]) == [200] * ADMITTED + [429] * (MANY - ADMITTED)
    rows = a.rows("client = 'shared'")
    assert len(rows) == MANY
    assert sum(row["total_tokens"] or 0 for row in rows) == EACH * ADMITTED
    with closing(sqlite3.connect(a.ledger, isolation_level=None)) as other:
        # A client hangs up while its call waits for the ledger.
        other.execute("BEGIN IMMEDIATE")
        with connection(a.url) as client:
            request(client, CHAT, BODY, headers=bearer(key("gone")))
            # Others need not wait.
            assert chat(a, "free").status == 200
        assert chat(a, "free").status == 200
        other.execute("ROLLBACK")
    (row,) = until(lambda: a.rows("client = 'gone'"))
    assert (row["state"], row["attempts"], row["reserved_tokens"]) == ("client_closed", 0, None)
    assert "was not sent" not in a.output
    counted.is_open.clear()
    with connection(b.url) as client:
        request(client, CHAT, BODY, headers=bearer(key("killed")))
        until(lambda: a.rows("client = 'killed' AND attempts = 1"))
        b.kill()
    counted.is_open.set()
    a.stop()
    restarted = start("c", "usage.db")
    (row,) = restarted.rows("client = 'killed'")
    assert (row["state"], row["reserved_tokens"]) == ("lost", EACH)
    assert left_of_chat(restarted, "killed") == 5000 - EACH
    assert chat(restarted, "shared").status == 429


def test_proxies_on_one_redis_share_everything(start: Start, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        storage = f"storage: '{server.url}'"
        closed = start("closed", "closed.db", f"limits: {{{storage}}}\n")
        open = start("open", "open.db", f"limits: {{{storage}, when_away: open}}\n")
        assert spend([closed, open]) == [200] * ADMITTED + [429] * (MANY - ADMITTED)
        rows = [row for proxy in (closed, open) for row in proxy.rows("client = 'shared'")]
        assert len(rows) == MANY
        assert sum(row["total_tokens"] or 0 for row in rows) == EACH * ADMITTED
        assert [chat(proxy, "once").status for proxy in (closed, open)] == [200, 429]
        open.new_rows()
        server.stop()
        answer = chat(closed, "shared")
        assert (answer.status, answer.json()["error"]["type"]) == (503, "server_error")
        assert closed.rows()[-1]["error_type"] == "over_limit"
        assert chat(closed, "free").status == 200
        assert chat(open, "shared").status == 200
        assert "calls of limited clients are let through unchecked" in open.output
        server.start()
        # It was empty when it came back.
        until(lambda: chat(closed, "once").status == 200)
        until(lambda: chat(open, "once").status == 429)


def test_limits_that_change_while_calls_go_on(start: Start, counted: Counted, tmp_path: Path) -> None:
    proxy = start("a", "usage.db")
    file = proxy.folder / "gateway.yaml"
    whole, said = file.read_text(), "read the configuration again: "

    def reload(text: str) -> None:
        before = proxy.output.count(said)
        file.write_text(text)
        proxy.process.send_signal(signal.SIGHUP)
        until(lambda: proxy.output.count(said) > before)

    def under_way() -> int:
        return len(proxy.rows("client = 'killed' AND state = 'open' AND attempts = 1"))

    with RedisServer(tmp_path) as server, ThreadPoolExecutor(3) as pool:
        in_redis = f"{whole}limits: {{storage: '{server.url}'}}\n"
        counted.is_open.clear()
        calls = [pool.submit(chat, proxy, "killed") for _ in range(2)]
        try:
            until(lambda: under_way() == 2)
            found = {}
            for amount in (6000, 100, 5000):
                reload(whole.replace("{tokens: 5000/day}", f"{{tokens: {amount}/day}}"))
                found[amount] = left_of_chat(proxy, "killed")
            assert found == {6000: 6000 - 2 * EACH, 100: 0, 5000: 5000 - 2 * EACH}
            reload(in_redis)
            calls.append(pool.submit(chat, proxy, "killed"))
            until(lambda: under_way() == 3)
            assert left_of_chat(proxy, "killed") == 5000 - EACH
            # The limits of calls under way, and what they use, stay where they were.
            reload(whole.replace("name: killed", "name: renamed"))
        finally:
            counted.is_open.set()
        assert [one.result().status for one in calls] == [200] * 3
        until(lambda: under_way() == 0)
        reload(whole)
        assert left_of_chat(proxy, "killed") == 5000 - 2 * EACH
        reload(in_redis)
        assert left_of_chat(proxy, "killed") == 5000 - EACH
        reload(whole.replace("{requests: 1/day}", "{requests: 2/day}"))
        assert [chat(proxy, "once").status for _ in range(3)] == [200, 200, 429]
        reload(whole.replace("{requests: 1/day}", "{requests: 3/day}"))
        assert [chat(proxy, "once").status for _ in range(2)] == [200, 429]
        reload(whole.replace("{requests: 1/day}", "{}"))
        assert chat(proxy, "once").status == 200
