"""SIGHUP: the configuration is read again, while calls go on."""

import json
import os
import pty
import re
import signal
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import Response
from tests.http import call
from tests.http import connection
from tests.http import read_until
from tests.http import request
from tests.http import send
from tests.process import BIN
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"
STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
CHAT = {"model": "mine", "messages": [{"role": "user", "content": "Hello"}]}
NOBODY = {"x-goog-api-key": ""}
ANSWERS = re.compile(r"vertex-tap: (read the configuration again: .*|the configuration stays as it was.*\n(?:  .*\n)*)")


class Reloading:
    """A proxy whose files are changed while it runs."""

    def __init__(self, proxy: Proxy, google: Simulator) -> None:
        self.proxy, self.google, self.folder = proxy, google, proxy.folder
        self._told = 0

    def write(self, content: str) -> None:
        (self.folder / "gateway.yaml").write_text(content)

    def reload(self, content: str | None = None) -> str:
        """Sends SIGHUP, and returns what is said of it."""
        if content is not None:
            self.write(content)
        self.proxy.process.send_signal(signal.SIGHUP)
        return self.answer()

    def answer(self) -> str:
        """What is said next of a SIGHUP."""
        answers = until(lambda: ANSWERS.findall(self.proxy.output)[self._told :], 60)
        self._told += 1
        return str(answers[0])

    def key(self, name: str, project: str = "test-project") -> dict[str, str]:
        """A new key, in a file of this name."""
        key = self.google.credentials.service_account(self.google.token_uri, project)
        (self.folder / name).write_text(json.dumps(key))
        return key

    def call(self, path: str = UNARY, body: object = HELLO, **options: Any) -> Response:
        return call(self.proxy.url, path, body, headers=NOBODY | options.pop("headers", {}), **options)

    def row(self) -> dict[str, Any]:
        return self.proxy.new_rows()[-1]


@pytest.fixture(scope="module")
def own() -> Iterator[Simulator]:
    """A Google of these tests, whose tokens they may revoke."""
    with Simulator(credentials=Credentials()) as running:
        yield running


@pytest.fixture(scope="module")
def confdir_of_ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("confdir")


@pytest.fixture(scope="module")
def started(
    own: Simulator, confdir_of_ours: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Reloading]]:
    """Proxies by their program, `mitmdump` or `serve`, each started once; at first without credentials of its own."""
    running: dict[str, Reloading] = {}
    with ExitStack() as stack:

        def start(program: str) -> Reloading:
            if program not in running:
                folder = tmp_path_factory.mktemp(program)
                (folder / "gateway.yaml").write_text("models: [a-model]\n")
                (folder / "prices.yaml").write_text("prices: []\n")
                proxy = Proxy(
                    "gateway_config=gateway.yaml",
                    "usage_prices=prices.yaml",
                    "openai_mode=convert",
                    "vertex_project=test-project",
                    mode=f"reverse:{own.url}",
                    folder=folder,
                    confdir=confdir_of_ours,
                    serve=program == "serve",
                    env={"HELD_KEY": json.dumps(own.credentials.service_account(own.token_uri))},
                )
                running[program] = Reloading(stack.enter_context(proxy), own)
            return running[program]

        yield start


@pytest.fixture
def served(started: Callable[[str], Reloading]) -> Reloading:
    return started("serve")


ONE = "one: {auth: service_account, credentials: one.json}"
TWO = "two: {auth: service_account, credentials: two.json, location: europe-west4}"
ROUTED = "services:\n  {}\n  {}\nroutes: [{{base_path: /x, service: {}}}]\n"


@pytest.mark.parametrize("program", ["mitmdump", "serve"])
def test_what_is_adopted(started: Callable[[str], Reloading], program: str) -> None:
    """Step by step, from no credentials of its own to some. One line says what has changed."""
    one = started(program)
    one.key("one.json")
    one.key("two.json", "other-project")
    again = "read the configuration again: "
    assert one.reload() == f"{again}nothing has changed"
    assert one.call(headers={"host": "elsewhere.example", "x-goog-api-key": "AIzaSimulatedKey"}).status == 200

    said = one.reload(f"services:\n  {ONE}\nroutes: [{{base_path: /x, service: one}}]\nmodels: [a-model]\n")
    assert said == f"{again}service one added, routes changed"
    assert one.call("/x" + UNARY).status == 200
    row = one.row()
    assert (row["service"], row["project"], row["location"]) == ("one", "test-project", "global")
    # With credentials of our own, names of others are refused.
    assert one.call("/x" + UNARY, headers={"host": "elsewhere.example"}).status == 403
    assert one.google.seen[-1].request.headers["host"] == one.google.url.removeprefix("http://")

    said = one.reload(
        f"services:\n  {TWO}\nroutes: [{{base_path: /x, service: two}}]\naliases: {{mine: gemini-2.5-pro}}\n"
    )
    assert said == f"{again}service one removed, service two added, routes changed, aliases changed, models changed"
    assert one.call("/x" + UNARY).status == 200
    row = one.row()
    assert (row["service"], row["project"], row["location"]) == ("two", "other-project", "europe-west4")
    assert one.call("/x/v1/chat/completions", CHAT).status == 200
    assert one.row()["model"] == "gemini-2.5-pro"

    assert cost(one) < 1
    dear = "prices: [{model: gemini-2.5-pro, tokens: {input: 1000000, output: 1000000}}]\n"
    (one.folder / "prices.yaml").write_text(dear)
    assert one.reload() == f"{again}prices changed"
    assert cost(one) > 5

    minted = one.google.credentials.minted
    assert one.reload() == f"{again}nothing has changed"
    assert one.call("/x" + UNARY).status == 200
    # Another key, and so another token; with the same key the token stays.
    assert one.google.credentials.minted == minted
    key = one.key("two.json", "other-project")
    assert one.reload() == f"{again}service two changed"
    assert one.call("/x" + UNARY).status == 200
    assert one.google.credentials.minted == minted + 1
    # Another key of the same account, which Google does not know yet.
    account = {"client_email": key["client_email"]}
    (one.folder / "two.json").write_text(json.dumps(Credentials().service_account(key["token_uri"]) | account))
    assert one.reload() == f"{again}service two changed"
    assert one.call("/x" + UNARY).status == 200
    until(lambda: "invalid_grant: Invalid JWT Signature" in one.proxy.output)
    assert one.google.credentials.minted == minted + 1

    # Words of the file, not of the code.
    sections = f"models: [a-model]\nclients: [{{name: a, key_sha256: {'0' * 64}}}]\nallow_from: [127.0.0.0/8]\n"
    said = one.reload(f"{sections}trusted_proxies: [192.0.2.1]\nlimits: {{when_away: open}}\n")
    changed = ("routes", "aliases", "models", "allow_from", "trusted_proxies", "clients", "limits")
    assert said == ", ".join([f"{again}service two removed", *(f"{section} changed" for section in changed)])

    # Back to none: the client's own credentials go on, to the right host.
    assert one.reload("models: [a-model]\n").startswith(again)
    assert one.call(headers={"x-goog-api-key": "AIzaSimulatedKey"}).status == 200
    assert one.google.seen[-1].request.headers["host"] == one.google.url.removeprefix("http://")
    assert one.row()["service"] == "default"
    (one.folder / "prices.yaml").write_text("prices: []\n")


def cost(one: Reloading) -> float:
    """What all calls have cost, by the proxy's own pages."""
    costs = [row["cost_usd"] for row in one.call("/-/api/cost", None).json()]
    return float(sum(filter(None, costs)))


SERVICE = "services:\n  one: {auth: service_account,\n    "
PROBLEMS = {
    "services: {": ["gateway.yaml:1: cannot be read as YAML"],
    "services:\n  one: {auht: adc}\nroutes: [{service: two}]\nmodels: a\n": [
        "gateway.yaml:2: services.one.auht: there is no such key",
        "gateway.yaml:3: routes[0].service: there is no such service",
        "gateway.yaml:4: models: write a list",
    ],
    f"{SERVICE}credentials: nowhere.json}}\n": [
        "gateway.yaml:3: services.one.credentials: nowhere.json cannot be read"
    ],
    f"{SERVICE}credentials_env: NOT_SET}}\n": ["gateway.yaml:3: services.one.credentials_env: the environment has no"],
    f"{SERVICE}credentials_command: [sh, -c, echo Secret; exit 3]}}\n": [
        "gateway.yaml:3: services.one.credentials_command: sh ended with exit status 3; run it by hand"
    ],
    f"{SERVICE}credentials_command: [echo, Secret]}}\n": [
        "gateway.yaml:3: services.one.credentials_command: what echo prints is not JSON"
    ],
}


def test_problems_change_nothing(served: Reloading, confdir_of_ours: Path) -> None:
    """All are told in one message, and calls are answered as before. What is no matter of a reload is a problem too."""
    served.key("one.json")
    served.reload(ROUTED.format(ONE, "# ", "one"))
    kept = "the configuration stays as it was, as it cannot be read again:"
    for content, problems in PROBLEMS.items():
        first, *told = served.reload(content).splitlines()
        assert first == kept
        assert [line[: len(begin) + 18] for line, begin in zip(told, problems, strict=True)] == [
            f"  gateway_config: {begin}" for begin in problems
        ]
    config = confdir_of_ours / "config.yaml"
    try:
        config.write_text("usage_db: other.db\nlisten_port: 5\n")
        (served.folder / "prices.yaml").write_text("prices: [{modle: m}]")
        first, *told = served.reload("models: a").splitlines()
        assert [line.split(": ")[0].strip() for line in told] == [
            "listen_port",
            "usage_db",
            "gateway_config",
            "usage_prices",
        ]
        assert "usage_db: config.yaml has another value than at the start; restart to change it" in told[1]
        config.write_text("vertex_api_key: Secret: {\n")
        _, first, *told = served.reload().splitlines()
        assert first == f"  {config}: cannot be read as YAML; correct it"
        assert len(told) == 2
    finally:
        config.unlink()
        (served.folder / "prices.yaml").write_text("prices: []\n")
    assert call(served.proxy.url, "/-/ready").status == 200
    assert served.call("/x" + UNARY).status == 200
    assert served.row()["service"] == "one"
    assert "Secret" not in served.proxy.output
    assert "Traceback" not in served.proxy.output
    # And it is read again as soon as it can be.
    assert "routes changed" in served.reload(ROUTED.format(ONE, "# ", "default"))


def test_a_stream_ends_as_it_began(served: Reloading) -> None:
    """With the service that is gone meanwhile, whose token it has; other calls go to the new one."""
    served.key("one.json")
    served.key("two.json", "other-project")
    served.reload(ROUTED.format(ONE, "# ", "one"))
    with connection(served.proxy.url) as client:
        request(client, "/x" + STREAM, HELLO, headers=NOBODY, plan={"gate": "reload", "events": 5})
        answer = client.getresponse()
        assert answer.status == 200
        begun = read_until(answer, b"\n\r\n")
        assert "service one removed, service two added" in served.reload(ROUTED.format("# ", TWO, "two"))
        assert served.call("/x" + UNARY).status == 200
        assert served.row()["service"] == "two"
        for _ in range(10):
            served.google.gates["reload"].release()
        assert b'"finishReason": "STOP"' in begun + answer.read()
        # The same connection, but another call.
        assert send(client, "/x" + UNARY, HELLO, headers=NOBODY).status == 200
    row = served.proxy.rows("operation = 'streamGenerateContent'")[-1]
    assert (row["service"], row["project"], row["state"], row["usage_state"]) == (
        "one",
        "test-project",
        "done",
        "final",
    )
    assert served.row()["service"] == "two"


SLOW = "echo begins >> log; until test -e go; do sleep 0.02; done; cat one.json; echo ends >> log"


def test_two_signals(served: Reloading) -> None:
    """The second is answered when the first has been; so the last state counts, and never are there two at once."""
    served.key("one.json")
    log, go = served.folder / "log", served.folder / "go"
    slow = f"one: {{auth: service_account, credentials_command: [sh, -c, {SLOW!r}]}}"
    go.unlink(missing_ok=True)
    served.write(ROUTED.format(slow, "# ", "one"))
    served.proxy.process.send_signal(signal.SIGHUP)
    until(log.exists)
    for _ in range(3):
        served.proxy.process.send_signal(signal.SIGHUP)
    served.write(ROUTED.format(slow, "# ", "default"))
    served.proxy.process.send_signal(signal.SIGHUP)
    # Calls go on meanwhile.
    assert served.call("/-/ready", None).status == 200
    assert served.call("/x" + UNARY).status == 200
    go.touch()
    served.answer()
    served.answer()
    assert log.read_text() == "begins\nends\n" * 2
    served.call("/x" + UNARY)
    assert served.row()["service"] == "default"
    go.unlink()


def test_before_it_is_ready(start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
    """A SIGHUP while it starts, which takes as long as a command for a key does. The command sends it, once."""
    (tmp_path / "key.json").write_text(json.dumps(own.credentials.service_account(own.token_uri)))
    script = "test -e sent || { touch sent; kill -HUP $PPID; }; cat key.json"
    described = {"auth": "service_account", "credentials_command": ["sh", "-c", script]}
    (tmp_path / "gateway.yaml").write_text(json.dumps({"services": {"one": described}}))
    proxy = start_proxy("gateway_config=gateway.yaml", mode=f"reverse:{own.url}", serve=True)
    assert Reloading(proxy, own).answer() == "read the configuration again: nothing has changed"


@pytest.mark.parametrize("program", ["mitmdump", "serve"])
def test_the_end_does_not_wait(started: Callable[[str], Reloading], program: str) -> None:
    """A signal to shut down ends a proxy that is reading as any other. A SIGHUP meanwhile does nothing."""
    one = started(program)
    begun = one.folder / "begun"
    one.write(f"services:\n  one: {{auth: service_account, credentials_command: [sh, -c, touch {begun}; sleep 20]}}\n")
    with connection(one.proxy.url) as client:
        request(client, STREAM, HELLO, plan={"gate": program}, headers={"x-goog-api-key": "AIzaSimulatedKey"})
        answer = client.getresponse()
        one.proxy.process.send_signal(signal.SIGHUP)
        until(begun.exists)
        one.proxy.process.send_signal(signal.SIGTERM)
        until(lambda: "finishing 1 call" in one.proxy.output)
        begun.unlink()
        one.proxy.process.send_signal(signal.SIGHUP)
        for _ in range(10):
            one.google.gates[program].release()
        assert b'"finishReason": "STOP"' in answer.read()
    assert one.proxy.process.wait(30) == 0
    assert not begun.exists()
    assert one.row()["state"] == "done"
    assert "Traceback" not in one.proxy.output


class InTerminal:
    """A program that has a terminal to itself, with its output in a file."""

    def __init__(self, folder: Path, confdir: Path, *arguments: str, ignores: bool = False) -> None:
        self._output = folder / "output.txt"
        options = [part for option in (f"confdir={confdir}", "usage_db=usage.db") for part in ("--set", option)]
        command, *rest = arguments
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            os.chdir(folder)
            file = os.open(self._output, os.O_WRONLY | os.O_CREAT)
            os.dup2(file, 1)
            os.dup2(file, 2)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignores else signal.SIG_DFL)
            os.execv(BIN / "vertex-tap", ["vertex-tap", command, *options, *rest])

    def __enter__(self) -> "InTerminal":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def until(self, text: str) -> None:
        until(lambda: self._output.exists() and text in self._output.read_text(), 60)

    def hang_up(self) -> None:
        os.close(self._terminal)

    def status(self) -> int:
        """Its exit status, as soon as it has ended."""
        ended = until(lambda: (told := os.waitpid(self.pid, os.WNOHANG))[0] and told, 60)
        return os.waitstatus_to_exitcode(ended[1])


class TestTerminal:
    """SIGHUP is also what a terminal sends when it closes. Then the proxy ends, as programs do."""

    def test_serve(self, tmp_path: Path, confdir: Path) -> None:
        with InTerminal(tmp_path, confdir, "serve", "--port", "0") as program:
            program.until("the ledger is")
            os.kill(program.pid, signal.SIGHUP)
            program.until("read the configuration again: nothing has changed")
            program.hang_up()
            assert program.status() == 0

    def test_one_that_outlives_its_terminal(self, tmp_path: Path, confdir: Path) -> None:
        """With `nohup`."""
        with InTerminal(tmp_path, confdir, "serve", "--port", "0", ignores=True) as program:
            program.until("the ledger is")
            program.hang_up()
            program.until("read the configuration again: nothing has changed")
            os.kill(program.pid, signal.SIGTERM)
            assert program.status() == 0

    def test_run(self, tmp_path: Path, confdir: Path) -> None:
        """Its program gets the signal, whoever sends it, and ends it."""
        with InTerminal(tmp_path, confdir, "run", "--", "sh", "-c", "echo begun; exec sleep 60") as program:
            program.until("begun")
            program.hang_up()
            assert program.status() == 128 + signal.SIGHUP
