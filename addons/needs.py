"""What a call may use of the budgets of its client."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

from addons.configuration.services import Candidate
from addons.exchange import Exchange
from addons.translation.errors import InvalidRequest
from addons.translation.publishers import model_of
from metering.allowance import Allowance
from metering.allowance import Unit
from metering.budgets import picodollars
from metering.call import Call
from metering.call_cost import call_cost
from metering.estimate import Estimate
from metering.prices.catalog import Catalog
from metering.sliding_sum import Need


class Unpriced(Exception):
    """The cost of a call is limited, but its model has no known price. The message is the name of the model."""


class Model(NamedTuple):
    """A model, as prices and rows name it."""

    name: str | None
    publisher: str | None


def meant(exchange: Exchange, candidate: Candidate | None) -> Model:
    """The model that a service is asked for."""
    call, gateway = exchange.call, exchange.configuration.gateway
    served_as = candidate.model if candidate else None
    if call.model is None or (call.publisher and not served_as):
        return Model(call.model, call.publisher)
    named = served_as or gateway.named(call.model)
    service = gateway.services[candidate.service] if candidate else exchange.service
    if service and service.provider == "openai":
        return Model(named, None)
    try:
        served = model_of(named)
    except InvalidRequest:
        return Model(named, None)
    return Model(served.name, served.publisher or "google")


def needs_of(
    exchange: Exchange, allowances: Sequence[Allowance], told: Estimate | None, usual: Callable[[str | None], int]
) -> Iterator[Need]:
    """What a call may use of each budget, given what its request tells. `usual` tells how long the answers of a model
    usually are. If several services may answer, it is what the one may use that needs most. Raises Unpriced."""
    models = [meant(exchange, candidate) for candidate in exchange.candidates or (exchange.candidate,)]
    catalog = exchange.configuration.settings.usage_prices
    outputs: list[int] = []
    if told:
        outputs = [usual(one.name) * told.answers if told.output is None else told.output for one in models]
    for allowance in allowances:
        if allowance.unit is Unit.COST and not has_price(exchange, exchange.candidate):
            raise Unpriced(models[0].name)
        if not told:
            yield Need(allowance, None)
        elif allowance.unit is Unit.TOKENS:
            yield Need(allowance, told.input + max(outputs))
        else:
            costs = [_cost(exchange.call, *one, catalog, told.input) for one in zip(models, outputs, strict=True)]
            yield Need(allowance, max((cost for cost in costs if cost is not None), default=None))


def has_price(exchange: Exchange, candidate: Candidate | None) -> bool:
    """Whether the price of the model that a service is asked for is known, or a call asks for no model."""
    model, catalog = meant(exchange, candidate), exchange.configuration.settings.usage_prices
    if not model.name:
        return True
    return catalog.price((model.name,), model.publisher or "", exchange.call.started_at) is not None


def _cost(call: Call, model: Model, output: int, catalog: Catalog, input: int) -> int | None:
    """The cost of so many tokens; None if the model is not billed by tokens."""
    imagined = Call(
        started_at=call.started_at,
        model=model.name,
        publisher=model.publisher,
        location=call.location,
        input_tokens=input,
        output_tokens=output,
    )
    usd = call_cost(imagined, catalog)
    return None if usd is None else picodollars(usd)
