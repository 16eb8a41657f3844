import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Format
from addons.translation.conversation import Thinking
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_responses.read_request import REPEATED_ONLY
from addons.translation.openai_responses.read_request import read_request
from addons.translation.openai_responses.schema import SKIPPED
from addons.translation.openai_responses.write_answer import write_answer
from tests.addons.translation import chats
from tests.addons.translation.chats import check
from tests.addons.translation.chats import exactly
from tests.addons.translation.chats import maybe
from tests.addons.translation.openai_responses.inputs import SEALED
from tests.addons.translation.openai_responses.inputs import call
from tests.addons.translation.openai_responses.inputs import output
from tests.addons.translation.openai_responses.inputs import read
from tests.addons.translation.openai_responses.inputs import reasoning
from tests.addons.translation.openai_responses.inputs import refused
from tests.addons.translation.openai_responses.inputs import tool
from tests.addons.translation.unheard import SERVICES
from tests.addons.translation.unheard import unheard
from tests.metering.test_json_array import json_values

Json = dict[str, Any]


class TestParameters:
    def test_those_with_a_target(self) -> None:
        request = read(
            temperature=0,
            top_p=0.5,
            top_k=3,
            seed=7,
            stop="x",
            max_output_tokens=5,
            service_tier="flex",
            stream=True,
            project_id="p",
            region="l",
            labels={"a": "b"},
            extra_body={"google": {"thinking_config": {"include_thoughts": True}}},
        )
        assert (request.temperature, request.top_p, request.top_k, request.seed) == (0, 0.5, 3, 7)
        assert (request.stop, request.max_tokens, request.service_tier, request.stream) == (["x"], 5, "flex", True)
        assert (request.project, request.location, request.notes.dropped) == ("p", "l", [])
        assert request.google
        assert request.google.request == {"labels": {"a": "b"}}
        assert request.google.generation_config == {"thinkingConfig": {"includeThoughts": True}}

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, (False, None)),
            ({"include": ["message.output_text.logprobs"]}, (True, None)),
            ({"top_logprobs": 3}, (True, 3)),
            ({"top_logprobs": 0}, (False, 0)),
        ],
    )
    def test_logprobs(self, members: Json, expected: object) -> None:
        request = read(**members)
        assert (request.logprobs, request.top_logprobs) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (None, None),
            ({}, None),
            ({"format": {"type": "text"}}, None),
            ({"format": {"type": "json_object"}}, Format(None, "text.format")),
            (
                {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
                Format({"type": "object"}, "text.format", name="n"),
            ),
        ],
    )
    def test_formats(self, text: object, expected: Format | None) -> None:
        assert read(text=text).format == expected

    def test_a_format_that_is_an_instruction_goes_by_the_clients_name(self) -> None:
        body = {"model": "gemini-2.5-flash", "input": "x", "tools": [tool()]}
        request = read_request(body | {"text": {"format": {"type": "json_object"}}})
        assert write_for_gemini(request).notes.assumed == ["text.format=instruction"]

    @pytest.mark.parametrize(
        ("reasoning", "expected"),
        [
            (None, None),
            ({}, None),
            ({"effort": "low"}, Thinking("low", param="reasoning")),
            ({"effort": "xhigh", "summary": "auto"}, Thinking("xhigh", include=True, param="reasoning")),
            ({"summary": "detailed"}, Thinking(include=True, param="reasoning")),
            ({"generate_summary": "concise"}, Thinking(include=True, param="reasoning")),
        ],
    )
    def test_thinking(self, reasoning: object, expected: Thinking | None) -> None:
        assert read(reasoning=reasoning).thinking == expected

    @pytest.mark.parametrize(
        ("members", "dropped"),
        [
            ({"metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k"}, REPEATED_ONLY),
            ({"stream_options": {"include_obfuscation": True}}, ["stream_options.include_obfuscation"]),
            ({"store": False, "truncation": "disabled", "stream_options": {"include_obfuscation": False}}, []),
            ({"background": False, "previous_response_id": None, "parallel_tool_calls": True}, []),
            ({"store": True}, ["store"]),
            ({"truncation": "auto"}, ["truncation"]),
            ({"text": {"verbosity": "low"}}, ["text.verbosity"]),
            ({"reasoning": {"effort": "low", "mode": "pro"}}, ["reasoning.mode"]),
            ({"parallel_tool_calls": False, "max_tool_calls": 2}, ["max_tool_calls"]),
            ({"include": [*SEALED, "file_search_call.results"]}, ["include[1]"]),
            ({"n": 2}, ["n"]),
        ],
    )
    def test_what_has_no_target_is_named(self, members: Json, dropped: Sequence[str]) -> None:
        assert read(**members).notes.dropped == [*dropped]

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"conversation": {"id": "conv_1"}}, "conversation"),
            ({"prompt": {"id": "pmpt_1"}}, "prompt"),
            ({"background": True}, "background"),
            ({"max_output_tokens": 0}, "max_output_tokens"),
            ({"temperature": 3}, "temperature"),
            ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
            ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
            ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
            ({"metadata": {"a": 1}}, "metadata.a"),
            ({"model": ""}, "model"),
        ],
    )
    def test_what_is_refused(self, members: Json, param: str) -> None:
        assert refused(**members) == param


parts = (
    exactly(type=st.just("input_text"), text=st.text(max_size=12))
    | exactly(maybe(detail=st.sampled_from(["auto", "high"])), type=st.just("input_image"), image_url=chats.urls)
    | exactly(maybe(filename=st.just("a.csv")), type=st.just("input_file"), file_data=chats.encoded)
)

contents = chats.contents | st.lists(parts, max_size=3)

sealed = chats.encoded.map(lambda value: f"google:{value}") | chats.encoded.map(lambda value: f"anthropic:{value}")

items = (
    exactly(maybe(type=st.just("message")), role=st.sampled_from(["user", "assistant"]), content=contents)
    | exactly(role=st.sampled_from(["system", "developer"]), content=chats.instructions)
    | st.builds(reasoning, st.none() | chats.words | sealed, chats.words)
    | exactly(type=st.just("image_generation_call"), result=st.none() | chats.encoded)
    | exactly(type=st.sampled_from(sorted(SKIPPED)))
)


@st.composite
def rounds(draw: st.DrawFn) -> list[Json]:
    """Calls in parallel, with something between them, and their results in any order."""
    ids = [f"call_{number}" for number in range(draw(st.integers(1, 3)))]
    ids = [id + draw(st.just("") | chats.encoded.map(lambda value: f"__thought__{value}")) for id in ids]
    called: list[Json] = []
    for id in ids:
        called += draw(st.lists(st.builds(reasoning, sealed), max_size=1))
        called.append(call(id, draw(chats.names), draw(chats.objects.map(json.dumps))))
    return called + [output(id, draw(chats.results)) for id in draw(st.permutations(ids))]


histories = st.builds(
    lambda first, more: [first, *(item for part in more for item in part)],
    exactly(role=st.just("user"), content=chats.words),
    st.lists(st.lists(items, min_size=1, max_size=1) | rounds(), max_size=4),
)


@st.composite
def toolboxes(draw: st.DrawFn) -> Json:
    tools = [
        tool(f"f{number}", **draw(maybe(parameters=chats.object_schemas))) for number in range(draw(st.integers(0, 2)))
    ]
    hosted = draw(st.lists(st.sampled_from([{"type": "web_search"}, {"type": "image_generation"}]), max_size=2))
    choices: list[Any] = ["none", "auto", "required", *tools, *hosted]
    choices += [{"type": "allowed_tools", "mode": "auto", "tools": [*tools, *hosted]}]
    return {"tools": [*tools, *hosted], "tool_choice": draw(st.sampled_from(choices))}


requests: st.SearchStrategy[Json] = st.builds(
    lambda request, toolbox, options: {**options, **toolbox, **request},
    exactly(model=st.sampled_from(chats.MODELS), input=chats.words | histories),
    st.just({}) | toolboxes(),
    maybe(
        instructions=st.text(max_size=9),
        temperature=st.floats(0, 2),
        max_output_tokens=st.integers(1, 99),
        top_logprobs=st.integers(0, 20),
        include=st.lists(st.sampled_from([*SEALED, "message.output_text.logprobs"])),
        text=exactly(format=exactly(type=st.sampled_from(["text", "json_object"])))
        | exactly(format=exactly(type=st.just("json_schema"), name=chats.names, schema=chats.object_schemas)),
        reasoning=maybe(effort=st.sampled_from(["none", "low", "max"]), summary=st.just("auto")),
        google=chats.google,
        seed=st.integers(),
        stream=st.booleans(),
    ),
).filter(chats.is_possible)


@st.composite
def half_valid(draw: st.DrawFn) -> Json:
    return chats.spoiled(draw, draw(requests), "input")


@given(requests)
def test_any_request(body: Json) -> None:
    before = json.dumps(body)
    check(write_for_gemini(read_request(body)).body)
    assert json.dumps(body) == before


@given(half_valid())
def test_any_request_nearly_right(body: Json) -> None:
    try:
        request = read_request(body)
        check(write_for_gemini(request).body)
    except InvalidRequest:
        return
    json.dumps(write_answer(Answer(), request.model, body), allow_nan=False)


@given(st.dictionaries(st.text(), json_values))
def test_any_json(body: Json) -> None:
    with pytest.raises(InvalidRequest):
        read_request(body)


@pytest.mark.parametrize(
    ("members", "param", "cure"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "send the whole input"),
        ({"conversation": "conv_1"}, "conversation", "send the whole input"),
        ({"conversation": {"id": "conv_1"}}, "conversation", "send the whole input"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "instructions"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]", "providerOptions.openai.store"),
        ({"input": [{"type": "image_generation_call", "id": "ig_1"}]}, "input[0]", "result"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]},
            "input[0].content[0].file_id",
            "image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
            "input[0].content[0].file_id",
            "file_data",
        ),
    ],
)
def test_what_would_be_stored_gets_an_error_with_the_cure(members: Json, param: str, cure: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_request({"model": "m", "input": "Hi", **members})
    assert caught.value.param == param
    assert cure in caught.value.message
    assert "stored" in caught.value.message


WHOLE: Json = {
    "instructions": "Be brief.",
    "input": [
        {
            "type": "message",
            "id": "msg_0",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "google:c2lnbmVk",
            "content": [{"type": "reasoning_text", "text": "t"}],
            "status": "completed",
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "phase": "commentary",
            "content": [
                {
                    "type": "output_text",
                    "text": "b",
                    "annotations": [{"type": "url_citation"}],
                    "logprobs": [{"token": "b"}],
                }
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_2",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "anthropic:c2lnbmVk",
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "1",
            "name": "wait",
            "namespace": "agents",
            "arguments": '{"a": 1}',
            "caller": {"type": "direct"},
        },
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "2", "name": "patch", "input": "***"},
        {"type": "shell_call", "call_id": "3", "action": {"commands": ["ls"], "timeout_ms": 5}, "status": "completed"},
        {
            "type": "apply_patch_call",
            "call_id": "4",
            "operation": {"type": "create_file", "path": "a", "diff": "+x"},
            "status": "completed",
        },
        {"type": "function_call_output", "call_id": "1", "output": "x"},
        {"type": "custom_tool_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "y"}]},
        {
            "type": "shell_call_output",
            "call_id": "3",
            "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
            "max_output_length": 9,
        },
        {"type": "apply_patch_call_output", "call_id": "4", "status": "completed", "output": "ok"},
        {"type": "mcp_call", "id": "mcp_1", "name": "n", "server_label": "l", "arguments": "{}", "output": "o"},
        {
            "type": "additional_tools",
            "role": "developer",
            "tools": [{"type": "function", "name": "late", "description": "late one"}],
        },
        {"role": "user", "content": "go"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "strict": True,
            "defer_loading": True,
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
        },
        {
            "type": "namespace",
            "name": "agents",
            "description": "about",
            "tools": [
                {
                    "type": "function",
                    "name": "wait",
                    "description": "w",
                    "strict": True,
                    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
                },
                {"type": "custom", "name": "sql", "description": "s"},
            ],
        },
        {
            "type": "custom",
            "name": "patch",
            "description": "p",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        },
        {"type": "shell", "environment": {"type": "local", "skills": [{"name": "s"}]}},
        {"type": "apply_patch", "allowed_callers": ["direct"]},
        {
            "type": "tool_search",
            "execution": "client",
            "description": "find",
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
        },
        {"type": "web_search", "external_web_access": True, "filters": {"allowed_domains": ["a"]}},
        {"type": "file_search", "vector_store_ids": ["v"]},
    ],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 50,
    "max_tool_calls": 3,
    "reasoning": {"effort": "low", "summary": "auto", "context": "auto"},
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
    "text": {
        "verbosity": "low",
        "format": {
            "type": "json_schema",
            "name": "reply",
            "description": "d",
            "strict": True,
            "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
    },
    "service_tier": "fast",
    "user": "u",
    "safety_identifier": "s",
    "metadata": {"a": "b"},
    "store": True,
    "truncation": "auto",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"ttl": "30m"},
    "client_metadata": {"a": "b"},
    "stream": True,
    "stream_options": {"include_obfuscation": True},
    "top_logprobs": 2,
}
"""Every kind of items and tools, and every member that a request may have, or that clients send beside these."""


@pytest.mark.parametrize("model", SERVICES)
def test_nothing_vanishes_unnamed(model: str) -> None:
    """Each member changes what the service gets, or is named to the client. So does one that nobody knows, anywhere."""
    assert unheard(read_request, WHOLE, model) == set()
