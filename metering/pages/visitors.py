"""Who may see the pages: whoever sits at this machine, or, where clients have keys, whoever has one that allows it; and
nothing that another site's page asks for.

A browser says which site a request comes from. A page can deceive it about that only by DNS rebinding, where the name
of its own host leads to this machine; but then Host has that name.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from metering.local import is_local
from metering.local import is_loopback


class Refusal(NamedTuple):
    """Why a visitor may not see the pages."""

    message: str
    status: int = 403


NOT_HERE = Refusal(
    "These pages are shown to this machine only; open http://127.0.0.1 with the proxy's port, on that machine."
)
OTHER_NAME = Refusal(
    "These pages are shown under a name of this machine only, such as localhost or 127.0.0.1; Host has another one."
)
FOREIGN = Refusal("These pages are not shown to pages of other sites; open the address in a window of its own.")
NO_KEY = Refusal("These pages need the key of a client that may see them, as the password, or as a Bearer token.", 401)


class Visit(NamedTuple):
    """What is known of a request for a page."""

    client: str
    """The address that the connection comes from."""
    names: Sequence[str]
    """What the request calls us: all values of Host, with their ports."""
    name: str
    """The name at which we are reached if it is not one of this machine's, such as `vertex-tap.local`."""
    headers: Mapping[str, str]
    """The request's headers; their names are in lower case."""


def refusal(visit: Visit) -> Refusal | None:
    """Why a visitor without a key may not see the pages; None if it may."""
    if not is_loopback(visit.client):
        return NOT_HERE
    if len(visit.names) != 1 or not (is_local(visit.names[0]) or _host(visit.names[0]) == visit.name):
        return OTHER_NAME
    return foreign(visit)


def foreign(visit: Visit) -> Refusal | None:
    """Why a visitor may not see the pages, whoever it is: a page of another site sends it."""
    # Another port of this machine is another site too: what runs there need not be the user's.
    if visit.headers.get("sec-fetch-site", "none").strip().lower() not in ("none", "same-origin"):
        return FOREIGN
    origin = visit.headers.get("origin")
    if origin is not None and [origin.lower().partition("://")[2]] != [name.lower() for name in visit.names]:
        return FOREIGN
    return None


def _host(authority: str) -> str:
    return authority.lower().partition(":")[0]
