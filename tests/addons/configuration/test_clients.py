import hmac
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path

import pytest

from addons.configuration.clients import Client
from addons.configuration.file import ConfigurationError
from addons.configuration.file import read_file
from tests.configuration import gateway

KEY, OTHER = "Secret-of-team-a-1", "Secret-of-team-a-2"
DIGEST = sha256(b"Secret-of-team-b").hexdigest()
FILE = f"""\
services:
  prod: {{openai: convert}}
allow_from: [127.0.0.0/8, "::1"]
trusted_proxies: [10.0.0.7]
clients:
  - {{name: team-a, key_env: [OLD, NEW], allow_from: [10.1.0.0/16], models: ["gemini-*"], services: [prod],
     pages: true}}
  - {{name: team-b, key_sha256: "{DIGEST.upper()}"}}
"""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in {"OLD": KEY, "NEW": OTHER, "SHORT": "Secret", "EMPTY": "", "BROKEN": KEY + "\n"}.items():
        monkeypatch.setenv(name, key)


def test_what_a_file_says(tmp_path: Path) -> None:
    callers = gateway(tmp_path, FILE).callers
    assert callers.allow_from == (ip_network("127.0.0.0/8"), ip_network("::1"))
    assert callers.trusted_proxies == (ip_network("10.0.0.7"),)
    a, b = callers.clients
    digests = tuple(sha256(key.encode()).digest() for key in (KEY, OTHER))
    assert a == Client("team-a", digests, (ip_network("10.1.0.0/16"),), ("gemini-*",), ("prod",), pages=True)
    assert b == Client("team-b", (bytes.fromhex(DIGEST),))
    assert "keys" not in repr(callers)


def test_no_clients(tmp_path: Path) -> None:
    callers = gateway(tmp_path, "models: [a]").callers
    assert (callers.clients, callers.allow_from, callers.trusted_proxies) == ((), None, ())
    assert callers.client_of(KEY) is None


def test_whose_a_key_is(tmp_path: Path) -> None:
    callers = gateway(tmp_path, FILE).callers
    found = {key: client and client.name for key in (KEY, OTHER, "", "x") if (client := callers.client_of(key)) or True}
    assert found == {KEY: "team-a", OTHER: "team-a", "": None, "x": None}
    named = callers.client_of("Secret-of-team-b")
    assert named is not None
    assert named.name == "team-b"
    assert callers.client_of(DIGEST) is None


def test_all_keys_are_compared_whatever_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the time would tell something about them."""
    callers, compared = gateway(tmp_path, FILE).callers, []

    def compare(known: bytes, digest: bytes) -> bool:
        compared.append(known)
        return known == digest

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for key in (KEY, OTHER, "Secret-of-team-b", "x"):
        compared.clear()
        callers.client_of(key)
        assert compared == [known for client in callers.clients for known in client.keys]


def test_what_a_client_may_use(tmp_path: Path) -> None:
    a, b = gateway(tmp_path, FILE).callers.clients
    assert [a.may_use_model(name) for name in ("gemini-2.5-flash", "gpt-4o", "x-gemini-2", None)] == [1, 0, 0, 0]
    assert a.may_use_model("gpt-4o", "gemini-2.5-flash")
    assert [a.may_use_service(name) for name in ("prod", "default", None)] == [1, 0, 0]
    assert b.may_use_model(None)
    assert b.may_use_service(None)


@pytest.mark.parametrize(
    ("clients", "problem"),
    [
        ("{name: a}", "2: clients: write a list"),
        ("[]", "2: clients: is empty, so that nobody could call"),
        ("[a]", "2: clients[0]: write names and values"),
        ("[{name: a}]", "2: clients[0]: has no key; write key_env"),
        ("[{name: a, key_env: []}]", "2: clients[0]: has no key; write key_env"),
        ("[{key_env: OLD}]", "2: clients[0].name: is missing"),
        ("[{name: a b, key_env: OLD}]", "2: clients[0].name: write names of letters"),
        ("[{name: a, key_env: NO_Secret}]", "2: clients[0].key_env: the environment has no such variable"),
        ("[{name: a, key_env: [OLD,\n  EMPTY]}]", "3: clients[0].key_env[1]: the environment has no such variable"),
        ("[{name: a, key_env: SHORT}]", "2: clients[0].key_env: the key in this variable has fewer than 16 characters"),
        ("[{name: a, key_env: BROKEN}]", "2: clients[0].key_env: contains a character that no API key has"),
        ("[{name: a, key_env: {OLD: NEW}}]", "2: clients[0].key_env: write a list"),
        ("[{name: a, key_env: [[OLD]]}]", "2: clients[0].key_env[0]: write text"),
        ("[{name: a, key_sha256: Secret}]", "2: clients[0].key_sha256: write the 64 hexadecimal digits of a SHA-256"),
        (f"[{{name: a, key_sha256: {DIGEST}0}}]", "2: clients[0].key_sha256: write the 64 hexadecimal digits"),
        ("[{name: a, key: Secret}]", "2: clients[0].key: keys cannot be in the file; write key_env "),
        ("[{name: a, key_env: OLD, modles: []}]", "2: clients[0].modles: there is no such key; did you mean models?"),
        ("[{name: a, key_env: OLD},\n  {name: a, key_env: NEW}]", "3: clients[1].name: is that of clients[0] too"),
        ("[{name: a, key_env: OLD},\n  {name: b, key_env: [OLD]}]", "3: clients[1].key_env[0]: is a key of clients[0]"),
        (
            f"[{{name: a, key_env: OLD}},\n  {{name: b, key_sha256: {sha256(KEY.encode()).hexdigest()}}}]",
            "3: clients[1].key_sha256: is a key of clients[0] too",
        ),
        ("[{name: a, key_env: OLD, services: [prd]}]", "2: clients[0].services[0]: there is no such service; "),
        ('[{name: a, key_env: OLD, models: [""]}]', "2: clients[0].models[0]: write text"),
        ("[{name: a, key_env: OLD, allow_from: [10.0.0.1/8]}]", "2: clients[0].allow_from[0]: write a network"),
        ("[{name: a, key_env: OLD, allow_from: 10.0.0.0/8}]", "2: clients[0].allow_from: write a list"),
        ("[{name: a, key_env: OLD, pages: yes}]", "2: clients[0].pages: write true or false"),
        (
            "[{name: a, key_env: OLD}]\nroutes: [{service: default, client: a}, {service: default,\n  client: b*}]",
            "4: routes[1].client: there is no such client",
        ),
        ("[{name: a, key_env: OLD}]\nallow_from: [localhost]", "3: allow_from[0]: write a network or an address"),
        ("[{name: a, key_env: OLD}]\ntrusted_proxies: [[1]]", "3: trusted_proxies[0]: write text"),
    ],
)
def test_what_a_file_cannot_say(tmp_path: Path, clients: str, problem: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"models: [a]\nclients: {clients}\n")
    with pytest.raises(ConfigurationError) as told:
        read_file(file)
    assert [text for text in told.value.problems if not text.startswith(f"{file}:{problem}")] == []
    assert "Secret" not in str(told.value)


def test_networks_of_ipv4_in_ipv6_are_those_of_ipv4(tmp_path: Path) -> None:
    """Addresses of callers are compared without that prefix."""
    made = gateway(tmp_path, 'trusted_proxies: ["::ffff:10.0.0.7"]\nallow_from: ["::ffff:10.1.0.0/112", "fd00::/8"]\n')
    callers = made.callers
    assert callers.allow_from == (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    for peer in ("10.0.0.7", "::ffff:10.0.0.7"):
        told = {text: callers.let_in(callers.address_of(peer, [text])) for text in ("10.1.2.3", "::ffff:10.1.2.3", "x")}
        assert told == {"10.1.2.3": True, "::ffff:10.1.2.3": True, "x": False}
