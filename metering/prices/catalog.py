"""Where the price of a model is looked up: the user's price file, our own prices, those of genai-prices."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from functools import cached_property
from functools import lru_cache
from pathlib import Path

import yaml

from metering.prices import published
from metering.prices.file import Price
from metering.prices.file import PriceList
from metering.prices.file import read
from metering.prices.names import is_of

OWN = sorted((Path(__file__).parent / "data").glob("*.yaml"))
"""Our own prices, in the format of price files."""


@cache
def own() -> tuple[Price, ...]:
    """Our own prices."""
    # These files are known to be valid, so the parser that is written in C will do. It is ten times faster.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    return tuple(
        price for path in OWN for price in PriceList.model_validate(yaml.load(path.read_bytes(), Loader=loader)).prices
    )


@dataclass(frozen=True)
class Catalog:
    """All prices that are known. It never changes."""

    first: tuple[Price, ...] = ()
    """The user's price file, which goes before all others."""

    @classmethod
    def with_file(cls, path: Path | None) -> "Catalog":
        """A catalog with the prices of a file. Raises PriceError."""
        return cls(read(path) if path else ())

    def prepare(self) -> None:
        """Load all prices. Otherwise the first look-up does that, which takes a third of a second."""
        own()
        published.providers()

    def history(self, model: str, publisher: str = "") -> list[Price]:
        """The prices of a model, those that go before others first. Of one source these are what the first entry for
        the model says, and other entries of the same names (those of other days), the newest first."""
        found = [*_series(self.first, model, publisher)]
        found += _series(own(), model, publisher)
        if not found or found[-1].since:
            found += reversed(published.prices(model, publisher))
        return found

    def about(self, model: str | None) -> list[Price]:
        """The prices of a model of whatever publisher; without a model, the user's and our own."""
        listed = [*self.first, *own()]
        if model is None:
            return listed
        publishers = dict.fromkeys(("", *(price.publisher or "" for price in listed if is_named(price, model))))
        found = [price for publisher in publishers for price in self.history(model, publisher)]
        return [price for at, price in enumerate(found) if price not in found[:at]]

    def price(self, names: Iterable[str], publisher: str, at: int) -> Price | None:
        """The price at a time, in microseconds since the epoch, of the first of several names that has one."""
        for name in filter(None, names):
            for price in self._histories(name, publisher):
                if price.starts_at <= at:
                    return price
        return None

    def changes(self, names: Iterable[str] = (), publisher: str = "") -> set[int]:
        """The times at which prices change: all of the user's and our own, and those of some models."""
        listed = {price.starts_at for price in (*self.first, *own())}
        return listed | {price.starts_at for name in filter(None, names) for price in self._histories(name, publisher)}

    @cached_property
    def _histories(self) -> Callable[[str, str], list[Price]]:
        return lru_cache(maxsize=4096)(self.history)


def _series(prices: Iterable[Price], model: str, publisher: str) -> Iterator[Price]:
    matching = [price for price in prices if _is_for(price, model, publisher)]
    names = [(price.model, price.publisher) for price in matching]
    same = [price for price, name in zip(matching, names, strict=True) if name == names[0]]
    yield from sorted(same, key=lambda price: price.starts_at, reverse=True)


def _is_for(price: Price, model: str, publisher: str) -> bool:
    return price.publisher in (None, publisher) and is_named(price, model)


def is_named(price: Price, model: str) -> bool:
    """Whether a price is that of a model, whatever its publisher."""
    return any(is_of(model, name) for name in price.model)


EVERYONES = Catalog()
"""The prices that are known without a price file."""
