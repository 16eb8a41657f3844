import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mitmproxy import exceptions
from mitmproxy.proxy import mode_specs
from mitmproxy.test import taddons

from addons.options import ENVIRONMENT
from addons.options import OPTIONS
from addons.options import SINGLE
from addons.options import Listening
from addons.options import Options
from addons.options import Settings
from addons.options import read
from addons.services import Endpoint
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.process import BIN
from tests.process import ROOT
from tests.vertex_simulator import Simulator

DEFAULTS = {name: default for name, (default, _) in OPTIONS.items()}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_table_and_the_model_are_one() -> None:
    assert tuple(OPTIONS) == tuple(Settings.model_fields)


def test_defaults() -> None:
    settings = read(DEFAULTS, [])
    assert settings.openai_endpoint == Endpoint("https", "api.openai.com", 443, "/v1")
    assert not settings.names_openai_endpoint
    assert (settings.gateway_config, settings.openai_key) == (None, None)
    assert (settings.vertex_endpoint, settings.gateway_base_path, settings.usage_tags) == (None, (), ())
    assert settings.usage_db == Path("usage.db")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("vertex_endpoint", "http://127.0.0.1:9000", Endpoint("http", "127.0.0.1", 9000, "")),
        ("vertex_endpoint", "https://gw.example/vertex/", Endpoint("https", "gw.example", 443, "/vertex")),
        (
            "openai_endpoint",
            "https://x.example/compatible/v1",
            Endpoint("https", "x.example", 443, "/compatible/v1"),
        ),
        ("gateway_base_path", "/vertex, /api/vertex-ai,/gemini/", ("/api/vertex-ai", "/vertex", "/gemini")),
        ("usage_tags", "x-team, X-App", ("x-team", "x-app")),
        ("usage_db", "~/usage.db", Path("~/usage.db").expanduser()),
    ],
)
def test_values(name: str, text: str, value: object) -> None:
    assert getattr(read(DEFAULTS | {name: text}, []), name) == value


@pytest.mark.parametrize(
    ("name", "text", "help"),
    [
        ("vertex_endpoint", "127.0.0.1:9000", "write a URL such as https://example.com/v1"),
        ("vertex_endpoint", "ftp://x", "write a URL such as"),
        ("vertex_endpoint", "https://", "write a URL such as"),
        ("vertex_endpoint", "https://x:port", "write a URL such as"),
        ("vertex_endpoint", "https://user:secret@x", "write a URL without user, query and fragment"),
        ("openai_endpoint", "", "write a URL such as"),
        ("vertex_endpoint", "http://a b/", "write a URL such as"),
        ("openai_endpoint", "https://x?key=secret", "write a URL without user, query and fragment"),
        ("gateway_base_path", "vertex", "write paths that begin with a slash, such as /vertex"),
        ("gateway_base_path", "/a b", "write paths"),
        ("gateway_base_path", "/", "write paths"),
        ("usage_tags", "x team", "write names of request headers"),
        ("usage_tags", "X-Goog-Api-Key", "holds a credential, which is never stored"),
        ("usage_db", "/nowhere/usage.db", "there is no directory /nowhere; make it or name another file"),
        ("usage_db", ".", "is a directory; name a file in it"),
        ("usage_db", "~nosuchuser/x.db", "names the home of nobody"),
        ("usage_db", "x" * 300, "cannot be a file"),
        ("usage_db", "/dev/null", "is no file"),
        ("usage_tags", "x-auth-token", "holds a credential"),
        ("vertex_auth", "sevice_account", "write 'passthrough'"),
        ("vertex_credentials", "/nowhere/key.json", "cannot be read"),
        ("vertex_credentials", "~nosuchuser/key.json", "names the home of nobody"),
        ("vertex_project", "p/../q", "write the id of a Google Cloud project"),
        ("vertex_location", "evil.com#", "write a location of Vertex AI, such as global"),
        ("openai_mode", "convrt", "write 'observe'"),
        ("vertex_api_key", "AIza secret", "holds what no API key has"),
        ("openai_api_key", "sk-secret\n", "holds what no API key has"),
        ("gateway_config", "/nowhere/gateway.yaml", "/nowhere/gateway.yaml cannot be read (No such file"),
    ],
)
def test_bad_values(name: str, text: str, help: str) -> None:
    with pytest.raises(SystemExit) as ended:
        read(DEFAULTS | {name: text}, [])
    first, problem = str(ended.value).splitlines()
    assert first == "vertex-tap cannot start:"
    assert problem.startswith(f"  {name}: ")
    assert help in problem
    assert "secret" not in problem


REVERSE = mode_specs.ProxyMode.parse("reverse:https://aiplatform.googleapis.com")
FORWARD = mode_specs.ProxyMode.parse("regular")
EVERYWHERE = mode_specs.ProxyMode.parse("reverse:https://aiplatform.googleapis.com@0.0.0.0:8080")
CLEAR = mode_specs.ProxyMode.parse("reverse:http://aiplatform.googleapis.com")
EXPRESS = {"vertex_auth": "express", "vertex_api_key": "AIzaSecret"}
OPENAI_KEY = {"openai_mode": "convert", "openai_api_key": "sk-Secret"}


@pytest.mark.parametrize(
    ("options", "listening", "problem"),
    [
        ({"vertex_auth": "express"}, Listening([REVERSE], "127.0.0.1", False), "vertex_api_key: vertex_auth=express"),
        ({"vertex_auth": "service_account"}, Listening([REVERSE], "::1", False), "vertex_credentials: vertex_auth"),
        (EXPRESS | {"openai_mode": "compatible"}, Listening([REVERSE], "localhost", False), "openai_mode: Vertex's"),
        ({"openai_mode": "convert"}, Listening([FORWARD], "", False), "openai_mode: calls are rewritten in reverse"),
        (OPENAI_KEY, Listening([REVERSE], "0.0.0.0", False), "listen_host: whoever reaches 0.0.0.0"),
        (OPENAI_KEY, Listening([REVERSE], "127.0.0.1", True), "ssl_insecure: credentials go to verified hosts only"),
        (EXPRESS, Listening([FORWARD], "127.0.0.1", False), "vertex_auth: credentials are added in reverse mode only"),
        (EXPRESS, Listening([REVERSE], "0.0.0.0", False), "listen_host: whoever reaches 0.0.0.0"),
        (EXPRESS, Listening([REVERSE], "192.0.2.1", False), "listen_host: whoever reaches 192.0.2.1"),
        (EXPRESS, Listening([REVERSE, EVERYWHERE], "127.0.0.1", False), "listen_host: whoever reaches 0.0.0.0"),
        (EXPRESS, Listening([REVERSE], "127.0.0.1", True), "ssl_insecure: credentials go to verified hosts only"),
        (EXPRESS, Listening([CLEAR], "127.0.0.1", False), "mode: credentials go to Google over TLS only"),
    ],
)
def test_contradictions(
    options: dict[str, str], listening: Listening, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SystemExit) as ended:
        read(DEFAULTS | options, [], listening)
    _, told = str(ended.value).splitlines()
    assert told.strip().startswith(problem)
    assert "Secret" not in told


def test_credentials_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEX_API_KEY", "AIzaFromThere")
    assert read(DEFAULTS | {"vertex_auth": "express"}, []).vertex_api_key == "AIzaFromThere"
    assert read(DEFAULTS, []).vertex_api_key == ""


@pytest.mark.parametrize(("mode", "used"), [("observe", None), ("convert", "sk-there"), ("compatible", "sk-there")])
def test_an_openai_key_is_for_rewritten_calls(monkeypatch: pytest.MonkeyPatch, mode: str, used: str | None) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-there")
    assert read(DEFAULTS | {"openai_mode": mode}, []).openai_key == used
    assert read(DEFAULTS | {"openai_mode": mode, "openai_api_key": "sk-here"}, []).openai_key == (used and "sk-here")


INJECTING_FILE = "services:\n  a: {provider: openai, base_url: 'https://x.example', api_key_env: SOME_KEY}\n"


@pytest.fixture
def injecting_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a key that clients do not have, though `vertex_auth` is passthrough."""
    monkeypatch.setenv("SOME_KEY", "sk-Secret")
    file = tmp_path / "gateway.yaml"
    file.write_text(INJECTING_FILE)
    return file


@pytest.mark.parametrize(
    ("listening", "problem"),
    [
        (Listening([FORWARD], "127.0.0.1", False), "gateway_config: calls are routed in reverse mode only"),
        (Listening([REVERSE], "0.0.0.0", False), "listen_host: whoever reaches 0.0.0.0"),
        (Listening([REVERSE], "127.0.0.1", True), "ssl_insecure: credentials go to verified hosts only"),
        (Listening([CLEAR], "127.0.0.1", False), "mode: credentials go to Google over TLS only"),
    ],
)
def test_contradictions_of_a_file(injecting_file: Path, listening: Listening, problem: str) -> None:
    with pytest.raises(SystemExit) as ended:
        read(DEFAULTS | {"gateway_config": str(injecting_file)}, [], listening)
    _, told = str(ended.value).splitlines()
    assert told.strip().startswith(problem)


@pytest.mark.parametrize("option", SINGLE)
def test_default_is_described_once(tmp_path: Path, option: str) -> None:
    (tmp_path / "gateway.yaml").write_text("services: {default: {auth: passthrough}}")
    given = {"gateway_config": "gateway.yaml", option: "us-central1"}
    with pytest.raises(SystemExit, match=f"{option}: gateway.yaml has a service default; write it there"):
        read(DEFAULTS | given, [])


def test_problems_of_the_file_beside_others(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("models: a b\nclients: []\n")
    with pytest.raises(SystemExit) as ended:
        read(DEFAULTS | {"gateway_config": "gateway.yaml", "usage_tags": "a b"}, ["gateway_conf"])
    assert str(ended.value).splitlines()[1:] == [
        "  gateway_conf: there is no such option; did you mean gateway_config?",
        "  gateway_config: gateway.yaml:1: models: write a list, such as [first, second]",
        "  gateway_config: gateway.yaml:2: clients: is not served yet; leave it out",
        "  usage_tags: write names of request headers, such as x-team,x-app",
    ]


def test_base_paths_of_routes_are_stripped_too(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(
        "routes: [{base_path: /b/long, service: default}, {base_path: /x, service: default}, {base_path: /x*, service:"
        " default}]"
    )
    options = Options()
    options.take(read(DEFAULTS | {"gateway_config": "gateway.yaml", "gateway_base_path": "/a,/x"}, []))
    assert options.settings.gateway_base_path == ("/b/long", "/a", "/x")


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
    ended = subprocess.run(full, capture_output=True, text=True, timeout=30, check=False, env=env)
    assert ended.returncode == 1
    assert "vertex-tap cannot start" in ended.stderr
    assert "listening" not in ended.stdout
    assert "Secret" not in ended.stdout + ended.stderr


def test_all_problems_at_once() -> None:
    with pytest.raises(SystemExit) as ended:
        read(DEFAULTS | {"vertex_endpoint": "x", "usage_tags": "a b"}, ["usage_dv", "gateway_quux"])
    _, *problems = str(ended.value).splitlines()
    assert [problem.strip().partition(":")[0] for problem in problems] == [
        "gateway_quux",
        "usage_dv",
        "vertex_endpoint",
        "usage_tags",
    ]
    assert "did you mean usage_db?" in problems[1]


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


@pytest.mark.parametrize(
    ("address", "may"),
    [("127.0.1.1", True), ("::1", True), ("10.0.0.1", False), ("0.0.0.0", False), (None, False)],
)
def test_a_listener_with_a_name(address: str | None, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be one for this machine only."""

    def getaddrinfo(host: str, port: object) -> list[tuple[object, ...]]:
        if address is None:
            raise socket.gaierror
        return [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("VERTEX_API_KEY", "AIzaSecret")
    listening = Listening([REVERSE], "myhost", False)
    if may:
        read(DEFAULTS | EXPRESS, [], listening)
    else:
        with pytest.raises(SystemExit, match="listen_host: whoever reaches myhost"):
            read(DEFAULTS | EXPRESS, [], listening)


def test_a_file_with_a_key_listens_on_this_machine(injecting_file: Path) -> None:
    async def start() -> None:
        options = Options()
        with taddons.context(options) as context:
            context.options.update(mode=["reverse:https://aiplatform.googleapis.com"])
            context.configure(options, **DEFAULTS | {"gateway_config": str(injecting_file)})
            assert context.options.listen_host == "127.0.0.1"
            with pytest.raises(exceptions.OptionsError, match="listen_host: whoever"):
                context.configure(options, listen_host="0.0.0.0")

    asyncio.run(start())


def newer(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE calls (id)")
        db.execute("PRAGMA user_version = 99")
    return path


COMMANDS = {
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
    ended = subprocess.run(
        [*map(str, COMMANDS[command]), *sets], capture_output=True, text=True, timeout=30, check=False
    )
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
        ((), "gateway_base_path: [/a, /b]\n", "gateway_base_path: write it as text"),
    ],
)
def test_values_that_are_no_text(
    command: str, sets: tuple[str, ...], config: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(config)
    options = [part for option in (f"confdir={tmp_path}", *sets) for part in ("--set", option)]
    full = [*map(str, COMMANDS[command]), *options]
    ended = subprocess.run(full, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, problem in ended.stderr) == (1, True), ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_does_not_start(command: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("services:\n  a: {api_key: AIzaSecret}\nclients: []\n")
    options = (f"confdir={tmp_path}", "gateway_config=gateway.yaml", "mode=reverse:https://aiplatform.googleapis.com")
    full = [*map(str, COMMANDS[command]), *(part for option in options for part in ("--set", option))]
    ended = subprocess.run(full, capture_output=True, text=True, timeout=30, check=False)
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


def test_serve_knows_all_its_options(tmp_path: Path) -> None:
    """What mitmdump has and `serve` has not is no silence, but in config.yaml it is mitmproxy's own affair."""
    (tmp_path / "config.yaml").write_text("save_stream_file: flows\nflow_detail: 2\n")
    command = [
        BIN / "vertex-tap",
        "serve",
        "--port",
        "0",
        "--set",
        f"confdir={tmp_path}",
        "--set",
        "flow_detail=0",
    ]
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "flow_detail: there is no such option" in ended.stderr
    assert "save_stream_file" not in ended.stderr


def test_options_may_stand_in_config_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("usage_tags: authorization\n")
    for command in COMMANDS.values():
        full = [*map(str, command), "--set", f"confdir={tmp_path}"]
        ended = subprocess.run(full, capture_output=True, text=True, timeout=30, check=False)
        assert (ended.returncode, "usage_tags: authorization holds" in ended.stderr) == (1, True), sys.argv
