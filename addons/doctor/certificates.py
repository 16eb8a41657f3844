"""Certificates: the CAs that are trusted, mitmproxy's own CA in forward mode, and those of hosts that are refused."""

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from addons.configuration.values import Endpoint
from addons.doctor.finding import Finding
from addons.doctor.setup import Setup
from addons.entrance import CERTIFICATE_VARIABLES
from metering.hosts import api_of

CA_TRUST = "CA trust"
TLS = "TLS"
EXPIRED, NOT_YET_VALID, OTHER_NAME = 10, 9, 62
"""`verify_code` of OpenSSL; `OTHER_NAME` and the two after it are of names and addresses."""
HANDSHAKE_S = 5.0
OPTION = "ssl_verify_upstream_trusted_ca"
CA_FILE = "mitmproxy-ca.pem"


# Hosts that are refused


def of_refused(
    at: Endpoint, named_in: str, error: ssl.SSLCertVerificationError, bundle: str | None, name: str
) -> Finding:
    """Why the certificate of a host is not accepted. `bundle` is the file of CAs that the user has named, and `name`
    the option or the variable that names it."""
    code = error.verify_code
    shown = _certificate_of(at)
    clock = f"check the clock of this machine, which says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if code == EXPIRED:
        until = f" on {shown.not_valid_after_utc:%Y-%m-%d}" if shown else ""
        remedy = clock if api_of(at.host) else f"renew the certificate of {at.host}, or {clock}"
        return Finding(TLS, False, f"{at.host}: its certificate has expired{until}", remedy)
    if code == NOT_YET_VALID:
        since = f" before {shown.not_valid_before_utc:%Y-%m-%d}" if shown else ""
        return Finding(TLS, False, f"{at.host}: its certificate is not valid{since}", clock)
    if OTHER_NAME <= code <= OTHER_NAME + 2:
        names = f", but for {', '.join(_names(shown)) or 'nobody'}" if shown else ""
        remedy = f"write a name that the certificate has in {named_in}, or see what answers in its place"
        return Finding(TLS, False, f"{at.host}: its certificate is not for this name{names}", remedy)
    issuer = f" ({_common_name(shown.issuer)})" if shown else ""
    told = f"{at.host}: its certificate is of a CA{issuer} that is not trusted"
    if bundle:
        return Finding(
            TLS, False, f"{told}, as {bundle} does not have it", f"add that CA to the file, or correct {name}"
        )
    remedy = f"if a firewall of yours reads TLS, or the host has a CA of its own, name a file with that CA in {name}"
    return Finding(TLS, False, told, remedy)


def _certificate_of(at: Endpoint) -> x509.Certificate | None:
    """The certificate that a host shows, whoever has signed it. Nothing else is sent there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((at.host, at.port), HANDSHAKE_S) as connection,
            context.wrap_socket(connection, server_hostname=at.host) as secured,
        ):
            return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in found if isinstance(name, x509.DNSName | x509.IPAddress)][:3]


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else "without a name"


# CAs


def ca_trust(setup: Setup) -> Iterator[Finding]:
    """Whether the files with CAs can be used: those for upstreams, mitmproxy's own, and the bundles of clients."""
    findings = [*_of_upstreams(setup), *_of_listeners(setup)]
    if setup.modes and len(setup.reverse) < len(setup.modes):
        ours = _read_ca(setup)
        if isinstance(ours, Finding):
            findings.append(ours)
        else:
            findings += _of_clients(ours)
    yield from findings or [Finding(CA_TRUST, True, "upstreams must have certificates of a public CA (certifi)")]


def _of_upstreams(setup: Setup) -> Iterator[Finding]:
    file, _ = setup.trusted
    if not file:
        return
    try:
        found = _certificates(Path(file))
    except OSError as e:
        told = f"{OPTION}: {file} cannot be read ({e.strerror})"
        yield Finding(CA_TRUST, False, told, "name a PEM file with the CAs that upstreams may have, or leave it out")
        return
    if not found:
        told = f"{OPTION}: there is no certificate in {file}"
        yield Finding(CA_TRUST, False, told, "name a PEM file with the CAs that upstreams may have, or leave it out")
        return
    valid = [one for one in found if one.not_valid_after_utc > datetime.now(UTC)]
    if not valid:
        told = f"{OPTION}: each of the certificates in {file} has expired"
        yield Finding(CA_TRUST, False, told, "get the present CAs, and check the clock of this machine")
        return
    yield Finding(CA_TRUST, True, f"upstreams must have certificates of {len(valid)} CAs in {file}")


def _of_listeners(setup: Setup) -> Iterator[Finding]:
    """The certificates that listeners show."""
    for text in setup.options.certs:
        file = Path(text.rpartition("=")[2]).expanduser()
        if not file.is_file():
            yield Finding(CA_TRUST, False, f"certs: there is no file {file}", "name the PEM file of the listener")


def _read_ca(setup: Setup) -> x509.Certificate | Finding | None:
    """mitmproxy's CA; None if the first start makes it."""
    folder = Path(setup.options.confdir).expanduser()
    file = folder / CA_FILE
    try:
        if not file.exists():
            above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
            if above.is_dir() and os.access(above, os.W_OK):
                return None
            told = f"mitmproxy's CA cannot be made in {folder}"
            return Finding(CA_TRUST, False, told, "change its permissions, or name another folder in confdir")
        found = _certificates(file)
    except OSError as e:
        return Finding(CA_TRUST, False, f"{file} cannot be read ({e.strerror})", "change its permissions")
    renew = f"delete the files mitmproxy-ca* in {folder}; the next start makes a new CA, which clients must trust then"
    if not found:
        return Finding(CA_TRUST, False, f"there is no certificate in {file}", renew)
    if found[0].not_valid_after_utc < datetime.now(UTC):
        return Finding(CA_TRUST, False, f"mitmproxy's CA in {file} has expired", renew)
    return found[0]


def _of_clients(ca: x509.Certificate | None) -> Iterator[Finding]:
    """Whether clients that are started from here would trust this proxy."""
    wanting = []
    for name in CERTIFICATE_VARIABLES:
        if not (named := os.environ.get(name)):
            continue
        try:
            found = [] if Path(named).is_dir() else _certificates(Path(named))
        except OSError as e:
            told = f"{name}: {named} cannot be read ({e.strerror})"
            yield Finding(CA_TRUST, False, told, "name the bundle that vertex-tap logs when it starts")
            continue
        if ca is None or ca not in found:
            wanting.append(name)
    if wanting:
        told = f"clients started here do not trust this proxy: its CA is not in the files of {', '.join(wanting)}"
        yield Finding(CA_TRUST, True, told, "set these variables of the clients to the bundle that vertex-tap logs")
    elif ca is None:
        yield Finding(CA_TRUST, True, "mitmproxy's CA is made at the first start")
    else:
        told = f"mitmproxy's CA is valid until {ca.not_valid_after_utc:%Y-%m-%d}"
        yield Finding(CA_TRUST, True, f"{told}; clients need the bundle that vertex-tap logs")


def _certificates(file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file. Raises OSError."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        return []
