"""Chooses the service for a call of an OpenAI or Anthropic client, by the model in its body."""

from mitmproxy import http

from addons.addressing import reverse_target
from addons.configuration.services import Service
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import fails_closed
from addons.jobs import Jobs
from addons.offer import answer_without_service
from addons.progress import Progress
from addons.route import check_recipient
from addons.route import pass_on
from addons.translation import conversions
from addons.translation import videos
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.publishers import without_publisher
from addons.upstream import content_of
from metering.call import ErrorType


class Choose:
    """Chooses as soon as the request body is complete. A call that no service rewrites goes on unchanged."""

    def __init__(self, exchanges: Exchanges, jobs: Jobs) -> None:
        self.exchanges = exchanges
        self._jobs = jobs

    @fails_closed
    def request(self, flow: http.HTTPFlow) -> None:
        exchange, named, request = self.exchanges.get(flow), reverse_target(flow), flow.request
        if not exchange or not named or not exchange.awaits_body or flow.response or flow.error:
            return
        if exchange.service:
            return
        assert exchange.target
        service = self._find(exchange, request)
        if service is None:
            answer_without_service(flow, exchange)
            return
        if exchange.has_fallback:
            exchange.choose(service.name)
            exchange.move(Progress.AWAITS_SERVICE)
            return
        if service.provider == "openai" or service.rewrites(exchange.target.surface):
            exchange.choose(service.name, service)
            return
        exchange.move(Progress.ASKED)
        try:
            pass_on(request, exchange, named)
        except InvalidRequest as e:
            exchange.refuse(flow, Failure(e.status, e.message, "UNKNOWN_URL"), ErrorType.BAD_REQUEST)
            return
        check_recipient(flow, exchange, named)
        if exchange.goes_on:
            exchange.note_upstream(request.host, request.path)

    def _find(self, exchange: Exchange, request: http.Request) -> Service | None:
        """The service of the job that a poll asks about, of a route, or the default; None if there is none."""
        gateway = exchange.configuration.gateway
        if self._jobs.pin(exchange, request) and exchange.candidate:
            return gateway.services[exchange.candidate.service]
        found = exchange.find_service(_model_in(request, exchange))
        return found or (gateway.default if gateway.has_default else None)


def _model_in(request: http.Request, exchange: Exchange) -> str | None:
    """The model that a call names in its body or its path, with aliases resolved."""
    gateway, target = exchange.configuration.gateway, exchange.target
    assert target
    if not gateway.routes:
        return None
    if (rest := target.fields.get("openai", "")).startswith("videos/"):
        return videos.model_in(rest.split("/")[1])
    model = exchange.call.model or conversions.model_in(request.headers.get("content-type", ""), content_of(request))
    return without_publisher(gateway.named(model)) if model else None
