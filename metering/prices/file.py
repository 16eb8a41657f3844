"""Price files: their schema and their checks. The format is described in `docs/prices.md`.

`metering/yaml_document.py` parses a file, and the pydantic models of this module validate it. An invalid file is
refused with all of its problems, each with its line.
"""

from collections.abc import Mapping
from datetime import UTC
from datetime import date
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Annotated
from typing import Literal
from typing import cast

from pydantic import AfterValidator
from pydantic import BaseModel
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError
from pydantic import model_validator
from pydantic_core import ErrorDetails

from metering import wording
from metering import yaml_document
from metering.prices.rates import ANY
from metering.prices.rates import Rates
from metering.rollup import BANDS
from metering.yaml_document import Problem


class PriceError(Exception):
    """A price file that cannot be used. The message names all of its problems."""


# Single values


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _by_variant(value: object) -> object:
    return value if isinstance(value, Mapping) else {ANY: value}


def _times(value: object) -> object:
    return value if isinstance(value, Mapping | Tier) else {"times": value}


def _band(tokens: int) -> int:
    if tokens not in BANDS:
        raise ValueError(f"the sums of the ledger know these limits only: {', '.join(map(str, sorted(BANDS)))}")
    return tokens


_Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
_ByVariant = Annotated[dict[str, _Usd], BeforeValidator(_by_variant)]
_Band = Annotated[int, AfterValidator(_band)]


# Schema


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tokens(_Section):
    """USD per million tokens, by kind. A kind that is left out costs what it is part of (`rates.PART_OF`)."""

    input: _Usd | None = None
    input_image: _Usd | None = None
    input_document: _Usd | None = None
    input_audio: _Usd | None = None
    input_video: _Usd | None = None
    cached: _Usd | None = None
    cached_audio: _Usd | None = None
    cache_write: _Usd | None = None
    cache_write_1h: _Usd | None = None
    output: _Usd | None = None
    output_image: _Usd | None = None
    output_audio: _Usd | None = None
    output_video: _Usd | None = None

    @cached_property
    def told(self) -> dict[str, Decimal]:
        """The kinds that have a rate."""
        return {name: rate for name in Tokens.model_fields if (rate := getattr(self, name)) is not None}


class AllTokens(Tokens):
    """Rates of tokens, and those of calls with long inputs."""

    above: dict[_Band, Tokens] = {}
    """Number of input tokens -> rates of all tokens of calls with more input."""

    def at(self, context: int) -> dict[str, Decimal]:
        """The rates of calls whose input exceeds `context` tokens (and no larger limit)."""
        rates = self.told
        for limit in sorted(self.above):
            if limit <= context:
                rates = rates | self.above[limit].told
        return rates


class Tier(AllTokens):
    """A tier: the standard rates times `times`, except for those that are given."""

    times: _Usd = Decimal(1)


TierName = Literal["flex", "priority", "batch", "provisioned", "offpeak", "deferred"]
RegionName = Literal["regional", "multi-regional"]


class Price(_Section):
    """An entry of `prices`: what one or more models cost from one day on."""

    model: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several)]
    """Names as in the ledger; `*` stands for any text."""
    publisher: str | None = None
    since: date | None = None
    """The first day (UTC) on which it applies; None for always."""
    checked: date | None = None
    """When the rates were read at `source`."""
    source: str = ""
    tokens: AllTokens = AllTokens()
    tiers: dict[TierName, Annotated[Tier, BeforeValidator(_times)]] = {}
    uplift: dict[RegionName, _Usd] = {}
    """Factors for tokens of calls to endpoints that are not global."""
    per_image: _ByVariant = {}
    per_video_second: _ByVariant = {}
    per_item: _Usd | None = None
    """A page that was read, an embedded item, a request of a batch job: `input_items` of the ledger."""
    per_search_query: _Usd | None = None
    per_search_prompt: _Usd | None = None

    @model_validator(mode="after")
    def _has_rates(self) -> "Price":
        names = ("per_image", "per_video_second", "per_item", "per_search_query", "per_search_prompt")
        if not self.tokens.told and all(getattr(self, name) in (None, {}) for name in names):
            raise ValueError("has no rate; write tokens, per_image, per_video_second or per_item")
        return self

    @cached_property
    def starts_at(self) -> int:
        """`since` in microseconds since the epoch; 0 for always."""
        if self.since is None:
            return 0
        return int(datetime(self.since.year, self.since.month, self.since.day, tzinfo=UTC).timestamp()) * 1_000_000

    def rates(self, tier: str, context: int, region: str, variant: str) -> Rates:
        """The rates of a price class (the columns of the rollup)."""
        tokens = self._tokens(tier, context)
        factor = cast("Mapping[str, Decimal]", self.uplift).get(region)
        image, second = (_of_variant(rates, variant) for rates in (self.per_image, self.per_video_second))
        return Rates(
            {kind: rate * factor for kind, rate in tokens.items()} if factor is not None else tokens,
            image,
            second,
            self.per_item,
            self.per_search_query,
            self.per_search_prompt,
            unknown=bool(self.tokens.told and not tokens)
            or bool(self.per_image and image is None)
            or bool(self.per_video_second and second is None),
        )

    def _tokens(self, tier: str, context: int) -> dict[str, Decimal]:
        standard = self.tokens.at(context)
        if tier == "standard":
            return standard
        described = cast("Mapping[str, Tier]", self.tiers).get(tier)
        if described is None:
            return {}
        return {kind: rate * described.times for kind, rate in standard.items()} | described.at(context)


def _of_variant(rates: Mapping[str, Decimal], variant: str) -> Decimal | None:
    return rates.get(variant, rates.get(ANY))


class PriceList(_Section):
    """The whole file."""

    prices: tuple[Price, ...]


# Reading


def read(path: Path) -> tuple[Price, ...]:
    """Read and validate a price file. Raises PriceError."""
    try:
        content = path.expanduser().read_bytes()
    except RuntimeError:
        raise PriceError(f"{path} names a home directory that does not exist; write another path") from None
    except OSError as e:
        raise PriceError(f"{path} cannot be read ({e.strerror}); name a YAML file") from e
    document = yaml_document.parse(content)
    problems = document.problems
    prices: tuple[Price, ...] = ()
    if document.data is not None:
        try:
            prices = PriceList.model_validate(document.data).prices
        except ValidationError as e:
            problems += [Problem(document.line(error["loc"]), error["loc"], _explain(error)) for error in e.errors()]
    if problems:
        raise PriceError("; ".join(problem.message(path) for problem in sorted(problems, key=itemgetter(0))))
    return prices


_SECTIONS: dict[object, type[_Section]] = {"tokens": AllTokens, "above": Tokens, "tiers": Tier}


def _explain(error: ErrorDetails) -> str:
    """A pydantic error as a message that says what to write instead."""
    if error["type"] in ("decimal_parsing", "decimal_type", "greater_than_equal", "finite_number", "int_parsing"):
        return "write a number such as 0.30, in US dollars" if error["type"] != "int_parsing" else "write a number"
    if error["type"].startswith("date"):
        return "write a date such as 2026-11-28"
    if error["type"] != "extra_forbidden":
        return wording.explain(error)
    *above, name = error["loc"]
    inside = [step for step in above if step in _SECTIONS]
    section = _SECTIONS[inside[-1]] if inside else Price if above else PriceList
    return f"there is no such key{wording.suggestion(str(name), section.model_fields)}"
