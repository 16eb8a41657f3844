"""Messages and events of Claude's answers for tests."""

import json

from addons.translation.anthropic.read_answer import AnswerReader
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from tests.addons.translation.anthropic.bodies import Json


def message(*content: object, **members: object) -> Json:
    return {
        "type": "message",
        "id": "msg_1",
        "model": "claude-x",
        "role": "assistant",
        "content": [*content],
        **members,
    }


def read(*documents: object, reader: AnswerReader | None = None) -> list[Answer]:
    reader = reader or AnswerReader()
    answers = [reader.read(document) for document in documents]
    assert reader.failure is None
    return answers


def choice_of(*documents: object, reader: AnswerReader | None = None) -> Choice:
    """All that was told of the one choice."""
    whole = Choice(0)
    for answer in read(*documents, reader=reader):
        for choice in answer.choices:
            assert choice.index == 0
            whole.parts += choice.parts
            whole.citations += choice.citations
            whole.searches += choice.searches
            whole.finish = choice.finish or whole.finish
            whole.refusal = choice.refusal or whole.refusal
            whole.is_invalid = choice.is_invalid or whole.is_invalid
    return whole


def started(**usage: object) -> Json:
    head = message(stop_reason=None, usage={"input_tokens": 10, "output_tokens": 1, **usage})
    return {"type": "message_start", "message": head}


def begin(index: int, **block: object) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **members: object) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def end(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def stopped(reason: str = "end_turn", **usage: object) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


STOP = {"type": "message_stop"}


def cited(url: str, title: str | None = "T") -> Json:
    return {"type": "web_search_result_location", "url": url, "title": title, "cited_text": "x", "encrypted_index": "y"}


def streamed_events(content: list[Json], size: int) -> list[Json]:
    events: list[Json] = []
    for index, block in enumerate(content):
        kind = block["type"]
        member = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}[kind]
        whole = json.dumps(block["input"]) if kind == "tool_use" else block[member]
        empty = {"text": "", "thinking": "", "signature": "", "input": {}, "citations": []}
        events.append(begin(index, **{**block, **empty}))
        name = "input_json_delta" if kind == "tool_use" else f"{kind}_delta"
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        events += [delta(index, name, **{member: piece}) for piece in pieces]
        events += [delta(index, "citations_delta", citation=citation) for citation in block.get("citations", [])]
        if block.get("signature"):
            events.append(delta(index, "signature_delta", signature=block["signature"]))
        events.append(end(index))
    return events
