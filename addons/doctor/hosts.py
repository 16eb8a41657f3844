"""The hosts in use: whether their names are known, they can be connected to, and their certificates are trusted."""

import os
import socket
import ssl
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from functools import partial
from typing import Any
from typing import NamedTuple

import certifi

from addons.doctor import refused
from addons.doctor.finding import Finding
from addons.doctor.in_time import all_in_time
from addons.doctor.in_time import in_time
from addons.doctor.places import Place
from addons.doctor.places import places
from addons.doctor.setup import Setup

DNS = "DNS"
TCP = "TCP"
TLS = refused.TLS
LOOKUP_S = 5.0
CONNECT_S = 5.0
ALL_S = 20.0
"""The most time for all hosts together, which are asked at the same time."""


class Reached(NamedTuple):
    """What came of connecting to a host."""

    place: Place
    findings: list[Finding]

    @property
    def is_well(self) -> bool:
        return all(finding.ok for finding in self.findings)


def hosts(setup: Setup) -> Iterator[Finding]:
    """DNS, TCP and TLS of each host in use."""
    found = [finding for one in reached(setup) for finding in one.findings]
    # By check, as a reader looks for one of them.
    yield from sorted(found, key=lambda finding: (DNS, TCP, TLS).index(finding.check))


def reached(setup: Setup) -> list[Reached]:
    """Each host in use, with what came of connecting to it. They are asked once."""
    if "reached" not in setup.made:
        wanted = [*places(setup)]
        answers = all_in_time([partial(reach, setup, place) for place in wanted], ALL_S)
        setup.made["reached"] = [
            answer if isinstance(answer, Reached) else Reached(place, [_hanging(place, answer)])
            for place, answer in zip(wanted, answers, strict=True)
        ]
    found: list[Reached] = setup.made["reached"]
    return found


def _hanging(place: Place, error: Exception) -> Finding:
    told = f"{place.host}: nothing came of connecting within {ALL_S:.0f} seconds ({type(error).__name__})"
    return Finding(TCP, False, told, f"check {place.named_in}, and the network of this machine")


def reach(setup: Setup, place: Place) -> Reached:
    """Look a host up, connect to it, and shake hands, as far as that goes."""
    findings: list[Finding] = []
    try:
        addresses = in_time(lambda: socket.getaddrinfo(place.host, place.at.port, type=socket.SOCK_STREAM), LOOKUP_S)
    except (OSError, UnicodeError) as e:
        findings.append(_unknown(place, e))
        return Reached(place, findings)
    findings.append(Finding(DNS, True, f"{place.host} is {', '.join(_texts(addresses))}"))
    try:
        connection = _connected(addresses)
    except OSError as e:
        findings.append(_unreachable(place, e))
        return Reached(place, findings)
    with connection:
        findings.append(Finding(TCP, True, f"{place.host}, port {place.at.port}, can be connected to"))
        if place.at.scheme == "https":
            findings.append(_tls(setup, place, connection))
    return Reached(place, findings)


def _texts(addresses: Iterable[tuple[Any, ...]]) -> list[str]:
    found = dict.fromkeys(str(address[-1][0]) for address in addresses)
    return [*found][:2] + (["..."] if len(found) > 2 else [])


def _connected(addresses: Sequence[tuple[Any, ...]]) -> socket.socket:
    """A connection to the first address that takes one. Raises OSError."""
    error: OSError = TimeoutError()
    for family, kind, number, _, address in addresses[:3]:
        made = socket.socket(family, kind, number)
        made.settimeout(CONNECT_S / min(3, len(addresses)))
        try:
            made.connect(address)
        except OSError as e:
            made.close()
            error = e
        else:
            made.settimeout(refused.HANDSHAKE_S)
            return made
    raise error


def _unknown(place: Place, error: Exception) -> Finding:
    remedy = f"check the name in {place.named_in}, and the DNS of this machine"
    if isinstance(error, TimeoutError):
        return Finding(DNS, False, f"no name server answers within {LOOKUP_S:.0f} seconds for {place.host}", remedy)
    return Finding(DNS, False, f"DNS does not know {place.host} ({_reason(error)})", remedy)


def _unreachable(place: Place, error: OSError) -> Finding:
    where = f"{place.host}, port {place.at.port}"
    if isinstance(error, ConnectionRefusedError):
        remedy = f"start what is to listen there, or correct {place.named_in}"
        return Finding(TCP, False, f"{where}, refuses connections", remedy)
    told = f"{where}, cannot be connected to ({_reason(error)})"
    return Finding(TCP, False, told, f"allow connections to it in the firewall, or correct {place.named_in}")


def _tls(setup: Setup, place: Place, connection: socket.socket) -> Finding:
    file, folder = trusted(setup, place)
    name = "REQUESTS_CA_BUNDLE" if place.of_google_auth else "ssl_verify_upstream_trusted_ca"
    if setup.options.ssl_insecure and not place.of_google_auth:
        return Finding(TLS, True, f"{place.host}: certificates are not verified", "leave ssl_insecure out")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file, folder)
    except (OSError, ssl.SSLError):
        told = f"{place.host}: its certificate cannot be verified, as {file or folder} holds no certificates"
        return Finding(TLS, False, told, f"name a PEM file with the CAs in {name}, or leave it out")
    try:
        with context.wrap_socket(connection, server_hostname=place.host) as secured:
            return Finding(TLS, True, f"{place.host}: {secured.version()}, and its certificate is trusted")
    except ssl.SSLCertVerificationError as e:
        is_named = (file, folder) != (certifi.where(), None)
        return refused.why_refused(place.at, place.named_in, e, f"{file or folder}" if is_named else None, name)
    except (OSError, ValueError) as e:
        told = f"{place.host}, port {place.at.port}, does not speak TLS as it should ({_reason(e)})"
        remedy = f"write http:// in {place.named_in} if it has no TLS; else see what is between it and this machine"
        return Finding(TLS, False, told, remedy)


def trusted(setup: Setup, place: Place) -> tuple[str | None, str | None]:
    """The file and the folder of CAs by which a host's certificate is verified."""
    if place.of_google_auth:
        named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
        return (None, named) if os.path.isdir(named) else (named, None)
    file, folder = setup.trusted
    return (file, folder) if file or folder else (certifi.where(), None)


def _reason(error: Exception) -> str:
    """Why something failed, in the words of the system."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS").lower().replace("_", " ")
    return getattr(error, "strerror", None) or type(error).__name__
