"""`vertex-tap run` with small programs, both ways."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.addons.test_child import INTERACTIVE
from tests.addons.test_child import Terminal
from tests.forked import Forked
from tests.forked import run
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.loopback import Tunnel
from tests.loopback import environment
from tests.process import BIN
from tests.process import Row
from tests.process import rows_of
from tests.process import until
from tests.vertex_simulator import Simulator

CALLS = """
import json, os, sys, urllib.error, urllib.request
for url, key, body in json.loads(sys.argv[1]):
    request = urllib.request.Request(os.path.expandvars(url), json.dumps(body).encode() if body else None)
    request.add_header("content-type", "application/json")
    request.add_header(*key)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
            print(answer.status)
    except urllib.error.HTTPError as e:
        print(e.code)
"""
"""Calls URLs, in which it expands variables."""
GOOGLES, OPENAIS = ("x-goog-api-key", API_KEY), ("authorization", "Bearer sk-simulated")
VERTEX = ("$GOOGLE_VERTEX_BASE_URL" + f"{MODEL}:generateContent", GOOGLES, HELLO)
# The simulator does not know it.
GEMINI = ("$GOOGLE_GEMINI_BASE_URL/v1beta/models/gemini-2.5-flash:generateContent", GOOGLES, HELLO)
OPENAI = (
    "$OPENAI_BASE_URL/chat/completions",
    OPENAIS,
    {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
)
ROOTS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")

RunProgram = Callable[..., CompletedProcess[str]]


def calling(*calls: object) -> list[str]:
    return [sys.executable, "-c", CALLS, json.dumps(calls)]


def command(
    folder: Path, confdir: Path, *arguments: str, sets: tuple[str, ...] = (), via: str = "base-url"
) -> list[str]:
    options = (f"confdir={confdir}", f"usage_db={folder / 'usage.db'}", *sets)
    return [
        "vertex-tap", "run", "--via", via, *(part for option in options for part in ("--set", option)), "--", *arguments
    ]  # fmt: skip


def without_settings(**variables: str) -> dict[str, str]:
    """The environment of a user who has set nothing but these variables."""
    ours = ("_BASE_URL", "_API_BASE", "_PROXY", "_proxy", "_API_KEY")
    own = {name: value for name, value in os.environ.items() if not name.endswith(ours) and name not in ROOTS}
    return own | variables


@pytest.fixture
def run_program(tmp_path: Path, confdir: Path) -> RunProgram:
    def run_program(
        *arguments: str, sets: tuple[str, ...] = (), via: str = "base-url", **variables: str
    ) -> CompletedProcess[str]:
        return run(command(tmp_path, confdir, *arguments, sets=sets, via=via), tmp_path, without_settings(**variables))

    return run_program


def rows(folder: Path) -> list[Row]:
    return rows_of(folder / "usage.db")


class TestBaseUrl:
    def test_a_program(self, run_program: RunProgram, simulator: Simulator, tmp_path: Path) -> None:
        ended = run_program(*calling(VERTEX, GEMINI, OPENAI), sets=(f"mode=reverse:{simulator.url}",))
        # The program's output is its own.
        assert (ended.returncode, ended.stdout) == (0, "200\n404\n200\n"), ended.stderr
        assert [line.split()[:4] for line in ended.stderr.splitlines() if line.strip(" ─")][:4] == [
            ["model", "calls", "input", "cached"],
            ["gpt-4o", "1", "1", "unknown"],
            ["gemini-2.5-flash", "2", "4", "unknown"],
            ["total", "3", "5", "unknown"],
        ]
        assert [row["surface"] for row in rows(tmp_path)] == ["vertex", "gemini", "openai"]

    def test_its_own_calls_only(self, run_program: RunProgram, simulator: Simulator, tmp_path: Path) -> None:
        """The ledger is that of all."""
        for _ in "12":
            ended = run_program(*calling(VERTEX), sets=(f"mode=reverse:{simulator.url}",))
            assert "gemini-2.5-flash       1 " in ended.stderr
        assert len(rows(tmp_path)) == 2

    def test_variables_that_are_set_become_upstreams(
        self, run_program: RunProgram, simulator: Simulator, tmp_path: Path
    ) -> None:
        """Each dialect's calls go where they have gone before, with their keys."""
        with Simulator(credentials=simulator.credentials) as llm:
            before = len(simulator.seen)
            ended = run_program(
                *calling(VERTEX, GEMINI, OPENAI),
                GOOGLE_VERTEX_BASE_URL=simulator.url,
                GOOGLE_GEMINI_BASE_URL=simulator.url,
                OPENAI_BASE_URL=f"{llm.url}/v1",
            )
            assert (ended.returncode, ended.stdout) == (0, "200\n404\n200\n"), ended.stderr
            seen = [[one.request.path for one in calls] for calls in (simulator.seen[before:], llm.seen)]
        assert seen == [
            [VERTEX[0].removeprefix("$GOOGLE_VERTEX_BASE_URL"), GEMINI[0].removeprefix("$GOOGLE_GEMINI_BASE_URL")],
            ["/v1/chat/completions"],
        ]
        assert {row["upstream_host"] for row in rows(tmp_path)} == {"127.0.0.1"}

    def test_an_upstream_gets_no_other_calls(
        self, run_program: RunProgram, simulator: Simulator, google: Simulator, ca_file: Path, tmp_path: Path
    ) -> None:
        """Only the Gemini API's calls have had another base URL. The others go to Google and OpenAI."""
        before = len(simulator.seen)
        ended = run_program(
            *calling(VERTEX, GEMINI, OPENAI),
            GOOGLE_GEMINI_BASE_URL=simulator.url,
            SSL_CERT_FILE=str(ca_file),
            **environment({443: google.port}),
        )
        assert (ended.returncode, ended.stdout) == (0, "200\n404\n200\n"), ended.stderr
        assert len(simulator.seen) == before + 1
        hosts = ["aiplatform.googleapis.com", "127.0.0.1", "api.openai.com"]
        assert [row["upstream_host"] for row in rows(tmp_path)] == hosts

    def test_two_variables_that_differ(self, run_program: RunProgram, tmp_path: Path) -> None:
        ended = run_program(
            "true", OPENAI_BASE_URL="https://a.example/v1", OPENAI_API_BASE="https://b.example/v1", SSL_CERT_FILE="/no"
        )
        assert (ended.returncode, ended.stdout) == (1, "")
        first, *problems = ended.stderr.splitlines()
        assert first == "vertex-tap cannot start:"
        assert [problem.split(":")[0].strip() for problem in problems] == ["OPENAI_API_BASE", "SSL_CERT_FILE"]

    def test_messages_if_they_are_converted(
        self, run_program: RunProgram, simulator: Simulator, key_file: Path, tmp_path: Path
    ) -> None:
        body = {"model": "gemini-2.5-flash", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
        ended = run_program(
            *calling(("$ANTHROPIC_BASE_URL/v1/messages", ("x-api-key", "sk-ant-simulated"), body)),
            sets=("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key_file}"),
            ANTHROPIC_BASE_URL="https://gw.example",
            OPENAI_BASE_URL="https://gw.example",
            GOOGLE_VERTEX_BASE_URL=simulator.url,
        )
        assert (ended.returncode, ended.stdout) == (0, "200\n"), ended.stderr
        (row,) = rows(tmp_path)
        assert (row["surface"], row["rewritten"], row["upstream_host"]) == ("anthropic", 1, "127.0.0.1")

    def test_no_call(self, run_program: RunProgram) -> None:
        ended = run_program("sh", "-c", "exit 3")
        assert ended.returncode == 3
        assert "No call came through" in ended.stderr
        assert "vertex-tap run --via proxy -- sh -c 'exit 3'" in ended.stderr

    def test_a_ledger_that_is_gone(self, run_program: RunProgram, tmp_path: Path) -> None:
        """The status is the program's nonetheless."""
        path = tmp_path / "usage.db"
        # The proxy makes a new ledger as soon as it notices.
        ended = run_program("sh", "-c", f"until rm -f {path}* && mkdir {path}; do :; done 2>/dev/null; exit 5")
        assert ended.returncode == 5
        assert f"the ledger {path} cannot be read" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_a_call_that_is_still_open(self, run_program: RunProgram, simulator: Simulator, tmp_path: Path) -> None:
        hang = "import os, signal, sys; signal.alarm(3); exec(sys.argv[2])"
        program = [sys.executable, "-c", hang, json.dumps([VERTEX]), CALLS.replace("request.add_header(*key)", PLAN)]
        ended = run_program(*program, sets=(f"mode=reverse:{simulator.url}",))
        assert ended.returncode == 128 + signal.SIGALRM
        assert "Calls that failed: 1" in ended.stderr
        assert [row["state"] for row in rows(tmp_path)] == ["client_closed"]


PLAN = "request.add_header(*key); request.add_header('x-simulator', json.dumps({'hang': True}))"


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [
        (["sh", "-c", "kill -TERM $$"], 143, "No call came through"),
        (["no-such-program"], 127, "vertex-tap: no-such-program: command not found\n"),
        (["/etc/passwd"], 126, "vertex-tap: /etc/passwd: Permission denied\n"),
    ],
)
def test_status(run_program: RunProgram, program: list[str], status: int, words: str) -> None:
    ended = run_program(*program)
    assert ended.returncode == status
    assert words in ended.stderr


@pytest.mark.parametrize(
    ("via", "mode"), [("base-url", "regular"), ("proxy", "reverse:https://aiplatform.googleapis.com")]
)
def test_a_mode_that_does_not_fit(run_program: RunProgram, via: str, mode: str) -> None:
    ended = run_program("true", via=via, sets=(f"mode={mode}",))
    assert ended.returncode == 1
    assert f"mode: --via {via} needs " in ended.stderr


def test_a_signal(simulator: Simulator, tmp_path: Path, confdir: Path) -> None:
    """What another process sends is passed on, and the calls up to then are told."""
    script = "import signal, sys; exec(sys.argv[2]); signal.pause()"
    program = command(
        tmp_path,
        confdir,
        sys.executable,
        "-c",
        script,
        json.dumps([VERTEX]),
        CALLS,
        sets=(f"mode=reverse:{simulator.url}",),
    )
    out, error = tmp_path / "out", tmp_path / "err"
    process = Forked(program, tmp_path, without_settings(PYTHONUNBUFFERED="1"), out, error)
    until(lambda: out.read_text() == "200\n", 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert "gemini-2.5-flash" in error.read_text()


def test_in_a_terminal(tmp_path: Path, confdir: Path) -> None:
    """The proxy says nothing while the program has the terminal. Ctrl-C and Ctrl-Z are the program's."""
    (tmp_path / "asks.py").write_text(INTERACTIVE)
    terminal = Terminal()
    try:
        _, *arguments = command(tmp_path, confdir, sys.executable, str(tmp_path / "asks.py"))
        terminal.type(shlex.join([str(BIN / "vertex-tap"), *arguments]) + "\n")
        assert terminal.until("foreground True", 100).count("\n") == 1
        terminal.until("ask> ")
        terminal.type("\x03")
        assert terminal.until("interrupted") == "^Cinterrupted"
        terminal.type("\x1a")
        terminal.until("SHELL> ")
        terminal.type("fg\n")
        terminal.until("asks.py\r\n")
        terminal.type("hello\n")
        assert terminal.until("HELLO").split() == ["hello", "HELLO"]
        terminal.type("quit\n")
        assert "No call came through" in terminal.until("SHELL> ")
        terminal.type("echo status=$?\n")
        terminal.until("status=5")
    finally:
        terminal.close()


class TestProxy:
    def test_a_program(self, run_program: RunProgram, google: Simulator, ca_file: Path, tmp_path: Path) -> None:
        """Its own certificates are trusted by both."""
        urls = ("https://aiplatform.googleapis.com", "https://api.openai.com/v1")
        vertex = (VERTEX[0].replace("$GOOGLE_VERTEX_BASE_URL", urls[0]), *VERTEX[1:])
        openai = (OPENAI[0].replace("$OPENAI_BASE_URL", urls[1]), *OPENAI[1:])
        ended = run_program(
            *calling(vertex, openai), via="proxy", SSL_CERT_FILE=str(ca_file), **environment({443: google.port})
        )
        assert (ended.returncode, ended.stdout) == (0, "200\n200\n"), ended.stderr
        assert [row["upstream_host"] for row in rows(tmp_path)] == ["aiplatform.googleapis.com", "api.openai.com"]
        assert "gpt-4o" in ended.stderr

    def test_behind_a_proxy(self, run_program: RunProgram, google: Simulator, ca_file: Path, tmp_path: Path) -> None:
        vertex = (VERTEX[0].replace("$GOOGLE_VERTEX_BASE_URL", "https://aiplatform.googleapis.com"), *VERTEX[1:])
        with Tunnel({443: google.port}) as tunnel:
            ended = run_program(*calling(vertex), via="proxy", SSL_CERT_FILE=str(ca_file), HTTPS_PROXY=tunnel.url)
            assert (ended.returncode, ended.stdout) == (0, "200\n"), ended.stderr
            assert tunnel.connected == ["aiplatform.googleapis.com:443"]
        assert len(rows(tmp_path)) == 1

    def test_no_call(self, run_program: RunProgram) -> None:
        ended = run_program("true", via="proxy")
        assert "No call to an AI API came through" in ended.stderr


def test_clients_of_the_file(run_program: RunProgram, simulator: Simulator, tmp_path: Path) -> None:
    """The program needs no key, as the proxy is its own. If it sends one, that is not sent on."""
    (tmp_path / "gateway.yaml").write_text("clients: [{name: team-a, key_env: TEAM_A_KEY}]\n")
    key = "vt-team-a-0123456789"
    named = (VERTEX[0], ("x-vertex-tap-key", key), HELLO)
    sets = (f"gateway_config={tmp_path / 'gateway.yaml'}", f"mode=reverse:{simulator.url}")
    ended = run_program(*calling(VERTEX, named), sets=sets, TEAM_A_KEY=key)
    assert (ended.returncode, ended.stdout.split()[:1]) == (0, ["200"])
    first, second = rows_of(tmp_path / "usage.db")
    assert (second["client"], first["client"] == "team-a") == ("team-a", False)
    assert key not in str(simulator.seen[-1].request.raw_headers)
