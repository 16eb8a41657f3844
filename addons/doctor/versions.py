"""The versions of Python and mitmproxy."""

import re
import sys
from collections.abc import Iterator

from mitmproxy.version import VERSION

from addons.doctor.finding import Finding
from addons.doctor.setup import Setup
from addons.entrance import MENDED

PYTHON = "Python"
MITMPROXY = "mitmproxy"
PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest Python with which the tests run."""
MITMPROXIES = ((11, 0, 2), (13,))
"""The oldest mitmproxy that can be used, and the first that cannot."""


def python(setup: Setup) -> Iterator[Finding]:
    """Whether this Python is one with which vertex-tap is tested."""
    yield of_python(sys.version_info[:2], sys.version.split()[0])


def of_python(number: tuple[int, ...], told: str) -> Finding:
    """The finding for a version of Python."""
    oldest, newest = PYTHONS
    if number < oldest:
        return Finding(PYTHON, False, f"{told} is too old", "install vertex-tap with Python 3.13")
    if number > newest:
        return Finding(PYTHON, True, f"{told}, with which vertex-tap is not tested yet", "if it fails, use Python 3.13")
    return Finding(PYTHON, True, told)


def mitmproxy(setup: Setup) -> Iterator[Finding]:
    """Whether this mitmproxy can be used, and has all published security fixes."""
    yield of_mitmproxy(VERSION)


def of_mitmproxy(told: str) -> Finding:
    """The finding for a version of mitmproxy."""
    number = tuple(map(int, re.findall(r"\d+", told)[:3]))
    oldest, too_new = MITMPROXIES
    if not oldest <= number < too_new:
        remedy = "install vertex-tap into an environment of its own: pip install vertex-tap"
        return Finding(MITMPROXY, False, f"vertex-tap does not work with mitmproxy {told}", remedy)
    if number < MENDED:
        fixes = "lacks published security fixes (GHSA-847f-9342-265h, CVE-2025-23217)"
        return Finding(MITMPROXY, True, f"{told} {fixes}", "use Python 3.12 or newer, and upgrade mitmproxy")
    return Finding(MITMPROXY, True, told)
