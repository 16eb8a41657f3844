import json
from pathlib import Path
from typing import Any

import pytest

from addons.doctor.answers import SEE_ABOVE
from addons.doctor.finding import Finding
from addons.doctor.online import models_of
from addons.doctor.online import online
from tests.addons.doctor.answering import Answering
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults
from tests.configuration import write_key
from tests.vertex_simulator import Simulator

INJECTING = {"vertex_auth": "service_account", "vertex_credentials": "key.json"}
EXPRESS = {"vertex_auth": "express", "vertex_api_key": "AIzaSimulatedKey"}
PROJECT = "/v1/projects/test-project/locations"


@pytest.fixture
def key(simulator: Simulator, home: Path) -> dict[str, Any]:
    made = simulator.credentials.service_account(simulator.token_uri)
    write_key(home, made)
    return made


def refused(status: str, message: str) -> dict[str, Any]:
    return {"error": {"status": status, "message": message}}


def denied(message: str) -> dict[str, Any]:
    return refused("PERMISSION_DENIED", message)


@pytest.mark.usefixtures("key")
def test_all_is_well(setup_of: SetupOf, simulator: Simulator) -> None:
    before = len(simulator.seen)
    setup = setup_of(
        yaml="services:\n"
        "  prod: {auth: service_account, credentials: key.json, location: us-central1}\n"
        "routes:\n"
        "  - {model: 'gemini-2.5-pro', service: prod}\n"
        "  - {model: 'gemini*', service: prod}\n"
        "aliases: {gpt-4o: gemini-2.5-flash-lite}\n",
        vertex_endpoint=simulator.url,
    )
    assert [(one.check, one.ok, one.message) for one in online(setup)] == [
        ("token", True, "prod: Google gives an access token"),
        ("role", True, "prod: the credentials may use Vertex AI in test-project"),
        ("model", True, "prod: gemini-2.5-pro is at us-central1"),
        ("model", True, "prod: gemini-2.5-flash-lite is at us-central1"),
    ]
    seen = [one.request for one in simulator.seen[before:]]
    assert [request.path for request in seen] == [
        "/token",
        f"{PROJECT}/us-central1/publishers/google/models/gemini-2.5-pro:countTokens",
        f"{PROJECT}/us-central1/publishers/google/models/gemini-2.5-flash-lite:countTokens",
    ]


def test_an_api_key(setup_of: SetupOf, simulator: Simulator) -> None:
    before = len(simulator.seen)
    assert faults(online(setup_of(**EXPRESS, vertex_endpoint=simulator.url))) == []
    (seen,) = simulator.seen[before:]
    assert seen.request.path == "/v1/publishers/google/models/gemini-2.5-flash:countTokens"
    found = fault(online(setup_of(vertex_auth="express", vertex_api_key="AIzaOther", vertex_endpoint=simulator.url)))
    assert (found.check, found.message) == (
        "role",
        "default: INVALID_ARGUMENT: API key not valid. Please pass a valid API key.",
    )
    assert found.remedy.startswith("copy the API key again")


@pytest.mark.parametrize(
    ("status", "body", "check", "remedy"),
    [
        (
            403,
            denied("Permission 'aiplatform.endpoints.predict' denied on resource"),
            "role",
            "give the role Vertex AI User, or correct vertex_project: gcloud projects add-iam-policy-binding"
            " test-project --member=serviceAccount:{email} --role=roles/aiplatform.user",
        ),
        (
            403,
            denied("Vertex AI API has not been used in project test-project before or it is disabled."),
            "role",
            "enable the API: gcloud services enable aiplatform.googleapis.com --project=test-project",
        ),
        (
            403,
            denied("This API method requires billing to be enabled."),
            "role",
            "enable billing",
        ),
        (
            404,
            refused("NOT_FOUND", "Publisher Model `gemini-9` was not found"),
            "model",
            "correct the name of the model, or choose another vertex_location",
        ),
        (401, refused("UNAUTHENTICATED", "Invalid credentials"), "role", "see what the clock says, and make a new key"),
        (400, refused("INVALID_ARGUMENT", "No such project"), "role", "correct what Google names"),
        (503, "<html>", "role", "try again later"),
    ],
)
def test_google_refuses(
    setup_of: SetupOf, key: dict[str, Any], host: Answering, status: int, body: object, check: str, remedy: str
) -> None:
    host.status, host.body = status, body
    setup = setup_of(**INJECTING, vertex_endpoint=host.url, yaml="models: [gemini-9]")
    found = fault(online(setup))
    assert found.check == check
    assert found.remedy.startswith(remedy.format(email=key["client_email"]))
    assert found.message.startswith("default: ")


@pytest.mark.usefixtures("key")
def test_what_is_no_fault(setup_of: SetupOf, host: Answering) -> None:
    """The user has not named the model; the quota is no matter of the set-up."""
    host.status, host.body = 404, refused("NOT_FOUND", "Publisher Model was not found")
    *_, found = online(setup_of(**INJECTING, vertex_endpoint=host.url))
    assert (found.check, found.ok) == ("model", True)
    assert "gemini-2.5-flash at global" in found.message
    assert found.remedy.startswith("correct the name")
    host.status, host.body = 429, refused("RESOURCE_EXHAUSTED", "Quota exceeded")
    *_, found = online(setup_of(**INJECTING, vertex_endpoint=host.url))
    assert (found.check, found.ok) == ("role", True)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("Invalid JWT Signature.", "make a new key of the service account"),
        ("Invalid grant: account not found", "see in IAM whether the service account is still there"),
        (
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat"
            " and exp values",
            "set the clock of this machine",
        ),
    ],
)
@pytest.mark.usefixtures("key")
def test_no_token(
    setup_of: SetupOf, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, error: str, remedy: str
) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": error}).encode()
    monkeypatch.setattr(simulator.credentials, "refusal", (400, body))
    found = fault(online(setup_of(**INJECTING, vertex_endpoint=simulator.url)))
    assert found.check == "token"
    assert found.message.startswith("default: Google gives no access token for the proxy's credentials: invalid_grant")
    assert found.remedy.startswith(remedy)


def test_hosts_that_are_not_there(setup_of: SetupOf, simulator: Simulator, home: Path) -> None:
    write_key(home, simulator.credentials.service_account("http://127.0.0.1:1/token"))
    found = fault(online(setup_of(**INJECTING, vertex_endpoint=simulator.url)))
    assert found.check == "token"
    assert found.remedy == SEE_ABOVE
    found = fault(online(setup_of(**EXPRESS, vertex_endpoint="http://127.0.0.1:1")))
    assert found == Finding("role", False, "default: it cannot be connected to", SEE_ABOVE)


@pytest.mark.parametrize(
    ("status", "ok", "remedy"),
    [
        (200, True, ""),
        (401, False, "copy the key of the service q again"),
        (404, True, "see that base_url ends as its documentation says, such as in /v1"),
        (500, False, "try again later"),
    ],
)
def test_an_api_like_openais(
    setup_of: SetupOf, host: Answering, monkeypatch: pytest.MonkeyPatch, status: int, ok: bool, remedy: str
) -> None:
    """It counts no tokens, but lists its models."""
    monkeypatch.setenv("Q_KEY", "sk-1234567890")
    host.status = status
    described = f"services: {{q: {{provider: openai, base_url: '{host.url}/v1', api_key_env: Q_KEY}}}}"
    (found,) = online(setup_of(yaml=described))
    assert (found.check, found.ok, found.remedy) == ("role", ok, remedy)
    assert host.asked == ["GET /v1/models"]
    assert host.headers[0]["authorization"] == "Bearer sk-1234567890"
    assert "sk-" not in str(found)


def test_nothing_to_ask(setup_of: SetupOf) -> None:
    (found,) = online(setup_of())
    assert (found.check, found.ok) == ("token", True)


@pytest.mark.usefixtures("key")
def test_the_project_is_not_known(setup_of: SetupOf, simulator: Simulator, home: Path, key: dict[str, Any]) -> None:
    write_key(home, {name: value for name, value in key.items() if name != "project_id"})
    *_, found = online(setup_of(**INJECTING, vertex_endpoint=simulator.url))
    assert (found.check, found.message) == ("role", "default: not asked, as its project is not known")


def test_credentials_go_to_google_over_tls_only(setup_of: SetupOf) -> None:
    (found,) = online(setup_of(**EXPRESS, mode="reverse:http://aiplatform.googleapis.com"))
    assert found.message == "default: not asked, as its host may not have the credentials"


def test_models(setup_of: SetupOf) -> None:
    setup = setup_of(
        yaml="services: {a: {}, b: {}}\n"
        "routes:\n"
        "  - {model: gemini-2.5-pro, service: a}\n"
        "  - {model: claude-opus-4, service: a}\n"
        "  - {model: gemini-3-pro, service: b}\n"
        "  - {model: 'gem*', service: b}\n"
        "models: [gemini-2.5-flash, gemini-3-pro]\n"
    )
    a, b = setup.services["a"], setup.services["b"]
    assert models_of(setup, a) == ["gemini-2.5-pro"]
    assert models_of(setup, b) == ["gemini-3-pro", "gemini-2.5-flash"]
    assert models_of(setup_of(), a) == []


def test_models_that_a_route_names_for_a_service(setup_of: SetupOf) -> None:
    """A service is asked for what it would be asked for in a call, whatever the client calls it."""
    setup = setup_of(
        yaml="services: {a: {}, b: {}}\n"
        "routes:\n"
        "  - {model: gpt-4o, service: a, as: gemini-2.5-pro, fallback: [{service: b, as: gemini-2.5-flash}]}\n"
        "  - {model: 'my-*', service: b, as: gemini-3-pro}\n"
        "  - {model: 'gemini*', surface: openai, service: a}\n"
        "  - {model: gemini-1, service: a, fallback: [b]}\n"
        "models: [my-model, gemini-2, gemini-1]\n"
    )
    assert models_of(setup, setup.services["a"]) == ["gemini-2.5-pro", "gemini-1", "gemini-2"]
    assert models_of(setup, setup.services["b"]) == ["gemini-2.5-flash", "gemini-3-pro", "gemini-1"]
    # No call comes to a default that nothing describes.
    assert "default" not in setup.services
