"""The pages as one ASGI application: `/-/` and all below it. It runs in the proxy, and by itself (`vertex-tap
dashboard`).

It answers GET and HEAD only, and changes nothing. Reports run in a thread, two at a time; a report that takes longer
than `LONGEST_S` is given up.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from functools import cache
from functools import wraps
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.responses import JSONResponse
from starlette.responses import PlainTextResponse
from starlette.responses import RedirectResponse
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from metering import reports
from metering.call import State
from metering.database import LedgerError
from metering.kinds import KINDS
from metering.kinds import MakeReport
from metering.pages import board
from metering.pages import questions
from metering.pages import rendering
from metering.pages import visitors
from metering.pages.visitors import Refusal
from metering.pages.visitors import Visit
from metering.postgresql import PostgreSQL
from metering.postgresql import TookTooLong
from metering.selection import FILTERS
from metering.selection import ReportError
from metering.store import Store

LONGEST_S = 20.0
"""How long a report may take."""
AT_ONCE = 2
"""How many reports run at the same time."""
SPANS = {
    "Today": (("since", "today"),),
    "Yesterday": (("since", "yesterday"), ("until", "today")),
    "24 hours": (("since", "24h"),),
    "7 days": (("since", "7d"),),
    "30 days": (("since", "30d"),),
}
"""Links of the dashboard -> what they ask for."""
USUAL_SPAN = "7d"
"""What the dashboard shows if neither since nor until is asked for."""
FOLDED_AFTER_DAYS = 120
"""On the dashboard, days that are longer ago are folded to weeks."""
_STEPS = 100_000
"""Steps of SQLite's machine between two looks at the clock."""

HEADERS = {
    # plotly.js sets styles of elements that it makes; nothing else may be inline.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of every answer."""
STATIC = {"pages.css": "text/css", "board.js": "text/javascript", "plotly.min.js": "text/javascript"}
OPEN_TO_ALL = ("/-/health", "/-/ready")

Ledgers = Sequence[Store]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Source:
    """What the pages show, and to whom."""

    opened: Callable[[], AbstractContextManager[Ledgers]]
    """Opens the ledgers, in the thread that reads them. Raises LedgerError."""
    reports: Callable[[], Mapping[str, MakeReport]]
    """Kind of report -> what makes it."""
    is_ready: Callable[[], bool]
    """Whether calls are taken and recorded."""
    refusal: Callable[[Visit], Refusal | None] = visitors.refusal
    """Why a visitor may not see a page; None if it may."""
    metrics: Callable[[str], tuple[bytes, str]] | None = None
    """Prometheus' text for a header Accept, and its content type."""


def application(source: Source) -> ASGIApp:
    """The application."""
    pages = _Pages(source)
    routes = {
        "/": pages.home,
        "/-": pages.home,
        "/-/": pages.shell,
        "/-/board": pages.board,
        "/-/calls/{id}": pages.call,
        "/-/health": pages.health,
        "/-/ready": pages.ready,
        "/-/metrics": pages.metrics,
        "/-/api/{kind}": pages.report,
        "/-/static/{name}": pages.static,
    }
    app = Starlette(
        routes=[Route(path, _guarded(source, endpoint), methods=["GET"]) for path, endpoint in routes.items()],
        exception_handlers={HTTPException: _say_http},
    )
    app.router.redirect_slashes = False
    return app


def problem(status: int, message: str) -> Response:
    """An error, as JSON."""
    return JSONResponse({"error": {"code": status, "message": message}}, status)


def _refused(refusal: Refusal) -> Response:
    answer = problem(refusal.status, refusal.message)
    if refusal.status == 401:
        # A browser then asks for a password.
        answer.headers["www-authenticate"] = 'Basic realm="vertex-tap", charset="UTF-8"'
    return answer


async def _say_http(request: Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)
    messages = {404: f"there is no page {request.url.path}; look at /-/", 405: "pages can only be read, with GET"}
    message = messages.get(e.status_code, e.detail)
    answer = problem(e.status_code, message)
    answer.headers.update({**HEADERS, "cache-control": "no-store", **(e.headers or {})})
    return answer


def _guarded(source: Source, endpoint: Endpoint) -> Endpoint:
    """An endpoint that answers only whom it may, and says what is wrong with a question."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            refused = None if request.url.path in OPEN_TO_ALL else source.refusal(visit_of(request))
            found = _refused(refused) if refused else await endpoint(request)
        except ReportError as e:
            found = problem(400, str(e))
        except (LedgerError, sqlite3.Error) as e:
            is_late = getattr(e, "sqlite_errorname", "") == "SQLITE_INTERRUPT" or isinstance(e, TookTooLong)
            late = f"the report took longer than {LONGEST_S:g} s; ask for a shorter span, such as since=7d"
            found = problem(503, late if is_late else f"the ledger cannot be read: {e}")
        found.headers.update({**HEADERS, "cache-control": found.headers.get("cache-control", "no-store")})
        return found

    return answer


def visit_of(request: Request) -> Visit:
    """What is known of a visitor."""
    client, server = request.scope.get("client") or ("",), request.scope.get("server") or ("",)
    return Visit(str(client[0]), request.headers.getlist("host"), str(server[0]), request.headers)


class _Pages:
    """The endpoints."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def home(self, request: Request) -> Response:
        return RedirectResponse("/-/")

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        is_ready = self._source.is_ready()
        return PlainTextResponse("ready\n" if is_ready else "not ready\n", 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        if self._source.metrics is None:
            raise HTTPException(404)
        text, kind = self._source.metrics(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": kind})

    async def static(self, request: Request) -> Response:
        kind = STATIC.get(name := request.path_params["name"])
        if kind is None:
            raise HTTPException(404)
        # plotly.js has its version in the address, by which it is asked for.
        kept = "private, max-age=604800" if name == "plotly.min.js" else "no-cache"
        return Response(_static(name), media_type=kind, headers={"cache-control": kept})

    async def shell(self, request: Request) -> Response:
        pairs = dict.fromkeys(_filled(request))
        asked = {name: [value for key, value in pairs if key == name] for name in (*questions.SELECTING,)}
        if not asked["since"] and not asked["until"]:
            asked["since"] = [USUAL_SPAN]
        states = [state.value for state in State]
        others = [(name, value) for name, value in pairs if name not in ("since", "until")]
        asked_span = [(name, value) for name in ("since", "until") for value in asked[name]]
        spans = [
            (title, f"./?{urlencode([*span, *others], errors='replace')}", [*span] == asked_span)
            for title, span in SPANS.items()
        ]
        return HTMLResponse(
            rendering.render(
                "dashboard.html", asked=asked, spans=spans, filters=FILTERS, states=states, plotly=_plotly_version()
            )
        )

    async def board(self, request: Request) -> Response:
        now, pairs = datetime.now(UTC), _filled(request)
        if not any(name in ("since", "until") for name, _ in pairs):
            pairs.append(("since", USUAL_SPAN))
        asked = questions.calls(pairs, now)
        monday = board.monday_before(now, FOLDED_AFTER_DAYS)

        def make(ledgers: Ledgers) -> str:
            found = board.sections(ledgers, asked, self._source.reports(), now, monday)
            return rendering.render("board.html", tables=rendering.tables(found, asked.zone, pairs))

        return HTMLResponse(await self._read(make))

    async def call(self, request: Request) -> Response:
        beginning, asked = request.path_params["id"], questions.calls([], datetime.now(UTC))

        def make(ledgers: Ledgers) -> str:
            call, attempts = reports.one(ledgers, beginning)
            found = rendering.tables(board.one_call(call, attempts, asked.zone), asked.zone, None)
            return rendering.render("call.html", call=call, tables=found, plotly=_plotly_version())

        try:
            return HTMLResponse(await self._read(make))
        except ReportError as e:
            return problem(404, str(e))

    async def report(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in KINDS:
            return problem(404, f"there is no report {kind}; choose from {', '.join(sorted(KINDS))}")
        asked = questions.report(kind, request.query_params.multi_items(), datetime.now(UTC))

        def make(ledgers: Ledgers) -> str:
            if kind == "calls":
                return json.dumps([*reports.calls(ledgers, asked.calls, newest=asked.limit)])
            more = {"exact": True} if asked.is_exact else {}
            rows = self._source.reports()[kind](ledgers, asked.grouping, asked.calls, **more)
            return json.dumps(rows[: asked.limit])

        return Response(await self._read(make), media_type="application/json")

    async def _read(self, make: Callable[[Ledgers], str]) -> str:
        """What `make` makes of the ledgers, in a thread. Raises LedgerError, ReportError, sqlite3.Error."""
        async with self._turns:
            return await asyncio.to_thread(self._read_here, make)

    def _read_here(self, make: Callable[[Ledgers], str]) -> str:
        end = time.monotonic() + LONGEST_S
        with self._source.opened() as ledgers:
            for db in ledgers:
                if isinstance(db, sqlite3.Connection):
                    db.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
                elif isinstance(db, PostgreSQL):
                    db.give_up_after(LONGEST_S)
            return make(ledgers)


def _filled(request: Request) -> list[tuple[str, str]]:
    """The query. A form also sends the fields that are left empty."""
    return [pair for pair in request.query_params.multi_items() if pair[1]]


@cache
def _static(name: str) -> bytes:
    return (rendering.plotly() if name == "plotly.min.js" else rendering.STATIC / name).read_bytes()


@cache
def _plotly_version() -> str:
    """Differs between two versions of plotly.js."""
    return f"{rendering.plotly().stat().st_size}"
