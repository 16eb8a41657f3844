import json
from collections.abc import Callable
from pathlib import Path

import pytest

from addons.configuration.identity import DefaultCredentials
from addons.configuration.identity import Identity
from addons.configuration.identity import KeyFile
from addons.configuration.identity import KeyVariable
from tests.configuration import write_key


def in_file(folder: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> Identity:
    return KeyFile(write_key(folder, content)).read()


def in_variable(folder: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> Identity:
    monkeypatch.setenv("A_KEY", write_key(folder, content).read_bytes().decode("utf-8", "surrogateescape"))
    return KeyVariable("A_KEY").read()


def of_machine(folder: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> Identity:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(folder, content)))
    return DefaultCredentials().read()


Place = Callable[[Path, pytest.MonkeyPatch, object], Identity]
PLACES: tuple[Place, ...] = (in_file, in_variable, of_machine)
WRONG = [
    ("[]", "is not a JSON object"),
    ('{"private_key": "secret",', r"is not JSON \(line 1, column \d+\)"),
    ("[" * 100_000, "is not JSON; "),
    ({"private_key": None, "client_email": ""}, "lacks client_email, private_key"),
    ({"token_uri": 5}, "lacks token_uri"),
    ({"token_uri": "oauth2.googleapis.com/token"}, "its token_uri is not the URL of a server"),
    ({"token_uri": "https://[::1/token"}, "its token_uri is not the URL of a server"),
    ({"type": "authorized_user"}, "is not the key of a service account; write adc"),
    ({"project_id": "../x"}, "its project_id is not valid"),
    ({"private_key": "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"}, "is not usable"),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_key(
    place: Callable[[Path, pytest.MonkeyPatch, object], Identity],
    tmp_path: Path,
    info: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = place(tmp_path, monkeypatch, info)
    assert key.project == "test-project"
    assert getattr(key.credentials, "service_account_email", None) == info["client_email"]
    assert "PRIVATE KEY" not in repr(key)
    # Read again, it is the same: spaces and the order of its members say nothing. Another one is another one.
    assert key.origin.read() == key
    assert place(tmp_path, monkeypatch, info | {"client_email": "other@test-project.iam.gserviceaccount.com"}) != key
    if place is not of_machine:
        assert place(tmp_path, monkeypatch, json.dumps(dict(reversed(info.items())), indent=4)) == key


@pytest.mark.parametrize(("content", "problem"), WRONG, ids=[problem for _, problem in WRONG])
@pytest.mark.parametrize("place", [in_file, in_variable])
def test_what_is_no_key(
    place: Callable[[Path, pytest.MonkeyPatch, object], Identity],
    tmp_path: Path,
    info: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    content: str | dict[str, object],
    problem: str,
) -> None:
    with pytest.raises(ValueError, match=problem) as told:
        place(tmp_path, monkeypatch, content if isinstance(content, str) else {**info, **content})
    assert "secret" not in str(told.value)


def test_bytes_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(b"\xff")
    monkeypatch.setenv("A_KEY", "\udcff")
    for origin in (KeyFile(file), KeyVariable("A_KEY")):
        with pytest.raises(ValueError, match="is not JSON"):
            origin.read()


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"cannot be read \(No such file or directory\)"):
        KeyFile(tmp_path / "key.json").read()
    monkeypatch.setenv("EMPTY", "")
    for name in ("EMPTY", "AIzaSecret"):
        with pytest.raises(ValueError, match="no such variable, or it is empty") as told:
            KeyVariable(name).read()
        assert name not in str(told.value) + repr(KeyVariable(name))


def test_other_places_are_other_credentials(
    tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the same key: it would be read again somewhere else."""
    found = [place(tmp_path, monkeypatch, info) for place in PLACES]
    assert not [(one, other) for one in found for other in found if one is not other and one == other]
