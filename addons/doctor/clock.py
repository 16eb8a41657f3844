"""The clock of this machine. Google refuses requests for tokens that were signed too early or too late."""

import time
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import requests

from addons.doctor.finding import Finding
from addons.doctor.hosts import reached
from addons.doctor.hosts import trusted
from addons.doctor.in_time import all_in_time
from addons.doctor.ledger import path_of
from addons.doctor.places import Place
from addons.doctor.setup import Setup

CLOCK = "clock"
MOST_S = 60.0
"""By how much the clock may differ from that of a host."""
ANSWER_S = 5.0
REMEDY = "set the clock, and have it follow a time server: timedatectl set-ntp true"


def clock(setup: Setup) -> Iterator[Finding]:
    """Whether the clock is right: by the header Date of hosts with `--online`, else by when files were written."""
    now = time.time()
    if late := _written_later(setup, now):
        file, when = late
        told = f"it says {_shown(now)}, but {file} was written later ({_shown(when)})"
        yield Finding(CLOCK, False, told, REMEDY)
        return
    if not setup.is_online:
        yield Finding(CLOCK, True, f"it says {_shown(now)}; --online compares it with that of the hosts")
        return
    asked = [one.place for one in reached(setup) if one.is_well and one.place.speaks_http]
    found = all_in_time([partial(ahead_of, setup, place) for place in asked], 3 * ANSWER_S)
    differences = {place.host: ahead for place, ahead in zip(asked, found, strict=True) if isinstance(ahead, float)}
    if not differences:
        yield Finding(CLOCK, True, "no host tells the time")
    for host, ahead in differences.items():
        if abs(ahead) > MOST_S:
            how = f"{abs(ahead):,.0f} seconds {'ahead of' if ahead > 0 else 'behind'}"
            yield Finding(CLOCK, False, f"it is {how} that of {host}", REMEDY)
        else:
            yield Finding(CLOCK, True, f"it agrees with that of {host}")


def ahead_of(setup: Setup, place: Place) -> float | None:
    """By how many seconds this clock is ahead of that of a host; None if the host tells no time."""
    file, folder = trusted(setup, place)
    with requests.Session() as session:
        session.trust_env = False
        url = f"{place.at.scheme}://{_in_url(place.host)}:{place.at.port}/"
        before = time.time()
        answer = session.head(url, timeout=ANSWER_S, verify=file or folder or True, allow_redirects=False)
        after = time.time()
    try:
        told = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    # The header has whole seconds.
    return (before + after) / 2 - (told + 0.5)


def _written_later(setup: Setup, now: float) -> tuple[Path, float] | None:
    """A file that was written after `now`, if the clock was right then: the program's own, or the ledger."""
    try:
        files = [Path(__file__), path_of(setup)]
    except RuntimeError:
        files = [Path(__file__)]
    for file in files:
        try:
            written = file.stat().st_mtime
        except OSError:
            continue
        if written > now + MOST_S:
            return file, written
    return None


def _shown(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
