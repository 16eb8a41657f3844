from pathlib import Path

import pytest

from addons.configuration.identity import read_key
from tests.configuration import write_key


def test_a_key(tmp_path: Path, info: dict[str, str]) -> None:
    key = read_key(write_key(tmp_path, info))
    assert key.project == "test-project"
    assert "PRIVATE KEY" not in repr(key)


@pytest.mark.parametrize(
    ("change", "help"),
    [
        ({"private_key": None, "client_email": ""}, "lacks client_email, private_key"),
        ({"token_uri": 5}, "lacks token_uri"),
        ({"type": "authorized_user"}, "is not the key of a service account; set vertex_auth=adc"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"}, "is not usable"),
    ],
)
def test_keys_that_are_none(tmp_path: Path, info: dict[str, str], change: dict[str, str], help: str) -> None:
    with pytest.raises(ValueError, match=help) as told:
        read_key(write_key(tmp_path, info | change))
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "help"),
    [
        ('{"private_key": "secret",', r"is not JSON \(line 1, column \d+\)"),
        ("[]", "is not a JSON object"),
        ("\udcff", "is not JSON"),
    ],
)
def test_files_that_are_no_keys(tmp_path: Path, content: str, help: str) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=help) as told:
        read_key(file)
    assert "secret" not in str(told.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be read \(No such file or directory\)"):
        read_key(tmp_path / "key.json")
