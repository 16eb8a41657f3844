import sys

import pytest
from mitmproxy.version import VERSION

from addons.doctor.versions import MITMPROXIES
from addons.doctor.versions import mitmproxy
from addons.doctor.versions import of_mitmproxy
from addons.doctor.versions import of_python
from addons.doctor.versions import python
from tests.addons.doctor.conftest import SetupOf
from tests.process import ROOT


@pytest.mark.parametrize(
    ("number", "ok", "remedy"),
    [((3, 10), False, "Python 3.13"), ((3, 11), True, ""), ((3, 13), True, ""), ((3, 14), True, "use Python 3.13")],
)
def test_python(number: tuple[int, ...], ok: bool, remedy: str) -> None:
    found = of_python(number, ".".join(map(str, number)))
    assert found.ok is ok
    assert remedy in found.remedy
    assert bool(found.remedy) == bool(remedy)


@pytest.mark.parametrize(
    ("version", "ok", "remedy"),
    [
        ("11.0.1", False, "pip install vertex-tap"),
        # Python 3.11 has no newer one.
        ("11.0.2", True, "use Python 3.12 or newer"),
        ("12.1.1", True, "upgrade mitmproxy"),
        ("12.1.2", True, ""),
        ("13.0.0", False, "pip install vertex-tap"),
        ("13.0.0.dev", False, "pip install vertex-tap"),
    ],
)
def test_mitmproxy(version: str, ok: bool, remedy: str) -> None:
    found = of_mitmproxy(version)
    assert found.ok is ok
    assert version in found.message
    assert remedy in found.remedy
    assert bool(found.remedy) == bool(remedy)


def test_those_that_run(setup_of: SetupOf) -> None:
    (ours,), (mitmproxys,) = python(setup_of()), mitmproxy(setup_of())
    assert (ours.ok, ours.message) == (True, sys.version.split()[0])
    assert mitmproxys.ok
    assert VERSION in mitmproxys.message


def test_pip_installs_the_same_versions() -> None:
    oldest, too_new = (".".join(map(str, version)) for version in MITMPROXIES)
    assert f'"mitmproxy>={oldest},<{too_new}"' in (ROOT / "pyproject.toml").read_text()
