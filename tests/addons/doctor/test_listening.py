import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.doctor.listening import listen_address
from addons.doctor.listening import port
from metering.ledger import Ledger
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults

KEY = {"vertex_auth": "express", "vertex_api_key": "AIzaSimulatedKey"}


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_is_taken(setup_of: SetupOf, taken: int) -> None:
    found = fault(port(setup_of(listen_port=taken)))
    assert found.message == f"port {taken} at 127.0.0.1 is in use by another program"
    assert found.remedy == "choose another one with --port"
    found = fault(port(setup_of(mode=f"regular@{taken}")))
    assert found.remedy == f"name another one in mode=regular@{taken}"


def test_a_port_that_a_proxy_on_this_ledger_has(setup_of: SetupOf, home: Path, taken: int) -> None:
    """Whoever asks while the proxy runs has nothing to repair."""
    running = Ledger(home / "usage.db")
    try:
        (found,) = port(setup_of(listen_port=taken))
    finally:
        running.close()
    assert found.ok
    assert "probably by the vertex-tap that uses this ledger" in found.message
    assert "end that one before you start another" in found.remedy


def test_ports_that_are_free(setup_of: SetupOf, taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        free = one.getsockname()[1]
    found = [*port(setup_of(listen_port=free)), *port(setup_of(listen_port=free, listen_host=""))]
    assert [(one.ok, one.message) for one in found] == [
        (True, f"{free} at 127.0.0.1 is free"),
        (True, f"{free} at all addresses is free"),
    ]
    # It was given back.
    socket.create_server(("127.0.0.1", free)).close()


def test_where_nothing_can_listen(setup_of: SetupOf) -> None:
    cases = {"192.0.2.1": "Cannot assign requested address", "nowhere.invalid": "there is no such host"}
    for host, reason in cases.items():
        found = fault(port(setup_of(listen_host=host)))
        assert found.message == f"cannot listen at {host}, port 8080 ({reason})"
        assert "or another --host" in found.remedy


def test_numbers_that_no_port_has(setup_of: SetupOf) -> None:
    for number in (-1, 65536, 70000):
        found = fault(port(setup_of(listen_port=number)))
        assert found.message == f"{number} is no number of a port"
        assert found.remedy == "choose one from 1 to 65535 with --port"


def test_two_at_one_port(setup_of: SetupOf) -> None:
    found = fault(port(setup_of("mode=regular@8731", "mode=reverse:https://aiplatform.googleapis.com@8731")))
    assert found.message == "two modes listen at 127.0.0.1, port 8731"
    assert found.remedy.endswith("such as reverse:https://aiplatform.googleapis.com@8732")


@pytest.mark.skipif(os.getuid() == 0, reason="root may listen at any port")
def test_a_port_of_administrators(setup_of: SetupOf) -> None:
    assert "is for administrators only" in fault(port(setup_of(listen_port=1))).message


def test_others_could_use_our_credentials(setup_of: SetupOf) -> None:
    found = fault(listen_address(setup_of(listen_host="0.0.0.0", **KEY)))
    assert found.check == "listen address"
    assert found.remedy.startswith("write 127.0.0.1")
    assert found.message == "listen_host: anyone who reaches 0.0.0.0 could use your credentials"
    assert faults(listen_address(setup_of(**KEY))) == []


def test_others_can_reach_it_without_credentials_of_ours(setup_of: SetupOf) -> None:
    (found,) = listen_address(setup_of(listen_host="0.0.0.0"))
    assert found.ok
    assert found.remedy == "write 127.0.0.1 if only this machine is to reach it"
    (found,) = listen_address(setup_of())
    assert found == ("listen address", True, "127.0.0.1, port 8080: this machine only", "")


def test_clients_with_keys_can_reach_it(setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "0123456789abcdef")
    yaml = "clients: [{name: a, key_env: A_KEY}]"
    (found,) = listen_address(setup_of(listen_host="0.0.0.0", yaml=yaml, **KEY))
    assert (found.ok, found.message) == (True, "0.0.0.0, port 8080: whoever has the key of a client can call")
    assert found.remedy.startswith("give the proxy a certificate (certs)")
    # Beside a problem of something else too.
    (found,) = listen_address(setup_of(listen_host="0.0.0.0", yaml=f"{yaml}\nmodels: 1", **KEY))
    assert found.message.endswith("whoever has the key of a client can call")
    (found,) = listen_address(setup_of("certs=here.pem", listen_host="0.0.0.0", yaml=yaml, **KEY))
    assert (found.ok, found.remedy) == (True, "")
