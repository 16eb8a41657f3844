"""Real host names on loopback: a CA, stand-ins with certificates of it, and names that mean this machine."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterable
from pathlib import Path

import trustme

FOLDER = Path(__file__).resolve().parent
GOOGLE = (
    "aiplatform.googleapis.com",
    "us-central1-aiplatform.googleapis.com",
    "europe-west4-aiplatform.googleapis.com",
    "aiplatform.eu.rep.googleapis.com",
    "aiplatform.us.rep.googleapis.com",
    "generativelanguage.googleapis.com",
    "aiplatform-genai1.p.googleapis.com",
    "aiplatform.us-central1.p.rep.googleapis.com",
    "7.us-central1-1.prediction.vertexai.goog",
    "private.googleapis.com",
    "restricted.googleapis.com",
    "api.openai.com",
    "us.api.openai.com",
)
OTHER = ("example.com", "oauth2.googleapis.com", "localhost")


def server_context(ca: trustme.CA, names: tuple[str, ...], alpn: list[str] | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class OnlyHttp2(ssl.SSLContext):
    """For an httpx client that is to speak HTTP/2; it always offers HTTP/1.1 first."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(["h2"])


def client_context(trusted: Path, *, http2: bool = False) -> ssl.SSLContext:
    context = (OnlyHttp2 if http2 else ssl.SSLContext)(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    return context


def environment(ports: dict[int, int]) -> dict[str, str]:
    """For a process in which every name is this machine."""
    return {"PYTHONPATH": str(FOLDER), "LOOPBACK_PORTS": json.dumps(ports)}


class Tunnel:
    """An HTTP proxy that knows CONNECT only, and takes every name for this machine."""

    def __init__(self, ports: dict[int, int]) -> None:
        self.connected: list[str] = []
        """The targets that were asked for."""
        self._ports = ports
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Tunnel":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        target = head.split(b" ")[1].decode()
        self.connected.append(target)
        port = int(target.rpartition(":")[2])
        upstream = socket.create_connection(("127.0.0.1", self._ports.get(port, port)))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        other = threading.Thread(target=_relay, args=(upstream, client), daemon=True)
        other.start()
        _relay(client, upstream)
        other.join()
        client.close()
        upstream.close()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
