"""What a call may use of the budgets of its client."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

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


def meant(exchange: Exchange) -> Model:
    """The model that the first service is asked for."""
    call, candidate, gateway = exchange.call, exchange.candidate, exchange.configuration.gateway
    is_clients = candidate is None or candidate.model is None
    if call.model is None or (call.publisher and is_clients):
        return Model(call.model, call.publisher)
    named = exchange.real_name(call.model)
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
    usually are. Raises Unpriced."""
    model, catalog = meant(exchange), exchange.configuration.settings.usage_prices
    output = None
    if told:
        output = usual(model.name) * told.answers if told.output is None else told.output
    for allowance in allowances:
        if allowance.unit is Unit.COST and model.name and not _has_price(catalog, model, exchange.call.started_at):
            raise Unpriced(model.name)
        if told is None or output is None:
            yield Need(allowance, None)
        elif allowance.unit is Unit.TOKENS:
            yield Need(allowance, told.input + output)
        else:
            yield Need(allowance, _cost(exchange.call, model, catalog, told.input, output))


def _has_price(catalog: Catalog, model: Model, at: int) -> bool:
    return catalog.price((model.name or "",), model.publisher or "", at) is not None


def _cost(call: Call, model: Model, catalog: Catalog, input: int, output: int) -> int | None:
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
