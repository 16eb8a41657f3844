"""What is known of the price of a model, as rows for people: one for each rate."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from decimal import Decimal

from metering.prices.file import Price
from metering.prices.rates import ANY

Row = dict[str, object]

COLUMNS = ("model", "publisher", "kind", "tier", "above", "usd", "per", "since", "checked", "source")


def rows(prices: Iterable[Price]) -> Iterator[Row]:
    """One row for each rate: `kind` is what is billed, such as `input` or `image 2k`, `above` the number of input
    tokens from which on the rate holds, `per` the unit. Factors for endpoints have the unit `times`."""
    for price in prices:
        told: Row = {
            "model": ", ".join(price.model),
            "publisher": price.publisher,
            "since": str(price.since) if price.since else None,
            "checked": str(price.checked) if price.checked else None,
            "source": price.source or None,
        }
        for kind, tier, above, usd, per in _rates(price):
            rate: Row = {"kind": kind, "tier": tier, "above": above, "usd": float(usd), "per": per}
            yield {name: (told | rate)[name] for name in COLUMNS}


def texts(prices: Iterable[Price]) -> Iterator[list[str]]:
    """`rows` as texts, in the order of the columns."""
    for row in rows(prices):
        yield [
            "-" if row[name] is None else f"{row[name]:,}" if name == "above" else str(row[name]) for name in COLUMNS
        ]


def apart(rows: list[list[str]]) -> tuple[list[str], list[str], list[list[str]]]:
    """The `texts` of several rows, with what is the same in all of them taken out: lines such as `model:
    gemini-2.5-pro`, the headings of the other columns, and their texts."""
    same = [name for at, name in enumerate(COLUMNS) if len(rows) > 1 and len({row[at] for row in rows}) == 1]
    lines = [f"{name}: {rows[0][COLUMNS.index(name)]}" for name in same if rows[0][COLUMNS.index(name)] != "-"]
    kept = [at for at, name in enumerate(COLUMNS) if name not in same]
    return lines, [COLUMNS[at] for at in kept], [[row[at] for at in kept] for row in rows]


Rate = tuple[str, str | None, int, Decimal, str]


def _rates(price: Price) -> Iterator[Rate]:
    for tier in ("standard", *price.tiers):
        for context in (0, *sorted(price.tokens.above)):
            for kind, usd in price.rates(tier, context, "global", ANY).tokens.items():
                yield kind, tier, context, usd, "million tokens"
    for region, factor in price.uplift.items():
        yield region, None, 0, factor, "times"
    for unit, usds in (("image", price.per_image), ("video_second", price.per_video_second)):
        yield from _variants(unit, usds)
    for unit in ("item", "search_query", "search_prompt"):
        if (usd := getattr(price, f"per_{unit}")) is not None:
            yield unit, None, 0, usd, unit.replace("_", " ")


def _variants(unit: str, usds: Mapping[str, Decimal]) -> Iterator[Rate]:
    for variant, usd in usds.items():
        kind = unit if variant == ANY else f"{unit} {variant}"
        yield kind, None, 0, usd, unit.replace("_", " ")
