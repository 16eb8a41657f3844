from pathlib import Path

import pytest
import trustme

from addons.doctor.finding import Finding
from addons.doctor.hosts import hosts
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The certificate of a CA that has signed nothing here."""
    file = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(file)
    return file


def refused(setup_of: SetupOf, port: int, trusted: Path | None = None) -> Finding:
    named = {"ssl_verify_upstream_trusted_ca": trusted} if trusted else {}
    found = fault(hosts(setup_of(vertex_endpoint=f"https://localhost:{port}", **named)))
    assert found.check == "TLS"
    return found


def test_it_has_expired(setup_of: SetupOf, ports: dict[str, int], ca_file: Path) -> None:
    found = refused(setup_of, ports["expired"], ca_file)
    assert found.message == "localhost: its certificate has expired on 2020-02-03"
    assert found.remedy.startswith("renew the certificate of localhost, or check the clock of this machine")


def test_it_is_not_valid_yet(setup_of: SetupOf, ports: dict[str, int], ca_file: Path) -> None:
    """That is how a clock shows that has not been set."""
    found = refused(setup_of, ports["early"], ca_file)
    assert found.message == "localhost: its certificate is not valid before 2090-01-02"
    assert found.remedy.startswith("check the clock of this machine, which says 20")


def test_it_is_for_another_name(setup_of: SetupOf, ports: dict[str, int], ca_file: Path) -> None:
    found = refused(setup_of, ports["other"], ca_file)
    assert found.message == "localhost: its certificate is not for this name, but for other.example"
    assert found.remedy.startswith("write a name that the certificate has in vertex_endpoint")


def test_it_is_of_a_ca_that_is_not_trusted(setup_of: SetupOf, ports: dict[str, int], stranger: Path) -> None:
    found = refused(setup_of, ports["good"])
    assert found.message.endswith(" that is not trusted")
    assert found.remedy.endswith("name a file with that CA in ssl_verify_upstream_trusted_ca")
    found = refused(setup_of, ports["good"], stranger)
    assert found.message.endswith(f"that is not trusted, as {stranger} does not have it")
    assert found.remedy == "add that CA to the file, or correct ssl_verify_upstream_trusted_ca"
