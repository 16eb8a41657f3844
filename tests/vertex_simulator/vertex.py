"""The operations of Vertex AI (and of the Gemini API where they are the same)."""

import base64
import re
from typing import Any

from tests.vertex_simulator.claude import claude
from tests.vertex_simulator.credentials import Credentials
from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.embeddings import embed_content
from tests.vertex_simulator.embeddings import predict_embeddings
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.exchange import Request
from tests.vertex_simulator.gemini import count
from tests.vertex_simulator.gemini import generate
from tests.vertex_simulator.gemini import texts
from tests.vertex_simulator.imagen import predict_images
from tests.vertex_simulator.interactions import PATH as INTERACTIONS
from tests.vertex_simulator.interactions import Interactions
from tests.vertex_simulator.openai import responses
from tests.vertex_simulator.openai_chat import chat
from tests.vertex_simulator.schema import SchemaError
from tests.vertex_simulator.schema import UnknownMethod
from tests.vertex_simulator.schema import check_request
from tests.vertex_simulator.veo import Videos

PAGES = (("77", "My tuned Gemini", ("1234567890",)), ("78", "My classifier", ()))
"""Models of a project, one a page: id, display name, and the endpoints where it is deployed."""


class Vertex:
    """Answers requests; raises Denied for what Vertex refuses."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._caches: dict[str, dict[str, Any]] = {}
        self._videos = Videos()
        self._interactions = Interactions()

    def answer(self, request: Request) -> Answer:
        self.credentials.check(request.headers, request.query)
        plan = Plan.of(request.headers)
        if plan.status >= 400:
            return error_answer(plan)
        if INTERACTIONS.fullmatch(request.path):
            # The SDKs' paths and bodies are not in the discovery document.
            return self._interactions.answer(request, plan)
        body = self._body(request)
        path = request.path
        if match := re.fullmatch(r"/v1(?:beta1)?/(?P<parent>.*):(?P<action>\w+)", path):
            return self._act(match["action"], match["parent"], request, body, plan)
        if match := re.search(r"/endpoints/[^/]+/(chat/completions|responses)$", path):
            return {"chat/completions": chat, "responses": responses}[match[1]](body, plan, gemini=True)
        if match := re.fullmatch(r"/v1(?:beta1)?/(?P<name>.*cachedContents(?:/[^/]+)?)", path):
            return self._cached(request.method, match["name"], body)
        if "/models" in path and request.method == "GET":
            return self._models(path, request.query)
        if "/operations/" in path:
            return self._videos.poll(path.split("/", 2)[2])
        raise Denied(404, "NOT_FOUND", f"No such path: {path}")

    def _body(self, request: Request) -> Any:
        try:
            body = request.json() or {}
        except (ValueError, RecursionError):
            raise Denied(400, "INVALID_ARGUMENT", "Invalid JSON payload received.") from None
        try:
            check_request(request.method, request.path, body)
        except SchemaError as e:
            raise Denied(400, "INVALID_ARGUMENT", str(e)) from e
        except UnknownMethod:
            raise Denied(404, "NOT_FOUND", f"No method: {request.method} {request.path}") from None
        return body

    def _act(self, action: str, parent: str, request: Request, body: Any, plan: Plan) -> Answer:
        model = parent.rpartition("/")[2]
        if "unknown" in model:
            raise Denied(404, "NOT_FOUND", f"Publisher Model `{parent}` was not found.")
        if action in ("generateContent", "streamGenerateContent"):
            return generate(action, model, body, plan, as_events=request.query.get("alt") == ["sse"])
        if action == "countTokens":
            total = count(body.get("contents"))
            return Answer.json(
                {"totalTokens": total, "totalBillableCharacters": 4 * total},
                reported={"counted_tokens": total},
            )
        if action == "computeTokens":
            words = texts(body.get("contents"))
            encoded = [base64.b64encode(word.encode()).decode() for word in words]
            ids = [str(n + 1000) for n in range(len(words))]
            info = [{"role": "user", "tokenIds": ids, "tokens": encoded}]
            return Answer.json({"tokensInfo": info}, reported={"counted_tokens": len(words)})
        if action == "embedContent":
            return embed_content(model, body)
        if action == "predict":
            return (predict_images if model.startswith("imag") else predict_embeddings)(model, body)
        if action == "predictLongRunning":
            return self._videos.submit(parent, body)
        if action == "fetchPredictOperation":
            return self._videos.fetch(parent, body)
        if action in ("create", "createStream") and parent.endswith("/interactions"):
            return self._interactions.act(action, body, plan)
        if action in ("rawPredict", "streamRawPredict"):
            return claude(action, model, body, plan, request.headers.get("anthropic-beta", ""))
        raise Denied(404, "NOT_FOUND", f"No such action: {action}")

    def _cached(self, method: str, name: str, body: Any) -> Answer:
        if method == "POST":
            name = f"{name}/{len(self._caches) + 1}"
            usage = {"totalTokenCount": count(body.get("contents"))}
            self._caches[name] = {"name": name, "model": body["model"], "usageMetadata": usage}
            if "displayName" in body:
                self._caches[name]["displayName"] = body["displayName"]
            return Answer.json(self._caches[name])
        if method == "GET" and name.endswith("cachedContents"):
            return Answer.json({"cachedContents": list(self._caches.values())})
        if name not in self._caches:
            raise Denied(404, "NOT_FOUND", "Cached content not found")
        if method == "DELETE":
            del self._caches[name]
            return Answer.json({})
        if method == "PATCH":
            self._caches[name]["expireTime"] = "2030-01-01T00:00:00Z"
        return Answer.json(self._caches[name])

    def _models(self, path: str, query: dict[str, list[str]]) -> Answer:
        names = ["gemini-2.5-flash", "gemini-2.5-pro"]
        if path.endswith("/models") and "publishers" in path:
            described = [{"name": f"publishers/google/models/{name}", "versionId": "default"} for name in names]
            return Answer.json({"publisherModels": described})
        if path.endswith("/models"):
            return _models_page(path.split("/", 2)[2].removesuffix("/models"), query.get("pageToken", ["page-0"])[0])
        return Answer.json({"name": path.split("/", 2)[2], "versionId": "default"})


def _models_page(parent: str, token: str) -> Answer:
    page = int(token.removeprefix("page-")) if re.fullmatch(r"page-[01]", token) else None
    if page is None:
        raise Denied(400, "INVALID_ARGUMENT", "The page token is not valid.")
    number, display_name, endpoints = PAGES[page]
    model: dict[str, Any] = {
        "name": f"{parent}/models/{number}",
        "displayName": display_name,
        "versionId": "1",
        "createTime": "2026-01-02T03:04:05.678901Z",
    }
    if endpoints:
        deployed = [{"endpoint": f"{parent}/endpoints/{one}", "deployedModelId": "1"} for one in endpoints]
        model["deployedModels"] = deployed
    last = page == len(PAGES) - 1
    return Answer.json({"models": [model]} | ({} if last else {"nextPageToken": f"page-{page + 1}"}))


def error_answer(plan: Plan) -> Answer:
    words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
    words |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
    error: dict[str, Any] = {"code": plan.status, "message": "Simulated.", "status": words.get(plan.status, "UNKNOWN")}
    if plan.retry_delay:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": plan.retry_delay}]
    error = {"error": error}
    if plan.error == "html":
        return Answer(plan.status, "text/html; charset=UTF-8", [b"<html><body>Error</body></html>"])
    if plan.error == "empty":
        return Answer(plan.status, pieces=[])
    return Answer.json([error] if plan.error == "array" else error, plan.status)
