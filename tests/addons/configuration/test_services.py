from pathlib import Path

import pytest

from addons.configuration.services import Candidate
from addons.configuration.services import Gateway
from addons.configuration.services import OpenAiMode
from addons.configuration.services import Service
from addons.configuration.services import ServiceRoute
from addons.configuration.values import Endpoint
from tests.configuration import email_of
from tests.configuration import gateway
from tests.configuration import write_key

FILE = """\
services:
  prod:     {provider: vertex, auth: service_account, credentials: ./key.json, location: us-central1, openai: convert}
  express:  {provider: vertex, auth: express, api_key_env: SOME_KEY}
  qwen:     {provider: openai, base_url: https://qwen.example/compatible/v1, api_key_env: SOME_KEY}
  open:     {provider: openai, base_url: "http://127.0.0.1:9000"}
routes:
  - {base_path: /gemini/, model: "gemini*", service: prod}
  - {publisher: "openai", model: "gpt-image*", service: qwen}
  - {surface: "vertex*", publisher: "*", service: express}
  - {model: "qwen*", service: qwen}
  - {base_path: "/team-?", service: open}
aliases: {gpt-4o: gemini-2.5-pro, my-gemini-ft: "1234567890", mine: 0123456789, gemini-2.5-pro: gemini-2.5-pro}
models: [gemini-2.5-flash, gemini-2.5-pro]
"""


@pytest.fixture
def described(tmp_path: Path, info: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Gateway:
    write_key(tmp_path, info)
    monkeypatch.setenv("SOME_KEY", "key-Secret")
    return gateway(tmp_path, FILE)


def test_services_of_a_file(described: Gateway, info: dict[str, str]) -> None:
    prod, express, qwen, unkeyed = (described.services[name] for name in ("prod", "express", "qwen", "open"))
    assert (prod.auth, prod.openai, prod.location, prod.project) == (
        "service_account",
        "convert",
        "us-central1",
        "test-project",
    )
    assert email_of(prod) == info["client_email"]
    assert (express.auth, express.openai, express.location) == ("express", "convert", "global")
    assert (express.api_key, express.tokens) == ("key-Secret", None)
    assert qwen.base_url == Endpoint("https", "qwen.example", 443, "/compatible/v1")
    assert (unkeyed.base_url, unkeyed.api_key) == (Endpoint("http", "127.0.0.1", 9000, ""), None)
    assert [one.injects for one in (prod, express, qwen, unkeyed)] == [True, True, True, False]
    assert [one.rewrites("openai") for one in (prod, express, qwen, unkeyed)] == [True, True, False, False]
    assert [one.rewrites("anthropic") for one in (prod, express, qwen, unkeyed)] == [True, True, False, False]
    assert described.injects
    assert "Secret" not in repr(described)
    assert "PRIVATE KEY" not in repr(described)


def test_the_rest_of_a_file(described: Gateway) -> None:
    assert described.base_paths == ("/gemini",)
    assert described.models == ("gemini-2.5-flash", "gemini-2.5-pro")
    assert [described.named(name) for name in ("gpt-4o", "my-gemini-ft", "mine", "gemini-2.5-pro", "other")] == [
        "gemini-2.5-pro",
        "1234567890",
        "0123456789",
        "gemini-2.5-pro",
        "other",
    ]
    assert described.default == Service("default")


@pytest.mark.parametrize(
    ("base_path", "surface", "publisher", "model", "service"),
    [
        ("/gemini", "openai", None, "gemini-2.5-pro", "prod"),
        ("", "openai", None, "gemini-2.5-pro", None),
        ("/gemini", "openai", None, "Gemini-2.5-pro", None),
        ("/gemini", "openai", None, None, None),
        ("", "vertex", "openai", "gpt-image-1", "qwen"),
        ("", "vertex", "openai", "gpt-5", "express"),
        ("", "vertex-openai", "meta", None, "express"),
        ("", "vertex", None, "1234", None),
        ("", "openai", None, "qwen3", "qwen"),
        ("/team-a", "openai", None, "qwen3", "qwen"),
        ("/team-a", "gemini", None, None, "open"),
        ("/team-ab", "gemini", None, None, None),
    ],
)
def test_the_first_route_that_matches(
    described: Gateway, base_path: str, surface: str, publisher: str | None, model: str | None, service: str | None
) -> None:
    found = described.route_for(base_path=base_path, surface=surface, publisher=publisher, model=model)
    assert (found and found.service) == service


def test_what_is_elsewhere() -> None:
    """Not another model of the same service."""
    route = ServiceRoute("a", served_as="m", fallback=(Candidate("a", "n"), Candidate("b")))
    assert [(one.service, one.is_elsewhere) for one in route.candidates] == [("a", False), ("a", False), ("b", True)]


@pytest.mark.parametrize(
    ("routes", "base_path", "surface", "may"),
    [
        ([], "", "openai", False),
        ([ServiceRoute("a", model="m*")], "", "openai", True),
        ([ServiceRoute("a", base_path="/x", model="m*")], "", "openai", False),
        ([ServiceRoute("a", base_path="/x", model="m*")], "/x", "openai", True),
        ([ServiceRoute("a", surface="vertex", publisher="p")], "", "openai", False),
        ([ServiceRoute("a", surface="vertex"), ServiceRoute("a", surface="open*")], "", "openai", True),
    ],
)
def test_whether_a_route_may_match(routes: list[ServiceRoute], base_path: str, surface: str, may: bool) -> None:
    assert Gateway({}, tuple(routes)).may_serve(base_path=base_path, surface=surface) is may


def test_a_gateway_keeps_what_it_was_made_of() -> None:
    services, aliases = {"default": Service("default")}, {"a": "b"}
    made = Gateway(services, aliases=aliases)
    services.clear()
    aliases["a"] = "c"
    assert (made.default, made.named("a")) == (Service("default"), "b")


@pytest.mark.parametrize(
    ("mode", "openai", "anthropic"),
    [("observe", False, False), ("compatible", True, False), ("convert", True, True)],
)
def test_which_calls_a_mode_rewrites(mode: OpenAiMode, openai: bool, anthropic: bool) -> None:
    service = Service("s", openai=mode)
    assert (service.rewrites("openai"), service.rewrites("anthropic")) == (openai, anthropic)
