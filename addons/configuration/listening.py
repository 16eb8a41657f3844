"""Who can connect: what mitmproxy's own options say about listeners."""

import socket
from collections.abc import Sequence
from typing import NamedTuple

from mitmproxy.proxy import mode_specs

from metering.local import is_loopback

LOOPBACK = "127.0.0.1"


class Listening(NamedTuple):
    """What mitmproxy's own options say about who can connect, and which upstreams are trusted."""

    modes: Sequence[mode_specs.ProxyMode]
    host: str
    """The address for modes that name none of their own."""
    insecure: bool
    """Whether certificates of upstreams are left unverified."""


NOBODY = Listening((), "", False)
WITH_KEYS = (mode_specs.ReverseMode, mode_specs.RegularMode, mode_specs.UpstreamMode)
"""The modes in which clients can send keys to this proxy."""


def is_here(host: str) -> bool:
    """Whether a listener at `host` can only be reached from this machine. Host names are looked up, such as in
    /etc/hosts."""
    if is_loopback(host):
        return True
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return all(is_loopback(str(address[0])) for *_, address in found)
