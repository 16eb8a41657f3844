import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.doctor import checks
from addons.doctor.checks import CHECKS
from addons.doctor.checks import examine
from addons.doctor.checks import looked
from addons.doctor.finding import Finding
from tests.addons.doctor.answering import Answering
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import faults
from tests.addons.doctor.conftest import files_in
from tests.configuration import write_key
from tests.ledgers import new_ledger
from tests.process import ROOT
from tests.vertex_simulator import Simulator

NAMES = [name for check in CHECKS for name in check.names]


def test_the_page_has_each_check_in_its_order() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| ([\w ]+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert [name for name, *_ in rows if name != "check"] == NAMES
    of_online = {name for name, what, _ in rows if what.startswith("`--online`: ")}
    assert of_online == {name for check in CHECKS if check.is_online for name in check.names}


@pytest.fixture
def options(home: Path, simulator: Simulator) -> list[str]:
    """A set-up in which nothing is wrong, with credentials."""
    write_key(home, simulator.credentials.service_account(simulator.token_uri))
    new_ledger(home / "usage.db")
    sets = {"vertex_auth": "service_account", "vertex_credentials": "key.json", "vertex_endpoint": simulator.url}
    return [f"{name}={value}" for name, value in (sets | {"listen_port": 0}).items()]


def test_nothing_is_wrong(options: list[str], home: Path) -> None:
    """Each check says what it has found. Nothing is written."""
    before = files_in(home)
    found = [*examine(options, is_online=True)]
    assert faults(found) == []
    # Without TLS there is nothing to say about it.
    assert [*dict.fromkeys(one.check for one in found)] == [name for name in NAMES if name != "TLS"]
    assert files_in(home) == before


def test_offline_nothing_is_sent(options: list[str], simulator: Simulator) -> None:
    before = len(simulator.seen)
    found = [*examine(options, is_online=False)]
    assert faults(found) == []
    assert not {"token", "role", "model"} & {one.check for one in found}
    assert len(simulator.seen) == before


def test_many_faults_at_once(home: Path, host: Answering) -> None:
    """None hides another, and each says what to do."""
    (home / "gateway.yaml").write_text(
        "services:\n"
        "  prod: {auth: service_account, credentials: none.json}\n"
        "  eu: {location: europe-wset4}\n"
        "routes:\n"
        "  - {model: 'gem*', service: eu}\n"
        "  - {model: 'gemini*', service: eu}\n"
        "  - {service: nobody}\n"
    )
    host.ahead_s = 3600
    port = host.url.rpartition(":")[2]
    sets = [
        *("usage_db=none/usage.db", "vertex_auth=service_account", "vertex_credentials=key.json", "usage_tgas=a"),
        *("vertex_project=A", f"vertex_endpoint={host.url}", f"listen_port={port}", "listen_host=localhost"),
        *("gateway_config=gateway.yaml", "openai_endpoint=https://nowhere.invalid", "certs=none.pem"),
    ]
    found = [(one.check, one.message) for one in faults(examine(sets, is_online=True))]
    assert [check for check, _ in found] == [
        *("options", "options", "key file", "key file", "project", "location", "routes", "ledger", "port", "CA trust"),
        *("DNS", "clock"),
    ]


@pytest.mark.parametrize("listen_host", ["0.0.0.0", "127.0.0.1"])
def test_a_configuration_that_cannot_be_read_at_all(home: Path, listen_host: str) -> None:
    (home / "gateway.yaml").write_bytes(b"\xff\xfe\x00 a: [")
    sets = ["gateway_config=gateway.yaml", "mode=", "openai_mode=", "vertex_auth=x", f"listen_host={listen_host}"]
    found = faults(examine([*sets, "no-equals-sign", "=", "usage_db="], is_online=True))
    assert {one.check for one in found} >= {"options", "ledger"}


class TestLooked:
    UNTIL = time.monotonic() + 1e6

    def test_a_check_that_raises(self) -> None:
        """What it has found before is told. No message of an exception is: it may quote a secret."""

        def look() -> Iterator[Finding]:
            yield Finding("DNS", True, "first")
            raise ValueError("sk-secret")

        first, second = looked(("DNS", "TCP"), look, self.UNTIL)
        assert (first.message, second.check, second.ok) == ("first", "DNS", False)
        assert re.fullmatch(r"this check has failed itself \(ValueError in test_checks\.py, line \d+\)", second.message)
        assert second.remedy

    def test_a_check_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "LEAST_S", 0.05)
        ended = threading.Event()

        def look() -> list[Finding]:
            ended.wait(60)
            return []

        (found,) = looked(("DNS",), look, 0)
        ended.set()
        assert (found.ok, found.message) == (False, "it takes too long, and was given up")
        assert found.remedy

    def test_no_secrets_and_no_control_characters(self) -> None:
        (found,) = looked(
            ("DNS",), lambda: [Finding("DNS", False, "AIzaSecretKey \x1b[31m", "ya29.secret-token")], self.UNTIL
        )
        assert "Secret" not in found.message
        assert "secret" not in found.remedy
        assert "\\x1b" in found.message


def test_no_secret_is_told(setup_of: SetupOf, home: Path) -> None:
    key = "AIza" + "Secret" * 6
    (home / "gateway.yaml").write_text(f"services: {{{key}: {{api_key: {key}, location: {key}, service: {key}}}}}")
    sets = [f"vertex_api_key={key} ", "vertex_auth=express", f"vertex_project={key}", f"{key}=1", f"openai_mode={key}"]
    found = str([*examine([*sets, "gateway_config=gateway.yaml", f"usage_db={key}/a"], is_online=True)])
    assert "Secret" not in found
