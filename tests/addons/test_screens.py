"""What mitmproxy's screens show: mitmdump's log, mitmweb's API, the console in a terminal (tmux)."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import exceptions
from mitmproxy.utils import emoji

from addons import screens
from addons.recorder import Recorder
from metering.call_line import dollars
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import Response
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.process import BIN
from tests.process import ROOT
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
HEADERS = {"authorization": "Bearer secret", "cookie": "_xsrf=x; _mitmproxy_xsrf=x", "x-xsrftoken": "x"}
"""For mitmweb: its password, and what proves that no other page asks."""

LINE = re.compile(r"vertex-tap: (.* done.*)")


class Web:
    """A mitmweb with our addons, in front of the simulator."""

    def __init__(self, start: Callable[..., Proxy], *options: str, mode: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._url = f"http://127.0.0.1:{free.getsockname()[1]}"
        arguments = ["--set", f"web_port={self._url.rpartition(':')[2]}", "--set", "web_open_browser=false"]
        if sys.version_info >= (3, 12):
            arguments += ["--set", "web_password=secret"]
        self.proxy = start(*options, mode=mode, program="mitmweb", arguments=arguments)

    def ask(self, path: str, body: object = None) -> Response:
        return call(self._url, f"{path}?token=secret", body, headers=HEADERS)

    def flows(self) -> list[dict[str, Any]]:
        """The flows that have ended."""
        flows: list[dict[str, Any]] = self.ask("/flows").json()
        return [flow for flow in flows if flow["comment"] and not flow["comment"].endswith("open")]

    def content(self, flow: dict[str, Any], message: str) -> str:
        """What the page shows of a body, in the view that mitmproxy chooses."""
        shown = self.ask(f"/flows/{flow['id']}/{message}/content/auto.json").json()
        if "text" in shown:
            return str(shown["text"])
        return "\n".join("".join(text for _, text in line) for line in shown["lines"])

    def data(self, flow: dict[str, Any], message: str) -> bytes:
        """The body as it is kept."""
        return self.ask(f"/flows/{flow['id']}/{message}/content.data").body


def test_a_streamed_call_in_mitmweb(start_proxy: StartProxy, simulator: Simulator) -> None:
    web = Web(start_proxy, "gateway_keep_content=true", mode=f"reverse:{simulator.url}")
    assert until(lambda: "gateway_keep_content is on: prompts and answers stay in memory" in web.proxy.output)
    answer = call(web.proxy.url, f"{STREAM}&key={API_KEY}", HELLO, headers={"x-goog-api-key": ""}, plan={"thoughts": 5})
    call(web.proxy.url, f"{MODEL}:generateContent", HELLO, plan={"status": 429})
    done, failed = until(lambda: len(flows := web.flows()) == 2 and flows)
    row = web.proxy.rows("status = 200")[0]
    tokens = f"gemini-2.5-flash, {row['input_tokens']} in, {row['output_tokens']} out (5 thoughts), $"
    assert done["comment"].startswith(tokens)
    assert done["comment"].endswith(" s, done")
    assert (done["marked"], failed["marked"]) == ("", emoji.emoji[screens.MARK])
    assert failed["comment"].endswith("done RESOURCE_EXHAUSTED")
    asked, told = web.content(done, "request"), web.content(done, "response")
    assert "user\n  Hello, who are you?" in asked
    assert "assistant\n  Hello there, this is" in told
    assert f"tokens: {row['input_tokens']} input, {row['output_tokens']} output (5 thoughts)" in told
    assert web.data(done, "response") == answer.body
    assert "error 429 RESOURCE_EXHAUSTED" in web.content(failed, "response")
    for text in (asked, told, json.dumps(web.flows()), web.data(done, "request").decode()):
        assert API_KEY not in text

    value = web.ask("/commands/vertex.report", {"arguments": ["model"]}).json()["value"]
    cost = dollars((0.3 * row["input_tokens"] + 2.5 * row["output_tokens"]) / 1_000_000)
    assert value == [
        ["model", *screens.SUMS.values()],
        ["gemini-2.5-flash", "2", "1", str(row["input_tokens"]), "-", str(row["output_tokens"]), "5", cost],
    ]
    heads, newest, oldest = web.ask("/commands/vertex.calls", {"arguments": []}).json()["value"]
    assert heads == [*screens.COLUMNS.values()]
    assert (newest[3], newest[5], oldest[3], oldest[-1]) == ("429", "RESOURCE_EXHAUSTED", "200", row["id"])
    assert "cannot group by" in web.ask("/commands/vertex.report", {"arguments": ["nothing"]}).json()["error"]


def test_a_call_under_way(start_proxy: StartProxy, simulator: Simulator) -> None:
    web = Web(start_proxy, mode=f"reverse:{simulator.url}")
    with connection(web.proxy.url) as client:
        request(client, STREAM, HELLO, plan={"hang": True})
        until(lambda: [flow["comment"] for flow in web.ask("/flows").json()] == ["gemini-2.5-flash, open"])
    (flow,) = until(web.flows)
    assert flow["comment"].endswith(" s, client_closed")
    assert flow["marked"]


def test_without_the_option_there_is_no_content(start_proxy: StartProxy, simulator: Simulator) -> None:
    web = Web(start_proxy, mode=f"reverse:{simulator.url}")
    assert "gateway_keep_content" not in web.proxy.output
    call(web.proxy.url, STREAM, HELLO)
    (flow,) = until(web.flows)
    assert flow["comment"].startswith("gemini-2.5-flash, ")
    for message in ("request", "response"):
        assert "issing" in web.content(flow, message)
        assert b"Hello" not in web.data(flow, message)


def test_a_line_in_the_log_of_mitmdump(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("flow_detail=0", mode=f"reverse:{simulator.url}")
    call(proxy.url, STREAM, HELLO)
    call(proxy.url, f"{MODEL}:generateContent", HELLO, plan={"status": 503})
    call(proxy.url, "/unknown%1B%0A", None)
    streamed, failed, unknown = until(lambda: len(found := LINE.findall(proxy.output)) == 3 and found)
    assert streamed.startswith("streamGenerateContent gemini-2.5-flash 200 done, 4 in, 4 out, $1.1e-05, ttft ")
    assert failed.startswith("generateContent gemini-2.5-flash 503 done UNAVAILABLE, ")
    assert unknown.startswith("GET /unknown%1B%0A 404 done NOT_FOUND, ")


@pytest.fixture
def terminal() -> Iterator[Callable[..., str]]:
    """A function that runs tmux with arguments, and returns what it prints. Its server is ended after the test."""
    tmux = shutil.which("tmux")
    if not tmux:
        pytest.skip("tmux is not installed")
    name = f"vertex-tap-{uuid.uuid4().hex[:8]}"

    def run(*arguments: str) -> str:
        command = [tmux, "-L", name, "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    yield run
    (pane,) = run("list-panes", "-F", "#{pane_pid}").split()
    of_pane = [*map(int, Path(f"/proc/{pane}/task/{pane}/children").read_text().split()), int(pane)]
    run("kill-server")
    # The console ends with its terminal.
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in of_pane), 30)


def test_the_console(
    terminal: Callable[..., str], simulator: Simulator, confdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sets = (f"confdir={confdir}", "gateway_keep_content=true", f"mode=reverse:{simulator.url}", f"listen_port={port}")
    options = [part for one in sets for part in ("--set", one)]
    command = shlex.join([str(BIN / "mitmproxy"), "-s", str(ROOT / "addons" / "gateway.py"), *options])
    monkeypatch.setenv("LANG", "C.UTF-8")
    terminal("new-session", "-d", "-x", "160", "-y", "50", "-c", str(tmp_path), f"{command} 2>{tmp_path}/err")

    def sees(*texts: str) -> str:
        def look() -> str:
            screen = terminal("capture-pane", "-p")
            return screen if all(text in screen for text in texts) else ""

        try:
            return str(until(look, 60))
        except AssertionError:
            raise AssertionError(
                f"{texts} is not in\n{terminal('capture-pane', '-p')}\n{os.listdir(tmp_path)}"
            ) from None

    sees("[0/0]")
    call(
        f"http://127.0.0.1:{port}",
        f"{STREAM}&key={API_KEY}",
        HELLO,
        headers={"x-goog-api-key": ""},
        plan={"thoughts": 5},
    )
    sees("streamGenerateContent", "[1/1]")
    terminal("send-keys", "Enter")
    assert API_KEY not in sees("Hello, who are you?", "user")
    terminal("send-keys", "Tab")
    assert API_KEY not in sees("assistant", "Hello there, this is", "tokens: 4 input", "(5 thoughts)")
    terminal("send-keys", "Tab")
    sees("Comment: gemini-2.5-flash, 4 in, ")
    terminal("send-keys", "q")
    terminal("send-keys", ":")
    terminal("send-keys", "-l", "vertex.report")
    terminal("send-keys", "Enter")
    sees("thoughts", "gemini-2.5-flash")


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    settings = SimpleNamespace(usage_db=tmp_path / "none.db")
    options: Any = SimpleNamespace(configuration=SimpleNamespace(settings=settings))
    addon = screens.Screens(options, {}, Recorder(options, {}))
    for ask in (addon.report, addon.calls):
        with pytest.raises(exceptions.CommandError, match="there is no ledger"):
            ask()
