"""The variables that name an HTTP proxy. google-auth follows them when it asks for tokens; mitmproxy does not."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from addons.doctor.accounts import gets_tokens
from addons.doctor.accounts import token_uri_of
from addons.doctor.finding import Finding
from addons.doctor.finding import of_problem
from addons.doctor.hosts import reached
from addons.doctor.listening import addresses
from addons.doctor.places import proxy_for
from addons.doctor.setup import Setup
from addons.environment import PROXIES
from addons.environment import upstream_proxy
from addons.keys import without_secrets
from metering.local import is_loopback

PROXY_VARIABLES = "proxy variables"


def proxy_variables(setup: Setup) -> Iterator[Finding]:
    """Whether a proxy is named that calls do not go through, or that cannot be."""
    named = next((name for name in PROXIES if os.environ.get(name)), None)
    if not named:
        yield Finding(PROXY_VARIABLES, True, "none is set")
        return
    url = os.environ[named]
    # Only requests for tokens follow the variables, so others may have their reasons for what they say.
    is_followed = any(map(gets_tokens, setup.services.values()))
    if problems := upstream_proxy(os.environ).problems:
        found = (of_problem(PROXY_VARIABLES, problem) for problem in problems)
        yield from (one._replace(ok=not is_followed) for one in found)
        return
    if _is_this_proxy(setup, url):
        told = f"{named} names this proxy itself, to which its own requests for tokens would come back"
        remedy = f"unset {named} for vertex-tap; set it for its clients only"
        yield Finding(PROXY_VARIABLES, not is_followed, told, remedy)
        return
    tokens = [uri for service in setup.services.values() if (uri := token_uri_of(service))]
    through = [uri for uri in tokens if proxy_for(uri)]
    yield from _of_calls(setup, named, without_secrets(url), bool(through))
    if tokens and not through:
        yield Finding(
            PROXY_VARIABLES, True, f"tokens are asked for directly, as NO_PROXY excepts their host from {named}"
        )


def _of_calls(setup: Setup, named: str, url: str, tokens_go_through: bool) -> Iterator[Finding]:
    if any(mode.full_spec.startswith("upstream:") for mode in setup.modes):
        yield Finding(PROXY_VARIABLES, True, f"mode says which proxy calls go through; {named} is not read")
        return
    but = "; only requests for tokens do" if tokens_go_through else ""
    told = f"calls do not go through {url}, which {named} names{but}"
    of_calls = (one for one in reached(setup) if one.place.speaks_http and not one.place.of_google_auth)
    failed = [one.place.host for one in of_calls if not one.is_well]
    remedy = f"to have them go through it, use forward mode: --set mode=upstream:{_origin(url)}"
    if failed:
        told += f", and {', '.join(failed)} cannot be reached directly"
        yield Finding(PROXY_VARIABLES, False, told, f"allow this machine to connect directly; {remedy}")
    else:
        yield Finding(PROXY_VARIABLES, True, told, remedy)


def _is_this_proxy(setup: Setup, url: str) -> bool:
    at = urlsplit(url if "://" in url else f"http://{url}")
    return any(
        at.port == port and (at.hostname == host or is_loopback(at.hostname or ""))
        for _, host, port in addresses(setup)
    )


def _origin(url: str) -> str:
    """A URL of a proxy without user and password."""
    at = urlsplit(url if "://" in url else f"http://{url}")
    return f"{at.scheme}://{at.hostname}:{at.port}" if at.port else f"{at.scheme}://{at.hostname}"
