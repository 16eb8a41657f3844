"""Removes client credentials from calls, and adds the proxy's own ones to calls that may have them."""

import contextlib
import logging
from collections.abc import Mapping
from types import MappingProxyType

from mitmproxy import http

from addons import keys
from addons.addressing import NOT_TRUSTED
from addons.addressing import may_have_credentials
from addons.configuration.services import Service
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import fails_closed
from addons.tokens import TokenError
from addons.translation import conversions
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import refusal
from addons.translation.publishers import model_of
from addons.upstream import content_of
from metering.call import ErrorType

logger = logging.getLogger(__name__)


class Credentials:
    """Replaces a client's credentials by those of the service.

    A native call gets them when its headers are complete, as its body may be streamed. A call that is rewritten gets
    them when its body is complete.
    """

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @fails_closed
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and exchange.service and exchange.goes_on:
            await self._put_in(flow, exchange, exchange.service)

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and exchange.service and exchange.awaits_body:
            await self._put_in(flow, exchange, exchange.service)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """If Google rejects the token, drop it. This call was repeated already if it can be (`fallback.py`)."""
        exchange = self.exchanges.get(flow)
        tokens = exchange.service.tokens if exchange and exchange.service else None
        if exchange and exchange.token and tokens and flow.response and flow.response.status_code == 401:
            tokens.reject(exchange.token)

    async def renew(self, service: Service, request: http.Request) -> bool:
        """Replace the rejected access token in a request by a new one. Returns False if the service has no token
        source. Raises TokenError."""
        if service.tokens is None:
            return False
        service.tokens.reject(request.headers.get("authorization", "").removeprefix("Bearer "))
        request.headers["authorization"] = f"Bearer {await service.tokens.token()}"
        return True

    async def renew_call(self, exchange: Exchange, request: http.Request) -> None:
        """Replace the rejected access token of a call that is to be sent again. Raises TokenError."""
        assert exchange.service
        await self.renew(exchange.service, request)
        exchange.token = request.headers["authorization"].removeprefix("Bearer ")

    async def _put_in(self, flow: http.HTTPFlow, exchange: Exchange, service: Service) -> None:
        request = flow.request
        if flow.response or flow.error:
            return
        awaits_body = exchange.awaits_body
        if service.provider == "vertex" and not service.injects:
            if awaits_body and not keys.keep_googles(request):
                self._refuse(flow, exchange, service, refusal(401, UNKNOWN_KEY))
            return
        keys.strip(request)
        for name in keys.PASSED_ON:
            request.headers.pop(name, None)
        if not awaits_body and not may_have_credentials(flow, exchange.configuration.settings):
            self._refuse(flow, exchange, service, refusal(502, NOT_TRUSTED))
        elif service.api_key:
            name, value = KEY_HEADERS[service.provider]
            request.headers[name] = value.format(service.api_key)
        elif service.tokens:
            try:
                token = await service.tokens.token()
            except TokenError as e:
                # The client may have disconnected while the token was fetched.
                if not exchange.is_over:
                    self._refuse(flow, exchange, service, refusal(e.status, str(e)), e.headers)
                return
            request.headers["authorization"] = f"Bearer {token}"
            if service.quota_project:
                request.headers["x-goog-user-project"] = service.quota_project
            exchange.token = token

    def _refuse(
        self,
        flow: http.HTTPFlow,
        exchange: Exchange,
        service: Service,
        failure: Failure,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Refuse a call, and record the project, location and model that it would have used."""
        call, request = exchange.call, flow.request
        exchange.suppose(project=service.project, location=service.location)
        if exchange.awaits_body and service.provider == "vertex":
            content = content_of(request)
            told = call.model or conversions.model_in(request.headers.get("content-type", ""), content)
            with contextlib.suppress(InvalidRequest):
                model = model_of(exchange.real_name(told or ""))
                exchange.learn(model=model.name, publisher=model.publisher or (None if model.is_endpoint else "google"))
        exchange.refuse(flow, failure, ErrorType.NO_CREDENTIALS)
        assert flow.response
        flow.response.headers.update(headers)


UNKNOWN_KEY = (
    "Vertex AI accepts only access tokens and API keys of Google. Send one of these, or set vertex_auth so that the"
    " proxy adds its own credentials."
)
KEY_HEADERS = {"vertex": ("x-goog-api-key", "{}"), "openai": ("authorization", "Bearer {}")}
"""Provider -> the header for the proxy's API key, and the template of its value."""
