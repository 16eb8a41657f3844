"""Which names and addresses can only mean this machine."""

import ipaddress
import re

_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+?)\.?)(?::\d{0,5})?", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address or `localhost`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    # Python 3.11 does not count ::ffff:127.0.0.1 as a loopback address.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def is_local(authority: str, listener: str = "") -> bool:
    """Whether `authority` (a host, with or without a port) can only be this machine, or is the name `listener` that the
    proxy listens at.

    `localhost` and all names below it always mean this machine (RFC 6761, section 6.3).
    """
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        return False
    host = (match["ipv6"] or match["name"]).lower()
    return host in ("localhost", listener.lower()) or host.endswith(".localhost") or is_loopback(host)
