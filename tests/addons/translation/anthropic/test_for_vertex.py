import json
from typing import Any

import pytest
from hypothesis import given

from addons.translation.anthropic.for_vertex import betas_for_vertex
from addons.translation.anthropic.for_vertex import body_for_vertex
from addons.translation.anthropic.for_vertex import name_at_vertex
from addons.translation.errors import InvalidRequest
from tests.addons.translation.messages import requests

Json = dict[str, Any]


def sent(raw: str, counted: str | None = None) -> str:
    return body_for_vertex(raw.encode(), json.loads(raw), counted).decode()


def test_all_other_bytes_pass() -> None:
    raw = '{ "model" : "claude-opus-5", "messages":[{"role":"user","content":"H\\u00e9 \\/"}],\n"temperature":1e0 }\n'
    assert sent(raw) == (
        '{"anthropic_version":"vertex-2023-10-16", "messages":[{"role":"user","content":"H\\u00e9 \\/"}],\n'
        '"temperature":1e0 }\n'
    )


def test_a_version_of_the_clients_own_stays() -> None:
    assert sent('{"anthropic_version":"2026-10-21","model":"m","x":1}') == '{"anthropic_version":"2026-10-21","x":1}'


def test_the_counted_model_stays_in_the_body() -> None:
    assert sent('{"model":"opus","x":1}', "claude-opus-5") == (
        '{"anthropic_version":"vertex-2023-10-16","model":"claude-opus-5","x":1}'
    )


def test_no_object() -> None:
    with pytest.raises(InvalidRequest):
        body_for_vertex(b"[]", {})


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-opus-4-5-20251101", "claude-opus-4-5@20251101"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5@20251101"),
        ("claude-opus-5", "claude-opus-5"),
        ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet-v2@20241022"),
    ],
)
def test_names(model: str, expected: str) -> None:
    assert name_at_vertex(model) == expected


KNOWN = (
    "claude-code-20250219 compact-2026-01-12 computer-use-2024-10-22 computer-use-2025-01-24 computer-use-2025-11-24"
    " context-1m-2025-08-07 context-management-2025-06-27 fine-grained-tool-streaming-2025-05-14"
    " interleaved-thinking-2025-05-14 output-128k-2025-02-19 token-efficient-tools-2025-02-19"
    " tool-search-tool-2025-10-19"
)


@pytest.mark.parametrize("beta", KNOWN.split())
def test_betas_that_vertex_knows(beta: str) -> None:
    assert betas_for_vertex(beta) == (beta, [])


@pytest.mark.parametrize(
    ("header", "kept", "dropped"),
    [
        ("", "", []),
        ("oauth-2025-04-20", "", ["anthropic-beta.oauth-2025-04-20"]),
        # What Vertex AI is known to refuse.
        (
            "claude-code-20250219, prompt-caching-scope-2026-01-05,,effort-2025-11-24,context-1m-2025-08-07",
            "claude-code-20250219,context-1m-2025-08-07",
            ["anthropic-beta.prompt-caching-scope-2026-01-05", "anthropic-beta.effort-2025-11-24"],
        ),
        # Another name of the same.
        ("advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19", "tool-search-tool-2025-10-19", []),
    ],
)
def test_betas(header: str, kept: str, dropped: list[str]) -> None:
    assert betas_for_vertex(header) == (kept, dropped)


def test_what_other_models_have_signed_does_not_go_to_claude() -> None:
    own = {"type": "thinking", "thinking": "hm", "signature": "EqQBCg=="}
    cited = {"type": "web_search_result_location", "encrypted_index": "abc"}
    before = [
        {"type": "thinking", "thinking": "hm", "signature": "google:c2lnbmVk"},
        {"type": "thinking", "thinking": "hm", "signature": "unsigned:"},
        own,
        {"type": "text", "text": "a", "citations": [cited, cited | {"encrypted_index": "unsigned:"}]},
        {"type": "tool_use", "id": "toolu_1__thought__c2lnbmVk", "name": "f", "input": {}},
    ]
    result = {"type": "tool_result", "tool_use_id": "toolu_1__thought__c2lnbmVk", "content": "google:x"}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": before},
        {"role": "user", "content": [result]},
    ]
    written = json.loads(sent(json.dumps({"model": "m", "messages": messages})))
    assert written["messages"] == [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                own,
                {"type": "text", "text": "a", "citations": [cited]},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "google:x"}]},
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "thinking", "thinking": "", "signature": "google:c2lnbmVk"}, []),
        ({"type": "thinking", "thinking": "", "signature": "unsigned:"}, []),
        (
            {"type": "tool_use", "id": "1__thought__c2lnbmVk", "name": "f", "input": {}},
            [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]}],
        ),
    ],
)
def test_each_of_them_alone(block: Json, expected: list[Json]) -> None:
    """Claude refuses a message without content, so that is left out."""
    messages = [{"role": "assistant", "content": [block]}]
    written = json.loads(sent(json.dumps({"model": "m", "messages": messages})))
    assert written["messages"] == expected


def test_a_prompt_that_only_looks_like_it_passes() -> None:
    raw = '{ "model":"m","messages": [{"role":"user","content":"google:x unsigned: __thought__"}]}'
    assert sent(raw).endswith('"messages": [{"role":"user","content":"google:x unsigned: __thought__"}]}')


@given(requests)
def test_any_request(asked: Json) -> None:
    written = json.loads(sent(json.dumps(asked)))
    assert written.pop("anthropic_version") == "vertex-2023-10-16"
    text = json.dumps(written["messages"])
    assert '"google:c2lnbmVk"' not in text
    assert "__thought__" not in text
    if "c2lnbmVk" not in json.dumps(asked) and '"unsigned:"' not in json.dumps(asked):
        assert set(written) == asked.keys() - {"model"}
