"""Most of what is read is tested with the checks that look at it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from addons.launch import new_master
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import files_in


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
