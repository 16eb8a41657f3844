import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Text
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.gemini.read_answer import FINISH_REASONS
from addons.translation.gemini.read_answer import AnswerReader
from tests.addons.translation.gemini.examples import Json
from tests.addons.translation.gemini.examples import candidate
from tests.addons.translation.gemini.examples import choice_of
from tests.addons.translation.gemini.examples import documents
from tests.addons.translation.gemini.examples import grounded
from tests.addons.translation.gemini.examples import read
from tests.metering.usage.told import ANYTHING
from tests.vertex_simulator.schema import _document

CALL = {"functionCall": {"name": "f", "args": {}}}


def test_an_answer() -> None:
    one = candidate({"text": "Hi"}, finishReason="STOP", index=0)
    document: Json = {
        "candidates": [one],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "trafficType": "ON_DEMAND_PRIORITY"},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r",
    }
    (answer,) = read(document)
    choice = Choice(0, [Text("Hi")], Finish.STOP, native=NativeFinish("google", "STOP"), google=one)
    assert answer == Answer("r", "gemini-2.5-flash", [choice], Usage(1, 2), "priority", google=document)


@given(st.lists(documents(), max_size=4))
def test_what_an_event_repeats_is_not_new(given: list[object]) -> None:
    """The same is read if no event is like the one before it, but for what was told before."""
    repeating, changing = AnswerReader(), AnswerReader()
    id, model, usage, tier = None, None, None, None
    for number, document in enumerate([again for one in given for again in (one, one)]):
        short = repeating.read(document)
        full = changing.read(document | {"createTime": number} if isinstance(document, dict) else document)
        assert short.choices == full.choices
        id, model = short.id or id, short.model or model
        usage, tier = short.usage or usage, short.service_tier or tier
        assert (full.id or id, full.model or model) == (id, model)
        assert (full.usage or usage, full.service_tier or tier) == (usage, tier)
        assert (repeating.failure, repeating.finished) == (changing.failure, changing.finished)


@pytest.mark.parametrize(
    ("reason", "with_text", "without"),
    [
        ("STOP", "stop", "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop", "stop"),
        ("MAX_TOKENS", "length", "length"),
        *((reason, "content_filter", "content_filter") for reason in "SAFETY RECITATION LANGUAGE BLOCKLIST".split()),
        *((reason, "content_filter", "content_filter") for reason in "PROHIBITED_CONTENT SPII MODEL_ARMOR".split()),
        *((reason, "content_filter", "content_filter") for reason in "IMAGE_SAFETY IMAGE_RECITATION".split()),
        *((reason, "content_filter", "content_filter") for reason in "IMAGE_OTHER NO_IMAGE ESCALATION".split()),
        ("IMAGE_PROHIBITED_CONTENT", "content_filter", "content_filter"),
        ("CONTINUATION", "length", "length"),
        *((reason, "stop", "stop") for reason in "TOO_MANY_TOOL_CALLS MALFORMED_RESPONSE".split()),
        ("MISSING_THOUGHT_SIGNATURE", "stop", "stop"),
        ("MALFORMED_FUNCTION_CALL", "stop", "stop"),
        ("UNEXPECTED_TOOL_CALL", "stop", "stop"),
        ("OTHER", "stop", "content_filter"),
        # Reasons of tomorrow never leak.
        ("BAD_MOOD", "stop", "content_filter"),
    ],
)
def test_finish_reasons(reason: str, with_text: str, without: str) -> None:
    assert choice_of(candidate({"text": "a"}, finishReason=reason)).finish == with_text
    assert choice_of(candidate(finishReason=reason)).finish == without
    # What came before counts as well.
    assert choice_of(candidate({"text": "a"}), candidate(finish_reason=reason)).finish == with_text


def test_every_finish_reason_of_the_schema_is_known() -> None:
    described = _document("v1")["schemas"]["GoogleCloudAiplatformV1Candidate"]["properties"]["finishReason"]
    assert set(described["enum"]) <= FINISH_REASONS.keys()


@pytest.mark.parametrize(
    ("candidates", "finish"),
    [
        ([candidate(CALL, finishReason="STOP")], "tool_calls"),
        # Newer models end with a chunk of nothing.
        ([candidate(CALL), candidate({"text": ""}, finishReason="STOP")], "tool_calls"),
        ([candidate(CALL), {"finishReason": "STOP"}], "tool_calls"),
        ([candidate(CALL), candidate({"text": "a"}, finishReason="STOP")], "tool_calls"),
        ([candidate(CALL, finishReason="MAX_TOKENS")], "length"),
        ([candidate(CALL, finishReason="SAFETY")], "content_filter"),
        ([candidate(CALL, finishReason="BAD_MOOD")], "tool_calls"),
        ([candidate(CALL)], None),
        ([candidate({"text": "a"}), candidate({"text": "b"})], None),
    ],
)
def test_calls_stick(candidates: list[Json], finish: str | None) -> None:
    assert choice_of(*candidates).finish == finish


def test_each_choice_has_its_own_memory() -> None:
    answers = read(
        {"candidates": [candidate(CALL, index=0), candidate({"text": "a"}, index=1)]},
        {"candidates": [{"index": 1, "finishReason": "STOP"}, {"index": 0, "finishReason": "STOP"}]},
    )
    assert [(choice.index, choice.finish) for choice in answers[1].choices] == [(1, "stop"), (0, "tool_calls")]


def test_a_refused_candidate_tells_why() -> None:
    assert choice_of({"finishReason": "SAFETY", "finishMessage": "why"}).refusal == "SAFETY: why"
    assert choice_of(candidate({"text": "a"}, finishReason="SAFETY", finishMessage="why")).refusal is None
    assert choice_of({"finishReason": "STOP", "finishMessage": "why"}).refusal is None
    assert choice_of({"finishReason": "NO_IMAGE"}).refusal == "NO_IMAGE: The model gave no answer."


@pytest.mark.parametrize("before", [[], [candidate({"text": "a"})], [candidate(CALL)]])
@pytest.mark.parametrize(
    ("reason", "message", "fault"),
    [
        ("MALFORMED_FUNCTION_CALL", "Malformed call: f(", "MALFORMED_FUNCTION_CALL: Malformed call: f("),
        ("UNEXPECTED_TOOL_CALL", "g", "UNEXPECTED_TOOL_CALL: g"),
        ("TOO_MANY_TOOL_CALLS", None, "TOO_MANY_TOOL_CALLS: The model gave no valid answer."),
        ("MALFORMED_RESPONSE", "why", "MALFORMED_RESPONSE: why"),
        ("MISSING_THOUGHT_SIGNATURE", "", "MISSING_THOUGHT_SIGNATURE: The model gave no valid answer."),
        ("STOP", "why", None),
        ("MAX_TOKENS", "why", None),
        ("SAFETY", "why", None),
    ],
)
def test_faults(before: list[Json], reason: str, message: str | None, fault: str | None) -> None:
    last: Json = {"finishReason": reason} | ({} if message is None else {"finishMessage": message})
    choice = choice_of(*before, last)
    assert choice.is_invalid == (fault is not None)
    assert fault is None or choice.refusal == fault
    # In one document with what came before.
    if before:
        whole = choice_of(before[0] | last)
        assert (whole.is_invalid, whole.refusal) == (choice.is_invalid, choice.refusal)


@pytest.mark.parametrize(
    ("feedback", "refusal"),
    [
        ({"blockReason": "SAFETY", "blockReasonMessage": "why"}, "why"),
        ({"block_reason": "JAILBREAK"}, "The prompt was blocked (JAILBREAK)."),
    ],
)
def test_blocked_prompts(feedback: Json, refusal: str) -> None:
    reader = AnswerReader()
    answer = reader.read({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}})
    assert answer.choices == [Choice(0, [], Finish.CONTENT_FILTER, refusal)]
    assert answer.usage == Usage(9, 0)
    assert reader.finished


def test_a_prompt_that_was_not_blocked() -> None:
    (answer,) = read({"promptFeedback": {"safetyRatings": []}, "candidates": [candidate(finishReason="STOP")]})
    (choice,) = answer.choices
    assert (choice.finish, choice.refusal) == (Finish.STOP, None)


def test_the_end_is_known() -> None:
    reader = AnswerReader()
    assert not reader.finished
    reader.read({"candidates": [candidate({"text": "a"}, finishReason="STOP"), candidate({"text": "b"})]})
    assert not reader.finished
    reader.read({"candidates": [{"index": 1, "finishReason": "STOP"}]})
    assert reader.finished


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, None),
        ({"trafficType": "ON_DEMAND"}, None),
        # Thoughts are not in the candidates, the input of tools is not in the prompt.
        (
            {
                "promptTokenCount": 10,
                "cachedContentTokenCount": 4,
                "toolUsePromptTokenCount": 5,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 7,
                "totalTokenCount": 25,
            },
            Usage(15, 10, 4, 7),
        ),
        (
            {"prompt_token_count": 1, "candidates_token_count": 2, "thoughts_token_count": 3, "total_token_count": 6},
            Usage(1, 5, None, 3),
        ),
        (
            {
                "promptTokenCount": 12,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 2},
                    {"modality": "IMAGE", "tokenCount": 10},
                ],
                "candidatesTokenCount": 5,
                "candidates_tokens_details": [{"modality": "AUDIO", "token_count": 5}],
                "totalTokenCount": 17,
            },
            Usage(12, 5, None, None, {"text": 2, "image": 10}, {"audio": 5}),
        ),
        # Thoughts alone.
        ({"promptTokenCount": 2, "thoughtsTokenCount": 9, "totalTokenCount": 11}, Usage(2, 9, None, 9)),
    ],
)
def test_usage(usage: Json, expected: Usage | None) -> None:
    (answer,) = read({"usageMetadata": usage})
    assert answer.usage == expected
    (answer,) = read({"usage_metadata": usage})
    assert answer.usage == expected


@pytest.mark.parametrize(
    ("traffic", "tier"),
    [
        ("ON_DEMAND", "default"),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("ON_DEMAND_FLEX", "flex"),
        ("PROVISIONED_THROUGHPUT", "scale"),
        ("TRAFFIC_TYPE_UNSPECIFIED", None),
    ],
)
def test_tiers(traffic: str, tier: str | None) -> None:
    (answer,) = read({"usageMetadata": {"trafficType": traffic}})
    assert answer.service_tier == tier


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({"serviceTier": "standard"}, "default"),
        ({"serviceTier": "priority"}, "priority"),
        ({"service_tier": "FLEX"}, "flex"),
        ({"serviceTier": "unspecified"}, None),
        ({"serviceTier": "standard", "trafficType": "PROVISIONED_THROUGHPUT"}, "scale"),
    ],
)
def test_tiers_of_the_gemini_api(told: Json, tier: str | None) -> None:
    (answer,) = read({"usageMetadata": told})
    assert answer.service_tier == tier


def test_usage_of_a_stream_is_the_last_that_was_told() -> None:
    answers = read(
        {"usageMetadata": {"trafficType": "ON_DEMAND_FLEX"}},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 9, "totalTokenCount": 14}},
        {},
    )
    assert [answer.usage for answer in answers] == [None, Usage(5, 1), Usage(5, 9), None]
    assert answers[0].service_tier == "flex"


def test_details_may_come_after_the_counts() -> None:
    reader = AnswerReader()
    reader.read({"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}})
    details = [{"modality": "IMAGE", "tokenCount": 4}]
    answer = reader.read({"usageMetadata": {"promptTokensDetails": details}})
    assert answer.usage
    assert (answer.usage.input, answer.usage.input_by_modality) == (9, {"image": 4})


def test_a_traffic_type_alone_is_no_usage() -> None:
    assert AnswerReader().read({"usageMetadata": {"trafficType": "ON_DEMAND"}}).usage is None


def test_an_index_that_is_no_number() -> None:
    answer = AnswerReader().read({"candidates": [{"index": True}, {"index": -1}]})
    assert [choice.index for choice in answer.choices] == [0, 1]


@pytest.mark.parametrize(
    ("candidates", "span"),
    [
        # 0 is not sent.
        ([candidate({"text": "Spain won."}, groundingMetadata=grounded("Spain", endIndex=5))], (0, 5)),
        ([candidate({"text": "Spain won."}, groundingMetadata=grounded("won.", startIndex=6, endIndex=10))], (6, 10)),
        # Bytes against characters.
        ([candidate({"text": "España: 👍 ganó"}, groundingMetadata=grounded("España", endIndex=7))], (0, 6)),
        (
            [candidate({"text": "España: 👍 ganó"}, grounding_metadata=grounded("ganó", start_index=14, end_index=19))],
            (10, 14),
        ),
        ([candidate({"text": "España ganó"}, groundingMetadata=grounded(None, startIndex=8, endIndex=13))], (7, 11)),
        # Offsets of a part; what is no text does not count.
        (
            [
                candidate(
                    {"text": "hm", "thought": True},
                    {"text": "Olé. "},
                    {"text": "Olé. Olé."},
                    groundingMetadata=grounded("Olé.", partIndex=2, startIndex=6, endIndex=11),
                )
            ],
            (10, 14),
        ),
        # In a stream, of all the text.
        (
            [
                candidate({"text": "España "}),
                candidate({"text": "ganó."}, groundingMetadata=grounded("ganó.", startIndex=8, endIndex=14)),
            ],
            (7, 12),
        ),
        (
            [
                candidate({"text": "España "}),
                candidate({"text": "ganó."}),
                {"groundingMetadata": grounded("España ganó.", endIndex=14), "finishReason": "STOP"},
            ],
            (0, 12),
        ),
        # The text is right, the numbers are not.
        ([candidate({"text": "Spain won."}, groundingMetadata=grounded("won", startIndex=99, endIndex=102))], (6, 9)),
        ([candidate({"text": "Spain won."}, groundingMetadata=grounded("lost", startIndex=99, endIndex=103))], None),
    ],
)
def test_citations_count_characters(candidates: list[Json], span: tuple[int, int] | None) -> None:
    expected = [Citation(*span, "https://a", "A")] if span else []
    assert choice_of(*candidates).citations == expected


def test_searches_are_told_once() -> None:
    reader = AnswerReader()
    told = [
        reader.read({"candidates": [{"groundingMetadata": {"webSearchQueries": queries}}]}).choices[0].searches
        for queries in (["a", "b", "a", "", 5], ["b", "c"], None)
    ]
    assert told == [["a", "b"], ["c"], []]


def test_one_citation_for_each_page() -> None:
    metadata = grounded("Hi", endIndex=2)
    metadata["groundingSupports"][0]["groundingChunkIndices"] = [1, 0, 7, -1, None]
    (first, second) = choice_of(candidate({"text": "Hi"}, groundingMetadata=metadata)).citations
    assert (first, second) == (Citation(0, 2, "https://b", ""), Citation(0, 2, "https://a", "A"))


def test_logprobs() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}, {"token": "b", "log_probability": 0}],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "c"}]}],
    }
    assert choice_of({"logprobsResult": result}).logprobs == [
        TokenLogprob("a", -0.5, [TokenLogprob("a", -0.5, []), TokenLogprob("c", 0.0, [])]),
        TokenLogprob("b", 0.0, []),
    ]
    assert choice_of({"logprobsResult": {}}).logprobs is None


def test_a_number_that_no_float_holds() -> None:
    huge = {"chosenCandidates": [{"token": "a", "logProbability": 10**400}]}
    assert choice_of({"logprobsResult": huge}).logprobs


@pytest.mark.parametrize(
    "document",
    [
        *(anything for anything in ANYTHING if not isinstance(anything, dict) or not anything.get("error")),
        {"candidates": None},
        {"candidates": []},
        {"candidates": {}},
        {"usageMetadata": {"promptTokenCount": 1}},
    ],
)
def test_an_answer_without_candidates(document: object) -> None:
    (answer,) = read(document)
    assert answer.choices == []


@pytest.mark.parametrize("one", [{}, None, {"content": None}, {"content": {}}, {"content": {"parts": None}}])
def test_a_candidate_of_nothing(one: Json | None) -> None:
    (answer,) = read({"candidates": [one]})
    assert answer.choices == [Choice(0, google=one or {})]


@given(st.lists(documents(), max_size=3))
def test_any_answer(given: list[object]) -> None:
    reader = AnswerReader()
    called: set[int] = set()
    for document in given:
        answer = reader.read(document)
        for choice in answer.choices:
            assert choice.index >= 0
            called.update(choice.index for part in choice.parts if isinstance(part, ToolCall))
            assert choice.finish is not Finish.TOOL_CALLS or choice.index in called
            assert choice.refusal is None or choice.is_invalid or choice.finish is Finish.CONTENT_FILTER
        assert reader.failure is None or 400 <= reader.failure.status < 600


def test_an_error_inside_an_answer() -> None:
    reader = AnswerReader()
    reader.read({"candidates": [candidate({"text": "a"})]})
    assert (
        reader.read({"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}) == Answer()
    )
    assert reader.failure == Failure(429, "Quota exceeded.", "RESOURCE_EXHAUSTED")
