"""The Dockerfile and docs/container.md, followed command by command, with a stand-in for docker."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trustme

from tests import docker
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.loopback import client_context
from tests.loopback import environment
from tests.nginx_server import nginx
from tests.process import ROOT
from tests.process import rows_of
from tests.vertex_simulator import Simulator

PAGE = (ROOT / "docs" / "container.md").read_text()
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
CURL = '#!/bin/sh\nport=$(sed "s/.*\\"port\\": //;s/[,}].*//" "$STAND_IN/state.json")\n'


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_the_page(
    tmp_path: Path, google: Simulator, key_file: Path, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, stand_in, bin = trustme.CA(), tmp_path / "container", tmp_path / "bin"
    issued = ca.issue_cert("llm.example")
    ca.cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "llm.example.crt").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(tmp_path / "llm.example.key")
    (tmp_path / "key.json").write_bytes(key_file.read_bytes())
    # What every host of Google's is for this proxy.
    (stand_in / "root" / "data" / ".mitmproxy").mkdir(parents=True)
    options = f"ssl_verify_upstream_trusted_ca: {ca_file}\n"
    (stand_in / "root" / "data" / ".mitmproxy" / "config.yaml").write_text(options)
    bin.mkdir()
    loopback = {"STAND_IN_ENV": json.dumps(environment({443: google.port}))}
    script(bin / "docker", f'#!/bin/sh\ncd {ROOT} && exec "{sys.executable}" -m tests.docker "$@"\n')
    script(bin / "curl", f'{CURL}exec /usr/bin/curl --connect-to "::127.0.0.1:$port" "$@"\n')
    env = {**os.environ, **loopback, "STAND_IN": str(stand_in), "PATH": f"{bin}:{os.environ['PATH']}"}
    ended = None
    try:
        before, last = COMMANDS.split("docker stop", 1)
        ended = subprocess.run(
            ["bash", "-euxc", before], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        monkeypatch.setattr(docker, "STATE", stand_in / "state.json")
        monkeypatch.setattr(docker, "PYTHON", stand_in / "root" / "python")
        assert docker.is_healthy()
    finally:
        stopped = subprocess.run(
            ["bash", "-euc", "docker stop" + last], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
    assert stopped.returncode == 0, stopped.stderr
    told = ended.stdout
    assert told.startswith("ready\n")
    assert '"id":"gemini-2.5-flash"' in told
    assert '"chat.completion"' in told
    assert "team-a" in told
    assert json.loads(told.splitlines()[-1])[0]["client"] == "team-a"
    rows = rows_of(stand_in / "root" / "data" / "usage.db")
    assert [(row["operation"], row["client"], row["status"]) for row in rows] == [
        ("models", "team-a", 200),
        ("chat/completions", "team-a", 200),
    ]
    state = json.loads((stand_in / "state.json").read_text())
    assert (state["image"].startswith("python:3."), state["USER"], state["VOLUME"]) == (True, "tap", "/data")


def test_nginx_before_it(tmp_path: Path, google: Simulator, start_proxy: StartProxy) -> None:
    """It passes events on as they come, and tells where a call comes from."""
    (server,) = re.findall(r"```nginx\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "gateway.yaml").write_text(
        "trusted_proxies: [127.0.0.1]\nclients:\n"
        "  - {name: near, key_env: NEAR_KEY, allow_from: [127.0.0.0/8]}\n"
        "  - {name: far, key_env: FAR_KEY, allow_from: [10.0.0.0/8]}\n"
    )
    keys = {"NEAR_KEY": "near-0123456789abcdef", "FAR_KEY": "far-0123456789abcdef"}
    with Simulator() as simulator:
        proxy = start_proxy("gateway_config=gateway.yaml", mode=f"reverse:{simulator.url}", serve=True, env=keys)
        ca, folder = trustme.CA(), tmp_path / "nginx"
        folder.mkdir()
        ca.cert_pem.write_to_path(tmp_path / "ca.crt")
        instead = ("http://127.0.0.1:8080", proxy.url)
        with nginx(folder, ca, "llm.example", server, instead) as port:
            url, context = (
                f"https://127.0.0.1:{port}{MODEL}:streamGenerateContent?alt=sse",
                client_context(tmp_path / "ca.crt"),
            )
            told = {
                "host": "llm.example",
                "x-goog-api-key": API_KEY,
                "x-simulator": '{"gate": "nginx", "events": 3, "words": 6}',
            }
            with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
                for name, status in (("FAR_KEY", 403), ("NEAR_KEY", 200)):
                    headers, extensions = told | {"x-vertex-tap-key": keys[name]}, {"sni_hostname": "llm.example"}
                    with client.stream("POST", url, json=HELLO, headers=headers, extensions=extensions) as answer:
                        assert answer.status_code == status
                        for _ in answer.iter_raw():
                            # The upstream sends nothing more until the gate opens.
                            simulator.gates["nginx"].release()
    assert [row["client"] for row in proxy.rows()] == ["far", "near"]


def test_what_is_copied_is_not_ignored() -> None:
    """The build would miss it; and all that is needed is copied."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = {name for step, said in docker.steps(ROOT / "Dockerfile") if step == "COPY" for name in said.split()[:-1]}
    assert kept == copied
