"""All checks, in the order in which they are made, and how they are run: none can raise, hang or write."""

import time
import traceback
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from addons.doctor.answers import MODEL
from addons.doctor.answers import ROLE
from addons.doctor.answers import TOKEN
from addons.doctor.certificates import CA_TRUST
from addons.doctor.certificates import ca_trust
from addons.doctor.clock import CLOCK
from addons.doctor.clock import clock
from addons.doctor.finding import Finding
from addons.doctor.hosts import DNS
from addons.doctor.hosts import TCP
from addons.doctor.hosts import TLS
from addons.doctor.hosts import hosts
from addons.doctor.in_time import in_time
from addons.doctor.keys import CREDENTIALS
from addons.doctor.keys import KEY_FILE
from addons.doctor.keys import credentials
from addons.doctor.keys import key_file
from addons.doctor.ledger import LEDGER
from addons.doctor.ledger import ledger
from addons.doctor.listening import LISTEN_ADDRESS
from addons.doctor.listening import PORT
from addons.doctor.listening import listen_address
from addons.doctor.listening import port
from addons.doctor.online import online
from addons.doctor.options import OPTIONS_CHECK
from addons.doctor.options import options
from addons.doctor.projects import LOCATION
from addons.doctor.projects import PROJECT
from addons.doctor.projects import location
from addons.doctor.projects import project
from addons.doctor.proxies import PROXY_VARIABLES
from addons.doctor.proxies import proxy_variables
from addons.doctor.routes import ROUTES
from addons.doctor.routes import routes
from addons.doctor.setup import Setup
from addons.doctor.setup import read_setup
from addons.doctor.versions import MITMPROXY
from addons.doctor.versions import PYTHON
from addons.doctor.versions import mitmproxy
from addons.doctor.versions import python
from addons.keys import without_secrets
from metering.output import visible

LIMIT_S = 90.0
"""The most time for all checks together. Each has shorter limits of its own."""
LEAST_S = 1.0
"""What a check gets if that time is used up."""


class Check(NamedTuple):
    """A function that looks at a set-up, and the names of the checks whose findings it gives."""

    names: tuple[str, ...]
    look: Callable[[Setup], Iterable[Finding]]
    is_online: bool = False
    """Whether it is made with `--online` only."""


CHECKS = (
    Check((PYTHON,), python),
    Check((MITMPROXY,), mitmproxy),
    Check((OPTIONS_CHECK,), options),
    Check((KEY_FILE,), key_file),
    Check((CREDENTIALS,), credentials),
    Check((PROJECT,), project),
    Check((LOCATION,), location),
    Check((ROUTES,), routes),
    Check((LEDGER,), ledger),
    Check((LISTEN_ADDRESS,), listen_address),
    Check((PORT,), port),
    Check((CA_TRUST,), ca_trust),
    Check((DNS, TCP, TLS), hosts),
    Check((PROXY_VARIABLES,), proxy_variables),
    Check((CLOCK,), clock),
    Check((TOKEN, ROLE, MODEL), online, is_online=True),
)


def examine(set_options: Sequence[str], *, is_online: bool) -> Iterator[Finding]:
    """The findings of all checks, as they are made. Raises nothing."""
    until = time.monotonic() + LIMIT_S
    setup: list[Setup] = []

    def read() -> Iterator[Finding]:
        setup.append(read_setup(set_options, is_online=is_online))
        return iter(())

    yield from looked((OPTIONS_CHECK,), read, until)
    for check in CHECKS if setup else ():
        if is_online or not check.is_online:
            yield from looked(check.names, lambda check=check: check.look(setup[0]), until)  # type: ignore[misc]


def looked(names: tuple[str, ...], look: Callable[[], Iterable[Finding]], until: float) -> list[Finding]:
    """What a check has found until then, without secrets. Where it fails itself, that is a finding."""
    found: list[Finding] = []
    try:
        in_time(lambda: found.extend(look()), max(LEAST_S, until - time.monotonic()))
    except TimeoutError:
        told = "it takes too long, and was given up"
        found.append(Finding(names[0], False, told, "see what the network, or the disk of these files, waits for"))
    except Exception as e:
        at = traceback.extract_tb(e.__traceback__)[-1]
        told = f"this check has failed itself ({type(e).__name__} in {Path(at.filename).name}, line {at.lineno})"
        found.append(Finding(names[0], False, told, "report this line to the authors of vertex-tap"))
    return [one._replace(message=_shown(one.message), remedy=_shown(one.remedy)) for one in found]


def _shown(text: str) -> str:
    return visible(without_secrets(text))
