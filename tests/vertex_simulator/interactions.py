"""Google's Interactions API, as google-genai speaks it (the types of version 3.6.1, `_gaos/types/interactions`).

`interactions:create` and `interactions:createStream`, which the discovery document has, spell all of it in camelCase.
An interaction in the background is under way when it is asked for once, and completed when it is asked for again.
"""

import json
import re
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from tests.camel_case import camel
from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.exchange import Request

PATH = re.compile(
    r"/v1(?:beta1?)?(?:/projects/[^/]+/locations/[^/]+)?/interactions(?:Http)?(?:/(?P<id>[^/:]+)(?P<cancel>/cancel)?)?"
)
MEMBERS = frozenset(
    "model agent agent_config background cached_content continuation_token environment generation_config input labels"
    " previous_interaction_id response_format response_mime_type response_modalities safety_settings service_tier store"
    " stream system_instruction tools webhook_config".split()
)
TIERS = (None, "flex", "standard", "priority", "deferred")


@dataclass
class _Interaction:
    whole: dict[str, Any]
    """What it is in the end."""
    reported: dict[str, int | None]
    begun: Answer = field(default_factory=Answer)
    """The answer to the request that began it. What it reports is known when it is done."""
    status: str = "completed"
    polls: int = 0

    @property
    def now(self) -> dict[str, Any]:
        if self.status == "completed":
            return self.whole
        return {name: value for name, value in self.whole.items() if name not in ("usage", "steps")} | {
            "status": self.status
        }

    def finish(self) -> None:
        if self.status != "cancelled":
            self.status = "completed"
            self.begun.reported = self.reported


class Interactions:
    def __init__(self) -> None:
        self._all: dict[str, _Interaction] = {}
        self._created = 0

    def answer(self, request: Request, plan: Plan) -> Answer:
        """Raises Denied."""
        match = PATH.fullmatch(request.path)
        assert match
        id = match["id"]
        if id is None:
            if request.method != "POST":
                raise Denied(404, "NOT_FOUND", "Method not found.")
            return self._create(request.json() or {}, plan)
        if id not in self._all:
            raise Denied(404, "NOT_FOUND", f"Interaction not found: {id}")
        one = self._all[id]
        if request.method == "DELETE":
            del self._all[id]
            return Answer.json({})
        if match["cancel"]:
            if one.status != "in_progress":
                raise Denied(400, "INVALID_ARGUMENT", "Only background interactions that are running can be cancelled.")
            one.status = "cancelled"
            return Answer.json(one.now)
        one.polls += 1
        if one.polls > 1 or request.query.get("stream") == ["true"]:
            one.finish()
        if request.query.get("stream") == ["true"]:
            return _streamed(one, plan, after=request.query.get("last_event_id", [""])[0])
        return Answer.json(one.now)

    def act(self, action: str, body: dict[str, Any], plan: Plan) -> Answer:
        """`create` or `createStream`, whose stream is an array without `alt=sse`. Raises Denied."""
        asked = body["interaction"]
        streams = action == "createStream"
        given = {"model": asked["modelInteraction"]["model"], "input": asked["stringContent"], "stream": streams}
        answer = self._create(given, plan)
        if not streams:
            return Answer.json(_in_camel_case(json.loads(answer.pieces[0])), reported=answer.reported)
        events = [json.loads(piece.partition(b"data: ")[2]) for piece in answer.pieces[:-1]]
        wrapped = [{WRAPPERS[event.pop("event_type")]: _in_camel_case(event)} for event in events]
        pieces = [("[,"[n > 0] + json.dumps(event)).encode() for n, event in enumerate(wrapped)]
        return Answer(200, pieces=[*pieces, b"]"], streamed=True, reported=answer.reported)

    def _create(self, body: dict[str, Any], plan: Plan) -> Answer:
        _check(body)
        if previous := body.get("previous_interaction_id"):
            _need(previous in self._all, f"Interaction not found: {previous}")
        self._created += 1
        id = f"v1_{self._created:08}"
        one = self._all[id] = _done(id, body, plan)
        if body.get("stream"):
            one.begun = _streamed(one, plan)
            one.begun.reported = {} if plan.cut is not None or plan.error_after is not None else one.reported
        elif body.get("background"):
            one.status = "in_progress"
            one.begun = Answer.json(one.now)
        else:
            one.begun = Answer.json(one.whole, reported=one.reported)
        return one.begun


WRAPPERS = {
    "interaction.created": "interactionCreatedEvent",
    "interaction.status_update": "interactionStatusUpdate",
    "interaction.completed": "interactionCompletedEvent",
    "step.start": "stepStart",
    "step.delta": "stepDelta",
    "step.stop": "stepStop",
    "error": "errorEvent",
}


def _in_camel_case(interaction: dict[str, Any]) -> Any:
    if "model" in interaction:
        interaction = interaction | {"modelInteraction": {"model": interaction.pop("model")}}
    return camel(interaction)


def _need(holds: object, message: str) -> None:
    if not holds:
        raise Denied(400, "INVALID_ARGUMENT", message)


def _check(body: dict[str, Any]) -> None:
    for name in body:
        _need(name in MEMBERS, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    _need(("model" in body) != ("agent" in body), "Exactly one of model and agent must be set.")
    _need("input" in body or "continuation_token" in body, "input is required.")
    _need("agent" not in body or "generation_config" not in body, "generation_config is for models.")
    _need("agent" not in body or body.get("background") is True, "Agents need background=true.")
    _need(not body.get("background") or body.get("store", True), "background=true needs store=true.")
    _need(body.get("service_tier") in TIERS, "service_tier: unknown value")


def _done(id: str, body: dict[str, Any], plan: Plan) -> _Interaction:
    prompt = len(json.dumps(body.get("input", "")).split())
    searches = any(tool.get("type") == "google_search" for tool in body.get("tools", []))
    tool = 3 if searches else 0
    total = prompt + tool + plan.words + plan.thoughts
    usage: dict[str, Any] = {
        "total_input_tokens": prompt,
        "input_tokens_by_modality": [{"modality": "text", "tokens": prompt}],
        "total_cached_tokens": 1,
        "total_output_tokens": plan.words,
        "output_tokens_by_modality": [{"modality": "text", "tokens": plan.words}],
        "total_tool_use_tokens": tool,
        "total_thought_tokens": plan.thoughts,
        "total_tokens": total,
    }
    if searches:
        usage["tool_use_tokens_by_modality"] = [{"modality": "text", "tokens": tool}]
        usage["grounding_tool_count"] = [{"type": "google_search", "count": 1}, {"type": "google_maps", "count": 7}]
    whole = {name: body[name] for name in ("model", "agent", "previous_interaction_id") if name in body} | {
        "id": id,
        "object": "interaction",
        "status": "completed",
        "created": "2026-11-28T12:00:00Z",
        "updated": "2026-11-28T12:00:01Z",
        "service_tier": body.get("service_tier", "standard"),
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Hello there, you"}]}],
        "usage": usage,
    }
    reported: dict[str, int | None] = {
        "input_tokens": prompt + tool,
        "input_cached_tokens": 1,
        "input_tool_tokens": tool,
        "output_tokens": plan.words + plan.thoughts,
        "output_thought_tokens": plan.thoughts,
        "total_tokens": total,
    }
    if searches:
        reported["search_queries"] = 1
    return _Interaction(whole, reported)


def _streamed(one: _Interaction, plan: Plan, after: str = "") -> Answer:
    lifecycle = {name: one.whole[name] for name in ("id", "object", "created", "updated", "service_tier")}
    lifecycle |= {name: one.whole[name] for name in ("model", "agent") if name in one.whole}
    step = one.whole["steps"][0]
    so_far = {name: count for name, count in one.whole["usage"].items() if name.startswith("total_")}
    events: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": lifecycle | {"status": "in_progress"}},
        {
            "event_type": "interaction.status_update",
            "interaction_id": one.whole["id"],
            "status": "in_progress",
            "usage": {"total_input_tokens": one.whole["usage"]["total_input_tokens"]},
        },
        {"event_type": "step.start", "index": 0, "step": {"type": step["type"]}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hello there,"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": " you"}},
        {"event_type": "step.stop", "index": 0, "usage": so_far, "step_usage": {"total_output_tokens": 2}},
        {
            "event_type": "interaction.completed",
            "interaction": lifecycle | {"status": "completed", "usage": one.whole["usage"]},
        },
    ]
    for number, event in enumerate(events):
        event["event_id"] = f"event-{number}"
    if plan.error_after is not None:
        error = {"event_type": "error", "error": {"code": "internal", "message": "Simulated."}}
        events = [*events[: plan.error_after], error]
    left = [event for event in events if event.get("event_id", "~") > after]
    pieces = [f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n".encode() for event in left]
    return Answer(200, "text/event-stream", [*pieces, b"event: done\ndata: [DONE]\n\n"], streamed=True)
