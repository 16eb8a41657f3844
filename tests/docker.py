"""A stand-in for docker: it executes the steps of a Dockerfile in a folder, and starts the result as a process.

`python -m tests.docker build|run|exec|stop|rm ...` understands the commands of docs/container.md. $STAND_IN names the
folder: its `root` stands for the container's files, and a virtual environment in it for the image's Python. That finds
the packages of the environment of the tests, so that they are not installed again. What only an administrator can do
(`useradd`, USER) is not done. $STAND_IN_ENV has further variables of the process, as JSON.
"""

import json
import os
import re
import shlex
import shutil
import signal
import site
import socket
import subprocess
import sys
import time
from argparse import REMAINDER
from argparse import ArgumentParser
from pathlib import Path

FOLDER = Path(os.environ.get("STAND_IN", "."))
ROOT = FOLDER / "root"
PYTHON = ROOT / "python"
STATE = FOLDER / "state.json"
_PATH = re.compile(r"(?<![\w./:])/(?=(?:src|data|config)\b)")
"""The beginning of a path in the container."""
_PORT = re.compile(r"\b8080\b")


def here(text: str) -> str:
    """A text in which paths of the container are those of this machine."""
    return _PATH.sub(f"{ROOT}/", text)


def steps(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments."""
    lines = re.sub(r"\\\n", " ", dockerfile.read_text()).splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line and line[0] != "#"]


def build(context: Path) -> None:
    state: dict[str, object] = {"env": {}, "workdir": str(ROOT)}
    for instruction, said in steps(context / "Dockerfile"):
        match instruction:
            case "FROM":
                state["image"] = said
                make_python()
            case "COPY":
                copy(context, *shlex.split(said))
            case "RUN":
                subprocess.run(["sh", "-ec", here(said)], check=True, env=variables(state))
            case "ENV":
                state["env"] = dict(part.split("=", 1) for part in shlex.split(here(said)))
            case "WORKDIR":
                Path(here(said)).mkdir(parents=True, exist_ok=True)
                state["workdir"] = here(said)
            case "ENTRYPOINT" | "CMD":
                state[instruction] = json.loads(said)
            case "HEALTHCHECK":
                state[instruction] = json.loads(said.removeprefix("CMD"))
            case "USER" | "VOLUME" | "EXPOSE":
                state[instruction] = said
            case _:
                raise SystemExit(f"no such instruction is understood: {instruction}")
    STATE.write_text(json.dumps(state))


def make_python() -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", PYTHON], check=True)
    (packages,) = PYTHON.glob("lib/python3.*/site-packages")
    (packages / "tests.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    scripts = {"pip": f'exec "{PYTHON}/bin/python" -m pip --disable-pip-version-check -q "$@"', "useradd": ":"}
    for name, text in scripts.items():
        script = PYTHON / "bin" / name
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)


def copy(context: Path, *paths: str) -> None:
    *sources, target = paths
    for source in sources:
        if (context / source).is_dir():
            shutil.copytree(context / source, here(target), ignore=shutil.ignore_patterns("__pycache__"))
        else:
            Path(here(target)).mkdir(parents=True, exist_ok=True)
            shutil.copy(context / source, here(target))


def variables(state: dict[str, object]) -> dict[str, str]:
    path = {"PATH": f"{PYTHON}/bin:{os.environ['PATH']}"}
    own = state["env"]
    assert isinstance(own, dict)
    return {**os.environ, **path, **own}


def run(arguments: list[str]) -> None:
    parser = ArgumentParser()
    for name in ("--name", "-p"):
        parser.add_argument(name, required=True)
    for name in ("-v", "-e"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("-d", action="store_true", required=True)
    parser.add_argument("image")
    parser.add_argument("more", nargs=REMAINDER)
    asked = parser.parse_args(arguments)
    state = json.loads(STATE.read_text())
    for mount in asked.v:
        place, inside = mount.split(":")[:2]
        if place.startswith("/"):
            Path(here(inside)).symlink_to(place)
        else:
            assert inside == state["VOLUME"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [*map(here, state["ENTRYPOINT"]), *map(here, asked.more or state["CMD"]), "--port", str(port)]
    given = variables(state) | {name: os.environ[name] for name in asked.e} | json.loads(os.environ["STAND_IN_ENV"])
    log = FOLDER / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=state["workdir"], env=given, stdout=out, stderr=out, start_new_session=True
        )
    STATE.write_text(json.dumps(state | {"pid": process.pid, "port": port}))
    deadline = time.monotonic() + 60
    while f":{port}" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(log.read_text())
        time.sleep(0.05)


def execute(arguments: list[str]) -> int:
    state = json.loads(STATE.read_text())
    return subprocess.run(arguments[1:], cwd=state["workdir"], env=variables(state), check=False).returncode


def is_healthy() -> bool:
    """What HEALTHCHECK says."""
    state = json.loads(STATE.read_text())
    command = [_PORT.sub(str(state["port"]), part) for part in state["HEALTHCHECK"]]
    return subprocess.run(command, env=variables(state), check=False).returncode == 0


def stop() -> None:
    pid = json.loads(STATE.read_text())["pid"]
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while _is_alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            raise SystemExit("the process did not end in time")
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def main(command: str, *arguments: str) -> None:
    match command:
        case "build":
            build(Path(arguments[-1]))
        case "run":
            run([*arguments])
        case "exec":
            raise SystemExit(execute([*arguments]))
        case "stop":
            stop()
        case "rm":
            pass
        case _:
            raise SystemExit(f"no such command is understood: {command}")


if __name__ == "__main__":
    main(*sys.argv[1:])
