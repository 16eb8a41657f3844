import socket
import threading
from pathlib import Path

import pytest

from addons.doctor import hosts as subject
from addons.doctor.finding import Finding
from addons.doctor.hosts import hosts
from addons.doctor.hosts import reached
from addons.doctor.proxies import proxy_variables
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults
from tests.configuration import write_key
from tests.vertex_simulator import Simulator


def test_a_name_that_is_not_known(setup_of: SetupOf) -> None:
    found = fault(hosts(setup_of(vertex_endpoint="https://nowhere.invalid")))
    assert found.check == "DNS"
    assert found.message.startswith("DNS does not know nowhere.invalid (")
    assert found.remedy == "check the name in vertex_endpoint, and the DNS of this machine"


def test_no_name_server_answers(setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(subject, "LOOKUP_S", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60))
    found = fault(hosts(setup_of(vertex_endpoint="https://slow.example")))
    ended.set()
    assert (found.check, "no name server answers" in found.message) == ("DNS", True)


def test_a_port_that_nobody_listens_at(setup_of: SetupOf) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        found = fault(hosts(setup_of(vertex_endpoint=f"http://127.0.0.1:{port}")))
    assert (found.check, found.message) == ("TCP", f"127.0.0.1, port {port}, refuses connections")
    assert found.remedy == "start what is to listen there, or correct vertex_endpoint"


def test_a_host_that_does_not_answer(setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue of connections is full, and it takes none out."""
    monkeypatch.setattr(subject, "CONNECT_S", 0.2)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        found = fault(hosts(setup_of(vertex_endpoint=f"http://127.0.0.1:{full.getsockname()[1]}")))
    assert (found.check, "cannot be connected to (no answer)" in found.message) == ("TCP", True)
    assert found.remedy == "allow connections to it in the firewall, or correct vertex_endpoint"


def test_a_host_that_is_well(setup_of: SetupOf, ports: dict[str, int], ca_file: Path) -> None:
    at = f"https://localhost:{ports['good']}"
    found = [*hosts(setup_of(vertex_endpoint=at, ssl_verify_upstream_trusted_ca=ca_file))]
    assert [(one.check, one.ok) for one in found] == [("DNS", True), ("TCP", True), ("TLS", True)]
    assert found[2].message == "localhost: TLSv1.3, and its certificate is trusted"
    # Without TLS there is none to look at.
    found = [*hosts(setup_of(vertex_endpoint=f"http://127.0.0.1:{ports['plain']}"))]
    assert [one.check for one in found] == ["DNS", "TCP"]


def of_tls(setup_of: SetupOf, port: int, trusted: Path | None = None) -> Finding:
    named = {"ssl_verify_upstream_trusted_ca": trusted} if trusted else {}
    found = fault(hosts(setup_of(vertex_endpoint=f"https://localhost:{port}", **named)))
    assert found.check == "TLS"
    return found


def test_no_tls_where_it_is_asked_for(setup_of: SetupOf, ports: dict[str, int]) -> None:
    found = of_tls(setup_of, ports["plain"])
    assert "does not speak TLS as it should (wrong version number)" in found.message or "record" in found.message
    assert found.remedy.startswith("write http:// in vertex_endpoint if it has no TLS")


def test_no_certificates_to_verify_by(setup_of: SetupOf, ports: dict[str, int]) -> None:
    found = of_tls(setup_of, ports["good"], Path("none.pem"))
    assert found.message.endswith("as none.pem holds no certificates")
    assert found.remedy == "name a PEM file with the CAs in ssl_verify_upstream_trusted_ca, or leave it out"


def test_certificates_are_not_verified(setup_of: SetupOf, ports: dict[str, int]) -> None:
    found = [*hosts(setup_of(vertex_endpoint=f"https://localhost:{ports['expired']}", ssl_insecure="true"))]
    assert (found[2].ok, found[2].remedy) == (True, "leave ssl_insecure out")


def test_google_auth_has_other_cas(
    setup_of: SetupOf,
    ports: dict[str, int],
    ca_file: Path,
    home: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """mitmproxy's options do not say whom google-auth trusts."""
    write_key(home, simulator.credentials.service_account(f"https://localhost:{ports['good']}/token"))
    setup = {
        "vertex_auth": "service_account",
        "vertex_credentials": "key.json",
        "vertex_endpoint": simulator.url,
        "ssl_verify_upstream_trusted_ca": ca_file,
    }
    found = fault(hosts(setup_of(**setup)))
    assert found.remedy.endswith("name a file with that CA in REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    assert faults(hosts(setup_of(**setup))) == []


def test_hosts_are_asked_once(setup_of: SetupOf, simulator: Simulator) -> None:
    setup = setup_of(vertex_endpoint=simulator.url)
    assert reached(setup) is reached(setup)


def test_a_store_of_limits_that_is_not_there(
    setup_of: SetupOf, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that name a proxy have nothing to do with it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        options = {"vertex_endpoint": simulator.url, "yaml": f"limits: {{storage: 'redis://:secret@127.0.0.1:{port}'}}"}
        found = fault(hosts(setup_of(**options)))
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
        assert faults(proxy_variables(setup_of(**options))) == []
    assert (found.check, found.message) == ("TCP", f"127.0.0.1, port {port}, refuses connections")
    assert found.remedy == "start what is to listen there, or correct limits.storage in gateway.yaml"
