from pathlib import Path

from tests.addons.doctor.conftest import SetupOf
from tests.configuration import write_key
from tests.vertex_simulator import Simulator


def test_what_is_valid_is_used_beside_problems(setup_of: SetupOf, simulator: Simulator, home: Path) -> None:
    write_key(home, simulator.credentials.service_account(simulator.token_uri))
    setup = setup_of(
        "usage_tags=a b",
        yaml="services:\n"
        "  good: {auth: service_account, credentials: key.json, location: eu}\n"
        "  bad: {auth: nothing, location: us}\n"
        "  keyless: {auth: service_account, location: us-east1}\n"
        "  api: {provider: openai, base_url: 'https://api.example/v1', api_key_env: NONE}\n"
        "  nowhere: {provider: openai}\n"
        "routes: [{service: good, model: a}, {service: bad}, {service: bad, surface: b}]\n"
        "aliases: {a: b}\n"
        "models: [c, d e]\n",
        openai_endpoint="https://llm.example/v1",
    )
    assert len(setup.problems) == 7
    assert {name: service.location for name, service in setup.services.items()} == {
        "default": "global",
        "good": "eu",
        "bad": "us",
        "keyless": "us-east1",
        "api": "global",
    }
    assert setup.incomplete == {"bad", "keyless", "api", "nowhere"}
    assert {name for name, service in setup.services.items() if service.injects} == {"good"}
    assert setup.services["api"].base_url == ("https", "api.example", 443, "/v1")
    assert [route.model for route in setup.routes] == ["a", None]
    assert setup.settings.openai_endpoint.host == "llm.example"
    assert [*setup.models] == ["c", "d e", "b"]


def test_options_that_need_each_other(setup_of: SetupOf) -> None:
    """Without the key, the service that needs it has none; what else is set stays."""
    setup = setup_of(vertex_auth="express", openai_mode="compatible", usage_tags="x-team")
    assert setup.incomplete == {"default"}
    assert (setup.services["default"].auth, setup.settings.usage_tags) == ("passthrough", ("x-team",))
