import json
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.compute_engine import _metadata
from requests import PreparedRequest
from requests import Response

from addons.configuration.identity import KEY_FIELDS
from addons.doctor.keys import ADC
from addons.doctor.keys import LOG_IN
from addons.doctor.keys import NEW_KEY
from addons.doctor.keys import credentials
from addons.doctor.keys import key_file
from addons.doctor.projects import project
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults
from tests.configuration import write_key
from tests.vertex_simulator import Simulator

AGAIN = "download the key again"
OF_A_USER = {"type": "authorized_user", "client_id": "c", "client_secret": "s-secret", "refresh_token": "r-secret"}
CLIENT = {"client_id": "c", "client_secret": "s-secret", "token_uri": "https://oauth2.googleapis.com/token"}
CASES: dict[str, tuple[object, str, str]] = {
    "text": ("AIzaNoKeyFile", "is not JSON (line 1, column 1)", AGAIN),
    "too deep": ("[" * 200_000, "is not JSON", AGAIN),
    "array": ([], "is not a JSON object", AGAIN),
    "empty": ({}, "lacks client_email, private_key, token_uri", AGAIN),
    "a user's": (OF_A_USER, "has the credentials of a user, not those of a service account", ADC),
    "OAuth client": ({"installed": CLIENT}, "is an OAuth client, with which users sign in", NEW_KEY),
    "OAuth web client": ({"web": CLIENT}, "is an OAuth client, with which users sign in", NEW_KEY),
    "workload": ({"type": "external_account", "audience": "a"}, "describes workload identity", ADC),
    "workforce": ({"type": "external_account_authorized_user"}, "describes workforce identity", ADC),
    "impersonation": ({"type": "impersonated_service_account"}, "describes impersonation", ADC),
    "other": ({"type": "gdch_service_account"}, "is not the key of a service account", "adc"),
}


@pytest.fixture(scope="session")
def key(simulator: Simulator) -> dict[str, Any]:
    return simulator.credentials.service_account(simulator.token_uri)


def found(setup_of: SetupOf, folder: Path, content: object) -> tuple[str, str]:
    """The message without the name of the file, and the remedy."""
    write_key(folder, content)
    wrong = fault(key_file(setup_of(vertex_auth="service_account", vertex_credentials="key.json")))
    assert "secret" not in str(wrong)
    assert wrong.message.startswith("vertex_credentials: key.json")
    return wrong.message.removeprefix("vertex_credentials: key.json").removeprefix(": ").strip(), wrong.remedy


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_key(setup_of: SetupOf, home: Path, case: str) -> None:
    content, message, remedy = CASES[case]
    told, to_do = found(setup_of, home, content)
    assert told.startswith(message)
    assert remedy in to_do


def test_each_required_field(setup_of: SetupOf, home: Path, key: dict[str, Any]) -> None:
    for name in KEY_FIELDS:
        without = {member: value for member, value in key.items() if member != name}
        assert found(setup_of, home, without) == (f"lacks {name}", AGAIN)


def test_a_key_that_cannot_sign(setup_of: SetupOf, home: Path, key: dict[str, Any]) -> None:
    cut = key["private_key"][:200]
    assert found(setup_of, home, key | {"private_key": cut}) == ("its private_key is not usable", AGAIN)


def test_no_file(setup_of: SetupOf) -> None:
    wrong = fault(key_file(setup_of(vertex_auth="service_account", vertex_credentials="none.json")))
    assert wrong.message == "vertex_credentials: none.json cannot be read (No such file or directory)"
    assert wrong.remedy == "name the JSON key of a service account"
    wrong = fault(key_file(setup_of(vertex_auth="service_account")))
    assert wrong.message == "vertex_credentials: vertex_auth=service_account needs it"
    assert wrong.remedy == "set it, or GOOGLE_APPLICATION_CREDENTIALS in the environment"
    wrong = fault(key_file(setup_of(vertex_auth="service_account", vertex_credentials="~nobody-here/key.json")))
    assert "~nobody-here" in wrong.message


def test_a_file_that_the_environment_names(
    setup_of: SetupOf, home: Path, monkeypatch: pytest.MonkeyPatch, key: dict[str, Any]
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(home, OF_A_USER)))
    assert faults(key_file(setup_of())) == []
    wrong = fault(key_file(setup_of(vertex_auth="service_account")))
    assert wrong.message.startswith(
        f"GOOGLE_APPLICATION_CREDENTIALS: {home / 'key.json'} has the credentials of a user"
    )
    write_key(home, key)
    (right,) = key_file(setup_of(vertex_auth="service_account"))
    assert right.message == f"GOOGLE_APPLICATION_CREDENTIALS: {home / 'key.json'} can sign for {key['client_email']}"


def test_files_of_services(setup_of: SetupOf, home: Path, key: dict[str, Any]) -> None:
    """Each is told once, those that are right too."""
    write_key(home, key)
    (home / "bad.json").write_text(json.dumps({"installed": CLIENT}))
    setup = setup_of(
        yaml="services:\n"
        "  a: {auth: service_account, credentials: key.json}\n"
        "  b: {auth: service_account, credentials: bad.json}\n"
        "  c: {auth: service_account, credentials: none.json}\n"
    )
    told = [(one.ok, one.message.partition(": ")[0]) for one in key_file(setup)]
    names = ["gateway.yaml, service a", "gateway.yaml, service b", "gateway.yaml, service c"]
    assert told == [*zip((True, False, False), names, strict=True)]
    # The others are examined nonetheless.
    assert setup.services["a"].project == "test-project"


@pytest.mark.parametrize(
    ("where", "remedy"),
    [("credentials_command: [sh, -c, exit 3]", "by hand"), ("credentials_env: NOT_SET", "write the name of one")],
)
def test_keys_that_are_not_on_disk(setup_of: SetupOf, where: str, remedy: str) -> None:
    wrong = fault(key_file(setup_of(yaml=f"services:\n  a: {{auth: service_account, {where}}}\n")))
    assert "services.a.credentials_" in wrong.message + wrong.remedy
    assert remedy in wrong.message + wrong.remedy


def test_a_command_is_run_once(setup_of: SetupOf, home: Path) -> None:
    """Each command, however many problems there are: it may take half a minute to fail."""
    command = f"credentials_command: [sh, -c, 'echo NAME >> {home}/runs; exit 3']"
    services = "".join(f"  {name}: {{auth: service_account, {command}}}\n".replace("NAME", name) for name in "ab")
    found = faults(key_file(setup_of(yaml=f"services:\n{services}  c: {{location: 5, x: y}}\n")))
    assert [one.remedy for one in found] == ["run it by hand to see why"] * 2
    assert (home / "runs").read_text().split() == ["a", "b"]


def test_api_keys(setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = fault(credentials(setup_of(vertex_auth="express")))
    assert (wrong.check, wrong.remedy) == ("credentials", "set it, or VERTEX_API_KEY in the environment")
    wrong = fault(credentials(setup_of(vertex_auth="express", vertex_api_key="AIza with spaces")))
    assert "AIza" not in str(wrong)
    assert "copy it again" in wrong.remedy
    described = "services: {q: {provider: openai, base_url: 'https://llm.example/v1', api_key_env: Q_KEY}}"
    wrong = fault(credentials(setup_of(yaml=described)))
    assert wrong.remedy == "write the name of one that holds a key"
    monkeypatch.setenv("Q_KEY", "sk-1234567890")
    (right,) = credentials(setup_of(yaml=described))
    assert right.message == "services with credentials of the proxy: q (API key)"


def test_application_default_credentials(setup_of: SetupOf, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = setup_of(vertex_auth="adc")
    monkeypatch.setattr(_metadata, "detect_gce_residency_linux", lambda: False)
    assert "gcloud auth application-default login" in fault(credentials(setup)).remedy
    # On a machine of Google's only the metadata server knows.
    monkeypatch.setattr(_metadata, "detect_gce_residency_linux", lambda: True)
    (told,) = credentials(setup)
    assert (told.ok, told.remedy) == (True, "ask it with --online")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(home, OF_A_USER)))
    (right,) = credentials(setup_of(vertex_auth="adc"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(home, "{}")))
    assert fault(credentials(setup_of(vertex_auth="adc"))).remedy == LOG_IN
    assert right.message == "services with credentials of the proxy: default (adc)"


WORKLOAD = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/a/providers/b",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "subject-token"},
}


def test_google_is_not_asked(setup_of: SetupOf, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth would ask the metadata server for credentials, and others for the project of workload identity."""
    asked: list[str] = []

    def send(_: object, request: PreparedRequest, **__: object) -> Response:
        asked.append(str(request.url).partition("?")[0])
        raise ConnectionError

    monkeypatch.setattr(requests.Session, "send", send)
    monkeypatch.setattr(_metadata, "detect_gce_residency_linux", lambda: False)
    setup_of(vertex_auth="adc")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(home, WORKLOAD)))
    (home / "subject-token").write_text("jwt")
    setup = setup_of(vertex_auth="adc")
    (told,) = project(setup)
    assert (told.ok, told.remedy) == (True, "ask with --online, or set vertex_project")
    assert asked == []
    assert setup_of(vertex_auth="adc", is_online=True).services
    assert asked[:1] == ["https://sts.googleapis.com/v1/token"]


def test_without_those_of_the_options(setup_of: SetupOf) -> None:
    (told,) = credentials(setup_of(vertex_auth="service_account", vertex_credentials="none.json"))
    assert told.message == "those of default cannot be used, as another check says"
    assert [one.message for one in (*key_file(setup_of()), *credentials(setup_of()))] == [
        "none is used",
        "none are used",
    ]
