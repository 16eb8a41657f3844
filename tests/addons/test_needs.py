from pathlib import Path

import pytest

from addons.configuration.services import Candidate
from addons.needs import Model
from addons.needs import Unpriced
from addons.needs import has_price
from addons.needs import meant
from addons.needs import needs_of
from metering.allowance import Unit
from metering.allowance import allowance
from metering.estimate import Estimate
from tests.addons.routed import Routed
from tests.addons.routed import said

TOKENS = allowance(Unit.TOKENS, "1000/day")
COST = allowance(Unit.COST, "20/day")
NATIVE = "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent"
PRICES = """
prices:
  - {model: gemini-2.5-flash, publisher: google, tokens: {input: 2, output: 8}, checked: 2026-01-01, source: made up}
  - {model: cheap, publisher: google, tokens: {input: 1, output: 2}, checked: 2026-01-01, source: made up}
  - {model: picture, per_image: 0.5, checked: 2026-01-01, source: made up}
"""


def routed(folder: Path, path: str, model: str | None) -> Routed:
    (folder / "prices.yaml").write_text(PRICES)
    made = Routed(folder, "POST", path, usage_prices=str(folder / "prices.yaml"))
    made.complete(said(model))
    if model:
        made.exchange.learn(model=model)
    return made


def needs(folder: Path, told: Estimate | None, path: str = NATIVE, model: str | None = None) -> list[int | None]:
    exchange = routed(folder, path, model).exchange
    found = [*needs_of(exchange, [TOKENS, COST], told, lambda model: {"gemini-2.5-flash": 100}.get(model or "", 7))]
    assert [need.allowance for need in found] == [TOKENS, COST]
    return [need.amount for need in found]


def test_tokens_and_their_cost(tmp_path: Path) -> None:
    # In picodollars, of which a token of input costs two millions here.
    assert needs(tmp_path, Estimate(10, 5)) == [15, (10 * 2 + 5 * 8) * 10**6]
    assert needs(tmp_path, Estimate(10, 0)) == [10, 10 * 2 * 10**6]


def test_answers_of_unknown_length_are_as_long_as_others(tmp_path: Path) -> None:
    assert needs(tmp_path, Estimate(10, None, 3)) == [310, (10 * 2 + 300 * 8) * 10**6]


def test_what_is_not_known_before_its_answer(tmp_path: Path) -> None:
    assert needs(tmp_path, None) == [None, None]
    # Its price is that of a picture.
    assert needs(tmp_path, Estimate(10, 5), "/v1/chat/completions", "picture") == [15, None]


def test_a_model_without_a_price(tmp_path: Path) -> None:
    for told in (Estimate(10, 5), None):
        with pytest.raises(Unpriced, match=r"^unheard-of$"):
            needs(tmp_path, told, "/v1/chat/completions", "unheard-of")
    exchange = routed(tmp_path, "/v1/chat/completions", "unheard-of").exchange
    assert [need.amount for need in needs_of(exchange, [TOKENS], Estimate(1, 2), lambda model: 0)] == [3]


def test_the_dearest_of_several_services(tmp_path: Path) -> None:
    exchange = routed(tmp_path, "/v1/chat/completions", "cheap").exchange
    exchange.candidates = (Candidate("prod", "cheap"), Candidate("prod", "gemini-2.5-flash"), Candidate("qwen", "qwen"))
    exchange.candidate = exchange.candidates[0]
    usual = {"cheap": 3, "gemini-2.5-flash": 5, "qwen": 7}
    found = [need.amount for need in needs_of(exchange, [TOKENS, COST], Estimate(10, None), lambda m: usual[m or ""])]
    assert found == [17, (10 * 2 + 5 * 8) * 10**6]
    assert [has_price(exchange, one) for one in exchange.candidates] == [True, True, False]


def test_a_call_that_names_no_model(tmp_path: Path) -> None:
    assert needs(tmp_path, None, "/v1/realtime") == [None, None]


MEANT = {
    "gemini-2.5-flash": Model("gemini-2.5-flash", "google"),
    "google/gemini-2.5-flash": Model("gemini-2.5-flash", "google"),
    "claude-sonnet-4-5": Model("claude-sonnet-4-5", "anthropic"),
    "meta/llama-4-scout-maas": Model("llama-4-scout-maas", "meta"),
    "qwen-max": Model("qwen-max", None),
    "not a model": Model("not a model", None),
}


def test_whose_model_is_meant(tmp_path: Path) -> None:
    found = {}
    for model in MEANT:
        exchange = routed(tmp_path, "/v1/chat/completions", model).exchange
        found[model] = meant(exchange, exchange.candidate)
    assert found == MEANT
    exchange = routed(tmp_path, NATIVE, None).exchange
    assert meant(exchange, exchange.candidate) == Model("gemini-2.5-flash", "google")
