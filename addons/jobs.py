"""Polls go to the service that took the job, whatever their route says: the ledger knows which one it was."""

from collections.abc import Callable
from pathlib import Path

from mitmproxy import http

from addons.exchange import Exchange
from addons.exchange import pin
from addons.translation import videos
from addons.translation.conversation import from_bytes
from addons.translation.errors import InvalidRequest
from addons.upstream import content_of
from metering.jobs import service_of
from metering.json_values import member
from metering.json_values import text_of

MOST_JOBS = 10_000
"""The most jobs whose services are remembered."""


class Jobs:
    """The services of jobs under way. Once the row of a job is complete, only this process knows of it."""

    def __init__(self, find: Callable[[Path, str], str | None] = service_of) -> None:
        """`find` gets the ledger and the name of a job. It gives the name of the service that took it; None if that is
        not known."""
        self._find = find
        self._found: dict[str, str] = {}

    def pin(self, exchange: Exchange, request: http.Request) -> bool:
        """Choose the service of the job that a complete request asks for. Returns whether it does, and the service is
        known."""
        job = _job_of(exchange, request)
        ledger = exchange.configuration.settings.usage_db
        name = job and (self._found.get(job) or self._find(ledger, job))
        if not job or not name or name not in exchange.configuration.gateway.services:
            return False
        if len(self._found) >= MOST_JOBS:
            self._found.clear()
        self._found[job] = name
        pin(exchange, name)
        return True


def _job_of(exchange: Exchange, request: http.Request) -> str | None:
    """The name of the job that a request asks for, as the service gave it."""
    target = exchange.target
    operation = target.operation if target else None
    if not target or not operation:
        return None
    if operation == "fetchPredictOperation":
        try:
            return text_of(member(from_bytes(content_of(request)), "operationName"))
        except ValueError:
            return None
    if operation == "operations.get":
        return exchange.path.removeprefix(target.base).lstrip("/").partition("/")[2]
    if operation in ("videos", "videos/content", "responses") and request.method == "GET":
        id = target.fields.get("openai", "").partition("/")[2].partition("/")[0]
        try:
            return videos.read_id(id).operation
        except InvalidRequest:
            # It is an OpenAI service's own.
            return id or None
    return None
