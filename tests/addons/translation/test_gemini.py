import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Usage
from addons.translation.gemini import FINISH_REASONS
from addons.translation.gemini import TIER_HEADER
from addons.translation.gemini import AnswerReader
from addons.translation.gemini import write_request
from addons.translation.openai_chat import read_request
from addons.translation.signatures import MISSING
from tests.addons.translation.chats import chats
from tests.addons.translation.chats import check
from tests.addons.translation.chats import half_valid
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.vertex_simulator.schema import _document

Json = dict[str, Any]

OLD = "gemini-2.5-flash"
NEW = "gemini-3-pro-preview"
FUNCTIONS = [Function("f")]


def written(*turns: Turn, model: str = OLD, **members: Any) -> Json:
    request = Request(model, turns=[*turns] or [Turn("user", [Text("Hi")])], **members)
    body = write_request(request).body
    check(body)
    return body


def config(**members: Any) -> Json:
    found: Json = written(**members).get("generationConfig", {})
    return found


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


class TestContents:
    def test_turns(self) -> None:
        turns = [user(Text("a"), Text("b")), assistant(Text("c")), user(Text("d"))]
        assert written(*turns, system=[Text("s"), Text("t")]) == {
            "systemInstruction": {"parts": [{"text": "s"}, {"text": "t"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
                {"role": "model", "parts": [{"text": "c"}]},
                {"role": "user", "parts": [{"text": "d"}]},
            ],
        }

    def test_instructions_alone_are_what_the_user_says(self) -> None:
        request = Request(OLD, system=[Text("s")])
        assert write_request(request).body == {"contents": [{"role": "user", "parts": [{"text": "s"}]}]}

    @pytest.mark.parametrize(
        ("media", "model", "expected"),
        [
            (Media("image/png", data="AAAA"), OLD, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
            (Media("video/mp4", uri="gs://x"), OLD, {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"}}),
            (
                Media("video/mp4", uri="gs://x", clip={"fps": 2.0, "startOffset": "1s"}),
                OLD,
                {
                    "fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"},
                    "videoMetadata": {"fps": 2.0, "startOffset": "1s"},
                },
            ),
            (
                Media("image/png", data="AAAA", detail="ultra_high"),
                NEW,
                {
                    "inlineData": {"mimeType": "image/png", "data": "AAAA"},
                    "mediaResolution": {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"},
                },
            ),
        ],
    )
    def test_media(self, media: Media, model: str, expected: Json) -> None:
        body = written(user(media), model=model)
        assert body["contents"] == [{"role": "user", "parts": [expected]}]
        assert "generationConfig" not in body

    @pytest.mark.parametrize(
        ("details", "resolution"),
        [
            (["low"], "MEDIA_RESOLUTION_LOW"),
            (["low", "high", "medium"], "MEDIA_RESOLUTION_HIGH"),
            (["ultra_high"], "MEDIA_RESOLUTION_HIGH"),
        ],
    )
    def test_the_closest_look_is_for_all_before_gemini_3(self, details: list[str], resolution: str) -> None:
        turn = user(*(Media("image/png", data="AAAA", detail=detail) for detail in details))
        body = written(turn)
        assert body["generationConfig"] == {"mediaResolution": resolution}
        assert all(part.keys() == {"inlineData"} for part in body["contents"][0]["parts"])


def call(id: str, name: str = "f", signature: str | None = None, **arguments: object) -> ToolCall:
    return ToolCall(id, name, arguments, Signature("google", signature) if signature else None)


def called(id: str, name: str = "f", signature: str | None = None, **arguments: object) -> Json:
    written: Json = {"functionCall": {"name": name, "args": arguments, "id": id}}
    return written | ({"thoughtSignature": signature} if signature else {})


class TestToolCalls:
    @pytest.mark.parametrize("model", [OLD, "4611686018427387904"])
    def test_in_parallel(self, model: str) -> None:
        body = written(
            user(Text("x")),
            assistant(Text("Let me see."), call("1", "f", a=0), call("2", "g")),
            user(ToolResult("1", "f", {"b": 1}), ToolResult("2", "g", "text")),
            model=model,
        )
        # Models before Gemini 3 refuse ids.
        assert body["contents"][1:] == [
            {
                "role": "model",
                "parts": [
                    {"text": "Let me see."},
                    {"functionCall": {"name": "f", "args": {"a": 0}}},
                    {"functionCall": {"name": "g", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"b": 1}}},
                    {"functionResponse": {"name": "g", "response": {"output": "text"}}},
                ],
            },
        ]

    def test_results_stand_alone(self) -> None:
        body = written(assistant(call("1")), user(ToolResult("1", "f", "x"), Text("And now?")), model=NEW)
        assert body["contents"][1:] == [
            {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"output": "x"}}}]},
            {"role": "user", "parts": [{"text": "And now?"}]},
        ]

    @pytest.mark.parametrize(
        ("output", "response"),
        [
            ({}, {}),
            ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
            ("", {"output": ""}),
            ("[1]", {"output": "[1]"}),
            ([1, "é"], {"output": [1, "é"]}),
            (5, {"output": 5}),
            # Google would look for what the reference points to.
            ({"a": [{"$ref": "#/é"}]}, {"output": '{"a": [{"$ref": "#/é"}]}'}),
            ([{"$ref": "x"}], {"output": '[{"$ref": "x"}]'}),
        ],
    )
    def test_results(self, output: object, response: Json) -> None:
        body = written(assistant(call("1")), user(ToolResult("1", "f", output)))
        assert body["contents"][1]["parts"][0]["functionResponse"]["response"] == response

    def test_media_in_a_result(self) -> None:
        turns = [
            assistant(call("1", signature="AAAA")),
            user(ToolResult("1", "f", "x", [Media("image/png", data="AAAA"), Media("image/png", uri="gs://x")])),
        ]
        inline = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
        linked = {"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}}
        response: Json = {"name": "f", "response": {"output": "x"}}
        assert written(*turns, model=OLD)["contents"][1:] == [
            {"role": "user", "parts": [{"functionResponse": response}]},
            {"role": "user", "parts": [inline, linked]},
        ]
        assert written(*turns, model=NEW)["contents"][1:] == [
            {"role": "user", "parts": [{"functionResponse": {**response, "id": "1", "parts": [inline, linked]}}]}
        ]

    def test_signatures_stay_at_their_part(self) -> None:
        turn = assistant(Text("t", Signature("google", "AAAA")), call("1"), call("2", signature="BBBB"))
        results = user(ToolResult("1", "f", ""), ToolResult("2", "f", ""))
        assert written(turn, results, model=NEW)["contents"][0]["parts"] == [
            {"text": "t", "thoughtSignature": "AAAA"},
            called("1"),
            called("2", signature="BBBB"),
        ]

    @pytest.mark.parametrize(
        ("model", "signature", "expected"),
        [
            (NEW, None, MISSING),
            (NEW, Signature("anthropic", "AAAA"), MISSING),
            (NEW, Signature("google", "AAAA"), "AAAA"),
            (OLD, None, None),
            (OLD, Signature("google", "AAAA"), "AAAA"),
        ],
    )
    def test_a_lost_signature(self, model: str, signature: Signature | None, expected: str | None) -> None:
        calls = [ToolCall("1", "f", {}, signature), ToolCall("2", "f", {})]
        results = user(ToolResult("1", "f", ""), ToolResult("2", "f", ""))
        first, second = written(assistant(Text("t"), *calls), results, model=model)["contents"][0]["parts"][1:]
        assert (first.get("thoughtSignature"), second.get("thoughtSignature")) == (expected, None)

    def test_each_turn_of_calls_needs_a_signature(self) -> None:
        turns = [assistant(call("1", signature="AAAA")), user(ToolResult("1", "f", ""))]
        turns += [assistant(call("2")), user(ToolResult("2", "f", ""))]
        contents = written(*turns, model=NEW)["contents"]
        assert contents[2]["parts"] == [called("2", signature=MISSING)]

    def test_a_call_without_an_id(self) -> None:
        turns = [assistant(ToolCall(None, "f", {})), user(ToolResult(None, "f", "x"))]
        first, second = written(*turns, model=NEW)["contents"]
        assert "id" not in first["parts"][0]["functionCall"]
        assert "id" not in second["parts"][0]["functionResponse"]

    def test_thoughts_are_not_given_back(self) -> None:
        assert written(assistant(Thought("hm"), Text("t")))["contents"][0]["parts"] == [{"text": "t"}]


class TestTools:
    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            (Function("f"), {"name": "f"}),
            (Function("f", "d"), {"name": "f", "description": "d"}),
            (Function("f", parameters={"type": "object", "properties": {}}), {"name": "f"}),
            (
                Function("f", parameters={"type": "object", "properties": {"a": {"const": 1}}}),
                {"name": "f", "parametersJsonSchema": {"type": "object", "properties": {"a": {"enum": [1]}}}},
            ),
        ],
    )
    def test_functions(self, function: Function, expected: Json) -> None:
        assert written(functions=[function])["tools"] == [{"functionDeclarations": [expected]}]

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (ToolChoice("none"), {"mode": "NONE"}),
            (ToolChoice("auto"), {"mode": "AUTO"}),
            (ToolChoice("required"), {"mode": "ANY"}),
            (ToolChoice("required", ["f"]), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
            (ToolChoice("auto", ["f"]), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        ],
    )
    def test_choices(self, choice: ToolChoice, expected: Json) -> None:
        assert written(functions=FUNCTIONS, tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}
        assert "toolConfig" not in written(tool_choice=choice)

    @pytest.mark.parametrize(
        ("model", "functions", "tools", "dropped"),
        [
            (OLD, [], [{"googleSearch": {}}, {"codeExecution": {}}], False),
            # "Tool use with function calling is unsupported"
            (OLD, FUNCTIONS, [{"functionDeclarations": [{"name": "f"}]}, {"codeExecution": {}}], True),
            (
                NEW,
                FUNCTIONS,
                [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}, {"codeExecution": {}}],
                False,
            ),
        ],
    )
    def test_tools_of_the_server(self, model: str, functions: list[Function], tools: list[Json], dropped: bool) -> None:
        names = {"googleSearch": "web_search_options", "codeExecution": "tools[1]"}
        request = Request(model, turns=[user(Text("x"))], functions=functions, server_tools=names)
        body, _, notes = write_request(request)
        check(body)
        assert body["tools"] == tools
        assert notes.dropped == ["web_search_options"] * dropped


class TestGenerationConfig:
    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, {}),
            # Zeros are said, not left out.
            (
                {"temperature": 0, "top_p": 0, "top_k": 0, "seed": 0, "presence_penalty": 0, "frequency_penalty": 0},
                {"temperature": 0, "topP": 0, "topK": 0, "seed": 0, "presencePenalty": 0, "frequencyPenalty": 0},
            ),
            ({"max_tokens": 7, "n": 2}, {"maxOutputTokens": 7, "candidateCount": 2}),
            ({"stop": ["a", "b"]}, {"stopSequences": ["a", "b"]}),
            ({"seed": 2**31 - 1}, {"seed": 2**31 - 1}),
            ({"seed": -(2**31)}, {"seed": -(2**31)}),
            ({"logprobs": True}, {"responseLogprobs": True}),
            ({"logprobs": True, "top_logprobs": 0}, {"responseLogprobs": True}),
            ({"logprobs": True, "top_logprobs": 5}, {"responseLogprobs": True, "logprobs": 5}),
            ({"logprobs": False}, {}),
            ({"modalities": ["text", "image"]}, {"responseModalities": ["TEXT", "IMAGE"]}),
            ({"voice": "Kore"}, {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}),
            ({"format": Format()}, {"responseMimeType": "application/json"}),
            (
                {"format": Format({"const": 1})},
                {"responseMimeType": "application/json", "responseJsonSchema": {"enum": [1]}},
            ),
            ({"thinking": Thinking("low")}, {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}),
        ],
    )
    def test_members(self, members: Json, expected: Json) -> None:
        assert config(**members) == expected

    @given(st.integers())
    def test_seeds_fit_and_stay_what_they_were(self, seed: int) -> None:
        first, again = config(seed=seed)["seed"], config(seed=seed)["seed"]
        assert first == again
        assert -(2**31) <= first < 2**31

    def test_too_many_choices(self) -> None:
        assert config(n=8) == {"candidateCount": 8}
        with pytest.raises(InvalidRequest) as caught:
            config(n=9)
        assert caught.value.param == "n"

    @pytest.mark.parametrize(("model", "kept"), [(OLD, False), ("gemini-2.0-flash", False), (NEW, True)])
    def test_json_beside_functions(self, model: str, kept: bool) -> None:
        """Before Gemini 3 "function calling with a response mime type: 'application/json' is unsupported"."""
        request = Request(model, turns=[user(Text("x"))], functions=FUNCTIONS, format=Format())
        body, _, notes = write_request(request)
        assert ("generationConfig" in body, notes.dropped) == (kept, [] if kept else ["response_format"])

    @pytest.mark.parametrize(
        ("model", "thinking", "dropped"),
        [
            ("gemini-2.0-flash", Thinking("high"), ["reasoning_effort"]),
            # That it does not think is what was asked for.
            ("gemini-2.0-flash", Thinking("none"), []),
            (OLD, Thinking("high"), []),
        ],
    )
    def test_thinking_of_a_model_that_does_not(self, model: str, thinking: Thinking, dropped: list[str]) -> None:
        request = Request(model, turns=[user(Text("x"))], thinking=thinking)
        assert write_request(request).notes.dropped == dropped


def test_what_only_google_knows() -> None:
    google = Google({"cachedContent": "c", "labels": {"a": "b"}}, {"audioTimestamp": True, "temperature": 1})
    body = written(google=google, temperature=0.5)
    assert (body["cachedContent"], body["labels"]) == ("c", {"a": "b"})
    assert body["generationConfig"] == {"audioTimestamp": True, "temperature": 1}


def test_project_and_location_are_for_the_path_only() -> None:
    assert written(project="p", location="l") == written()


@pytest.mark.parametrize(
    ("tier", "headers", "dropped"),
    [
        (None, {}, []),
        ("auto", {}, []),
        ("default", {}, []),
        ("flex", {TIER_HEADER: "flex"}, []),
        ("priority", {TIER_HEADER: "priority"}, []),
        ("scale", {}, ["service_tier"]),
    ],
)
def test_service_tiers(tier: str | None, headers: dict[str, str], dropped: list[str]) -> None:
    body, sent, notes = write_request(Request(OLD, turns=[user(Text("Hi"))], service_tier=tier))
    assert (body, sent, notes.dropped) == (written(), headers, dropped)


@settings(max_examples=60)
@given(chats)
def test_what_openai_takes_holds_against_googles_schema(chat: Json) -> None:
    check(write_request(read_request(chat)).body)


@settings(max_examples=120)
@given(half_valid())
def test_the_rest_is_refused_or_holds_against_googles_schema(chat: Json) -> None:
    try:
        body = write_request(read_request(chat)).body
    except InvalidRequest:
        return
    check(body)


# Answers


def read(*documents: object) -> list[Answer]:
    reader = AnswerReader()
    answers = [reader.read(document) for document in documents]
    assert reader.failure is None
    return answers


def candidate(*parts: object, **members: object) -> Json:
    return {"content": {"role": "model", "parts": [*parts]}, **members}


def choice_of(*candidates: Json) -> Choice:
    """What is made of the last of the candidates of a stream."""
    (choice,) = read(*({"candidates": [one]} for one in candidates))[-1].choices
    return choice


def test_an_answer() -> None:
    (answer,) = read(
        {
            "candidates": [candidate({"text": "Hi"}, finishReason="STOP", index=0)],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "trafficType": "ON_DEMAND_PRIORITY"},
            "modelVersion": "gemini-2.5-flash",
            "responseId": "r",
        }
    )
    assert answer == Answer("r", "gemini-2.5-flash", [Choice(0, [Text("Hi")], Finish.STOP)], Usage(1, 2), "priority")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"text": "a"}, Text("a")),
        ({"text": ""}, None),
        ({}, None),
        ({"text": "a", "thoughtSignature": "AAAA"}, Text("a", Signature("google", "AAAA"))),
        ({"text": "", "thoughtSignature": "AAAA"}, Text("", Signature("google", "AAAA"))),
        ({"thought_signature": "AAAA"}, Text("", Signature("google", "AAAA"))),
        ({"text": "a", "thought": True}, Thought("a")),
        ({"text": "", "thought": True}, None),
        ({"functionCall": {"name": "f"}}, ToolCall(None, "f", {})),
        ({"functionCall": {"id": "1", "name": "f", "args": {"a": "é"}}}, ToolCall("1", "f", {"a": "é"})),
        (
            {"function_call": {"name": "f", "args": {}}, "thought_signature": "AAAA"},
            ToolCall(None, "f", {}, Signature("google", "AAAA")),
        ),
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, Media("image/png", data="AAAA")),
        ({"inline_data": {"mime_type": "audio/wav", "data": "AAAA"}}, Media("audio/wav", data="AAAA")),
        ({"inlineData": {"data": "AAAA"}}, Media("application/octet-stream", data="AAAA")),
        # A picture that the model drew while it thought is no part of its answer.
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thought": True}, None),
        ({"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}}, Media("image/png", uri="gs://x")),
        ({"executableCode": {"language": "PYTHON", "code": "1"}}, Text("\n```python\n1\n```\n")),
        ({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}, Text("\n```\n1\n```\n")),
        ({"codeExecutionResult": {"outcome": "OUTCOME_OK"}}, None),
        ({"somethingNew": {"a": 1}}, None),
    ],
)
def test_parts(part: Json, expected: Part | None) -> None:
    assert choice_of(candidate(part)).parts == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("reason", "with_text", "without"),
    [
        ("STOP", "stop", "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop", "stop"),
        ("MAX_TOKENS", "length", "length"),
        *((reason, "content_filter", "content_filter") for reason in "SAFETY RECITATION LANGUAGE BLOCKLIST".split()),
        *((reason, "content_filter", "content_filter") for reason in "PROHIBITED_CONTENT SPII MODEL_ARMOR".split()),
        *((reason, "content_filter", "content_filter") for reason in "IMAGE_SAFETY IMAGE_RECITATION".split()),
        ("IMAGE_PROHIBITED_CONTENT", "content_filter", "content_filter"),
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


CALL = {"functionCall": {"name": "f", "args": {}}}


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
    assert choice_of({"finishReason": "SAFETY", "finishMessage": "why"}).refusal == "why"
    assert choice_of(candidate({"text": "a"}, finishReason="SAFETY", finishMessage="why")).refusal is None
    assert choice_of({"finishReason": "STOP", "finishMessage": "why"}).refusal is None


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
    assert answer.choices == [Choice(0, [], Finish.STOP)]


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


def test_usage_of_a_stream_is_the_last_that_was_told() -> None:
    answers = read(
        {"usageMetadata": {"trafficType": "ON_DEMAND_FLEX"}},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 9, "totalTokenCount": 14}},
        {},
    )
    assert [answer.usage for answer in answers] == [None, Usage(5, 1), Usage(5, 9), None]
    assert answers[0].service_tier == "flex"


def grounded(text: str | None, **segment: object) -> Json:
    """The metadata of a candidate whose segment rests on the first of two pages."""
    said = {"text": text} if text else {}
    return {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"web": {"uri": "https://b"}}],
        "groundingSupports": [{"segment": {**segment, **said}, "groundingChunkIndices": [0]}],
    }


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
def test_a_candidate_of_nothing(one: object) -> None:
    (answer,) = read({"candidates": [one]})
    assert answer.choices == [Choice(0)]


NAMES = (
    "candidates index content parts text thought thoughtSignature functionCall id name args inlineData data mimeType"
    " fileData fileUri executableCode language codeExecutionResult output finishReason finishMessage promptFeedback"
    " blockReason blockReasonMessage groundingMetadata groundingChunks web uri title groundingSupports segment"
    " startIndex endIndex partIndex groundingChunkIndices logprobsResult chosenCandidates topCandidates token"
    " logProbability usageMetadata promptTokenCount candidatesTokenCount promptTokensDetails modality tokenCount"
    " trafficType modelVersion responseId error code message status details fieldViolations field retryDelay"
).split()
SHAPE: Json = {
    "candidates": [
        candidate(
            {"text": "é"},
            {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "AAAA"},
            {"inlineData": {"data": "AAAA", "mimeType": "image/png"}},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            finishReason="STOP",
            index=0,
            groundingMetadata=grounded("é", startIndex=0, endIndex=2, partIndex=0),
            logprobsResult={
                "chosenCandidates": [{"token": "a", "logProbability": 1}],
                "topCandidates": [{"candidates": [{}]}],
            },
        )
    ],
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}]},
    "error": None,
}


@st.composite
def documents(draw: st.DrawFn) -> object:
    """Any JSON, with Google's names in it, or an answer with any JSON in one place."""
    if draw(st.booleans()):
        inner = st.recursive(
            json_values,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
            max_leaves=6,
        )
        return draw(inner)
    document: Any = json.loads(json.dumps(SHAPE))
    value = document
    while True:
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 4)):
            value = value[place]
        else:
            value[place] = draw(json_values)
            return document


@given(st.lists(documents(), max_size=3))
def test_any_answer(given: list[object]) -> None:
    reader = AnswerReader()
    for document in given:
        answer = reader.read(document)
        for choice in answer.choices:
            assert choice.index >= 0
            assert choice.finish is None or choice.finish in Finish
        assert reader.failure is None or 400 <= reader.failure.status < 600


def test_an_error_inside_an_answer() -> None:
    reader = AnswerReader()
    reader.read({"candidates": [candidate({"text": "a"})]})
    assert (
        reader.read({"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}) == Answer()
    )
    assert reader.failure == Failure(429, "Quota exceeded.", "RESOURCE_EXHAUSTED")
