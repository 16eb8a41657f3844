from pathlib import Path

import pytest

from addons.doctor.hosts import hosts
from addons.doctor.proxies import proxy_variables
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults
from tests.configuration import write_key
from tests.vertex_simulator import Simulator

NAME = "HTTPS_PROXY"


def test_none(setup_of: SetupOf) -> None:
    assert [*proxy_variables(setup_of())] == [("proxy variables", True, "none is set", "")]


def test_calls_do_not_go_through_it(setup_of: SetupOf, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is a fault where hosts cannot be reached without it."""
    monkeypatch.setenv(NAME, "http://user:secret@proxy.example:3128")
    (found,) = proxy_variables(setup_of(vertex_endpoint=simulator.url))
    assert found.ok
    assert found.message.startswith("calls do not go through http://")
    assert found.remedy.endswith("use forward mode: --set mode=upstream:http://proxy.example:3128")
    assert "secret" not in str(found)
    wrong = fault(proxy_variables(setup_of(vertex_endpoint="http://nowhere.invalid")))
    assert wrong.message.endswith("which HTTPS_PROXY names, and nowhere.invalid cannot be reached directly")
    assert wrong.remedy.startswith("allow this machine to connect directly; to have them go through it, use forward")


def test_tokens_are_asked_for_through_it(
    setup_of: SetupOf, simulator: Simulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key(home, simulator.credentials.service_account("https://oauth2.googleapis.com/token"))
    options = {"vertex_auth": "service_account", "vertex_credentials": "key.json", "vertex_endpoint": simulator.url}
    monkeypatch.setenv("https_proxy", simulator.url)
    (found,) = proxy_variables(setup_of(**options))
    assert found.message == (
        f"calls do not go through {simulator.url}, which https_proxy names; only requests for tokens do"
    )
    monkeypatch.setenv("NO_PROXY", ".googleapis.com")
    found, other = proxy_variables(setup_of(**options))
    assert "tokens" not in found.message
    assert other.message == "tokens are asked for directly, as NO_PROXY excepts their host from https_proxy"


def test_the_proxy_for_tokens_is_not_there(
    setup_of: SetupOf, simulator: Simulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That does not keep calls from their hosts."""
    write_key(home, simulator.credentials.service_account("https://oauth2.googleapis.com/token"))
    monkeypatch.setenv(NAME, "http://127.0.0.1:1")
    setup = setup_of(
        vertex_auth="service_account", vertex_credentials="key.json", vertex_endpoint=simulator.url, listen_port=0
    )
    assert faults(proxy_variables(setup)) == []
    found = fault(hosts(setup))
    assert (found.check, found.message) == ("TCP", "127.0.0.1, port 1, refuses connections")
    assert found.remedy == "start what is to listen there, or correct HTTPS_PROXY"


@pytest.mark.parametrize(
    ("variables", "message", "remedy"),
    [
        (
            {"HTTPS_PROXY": "ftp://proxy.example"},
            "HTTPS_PROXY: this value cannot be used",
            "write the URL of an HTTP proxy, such as http://proxy.example:3128",
        ),
        (
            {"HTTPS_PROXY": "http://a.example:1", "https_proxy": "http://b.example:1"},
            "HTTPS_PROXY: names another proxy than https_proxy",
            "unset one",
        ),
        (
            {"ALL_PROXY": "http://localhost:8080"},
            "ALL_PROXY names this proxy itself, to which its own requests for tokens would come back",
            "unset ALL_PROXY for vertex-tap; set it for its clients only",
        ),
    ],
)
def test_variables_that_cannot_be_followed(
    setup_of: SetupOf,
    simulator: Simulator,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    message: str,
    remedy: str,
) -> None:
    """Only requests for tokens follow them."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    write_key(home, simulator.credentials.service_account("https://oauth2.googleapis.com/token"))
    found = fault(proxy_variables(setup_of(vertex_auth="service_account", vertex_credentials="key.json")))
    assert (found.check, found.message, found.remedy) == ("proxy variables", message, remedy)
    (told,) = proxy_variables(setup_of())
    assert told == found._replace(ok=True)


def test_calls_go_through_another(setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "http://proxy.example:3128")
    (found,) = proxy_variables(setup_of(mode="upstream:http://proxy.example:3128"))
    assert (found.ok, found.message) == (True, "mode says which proxy calls go through; HTTPS_PROXY is not read")
