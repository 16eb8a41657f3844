import json
from pathlib import Path

import pytest

from addons import services
from addons.options import read
from addons.services import Endpoint
from addons.services import Gateway
from addons.services import Route
from addons.services import Service
from tests.addons.test_options import DEFAULTS
from tests.vertex_simulator import Credentials


@pytest.fixture
def info() -> dict[str, str]:
    return Credentials().service_account("https://oauth2.googleapis.com/token")


def written(folder: Path, content: object) -> Path:
    file = folder / "key.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_key(tmp_path: Path, info: dict[str, str]) -> None:
    key = services.key(written(tmp_path, info))
    assert key.project == "test-project"
    assert "PRIVATE KEY" not in repr(key)


@pytest.mark.parametrize(
    ("change", "help"),
    [
        ({"private_key": None, "client_email": ""}, "lacks client_email, private_key"),
        ({"token_uri": 5}, "lacks token_uri"),
        ({"type": "authorized_user"}, "is no key of a service account; set vertex_auth=adc"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"}, "cannot sign"),
    ],
)
def test_keys_that_are_none(tmp_path: Path, info: dict[str, str], change: dict[str, str], help: str) -> None:
    with pytest.raises(ValueError, match=help) as told:
        services.key(written(tmp_path, info | change))
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "help"),
    [
        ('{"private_key": "secret",', r"is not JSON \(line 1, column \d+\)"),
        ("[]", "is no JSON object"),
        ("\udcff", "is not JSON"),
    ],
)
def test_files_that_are_no_keys(tmp_path: Path, content: str, help: str) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=help) as told:
        services.key(file)
    assert "secret" not in str(told.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be read \(No such file or directory\)"):
        services.key(tmp_path / "key.json")


@pytest.mark.parametrize("text", ["my-project-123", "example.com:my-project", "1234567890", "a-b"])
def test_projects(text: str) -> None:
    assert services.project(text) == text


@pytest.mark.parametrize("text", ["a/b", "a?b", "a#b", "../x", "A", "", "p%2f", "evil.com", "a b"])
def test_no_projects(text: str) -> None:
    with pytest.raises(ValueError, match="id of a Google Cloud project"):
        services.project(text)


@pytest.mark.parametrize("text", ["evil.com#", "us/../x", "", "US", "us-central1.evil"])
def test_no_locations(text: str) -> None:
    with pytest.raises(ValueError, match="write a location of Vertex AI"):
        services.location(text)


def test_from_settings(tmp_path: Path, info: dict[str, str]) -> None:
    file = written(tmp_path, info)
    given = {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "service_account", "vertex_credentials": str(file)}
    service = services.from_settings(read(DEFAULTS | given, [])).default
    assert (service.project, service.location, service.injects, service.rewrites) == (
        "test-project",
        "global",
        True,
        False,
    )
    assert getattr(service.credentials, "service_account_email", None) == info["client_email"]
    named = services.from_settings(read(DEFAULTS | given | {"vertex_project": "other-project"}, [])).default
    assert named.project == "other-project"


def test_no_application_default_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    settings = read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "adc"}, [])
    with pytest.raises(ValueError, match="holds no application default credentials"):
        services.from_settings(settings)


@pytest.mark.parametrize("content", ["[]", '"text"', "{", '{"type": "impersonated_service_account"}'])
def test_files_that_are_no_default_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(written(tmp_path, content)))
    settings = read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "adc"}, [])
    with pytest.raises(ValueError, match=r"key\.json \(GOOGLE_APPLICATION_CREDENTIALS\) holds no"):
        services.from_settings(settings)


def test_application_default_credentials(tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(written(tmp_path, info)))
    settings = read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db"), "vertex_auth": "adc"}, [])
    service = services.from_settings(settings).default
    assert (service.project, service.injects) == ("test-project", True)


def gateway(folder: Path, content: str, **options: str) -> Gateway:
    """What a file and options describe."""
    file = folder / "gateway.yaml"
    file.write_text(content)
    given = {"usage_db": str(folder / "usage.db"), "gateway_config": str(file)}
    return services.from_settings(read(DEFAULTS | given | options, []))


FILE = """\
services:
  prod:     {provider: vertex, auth: service_account, credentials: ./key.json, location: us-central1, openai: convert}
  express:  {provider: vertex, auth: express, api_key_env: SOME_KEY}
  qwen:     {provider: openai, base_url: https://qwen.example/compatible/v1, api_key_env: SOME_KEY}
  open:     {provider: openai, base_url: "http://127.0.0.1:9000"}
routes:
  - {base_path: /gemini/, model: "gemini*", service: prod}
  - {publisher: "openai", model: "gpt-image*", service: qwen}
  - {surface: "vertex*", publisher: "*", service: express}
  - {model: "qwen*", service: qwen}
  - {base_path: "/team-?", service: open}
aliases: {gpt-4o: gemini-2.5-pro, my-gemini-ft: "1234567890", mine: 0123456789, gemini-2.5-pro: gemini-2.5-pro}
models: [gemini-2.5-flash, gemini-2.5-pro]
"""


@pytest.fixture
def described(tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Gateway:
    written(tmp_path, info)
    monkeypatch.setenv("SOME_KEY", "key-Secret")
    return gateway(tmp_path, FILE)


def test_services_of_a_file(described: Gateway, info: dict[str, str]) -> None:
    prod, express, qwen, unkeyed = (described.services[name] for name in ("prod", "express", "qwen", "open"))
    assert (prod.auth, prod.openai, prod.location, prod.project) == (
        "service_account",
        "convert",
        "us-central1",
        "test-project",
    )
    assert getattr(prod.credentials, "service_account_email", None) == info["client_email"]
    assert (express.auth, express.openai, express.location) == ("express", "convert", "global")
    assert (express.api_key, express.credentials) == ("key-Secret", None)
    assert qwen.base_url == Endpoint("https", "qwen.example", 443, "/compatible/v1")
    assert (unkeyed.base_url, unkeyed.api_key) == (Endpoint("http", "127.0.0.1", 9000, ""), None)
    assert [one.injects for one in (prod, express, qwen, unkeyed)] == [True, True, True, False]
    assert [one.rewrites for one in (prod, express, qwen, unkeyed)] == [True, True, False, False]
    assert described.injects
    assert "Secret" not in repr(described)
    assert "PRIVATE KEY" not in repr(described)


def test_the_rest_of_a_file(described: Gateway) -> None:
    assert described.base_paths == ("/gemini",)
    assert described.models == ("gemini-2.5-flash", "gemini-2.5-pro")
    assert [described.named(name) for name in ("gpt-4o", "my-gemini-ft", "mine", "gemini-2.5-pro", "other")] == [
        "gemini-2.5-pro",
        "1234567890",
        "0123456789",
        "gemini-2.5-pro",
        "other",
    ]
    assert described.default == Service("default")


@pytest.mark.parametrize(
    ("base_path", "surface", "publisher", "model", "service"),
    [
        ("/gemini", "openai", None, "gemini-2.5-pro", "prod"),
        ("", "openai", None, "gemini-2.5-pro", None),
        ("/gemini", "openai", None, "Gemini-2.5-pro", None),
        ("/gemini", "openai", None, None, None),
        ("", "vertex", "openai", "gpt-image-1", "qwen"),
        ("", "vertex", "openai", "gpt-5", "express"),
        ("", "vertex-openai", "meta", None, "express"),
        ("", "vertex", None, "1234", None),
        ("", "openai", None, "qwen3", "qwen"),
        ("/team-a", "openai", None, "qwen3", "qwen"),
        ("/team-a", "gemini", None, None, "open"),
        ("/team-ab", "gemini", None, None, None),
    ],
)
def test_the_first_route_that_matches(
    described: Gateway, base_path: str, surface: str, publisher: str | None, model: str | None, service: str | None
) -> None:
    found = described.service_for(base_path=base_path, surface=surface, publisher=publisher, model=model)
    assert (found and found.name) == service


@pytest.mark.parametrize(
    ("routes", "base_path", "surface", "may"),
    [
        ([], "", "openai", False),
        ([Route("a", model="m*")], "", "openai", True),
        ([Route("a", base_path="/x", model="m*")], "", "openai", False),
        ([Route("a", base_path="/x", model="m*")], "/x", "openai", True),
        ([Route("a", surface="vertex", publisher="p")], "", "openai", False),
        ([Route("a", surface="vertex"), Route("a", surface="open*")], "", "openai", True),
    ],
)
def test_whether_a_route_may_match(routes: list[Route], base_path: str, surface: str, may: bool) -> None:
    assert Gateway({}, tuple(routes)).may_serve(base_path=base_path, surface=surface) is may


OPENAI = "services:\n  q: {provider: openai, base_url: https://x.example/v1"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "1: is empty"),
        ("services: {", "1: cannot be read as YAML"),
        ("- services", "1: write names and values"),
        ("services:\n  a: vertex", "2: services.a: write names and values"),
        ("services:\n  a b: {}", "2: services.a b: write names of letters"),
        ("services:\n  a: {auth: adc,\n    auth: adc}", "3: services.a.auth: is here twice, first in line 2"),
        ("services:\n  a:\n    auht: adc", "3: services.a.auht: there is no such key; did you mean auth?"),
        ("services:\n  a:\n    auth: ad", "3: services.a.auth: write 'passthrough', 'service_account', 'adc' or"),
        ("services:\n  a:\n    auth: [adc]", "3: services.a.auth: write 'passthrough'"),
        ("services:\n  a:\n    provider: gemini", "3: services.a.provider: write 'vertex' or 'openai'"),
        ("services:\n  a:\n    openai: on", "3: services.a.openai: write 'observe', 'convert' or 'compatible'"),
        ("services:\n  a:\n    project: p/../q", "3: services.a.project: write the id of a Google Cloud project"),
        ("services:\n  a:\n    location: evil.com#", "3: services.a.location: write a location of Vertex AI"),
        ("services:\n  a:\n    location: [us]", "3: services.a.location: write text"),
        ("services:\n  a: {auth: service_account}", "2: services.a: credentials is missing, which auth: service_acc"),
        ("services:\n  a: {auth: express}", "2: services.a: api_key_env is missing, which auth: express needs"),
        ("services:\n  a: {auth: service_account,\n    credentials: no.json}", "3: services.a.credentials: "),
        ("services:\n  a: {auth: service_account,\n    credentials: {}}", "3: services.a.credentials: write text"),
        (
            "services:\n  a: {auth: service_account,\n    credentials: ~nosuchuser/x}",
            "3: services.a.credentials: ",
        ),
        ("services:\n  a: {auth: express,\n    api_key_env: AIzaSecret}", "3: services.a.api_key_env: the environm"),
        ("services:\n  a: {auth: express,\n    api_key_env: EMPTY}", "3: services.a.api_key_env: the environment has"),
        ("services:\n  a: {auth: express,\n    api_key_env: BROKEN}", "3: services.a.api_key_env: holds what no API"),
        ("services:\n  a: {auth: adc,\n    api_key_env: GOOD}", "3: services.a.api_key_env: is for auth: express"),
        ("services:\n  a: {auth: adc,\n    credentials: key.json}", "3: services.a.credentials: is for auth: serv"),
        ("services:\n  a: {\n    base_url: https://x.example}", "3: services.a.base_url: is for provider: openai; "),
        (
            "services:\n  a: {auth: express, api_key_env: GOOD,\n    openai: compatible}",
            "3: services.a.openai: Vertex's OpenAI endpoint takes no API keys",
        ),
        ("services:\n  a:\n    provider: openai", "2: services.a: base_url is missing, which provider: openai needs"),
        (
            "services:\n  q: {provider: openai,\n    base_url: 'https://x?key=Secret'}",
            "3: services.q.base_url: write a URL without user, query",
        ),
        ("services:\n  q: {provider: openai, base_url: [x]}", "2: services.q.base_url: write text"),
        (f"{OPENAI},\n    auth: adc}}", "3: services.q.auth: is for provider: vertex; leave it out"),
        (f"{OPENAI},\n    location: global}}", "3: services.q.location: is for provider: vertex"),
        (f"{OPENAI},\n    openai: convert}}", "3: services.q.openai: is for provider: vertex"),
        (f"{OPENAI},\n    project: my-project}}", "3: services.q.project: is for provider: vertex"),
        (
            f"{OPENAI},\n    api_key: sk-Secret}}",
            "3: services.q.api_key: keys are never in the file; write api_key_env",
        ),
        ("routes: {service: a}", "1: routes: write a list"),
        ("routes:\n  - default", "2: routes[0]: write names and values"),
        ("routes:\n  - {model: x}", "2: routes[0].service: is missing"),
        ("routes:\n  - {service: defualt}", "2: routes[0].service: there is no such service; did you mean default?"),
        ("routes:\n  - {service: openai}", "2: routes[0].service: there is no such service; there are default"),
        (
            "routes:\n  - {service: default,\n    mdoel: x}",
            "3: routes[0].mdoel: there is no such key; did you mean model",
        ),
        ("routes:\n  - {service: default,\n    model: ''}", "3: routes[0].model: write text, or leave it out"),
        ("routes:\n  - {service: default,\n    surface: vertx}", "3: routes[0].surface: there is no such surface"),
        ("routes:\n  - {service: default,\n    base_path: gemini}", "3: routes[0].base_path: write a path that begins"),
        ("routes:\n  - {service: default,\n    fallback: [a]}", "3: routes[0].fallback: is not served yet; leave it"),
        (
            "routes:\n  - {service: default}\n  - {service: default,\n    limits: 5}",
            "4: routes[1].limits: is not served",
        ),
        ("models: [a]\nclients:\n  - {name: a}", "2: clients: is not served yet; leave it out"),
        ("models: [a]\nlimits: {}", "2: limits: is not served yet; leave it out"),
        ("models: [a]\nmodel: [a]", "2: model: there is no such key; did you mean models?"),
        ("models: [a,\n  ../b]", "2: models[1]: write a model such as"),
        ("models: a", "1: models: write a list"),
        ("aliases:\n  a: b c", "2: aliases.a: write a model such as"),
        ("aliases:\n  a b: c", "2: aliases.a b: write a model such as"),
        ("aliases:\n  b: c\n  a: b", "3: aliases.a: is an alias of an alias; name the model itself"),
        ("aliases:\n  a:", "2: aliases.a: has no value"),
    ],
)
def test_what_a_file_cannot_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: dict[str, str], content: str, problem: str
) -> None:
    written(tmp_path, info)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("GOOD", "AIzaSecret")
    monkeypatch.setenv("BROKEN", "AIzaSecret\n")
    file = tmp_path / "gateway.yaml"
    file.write_text(content)
    with pytest.raises(services.FileProblems) as told:
        services.read_file(file)
    (only,) = told.value.problems
    assert only.startswith(f"{file}:{problem}")
    assert "Secret" not in only


def test_all_problems_of_a_file_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "models: [a b]\nservices:\n  a: {auth: express}\nroutes: [{service: b}]\nmodels: [c]\nclients: []\n"
    )
    with pytest.raises(services.FileProblems) as told:
        services.read_file(file)
    assert [problem.removeprefix(f"{file}:")[:2] for problem in told.value.problems] == ["1:", "3:", "4:", "5:", "6:"]


@pytest.mark.parametrize(("name", "told"), [("no.yaml", "cannot be read (No such"), ("~nosuchuser/x", "names the")])
def test_no_file(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(services.FileProblems) as ended:
        services.read_file(Path(name) if name.startswith("~") else tmp_path / name)
    assert told in str(ended.value)


def test_a_default_of_the_files_own(tmp_path: Path) -> None:
    described = gateway(tmp_path, "services:\n  default: {openai: compatible, project: my-project}\n")
    assert described.default == Service("default", openai="compatible", project="my-project")
    assert not described.injects


def test_services_share_application_default_credentials(
    tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(written(tmp_path, info)))
    described = gateway(tmp_path, "services:\n  a: {auth: adc}\n  b: {auth: adc, project: other}\n", vertex_auth="adc")
    assert len({id(service.credentials) for service in described.services.values()}) == 1
    assert [service.project for service in described.services.values()] == ["test-project", "test-project", "other"]


def test_a_file_without_application_default_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    with pytest.raises(ValueError, match=r"gateway.yaml:3: services\.a\.auth: .* holds no application default"):
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
    described = services.from_settings(read(DEFAULTS | given, []))
    found = described.service_for(base_path="", surface=surface, publisher=publisher, model=model)
    assert (found and found.name) == service
    assert described.services["openai"].base_url == Endpoint("https", "api.openai.com", 443, "/v1")
    assert (described.services["openai"].api_key, described.injects) == ("sk-Secret", True)


def test_routes_of_the_file_come_first(tmp_path: Path) -> None:
    openai = {"openai_mode": "convert", "openai_api_key": "sk-Secret"}
    described = gateway(tmp_path, "routes: [{model: gpt-5, service: default}, {model: o*, service: openai}]", **openai)
    names = [
        found and found.name
        for model in ("gpt-5", "o4", "gpt-4")
        if (found := described.service_for(base_path="", surface="vertex", publisher="openai", model=model))
    ]
    assert names == ["default", "openai", "openai"]


def test_an_openai_of_the_files_own(tmp_path: Path) -> None:
    openai = {"openai_mode": "convert", "openai_api_key": "sk-Secret"}
    described = gateway(tmp_path, "services:\n  openai: {provider: openai, base_url: 'https://x.example'}\n", **openai)
    assert described.services["openai"].api_key is None
    assert described.routes == ()
