"""`vertex-tap serve`: runs the same addons on a mitmproxy Master of our own, with only the mitmproxy addons they need.

Every hook walks through all addons, and mitmdump has four times as many. The options of the addons that are left out
(listing, saved flows, replay, scripts, ...) do not exist here, so that nobody sets one in vain.
"""

import asyncio
import logging
import signal
from pathlib import Path

from mitmproxy import exceptions
from mitmproxy import hooks
from mitmproxy import options
from mitmproxy import optmanager
from mitmproxy.addons import block
from mitmproxy.addons import core
from mitmproxy.addons import disable_h2c
from mitmproxy.addons import errorcheck
from mitmproxy.addons import next_layer
from mitmproxy.addons import proxyauth
from mitmproxy.addons import proxyserver
from mitmproxy.addons import tlsconfig
from mitmproxy.addons import upstream_auth
from mitmproxy.master import Master

from addons.configuration.settings import OPTIONS
from addons.gateway import chain
from addons.options import PREFIXES
from addons.options import Options

MODE = "reverse:https://aiplatform.googleapis.com"
HOST = "127.0.0.1"
PORT = 8080


def serve(host: str | None, port: int | None, set_options: tuple[str, ...]) -> None:
    """Serve until SIGINT or SIGTERM. `set_options` are texts of the form `name=value`, and override mitmproxy's
    config.yaml. Raises SystemExit for bad options."""
    try:
        asyncio.run(_serve(host, port, set_options))
    except exceptions.OptionsError as e:
        raise SystemExit(f"vertex-tap cannot start:\n  {e}") from e


async def _serve(host: str | None, port: int | None, set_options: tuple[str, ...]) -> None:
    opts = options.Options(mode=[MODE], listen_host=HOST, listen_port=PORT)
    master = Master(opts, with_termlog=True)
    opts.set(*set_options, defer=True)
    given = set(opts.deferred)
    confdir = Path(opts.confdir).expanduser()
    optmanager.load_paths(opts, confdir / "config.yaml", confdir / "config.yml")
    # config.yaml may set options of mitmproxy addons that are left out here; these are ignored.
    others = {name for name in opts.deferred if name not in given and not name.startswith(PREFIXES)}
    opts.set(*set_options, defer=True)
    opts.update(listen_host=host or opts.listen_host, listen_port=opts.listen_port if port is None else port)
    master.addons.add(
        core.Core(),
        block.Block(),
        disable_h2c.DisableH2C(),
        proxyauth.ProxyAuth(),
        proxyserver.Proxyserver(),
        *chain(Options(prefixes=("",))),
        next_layer.NextLayer(),
        tlsconfig.TlsConfig(),
        upstream_auth.UpstreamAuth(),
        errorcheck.ErrorCheck(repeat_errors_on_stderr=True),
    )
    for name in others:
        opts.deferred.pop(name, None)
    _set_log_levels(opts.termlog_verbosity)
    master.addons.trigger(hooks.ConfigureHook({"confdir", "mode", *OPTIONS}))
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, master.shutdown)
    await master.run()


def _set_log_levels(verbosity: str) -> None:
    root, connections = logging.getLogger(), logging.getLogger("mitmproxy.proxy.server")
    root.setLevel(verbosity.upper())
    if verbosity != "debug":
        # mitmproxy logs every connection at INFO.
        connections.setLevel(logging.WARNING)
