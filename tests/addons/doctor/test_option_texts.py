"""Problems with options are tested in test_options.py."""

from pathlib import Path

import pytest

from addons.doctor.options import options
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault


def test_where_options_come_from(setup_of: SetupOf, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--set goes before config.yml, that before config.yaml, that before the defaults."""
    (home / ".mitmproxy").mkdir()
    (home / ".mitmproxy" / "config.yaml").write_text(
        "usage_tags: x-a\nusage_db: a.db\nlisten_port: 1\ngateway_keep_content: true\nview_order: time\n"
    )
    (home / ".mitmproxy" / "config.yml").write_text("usage_db: b.db\nusage_tags: x-b\nlisten_port: 2\n")
    monkeypatch.setenv("VERTEX_API_KEY", "AIzaFromTheEnvironment")
    setup = setup_of("listen_port=3", vertex_auth="express", usage_tags="x-c")
    assert [*setup.problems] == []
    assert (setup.options.listen_port, setup.given["usage_db"]) == (3, "b.db")
    assert setup.settings.usage_tags == ("x-c",)
    assert setup.settings.gateway_keep_content
    assert setup.services["default"].api_key == "AIzaFromTheEnvironment"
    assert setup.options.mode == ["reverse:https://aiplatform.googleapis.com"]


def test_another_folder(setup_of: SetupOf, home: Path) -> None:
    (home / "config.yaml").write_text("usage_tags: x-a\n")
    assert setup_of(f"confdir={home}").settings.usage_tags == ("x-a",)


def test_a_value_of_another_type(setup_of: SetupOf, home: Path) -> None:
    (home / ".mitmproxy").mkdir()
    (home / ".mitmproxy" / "config.yaml").write_text("listen_port: many\n")
    assert fault(options(setup_of())).message.startswith("config.yaml: ")
