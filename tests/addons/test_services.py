import json
from pathlib import Path

import pytest

from addons import services
from addons.options import read
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
    service = services.from_settings(read(DEFAULTS | given, []))
    assert (service.project, service.location, service.injects, service.rewrites) == (
        "test-project",
        "global",
        True,
        False,
    )
    assert getattr(service.credentials, "service_account_email", None) == info["client_email"]
    named = services.from_settings(read(DEFAULTS | given | {"vertex_project": "other-project"}, []))
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
    service = services.from_settings(settings)
    assert (service.project, service.injects) == ("test-project", True)
