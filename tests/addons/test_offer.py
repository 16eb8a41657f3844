"""What clients are told there is: lists of models, and the error for calls that no route takes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.offer import no_route
from tests.addons import guarded as g
from tests.addons.guarded import CHAT
from tests.addons.guarded import GEMINI
from tests.addons.guarded import MESSAGES
from tests.addons.guarded import NATIVE
from tests.addons.guarded import ask
from tests.addons.guarded import bearer
from tests.addons.guarded import message_of
from tests.addons.routed import Routed
from tests.addons.routed import said
from tests.conftest import StartProxy
from tests.http import Response
from tests.http import call
from tests.process import Proxy
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

ANTHROPIC = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def strict(
    simulator: Simulator, key_file: Path, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with clients, and no service for what no route takes."""
    folder = tmp_path_factory.mktemp("strict")
    sets, mode = g.options(simulator, key_file, folder), f"reverse:{simulator.url}"
    with Proxy(*sets, mode=mode, folder=folder, confdir=confdir, serve=True, env=g.KEYS | g.UPSTREAM) as proxy:
        yield proxy


def ids(answer: Response) -> list[str]:
    assert answer.status == 200, answer.body
    return [entry["id"] for entry in json.loads(answer.body)["data"]]


ALL = ["gemini-2.5-flash", "gemini-2.5-pro", "gpt-4o", "fast", "cheap"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (g.A, ALL),
        (g.FLASH, ["gemini-2.5-flash", "fast"]),
        (g.PRO, ["gemini-2.5-pro", "gpt-4o", "cheap"]),
        (g.SERVICE, ["cheap"]),
    ],
)
def test_models_of_the_configuration(strict: Proxy, key: str, expected: list[str]) -> None:
    strict.new_rows()
    answer = call(strict.url, "/v1/models", headers=bearer(key))
    assert ids(answer) == expected
    row = strict.new_row()
    assert (row["state"], row["status"], row["usage_state"], row["attempts"]) == ("done", 200, "not_applicable", 0)
    assert ids(call(strict.url, "/v1/models", headers=bearer(key) | ANTHROPIC)) == expected
    found = {id: call(strict.url, f"/v1/models/{id}", headers=bearer(key)).status for id in ALL}
    assert {id for id, status in found.items() if status != 403} == set(expected)


def test_models_of_a_service_are_filtered(guarded: Proxy) -> None:
    """Those of an upstream that a call is passed on to. The client sends its key in the header of ours."""

    def models(key: str, **more: Any) -> Response:
        return call(guarded.url, "/v1/models", headers=bearer(OPENAI_KEY) | {"x-vertex-tap-key": key}, **more)

    # Here this stands for gemini-2.5-pro.
    assert {key: ids(models(key)) for key in (g.A, g.PRO, g.FLASH)} == {g.A: ["gpt-4o"], g.PRO: ["gpt-4o"], g.FLASH: []}
    row = guarded.rows()[-1]
    assert (row["state"], row["status"], row["client"]) == ("done", 200, "flash")
    assert models(g.PRO, plan={"status": 500}).status == 500


def test_converted_lists_are_filtered(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, tmp_path: Path
) -> None:
    """Those of a service that Google is asked for: the tuned models of the project, and those of the file."""
    services, clients = g.SERVICES.format(key_file=key_file, url=simulator.url), g.CLIENTS.replace("[qwen]", "[prod]")
    routes = "routes: [{service: prod}]\nmodels: [gemini-2.5-flash, gemini-2.5-pro, gpt-4o, fast, cheap]\n"
    (tmp_path / "gateway.yaml").write_text(services + routes + clients)
    proxy = start_proxy(
        "gateway_config=gateway.yaml", mode=f"reverse:{simulator.url}", serve=True, env=g.KEYS | g.UPSTREAM
    )
    tuned = "1234567890"
    for headers in ({}, ANTHROPIC):
        before = len(simulator.seen)
        found = {
            key: ids(call(proxy.url, "/v1/models", headers=bearer(key) | headers)) for key in (g.A, g.FLASH, g.PRO)
        }
        assert len(simulator.seen) >= before + 3
        assert {"gemini-2.5-flash", "gemini-2.5-pro", tuned} <= set(found[g.A])
        assert (found[g.FLASH], found[g.PRO]) == (["gemini-2.5-flash", "fast"], ["gemini-2.5-pro"])
    # Google does not tell, so those of the file are left.
    told = {key: call(proxy.url, "/v1/models", headers=bearer(key), plan={"status": 403}) for key in (g.A, g.FLASH)}
    assert ids(told[g.A]) == ["gemini-2.5-flash", "gemini-2.5-pro", *ALL[2:]]
    assert ids(told[g.FLASH]) == ["gemini-2.5-flash", "fast"]


def test_googles_own_lists_are_filtered(guarded: Proxy) -> None:
    def models(key: str) -> list[str]:
        answer = call(guarded.url, "/v1beta1/publishers/google/models", headers={"x-vertex-tap-key": key})
        return [entry["name"] for entry in json.loads(answer.body)["publisherModels"]]

    some = models(g.FLASH)
    assert "publishers/google/models/gemini-2.5-flash" in some
    assert some == [name for name in models(g.A) if "/gemini-2.5-flash" in name]
    assert len(some) < len(models(g.A))


@pytest.mark.parametrize(
    ("path", "model", "dialect"),
    [
        (CHAT, "llama-4", {"type": "invalid_request_error", "code": "no_route"}),
        (MESSAGES, "llama-4", {"type": "not_found_error"}),
        (NATIVE, "llama-4", {"status": "NOT_FOUND"}),
        (GEMINI, "llama-4", {"status": "NOT_FOUND"}),
        ("/nobodys", "", {"status": "NOT_FOUND"}),
        ("/v1/files", "", {"code": "no_route"}),
    ],
)
def test_no_route(strict: Proxy, simulator: Simulator, path: str, model: str, dialect: dict[str, str]) -> None:
    strict.new_rows()
    before = len(simulator.seen)
    answer = ask(strict, path, model, bearer(g.A)) if model else call(strict.url, path, headers=bearer(g.A))
    error = json.loads(answer.body)["error"]
    assert (answer.status, error.items() >= dialect.items()) == (404, True), error
    row = strict.new_row()
    assert (row["state"], row["error_type"], row["client"]) == ("refused", "no_route", "team-a")
    assert row["model"] == (model or None)
    assert len(simulator.seen) == before
    for told in ("model qwen* to qwen", "base_path /own to own", "Models here: gemini-2.5-flash, gemini-2.5-pro"):
        assert told in error["message"]


def test_no_route_tells_a_client_what_it_may_use(strict: Proxy) -> None:
    told = message_of(ask(strict, CHAT, "llama-4", bearer(g.SERVICE)))
    assert "prod" not in told
    assert "Models here: cheap." in told
    told = message_of(ask(strict, CHAT, "llama-4", bearer(g.FLASH)))
    assert "Models that the client flash may use: gemini-2.5-flash*, fast." in told
    assert "gpt-4o" not in told
    # That is a route of another client.
    assert "model gemini* to qwen" not in told
    assert "model gemini* to qwen" in message_of(ask(strict, CHAT, "llama-4", bearer(g.ROUTED)))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_without_clients(tmp_path: Path, path: str) -> None:
    routed = Routed(tmp_path, "POST", path, has_default=False)
    routed.complete(said("llama-4"))
    exchange = routed.exchange
    assert (exchange.is_refused, exchange.refused_as) == (True, "no_route")
    assert "model gemini* to prod" in no_route(exchange).message
    taken = Routed(tmp_path, "POST", path, has_default=False)
    taken.complete(said("qwen-max"))
    assert taken.exchange.call.service == "qwen"
