"""Most of what is read is tested with the checks that look at it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from addons.launch import new_master
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import files_in
from tests.configuration import write_key
from tests.vertex_simulator import Simulator


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


def test_nothing_is_written(setup_of: SetupOf, home: Path) -> None:
    setup_of(mode="regular", yaml="services: {a: {auth: service_account}}")
    assert [*files_in(home)] == [str(home / "gateway.yaml")]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "regular"},
        {"mode": "regular", "openai_mode": "convert"},
        {"mode": "regular", "gateway_config": "none.yaml"},
        {"vertex_auth": "express", "vertex_api_key": "AIzaX", "listen_host": "0.0.0.0"},
        {"vertex_auth": "service_account", "vertex_project": "A"},
        {"vertex_auth": "adc", "openai_endpoint": "x"},
        {"openai_mode": "compatible", "usage_prices": "none.yaml"},
        {"no_such_option": "a", "vertex_auth": "a", "usage_tags": "authorization"},
    ],
    ids=str,
)
def test_serve_finds_the_same_problems(setup_of: SetupOf, home: Path, options: dict[str, Any]) -> None:
    """And it starts where there are none."""
    problems = setup_of(**options).problems
    sets = tuple(f"{name}={value}" for name, value in (options | {"confdir": home}).items())

    async def start() -> None:
        master = new_master(sets, lambda opts: None, shows_log=False)
        master.addons.get("recorder").close()

    if not problems:
        asyncio.run(start())
        return
    with pytest.raises(SystemExit) as ended:
        asyncio.run(start())
    assert str(ended.value).split("\n  ")[1:] == problems


def test_what_is_valid_is_used_beside_problems(setup_of: SetupOf, simulator: Simulator, home: Path) -> None:
    write_key(home, simulator.credentials.service_account(simulator.token_uri))
    setup = setup_of(
        "usage_tags=a b",
        yaml="services:\n"
        "  good: {auth: service_account, credentials: key.json, location: eu}\n"
        "  bad: {auth: nothing}\n"
        "routes: [{service: good, model: a}, {service: bad, surface: b}]\n"
        "aliases: {a: b}\n"
        "models: [c, d e]\n",
        openai_endpoint="https://llm.example/v1",
    )
    assert len(setup.problems) == 4
    assert {name: service.location for name, service in setup.services.items()} == {"default": "global", "good": "eu"}
    assert [route.model for route in setup.routes] == ["a"]
    assert setup.settings.openai_endpoint.host == "llm.example"
    assert [*setup.models] == ["c", "d e", "b"]
