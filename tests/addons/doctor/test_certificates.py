from datetime import UTC
from datetime import datetime
from pathlib import Path

import pytest
import trustme
from mitmproxy.certs import CertStore

from addons.doctor.certificates import ca_trust
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's folder after a start."""
    folder = tmp_path_factory.mktemp("mitmproxy")
    CertStore.from_store(folder, "mitmproxy", 2048)
    return folder


def test_those_of_upstreams(setup_of: SetupOf, ca: trustme.CA, ca_file: Path, home: Path) -> None:
    name = "ssl_verify_upstream_trusted_ca"
    (home / "empty.pem").write_text("no certificate")
    expired = ca.issue_cert(
        "a.example", not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=datetime(2020, 1, 1, tzinfo=UTC)
    )
    expired.cert_chain_pems[0].write_to_path(home / "old.pem")
    remedy = "name a PEM file with the CAs that upstreams may have, or leave it out"
    cases = {
        "none.pem": (f"{name}: none.pem cannot be read (No such file or directory)", remedy),
        "empty.pem": (f"{name}: there is no certificate in empty.pem", remedy),
        "old.pem": (
            f"{name}: each of the certificates in old.pem has expired",
            "get the present CAs, and check the clock of this machine",
        ),
    }
    found = {file: fault(ca_trust(setup_of(f"{name}={file}"))) for file in cases}
    assert {file: (one.message, one.remedy) for file, one in found.items()} == cases
    (right,) = ca_trust(setup_of(f"{name}={ca_file}"))
    assert right.message == f"upstreams must have certificates of 1 CAs in {ca_file}"
    (right,) = ca_trust(setup_of())
    assert right == ("CA trust", True, "upstreams must have certificates of a public CA (certifi)", "")


def test_of_listeners(setup_of: SetupOf) -> None:
    found = fault(ca_trust(setup_of(certs="*=none.pem")))
    assert (found.message, found.remedy) == ("certs: there is no file none.pem", "name the PEM file of the listener")


class TestForward:
    """mitmproxy's own CA, which clients must trust."""

    def test_there_is_none_yet(self, setup_of: SetupOf, home: Path) -> None:
        (found,) = ca_trust(setup_of(mode="regular"))
        assert (found.ok, found.message) == (True, "mitmproxy's CA is made at the first start")
        assert not (home / ".mitmproxy").exists()

    def test_it_cannot_be_made(self, setup_of: SetupOf, home: Path) -> None:
        (home / "file").touch()
        found = fault(ca_trust(setup_of(mode="regular", confdir="file/folder")))
        assert "mitmproxy's CA cannot be made in file/folder" in found.message
        assert found.remedy == "change its permissions, or name another folder in confdir"

    def test_it_is_there(self, setup_of: SetupOf, made: Path) -> None:
        (found,) = ca_trust(setup_of(mode="regular", confdir=made))
        assert found.message.startswith("mitmproxy's CA is valid until 20")

    def test_it_cannot_be_used(self, setup_of: SetupOf, home: Path, ca: trustme.CA) -> None:
        file = home / "mitmproxy-ca.pem"
        file.write_text("no certificate")
        found = fault(ca_trust(setup_of(mode="regular", confdir=home)))
        assert found.message == f"there is no certificate in {file}"
        assert found.remedy.startswith(f"delete the files mitmproxy-ca* in {home}; the next start makes a new CA")
        old = ca.issue_cert(
            "a", not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=datetime(2020, 1, 1, tzinfo=UTC)
        )
        old.cert_chain_pems[0].write_to_path(file)
        assert (
            fault(ca_trust(setup_of(mode="regular", confdir=home))).message == f"mitmproxy's CA in {file} has expired"
        )

    def test_clients_of_this_shell(
        self, setup_of: SetupOf, made: Path, ca_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        (found,) = ca_trust(setup_of(mode="regular", confdir=made))
        assert found.ok
        assert found.message.endswith("its CA is not in the files of SSL_CERT_FILE")
        assert found.remedy == "set these variables of the clients to the bundle that vertex-tap logs"
        monkeypatch.setenv("SSL_CERT_FILE", str(made / "mitmproxy-ca-cert.pem"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "none.pem")
        wrong = fault(ca_trust(setup_of(mode="regular", confdir=made)))
        assert wrong.message == "REQUESTS_CA_BUNDLE: none.pem cannot be read (No such file or directory)"
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        assert faults(ca_trust(setup_of(mode="regular", confdir=made))) == []
