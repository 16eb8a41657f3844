import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mitmproxy import exceptions
from mitmproxy.test import taddons

from addons.options import Options
from tests.configuration import DEFAULTS
from tests.configuration import INJECTING_FILE
from tests.conftest import StartProxy
from tests.forked import run
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.process import BIN
from tests.process import ROOT
from tests.process import until
from tests.vertex_simulator import Simulator


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"usage_tags": "a b", "vertex_auth": "x"}, ["vertex_auth: write 'passthrough'", "usage_tags: write names"]),
        ({"vertex_auth": "adc"}, ["vertex_auth: key.json (GOOGLE_APPLICATION_CREDENTIALS) holds no application"]),
    ],
)
def test_one_message_with_a_line_for_each_problem(
    values: dict[str, str], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")

    async def start() -> None:
        options = Options()
        with taddons.context(options) as context:
            context.options.update(mode=["reverse:https://aiplatform.googleapis.com"])
            with pytest.raises(SystemExit) as ended:
                context.configure(options, **DEFAULTS | values)
        first, *lines = str(ended.value).splitlines()
        assert first == "vertex-tap cannot start:"
        assert len(lines) == len(told)
        assert [line for line, begin in zip(lines, told, strict=True) if not line.startswith(f"  {begin}")] == []

    asyncio.run(start())


@pytest.mark.parametrize("command", ["mitmdump", "serve"])
@pytest.mark.parametrize(
    "options",
    [("listen_host=0.0.0.0",), ("mode=regular",), ("mode=reverse:https://aiplatform.googleapis.com@0.0.0.0:0",)],
)
def test_no_open_relay(command: str, options: tuple[str, ...], tmp_path: Path) -> None:
    sets = ["vertex_auth=express", f"confdir={tmp_path}", *options]
    if not any(option.startswith("mode=") for option in sets):
        sets.append("mode=reverse:https://aiplatform.googleapis.com")
    full = [*map(str, COMMANDS[command]), *(part for option in sets for part in ("--set", option))]
    env = {**os.environ, "VERTEX_API_KEY": "AIzaSecret"}
    ended = run(full, tmp_path, env)
    assert ended.returncode == 1
    assert "vertex-tap cannot start" in ended.stderr
    assert "listening" not in ended.stdout
    assert "Secret" not in ended.stdout + ended.stderr


def test_a_later_change_is_refused() -> None:
    async def change() -> None:
        options = Options()
        with taddons.context(options) as context:
            context.configure(options, **DEFAULTS)
            with pytest.raises(exceptions.OptionsError, match="usage_db: read at start only; restart"):
                context.configure(options, usage_db="other.db")

    asyncio.run(change())


@pytest.mark.parametrize("change", [{"listen_host": "0.0.0.0"}, {"mode": ["regular"]}, {"ssl_insecure": True}])
def test_no_open_relay_later(change: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEX_API_KEY", "AIzaSecret")

    async def change_it() -> None:
        options = Options()
        with taddons.context(options) as context:
            context.options.update(mode=["reverse:https://aiplatform.googleapis.com"])
            context.configure(options, **DEFAULTS | {"vertex_auth": "express"})
            assert context.options.listen_host == "127.0.0.1"
            with pytest.raises(exceptions.OptionsError, match=r"write|leave"):
                context.configure(options, **change)

    asyncio.run(change_it())


def test_a_file_with_a_key_listens_on_this_machine(injecting_file: Path) -> None:
    async def start() -> None:
        options = Options()
        with taddons.context(options) as context:
            context.options.update(mode=["reverse:https://aiplatform.googleapis.com"])
            context.configure(options, **DEFAULTS | {"gateway_config": str(injecting_file)})
            assert context.options.listen_host == "127.0.0.1"
            with pytest.raises(exceptions.OptionsError, match="listen_host: anyone"):
                context.configure(options, listen_host="0.0.0.0")

    asyncio.run(start())


def newer(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE calls (id)")
        db.execute("PRAGMA user_version = 99")
    return path


COMMANDS: dict[str, list[str | Path]] = {
    "mitmdump": [BIN / "mitmdump", "-s", ROOT / "addons" / "gateway.py", "-p", "0"],
    "serve": [BIN / "vertex-tap", "serve", "--port", "0"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_does_not_start(command: str, tmp_path: Path) -> None:
    """One message on stderr, a status that is not 0, no listener, no traceback, no files."""
    options = [
        "usage_tag=x",
        "gateway_base_path=x",
        f"usage_db={newer(tmp_path / 'newer.db')}",
        f"confdir={tmp_path}",
    ]
    sets = [part for option in options for part in ("--set", option)]
    ended = run([*COMMANDS[command], *sets], tmp_path)
    assert ended.returncode == 1
    _, *problems = ended.stderr.splitlines()
    assert [problem.strip().partition(":")[0] for problem in problems] == [
        "usage_tag",
        "gateway_base_path",
        "usage_db",
    ]
    assert "newer vertex-tap" in problems[2]
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "listening" not in ended.stdout
    assert not list(tmp_path.glob("usage.db*"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("sets", "config", "problem"),
    [
        (("usage_tags=x-a", "usage_tags=x-b"), "", "usage_tags: set it once"),
        (("vertex_auth",), "", "vertex_auth: write it as text"),
        ((), "usage_db: 5\n", "usage_db: write it as text"),
        ((), "usage_db: true\n", "usage_db: write it as text"),
        (("gateway_keep_content=yes",), "", "gateway_keep_content: write true or false"),
        ((), "gateway_base_path: [/a, /b]\n", "gateway_base_path: write it as text"),
    ],
)
def test_values_that_are_no_text(
    command: str, sets: tuple[str, ...], config: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(config)
    options = [part for option in (f"confdir={tmp_path}", *sets) for part in ("--set", option)]
    full = [*map(str, COMMANDS[command]), *options]
    ended = run(full, tmp_path)
    assert (ended.returncode, problem in ended.stderr) == (1, True), ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_does_not_start(command: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("services:\n  a: {api_key: AIzaSecret}\nclients: []\n")
    options = (f"confdir={tmp_path}", "gateway_config=gateway.yaml", "mode=reverse:https://aiplatform.googleapis.com")
    full = [*map(str, COMMANDS[command]), *(part for option in options for part in ("--set", option))]
    ended = run(full, tmp_path)
    assert ended.returncode == 1
    assert [line.strip().partition(": ")[2][:16] for line in ended.stderr.splitlines()[1:]] == [
        "gateway.yaml:2: ",
        "gateway.yaml:3: ",
    ]
    assert not [word for word in ("Traceback", "Secret", "listening") if word in ended.stdout + ended.stderr]


@pytest.mark.parametrize("serve", [False, True])
def test_a_file_that_starts(start_proxy: StartProxy, simulator: Simulator, injecting_file: Path, serve: bool) -> None:
    injecting_file.write_text(f"{INJECTING_FILE}routes: [{{base_path: /mine, service: default}}]\n")
    proxy = start_proxy(f"gateway_config={injecting_file}", mode=f"reverse:{simulator.url}", serve=serve)
    assert call(proxy.url, f"/mine{MODEL}:generateContent", HELLO).status == 200
    assert proxy.new_row()["service"] == "default"
    assert "Secret" not in proxy.output


def test_a_switch_in_config_yaml(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("gateway_keep_content: true\n")
    proxy = start_proxy(mode=f"reverse:{simulator.url}", confdir=tmp_path)
    until(lambda: "gateway_keep_content is on" in proxy.output)


def test_serve_knows_all_its_options(tmp_path: Path) -> None:
    """What mitmdump has and `serve` has not is no silence, but in config.yaml it is mitmproxy's own affair."""
    (tmp_path / "config.yaml").write_text("save_stream_file: flows\nflow_detail: 2\n")
    sets = ["--set", f"confdir={tmp_path}", "--set", "flow_detail=0"]
    ended = run([*COMMANDS["serve"], *sets], tmp_path)
    assert ended.returncode == 1
    assert "flow_detail: there is no such option" in ended.stderr
    assert "save_stream_file" not in ended.stderr


def test_options_may_stand_in_config_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("usage_tags: authorization\n")
    for command in COMMANDS.values():
        full = [*map(str, command), "--set", f"confdir={tmp_path}"]
        ended = run(full, tmp_path)
        assert (ended.returncode, "usage_tags: authorization holds" in ended.stderr) == (1, True), sys.argv
