"""What clients may use: the member `limits` of a client in the YAML file, and the member `limits` of the file, which
says where use is counted.

No message quotes the URL of a store, which may have a password.
"""

import importlib.util
from dataclasses import dataclass
from dataclasses import field
from typing import Annotated
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field

from addons.configuration import values
from addons.configuration.section import Section
from metering.allowance import Allowance
from metering.allowance import Unit
from metering.allowance import allowance

SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
"""Scheme of a store's URL -> what the Redis client calls it. Valkey speaks the same protocol."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where use is counted."""

    url: str | None = field(default=None, repr=False)
    """That of a Redis or Valkey server, which several machines share. None: requests are counted in memory, tokens and
    cost in the ledger."""
    is_open_when_away: bool = False
    """Whether calls go on if their use cannot be counted."""


def _limit(unit: Unit) -> BeforeValidator:
    return BeforeValidator(lambda text: allowance(unit, values.text(text)))


def _url(text: str) -> str:
    wrong = "write the URL of a Redis or Valkey server, such as redis://127.0.0.1:6379/0"
    try:
        parts = urlsplit(text)
        is_url = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in SCHEMES or not is_url or not parts.path.removeprefix("/").isdecimal() | (parts.path in "/"):
        raise ValueError(wrong)
    if not importlib.util.find_spec("redis"):
        raise ValueError("needs the package redis, which is not installed; run: pip install 'vertex-tap[redis]'")
    url = parts._replace(scheme=SCHEMES[parts.scheme]).geturl()
    if parts.query and not _is_understood(url):
        raise ValueError("what follows the ? is nothing that the package redis understands; correct it")
    return url


def _is_understood(url: str) -> bool:
    """Whether the Redis client can use a URL. Nothing is sent."""
    # Few have a query, and the import takes long.
    from redis.asyncio import ConnectionPool
    from redis.exceptions import RedisError

    try:
        pool = ConnectionPool.from_url(url)
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, RedisError):
        return False
    return True


class DescribedLimits(Section):
    """The member `limits` of a client."""

    requests: Annotated[Allowance, _limit(Unit.REQUESTS)] | None = None
    tokens: Annotated[Allowance, _limit(Unit.TOKENS)] | None = None
    cost: Annotated[Allowance, _limit(Unit.COST)] | None = None

    @property
    def allowances(self) -> tuple[Allowance, ...]:
        return tuple(filter(None, (self.requests, self.tokens, self.cost)))


class DescribedStorage(Section):
    """The member `limits` of the file."""

    storage: Annotated[str, AfterValidator(_url), BeforeValidator(values.text)] | None = Field(default=None, repr=False)
    when_away: Literal["closed", "open"] = "closed"

    def made(self) -> Storage:
        return Storage(self.storage, self.when_away == "open")
