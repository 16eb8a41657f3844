"""On PYTHONPATH of a process, this makes every host name mean this machine, so that real names can be used.

`LOOPBACK_PORTS` maps ports to those where the stand-ins listen, as JSON.
"""

import ipaddress
import json
import os
import socket
from typing import Any

_ports = json.loads(os.environ.get("LOOPBACK_PORTS", "{}"))
_getaddrinfo = socket.getaddrinfo


def _is_name(host: str | None) -> bool:
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return host not in (None, "", "localhost")
    return False


def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    host = host.decode() if isinstance(host, bytes) else host
    if _is_name(host):
        host, port = "127.0.0.1", _ports.get(str(port), port)
    return _getaddrinfo(host, port, *args, **kwargs)


socket.getaddrinfo = getaddrinfo
