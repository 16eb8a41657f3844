"""The listeners: reverse mode, where this proxy is the clients' base URL, and forward mode, where it is their HTTP
proxy."""

import logging
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import certifi
from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy import tls
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import layer
from mitmproxy.proxy import layers
from mitmproxy.proxy import mode_specs
from mitmproxy.version import VERSION

from addons.classify import Classify
from addons.options import Options
from addons.options import is_start
from metering.hosts import is_door

BUNDLE = "vertex-tap-ca-bundle.pem"
CERTIFICATE_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    # curl prefers it to SSL_CERT_FILE.
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)
"""Environment variables in which clients look for the certificates that they trust."""
MENDED = (12, 1, 2)
"""The first version of mitmproxy without GHSA-847f-9342-265h (requests smuggled by HTTP/2 headers) and CVE-2025-23217
(pages of mitmweb that other sites can use)."""
FIXED: dict[str, str | None] = {
    # An eager connection would go to the `reverse:` target, which may not be the upstream of the call.
    "connection_strategy": "lazy",
    # meter.py decides for each flow whether to stream: a call that is refused must not be streamed.
    "stream_large_bodies": None,
}
"""mitmproxy's options that have a fixed value here."""

logger = logging.getLogger(__name__)


class Entrance:
    """Prepares the listeners and logs their addresses. In forward mode only connections to AI hosts are decrypted; all
    others are tunnelled unread and unrecorded."""

    def __init__(self, options: Options, classify: Classify) -> None:
        self._options = options
        self._classify = classify

    def configure(self, updated: set[str]) -> None:
        # Not in `running`: mitmproxy calls it after the listener has opened.
        if is_start(updated):
            ctx.options.update(**FIXED)
            _raise_file_limit()
        elif changed := [name for name in sorted(updated & FIXED.keys()) if getattr(ctx.options, name) != FIXED[name]]:
            raise exceptions.OptionsError(f"{', '.join(changed)}: vertex-tap needs the value that it has set; leave it")

    def running(self) -> None:
        for line in self._directions():
            logger.info("vertex-tap: %s", line)
        if _version(VERSION) < MENDED:
            logger.info("vertex-tap: %s", OUTDATED.format(version=VERSION))

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        context = nextlayer.context
        if nextlayer.layer or _is_reverse(context.client.proxy_mode) or not context.server.address:
            return
        data, names = nextlayer.data_client(), (context.server.address[0], context.client.sni)
        if data and not starts_like_tls_record(data) and not self._is_ai(*names):
            nextlayer.layer = layers.TCPLayer(context, ignore=True)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        context = data.context
        if not _is_reverse(context.client.proxy_mode) and context.server.address:
            data.ignore_connection = not self._is_ai(context.server.address[0], data.client_hello.sni)

    def _is_ai(self, address: str, sni: str | None) -> bool:
        """Whether a connection may be to an AI host. Behind one of `DOORS`, only the requests tell."""
        return any(map(self._classify.is_ai_host, (address, sni or address))) or is_door(sni or address)

    def _directions(self) -> Iterator[str]:
        """Where to point clients, what the ledger is, and which certificates to trust."""
        settings = self._options.configuration.settings
        bundle = write_bundle()
        base = settings.gateway_base_path[0] if settings.gateway_base_path else ""
        of_reverse = [url + base for url, is_reverse in listeners() if is_reverse]
        of_forward = [url for url, is_reverse in listeners() if not is_reverse]
        yield from (f"point clients at {url} (base_url)" for url in of_reverse)
        for url in of_forward:
            yield f"set HTTPS_PROXY={url} (and https_proxy) for clients; for Node also NODE_USE_ENV_PROXY=1"
        yield f"the ledger is {settings.usage_db.absolute()}"
        if of_forward:
            yield f"clients must trust {bundle}: set {', '.join(CERTIFICATE_VARIABLES)} to it"
        else:
            yield f"clients that insist on TLS, such as Python's Live, must trust {bundle} (SSL_CERT_FILE)"


def listeners() -> Iterator[tuple[str, bool]]:
    """The URL of each listener, and whether it is one of reverse mode."""
    for server in ctx.master.addons.get("proxyserver").servers:
        for host, port, *_ in server.listen_addrs[:1]:
            here = "127.0.0.1" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
            yield f"http://{here}:{port}", _is_reverse(server.mode)


OUTDATED = (
    "mitmproxy {version} lacks published security fixes (GHSA-847f-9342-265h, CVE-2025-23217); there is one that has"
    " them for Python 3.12 and newer"
)


def _version(text: str) -> tuple[int, ...]:
    """The numbers of a version, such as `(12, 1, 2)`."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _is_reverse(mode: mode_specs.ProxyMode) -> bool:
    return isinstance(mode, mode_specs.ReverseMode)


def write_bundle(name: str = BUNDLE, more: str = "") -> Path:
    """Write a file with certifi's root certificates, mitmproxy's CA and `more`, and return its path. It needs both:
    SSL_CERT_FILE replaces a client's own roots, and most hosts are not decrypted."""
    confdir = Path(ctx.options.confdir).expanduser().absolute()
    bundle = confdir / name
    new = bundle.with_suffix(f".{os.getpid()}")
    new.write_text(certifi.contents() + "\n" + (confdir / "mitmproxy-ca-cert.pem").read_text() + more)
    new.replace(bundle)
    return bundle


def _raise_file_limit() -> None:
    """Raise the limit of open files to its maximum: each call needs two descriptors, and the usual limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
