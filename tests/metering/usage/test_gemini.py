from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.json_values import snake
from metering.usage.gemini import GeminiReader
from metering.usage.gemini import LiveReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]

# Recorded on Vertex, March 2026.
UNARY: Json = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {
        "promptTokenCount": 9,
        "candidatesTokenCount": 130,
        "totalTokenCount": 857,
        "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 130}],
        "thoughtsTokenCount": 718,
    },
    "modelVersion": "gemini-2.5-pro",
    "createTime": "2026-03-12T18:06:06.323808Z",
    "responseId": "jgCzaeDhE92Rt8gP1vXiYA",
}
STREAM: list[Json] = [
    {
        "candidates": [{"content": {"parts": [{"text": "Hel"}]}}],
        "usageMetadata": {"trafficType": "ON_DEMAND"},
        "modelVersion": "gemini-2.5-flash",
    },
    {
        "candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 9,
            "totalTokenCount": 54,
            "thoughtsTokenCount": 36,
        },
    },
]


IMAGE = {"modality": "IMAGE", "tokenCount": 258}


def usage(**fields: object) -> Json:
    return {"usageMetadata": fields}


def test_recorded_unary() -> None:
    assert counts(GeminiReader(), UNARY) == {
        "model_served": "gemini-2.5-pro",
        "response_id": "jgCzaeDhE92Rt8gP1vXiYA",
        "finish_reason": "STOP",
        "input_tokens": 9,
        "output_tokens": 848,
        "output_thought_tokens": 718,
        "total_tokens": 857,
        "input_by_modality": {"text": 9},
        "output_by_modality": {"text": 130},
        "traffic_type": "ON_DEMAND",
    }


def test_recorded_stream() -> None:
    reader = GeminiReader()
    assert counts(reader, STREAM[0]) == {"model_served": "gemini-2.5-flash", "traffic_type": "ON_DEMAND"}
    assert (reader.reading.content, reader.reading.terminal) == (True, False)
    known = counts(reader, STREAM[1])
    assert (known["input_tokens"], known["output_tokens"], known["traffic_type"]) == (9, 45, "ON_DEMAND")
    assert reader.reading.terminal


def test_usage() -> None:
    table: list[tuple[list[object], Json]] = [
        ([{}], {}),
        ([usage()], {}),
        ([usage(trafficType="PROVISIONED_THROUGHPUT")], {"traffic_type": "PROVISIONED_THROUGHPUT"}),
        # Running totals: the last one counts.
        (
            [usage(promptTokenCount=5, candidatesTokenCount=n, totalTokenCount=5 + n) for n in (1, 7, 20)],
            {"input_tokens": 5, "output_tokens": 20, "total_tokens": 25},
        ),
        # An absent field erases nothing.
        (
            [
                usage(promptTokenCount=5, candidatesTokenCount=2, totalTokenCount=7),
                usage(trafficType="ON_DEMAND"),
            ],
            {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "traffic_type": "ON_DEMAND"},
        ),
        # Thoughts inside of the candidates.
        (
            [usage(promptTokenCount=5, candidatesTokenCount=30, thoughtsTokenCount=20, totalTokenCount=35)],
            {"input_tokens": 5, "output_tokens": 30, "output_thought_tokens": 20, "total_tokens": 35},
        ),
        # Tool tokens are input, and no reason to take thoughts for inclusive.
        (
            [
                usage(
                    promptTokenCount=5,
                    toolUsePromptTokenCount=100,
                    candidatesTokenCount=30,
                    thoughtsTokenCount=20,
                    totalTokenCount=155,
                )
            ],
            {
                "input_tokens": 105,
                "input_tool_tokens": 100,
                "output_tokens": 50,
                "output_thought_tokens": 20,
                "total_tokens": 155,
            },
        ),
        # A blocked prompt made nothing: the total proves the zero.
        (
            [{"promptFeedback": {"blockReason": "SAFETY"}, **usage(promptTokenCount=8, totalTokenCount=8)}],
            {"input_tokens": 8, "output_tokens": 0, "total_tokens": 8, "finish_reason": "SAFETY"},
        ),
        # Thinking took the whole budget.
        (
            [usage(promptTokenCount=8, thoughtsTokenCount=50, totalTokenCount=58)],
            {"input_tokens": 8, "output_tokens": 50, "output_thought_tokens": 50, "total_tokens": 58},
        ),
        # Neither the output nor a total that would tell it.
        ([usage(promptTokenCount=8)], {"input_tokens": 8}),
        ([usage(promptTokenCount=0, candidatesTokenCount=0)], {"input_tokens": 0, "output_tokens": 0}),
        ([usage(promptTokenCount="12", candidatesTokenCount=3.0)], {"input_tokens": 12, "output_tokens": 3}),
        ([usage(promptTokenCount=-1, candidatesTokenCount=2**60)], {}),
        (
            [
                usage(
                    promptTokenCount=50,
                    cachedContentTokenCount=40,
                    candidatesTokenCount=1,
                    totalTokenCount=51,
                )
            ],
            {"input_tokens": 50, "input_cached_tokens": 40, "output_tokens": 1, "total_tokens": 51},
        ),
        # snake_case, and camelCase first where both are present.
        (
            [
                {
                    "usage_metadata": {"prompt_token_count": 3, "candidates_token_count": 4},
                    "model_version": "g",
                }
            ],
            {"input_tokens": 3, "output_tokens": 4, "model_served": "g"},
        ),
        ([usage(promptTokenCount=0, prompt_token_count=9)], {"input_tokens": 0}),
        # Details need not sum up; what is not specified is text.
        (
            [
                usage(
                    promptTokenCount=300,
                    promptTokensDetails=[
                        {"modality": "TEXT", "tokenCount": 10},
                        {"modality": "IMAGE", "tokenCount": 258},
                        {"modality": "MODALITY_UNSPECIFIED", "tokenCount": 2},
                    ],
                )
            ],
            {"input_tokens": 300, "input_by_modality": {"text": 12, "image": 258}},
        ),
        (
            [{"embedding": {"values": [1]}, **usage(promptTokenCount=4)}],
            {"input_items": 1, "input_tokens": 4},
        ),
        ([{"embeddings": [{}, {}], **usage(promptTokenCount=8)}], {"input_items": 2, "input_tokens": 8}),
        (
            [{"embedding": {}, **usage(promptTokenCount=258, promptTokenDetails=[IMAGE])}],
            {"input_items": 1, "input_tokens": 258, "input_by_modality": {"image": 258}},
        ),
        # Usage with a total replaces all that was told before it.
        (
            [
                usage(
                    promptTokenCount=9,
                    cachedContentTokenCount=4,
                    candidatesTokenCount=21,
                    thoughtsTokenCount=35,
                    totalTokenCount=65,
                    candidatesTokensDetails=[{"modality": "TEXT", "tokenCount": 21}],
                    trafficType="ON_DEMAND",
                ),
                usage(promptTokenCount=87, thoughtsTokenCount=78, totalTokenCount=165),
            ],
            {
                "input_tokens": 87,
                "output_tokens": 78,
                "output_thought_tokens": 78,
                "total_tokens": 165,
                "traffic_type": "ON_DEMAND",
            },
        ),
        # Details may come after their counts.
        (
            [
                usage(promptTokenCount=9, candidatesTokenCount=1, totalTokenCount=10),
                usage(promptTokensDetails=[{"modality": "TEXT", "tokenCount": 9}]),
            ],
            {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10, "input_by_modality": {"text": 9}},
        ),
        # The Gemini API's name of the tier.
        ([usage(serviceTier="flex", promptTokenCount=1)], {"input_tokens": 1, "traffic_type": "flex"}),
        ([usage(service_tier="priority")], {"traffic_type": "priority"}),
        ([usage(trafficType="ON_DEMAND", serviceTier="flex")], {"traffic_type": "ON_DEMAND"}),
        # Enums as numbers.
        (
            [
                {
                    "candidates": [{"finishReason": 2}],
                    **usage(
                        trafficType=3,
                        promptTokenCount=4,
                        candidatesTokenCount=7,
                        promptTokensDetails=[{"modality": 1, "tokenCount": 1}, {"modality": 4, "tokenCount": 3}],
                        candidatesTokensDetails=[{"modality": 0, "tokenCount": 7}],
                    ),
                }
            ],
            {
                "finish_reason": "MAX_TOKENS",
                "traffic_type": "ON_DEMAND_FLEX",
                "input_tokens": 4,
                "output_tokens": 7,
                "input_by_modality": {"text": 1, "audio": 3},
                "output_by_modality": {"text": 7},
            },
        ),
        ([{"promptFeedback": {"blockReason": 4}}], {"finish_reason": "PROHIBITED_CONTENT"}),
    ]
    found = [(events, counts(GeminiReader(), *events)) for events, _ in table]
    assert found == table


@pytest.mark.parametrize("reader", [GeminiReader, LiveReader])
def test_where_thoughts_stand(reader: type[GeminiReader | LiveReader]) -> None:
    table: list[tuple[int, int, int | None, dict[str, int], int]] = [
        # visible, thoughts, total, details, output
        # Input 417. The total says that thoughts are inside the candidates ...
        (74, 70, 491, {}, 74),
        (74, 74, 491, {"TEXT": 4}, 74),
        (74, 10, 491, {"AUDIO": 70, "TEXT": 4}, 74),
        # ... but they cannot be: there are more of them, or all of the candidates is sound or a picture.
        (74, 77, 491, {"AUDIO": 74}, 151),
        (74, 75, 491, {}, 149),
        (74, 10, 491, {"AUDIO": 74}, 84),
        (74, 10, 491, {"IMAGE": 70, "AUDIO": 4}, 84),
        (74, 10, 491, {"AUDIO": 74, "TEXT": 0}, 84),
        # The total says that they stand beside, or says nothing.
        (74, 77, 568, {"AUDIO": 74}, 151),
        (74, 10, 501, {"TEXT": 74}, 84),
        (74, 10, None, {}, 84),
        (74, 10, 700, {}, 84),
    ]
    name = "response" if reader is LiveReader else "candidates"

    def output(visible: int, thoughts: int, total: int | None, details: dict[str, int]) -> int:
        event = usage(
            **{
                "promptTokenCount": 417,
                f"{name}TokenCount": visible,
                "thoughtsTokenCount": thoughts,
                "totalTokenCount": total,
                f"{name}TokensDetails": [{"modality": kind, "tokenCount": tokens} for kind, tokens in details.items()],
            }
        )
        known = read(reader(), event)
        assert known.output_thought_tokens == thoughts
        return known.output_tokens or 0

    assert [(*row[:4], output(*row[:4])) for row in table] == table


@pytest.mark.parametrize("reader", [GeminiReader, LiveReader])
def test_a_count_that_is_missing(reader: type[GeminiReader | LiveReader]) -> None:
    table: list[tuple[Json, tuple[int | None, int | None]]] = [
        # Without the candidates, the total tells the output, ...
        ({"promptTokenCount": 417, "thoughtsTokenCount": 77, "totalTokenCount": 494}, (417, 77)),
        ({"promptTokenCount": 417, "thoughtsTokenCount": 77, "totalTokenCount": 417}, (417, 77)),
        # ... without the prompt, the input.
        ({"responseTokenCount": 74, "thoughtsTokenCount": 77, "totalTokenCount": 568}, (417, 151)),
        ({"responseTokenCount": 74, "totalTokenCount": 74}, (0, 74)),
        ({"responseTokenCount": 74, "thoughtsTokenCount": 70, "totalTokenCount": 74}, (0, 74)),
        ({"responseTokenCount": 74, "thoughtsTokenCount": 77}, (None, 151)),
        ({"totalTokenCount": 74}, (None, None)),
        ({"promptTokenCount": 417, "thoughtsTokenCount": 77}, (417, None)),
        # More cached tokens than the prompt has are no part of it.
        ({"promptTokenCount": 10, "cachedContentTokenCount": 20, "totalTokenCount": 30}, (30, 0)),
    ]

    def known(fields: Json) -> tuple[int | None, int | None]:
        reading = read(reader(), usage(**fields))
        return reading.input_tokens, reading.output_tokens

    assert [(fields, known(fields)) for fields, _ in table] == table


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"serviceTier": "flex", "trafficType": "TRAFFIC_TYPE_UNSPECIFIED"}, "flex"),
        ({"serviceTier": "flex", "trafficType": 0}, "flex"),
        ({"serviceTier": "flex", "trafficType": 1}, "ON_DEMAND"),
        ({"trafficType": 0}, "TRAFFIC_TYPE_UNSPECIFIED"),
    ],
)
def test_tier(fields: Json, tier: str) -> None:
    assert counts(GeminiReader(), usage(**fields)) == {"traffic_type": tier}


@pytest.mark.parametrize("unspecified", [0, "FINISH_REASON_UNSPECIFIED"])
def test_an_unspecified_reason_finishes_nothing(unspecified: object) -> None:
    counted = usage(promptTokenCount=1, candidatesTokenCount=1, totalTokenCount=2)
    reader = GeminiReader()
    reader.read({"candidates": [{"finishReason": unspecified}], "promptFeedback": {"blockReason": 0}, **counted})
    assert not reader.terminal
    reader.read({"candidates": [{"finishReason": 1}], **counted})
    reader.read({"candidates": [{"finishReason": unspecified}], **counted})
    assert reader.terminal
    assert reader.reading.finish_reason == "STOP"


def test_searches_are_what_is_billed() -> None:
    table: list[tuple[list[list[object]], int]] = [
        ([["", "current weather"]], 1),
        ([[""]], 0),
        ([[" ", "\n"]], 0),
        ([[]], 0),
        ([["a", "a", "b"]], 2),
        ([["a"], ["a", "b"]], 2),
        ([["a", "b"], ["c"]], 3),
        ([["a", None, 5, {}]], 1),
    ]

    def candidate(index: int, queries: list[object]) -> Json:
        return {"index": index, "groundingMetadata": {"webSearchQueries": queries}}

    def streamed(answers: list[list[object]]) -> Json:
        return counts(GeminiReader(), *({"candidates": [candidate(0, queries)]} for queries in answers))

    def together(answers: list[list[object]]) -> Json:
        candidates = [candidate(index, queries) for index, queries in enumerate(answers)]
        return counts(GeminiReader(), {"candidates": candidates})

    expected = [(answers, {"search_queries": searches}) for answers, searches in table]
    assert [(answers, streamed(answers)) for answers, _ in table] == expected
    assert [(answers, together(answers)) for answers, _ in table] == expected


def test_searches_of_live_turns() -> None:
    def message(*queries: str, **content: object) -> Json:
        return {"serverContent": {"groundingMetadata": {"webSearchQueries": list(queries)}, **content}}

    reader = LiveReader()
    assert counts(reader, message("a", ""), message("a", "b", turnComplete=True)) == {"search_queries": 2}
    assert counts(reader, {"serverContent": {"turnComplete": True}}) == {"search_queries": 2}
    # The same question in the next turn is another search.
    assert counts(reader, message("a")) == {"search_queries": 3}


def test_ids_of_base64url() -> None:
    reader = GeminiReader()
    assert counts(reader, {"responseId": "-r2zaZ_5C8-Rt8gP"}) == {"response_id": "-r2zaZ_5C8-Rt8gP"}


def test_a_stream_of_numbers_has_an_end() -> None:
    reader = GeminiReader()
    reader.read({"candidates": [{"content": {"parts": [{"text": "a"}]}}]})
    assert not reader.terminal
    reader.read({"candidates": [{"finishReason": 1}], **usage(promptTokenCount=1, candidatesTokenCount=1)})
    assert reader.terminal


def test_pictures_and_searches() -> None:
    def event(*parts: Json, **candidate: object) -> Json:
        return {"candidates": [{"content": {"parts": list(parts)}, **candidate}]}

    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    thought = {**picture, "thought": True}
    grounded = event({"text": "x"}, groundingMetadata={"webSearchQueries": ["a", "b"]})
    reader = GeminiReader()
    assert counts(reader, event(thought, picture), event(picture), grounded, grounded) == {
        "images": 2,
        "search_queries": 2,
    }
    # Without tokens the usage is not known, whatever else is.
    assert not reader.reading.counted


def test_several_candidates_finish_together() -> None:
    reader = GeminiReader()
    both = [{"index": 0, "finishReason": "STOP"}, {"index": 1, "finishReason": "MAX_TOKENS"}]
    reader.read({"candidates": [{"index": 0}, {"index": 1}]})
    reader.read({"candidates": [both[0]], **usage(promptTokenCount=1, candidatesTokenCount=1)})
    assert not reader.reading.terminal
    reader.read({"candidates": [both[1]]})
    assert reader.reading.terminal
    assert reader.reading.finish_reason == "STOP"
    reader.read({"candidates": [{"index": 2}]})
    assert not reader.reading.terminal


def test_an_error_event() -> None:
    error = {"error": {"code": 429, "message": "secret", "status": "RESOURCE_EXHAUSTED"}}
    known = told(GeminiReader(), *STREAM[:1], error)
    assert known["failed"]
    assert known["error_type"] == "RESOURCE_EXHAUSTED"
    assert "secret" not in str(known)


@pytest.mark.parametrize("reader", [GeminiReader, LiveReader])
def test_an_error_with_usage(reader: type[GeminiReader | LiveReader]) -> None:
    used = usage(promptTokenCount=43, candidatesTokenCount=10, totalTokenCount=53)
    known = told(reader(), {"error": {"code": 503, "status": "UNAVAILABLE"}, **used})
    assert (known["failed"], known["error_type"]) == (True, "UNAVAILABLE")
    assert (known["input_tokens"], known["output_tokens"], known["total_tokens"]) == (43, 10, 53)


def test_texts_do_not_get_through() -> None:
    hostile = {
        "modelVersion": "a prompt in the wrong place",
        "responseId": "x" * 600,
        "candidates": [{"finishReason": "because of the prompt"}],
        **usage(
            trafficType="free text",
            promptTokenCount=1,
            promptTokensDetails=[{"modality": "my text"}],
            x="y z",
        ),
    }
    known = told(GeminiReader(), hostile)
    assert known == {"input_tokens": 1, "usage_raw": {"promptTokenCount": 1, "promptTokensDetails": [{}]}}


# The discovery document of aiplatform v1, and of the Live API.
EVERYTHING = usage(
    promptTokenCount=100,
    cachedContentTokenCount=40,
    candidatesTokenCount=30,
    thoughtsTokenCount=20,
    toolUsePromptTokenCount=10,
    totalTokenCount=160,
    trafficType="PROVISIONED_THROUGHPUT",
    promptTokensDetails=[{"modality": "TEXT", "tokenCount": 60}, {"modality": "IMAGE", "tokenCount": 40}],
    toolUsePromptTokensDetails=[{"modality": "TEXT", "tokenCount": 10}],
    candidatesTokensDetails=[{"modality": "TEXT", "tokenCount": 30}],
    cacheTokensDetails=[{"modality": "TEXT", "tokenCount": 40}],
)
LIVE = usage(
    promptTokenCount=100,
    responseTokenCount=30,
    totalTokenCount=130,
    responseTokensDetails=[{"modality": "AUDIO", "tokenCount": 30}],
)


@pytest.mark.parametrize("times", [1, 2])
def test_everything(times: int) -> None:
    """A turn of the Live API counts for itself; of a stream only the last one does."""
    expected = {
        "input_tokens": 110,
        "input_cached_tokens": 40,
        "input_tool_tokens": 10,
        "output_tokens": 50,
        "output_thought_tokens": 20,
        "total_tokens": 160,
    }
    modalities = {"input_by_modality": {"text": 70, "image": 40}, "output_by_modality": {"text": 30}}
    known = counts(LiveReader(), *[EVERYTHING] * times)
    assert {name: known[name] for name in expected} == {name: value * times for name, value in expected.items()}
    assert known["input_by_modality"] == {"text": 70 * times, "image": 40 * times}
    assert counts(GeminiReader(), *[EVERYTHING] * times) == {
        **expected,
        **modalities,
        "traffic_type": "PROVISIONED_THROUGHPUT",
    }


def test_live_counts_what_it_says() -> None:
    known = counts(LiveReader(), LIVE)
    assert (known["output_tokens"], known["output_by_modality"]) == (30, {"audio": 30})


def in_snake_case(value: object) -> object:
    if isinstance(value, list):
        return [in_snake_case(item) for item in value]
    return {snake(name): in_snake_case(item) for name, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("reader", [GeminiReader, LiveReader])
@pytest.mark.parametrize("event", [EVERYTHING, LIVE, in_snake_case(EVERYTHING), in_snake_case(LIVE)])
def test_pruning_leaves_all_usage(reader: type[GeminiReader | LiveReader], event: object) -> None:
    """What the columns tell, that is: `usage_raw` of a large Live message lacks `cacheTokensDetails`."""
    assert counts(reader(), *pruned(reader(), event)) == counts(reader(), event)


def test_a_total_replaces_all_that_came_before() -> None:
    details = [{"modality": "AUDIO", "tokenCount": 4}]
    before = usage(promptTokenCount=9, cachedContentTokenCount=4, cacheTokensDetails=details, trafficType="ON_DEMAND")
    assert told(GeminiReader(), before)["usage_raw"] == before["usageMetadata"]
    after = usage(promptTokenCount=10, totalTokenCount=12)
    assert told(GeminiReader(), before, after)["usage_raw"] == {
        "promptTokenCount": 10,
        "totalTokenCount": 12,
        "trafficType": "ON_DEMAND",
    }


@pytest.mark.parametrize("events", [[UNARY], STREAM])
def test_pruning_leaves_all_that_is_read(events: list[Json]) -> None:
    assert told(GeminiReader(), *pruned(GeminiReader(), *events)) == told(GeminiReader(), *events)


@pytest.mark.parametrize("reader", [GeminiReader, LiveReader])
@given(value=json_values)
def test_any_shape(reader: type[GeminiReader | LiveReader], value: object) -> None:
    for member in ("candidates", "usageMetadata", "promptFeedback", "serverContent", "error"):
        read(reader(), value, {member: value}, {member: [value]}, *ANYTHING)


class TestLive:
    def test_turns_add_up(self) -> None:
        def turn(prompt: int, answer: int) -> Json:
            details = [{"modality": "AUDIO", "tokenCount": answer}]
            total = prompt + answer
            return usage(
                promptTokenCount=prompt,
                candidatesTokenCount=answer,
                totalTokenCount=total,
                candidatesTokensDetails=details,
            )

        assert counts(LiveReader(), turn(143, 19), {"serverContent": {}}, turn(181, 24)) == {
            "input_tokens": 324,
            "output_tokens": 43,
            "total_tokens": 367,
            "output_by_modality": {"audio": 43},
        }

    def test_a_count_that_is_none(self) -> None:
        large = usage(promptTokenCount=10**12 + 1, responseTokenCount="9" * 15, totalTokenCount=2**63)
        assert counts(LiveReader(), large, usage(promptTokenCount=3), large) == {"input_tokens": 3}

    def test_sums_have_no_limit(self) -> None:
        """What the ledger cannot store, the ledger leaves out."""
        reader = LiveReader()
        reader.reading.input_tokens = 2**63 - 1
        assert counts(reader, usage(promptTokenCount=10**12)) == {"input_tokens": 2**63 - 1 + 10**12}

    def test_the_other_spelling(self) -> None:
        event = usage(promptTokenCount=3, responseTokenCount=4, totalTokenCount=7)
        assert counts(LiveReader(), event) == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}

    def test_content(self) -> None:
        reader = LiveReader()
        assert not told(reader, {"setupComplete": {}})
        assert told(reader, {"serverContent": {"modelTurn": {"parts": []}}}) == {"content": True}


TEXT = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 0}]}
EVENTS: list[dict[str, Any]] = [
    TEXT,
    TEXT | {"modelVersion": "gemini-2.5-flash", "responseId": "r"},
    TEXT | {"usageMetadata": {"trafficType": "ON_DEMAND"}},
    TEXT | {"usageMetadata": {"totalTokenCount": 3}},
    TEXT | {"usage_metadata": {"total_token_count": 4}},
    {"usageMetadata": {"totalTokenCount": 3}},
    {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "b"}]}, "index": 1}]},
    {"candidates": [*TEXT["candidates"], {"content": {"parts": [{"text": "b"}]}, "index": 1}]},
    {"candidates": [{"content": {"parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png"}}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "a", "inlineData": {"mimeType": "image/png"}}]}}]},
    {"candidates": [{"content": {"parts": [{"inline_data": {"mime_type": "image/png"}}]}}]},
    {"candidates": [{"content": {"parts": []}}]},
    {"candidates": [{"finishReason": "STOP"}]},
    {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"totalTokenCount": 3}},
    TEXT | {"candidates": [TEXT["candidates"][0] | {"finish_reason": "MAX_TOKENS"}]},
    {"promptFeedback": {"blockReason": "SAFETY"}},
    {"candidates": [TEXT["candidates"][0] | {"groundingMetadata": {"webSearchQueries": ["q"]}}]},
    {"error": {"code": 500}},
]


def test_an_event_between_pieces_of_text() -> None:
    end = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"totalTokenCount": 3}}
    for event in EVENTS:
        check_that_repetition_does_not_matter([event, TEXT, event, TEXT, end])


@given(st.lists(st.sampled_from(EVENTS), max_size=8))
def test_what_an_event_repeats_does_not_matter(events: list[dict[str, Any]]) -> None:
    check_that_repetition_does_not_matter(events)


def check_that_repetition_does_not_matter(events: list[dict[str, Any]]) -> None:
    """The same is read if no event is like the one before it, and no candidate has just its content."""
    repeating, changing = GeminiReader(), GeminiReader()
    for number, event in enumerate(events):
        candidates = [candidate | {"avgLogprobs": -1} for candidate in event.get("candidates", [])]
        repeating.read(event)
        changing.read(event | {"createTime": number, "candidates": candidates})
        assert repeating.reading == changing.reading


def test_the_first_candidate_may_come_second() -> None:
    other = {"content": {"parts": [{"text": "b"}]}, "index": 1}
    end = {"candidates": [other | {"finishReason": "STOP"}], "usageMetadata": {"totalTokenCount": 3}}
    check_that_repetition_does_not_matter([{"candidates": [other]}, TEXT, end])
