"""nginx, with a configuration of a page: one that is installed, else Debian's, which `scripts/setup nginx` unpacks."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.debian import libraries
from tests.debian import program
from tests.process import until

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(folder: Path, ca: trustme.CA, name: str, server: str, *instead: tuple[str, str]) -> Iterator[int]:
    """Starts it, and yields its port. `server` is its configuration, which listens at 443 and has its files in
    /etc/nginx; `name` is that of its certificate. `instead` are places in it, and what stands there in this test."""
    program_file = program("nginx", "usr/sbin/nginx")
    certificate = ca.issue_cert(name)
    certificate.private_key_pem.write_to_path(folder / f"{name}.key")
    for number, pem in enumerate(certificate.cert_chain_pems):
        pem.write_to_path(folder / f"{name}.crt", append=number > 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for said, real in (*instead, ("listen 443", f"listen 127.0.0.1:{port}"), ("/etc/nginx", str(folder))):
        assert said in server
        server = server.replace(said, real)
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in TEMPORARY)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off;\n{places}{server}\n}}"
    )
    command = ["setpriv", "--pdeathsig=TERM", str(program_file), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, env={**os.environ, **libraries("nginx")}, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
