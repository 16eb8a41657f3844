from pathlib import Path

import pytest

from addons.configuration.settings import OPTIONS
from addons.option_values import HIDDEN
from addons.option_values import option_values
from addons.option_values import unknown_options


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("VERTEX_API_KEY", "OPENAI_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".mitmproxy").mkdir()
    return tmp_path


def configure(home: Path, text: str, name: str = "config.yaml") -> Path:
    file = home / ".mitmproxy" / name
    file.write_text(text)
    return file


def values() -> dict[str, tuple[str, str]]:
    return {one.name: (one.value, one.origin) for one in option_values()}


def test_defaults() -> None:
    assert [one.name for one in option_values()] == [*OPTIONS]
    assert values()["usage_db"] == ("usage.db", "default")
    assert values()["vertex_api_key"] == ("", "default")


def test_mitmproxys_configuration(home: Path) -> None:
    file = configure(home, "listen_port: 9090\nusage_db: other.db\nvertex_api_key: AIzaSecret\nopenai_api_key: sk-a\n")
    found = values()
    assert found["usage_db"] == ("other.db", str(file))
    assert found["vertex_api_key"] == found["openai_api_key"] == (HIDDEN, str(file))
    assert "Secret" not in str(found)
    # The second file is read after the first.
    other = configure(home, "usage_db: third.db", "config.yml")
    assert values()["usage_db"] == ("third.db", str(other))


def test_the_environment_counts_where_the_proxy_reads_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEX_API_KEY", "AIzaSecret")
    assert values()["vertex_api_key"] == ("", "default")
    configure(home, "vertex_auth: express")
    assert values()["vertex_api_key"] == (HIDDEN, "VERTEX_API_KEY")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    configure(home, "vertex_auth: service_account")
    assert values()["vertex_credentials"] == ("key.json", "GOOGLE_APPLICATION_CREDENTIALS")


def test_a_key_in_the_wrong_place_is_not_shown(home: Path) -> None:
    configure(home, "vertex_project: sk-" + "a1" * 20)
    assert "a1a1" not in values()["vertex_project"][0]


def test_unknown_options(home: Path) -> None:
    configure(home, "vertex_prject: x\nview_order: time\n")
    assert unknown_options() == ["vertex_prject"]


def test_a_file_that_cannot_be_read(home: Path) -> None:
    configure(home, "a: [")
    with pytest.raises(ValueError, match=r"config\.yaml"):
        option_values()
