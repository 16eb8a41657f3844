from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.usage.openai import ChatReader
from metering.usage.openai import ImagesReader
from metering.usage.openai import ResponsesReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]


def chunk(delta: Json, **fields: object) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": fields.pop("finish_reason", None)}
    return {"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [choice], **fields}


def usage(prompt: int, completion: int | None, total: int | None, reasoning: int | None = None, **more: object) -> Json:
    known: Json = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}
    if reasoning is not None:
        known["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return {"usage": known}


STREAM: list[object] = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hi"}),
    chunk({}, finish_reason="stop"),
    {"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [], **usage(5, 7, 12)},
    b"[DONE]",
]
EVERYTHING = usage(
    50,
    40,
    90,
    prompt_tokens_details={
        "cached_tokens": 3,
        "cache_write_tokens": 4,
        "text_tokens": 30,
        "image_tokens": 12,
        "audio_tokens": 8,
    },
    completion_tokens_details={"reasoning_tokens": 5, "text_tokens": 20, "image_tokens": 10, "audio_tokens": 5},
    extra_properties={"google": {"traffic_type": "ON_DEMAND"}},
)
RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5",
    "status": "completed",
    "output": [{"type": "web_search_call"}, {"type": "image_generation_call"}, {"type": "message"}],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    },
}
RESPONSE_COUNTS = {
    "model_served": "gpt-5",
    "response_id": "resp_1",
    "finish_reason": "completed",
    "input_tokens": 20,
    "input_cached_tokens": 5,
    "input_cache_write_tokens": 1,
    "output_tokens": 9,
    "output_thought_tokens": 4,
    "total_tokens": 29,
    "images": 1,
    "search_queries": 1,
}


class TestChat:
    def test_stream(self) -> None:
        reader = ChatReader()
        reader.read(STREAM[0])
        assert not reader.reading.content
        reader.read(STREAM[1])
        assert reader.reading.content
        for event in STREAM[2:4]:
            reader.read(event)
        assert not reader.reading.terminal
        assert counts(reader, STREAM[4]) == {
            "model_served": "gpt-4o-2024",
            "response_id": "chatcmpl-1",
            "finish_reason": "stop",
            "input_tokens": 5,
            "output_tokens": 7,
            "total_tokens": 12,
        }
        assert reader.reading.terminal

    def test_reasoning(self) -> None:
        table: list[tuple[Json, tuple[int | None, ...]]] = [
            (usage(5, 7, 12, reasoning=4), (5, 7, 4, 12)),
            # Gemini on Vertex: documented, reasoning is left out.
            (usage(27, 45, 576, reasoning=504), (27, 549, 504, 576)),
            # Grok on Vertex: it is not.
            (usage(335, 305, 640, reasoning=284), (335, 305, 284, 640)),
            # AI Studio and xAI: only the total tells.
            ({"model": "gemini-2.5-flash", **usage(2000, 3, 2023)}, (2000, 23, 20, 2023)),
            ({"model": "google/gemini-2.5-flash", **usage(2000, 3, 2023)}, (2000, 23, 20, 2023)),
            ({"model": "xai/grok-4.1-fast", **usage(2000, 3, 2023)}, (2000, 23, 20, 2023)),
            ({"model": "Grok-4", **usage(2000, 3, 2023)}, (2000, 23, 20, 2023)),
            ({"model": "gpt-5", **usage(2000, 3, 2023)}, (2000, 3, None, 2023)),
            # A zero may be left out.
            (usage(9, None, 44, reasoning=35), (9, 35, 35, 44)),
            (usage(9, None, 44), (9, 35, None, 44)),
            # None were left out if there were none.
            ({"model": "gemini-2.5-flash", **usage(2000, 3, 2023, reasoning=0)}, (2000, 3, 0, 2023)),
            # More thoughts than output are no part of it.
            (usage(27, 45, None, reasoning=504), (27, 549, 504, None)),
            (usage(27, 45, 72, reasoning=504), (27, 549, 504, 72)),
            # A total that explains nothing.
            (usage(5, 7, 20, reasoning=3), (5, 7, 3, 20)),
            (usage(5, 7, None), (5, 7, None, None)),
            (usage(5, None, 5), (5, None, None, 5)),
            ({"usage": None}, (None, None, None, None)),
            ({}, (None, None, None, None)),
        ]

        def known(event: Json) -> tuple[int | None, ...]:
            known = read(ChatReader(), event)
            return known.input_tokens, known.output_tokens, known.output_thought_tokens, known.total_tokens

        assert [(event, known(event)) for event, _ in table] == table

    def test_what_the_prompt_leaves_out(self) -> None:
        table: list[tuple[Json, tuple[int | None, ...]]] = [
            # Mistral counts the tokens of sound in the total only.
            (usage(9, 248, 632, prompt_tokens_details={"cached_tokens": 0, "audio_tokens": 375}), (384, 248, None)),
            (usage(9, 248, 632, prompt_tokens_details={"text_tokens": 9, "audio_tokens": 375}), (384, 248, None)),
            (usage(9, 248, 632, prompt_tokens_details={"image_tokens": 75, "audio_tokens": 300}), (384, 248, None)),
            (usage(9, 248, 632, prompt_tokens_details={"image_tokens": 375}), (384, 248, None)),
            (usage(4, 635, 3264, prompt_audio_seconds=203), (2629, 635, None)),
            (usage(4, 635, 3264, prompt_audio_seconds=203, reasoning=40), (2629, 635, 40)),
            # So may others count cached tokens, ...
            (usage(10, 5, 105, prompt_tokens_details={"cached_tokens": 90}), (100, 5, None)),
            # ... or leave them out of the total too.
            (usage(10, 5, 15, prompt_tokens_details={"cached_tokens": 90}), (100, 5, None)),
            (usage(10, 5, 15, prompt_tokens_details={"cache_write_tokens": 20, "cached_tokens": 4}), (30, 5, None)),
            # Thoughts and sound together.
            (usage(9, 20, 434, reasoning=30, prompt_tokens_details={"audio_tokens": 375}), (384, 50, 30)),
            (usage(9, 248, 632, reasoning=375, prompt_tokens_details={"audio_tokens": 375}), (9, 623, 375)),
            # Details that do not explain the total.
            (usage(9, 248, 632, prompt_tokens_details={"audio_tokens": 5}), (9, 248, None)),
            (usage(400, 200, 600, prompt_tokens_details={"audio_tokens": 375}), (400, 200, None)),
            (usage(9, 248, 632, prompt_audio_seconds={}), (9, 248, None)),
            (usage(9, 248, 632, prompt_audio_seconds=0), (9, 248, None)),
        ]

        def known(event: Json) -> tuple[int | None, ...]:
            known = read(ChatReader(), event)
            return known.input_tokens, known.output_tokens, known.output_thought_tokens

        assert [(event, known(event)) for event, _ in table] == table

    @pytest.mark.parametrize(
        "usage",
        [
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 6},
            {"prompt_tokens": 9, "num_cached_tokens": 3},
            {"prompt_tokens": 9, "cached_tokens": 3},
            {"prompt_tokens": 9, "prompt_token_details": {"cached_tokens": 3}},
            {"input_tokens": 9, "input_token_details": {"cached_tokens": 3}},
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3}, "cached_tokens": 0},
        ],
    )
    def test_cached_tokens(self, usage: Json) -> None:
        assert counts(ChatReader(), {"usage": usage}) == {"input_tokens": 9, "input_cached_tokens": 3}

    @pytest.mark.parametrize("name", ["completion_tokens_details", "output_tokens_details", "output_token_details"])
    def test_thoughts(self, name: str) -> None:
        known = counts(ChatReader(), {"usage": {"output_tokens": 9, name: {"reasoning_tokens": 3}}})
        assert known == {"output_tokens": 9, "output_thought_tokens": 3}

    @pytest.mark.parametrize(
        ("event", "searches"),
        [
            ({"usage": {"prompt_tokens": 1, "server_tool_use": {"web_search_requests": 3}}}, 3),
            ({"usage": {"prompt_tokens": 1, "num_search_queries": 2}}, 2),
            (chunk({"annotations": [{"type": "url_citation", "url_citation": {"url": "x"}}] * 2}), 1),
            ({"choices": [{"message": {"annotations": [{"type": "url_citation"}]}}]}, 1),
            ({"choices": [{"message": {"annotations": []}}]}, None),
            ({"choices": [{"message": {"annotations": [{"type": "file_citation"}]}}]}, None),
            (
                {
                    "choices": [{"message": {"annotations": [{"type": "url_citation"}]}}],
                    "usage": {"prompt_tokens": 1, "server_tool_use": {"web_search_requests": 3}},
                },
                3,
            ),
        ],
    )
    def test_searches(self, event: Json, searches: int | None) -> None:
        assert counts(ChatReader(), event).get("search_queries") == searches

    def test_pages(self) -> None:
        answer = {"pages": [{"index": 0, "markdown": "x"}], "usage_info": {"pages_processed": 2, "doc_size_bytes": 9}}
        assert told(ChatReader(), {"model": "mistral-ocr-2505", **answer}) == {
            "model_served": "mistral-ocr-2505",
            "input_items": 2,
            "measured": True,
            "usage_raw": {"pages_processed": 2, "doc_size_bytes": 9},
        }

    def test_details(self) -> None:
        details = {"cached_tokens": 3, "audio_tokens": 2, "text_tokens": 3}
        event = usage(5, 7, 12, prompt_tokens_details=details)
        event["usage"]["extra_properties"] = {"google": {"traffic_type": "ON_DEMAND"}}
        known = counts(ChatReader(), event)
        assert known["input_cached_tokens"] == 3
        assert known["input_by_modality"] == {"audio": 2, "text": 3}
        assert known["traffic_type"] == "ON_DEMAND"

    def test_everything(self) -> None:
        assert counts(ChatReader(), EVERYTHING) == {
            "input_tokens": 50,
            "input_cached_tokens": 3,
            "input_cache_write_tokens": 4,
            "input_by_modality": {"text": 30, "image": 12, "audio": 8},
            "output_tokens": 40,
            "output_thought_tokens": 5,
            "output_by_modality": {"text": 20, "image": 10, "audio": 5},
            "total_tokens": 90,
            "traffic_type": "ON_DEMAND",
        }

    def test_names_without_their_publisher(self) -> None:
        known = counts(ChatReader(), {"model": "google/gemini-2.5-flash", "service_tier": "flex"})
        assert known == {"model_served": "gemini-2.5-flash", "traffic_type": "flex"}

    def test_embeddings(self) -> None:
        answer = {
            "object": "list",
            "data": [{"embedding": [1]}, {}],
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        }
        assert counts(ChatReader(), answer) == {"input_items": 2, "input_tokens": 4, "total_tokens": 4}

    def test_the_finish_of_the_first_choice(self) -> None:
        choices = [{"index": 1, "finish_reason": "length"}, {"index": 0, "finish_reason": "stop"}]
        assert counts(ChatReader(), {"choices": choices}) == {"finish_reason": "stop"}

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            ({"error": {"type": "server_error", "message": "secret"}}, "server_error"),
            ({"error": {"status": "UNAVAILABLE", "code": 503}}, "UNAVAILABLE"),
            ({"error": {"message": "secret"}}, None),
            ({"error": "secret text"}, None),
        ],
    )
    def test_an_error_event(self, error: Json, code: str | None) -> None:
        known = told(ChatReader(), error)
        assert known == ({"failed": True, "error_type": code} if code else {"failed": True})

    @pytest.mark.parametrize(
        "events",
        [
            [{**chunk({"content": ""}, finish_reason="error"), "error": {"code": "server_error"}, **usage(43, 10, 53)}],
            [{"error": {"code": "server_error"}, **usage(43, 10, 53)}],
            [{"error": {"code": "server_error", **usage(43, 10, 53)}}],
            [{**chunk({"content": "Hi"}), **usage(43, 10, 53)}, {"error": {"code": "server_error"}}],
            [{"error": {"code": "server_error"}}, {"choices": [], **usage(43, 10, 53)}],
            [{"object": "error", "code": "server_error", **usage(43, 10, 53)}],
            # OpenRouter also puts it into the choice.
            [{"choices": [{"finish_reason": "error", "error": {"code": "server_error"}}], **usage(43, 10, 53)}],
        ],
    )
    def test_an_error_with_usage(self, events: list[object]) -> None:
        known = told(ChatReader(), *events)
        assert (known["failed"], known["error_type"]) == (True, "server_error")
        assert (known["input_tokens"], known["output_tokens"], known["total_tokens"]) == (43, 10, 53)


class TestResponses:
    def test_unary(self) -> None:
        reader = ResponsesReader()
        assert counts(reader, RESPONSE) == RESPONSE_COUNTS
        assert not reader.reading.terminal

    def test_stream(self) -> None:
        reader = ResponsesReader()
        created = {**RESPONSE, "status": "in_progress", "usage": None, "output": []}
        assert counts(reader, {"type": "response.created", "response": created}) == {
            "model_served": "gpt-5",
            "response_id": "resp_1",
        }
        reader.read({"type": "response.output_text.delta", "delta": "Hi"})
        assert (reader.reading.content, reader.reading.terminal) == (True, False)
        assert counts(reader, {"type": "response.completed", "response": RESPONSE}) == RESPONSE_COUNTS
        assert reader.reading.terminal

    def test_incomplete(self) -> None:
        response = {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        reader = ResponsesReader()
        known = counts(reader, {"type": "response.incomplete", "response": response})
        assert known["finish_reason"] == "max_output_tokens"
        assert (reader.reading.terminal, reader.reading.failed) == (True, False)

    @pytest.mark.parametrize("status", ["queued", "in_progress"])
    def test_what_goes_on_in_the_background_has_no_usage_yet(self, status: str) -> None:
        none = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        known = told(ResponsesReader(), RESPONSE | {"status": status, "usage": none, "output": []})
        assert known == {"model_served": "gpt-5", "response_id": "resp_1"}

    @pytest.mark.parametrize("word", ["completed", "incomplete", "failed"])
    def test_the_event_tells_the_status_too(self, word: str) -> None:
        response = {name: value for name, value in RESPONSE.items() if name != "status"}
        known = told(ResponsesReader(), {"type": f"response.{word}", "response": response})
        assert (known["finish_reason"], known["terminal"], known.get("failed", False)) == (word, True, word == "failed")
        assert "finish_reason" not in told(ResponsesReader(), {"type": "response.created", "response": response})

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}},
            {"type": "error", "code": "server_error", "message": "secret"},
            {
                "object": "response",
                "status": "failed",
                "error": {"code": "server_error", "message": "secret"},
            },
        ],
    )
    def test_failed(self, event: Json) -> None:
        known = told(ResponsesReader(), event)
        assert known["failed"]
        assert known["error_type"] == "server_error"

    @pytest.mark.parametrize(
        "event",
        [
            {
                "type": "response.failed",
                "response": {**RESPONSE, "status": "failed", "error": {"code": "server_error"}},
            },
            {"type": "error", "code": "server_error", "usage": RESPONSE["usage"]},
            {**RESPONSE, "status": "failed", "error": {"code": "server_error"}},
        ],
    )
    def test_failed_with_usage(self, event: Json) -> None:
        known = told(ResponsesReader(), event)
        assert (known["failed"], known["error_type"]) == (True, "server_error")
        assert (known["input_tokens"], known["output_tokens"], known["total_tokens"]) == (20, 9, 29)

    @pytest.mark.parametrize("object", ["response.compaction", "response"])
    def test_without_a_status(self, object: str) -> None:
        output = [{"type": "message", "role": "user"}, {"type": "web_search_call"}, {"type": "compaction"}]
        answer = {"id": "resp_1", "object": object, "created_at": 1, "output": output, "usage": RESPONSE["usage"]}
        known = counts(ResponsesReader(), answer)
        expected = {name: count for name, count in RESPONSE_COUNTS.items() if name.endswith("tokens")}
        assert known == {"response_id": "resp_1", **expected}

    @pytest.mark.parametrize(
        ("calls", "searches"),
        [
            ([], None),
            ([{}], 1),
            ([{"action": {"type": "search", "query": "a"}}], 1),
            ([{"action": {"type": "search", "query": "a"}}, {"action": {"type": "search", "query": " a "}}], 1),
            ([{"action": {"type": "search", "query": "a", "queries": ["a", "b", ""]}}], 2),
            ([{"action": {"type": "search", "query": "", "queries": ["b", "b"]}}], 1),
            ([{"action": {"type": "search"}}, {"action": {"type": "search"}}], 2),
            ([{"action": {"type": "search", "query": ""}}], 0),
            ([{"action": {"type": "open_page", "url": "x"}}], 0),
            ([{"action": {"type": "find_in_page", "pattern": "x", "url": "x"}}], 0),
            ([{"action": {"type": "open_page"}}, {"action": {"type": "search", "query": "a"}}], 1),
            ([{"status": "failed", "action": {"type": "search", "query": "a"}}], 0),
            ([{"status": "completed", "action": {"type": "search", "query": 5, "queries": "a"}}], 1),
        ],
    )
    def test_searches(self, calls: list[Json], searches: int | None) -> None:
        response = {**RESPONSE, "output": [{"type": "web_search_call", **call} for call in calls]}
        assert counts(ResponsesReader(), response).get("search_queries") == searches

    def test_searches_that_the_last_event_leaves_out(self) -> None:
        search = {"type": "web_search_call", "action": {"type": "search", "query": "a"}}
        done = [{"type": "response.output_item.done", "item": item} for item in (search, search, {"type": "message"})]
        for output, searches in (([], 1), ([{"type": "web_search_call"}] * 2, 2)):
            last = {"type": "response.completed", "response": {**RESPONSE, "output": output}}
            left = pruned(ResponsesReader(), *done, last)
            assert counts(ResponsesReader(), *left)["search_queries"] == searches

    def test_images_that_the_last_event_leaves_out(self) -> None:
        done = {"type": "response.output_item.done", "item": {"type": "image_generation_call", "id": "ig_1"}}
        last = {"type": "response.completed", "response": {**RESPONSE, "output": []}}
        assert counts(ResponsesReader(), done, last)["images"] == 1

    def test_what_tools_have_used(self) -> None:
        generated = {"input_tokens": 5, "input_tokens_details": {"image_tokens": 0, "text_tokens": 5}}
        tools = {"image_gen": generated, "web_search": {"num_requests": 4}}
        known = told(ResponsesReader(), {**RESPONSE, "tool_usage": tools})
        assert known["search_queries"] == 4
        assert known["input_tokens"] == 20
        assert known["usage_raw"]["tool_usage"] == tools

    def test_in_the_background(self) -> None:
        assert counts(ResponsesReader(), {"id": "resp_1", "status": "queued", "usage": None}) == {
            "response_id": "resp_1"
        }


class TestImages:
    def test_unary(self) -> None:
        details = {"text_tokens": 5, "image_tokens": 0}
        used = {"input_tokens": 5, "input_tokens_details": details, "output_tokens": 100, "total_tokens": 105}
        assert counts(ImagesReader(), {"data": [{}, {}], "usage": used}) == {
            "images": 2,
            "input_tokens": 5,
            "input_by_modality": {"text": 5, "image": 0},
            "output_tokens": 100,
            "total_tokens": 105,
        }

    def test_what_another_model_has_used(self) -> None:
        drawn = {"input_tokens": 5, "model": "gpt-5", "output_tokens": 9, "reasoning_tokens": 2, "total_tokens": 14}
        known = told(ImagesReader(), {"data": [{}], "usage": {"input_tokens": 3}, "svg_usage": drawn})
        assert (known["images"], known["input_tokens"]) == (1, 3)
        assert known["usage_raw"]["svg_usage"]["output_tokens"] == 9

    def test_an_error_after_an_image(self) -> None:
        used = {"input_tokens": 5, "output_tokens": 100, "total_tokens": 105}
        events = [{"type": "image_generation.completed", "usage": used}, {"type": "error", "code": "server_error"}]
        known = counts(ImagesReader(), *events)
        assert (known["images"], known["total_tokens"], known["error_type"]) == (1, 105, "server_error")

    def test_without_usage(self) -> None:
        assert counts(ImagesReader(), {"data": [{"url": "x"}]}) == {"images": 1}

    def test_stream(self) -> None:
        reader = ImagesReader()
        reader.read({"type": "image_generation.partial_image"})
        assert (reader.reading.content, reader.reading.terminal) == (True, False)
        used = {"input_tokens": 5, "output_tokens": 100, "total_tokens": 105}
        assert counts(reader, {"type": "image_generation.completed", "usage": used})["images"] == 1
        assert reader.reading.terminal


@pytest.mark.parametrize(
    ("reader", "events"),
    [
        (ChatReader, STREAM[:-1]),
        (ChatReader, [{"service_tier": "flex", **EVERYTHING}]),
        (ChatReader, [{"service_tier": "flex", "usage": {"prompt_tokens": 1}}]),
        (ChatReader, [usage(5, 7, 12, prompt_cache_hit_tokens=3)]),
        (ResponsesReader, [RESPONSE]),
        (ImagesReader, [{"data": [], "usage": RESPONSE["usage"]}]),
        (ImagesReader, [{"data": [{"b64_json": "x"}]}]),
    ],
)
def test_pruning_leaves_all_that_is_read(
    reader: type[ChatReader | ResponsesReader | ImagesReader], events: list[object]
) -> None:
    assert told(reader(), *pruned(reader(), *events)) == told(reader(), *events)


@pytest.mark.parametrize("reader", [ChatReader, ResponsesReader, ImagesReader])
@given(value=json_values)
def test_any_shape(reader: type[ChatReader | ResponsesReader | ImagesReader], value: object) -> None:
    for member in ("choices", "usage", "response", "data", "error", "output"):
        read(reader(), value, {member: value, "type": "response.completed"}, {member: [value]}, *ANYTHING)


NUMBERS = st.none() | st.integers(0, 50)


@given(
    st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.sampled_from(["gemini-3", "gpt-5", ""])
)
def test_parts_are_never_more_than_the_whole(numbers: tuple[int | None, ...], model: str) -> None:
    prompt, completion, total, cached, written, audio, reasoning = numbers
    counted = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    known = counts(ChatReader(), {"model": model, "usage": counted})
    assert known.get("total_tokens") == total
    if prompt is not None and completion is not None:
        parts = [prompt, known.get("input_cached_tokens", 0), known.get("input_cache_write_tokens", 0)]
        assert known["input_tokens"] >= max(parts)
        assert known["output_tokens"] >= max(completion, known.get("output_thought_tokens", 0))


def test_a_long_id_is_kept() -> None:
    long = "resp_" + "bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVy" * 10
    assert counts(ResponsesReader(), RESPONSE | {"id": long})["response_id"] == long


@pytest.mark.parametrize(
    "empty",
    [
        {},
        None,
        {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "prompt_tokens_details": None},
        {"extra_properties": {"google": {"traffic_type": "ON_DEMAND"}}},
    ],
)
def test_an_empty_usage_erases_nothing(empty: Json | None) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    usage_of = {"choices": [], "usage": usage}
    for events in ([usage_of, {"choices": [], "usage": empty}], [{"choices": [], "usage": empty}, usage_of]):
        known = counts(ChatReader(), *events, b"[DONE]")
        known.pop("traffic_type", None)
        assert known == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def test_usage_in_a_choice() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", **usage(19, 13, 32)}
    known = counts(ChatReader(), *pruned(ChatReader(), {"choices": [choice]}))
    assert (known["input_tokens"], known["output_tokens"], known["total_tokens"]) == (19, 13, 32)


def test_a_tier_without_counts() -> None:
    tier = {"usage": {"extra_properties": {"google": {"traffic_type": "ON_DEMAND"}}}}
    assert counts(ChatReader(), usage(3, 4, 7), tier)["traffic_type"] == "ON_DEMAND"
