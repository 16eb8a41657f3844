from pathlib import Path
from typing import Any

import pytest

from addons.doctor.places import places
from tests.addons.doctor.conftest import SetupOf
from tests.configuration import write_key
from tests.vertex_simulator import Simulator


def of(setup_of: SetupOf, *texts: str, **options: Any) -> dict[str, str]:
    found = places(setup_of(*texts, **options))
    return {f"{place.at.scheme}://{place.host}:{place.at.port}": place.named_in for place in found}


def test_by_default(setup_of: SetupOf) -> None:
    assert of(setup_of) == {"https://aiplatform.googleapis.com:443": "vertex_location"}


def test_of_a_location(setup_of: SetupOf) -> None:
    location = {"openai_mode": "convert", "vertex_project": "my-project", "vertex_location": "europe-west4"}
    assert of(setup_of, **location) == {"https://europe-west4-aiplatform.googleapis.com:443": "vertex_location"}


def test_of_a_target_and_endpoints(setup_of: SetupOf) -> None:
    found = of(setup_of, mode="reverse:https://own.example", openai_endpoint="https://llm.example/v1")
    assert found == {"https://own.example:443": "mode", "https://llm.example:443": "openai_endpoint"}
    found = of(setup_of, vertex_endpoint="http://127.0.0.1:8090")
    assert found == {"http://127.0.0.1:8090": "vertex_endpoint"}


def test_of_services(setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Q_KEY", "sk-1234567890")
    found = of(
        setup_of,
        yaml="services:\n"
        "  eu: {location: eu}\n"
        "  q: {provider: openai, base_url: 'https://llm.example:8443/v1', api_key_env: Q_KEY}\n",
    )
    assert found == {
        "https://aiplatform.googleapis.com:443": "vertex_location",
        "https://aiplatform.eu.rep.googleapis.com:443": "location of the service eu in gateway.yaml",
        "https://llm.example:8443": "base_url of the service q in gateway.yaml",
    }


def test_of_the_store_of_limits(setup_of: SetupOf) -> None:
    yaml = "limits: {{storage: '{}'}}\nmodels: {}"
    for url, models, named in (
        ("redis://:secret@store.example", "[]", "redis://store.example:6379"),
        ("valkeys://store.example:7000/1", "[]", "rediss://store.example:7000"),
        # Beside a problem of something else too.
        ("redis://store.example", "1", "redis://store.example:6379"),
    ):
        found = of(setup_of, yaml=yaml.format(url, models))
        assert found.pop(named) == "limits.storage in gateway.yaml"
        assert [*found.values()] == ["vertex_location"]


def test_of_a_file_without_a_default(setup_of: SetupOf) -> None:
    """No call comes to a service `default` that nothing describes."""
    yaml = "services: {q: {provider: openai, base_url: 'https://llm.example/v1'}}\nroutes: [{service: q}]"
    assert of(setup_of, yaml=yaml) == {"https://llm.example:443": "base_url of the service q in gateway.yaml"}


def test_where_tokens_come_from(
    setup_of: SetupOf, simulator: Simulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for as google-auth does, through the proxy that variables name."""
    write_key(home, simulator.credentials.service_account("https://oauth2.googleapis.com/token"))
    injecting = {"vertex_auth": "service_account", "vertex_credentials": "key.json"}
    named = "token_uri of the credentials of default"
    assert of(setup_of, **injecting)["https://oauth2.googleapis.com:443"] == named
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert of(setup_of, **injecting)["http://proxy.example:3128"] == "HTTPS_PROXY"
    assert "https://oauth2.googleapis.com:443" not in of(setup_of, **injecting)


def test_behind_another_proxy(setup_of: SetupOf) -> None:
    found = of(setup_of, mode="upstream:http://proxy.example:3128")
    assert found == {"http://proxy.example:3128": "mode"}
    assert of(setup_of, mode="regular") == {"https://aiplatform.googleapis.com:443": "vertex_location"}


def test_a_store_of_limits(setup_of: SetupOf) -> None:
    """Also where something else in the file is wrong. A store takes no requests of HTTP."""
    for more, url, at in (
        ("", "redis://user:secret@limits.example", "redis://limits.example:6379"),
        ("services: {a: {location: 5}}", "valkeys://limits.example:7000/1", "rediss://limits.example:7000"),
    ):
        setup = setup_of(yaml=f"limits: {{storage: '{url}'}}\n{more}")
        *_, place = places(setup)
        assert f"{place.at.scheme}://{place.host}:{place.at.port}" == at
        assert place.named_in == "limits.storage in gateway.yaml"
        assert [one.speaks_http for one in places(setup)] == [True, False]
        assert "secret" not in repr(place)


def test_a_proxy_that_is_none(
    setup_of: SetupOf, simulator: Simulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another check tells it."""
    write_key(home, simulator.credentials.service_account("https://oauth2.googleapis.com/token"))
    for url in ("http://[::1", "http://proxy.example:99999"):
        monkeypatch.setenv("HTTPS_PROXY", url)
        assert len(of(setup_of, vertex_auth="service_account", vertex_credentials="key.json")) == 1
