"""The OpenAI dialect: of an OpenAI upstream, and of Vertex's own OpenAI endpoint (`gemini`)."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.exchange import Request

KEY = "sk-simulated"


def openai_answer(request: Request) -> Answer:
    """Answers as api.openai.com. Raises Denied."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        raise Denied(401, "invalid_api_key", "Incorrect API key provided.")
    plan = Plan.of(request.headers)
    if plan.status >= 400:
        raise Denied(plan.status, "rate_limit_exceeded" if plan.status == 429 else "server_error", "Simulated.")
    if request.path == "/v1/models":
        model = {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai"}
        return Answer.json({"object": "list", "data": [model]})
    if request.path in ("/v1/images/edits", "/v1/images/variations"):
        return _images({})
    operation: Callable[[dict[str, Any], Plan], Answer] | None = {
        "/v1/chat/completions": chat,
        "/v1/responses": responses,
        "/v1/embeddings": lambda body, plan: _embeddings(body),
        "/v1/images/generations": lambda body, plan: _images(body),
    }.get(request.path)
    if operation is None:
        raise Denied(404, "invalid_request_error", f"Unknown request URL: {request.method} {request.path}.")
    return operation(request.json(), plan)


def chat(body: dict[str, Any], plan: Plan, *, gemini: bool = False) -> Answer:
    if gemini and "/" not in body["model"]:
        raise Denied(400, "INVALID_ARGUMENT", "Malformed publisher model name: expected format '<publisher>/<model>'")
    prompt = sum(len(json.dumps(message["content"]).split()) for message in body["messages"])
    reasoning = plan.thoughts
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": 6 if gemini else 6 + reasoning,
        "total_tokens": prompt + 6 + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    if gemini:
        usage["extra_properties"] = {"google": {"traffic_type": "ON_DEMAND"}}
    reported: dict[str, int | None] = {
        "input_tokens": prompt,
        "output_tokens": 6 + reasoning,
        "output_thought_tokens": reasoning,
        "total_tokens": prompt + 6 + reasoning,
    }
    common = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        message = {"role": "assistant", "content": "Hello there."}
        choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
        whole = {**common, "object": "chat.completion", "choices": [choice], "usage": usage}
        return Answer.json(whole, reported=reported)
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"content": "Hello "},
        {"content": "there."},
        {},
    ]
    events: list[dict[str, Any]] = [
        {
            **common,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": "stop" if not delta else None}],
        }
        for delta in deltas
    ]
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    if gemini:
        events[-1]["usage"] = usage
    elif wants_usage:
        events.append({**common, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    else:
        reported = {"input_tokens": None, "output_tokens": None, "total_tokens": None}
    if plan.error_after is not None:
        events = [*events[: plan.error_after], {"error": {"type": "server_error", "message": "Simulated."}}]
        return Answer(200, "text/event-stream", [_data(event) for event in events], streamed=True)
    pieces = [*map(_data, events), b"data: [DONE]\n\n"]
    return Answer(200, "text/event-stream; charset=utf-8", pieces, streamed=True, reported=reported)


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


def _images(body: dict[str, Any]) -> Answer:
    made = body.get("n") or 1
    usage = {
        "input_tokens": 5,
        "input_tokens_details": {"text_tokens": 5, "image_tokens": 0},
        "output_tokens": 100 * made,
        "total_tokens": 5 + 100 * made,
    }
    data = [{"b64_json": base64.b64encode(b"png").decode()}] * made
    return Answer.json(
        {"created": 1, "data": data, "usage": usage},
        reported={
            "images": made,
            "input_tokens": 5,
            "output_tokens": 100 * made,
            "total_tokens": 5 + 100 * made,
        },
    )


def _data(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()
