"""A Redis server of our own, for a test: one that is installed, else Debian's, which `scripts/setup redis` unpacks."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.debian import libraries
from tests.debian import program
from tests.process import until


class RedisServer:
    """A running server on a free port of this machine. It keeps nothing on disk, and may be stopped and started again:
    it is empty then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        installed = shutil.which("redis-server") or shutil.which("valkey-server")
        self._program = installed or str(program("redis", "usr/bin/redis-server"))
        self._env = os.environ if installed else {**os.environ, **libraries("redis")}
        self.start()

    def __enter__(self) -> "RedisServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        options = {"--bind": "127.0.0.1", "--port": str(self.port), "--save": "", "--appendonly": "no"}
        command = [self._program, *(part for option in options.items() for part in option)]
        with (self._folder / "redis.txt").open("ab") as out:
            self._process = subprocess.Popen(command, cwd=self._folder, env=self._env, stdout=out, stderr=out)
        until(self._answers, seconds=60)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(timeout=30)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "redis.txt").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
