import socket
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from types import MappingProxyType

import pytest
from google.auth.credentials import Credentials
from mitmproxy.proxy import mode_specs
from pydantic import ValidationError

from addons.configuration.clients import Callers
from addons.configuration.clients import Client
from addons.configuration.file import ConfigurationError
from addons.configuration.identity import Identity
from addons.configuration.identity import KeyFile
from addons.configuration.limits import Storage
from addons.configuration.listening import Listening
from addons.configuration.services import Gateway
from addons.configuration.services import Service
from addons.configuration.settings import ENVIRONMENT
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import SINGLE
from addons.configuration.settings import Settings
from addons.configuration.settings import read
from addons.configuration.values import Endpoint
from addons.tokens import TokenSource
from metering.allowance import Allowance
from metering.prices.catalog import Catalog
from tests.configuration import DEFAULTS
from tests.configuration import INJECTING_FILE
from tests.configuration import email_of
from tests.configuration import gateway
from tests.configuration import write_key


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_table_and_the_model_are_one() -> None:
    assert tuple(OPTIONS) == tuple(Settings.model_fields)


def test_defaults() -> None:
    settings = read(DEFAULTS, []).settings
    assert settings.openai_endpoint == Endpoint("https", "api.openai.com", 443, "/v1")
    assert not settings.names_openai_endpoint
    assert (settings.gateway_config, settings.openai_key) == (None, None)
    assert (settings.vertex_endpoint, settings.gateway_base_path, settings.usage_tags) == (None, (), ())
    assert (settings.usage_db, settings.gateway_keep_content) == (Path("usage.db"), False)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("vertex_endpoint", "http://127.0.0.1:9000", Endpoint("http", "127.0.0.1", 9000, "")),
        ("vertex_endpoint", "https://gw.example/vertex/", Endpoint("https", "gw.example", 443, "/vertex")),
        (
            "openai_endpoint",
            "https://x.example/compatible/v1",
            Endpoint("https", "x.example", 443, "/compatible/v1"),
        ),
        ("gateway_base_path", "/vertex, /api/vertex-ai,/gemini/", ("/api/vertex-ai", "/vertex", "/gemini")),
        ("usage_tags", "x-team, X-App", ("x-team", "x-app")),
        ("gateway_keep_content", "True", True),
        ("usage_db", "~/usage.db", Path("~/usage.db").expanduser()),
    ],
)
def test_values(name: str, text: str, value: object) -> None:
    assert getattr(read(DEFAULTS | {name: text}, []).settings, name) == value


@pytest.mark.parametrize(
    ("name", "text", "help"),
    [
        ("vertex_endpoint", "127.0.0.1:9000", "write a URL such as https://example.com/v1"),
        ("vertex_endpoint", "ftp://x", "write a URL such as"),
        ("vertex_endpoint", "https://", "write a URL such as"),
        ("vertex_endpoint", "https://x:port", "write a URL such as"),
        ("vertex_endpoint", "https://user:secret@x", "write a URL without user, query and fragment"),
        ("openai_endpoint", "", "write a URL such as"),
        ("vertex_endpoint", "http://a b/", "write a URL such as"),
        ("openai_endpoint", "https://x?key=secret", "write a URL without user, query and fragment"),
        ("gateway_base_path", "vertex", "write paths that begin with a slash, such as /vertex"),
        ("gateway_base_path", "/a b", "write paths"),
        ("gateway_base_path", "/", "write paths"),
        ("usage_tags", "x team", "write names of request headers"),
        ("usage_tags", "X-Goog-Api-Key", "holds a credential, which is never stored"),
        ("usage_db", "/nowhere/usage.db", "there is no directory /nowhere; create it or name another file"),
        ("usage_db", ".", "is a directory; name a file in it"),
        ("usage_db", "~nosuchuser/x.db", "names a home directory that does not exist"),
        ("usage_db", "x" * 300, "cannot be a file"),
        ("usage_db", "/dev/null", "is not a regular file"),
        ("usage_tags", "x-auth-token", "holds a credential"),
        ("vertex_auth", "sevice_account", "write 'passthrough'"),
        ("vertex_credentials", "/nowhere/key.json", "cannot be read"),
        ("vertex_credentials", "~nosuchuser/key.json", "names a home directory that does not exist"),
        ("vertex_project", "p/../q", "write the id of a Google Cloud project"),
        ("vertex_location", "evil.com#", "write a location of Vertex AI, such as global"),
        ("openai_mode", "convrt", "write 'observe'"),
        ("vertex_api_key", "AIza secret", "contains a character that no API key has"),
        ("openai_api_key", "sk-secret\n", "contains a character that no API key has"),
        ("gateway_keep_content", "yes", "write true or false"),
        ("gateway_keep_content", "", "write true or false"),
        ("gateway_config", "/nowhere/gateway.yaml", "/nowhere/gateway.yaml cannot be read (No such file"),
    ],
)
def test_bad_values(name: str, text: str, help: str) -> None:
    with pytest.raises(ConfigurationError) as ended:
        read(DEFAULTS | {name: text}, [])
    (problem,) = ended.value.problems
    assert problem.startswith(f"{name}: ")
    assert help in problem
    assert "secret" not in problem


REVERSE = mode_specs.ProxyMode.parse("reverse:https://aiplatform.googleapis.com")


FORWARD = mode_specs.ProxyMode.parse("regular")


EVERYWHERE = mode_specs.ProxyMode.parse("reverse:https://aiplatform.googleapis.com@0.0.0.0:8080")


CLEAR = mode_specs.ProxyMode.parse("reverse:http://aiplatform.googleapis.com")


EXPRESS = {"vertex_auth": "express", "vertex_api_key": "AIzaSecret"}


OPENAI_KEY = {"openai_mode": "convert", "openai_api_key": "sk-Secret"}


@pytest.mark.parametrize(
    ("options", "listening", "problem"),
    [
        ({"vertex_auth": "express"}, Listening([REVERSE], "127.0.0.1", False), "vertex_api_key: vertex_auth=express"),
        ({"vertex_auth": "service_account"}, Listening([REVERSE], "::1", False), "vertex_credentials: vertex_auth"),
        (EXPRESS | {"openai_mode": "compatible"}, Listening([REVERSE], "localhost", False), "openai_mode: Vertex's"),
        (
            {"openai_mode": "convert"},
            Listening([FORWARD], "", False),
            "openai_mode: OpenAI calls are converted in reverse",
        ),
        (OPENAI_KEY, Listening([REVERSE], "0.0.0.0", False), "listen_host: anyone who reaches 0.0.0.0"),
        (OPENAI_KEY, Listening([REVERSE], "127.0.0.1", True), "ssl_insecure: credentials go to verified hosts only"),
        (EXPRESS, Listening([FORWARD], "127.0.0.1", False), "vertex_auth: credentials are added in reverse mode only"),
        (EXPRESS, Listening([REVERSE], "0.0.0.0", False), "listen_host: anyone who reaches 0.0.0.0"),
        (EXPRESS, Listening([REVERSE], "192.0.2.1", False), "listen_host: anyone who reaches 192.0.2.1"),
        (EXPRESS, Listening([REVERSE, EVERYWHERE], "127.0.0.1", False), "listen_host: anyone who reaches 0.0.0.0"),
        (EXPRESS, Listening([REVERSE], "127.0.0.1", True), "ssl_insecure: credentials go to verified hosts only"),
        (EXPRESS, Listening([CLEAR], "127.0.0.1", False), "mode: credentials go to Google over TLS only"),
    ],
)
def test_contradictions(
    options: dict[str, str], listening: Listening, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigurationError) as ended:
        read(DEFAULTS | options, [], listening)
    (told,) = ended.value.problems
    assert told.startswith(problem)
    assert "Secret" not in told


def test_credentials_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEX_API_KEY", "AIzaFromThere")
    assert read(DEFAULTS | {"vertex_auth": "express"}, []).settings.vertex_api_key == "AIzaFromThere"
    assert read(DEFAULTS, []).settings.vertex_api_key == ""


@pytest.mark.parametrize(("mode", "used"), [("observe", None), ("convert", "sk-there"), ("compatible", "sk-there")])
def test_an_openai_key_is_for_rewritten_calls(monkeypatch: pytest.MonkeyPatch, mode: str, used: str | None) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-there")
    given = DEFAULTS | {"openai_mode": mode}
    assert read(given, []).settings.openai_key == used
    assert read(given | {"openai_api_key": "sk-here"}, []).settings.openai_key == (used and "sk-here")


SERVICE = {"vertex_auth": "service_account", "vertex_credentials": "KEY"}


@pytest.mark.parametrize(
    ("options", "mode", "useless"),
    [
        ({"vertex_credentials": "KEY"}, REVERSE, ["vertex_credentials"]),
        (EXPRESS | {"vertex_credentials": "KEY"}, REVERSE, ["vertex_credentials"]),
        ({"vertex_api_key": "AIzaSecret"}, REVERSE, ["vertex_api_key"]),
        (SERVICE | {"vertex_api_key": "AIzaSecret"}, REVERSE, ["vertex_api_key"]),
        (EXPRESS | {"vertex_project": "a-project"}, REVERSE, ["vertex_project"]),
        (EXPRESS | {"vertex_project": "a-project", "openai_mode": "convert"}, REVERSE, ["vertex_project"]),
        ({"vertex_project": "a-project"}, REVERSE, ["vertex_project"]),
        ({"vertex_project": "a-project", "openai_mode": "convert"}, REVERSE, []),
        (SERVICE | {"vertex_project": "a-project"}, REVERSE, []),
        ({"vertex_location": "eu"}, REVERSE, ["vertex_location"]),
        (EXPRESS | {"vertex_location": "eu"}, REVERSE, ["vertex_location"]),
        ({"vertex_location": "eu", "openai_mode": "compatible"}, REVERSE, []),
        (SERVICE | {"vertex_location": "eu"}, REVERSE, []),
        # Documented as unused; a proxy that observes must not need a change to it.
        ({"openai_api_key": "sk-Secret"}, REVERSE, []),
        ({"openai_endpoint": "https://x", "openai_mode": "convert"}, REVERSE, ["openai_endpoint"]),
        (OPENAI_KEY | {"openai_endpoint": "https://x"}, REVERSE, []),
        ({"openai_endpoint": "https://x"}, REVERSE, []),
        ({"vertex_endpoint": "https://x"}, REVERSE, []),
        (
            {"vertex_endpoint": "https://x", "gateway_base_path": "/a"},
            FORWARD,
            ["vertex_endpoint", "gateway_base_path"],
        ),
        ({"vertex_credentials": "KEY"}, FORWARD, ["vertex_credentials"]),
        ({"vertex_api_key": "AIzaSecret"}, FORWARD, ["vertex_api_key"]),
        ({"vertex_project": "a-project", "vertex_location": "eu"}, FORWARD, ["vertex_project", "vertex_location"]),
        ({"openai_api_key": "sk-Secret"}, FORWARD, ["openai_api_key"]),
        # The calls of that host are recorded.
        ({"openai_endpoint": "https://x"}, FORWARD, []),
    ],
    ids=str,
)
def test_options_that_do_nothing(
    options: dict[str, str], mode: mode_specs.ProxyMode, useless: list[str], key_file: Path
) -> None:
    options = {name: str(key_file) if text == "KEY" else text for name, text in options.items()}
    problems: Sequence[str] = []
    try:
        read(DEFAULTS | options, [], Listening([mode], "127.0.0.1", False))
    except ConfigurationError as e:
        problems = e.problems
    assert [problem.partition(": does nothing")[0] for problem in problems] == useless
    assert "Secret" not in str(problems)


@pytest.mark.parametrize(
    ("listening", "problem"),
    [
        (Listening([FORWARD], "127.0.0.1", False), "gateway_config: calls are routed in reverse mode only"),
        (Listening([REVERSE], "0.0.0.0", False), "listen_host: anyone who reaches 0.0.0.0"),
        (Listening([REVERSE], "127.0.0.1", True), "ssl_insecure: credentials go to verified hosts only"),
        (Listening([CLEAR], "127.0.0.1", False), "mode: credentials go to Google over TLS only"),
    ],
)
def test_contradictions_of_a_file(injecting_file: Path, listening: Listening, problem: str) -> None:
    with pytest.raises(ConfigurationError) as ended:
        read(DEFAULTS | {"gateway_config": str(injecting_file)}, [], listening)
    (told,) = ended.value.problems
    assert told.startswith(problem)


CALLERS = "clients: [{name: a, key_env: SOME_KEY}]\n"
SOCKS = mode_specs.ProxyMode.parse("socks5")
EVERYONE = Listening([REVERSE], "0.0.0.0", False)
CALLER_PROBLEMS: list[tuple[str, Listening, str]] = [
    # With clients it may be reached from anywhere.
    (INJECTING_FILE + CALLERS, EVERYONE, ""),
    (INJECTING_FILE + "allow_from: [127.0.0.0/8]\n", EVERYONE, "listen_host: anyone who reaches 0.0.0.0"),
    (CALLERS, Listening([FORWARD], "", False), ""),
    ("allow_from: [127.0.0.0/8]", Listening([FORWARD], "", False), ""),
    (CALLERS + "limits: {when_away: open}", Listening([FORWARD], "", False), ""),
    ("trusted_proxies: [127.0.0.0/8]", Listening([FORWARD], "", False), "gateway_config: calls are routed in reverse"),
    (CALLERS + "models: [a]", Listening([FORWARD], "", False), "gateway_config: calls are routed in reverse mode only"),
    (CALLERS, Listening([REVERSE, SOCKS], "", False), "mode: clients cannot send their keys to socks5; write reverse"),
]


def test_who_may_call_by_a_file_with_problems(tmp_path: Path) -> None:
    """It may name clients, so nothing is said of who could use the credentials."""
    (tmp_path / "gateway.yaml").write_text(CALLERS + "models: 1")
    with pytest.raises(ConfigurationError) as ended:
        read(DEFAULTS | EXPRESS | {"gateway_config": str(tmp_path / "gateway.yaml")}, [], EVERYONE)
    assert {problem.partition(":")[0] for problem in ended.value.problems} == {"gateway_config"}


@pytest.mark.parametrize(("content", "listening", "problem"), CALLER_PROBLEMS)
def test_who_may_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, listening: Listening, problem: str
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-Secret-of-somebody")
    (tmp_path / "gateway.yaml").write_text(content)
    told: Sequence[str] = []
    try:
        read(DEFAULTS | {"gateway_config": "gateway.yaml"}, [], listening)
    except ConfigurationError as e:
        told = e.problems
    assert [line[: len(problem)] for line in told] == [problem] * bool(problem)


@pytest.mark.parametrize(
    ("content", "options", "has_default"),
    [
        ("models: [a]", {}, True),
        ("services: {a: {}}\nroutes: [{service: a}]", {}, False),
        ("services: {a: {}}\nroutes: [{service: a}]", {"openai_mode": "convert"}, True),
        ("services: {a: {}, default: {}}\nroutes: [{service: a}]", {}, True),
    ],
)
def test_what_no_route_takes(tmp_path: Path, content: str, options: dict[str, str], has_default: bool) -> None:
    assert gateway(tmp_path, content, **options).has_default == has_default


@pytest.mark.parametrize("option", SINGLE)
def test_default_is_described_once(tmp_path: Path, option: str) -> None:
    (tmp_path / "gateway.yaml").write_text("services: {default: {auth: passthrough}}")
    given = {"gateway_config": "gateway.yaml", option: "us-central1"}
    with pytest.raises(ConfigurationError, match=f"{option}: gateway.yaml has a service named default; write it there"):
        read(DEFAULTS | given, [])


def test_problems_of_the_file_beside_others(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("models: a b\nlimits: 5\n")
    with pytest.raises(ConfigurationError) as ended:
        read(DEFAULTS | {"gateway_config": "gateway.yaml", "usage_tags": "a b"}, ["gateway_conf"])
    assert ended.value.problems == [
        "gateway_conf: there is no such option; did you mean gateway_config?",
        "gateway_config: gateway.yaml:1: models: write a list, such as [first, second]",
        "gateway_config: gateway.yaml:2: limits: write names and values, such as {name: value}",
        "usage_tags: write names of request headers, such as x-team,x-app",
    ]


def test_base_paths_of_routes_are_stripped_too(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(
        "routes: [{base_path: /b/long, service: default}, {base_path: /x, service: default}, {base_path: /x*, service:"
        " default}]"
    )
    settings = read(DEFAULTS | {"gateway_config": "gateway.yaml", "gateway_base_path": "/a,/x"}, []).settings
    assert settings.gateway_base_path == ("/b/long", "/a", "/x")


def test_all_problems_at_once() -> None:
    with pytest.raises(ConfigurationError) as ended:
        read(DEFAULTS | {"vertex_endpoint": "x", "usage_tags": "a b"}, ["usage_dv", "gateway_quux"])
    problems = ended.value.problems
    assert [problem.partition(":")[0] for problem in problems] == [
        "gateway_quux",
        "usage_dv",
        "vertex_endpoint",
        "usage_tags",
    ]
    assert "did you mean usage_db?" in problems[1]


@pytest.mark.parametrize(
    ("address", "may"),
    [("127.0.1.1", True), ("::1", True), ("10.0.0.1", False), ("0.0.0.0", False), (None, False)],
)
def test_a_listener_with_a_name(address: str | None, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be one for this machine only."""

    def getaddrinfo(host: str, port: object) -> list[tuple[object, ...]]:
        if address is None:
            raise socket.gaierror
        return [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("VERTEX_API_KEY", "AIzaSecret")
    listening = Listening([REVERSE], "myhost", False)
    if may:
        read(DEFAULTS | EXPRESS, [], listening)
    else:
        with pytest.raises(ConfigurationError, match="listen_host: anyone who reaches myhost"):
            read(DEFAULTS | EXPRESS, [], listening)


def test_a_listener_at_every_address() -> None:
    listening = Listening([REVERSE], "", False)
    with pytest.raises(ConfigurationError, match="listen_host: anyone who reaches this machine could use"):
        read(DEFAULTS | EXPRESS, [], listening)


def test_the_service_of_the_options(tmp_path: Path, info: dict[str, str]) -> None:
    file = write_key(tmp_path, info)
    given = {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "service_account", "vertex_credentials": str(file)}
    service = read(DEFAULTS | given, []).gateway.default
    assert (service.project, service.location, service.injects, service.rewrites("openai")) == (
        "test-project",
        "global",
        True,
        False,
    )
    assert email_of(service) == info["client_email"]
    named = read(DEFAULTS | given | {"vertex_project": "other-project"}, []).gateway.default
    assert named.project == "other-project"


def test_no_application_default_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    with pytest.raises(ConfigurationError, match=r"vertex_auth: .* holds no application default credentials"):
        read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "adc"}, [])


@pytest.mark.parametrize("content", ["[]", '"text"', "{", '{"type": "impersonated_service_account"}'])
def test_files_that_are_no_default_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(tmp_path, content)))
    with pytest.raises(ConfigurationError, match=r"key\.json \(GOOGLE_APPLICATION_CREDENTIALS\) holds no"):
        read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "adc"}, [])


def test_application_default_credentials(tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(tmp_path, info)))
    given = {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "adc"}
    service = read(DEFAULTS | given, []).gateway.default
    assert (service.project, service.injects) == ("test-project", True)


def test_a_default_of_the_files_own(tmp_path: Path) -> None:
    described = gateway(tmp_path, "services:\n  default: {openai: compatible, project: my-project}\n")
    assert described.default == Service("default", openai="compatible", project="my-project")
    assert not described.injects


def test_services_share_application_default_credentials(
    tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(tmp_path, info)))
    described = gateway(tmp_path, "services:\n  a: {auth: adc}\n  b: {auth: adc, project: other}\n", vertex_auth="adc")
    assert len({id(service.tokens) for service in described.services.values()}) == 1
    assert [service.project for service in described.services.values()] == ["test-project", "test-project", "other"]


def test_a_file_without_application_default_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    problem = r"gateway_config: .*gateway.yaml:3: services\.a\.auth: .* holds no application default"
    with pytest.raises(ConfigurationError, match=problem):
        gateway(tmp_path, "services:\n  a:\n    auth: adc\n")


@pytest.mark.parametrize(
    ("surface", "publisher", "model", "service"),
    [
        ("vertex", "openai", "gpt-5", "openai"),
        ("vertex", "openai", "gpt-oss-120b-maas", "default"),
        ("vertex", "openai", None, None),
        ("vertex", "google", "gpt-5", None),
        ("openai", None, "gpt-5", None),
    ],
)
def test_openai_on_vertex_paths(
    tmp_path: Path, surface: str, publisher: str | None, model: str | None, service: str | None
) -> None:
    given = {"usage_db": str(tmp_path / "usage.db"), "openai_mode": "convert", "openai_api_key": "sk-Secret"}
    described = read(DEFAULTS | given, []).gateway
    found = described.route_for(base_path="", surface=surface, publisher=publisher, model=model)
    assert (found and found.service) == service
    assert described.services["openai"].base_url == Endpoint("https", "api.openai.com", 443, "/v1")
    assert (described.services["openai"].api_key, described.injects) == ("sk-Secret", True)


def test_routes_of_the_file_come_first(tmp_path: Path) -> None:
    openai = {"openai_mode": "convert", "openai_api_key": "sk-Secret"}
    described = gateway(tmp_path, "routes: [{model: gpt-5, service: default}, {model: o*, service: openai}]", **openai)
    names = [
        found.service
        for model in ("gpt-5", "o4", "gpt-4")
        if (found := described.route_for(base_path="", surface="vertex", publisher="openai", model=model))
    ]
    assert names == ["default", "openai", "openai"]


def test_an_openai_of_the_files_own(tmp_path: Path) -> None:
    openai = {"openai_mode": "convert", "openai_api_key": "sk-Secret"}
    described = gateway(tmp_path, "services:\n  openai: {provider: openai, base_url: 'https://x.example'}\n", **openai)
    assert described.services["openai"].api_key is None
    assert described.routes == ()


EVERYTHING = """\
services:
  prod: {auth: service_account, credentials: key.json}
  qwen: {provider: openai, base_url: "https://qwen.example/v1", api_key_env: SOME_KEY}
routes: [{base_path: /mine, model: "qwen*", service: qwen}]
aliases: {gpt-4o: gemini-2.5-pro}
models: [gemini-2.5-flash]
allow_from: [127.0.0.1]
clients: [{name: a, key_env: SOME_KEY, models: [gemini-*], services: [qwen], limits: {tokens: 9/day}}]
limits: {storage: "redis://127.0.0.1"}
"""


def assert_immutable(value: object, where: str) -> None:
    """Nothing in a value can be assigned. Left out is what holds the last token: google-auth's credentials,
    and the source of tokens."""
    inside: dict[str, object] = {}
    if isinstance(value, MappingProxyType):
        with pytest.raises(TypeError):
            value["new"] = None  # type: ignore[index]
        inside = {str(key): member for key, member in value.items()}
    elif isinstance(value, tuple) and not hasattr(value, "_fields"):
        inside = {str(place): member for place, member in enumerate(value)}
    elif isinstance(
        value,
        tuple | Service | Gateway | Identity | KeyFile | Callers | Client | Storage | Allowance | Settings | Catalog,
    ):
        inside = {name: getattr(value, name) for name in type(value).__annotations__ if hasattr(value, name)}
        for name in inside:
            with pytest.raises((AttributeError, ValidationError)):
                setattr(value, name, None)
    else:
        assert isinstance(value, str | bytes | int | Path | Credentials | TokenSource | IPv4Network | None), where
    for name, member in inside.items():
        assert_immutable(member, f"{where}.{name}")


def test_nothing_can_be_assigned(tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-Secret-of-somebody")
    (tmp_path / "gateway.yaml").write_text(EVERYTHING)
    given = {
        "vertex_auth": "service_account",
        "vertex_credentials": str(write_key(tmp_path, info)),
        "vertex_endpoint": "https://vertex.example",
        "gateway_base_path": "/vertex",
        "gateway_config": "gateway.yaml",
        "usage_tags": "x-team",
    }
    assert_immutable(read(DEFAULTS | given, []), "configuration")


class TestPrices:
    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "prices.yaml").write_text("prices: [{model: m, per_item: 3}]")
        catalog = read(DEFAULTS | {"usage_prices": "prices.yaml"}, []).settings.usage_prices
        assert [price.model for price in catalog.history("m")] == [("m",)]
        assert read(DEFAULTS, []).settings.usage_prices.first == ()

    def test_a_bad_file_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "prices.yaml").write_text("prices: [{modle: m, per_item: 3}]")
        with pytest.raises(ConfigurationError) as raised:
            read(DEFAULTS | {"usage_prices": "prices.yaml"}, [])
        told = "usage_prices: prices.yaml:1: prices[0].model: is missing"
        assert any(problem.startswith(told) for problem in raised.value.problems)
        with pytest.raises(ConfigurationError, match=r"usage_prices: nosuch\.yaml cannot be read"):
            read(DEFAULTS | {"usage_prices": "nosuch.yaml"}, [])
