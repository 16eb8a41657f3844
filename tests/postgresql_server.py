"""A PostgreSQL server for tests, with its data in a temporary folder."""

import itertools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.debian import libraries
from tests.debian import program
from tests.process import ROOT
from tests.process import until

PATTERN = "usr/lib/postgresql/*/bin/postgres"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
}
USER = "keeper"


class Server:
    """A running server. `USER` needs no password; `secret_user` and the roles of docs/fleet.md have one."""

    secret_user = "guest"

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        binary = program("postgresql", PATTERN)
        # Anybody may pass, as the server is another user where we are root.
        folder.chmod(0o755)
        environment = {**os.environ, **libraries("postgresql"), "LC_ALL": "C.UTF-8"}
        become: list[str] = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            become = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            if binary.is_relative_to(ROOT):
                # Where nobody else may read what is in this checkout.
                shutil.copytree(ROOT / ".venv" / "postgresql" / "usr", folder / "usr", symlinks=True)
                binary = max(folder.glob(PATTERN))
                environment |= {"LD_LIBRARY_PATH": ":".join(map(str, (folder / "usr" / "lib").glob("*-linux-*")))}
        # It ends with us, however we end.
        as_other = ["setpriv", "--pdeathsig=INT", *become]
        data = folder / "data"
        made = ["--pgdata", str(data), "--username", USER, "--auth=trust", "--no-sync", "--encoding=UTF8"]
        initdb = [*as_other, str(binary.with_name("initdb")), *made, "--wal-segsize=1"]
        subprocess.run(initdb, check=True, capture_output=True, env=environment, cwd=folder)
        access = data / "pg_hba.conf"
        have_passwords = f"{self.secret_user},vertex_tap,vertex_tap_reader"
        access.write_text(f"host all {have_passwords} all scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        chosen = {**SETTINGS, **settings, "port": str(self.port), "unix_socket_directories": ""}
        options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*as_other, binary, "-D", data, *options], stdout=log, stderr=log, env=environment, cwd=folder
            )
        self._numbers = itertools.count(1)
        until(self._is_up, 60)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.database("postgres"), connect_timeout=5).close()
            return True
        return False

    def database(self, name: str, user: str = USER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}"

    def new(self) -> str:
        """The address of a schema in which nothing is yet."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as db:
            db.execute(f"CREATE SCHEMA {name}".encode())
        return self.database(f"postgres?options={quote(f'-csearch_path={name}')}")

    def with_password(self) -> tuple[str, str]:
        """The address of a database whose user has a password, and this password."""
        password = secrets.token_hex()
        with self.connect() as db:
            db.execute(f"DROP DATABASE IF EXISTS {self.secret_user}".encode())
            db.execute(f"DROP ROLE IF EXISTS {self.secret_user}".encode())
            db.execute(f"CREATE ROLE {self.secret_user} LOGIN PASSWORD '{password}'".encode())
            db.execute(f"CREATE DATABASE {self.secret_user} OWNER {self.secret_user}".encode())
        return self.database(self.secret_user, self.secret_user), password

    def connect(self, address: str = "") -> "psycopg.Connection[tuple[object, ...]]":
        """A connection of its own, each statement of which is a transaction."""
        return psycopg.connect(address or self.database("postgres"), autocommit=True)

    @property
    def cpu_s(self) -> float:
        """The seconds of CPU that connections have taken which are closed."""
        told = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[13]) + int(told[14])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            # It waits for clients; SIGQUIT does not.
            self._process.send_signal(3)
            self._process.wait()


@contextmanager
def running(**settings: str) -> Iterator[Server]:
    """A server, which is stopped in the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder), settings)
        try:
            yield server
        finally:
            server.stop()
