"""The files with CAs: those of upstreams, and in forward mode mitmproxy's own, which clients must trust."""

import os
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from pathlib import Path

from cryptography import x509

from addons.doctor.finding import Finding
from addons.doctor.setup import Setup
from addons.entrance import CERTIFICATE_VARIABLES

CA_TRUST = "CA trust"
OPTION = "ssl_verify_upstream_trusted_ca"
CA_FILE = "mitmproxy-ca.pem"


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
