"""Who may call: the members `clients`, `allow_from` and `trusted_proxies` of the YAML file.

Of a client's keys only the SHA-256 is kept. No message quotes a key, nor the name of a variable, as the user may have
written the key in its place.
"""

import hmac
import ipaddress
import os
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Annotated

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field

from addons.configuration import values
from addons.configuration.limits import DescribedLimits
from addons.configuration.section import Section
from metering.allowance import Allowance
from metering.wording import suggestion
from metering.yaml_document import Data
from metering.yaml_document import MemberPath

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SHORTEST_KEY = 16
"""The fewest characters of a client's key: shorter ones can be guessed."""


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who may call, with keys of their own."""

    name: str
    keys: tuple[bytes, ...] = field(repr=False)
    """The SHA-256 of each key. While keys are exchanged there are two."""
    allow_from: tuple[Network, ...] | None = None
    """The networks from which this client may call; None for all."""
    models: tuple[str, ...] | None = None
    """Globs of the models that it may use; None for all."""
    services: tuple[str, ...] | None = None
    """The names of the services that may answer it; None for all."""
    pages: bool = False
    """Whether it may see the pages at `/-/`."""
    limits: tuple[Allowance, ...] = ()
    """What it may use; nothing is counted if there are none."""

    def may_use_model(self, *names: str | None) -> bool:
        """Whether it may use a model with these names: the one that it asks for, and the one that is meant by it."""
        return self.models is None or any(fnmatchcase(name, glob) for name in names if name for glob in self.models)

    def may_use_service(self, name: str | None) -> bool:
        """Whether the service of this name may answer it."""
        return self.services is None or name in self.services


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may call."""

    clients: tuple[Client, ...] = ()
    """If there are any, every call needs the key of one."""
    allow_from: tuple[Network, ...] | None = None
    """The networks from which anybody may call; None for all."""
    trusted_proxies: tuple[Network, ...] = ()
    """The networks of proxies before this one, whose `X-Forwarded-For` is believed."""
    is_private: bool = False
    """Whether the proxy serves one program of its user only, which needs no key (`vertex-tap run`)."""

    @property
    def need_key(self) -> bool:
        """Whether every call needs the key of a client."""
        return bool(self.clients) and not self.is_private

    def client_of(self, key: str) -> Client | None:
        """The client with this key."""
        return self.client_with(digest_of(key))

    def client_with(self, digest: bytes) -> Client | None:
        """The client with the key of this SHA-256. All configured keys are compared, whichever matches, so that the
        time tells nothing about them."""
        found = None
        for client in self.clients:
            for known in client.keys:
                if hmac.compare_digest(known, digest):
                    found = client
        return found

    def address_of(self, peer: str, forwarded: Sequence[str]) -> Address | None:
        """Where a call comes from: the last address that no trusted proxy has. None if that is unknown.

        `peer` is the address of the connection; `forwarded` are the values of `X-Forwarded-For`, to which each proxy
        appends the address that it was called from.
        """
        address = _address(peer)
        steps = [step for value in forwarded for step in value.split(",")]
        while steps and address and _is_in(address, self.trusted_proxies):
            address = _address(steps.pop())
        return address

    def let_in(self, address: Address | None, client: Client | None = None) -> bool:
        """Whether a call from this address, of this client, comes from networks that are allowed."""
        allowed = (self.allow_from, client.allow_from if client else None)
        return all(networks is None or _is_in(address, networks) for networks in allowed)


_WITH_PORT = re.compile(r"\[(.+)\](?::\d+)?|([\d.]+):\d+")


def _address(text: str) -> Address | None:
    """An address, which may have a port, as some proxies write it. None if it is none."""
    text = text.strip()
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key."""
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


# Single values


def _client_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", text):
        raise ValueError("write names of letters, digits, dots, dashes, underscores and @")
    return text


def _from_environment(name: str) -> bytes:
    key = values.environment_key(name)
    if len(key) < SHORTEST_KEY:
        raise ValueError(
            f"the key in this variable has fewer than {SHORTEST_KEY} characters, and could be guessed; make one with"
            " `openssl rand -hex 24`"
        )
    return digest_of(key)


def _from_digest(text: str) -> bytes:
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        raise ValueError("write the 64 hexadecimal digits of a SHA-256: printf %s KEY | sha256sum")
    return bytes.fromhex(text)


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("write a network or an address, such as 10.0.0.0/8, 192.168.1.7 or fd00::/8") from None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    # Addresses of callers are compared without the prefix ::ffff:0:0/96 too.
    return ipaddress.ip_network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network


def _listed(value: object) -> object:
    """A single text is a list of one."""
    return [value] if isinstance(value, str) else value


_Text = BeforeValidator(values.text)
_KeyInEnvironment = Annotated[bytes, BeforeValidator(_from_environment), _Text]
_KeyDigest = Annotated[bytes, BeforeValidator(_from_digest), _Text]
Networks = tuple[Annotated[Network, BeforeValidator(_network), _Text], ...]


# Schema


class DescribedClient(Section):
    """An entry of `clients`."""

    name: Annotated[str, AfterValidator(_client_name)]
    key_env: Annotated[tuple[_KeyInEnvironment, ...], BeforeValidator(_listed), Field(repr=False)] = ()
    key_sha256: Annotated[tuple[_KeyDigest, ...], BeforeValidator(_listed), Field(repr=False)] = ()
    allow_from: Networks | None = None
    models: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    services: tuple[str, ...] | None = None
    pages: Annotated[bool, BeforeValidator(values.switch)] = False
    limits: DescribedLimits = Field(default_factory=DescribedLimits)

    def client(self) -> Client:
        """Make the client."""
        keys = self.key_env + self.key_sha256
        return Client(self.name, keys, self.allow_from, self.models, self.services, self.pages, self.limits.allowances)


def contradictions(described: Data, services: Iterable[str]) -> Iterator[tuple[MemberPath, str]]:
    """Problems with `clients` (parsed, not validated) and entries of it that are valid alone but not together.
    `services` are the names of all services."""
    if described == []:
        yield (), "is empty, so that nobody could call; write a client, or leave it out to let everybody call"
    names: dict[str, int] = {}
    keys: dict[bytes, int] = {}
    for place, client in enumerate(described if isinstance(described, list) else ()):
        if not isinstance(client, dict):
            continue
        name = client.get("name")
        if isinstance(name, str) and names.setdefault(name, place) != place:
            yield (place, "name"), f"is that of clients[{names[name]}] too; write another one"
        if not any(client.get(member) for member in ("key_env", "key_sha256", "key")):
            yield (place,), "has no key; write key_env and the name of an environment variable, or key_sha256"
        for member, digest in _digests(client):
            first = keys.setdefault(digest, place)
            if first != place:
                yield (place, *member), f"is a key of clients[{first}] too; every client needs a key of its own"
        named = client.get("services")
        for number, service in enumerate(named if isinstance(named, list) else ()):
            if isinstance(service, str) and service not in services:
                yield (place, "services", number), f"there is no such service{suggestion(service, services)}"


def names_in(data: Data | None) -> list[str]:
    """The names of all clients in a file (parsed, not validated)."""
    described = data.get("clients") if isinstance(data, dict) else None
    entries = [entry for entry in described if isinstance(entry, dict)] if isinstance(described, list) else []
    return [name for entry in entries if isinstance(name := entry.get("name"), str)]


def _digests(client: dict[str, Data]) -> Iterator[tuple[MemberPath, bytes]]:
    """The SHA-256 of each key of an entry, as far as they are valid, and where it stands."""
    for member, read in (("key_env", _key_in_environment), ("key_sha256", _from_digest)):
        said = client.get(member, [])
        for number, text in enumerate(said if isinstance(said, list) else [said]):
            if isinstance(text, str):
                try:
                    yield (member, number) if isinstance(said, list) else (member,), read(text)
                except ValueError:
                    # The schema reports it.
                    continue


def _key_in_environment(name: str) -> bytes:
    if not os.environ.get(name):
        raise ValueError(name)
    return digest_of(os.environ[name])
