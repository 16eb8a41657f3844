"""Routes that no call reaches, as an earlier one takes all of their calls."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from addons.configuration.services import ServiceRoute
from addons.doctor.finding import Finding
from addons.doctor.setup import Setup

ROUTES = "routes"
CRITERIA = ("base_path", "surface", "publisher", "model", "client")
_ANY = re.compile(r"\[[^\]]+\]|[*?]")


def routes(setup: Setup) -> Iterator[Finding]:
    """Routes that no call reaches; and services that no route names."""
    shadowed = False
    # Those of OpenAI's models stand behind those of the file.
    for number, route in enumerate(setup.routes, 1):
        earlier = next((n for n, one in enumerate(setup.routes[: number - 1], 1) if takes_all(one, route)), None)
        if earlier:
            shadowed = True
            told = f"route {number} ({_told(route)}) is never reached: route {earlier} takes all of its calls"
            yield Finding(ROUTES, False, told, f"move it before route {earlier}, or delete it")
    named = {"default"} | {one.service for route in setup.routes for one in route.candidates}
    unused = [name for name in setup.services if name not in named]
    if unused:
        told = f"no route leads to {', '.join(unused)}"
        yield Finding(ROUTES, True, told, f"add a route such as {{model: 'gemini*', service: {unused[0]}}}")
    elif not shadowed:
        yield Finding(ROUTES, True, f"each of {len(setup.routes)} can be reached" if setup.routes else "there are none")


def takes_all(earlier: ServiceRoute, later: ServiceRoute) -> bool:
    """Whether the earlier of two routes matches each call that the later one matches."""
    return all(covers(getattr(earlier, name), getattr(later, name)) for name in CRITERIA)


def covers(glob: str | None, other: str | None) -> bool:
    """Whether a glob matches each text that another one matches; None matches anything. Where that is hard to tell, it
    does not."""
    if glob is None or glob == other:
        return True
    if other is None:
        return False
    if not _ANY.search(other):
        return fnmatchcase(other, glob)
    # A wildcard of the other one stands for texts that only a star is certain to match.
    return not re.search(r"[?\[]", glob) and fnmatchcase(_ANY.sub("\0", other), glob)


def _told(route: ServiceRoute) -> str:
    criteria = [(name, getattr(route, name)) for name in CRITERIA]
    return ", ".join(f"{name}: {glob}" for name, glob in (*criteria, ("service", route.service)) if glob)
