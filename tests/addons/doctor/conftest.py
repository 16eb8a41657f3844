import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from addons.doctor import clock
from addons.doctor import hosts
from addons.doctor import ledger
from addons.doctor import online
from addons.doctor import refused
from addons.doctor.finding import Finding
from addons.doctor.setup import Setup
from addons.doctor.setup import read_setup
from addons.entrance import CERTIFICATE_VARIABLES
from addons.environment import OTHER_PROXIES
from addons.environment import PROXIES
from tests.addons.doctor.answering import Answering
from tests.addons.doctor.answering import answering
from tests.addons.doctor.tls_servers import servers

SetupOf = Callable[..., Setup]
_VARIABLES = (
    *("VERTEX_API_KEY", "OPENAI_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "NO_PROXY", "no_proxy"),
    *(*PROXIES, *OTHER_PROXIES, *CERTIFICATE_VARIABLES),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has set nothing, in a folder with nothing in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


LIMITS = {
    hosts: ("LOOKUP_S", "CONNECT_S", "ALL_S"),
    refused: ("HANDSHAKE_S",),
    clock: ("ANSWER_S",),
    online: ("ANSWER_S", "ALL_S"),
    ledger: ("PATIENCE_S",),
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be slow. Tests of what hangs set limits of their own."""
    for module, names in LIMITS.items():
        for name in names:
            monkeypatch.setattr(module, name, 60.0)


@pytest.fixture
def setup_of(home: Path) -> SetupOf:
    """A function that reads a set-up: `setup_of(vertex_auth="adc")`. `yaml` is the file of services."""

    def read(*texts: str, yaml: str = "", is_online: bool = False, **options: object) -> Setup:
        sets = [*texts, *(f"{name}={value}" for name, value in options.items())]
        if yaml:
            (home / "gateway.yaml").write_text(yaml)
            sets.append("gateway_config=gateway.yaml")
        return read_setup(sets, is_online=is_online)

    return read


def faults(findings: Iterable[Finding]) -> list[Finding]:
    """What is wrong. Each says what to do."""
    found = [*findings]
    assert all(finding.message for finding in found), found
    wrong = [finding for finding in found if not finding.ok]
    assert all(finding.remedy for finding in wrong), wrong
    return wrong


def fault(findings: Iterable[Finding]) -> Finding:
    """The only thing that is wrong."""
    (found,) = faults(findings)
    return found


def files_in(folder: Path) -> dict[str, int]:
    """All files below a folder, with when they were written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if os.path.isfile(path)}


@pytest.fixture
def host() -> Iterator[Answering]:
    """A host that answers as a test says."""
    with answering() as running:
        yield running


@pytest.fixture(scope="session")
def ports(ca: trustme.CA) -> Iterator[dict[str, int]]:
    """Hosts with certificates of several kinds: the kind -> the port."""
    with servers(ca) as running:
        yield running
