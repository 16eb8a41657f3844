"""The Google credentials of services. No other file of this folder takes them out of a service."""

import asyncio

from google.auth import external_account
from google.auth.credentials import Credentials

from addons.configuration.services import Service

WITH_TOKENS = ("service_account", "adc")
"""Values of `auth` with which the proxy gets access tokens."""


def gets_tokens(service: Service) -> bool:
    """Whether a service gets access tokens of Google's."""
    return service.auth in WITH_TOKENS


def has_credentials(service: Service) -> bool:
    """Whether a service has an API key or Google credentials of the proxy's own."""
    return bool(service.api_key or _credentials_of(service))


def token_of(service: Service) -> str:
    """A new access token. Raises TokenError."""
    assert service.tokens
    return asyncio.run(service.tokens.token())


def token_uri_of(service: Service) -> str | None:
    """Where google-auth asks for access tokens, if the credentials say so."""
    found: str | None = getattr(_credentials_of(service), "_token_uri", None)
    return found


def account_of(service: Service) -> str | None:
    """The service account, if the credentials are those of one."""
    found: str | None = getattr(_credentials_of(service), "service_account_email", None)
    return found


def is_workload(service: Service) -> bool:
    """Whether the credentials are those of workload identity, of which only Google knows the project."""
    return isinstance(_credentials_of(service), external_account.Credentials)


def _credentials_of(service: Service) -> Credentials | None:
    return service.tokens.identity.credentials if service.tokens else None
