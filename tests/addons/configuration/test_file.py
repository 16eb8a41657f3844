import json
from pathlib import Path

import pytest

from addons.configuration.file import ConfigurationError
from addons.configuration.file import read_file
from tests.configuration import email_of
from tests.configuration import gateway
from tests.configuration import write_key

ACCOUNT = "services:\n  a: {auth: service_account,\n    "
OPENAI = "services:\n  q: {provider: openai, base_url: https://x.example/v1"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "1: is empty"),
        ("services: {", "1: cannot be read as YAML"),
        ("- services", "1: write names and values"),
        ("services:\n  a: vertex", "2: services.a: write names and values"),
        ("services:\n  a b: {}", "2: services.a b: write names of letters"),
        ("services:\n  a: {auth: adc,\n    auth: adc}", "3: services.a.auth: appears twice, first in line 2"),
        ("services:\n  a:\n    auht: adc", "3: services.a.auht: there is no such key; did you mean auth?"),
        ("services:\n  a:\n    auth: ad", "3: services.a.auth: write 'passthrough', 'service_account', 'adc' or"),
        ("services:\n  a:\n    auth: [adc]", "3: services.a.auth: write 'passthrough'"),
        ("services:\n  a:\n    provider: gemini", "3: services.a.provider: write 'vertex' or 'openai'"),
        ("services:\n  a:\n    openai: on", "3: services.a.openai: write 'observe', 'convert' or 'compatible'"),
        ("services:\n  a:\n    project: p/../q", "3: services.a.project: write the id of a Google Cloud project"),
        ("services:\n  a:\n    location: evil.com#", "3: services.a.location: write a location of Vertex AI"),
        ("services:\n  a:\n    location: [us]", "3: services.a.location: write text"),
        (
            "services:\n  a: {auth: service_account}",
            "2: services.a: credentials is missing, which auth: "
            "service_account needs (or credentials_command or credentials_env)",
        ),
        ("services:\n  a: {auth: express}", "2: services.a: api_key_env is missing, which auth: express needs"),
        ("services:\n  a: {auth: service_account,\n    credentials: no.json}", "3: services.a.credentials: "),
        ("services:\n  a: {auth: service_account,\n    credentials: {}}", "3: services.a.credentials: write text"),
        (
            "services:\n  a: {auth: service_account,\n    credentials: ~nosuchuser/x}",
            "3: services.a.credentials: ",
        ),
        (
            f"{ACCOUNT}credentials_command: cat key}}",
            "3: services.a.credentials_command: wr",
        ),
        (
            f"{ACCOUNT}credentials_command: []}}",
            "3: services.a.credentials_command: write a",
        ),
        (
            f"{ACCOUNT}credentials_command: ['']}}",
            "3: services.a.credentials_command: write",
        ),
        (
            f"{ACCOUNT}credentials_command: [[]]}}",
            "3: services.a.credentials_command: writ",
        ),
        (
            f"{ACCOUNT}credentials_command: [sh, -c, echo Secret; exit 2]}}",
            "3: services.a.credentials_command: sh ended with exit status 2; run it by hand to see why",
        ),
        (
            f"{ACCOUNT}credentials_command: [echo, Secret]}}",
            "3: services.a.credentials_command: what echo prints is not JSON (line 1, column 1); let it print",
        ),
        (
            f"{ACCOUNT}credentials_env: Secret}}",
            "3: services.a.credentials_env: the env",
        ),
        (
            f"{ACCOUNT}credentials_env: GOOD}}",
            "3: services.a.credentials_env: the variable's value is not JSON (line 1, column 1); put the JSON key",
        ),
        (
            f"{ACCOUNT}credentials_env: []}}",
            "3: services.a.credentials_env: write text",
        ),
        (
            "services:\n  a: {auth: adc,\n    credentials_env: KEY}",
            "3: services.a.credentials_env: is only for auth: ser",
        ),
        (
            "services:\n  a: {auth: adc,\n    credentials_command: [cat, key.json]}",
            "3: services.a.credentials_command: is only for auth: service_account; leave it out",
        ),
        (
            "services:\n  a: {auth: service_account, credentials: key.json,\n    credentials_env: KEY}",
            "3: services.a.credentials_env: says where the key is, and so does credentials; leave one out",
        ),
        ("services:\n  a: {auth: express,\n    api_key_env: AIzaSecret}", "3: services.a.api_key_env: the environm"),
        ("services:\n  a: {auth: express,\n    api_key_env: EMPTY}", "3: services.a.api_key_env: the environment has"),
        (
            "services:\n  a: {auth: express,\n    api_key_env: BROKEN}",
            "3: services.a.api_key_env: contains a character that no API",
        ),
        ("services:\n  a: {auth: adc,\n    api_key_env: GOOD}", "3: services.a.api_key_env: is only for auth: express"),
        (
            "services:\n  a: {auth: adc,\n    credentials: key.json}",
            "3: services.a.credentials: is only for auth: serv",
        ),
        (
            "services:\n  a: {\n    base_url: https://x.example}",
            "3: services.a.base_url: is only for provider: openai; ",
        ),
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
        (f"{OPENAI},\n    auth: adc}}", "3: services.q.auth: is only for provider: vertex; leave it out"),
        (f"{OPENAI},\n    location: global}}", "3: services.q.location: is only for provider: vertex"),
        (f"{OPENAI},\n    openai: convert}}", "3: services.q.openai: is only for provider: vertex"),
        (f"{OPENAI},\n    project: my-project}}", "3: services.q.project: is only for auth: passthrough"),
        (
            "services:\n  a: {auth: express, api_key_env: GOOD,\n    project: my-project}",
            "3: services.a.project: is only for auth: passthrough, service_account and adc; leave it out",
        ),
        (
            f"{OPENAI},\n    api_key: sk-Secret}}",
            "3: services.q.api_key: keys cannot be in the file; write api_key_env",
        ),
        ("routes: {service: a}", "1: routes: write a list"),
        ("routes:\n  - default", "2: routes[0]: write names and values"),
        ("routes:\n  - {model: x}", "2: routes[0].service: is missing"),
        ("routes:\n  - {service: defualt}", "2: routes[0].service: there is no such service; did you mean default?"),
        ("routes:\n  - {service: openai}", "2: routes[0].service: there is no such service; choose from default"),
        (
            "routes:\n  - {service: default,\n    mdoel: x}",
            "3: routes[0].mdoel: there is no such key; did you mean model",
        ),
        ("routes:\n  - {service: default,\n    model: ''}", "3: routes[0].model: write text, or leave it out"),
        ("routes:\n  - {service: default,\n    surface: vertx}", "3: routes[0].surface: there is no such surface"),
        ("routes:\n  - {service: default,\n    base_path: gemini}", "3: routes[0].base_path: write a path that begins"),
        (
            "routes:\n  - {service: default,\n    fallback: [default, defualt]}",
            "3: routes[0].fallback[1]: there is no such service; did you mean default?",
        ),
        (
            "routes:\n  - {service: default, fallback: [\n    {service: defualt, as: x}]}",
            "3: routes[0].fallback[0].service: there is no such service; did you mean default?",
        ),
        (
            "routes:\n  - {service: default, fallback: [\n    {service: default, model: x}]}",
            "3: routes[0].fallback[0].model: there is no such key; choose from service, as",
        ),
        ("routes:\n  - {service: default,\n    fallback: a}", "3: routes[0].fallback: write a list"),
        ("routes:\n  - {service: default,\n    as: ../x}", "3: routes[0].as: write a model such as"),
        ("services:\n  a: {auth: passthrough,\n    timeout: 0}", "3: services.a.timeout: write seconds, such as 120"),
        ("services:\n  a: {auth: passthrough,\n    timeout: 1m}", "3: services.a.timeout: write a number"),
        ("services:\n  a: {auth: passthrough,\n    timeout: [1]}", "3: services.a.timeout: write a number"),
        (
            "services:\n  a: {auth: passthrough,\n    timeout: 100000}",
            "3: services.a.timeout: write seconds, such as 120",
        ),
        (
            "routes:\n  - {service: default}\n  - {service: default,\n    limits: 5}",
            "4: routes[1].limits: there is no such key",
        ),
        ("models: [a]\nlimits: 5", "2: limits: write names and values"),
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
    write_key(tmp_path, info)
    monkeypatch.setenv("KEY", json.dumps(info))
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("GOOD", "AIzaSecret")
    monkeypatch.setenv("BROKEN", "AIzaSecret\n")
    file = tmp_path / "gateway.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError) as told:
        read_file(file)
    (only,) = told.value.problems
    assert only.startswith(f"{file}:{problem}")
    assert "Secret" not in only


def test_all_problems_of_a_file_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("models: [a b]\nservices:\n  a: {auth: express}\nroutes: [{service: b}]\nmodels: [c]\nlimits: 5\n")
    with pytest.raises(ConfigurationError) as told:
        read_file(file)
    assert [problem.removeprefix(f"{file}:")[:2] for problem in told.value.problems] == ["1:", "3:", "4:", "5:", "6:"]


@pytest.mark.parametrize(
    ("name", "told"), [("no.yaml", "cannot be read (No such"), ("~nosuchuser/x", "names a home directory")]
)
def test_no_file(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as ended:
        read_file(Path(name) if name.startswith("~") else tmp_path / name)
    assert told in str(ended.value)


def test_keys_that_are_not_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: dict[str, str]) -> None:
    """A command runs in the folder of the file."""
    write_key(tmp_path, info)
    monkeypatch.setenv("KEY", json.dumps(info | {"project_id": "other-project"}))
    described = gateway(
        tmp_path,
        "services:\n  vault: {auth: service_account, credentials_command: [cat, key.json]}\n"
        "  held: {auth: service_account, credentials_env: KEY}\n",
    )
    vault, held = described.services["vault"], described.services["held"]
    assert (vault.project, email_of(vault)) == ("test-project", info["client_email"])
    assert (held.project, email_of(held)) == ("other-project", info["client_email"])
    assert described.injects
    assert "PRIVATE" not in repr(described)
