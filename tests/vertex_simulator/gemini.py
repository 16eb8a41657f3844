"""Gemini: generateContent and its streams, and what is refused of a conversation."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.gemini_images import check_image_request
from tests.vertex_simulator.gemini_images import image_answer
from tests.vertex_simulator.gemini_images import is_image_model
from tests.vertex_simulator.gemini_rules import check_conversation
from tests.vertex_simulator.gemini_rules import is_gemini_3
from tests.vertex_simulator.gemini_rules import is_speaking
from tests.vertex_simulator.pictures import png
from tests.vertex_simulator.samples import CITIES
from tests.vertex_simulator.samples import THOUGHT
from tests.vertex_simulator.samples import WORDS


def _common(body: dict[str, Any]) -> dict[str, str]:
    """Members of each event. Each answer of a conversation has an id of its own: applications join those of one id."""
    return {"responseId": f"resp-{len(body['contents']):04}", "createTime": "2026-03-12T18:06:06.323808Z"}


def generate(action: str, model: str, body: dict[str, Any], plan: Plan, *, as_events: bool) -> Answer:
    """Raises Denied."""
    check_conversation(model, body, SIGNATURE)
    if is_image_model(model):
        check_image_request(model, body)
        events = [
            {**event, "modelVersion": model, **_common(body)}
            for event in image_answer(model, body, count(body["contents"]), plan.padding)
        ]
    else:
        events = list(_generate(model, body, plan))
    if action == "generateContent":
        return _unary(events, plan)
    return _sse(events, plan) if as_events else _json_array(events, plan)


def texts(contents: Any) -> list[str]:
    """All words of text in contents, whichever spelling their parts have."""
    contents = contents if isinstance(contents, list) else [contents or {}]
    parts = [part for content in contents for part in content.get("parts", [])]
    return [word for part in parts for word in part.get("text", "").split()]


def count(contents: Any) -> int:
    contents = contents if isinstance(contents, list) else [contents or {}]
    parts = [part for content in contents for part in content.get("parts", [])]
    media = sum(1 for part in parts if {"inlineData", "inline_data", "fileData", "file_data"} & part.keys())
    return len(texts(contents)) + 258 * media


def _member(value: dict[str, Any], camel: str, snake: str) -> Any:
    return value.get(camel, value.get(snake))


def _generate(model: str, body: dict[str, Any], plan: Plan) -> Iterator[dict[str, Any]]:
    """The events of an answer; the last one has the finish reason and the usage."""
    config = _member(body, "generationConfig", "generation_config") or {}
    prompt = count(body["contents"]) + count(body.get("systemInstruction"))
    thinking = _member(config, "thinkingConfig", "thinking_config") or {}
    thoughts = plan.thoughts or (7 if thinking else 0)
    modalities = _member(config, "responseModalities", "response_modalities") or []
    parts = _answer_parts(model, body, config, plan)
    if "IMAGE" in modalities:
        parts.append({"inlineData": {"mimeType": "image/png", "data": base64.b64encode(png()).decode()}})
    if thoughts and _member(thinking, "includeThoughts", "include_thoughts"):
        parts.insert(0, {"text": THOUGHT, "thought": True})
    if plan.padding:
        parts.append({"inlineData": {"mimeType": "image/png", "data": "A" * plan.padding}})
    if plan.finish != "STOP":
        parts.append({})
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
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        listed = []
        for index in range(candidates):
            candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}} if part else {}
            if candidates > 1:
                candidate["index"] = index
            if last:
                candidate["finishReason"] = plan.finish
                if plan.finish != "STOP":
                    candidate["finishMessage"] = f"Simulated: {plan.finish}."
                if _member(config, "responseLogprobs", "response_logprobs"):
                    candidate["logprobsResult"] = _logprobs(config.get("logprobs") or 0)
                if _searches(body):
                    candidate["groundingMetadata"] = GROUNDING
            listed.append(candidate)
        event: dict[str, Any] = {"candidates": listed, "modelVersion": model, **_common(body)}
        if plan.usage == "cumulative":
            event["usageMetadata"] = usage | {"candidatesTokenCount": position + 1}
        elif plan.usage in ("final", "traffic"):
            event["usageMetadata"] = {"trafficType": "ON_DEMAND"}
        if last and plan.usage in ("final", "cumulative"):
            event["usageMetadata"] = usage
        yield event


GROUNDING = {
    "webSearchQueries": ["an example"],
    "searchEntryPoint": {"renderedContent": "<div></div>"},
    "groundingChunks": [{"web": {"uri": "https://example.com/", "title": "Example", "domain": "example.com"}}],
    "groundingSupports": [{"segment": {"endIndex": 5, "text": "Hello"}, "groundingChunkIndices": [0]}],
}


def _searches(body: dict[str, Any]) -> bool:
    return any(_member(tool, "googleSearch", "google_search") is not None for tool in body.get("tools", []))


def _answer_parts(model: str, body: dict[str, Any], config: dict[str, Any], plan: Plan) -> list[dict[str, Any]]:
    declared = [
        function
        for tool in body.get("tools", [])
        for function in _member(tool, "functionDeclarations", "function_declarations") or []
    ]
    if is_speaking(model):
        return [{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": sound}} for sound in SOUND]
    parts = [part for content in body["contents"] for part in content["parts"]]
    answered = sum("functionResponse" in part or "function_response" in part for part in parts)
    scripted = [call for part in parts for call in _scripted(part)]
    names = [function["name"] for function in declared]
    if declared and answered < len(scripted):
        return [{"text": "I try. "}, *_turn(model, names, scripted, answered)]
    if declared and not scripted and not answered:
        if plan.call not in ("", *names):
            raise Denied(400, "INVALID_ARGUMENT", f"The test wants a call of {plan.call}, but there are {names}.")
        cities = [CITIES[number % len(CITIES)] for number in range(plan.calls)]
        return [
            _call(model, plan.call or names[0], number, plan.arguments or {"city": city}, is_first=not number)
            for number, city in enumerate(cities)
        ]
    if _member(config, "responseMimeType", "response_mime_type") == "application/json":
        return [{"text": '{"answer": '}, {"text": "42}"}]
    words = [WORDS[n % len(WORDS)] for n in range(plan.words)]
    size = max(-(-len(words) // plan.events), 1)
    return [{"text": " ".join(words[n : n + size]) + " "} for n in range(0, len(words), size)]


SOUND = [base64.b64encode(bytes(range(start, start + 4))).decode() for start in (0, 4, 8)]
"""Pieces of samples. None has a number of bytes that is a multiple of 3, so their base64 cannot be put together."""


def _scripted(part: dict[str, Any]) -> Iterator[tuple[bool, str, dict[str, Any]]]:
    """What a part of a prompt says is to be called: whether together with the one before, the name, the arguments."""
    for word, name, arguments in SCRIPT.findall(part.get("text", "")):
        # Some applications quote a prompt within another, as JSON.
        with contextlib.suppress(ValueError):
            yield word == "and", name, json.loads(arguments)


SCRIPT = re.compile(r"simulator: (call|and) (\S+) (\{.*\})$", re.MULTILINE)
"""A prompt may say what the model is to call, in turn: `simulator: call NAME {arguments}`, each on a line; those with
`and` in the same turn as the line above."""


def _turn(
    model: str, declared: list[str], scripted: list[tuple[bool, str, dict[str, Any]]], answered: int
) -> Iterator[dict[str, Any]]:
    """The calls of the turn that comes when so many calls were answered. Raises Denied."""
    for number, (is_together, name, arguments) in enumerate(scripted[answered:], answered):
        if number > answered and not is_together:
            break
        # Some applications put a prefix before the names of their tools.
        called = next((one for one in declared if one == name or one.endswith(f"_{name}")), None)
        if called is None:
            raise Denied(400, "INVALID_ARGUMENT", f"{name} is none of the functions {', '.join(declared)}.")
        yield _call(model, called, number, arguments, is_first=number == answered)


SIGNATURE = base64.b64encode(b"a thought of the simulator").decode()


def _call(model: str, name: str, number: int, arguments: dict[str, Any], *, is_first: bool) -> dict[str, Any]:
    """Gemini 3 numbers its calls, and signs the first of a turn."""
    call: dict[str, Any] = {"functionCall": {"name": name, "args": arguments}}
    if is_gemini_3(model):
        call["functionCall"]["id"] = f"call-{number}"
        if is_first:
            call["thoughtSignature"] = SIGNATURE
    return call


def _logprobs(top: int) -> dict[str, Any]:
    tokens = [{"token": "Hé", "logProbability": -0.25, "tokenId": 7}, {"token": "llo", "logProbability": -1.5}]
    tops = [{"candidates": [{"token": f"t{n}", "logProbability": -0.5 * n} for n in range(top)]} for _ in tokens]
    return {"chosenCandidates": tokens, "topCandidates": tops}


def _reported(event: dict[str, Any]) -> dict[str, int | None]:
    """What the last event tells."""
    usage = event.get("usageMetadata")
    if not usage or "promptTokenCount" not in usage:
        return {"input_tokens": None, "output_tokens": None, "total_tokens": None}
    thoughts = usage.get("thoughtsTokenCount")
    reported: dict[str, int | None] = {
        "input_tokens": usage["promptTokenCount"],
        "input_cached_tokens": usage.get("cachedContentTokenCount"),
        "output_tokens": usage.get("candidatesTokenCount", 0) + (thoughts or 0),
        "output_thought_tokens": thoughts,
        "total_tokens": usage["totalTokenCount"],
    }
    for candidate in event["candidates"]:
        if "groundingMetadata" in candidate:
            reported["search_queries"] = len(candidate["groundingMetadata"]["webSearchQueries"])
    return reported


def _images(events: list[dict[str, Any]]) -> dict[str, int | None]:
    """The images of image models, which are counted; a sketch is not."""
    candidates = [candidate for event in events for candidate in event.get("candidates", [])]
    parts = [part for candidate in candidates for part in candidate.get("content", {}).get("parts", [])]
    made = [part for part in parts if "inlineData" in part and not part.get("thought")]
    return {"images": len(made)} if made else {}


def _unary(events: list[dict[str, Any]], plan: Plan) -> Answer:
    last, images = events[-1], _images(events)
    for index, candidate in enumerate(last["candidates"]):
        if "content" in candidate:
            candidate["content"]["parts"] = [e["candidates"][index]["content"]["parts"][0] for e in events]
        elif len(events) > 1:
            told = [e["candidates"][index]["content"]["parts"][0] for e in events[:-1]]
            candidate["content"] = {"role": "model", "parts": told}
    if plan.usage == "none":
        last.pop("usageMetadata", None)
    return Answer.json(last, reported=_reported(last) | images)


ERROR_EVENT = {"error": {"code": 503, "message": "Simulated overload.", "status": "UNAVAILABLE"}}


def _sse(events: list[dict[str, Any]], plan: Plan) -> Answer:
    if plan.error_after is not None:
        events = [*events[: plan.error_after], ERROR_EVENT]
    pieces = [f"data: {json.dumps(event)}{plan.newline * 2}".encode() for event in events]
    return Answer(200, "text/event-stream", pieces, streamed=True, reported=_reported(events[-1]) | _images(events))


def _json_array(events: list[dict[str, Any]], plan: Plan) -> Answer:
    if plan.error_after is not None:
        events = [*events[: plan.error_after], ERROR_EVENT]
    pieces = [(b"[" if n == 0 else b",\r\n") + json.dumps(event, indent=1).encode() for n, event in enumerate(events)]
    pieces[-1] += b"\n]\n"
    return Answer(200, pieces=pieces, streamed=True, reported=_reported(events[-1]) | _images(events))
