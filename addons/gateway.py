"""The script that mitmdump loads: `mitmdump -s addons/gateway.py --mode reverse:https://aiplatform.googleapis.com`.

It lists the addons in the order in which a call meets them, and does nothing else.
"""

import sys
from pathlib import Path

# mitmproxy puts the script's folder on sys.path, where our modules would shadow others of the same name. Put the folder
# above there instead, so that a checkout runs without being installed.
_here = Path(__file__).resolve().parent
sys.path[:] = [str(_here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != _here)]

from addons.access import Access  # noqa: E402
from addons.admit import Admit  # noqa: E402
from addons.choose import Choose  # noqa: E402
from addons.classify import Classify  # noqa: E402
from addons.credentials import Credentials  # noqa: E402
from addons.drain import Drain  # noqa: E402
from addons.entrance import Entrance  # noqa: E402
from addons.fallback import Fallback  # noqa: E402
from addons.jobs import Jobs  # noqa: E402
from addons.keep import Keep  # noqa: E402
from addons.layers import Layers  # noqa: E402
from addons.live import Live  # noqa: E402
from addons.meter import Meter  # noqa: E402
from addons.metrics import Metrics  # noqa: E402
from addons.offer import Offer  # noqa: E402
from addons.options import Options  # noqa: E402
from addons.pages import Pages  # noqa: E402
from addons.permit import Permit  # noqa: E402
from addons.recorder import Recorder  # noqa: E402
from addons.redact import Redact  # noqa: E402
from addons.reload import Reload  # noqa: E402
from addons.rewrite import Rewrite  # noqa: E402
from addons.route import Route  # noqa: E402
from addons.screens import Screens  # noqa: E402
from addons.telemetry import Telemetry  # noqa: E402
from addons.views import Views  # noqa: E402


def chain(options: Options) -> list[object]:
    """The addons, in the order in which mitmproxy must call them."""
    classify = Classify(options)
    exchanges = classify.exchanges
    credentials = Credentials(exchanges)
    recorder = Recorder(options, exchanges)
    jobs = Jobs()
    rewrite = Rewrite(exchanges, credentials, recorder)
    drain = Drain(exchanges, recorder)
    metrics = Metrics(recorder, options.cost_of)
    return [
        options,
        Reload(options),
        Layers(exchanges),
        Entrance(options, classify),
        Pages(options, drain, recorder, metrics),
        classify.identify,
        classify,
        drain,
        Access(options, exchanges, classify.identify),
        Route(exchanges),
        Choose(exchanges, jobs),
        credentials,
        Meter(exchanges, recorder),
        Permit(exchanges),
        Admit(options, exchanges, recorder),
        rewrite,
        Fallback(exchanges, credentials, rewrite, recorder, jobs),
        Offer(exchanges),
        Live(exchanges, recorder),
        Keep(options, exchanges),
        recorder,
        Screens(options, exchanges, recorder),
        Telemetry(recorder),
        Redact(exchanges),
        Views(),
    ]


addons = chain(Options())
