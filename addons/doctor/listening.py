"""Where the proxy listens: who can reach it, and whether its port is free."""

import errno
import socket
from collections.abc import Iterator

from mitmproxy.proxy import mode_specs

from addons.configuration.listening import LOOPBACK
from addons.doctor.finding import Finding
from addons.doctor.finding import of_problem
from addons.doctor.ledger import is_in_use
from addons.doctor.ledger import path_of
from addons.doctor.options import problems_of
from addons.doctor.setup import Setup
from addons.launch import listen_problem
from metering.local import is_loopback

LISTEN_ADDRESS = "listen address"
PORT = "port"
HIGHEST = 65535
"""The highest number of a port."""


def addresses(setup: Setup) -> Iterator[tuple[mode_specs.ProxyMode, str, int]]:
    """Each listener: its mode, its host and its port. Modes that have none, such as that of WireGuard's, are left
    out."""
    for mode in setup.modes:
        host, port = mode.listen_host(setup.options.listen_host), mode.listen_port(setup.options.listen_port)
        if port is not None and mode.transport_protocol in ("tcp", "both"):
            yield mode, host or (LOOPBACK if setup.injects else ""), port


def listen_address(setup: Setup) -> Iterator[Finding]:
    """Whether others can reach a listener, and what they could do then."""
    problems = [*problems_of(setup, LISTEN_ADDRESS)]
    yield from problems
    if problems:
        return
    for _, host, port in addresses(setup):
        if is_loopback(host):
            yield Finding(LISTEN_ADDRESS, True, f"{host}, port {port}: this machine only")
        elif setup.has_clients:
            told = f"{host or 'all addresses'}, port {port}: whoever has the key of a client can call"
            remedy = "give the proxy a certificate (certs), unless what is before it has one: docs/container.md"
            yield Finding(LISTEN_ADDRESS, True, told, "" if setup.options.certs else remedy)
        else:
            told = f"{host or 'all addresses'}, port {port}: others can call through this proxy"
            yield Finding(LISTEN_ADDRESS, True, told, f"write {LOOPBACK} if only this machine is to reach it")


def port(setup: Setup) -> Iterator[Finding]:
    """Whether each listener can be opened."""
    seen: set[tuple[str, int]] = set()
    for mode, host, number in addresses(setup):
        if (host, number) in seen and number:
            spec = mode.full_spec if mode.custom_listen_port is None else mode.full_spec.rpartition("@")[0]
            told = f"two modes listen at {host}, port {number}"
            yield Finding(PORT, False, told, f"name another port in mode, such as {spec}@{number + 1}")
            continue
        seen.add((host, number))
        if not 0 <= number <= HIGHEST:
            remedy = f"choose one from 1 to {HIGHEST} with --port"
            yield Finding(PORT, False, f"{number} is no number of a port", remedy)
            continue
        try:
            _open(host, number)
        except OSError as e:
            if e.errno == errno.EADDRINUSE and _runs_already(setup):
                told = f"port {number} at {host} is in use, probably by the vertex-tap that uses this ledger now"
                yield Finding(PORT, True, told, "end that one before you start another, or choose another port")
            else:
                yield of_problem(PORT, listen_problem(mode, host, number, e))
        else:
            yield Finding(PORT, True, f"{number} at {host or 'all addresses'} is free")


def _open(host: str, port: int) -> None:
    """Open a listener as asyncio does, and close it. Raises OSError."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, number, _, address in found if host else found[:1]:
        with socket.socket(family, kind, number) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)


def _runs_already(setup: Setup) -> bool:
    try:
        return is_in_use(path_of(setup))
    except (OSError, RuntimeError):
        return False
