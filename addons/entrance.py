"""The listeners: reverse mode, where this proxy is the clients' base URL, and forward mode, where it is their HTTP
proxy."""

import logging
import os
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

from addons.classify import Classify
from addons.options import Options
from addons.options import is_start
from metering.hosts import is_door

BUNDLE = "vertex-tap-ca-bundle.pem"
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
        ledger = f"the ledger is {self._options.configuration.settings.usage_db}"
        bundle = _write_bundle(Path(ctx.options.confdir).expanduser())
        for server in ctx.master.addons.get("proxyserver").servers:
            for host, port, *_ in server.listen_addrs[:1]:
                here = f"http://{'127.0.0.1' if host in ('', '0.0.0.0', '::') else host}:{port}"
                if _is_reverse(server.mode):
                    base = self._options.configuration.settings.gateway_base_path
                    yield (
                        f"point clients at {here}{base[0] if base else ''} (base_url); clients that need TLS,"
                        f" such as Python's Live, must trust {bundle}; {ledger}"
                    )
                else:
                    yield (
                        f"set HTTPS_PROXY={here} and trust {bundle} (SSL_CERT_FILE, REQUESTS_CA_BUNDLE,"
                        f" NODE_EXTRA_CA_CERTS); {ledger}"
                    )


def _is_reverse(mode: mode_specs.ProxyMode) -> bool:
    return isinstance(mode, mode_specs.ReverseMode)


def _write_bundle(confdir: Path) -> Path:
    """Write a file with certifi's root certificates and mitmproxy's CA, and return its path. It needs both:
    SSL_CERT_FILE replaces a client's own roots, and most hosts are not decrypted."""
    bundle = confdir / BUNDLE
    new = bundle.with_suffix(f".{os.getpid()}")
    new.write_text(certifi.contents() + "\n" + (confdir / "mitmproxy-ca-cert.pem").read_text())
    new.replace(bundle)
    return bundle


def _raise_file_limit() -> None:
    """Raise the limit of open files to its maximum: each call needs two descriptors, and the usual limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
