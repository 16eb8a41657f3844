"""Why the certificate of a host is not accepted."""

import socket
import ssl
from datetime import UTC
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from addons.configuration.values import Endpoint
from addons.doctor.finding import Finding
from metering.hosts import api_of

TLS = "TLS"
HANDSHAKE_S = 5.0
EXPIRED, NOT_YET_VALID, OTHER_NAME = 10, 9, 62
"""`verify_code` of OpenSSL; `OTHER_NAME` and the two after it are of names and addresses."""


def why_refused(
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
