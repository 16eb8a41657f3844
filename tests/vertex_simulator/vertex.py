"""The operations of Vertex AI (and of the Gemini API where they are the same)."""

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from tests.vertex_simulator.credentials import Credentials
from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.exchange import Request
from tests.vertex_simulator.openai import chat
from tests.vertex_simulator.openai import responses
from tests.vertex_simulator.schema import SchemaError
from tests.vertex_simulator.schema import UnknownMethod
from tests.vertex_simulator.schema import check_request

WORDS = ("Hello", "there,", "this", "is", "a", "simulated", "answer", "of", "many", "words.")


def png(width: int = 2, height: int = 2) -> bytes:
    """A valid picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80\x40\x20" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Vertex:
    """Answers requests; raises Denied for what Vertex refuses."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._caches: dict[str, dict[str, Any]] = {}
        self._operations: dict[str, int] = {}
        """Operation name -> how often it was polled."""

    def answer(self, request: Request) -> Answer:
        self.credentials.check(request.headers, request.query)
        plan = Plan.of(request.headers)
        if plan.status >= 400:
            return error_answer(plan)
        body = self._body(request)
        path = request.path
        if match := re.fullmatch(r"/v1(?:beta1)?/(?P<parent>.*):(?P<action>\w+)", path):
            return self._act(match["action"], match["parent"], request, body, plan)
        if match := re.search(r"/endpoints/[^/]+/(chat/completions|responses)$", path):
            return {"chat/completions": chat, "responses": responses}[match[1]](body, plan, gemini=True)
        if match := re.fullmatch(r"/v1(?:beta1)?/(?P<name>.*cachedContents(?:/[^/]+)?)", path):
            return self._cached(request.method, match["name"], body)
        if "/models" in path and request.method == "GET":
            return self._models(path)
        if "/operations/" in path:
            return self._poll(path.split("/", 2)[2])
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
            check_conversation(model, body)
            events = list(_generate(model, body, plan))
            if action == "generateContent":
                return _unary(events, plan)
            as_events = request.query.get("alt") == ["sse"]
            return _sse(events, plan) if as_events else _json_array(events, plan)
        if action == "countTokens":
            total = _count(body.get("contents"))
            return Answer.json(
                {"totalTokens": total, "totalBillableCharacters": 4 * total},
                reported={"counted_tokens": total},
            )
        if action == "computeTokens":
            words = _texts(body.get("contents"))
            encoded = [base64.b64encode(word.encode()).decode() for word in words]
            ids = [str(n + 1000) for n in range(len(words))]
            info = [{"role": "user", "tokenIds": ids, "tokens": encoded}]
            return Answer.json({"tokensInfo": info}, reported={"counted_tokens": len(words)})
        if action == "embedContent":
            tokens = _count([body["content"]])
            usage = {"promptTokenCount": tokens, "trafficType": "ON_DEMAND"}
            embedding = {"values": [0.25, -0.5, 0.125]}
            return Answer.json(
                {"embedding": embedding, "usageMetadata": usage, "truncated": False},
                reported={"input_tokens": tokens, "input_items": 1},
            )
        if action == "predict":
            return _predict(model, body)
        if action == "predictLongRunning":
            if "prompt" not in body["instances"][0]:
                raise Denied(400, "INVALID_ARGUMENT", "instances[0].prompt is missing")
            name = f"{parent}/operations/{len(self._operations) + 1}-0000-4000"
            self._operations[name] = 0
            return Answer.json({"name": name})
        if action == "fetchPredictOperation":
            return self._poll(body["operationName"])
        if action in ("rawPredict", "streamRawPredict"):
            return _claude(model, body, plan)
        raise Denied(404, "NOT_FOUND", f"No such action: {action}")

    def _poll(self, name: str) -> Answer:
        if name not in self._operations:
            raise Denied(404, "NOT_FOUND", f"Operation not found: {name}")
        self._operations[name] += 1
        if self._operations[name] < 2:
            return Answer.json({"name": name})
        videos = [{"bytesBase64Encoded": base64.b64encode(b"video").decode(), "mimeType": "video/mp4"}]
        kind = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
        return Answer.json(
            {
                "name": name,
                "done": True,
                "response": {"@type": kind, "raiMediaFilteredCount": 0, "videos": videos},
            }
        )

    def _cached(self, method: str, name: str, body: Any) -> Answer:
        if method == "POST":
            name = f"{name}/{len(self._caches) + 1}"
            usage = {"totalTokenCount": _count(body.get("contents"))}
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

    def _models(self, path: str) -> Answer:
        names = ["gemini-2.5-flash", "gemini-2.5-pro"]
        if path.endswith("/models") and "publishers" in path:
            described = [{"name": f"publishers/google/models/{name}", "versionId": "default"} for name in names]
            return Answer.json({"publisherModels": described})
        if path.endswith("/models"):
            parent = path.split("/", 2)[2]
            return Answer.json({"models": [{"name": f"{parent}/77", "displayName": "tuned", "versionId": "1"}]})
        return Answer.json({"name": path.split("/", 2)[2], "versionId": "default"})


def error_answer(plan: Plan) -> Answer:
    words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
    words |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
    error = {"error": {"code": plan.status, "message": "Simulated.", "status": words[plan.status]}}
    if plan.error == "html":
        return Answer(plan.status, "text/html; charset=UTF-8", [b"<html><body>Error</body></html>"])
    if plan.error == "empty":
        return Answer(plan.status, pieces=[])
    return Answer.json([error] if plan.error == "array" else error, plan.status)


def _texts(contents: Any) -> list[str]:
    """All words of text in contents, whichever spelling their parts have."""
    contents = contents if isinstance(contents, list) else [contents or {}]
    parts = [part for content in contents for part in content.get("parts", [])]
    return [word for part in parts for word in part.get("text", "").split()]


def _count(contents: Any) -> int:
    contents = contents if isinstance(contents, list) else [contents or {}]
    parts = [part for content in contents for part in content.get("parts", [])]
    media = sum(1 for part in parts if {"inlineData", "inline_data", "fileData", "file_data"} & part.keys())
    return len(_texts(contents)) + 258 * media


def _member(value: dict[str, Any], camel: str, snake: str) -> Any:
    return value.get(camel, value.get(snake))


def _generate(model: str, body: dict[str, Any], plan: Plan) -> Iterator[dict[str, Any]]:
    """The events of an answer; the last one has the finish reason and the usage."""
    config = _member(body, "generationConfig", "generation_config") or {}
    prompt = _count(body["contents"]) + _count(body.get("systemInstruction"))
    thinking = _member(config, "thinkingConfig", "thinking_config") or {}
    thoughts = plan.thoughts or (7 if thinking else 0)
    modalities = _member(config, "responseModalities", "response_modalities") or []
    parts = _answer_parts(model, body, config, plan)
    if "IMAGE" in modalities:
        parts.append({"inlineData": {"mimeType": "image/png", "data": base64.b64encode(png()).decode()}})
    if thoughts and _member(thinking, "includeThoughts", "include_thoughts"):
        parts.insert(0, {"text": "Let me think.", "thought": True})
    if plan.padding:
        parts.append({"inlineData": {"mimeType": "image/png", "data": "A" * plan.padding}})
    visible = sum(len(part.get("text", "x").split()) for part in parts)
    candidates = _member(config, "candidateCount", "candidate_count") or 1
    visible *= candidates
    usage: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": visible,
        "totalTokenCount": prompt + visible + thoughts,
        "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": visible}],
    }
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    if body.get("cachedContent"):
        usage["cachedContentTokenCount"] = 3
        usage["promptTokenCount"] += 3
        usage["totalTokenCount"] += 3
    common = {"modelVersion": model, "responseId": "resp-0001", "createTime": "2026-03-12T18:06:06.323808Z"}
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        listed = []
        for index in range(candidates):
            candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}}
            if candidates > 1:
                candidate["index"] = index
            if last:
                candidate["finishReason"] = "STOP"
                if _member(config, "responseLogprobs", "response_logprobs"):
                    candidate["logprobsResult"] = _logprobs(config.get("logprobs") or 0)
            listed.append(candidate)
        event: dict[str, Any] = {"candidates": listed, **common}
        if plan.usage == "cumulative":
            event["usageMetadata"] = usage | {"candidatesTokenCount": position + 1}
        elif plan.usage in ("final", "traffic"):
            event["usageMetadata"] = {"trafficType": "ON_DEMAND"}
        if last and plan.usage in ("final", "cumulative"):
            event["usageMetadata"] = usage
        yield event


def _answer_parts(model: str, body: dict[str, Any], config: dict[str, Any], plan: Plan) -> list[dict[str, Any]]:
    declared = [
        function
        for tool in body.get("tools", [])
        for function in _member(tool, "functionDeclarations", "function_declarations") or []
    ]
    answered = any("functionResponse" in p or "function_response" in p for c in body["contents"] for p in c["parts"])
    if declared and not answered:
        return [_call(model, declared[0]["name"], number) for number in range(plan.calls)]
    if _member(config, "responseMimeType", "response_mime_type") == "application/json":
        return [{"text": '{"answer": '}, {"text": "42}"}]
    words = [WORDS[n % len(WORDS)] for n in range(plan.words)]
    size = -(-len(words) // plan.events)
    return [{"text": " ".join(words[n : n + size]) + " "} for n in range(0, len(words), size)]


CITIES = ("Paris", "Oslo", "Rome", "Bern")
SIGNATURE = base64.b64encode(b"a thought of the simulator").decode()


def _call(model: str, name: str, number: int) -> dict[str, Any]:
    """Gemini 3 numbers its calls, and signs the first of a turn."""
    call: dict[str, Any] = {"functionCall": {"name": name, "args": {"city": CITIES[number % len(CITIES)]}}}
    if is_gemini_3(model):
        call["functionCall"]["id"] = f"call-{number}"
        if number == 0:
            call["thoughtSignature"] = SIGNATURE
    return call


def _logprobs(top: int) -> dict[str, Any]:
    tokens = [{"token": "Hé", "logProbability": -0.25, "tokenId": 7}, {"token": "llo", "logProbability": -1.5}]
    tops = [{"candidates": [{"token": f"t{n}", "logProbability": -0.5 * n} for n in range(top)]} for _ in tokens]
    return {"chosenCandidates": tokens, "topCandidates": tops}


def is_gemini_3(model: str) -> bool:
    return re.match(r"gemini-[3-9]", model) is not None


def check_conversation(model: str, body: dict[str, Any]) -> None:
    """What Google checks beyond the schema. Raises Denied."""
    contents = body.get("contents")
    if not contents:
        raise Denied(400, "INVALID_ARGUMENT", "contents is not specified")
    config = _member(body, "generationConfig", "generation_config") or {}
    thinking = _member(config, "thinkingConfig", "thinking_config") or {}
    level, budget = _member(thinking, "thinkingLevel", "thinking_level"), thinking.get("thinkingBudget")
    if level and (budget is not None or not is_gemini_3(model)):
        raise Denied(400, "INVALID_ARGUMENT", "thinking_level is not supported by this model.")
    calls: list[dict[str, Any]] = []
    for content in contents:
        if not content.get("parts"):
            raise Denied(400, "INVALID_ARGUMENT", "contents.parts must not be empty.")
        results = [p for p in content["parts"] if _member(p, "functionResponse", "function_response")]
        if len(results) not in (0, len(content["parts"])) or len(results) != len(calls):
            raise Denied(400, "INVALID_ARGUMENT", "Function response parts must equal function call parts.")
        calls = [p for p in content["parts"] if _member(p, "functionCall", "function_call")]
        for part in (*calls, *results):
            function = next(value for name, value in part.items() if name.startswith("function"))
            if "id" in function and not is_gemini_3(model):
                raise Denied(400, "INVALID_ARGUMENT", 'Unknown name "id" at function_call')
        signed = calls and _member(calls[0], "thoughtSignature", "thought_signature")
        if calls and is_gemini_3(model) and signed not in (SIGNATURE, "skip_thought_signature_validator"):
            raise Denied(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature.")


def _reported(usage: dict[str, Any] | None) -> dict[str, int | None]:
    if not usage or "promptTokenCount" not in usage:
        return {"input_tokens": None, "output_tokens": None, "total_tokens": None}
    thoughts = usage.get("thoughtsTokenCount")
    return {
        "input_tokens": usage["promptTokenCount"],
        "input_cached_tokens": usage.get("cachedContentTokenCount"),
        "output_tokens": usage["candidatesTokenCount"] + (thoughts or 0),
        "output_thought_tokens": thoughts,
        "total_tokens": usage["totalTokenCount"],
    }


def _unary(events: list[dict[str, Any]], plan: Plan) -> Answer:
    last = events[-1]
    for index, candidate in enumerate(last["candidates"]):
        candidate["content"]["parts"] = [e["candidates"][index]["content"]["parts"][0] for e in events]
    if plan.usage == "none":
        last.pop("usageMetadata", None)
    return Answer.json(last, reported=_reported(last.get("usageMetadata")))


ERROR_EVENT = {"error": {"code": 503, "message": "Simulated overload.", "status": "UNAVAILABLE"}}


def _sse(events: list[dict[str, Any]], plan: Plan) -> Answer:
    if plan.error_after is not None:
        events = [*events[: plan.error_after], ERROR_EVENT]
    pieces = [f"data: {json.dumps(event)}{plan.newline * 2}".encode() for event in events]
    usage = events[-1].get("usageMetadata")
    return Answer(200, "text/event-stream", pieces, streamed=True, reported=_reported(usage))


def _json_array(events: list[dict[str, Any]], plan: Plan) -> Answer:
    if plan.error_after is not None:
        events = [*events[: plan.error_after], ERROR_EVENT]
    pieces = [(b"[" if n == 0 else b",\r\n") + json.dumps(event, indent=1).encode() for n, event in enumerate(events)]
    pieces[-1] += b"\n]\n"
    usage = events[-1].get("usageMetadata")
    return Answer(200, pieces=pieces, streamed=True, reported=_reported(usage))


def _predict(model: str, body: dict[str, Any]) -> Answer:
    instances, parameters = body["instances"], body.get("parameters") or {}
    if model.startswith("imagen"):
        if "prompt" not in instances[0]:
            raise Denied(400, "INVALID_ARGUMENT", "Image generation needs a prompt.")
        made = parameters.get("sampleCount", 1)
        image = {"bytesBase64Encoded": base64.b64encode(png()).decode(), "mimeType": "image/png"}
        return Answer.json({"predictions": [image] * made}, reported={"images": made})
    counts = [len(instance["content"].split()) for instance in instances]
    predictions = [
        {"embeddings": {"values": [0.1, 0.2], "statistics": {"token_count": float(n), "truncated": False}}}
        for n in counts
    ]
    return Answer.json(
        {"predictions": predictions, "metadata": {"billableCharacterCount": 11}},
        reported={"input_tokens": sum(counts), "input_items": len(counts)},
    )


def _claude(model: str, body: dict[str, Any], plan: Plan) -> Answer:
    if "anthropic_version" not in body:
        raise Denied(400, "INVALID_ARGUMENT", "anthropic_version: Field required")
    words = [word for m in body["messages"] for word in json.dumps(m["content"]).split()]
    if model == "count-tokens":
        return Answer.json({"input_tokens": len(words)}, reported={"counted_tokens": len(words)})
    if "max_tokens" not in body:
        raise Denied(400, "INVALID_ARGUMENT", "max_tokens: Field required")
    usage = {"input_tokens": len(words), "cache_creation_input_tokens": 2, "cache_read_input_tokens": 5}
    text = " ".join(WORDS[: plan.words])
    message = {
        "id": "msg_vrtx_01",
        "type": "message",
        "role": "assistant",
        "model": model.replace("@", "-"),
        "stop_sequence": None,
    }
    reported: dict[str, int | None] = {
        "input_tokens": len(words) + 7,
        "input_cached_tokens": 5,
        "input_cache_write_tokens": 2,
        "output_tokens": 9,
        "total_tokens": None,
    }
    if not body.get("stream"):
        content = [{"type": "text", "text": text}]
        whole = message | {
            "content": content,
            "stop_reason": "end_turn",
            "usage": usage | {"output_tokens": 9},
        }
        return Answer.json(whole, reported=reported)
    start: dict[str, Any] = message | {
        "content": [],
        "stop_reason": None,
        "usage": usage | {"output_tokens": 1},
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    ]
    if plan.error_after is not None:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        events = [*events[: plan.error_after], {"type": "error", "error": error}]
    pieces = [f"event: {event['type']}\ndata: {json.dumps(event)}  \n\n".encode() for event in events]
    return Answer(200, "text/event-stream; charset=utf-8", pieces, streamed=True, reported=reported)
