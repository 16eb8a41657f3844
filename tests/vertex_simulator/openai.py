"""The OpenAI dialect: of an OpenAI upstream, and (chat, responses) of Vertex's own OpenAI endpoint (`gemini`)."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.vertex_simulator.background import PREFIX
from tests.vertex_simulator.background import Background
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.exchange import Request
from tests.vertex_simulator.openai_chat import chat
from tests.vertex_simulator.openai_chat import check_chat
from tests.vertex_simulator.openai_errors import Refused
from tests.vertex_simulator.openai_images import edits
from tests.vertex_simulator.openai_images import generations
from tests.vertex_simulator.openai_images import variations

KEY = "sk-simulated"
MODEL = {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai"}


def openai_answer(request: Request, background: Background) -> Answer:
    """Answers as api.openai.com."""
    plan = Plan.of(request.headers)
    try:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused("Incorrect API key provided.", code="invalid_api_key", status=401)
        if plan.status >= 400:
            raise _planned(plan)
        return background.answer(request) if request.path.startswith(PREFIX) else _answer(request, plan, background)
    except Refused as e:
        return e.answer()


def _planned(plan: Plan) -> Refused:
    refused = Refused("Simulated.", status=plan.status)
    refused.type = "rate_limit_exceeded" if plan.status == 429 else "server_error"
    return refused


def _answer(request: Request, plan: Plan, background: Background) -> Answer:
    if request.path == "/v1/models":
        return Answer.json({"object": "list", "data": [MODEL]})
    of_forms = {"/v1/images/edits": edits, "/v1/images/variations": variations}
    if operation := of_forms.get(request.path):
        return operation(request)
    answers: dict[str, Callable[[dict[str, Any], Plan], Answer]] = {
        "/v1/chat/completions": _checked_chat,
        "/v1/responses": lambda body, plan: _responses(body, plan, background),
        "/v1/embeddings": lambda body, plan: _embeddings(body),
        "/v1/images/generations": lambda body, plan: generations(body),
    }
    if request.path not in answers:
        raise Refused(f"Unknown request URL: {request.method} {request.path}.", code="unknown_url", status=404)
    try:
        return answers[request.path](request.json(), plan)
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Refused(f"The body has not the shape that it should have: {e!r}") from e


def _checked_chat(body: dict[str, Any], plan: Plan) -> Answer:
    check_chat(body)
    return chat(body, plan)


def _responses(body: dict[str, Any], plan: Plan, background: Background) -> Answer:
    answer = responses(body, plan)
    return background.begin(body, answer) if body.get("background") else answer


def responses(body: dict[str, Any], plan: Plan, *, gemini: bool = False) -> Answer:
    prompt = len(json.dumps(body["input"]).split())
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": prompt + 6,
    }
    reported: dict[str, int | None] = {
        "input_tokens": prompt,
        "input_cached_tokens": 1,
        "output_tokens": 6,
        "output_thought_tokens": 2,
        "total_tokens": prompt + 6,
    }
    text = {"type": "output_text", "text": "Hello there.", "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    common = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": body["model"],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    whole = {**common, "status": "completed", "output": [item], "usage": usage}
    if not body.get("stream"):
        return Answer.json(whole, reported=reported)
    events: list[dict[str, Any]] = [
        {
            "type": "response.created",
            "response": {**common, "status": "in_progress", "output": [], "usage": None},
        },
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hello there.",
            "logprobs": [],
        },
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    if plan.error_after is not None:
        failed = {
            **common,
            "status": "failed",
            "output": [],
            "error": {"code": "server_error", "message": "x"},
        }
        events = [*events[: plan.error_after], {"type": "response.failed", "response": failed}]
        reported = {}
    for number, event in enumerate(events):
        event["sequence_number"] = number
    pieces = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    return Answer(200, "text/event-stream; charset=utf-8", pieces, streamed=True, reported=reported)


def _embeddings(body: dict[str, Any]) -> Answer:
    inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
    tokens = sum(len(text.split()) for text in inputs)
    as_text = body.get("encoding_format") == "base64"
    vector: object = base64.b64encode(b"\0\0\x80?").decode() if as_text else [1.0]
    data = [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(inputs))]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Answer.json(
        {"object": "list", "data": data, "model": body["model"], "usage": usage},
        reported={"input_tokens": tokens, "total_tokens": tokens, "input_items": len(inputs)},
    )
