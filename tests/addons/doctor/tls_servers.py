"""Hosts on this machine with certificates of several kinds. They only shake hands."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from contextlib import suppress
from datetime import UTC
from datetime import datetime
from typing import Any

import trustme

HERE = ("127.0.0.1", "localhost")
CERTIFICATES: dict[str, dict[str, Any]] = {
    "good": {},
    "expired": {"not_before": datetime(2019, 1, 1, tzinfo=UTC), "not_after": datetime(2020, 2, 3, tzinfo=UTC)},
    "early": {"not_before": datetime(2090, 1, 2, tzinfo=UTC), "not_after": datetime(2099, 1, 1, tzinfo=UTC)},
    "other": {},
}


@contextmanager
def servers(ca: trustme.CA) -> Iterator[dict[str, int]]:
    """Name of a certificate -> port. `plain` has no TLS."""
    with ExitStack() as stack:
        ports = {}
        for name, times in CERTIFICATES.items():
            names = ("other.example",) if name == "other" else HERE
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ca.issue_cert(*names, **times).configure_cert(context)
            ports[name] = stack.enter_context(_listening(context))
        yield ports | {"plain": stack.enter_context(_listening(None))}


@contextmanager
def _listening(context: ssl.SSLContext | None) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, context), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        # Closing a socket does not wake up whoever waits for a connection.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(10)
                if context is None:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                else:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)
