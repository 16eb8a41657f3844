"""docs/fleet.md, followed command by command, with the simulator in place of Google."""

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from wsproto.events import AcceptConnection

from tests.forked import Forked
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.loopback import client_context
from tests.nginx_server import nginx
from tests.postgresql_server import Server
from tests.process import BIN
from tests.process import ROOT
from tests.process import Proxy
from tests.process import until
from tests.shipped import add
from tests.shipped import calls
from tests.shipped import content_of
from tests.shipped import new
from tests.vertex_simulator import Simulator
from tests.websocket_client import Client

PAGE = (ROOT / "docs" / "fleet.md").read_text()
NAME = "ai.example.com"
STATE = "/var/lib/vertex-tap"
JANUARY_2025 = 1_735_689_600_000_000
DAY_US = 86_400_000_000


def blocks(kind: str) -> list[str]:
    """The blocks of the page in a language."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


UNITS = {re.findall(r"# (\S+)", block)[0]: block for block in blocks("ini")}
SHELL = [line for block in blocks("sh") for line in block.splitlines()]


def exec_start(unit: str) -> str:
    (command,) = re.findall(r"^ExecStart=(.*)$", UNITS[unit], re.MULTILINE)
    return str(command)


class Database:
    """PostgreSQL, prepared as the page says."""

    def __init__(self, server: Server) -> None:
        self.server = server
        create, drop = blocks("sql")
        *before, default = [statement.strip() for statement in create.split(";\n") if statement.strip()]
        with server.connect() as db:
            for statement in before:
                db.execute(statement.encode())
        with server.connect(server.database("vertex_tap")) as db:
            db.execute(default.encode())
        self.drop = drop
        found = re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '(.*)'", create)
        self.passwords: dict[str, str] = dict(found)

    def here(self, text: str) -> str:
        """A command of the page, for this server."""
        return text.replace("db.internal", f"127.0.0.1:{self.server.port}")

    def password_file(self, path: Path) -> dict[str, str]:
        """Writes it. Returns the variable that names it."""
        (form,) = re.findall(r"`(host:port:\S+)`", PAGE)
        told = {"host": "127.0.0.1", "port": str(self.server.port), "database": "vertex_tap"}
        lines = [
            ":".join((told | {"user": user, "password": self.passwords[user]})[name] for name in form.split(":"))
            for user in self.passwords
        ]
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return {"PGPASSFILE": str(path)}

    @property
    def address(self) -> str:
        """For us, without a password."""
        return self.server.database("vertex_tap")


@pytest.fixture(scope="module")
def database(postgresql: Server) -> Database:
    return Database(postgresql)


StartFromCommand = Any


@pytest.fixture(scope="module")
def proxies(simulator: Simulator, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Proxy]]:
    """Two machines with the unit of the page."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(started(exec_start("vertex-tap.service"), STATE, folder, simulator, confdir))
            for folder in (tmp_path_factory.mktemp(f"machine{number}") for number in range(2))
        ]


def started(command: str, state: str, folder: Path, simulator: Simulator, confdir: Path) -> Proxy:
    """A proxy that a command of the page starts, with its files in `folder` instead of `state`, and another port."""
    words = shlex.split(command.replace(state, str(folder)))
    assert words[0].endswith("vertex-tap")
    assert words[1] == "serve"
    arguments = tuple({"8080": "0", "0.0.0.0": "127.0.0.1"}.get(word, word) for word in words[2:])
    mode = f"reverse:{simulator.url}"
    return Proxy(folder=folder, confdir=confdir, mode=mode, serve=True, arguments=arguments)


@pytest.fixture(scope="module")
def balancer(proxies: list[Proxy], ca: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an nginx with the configuration of the page."""
    (server,) = blocks("nginx")
    instead = [(f"10.0.0.{11 + number}:8080", f"127.0.0.1:{proxy.port}") for number, proxy in enumerate(proxies)]
    with nginx(tmp_path_factory.mktemp("nginx"), ca, NAME, server, *instead) as port:
        yield port


@contextmanager
def client(port: int, ca_file: Path) -> Iterator[httpx.Client]:
    headers = {"host": NAME, "x-goog-api-key": API_KEY}
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}",
        verify=client_context(ca_file),
        headers=headers,
        timeout=20,
        trust_env=False,
    ) as made:
        made.event_hooks = {"request": [lambda request: request.extensions.update(sni_hostname=NAME)]}
        yield made


def begun(command: str, env: dict[str, str], folder: Path) -> Forked:
    """A process that runs a command of vertex-tap's; its output is in `folder`."""
    words = shlex.split(command)
    words[0] = str(BIN / Path(words[0]).name)
    return Forked(words, folder, {**os.environ, **env}, folder / "stdout", folder / "stderr")


def run(command: str, env: dict[str, str], folder: Path) -> str:
    assert begun(command, env, folder).wait(60) == 0, (folder / "stderr").read_text()
    return (folder / "stdout").read_text()


# The machines, and the balancer before them


def test_the_units_are_sound(tmp_path: Path) -> None:
    assert [*UNITS] == ["vertex-tap.service", "vertex-tap-ship.service", "vertex-tap-ship.timer"]
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd")
    for name, unit in UNITS.items():
        (tmp_path / name).write_text(unit.replace("/opt/vertex-tap/bin", str(BIN)))
    checked = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)]
    ended = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    (enable,) = [line for line in SHELL if line.startswith("systemctl")]
    installed = {name for name, unit in UNITS.items() if "[Install]" in unit}
    assert {*shlex.split(enable)[3:]} == installed


def test_calls_are_spread(balancer: int, ca_file: Path, proxies: list[Proxy], simulator: Simulator) -> None:
    before = [len(proxy.rows()) for proxy in proxies]
    with client(balancer, ca_file) as asking:
        for _ in range(6):
            answer = asking.post(f"{MODEL}:generateContent", json=HELLO, headers={"x-team": "red"})
            assert answer.status_code == 200, answer.text
    assert [len(proxy.rows()) - count for proxy, count in zip(proxies, before, strict=True)] == [3, 3]
    assert proxies[0].rows()[-1]["tags"] == '{"x-team":"red"}'


def test_no_event_waits_for_the_next(balancer: int, ca_file: Path, simulator: Simulator) -> None:
    gate = uuid.uuid4().hex
    plan = f'{{"gate": "{gate}", "events": 6, "words": 12}}'
    with client(balancer, ca_file) as asking:
        path = f"{MODEL}:streamGenerateContent?alt=sse"
        with asking.stream("POST", path, json=HELLO, headers={"x-simulator": plan}) as answer:
            pieces = 0
            for _ in answer.iter_raw():
                # The upstream sends nothing more until the gate opens.
                simulator.gates[gate].release()
                pieces += 1
    assert pieces >= 6


def test_uploads_of_any_size(balancer: int, ca_file: Path) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 3_000_000}}
    body = {"contents": [{"role": "user", "parts": [{"text": "What is it?"}, picture]}]}
    with client(balancer, ca_file) as asking:
        assert asking.post(f"{MODEL}:generateContent", json=body).status_code in (200, 400)


def test_websockets(balancer: int, ca_file: Path) -> None:
    path = "//ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
    model = "projects/p/locations/us-central1/publishers/google/models/gemini-live-2.5-flash"
    with socket.create_connection(("127.0.0.1", balancer), timeout=10) as plain:
        sock = client_context(ca_file).wrap_socket(plain, server_hostname=NAME)
        live = Client(sock)
        assert isinstance(live.connect(path, {"x-goog-api-key": API_KEY}), AcceptConnection)
        live.say({"setup": {"model": model}})
        assert live.hear() == {"setupComplete": {}}
        live.close()
        sock.close()


@pytest.mark.parametrize("path", ["/-/", "/-", "/-/api/usage", "//-/", "/%2D/", "/x/../-/", "/-/health"])
def test_pages_are_not_for_the_world(balancer: int, ca_file: Path, path: str) -> None:
    with (
        socket.create_connection(("127.0.0.1", balancer), timeout=10) as plain,
        client_context(ca_file).wrap_socket(plain, server_hostname=NAME) as sock,
    ):
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_the_command_for_a_client(balancer: int, ca_file: Path, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("there is no curl")
    (command,) = [line for line in SHELL if line.startswith("curl")]
    words = shlex.split(command.replace("$GOOGLE_API_KEY", API_KEY))
    there = ["--connect-to", f"{NAME}:443:127.0.0.1:{balancer}", "--cacert", str(ca_file), "--noproxy", "*", "-sS"]
    ended = subprocess.run([*words, *there], capture_output=True, text=True, check=True)
    assert '"candidates"' in ended.stdout, ended.stdout


# What is shipped


def test_the_ledgers_come_together(
    balancer: int, ca_file: Path, proxies: list[Proxy], database: Database, tmp_path: Path
) -> None:
    with client(balancer, ca_file) as asking:
        assert asking.post(f"{MODEL}:generateContent", json=HELLO).status_code == 200
    passwords = database.password_file(tmp_path / "pgpass")
    (told,) = re.findall(r"^Environment=(PGPASSFILE=%d/pgpass)$", UNITS["vertex-tap-ship.service"], re.MULTILINE)
    assert told
    for proxy in proxies:
        command = database.here(exec_start("vertex-tap-ship.service"))
        assert "rows shipped" in run(command.replace(STATE, str(proxy.folder)), passwords, tmp_path)
    assert content_of(database.address)["calls"] == content_of(*(proxy.ledger for proxy in proxies))["calls"]
    commands = [database.here(line) for line in SHELL if line.startswith("vertex-tap ")]
    assert [line.split()[1] for line in commands] == ["ship", "report", "report", "export", "dashboard"]
    for line in commands[:-1]:
        run(line.replace(STATE, str(proxies[0].folder)), passwords, tmp_path)
    assert (tmp_path / "calls.parquet").stat().st_size
    whole = run(f"{commands[2]} --format csv", passwords, tmp_path)
    assert whole == run(
        f"vertex-tap report --by tag:x-team --format csv {shlex.join(str(proxy.ledger) for proxy in proxies)}",
        {},
        tmp_path,
    )
    page = begun(f"{commands[-1]} --port 0", {**passwords, "PYTHONUNBUFFERED": "1"}, tmp_path)
    try:
        address = until(lambda: re.findall(r"http\S+/-/", (tmp_path / "stdout").read_text()), 60)[0]
        assert "gemini-2.5-flash" in httpx.get(f"{address}board", timeout=30, trust_env=False).text
    finally:
        page.send_signal(signal.SIGINT)
        page.wait(30)


def test_a_month_that_is_deleted(database: Database, tmp_path: Path) -> None:
    passwords = database.password_file(tmp_path / "pgpass")
    add(
        ledger := new(tmp_path / "usage.db"),
        calls(random.Random(1), 60, JANUARY_2025 + DAY_US, state="done", model="old"),
    )
    ship, report, *_ = (database.here(line) for line in SHELL if line.startswith("vertex-tap "))
    run(ship.replace(f"{STATE}/usage.db", str(ledger)), passwords, tmp_path)
    asked = report.replace("cost --by day,model --since 30d", "--by model --model old --format json")
    before = run(asked, passwords, tmp_path)
    assert '"calls": 60' in before
    with database.server.connect(database.address) as db:
        db.execute(database.drop.encode())
    assert run(asked, passwords, tmp_path) == before
    assert "01-02" not in run(asked.replace("report", "report calls").replace("--by model ", ""), passwords, tmp_path)


# Kubernetes


def test_the_manifest(simulator: Simulator, confdir: Path, database: Database, tmp_path: Path) -> None:
    (manifest,) = blocks("yaml")
    service, pods = yaml.safe_load_all(manifest)
    assert (service["kind"], pods["kind"]) == ("Service", "StatefulSet")
    template = pods["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert service["spec"]["selector"] == pods["spec"]["selector"]["matchLabels"] == labels
    assert pods["spec"]["serviceName"] == service["metadata"]["name"]
    proxy, ship = template["spec"]["containers"]
    claims = [claim["metadata"]["name"] for claim in pods["spec"]["volumeClaimTemplates"]]
    for container in (proxy, ship):
        assert [mount["name"] for mount in container["volumeMounts"]] == claims
        assert container["image"] == "vertex-tap"
    ports = [proxy["ports"][0]["containerPort"], service["spec"]["ports"][0]["port"]]
    with started(shlex.join(proxy["command"]), "/ledger", tmp_path, simulator, confdir) as running:
        for probe in ("livenessProbe", "readinessProbe"):
            asked = proxy[probe]["httpGet"]
            assert httpx.get(f"{running.url}{asked['path']}", trust_env=False).status_code == 200
            ports.append(asked["port"])
        assert {*ports} == {int(proxy["command"][proxy["command"].index("--port") + 1])}
        answer = httpx.post(
            f"{running.url}{MODEL}:generateContent", json=HELLO, headers={"x-goog-api-key": API_KEY}, trust_env=False
        )
        assert answer.status_code == 200
        ((secret,),) = [[one["name"] for one in ship["env"]]]
        environment = {secret: database.passwords["vertex_tap"], "PATH": f"{BIN}:{os.environ['PATH']}"}
        command = [database.here(word).replace("/ledger", str(tmp_path)) for word in ship["command"]]
        (id,) = [row["id"] for row in running.rows()]
        log = (tmp_path / "log").open("w")
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
        try:
            until(lambda: id in {row[0] for row in content_of(database.address)["calls"]}, 60)
        finally:
            process.terminate()
            process.wait(30)
            log.close()
