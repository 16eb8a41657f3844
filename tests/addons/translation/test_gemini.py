import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import example
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
from addons.translation.conversation import NativeFinish
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
from addons.translation.gemini import StreamWriter
from addons.translation.gemini import read_request as gemini_request
from addons.translation.gemini import write_answer
from addons.translation.gemini import write_request
from addons.translation.openai_chat import read_request
from addons.translation.signatures import MISSING
from metering.json_values import snake
from tests.addons.translation.chats import PATH
from tests.addons.translation.chats import chats
from tests.addons.translation.chats import check
from tests.addons.translation.chats import half_valid
from tests.addons.translation.recorded import HI
from tests.addons.translation.recorded import OPAQUE
from tests.addons.translation.recorded import REQUESTS
from tests.addons.translation.recorded import RESPONSES
from tests.addons.translation.recorded import camel
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.vertex_simulator.schema import _document
from tests.vertex_simulator.schema import check_request

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

    def test_signatures_of_others_are_not_given_back(self) -> None:
        other = Signature("anthropic", "AAAA")
        parts: list[Part] = [Thought("hm", other), Text("t", other), ToolCall("1", "f", {}, other)]
        turns = [assistant(*parts), user(ToolResult("1", "f", ""))]
        assert "AAAA" not in json.dumps(written(*turns, model=OLD))

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
    ("members", "dropped"),
    [
        ({"parallel_tool_calls": False, "user": "u"}, ["parallel_tool_calls", "user"]),
        ({"parallel_tool_calls": True}, []),
    ],
)
def test_what_gemini_has_no_word_for(members: Json, dropped: list[str]) -> None:
    body, _, notes = write_request(Request(OLD, turns=[user(Text("Hi"))], **members))
    assert (body, notes.dropped) == (written(), dropped)


def test_what_is_to_be_remembered_is_named_once() -> None:
    short: Json = {"type": "ephemeral"}
    turn = user(Text("Hi", cache=short), Text("x", cache=short))
    request = Request(OLD, turns=[turn], functions=[Function("f", cache=short)])
    body, _, notes = write_request(request)
    assert body == written(user(Text("Hi"), Text("x")), functions=[Function("f")])
    assert notes.dropped == ["cache_control"]
    request.notes.dropped.append("cache_control")
    assert write_request(request).notes.dropped == ["cache_control"]


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
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 2, "trafficType": "ON_DEMAND_PRIORITY"}
    choice = Choice(0, [Text("Hi")], Finish.STOP, native=NativeFinish("google", "STOP"))
    google: Json = {"usageMetadata": usage}
    assert answer == Answer("r", "gemini-2.5-flash", [choice], Usage(1, 2), "priority", google=google)


BLOB: Json = {"mimeType": "image/png", "data": "AAAA"}
DRAFT: Json = {"inlineData": BLOB, "thought": True}
CODE: Json = {"executableCode": {"language": "PYTHON", "code": "1"}}
OUTPUT: Json = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
SILENCE: Json = {"codeExecutionResult": {"outcome": "OUTCOME_OK"}}


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
        (DRAFT, Thought("", google=DRAFT)),
        ({"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}}, Media("image/png", uri="gs://x")),
        # What others get instead of it.
        (CODE, Text("\n```python\n1\n```\n", google=CODE)),
        (OUTPUT, Text("\n```\n1\n```\n", google=OUTPUT)),
        (SILENCE, Text("", google=SILENCE)),
        ({"somethingNew": {"a": 1}}, Text("", google={"somethingNew": {"a": 1}})),
        ({"text": "a", "somethingNew": 1}, Text("a", google={"text": "a", "somethingNew": 1})),
        ({"text": "a", "somethingNew": 1, "thought": True}, Thought("a", google=mock.ANY)),
        ({"functionCall": {"name": "f", "willContinue": True}}, ToolCall(None, "f", {}, google=mock.ANY)),
        ({"executableCode": None, "somethingNew": None}, None),
        (
            {"functionResponse": {"id": "1", "name": "f", "response": {"a": 1}, "parts": [{"inlineData": BLOB}]}},
            ToolResult("1", "f", {"a": 1}, [Media("image/png", data="AAAA")]),
        ),
        (
            {"file_data": {"file_uri": "gs://x", "mime_type": "video/mp4"}, "video_metadata": {"fps": 2}},
            Media("video/mp4", uri="gs://x", clip={"fps": 2}),
        ),
        (
            {"inlineData": BLOB, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}},
            Media("image/png", data="AAAA", detail="high"),
        ),
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
    assert answer.choices == [Choice(0, [], Finish.STOP, native=NativeFinish("google", "STOP"))]


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


def test_thoughts_of_another_model_are_left_out() -> None:
    thoughts = Turn("assistant", [Thought("hm", Signature("anthropic", "c2ln"))])
    request = Request("gemini-3-flash-preview", turns=[thoughts, Turn("user", [Text("Hi")])])
    assert write_request(request).body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    with pytest.raises(InvalidRequest):
        write_request(Request("gemini-3-flash-preview", turns=[thoughts]))


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


# Requests, as clients send them


def asked(*contents: Json, **members: object) -> Request:
    return gemini_request(NEW, {"contents": [*contents] or HI["contents"], **members}, stream=False)


def refusal(*contents: Json, **members: object) -> str | None:
    """Which member is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        asked(*contents, **members)
    assert (caught.value.status, bool(caught.value.message)) == (400, True)
    return caught.value.param


def content(*parts: Json, role: str = "user") -> Json:
    return {"role": role, "parts": [*parts]}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_comes_back_the_same(name: str) -> None:
    body = REQUESTS[name]
    check_request("POST", PATH, body)
    before = json.dumps(body)
    back = write_request(gemini_request(NEW if "tools" in name or "part" in name else OLD, body, stream=False)).body
    check_request("POST", PATH, back)
    assert camel(back) == camel(body)
    assert json.dumps(body) == before


def snakes(value: Any) -> Any:
    """The other spelling of a body, but for what is the user's."""
    if isinstance(value, list):
        return [snakes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {snake(name): item if name in OPAQUE else snakes(item) for name, item in value.items()}


@pytest.mark.parametrize("name", REQUESTS)
def test_either_case_of_letters(name: str) -> None:
    body = camel(REQUESTS[name])
    one, other = gemini_request(NEW, body, stream=True), gemini_request(NEW, snakes(body), stream=True)
    assert camel(write_request(one).body) == camel(write_request(other).body)
    assert [function.parameters for function in one.functions] == [function.parameters for function in other.functions]
    assert (one.format and one.format.schema) == (other.format and other.format.schema)
    assert (one.stream, one.include_usage) == (True, True)


def test_camel_case_wins_by_presence() -> None:
    config = {"topP": 0, "top_p": 0.5, "imageConfig": {}, "image_config": {"aspectRatio": "1:1"}}
    request = asked(generationConfig=config, generation_config={"topP": 1})
    assert (request.top_p, request.google and request.google.generation_config) == (0, {"imageConfig": {}})
    part = {"inlineData": {"mimeType": "image/png", "mime_type": "x/y", "data": "AAAA"}}
    assert asked(content(part)).turns[0].parts[0] == Media("image/png", data="AAAA", google=None)


@pytest.mark.parametrize(
    ("contents", "turns"),
    [
        # As Google's own pages write it.
        ([{"role": "user", "parts": {"text": "a"}}], [user(Text("a"))]),
        ([{"parts": [{"text": "a"}]}], [user(Text("a"))]),
        ([content({"text": ""}, {"text": "a"})], [user(Text("a"))]),
        (
            [content({"inline_data": {"mime_type": "image/png", "data": "-_8"}})],
            [user(Media("image/png", data="+/8="))],
        ),
        ([content({"text": "a"}), content({"text": "b"})], [user(Text("a"), Text("b"))]),
        (
            [content({"text": "a", "thought_signature": "AAAA"}, role="model"), content({"text": "b"})],
            [assistant(Text("a", Signature("google", "AAAA"))), user(Text("b"))],
        ),
    ],
)
def test_contents(contents: list[Json], turns: list[Turn]) -> None:
    assert asked(*contents).turns == turns


def made(name: str = "f", **members: object) -> Json:
    return {"functionCall": {"name": name, "args": {}, **members}}


def result(name: str = "f", **members: object) -> Json:
    return {"functionResponse": {"name": name, "response": {"a": 1}, **members}}


def results_of(request: Request) -> list[tuple[str | None, object]]:
    return [(part.id, part.output) for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)]


@pytest.mark.parametrize(
    ("calls", "results", "expected"),
    [
        ([made()], [content(result())], [(None, {"a": 1})]),
        # By name, and in order.
        (
            [made("f"), made("g"), made("f")],
            [content(result("g", response={"b": 2}), result("f"), result("f", response={}))],
            [(None, {"a": 1}), (None, {"b": 2}), (None, {})],
        ),
        # By id.
        (
            [made(id="1"), made(id="2")],
            [content(result(id="2", response={}), result(id="1"))],
            [("1", {"a": 1}), ("2", {})],
        ),
        ([made(id="1")], [content(result())], [(None, {"a": 1})]),
        # One by one, and by the roles of older clients.
        (
            [made("f"), made("g")],
            [content(result("f"), role="function"), content(result("g"), role="tool")],
            [(None, {"a": 1}), (None, {"a": 1})],
        ),
        ([made()], [content(result(), {"text": "And?"})], [(None, {"a": 1})]),
        # Google's chats keep each event of a stream as a content of its own.
        (
            [made("f")],
            [content(made("g"), role="model"), content({"text": ""}, role="model"), content(result("f"), result("g"))],
            [(None, {"a": 1}), (None, {"a": 1})],
        ),
        ([made()], [content({"functionResponse": {"name": "f"}})], [(None, {})]),
    ],
)
def test_results_find_their_calls(calls: list[Json], results: list[Json], expected: list[object]) -> None:
    assert results_of(asked(content({"text": "x"}), content(*calls, role="model"), *results)) == expected


@pytest.mark.parametrize(
    ("contents", "param"),
    [
        ([], None),
        ([{"role": "robot", "parts": [{"text": "x"}]}], "contents[0].role"),
        ([{"role": "user", "parts": []}], "contents[0].parts"),
        ([{"role": "user"}], "contents[0].parts"),
        ([content({"text": ""})], "contents"),
        ([content({"text": 5})], "contents[0].parts[0].text"),
        ([content({"inlineData": {"mimeType": "image/png", "data": "?"}})], "contents[0].parts[0]"),
        ([content({"inline_data": {"data": "AAAA"}})], "contents[0].parts[0].inlineData.mimeType"),
        ([content(made(), role="model")], "contents[0]"),
        ([content(made(), role="model"), content({"text": "x"})], "contents[1]"),
        ([content(made(), made("g"), role="model"), content(result())], "contents[1]"),
        ([content(made(), role="model"), content(result("g"))], "contents[1]"),
        (
            [content(made(), made("g"), role="model"), content(result()), content(made("h"), role="model")],
            "contents[2]",
        ),
        ([content(result())], "contents[0]"),
        ([content(made())], "contents[0]"),
        ([content(result(), role="model")], "contents[0]"),
    ],
)
def test_what_is_no_content(contents: list[Json], param: str | None) -> None:
    if param is None:
        with pytest.raises(InvalidRequest):
            gemini_request(NEW, {"contents": contents}, stream=False)
    else:
        assert refusal(*contents) == param


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"generationConfig": {"temperature": 3}}, "generationConfig.temperature"),
        ({"generation_config": {"top_p": "x"}}, "generationConfig.topP"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"responseModalities": ["SMELL"]}}, "generationConfig.responseModalities[0]"),
        ({"systemInstruction": {"parts": [{"inlineData": BLOB}]}}, "systemInstruction.parts[0]"),
        ({"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]}, "tools"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {
                "tools": [{"functionDeclarations": [{"name": "f"}]}],
                "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["g"]}},
            },
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
        ({"toolConfig": {"functionCallingConfig": {"mode": "x"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"labels": {"a": float("inf")}}, None),
    ],
)
def test_what_is_no_member(members: Json, param: str | None) -> None:
    found = refusal(**members)
    assert found is param is None or camel(str(found).replace("generation_config", "generationConfig")) == param


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"maxOutputTokens": "5", "topK": 5.0, "seed": "7"}, {"max_tokens": 5, "top_k": 5.0, "seed": 7}),
        ({"temperature": 0, "topP": 0, "candidateCount": 2}, {"temperature": 0, "top_p": 0, "n": 2}),
        ({"responseLogprobs": True, "logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"responseModalities": ["TEXT", "AUDIO"]}, {"modalities": ["text", "audio"]}),
        ({"stopSequences": "a"}, {"stop": ["a"]}),
        ({"responseMimeType": "text/plain"}, {"format": None}),
        ({"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}}, {"format": None}),
    ],
)
def test_a_generation_config(config: Json, expected: Json) -> None:
    request = asked(generationConfig=config)
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("config", "effort", "budget", "include"),
    [
        ({"thinkingBudget": 0}, None, 0, None),
        ({"thinking_level": "LOW", "include_thoughts": False}, "low", None, False),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, None, None, None),
    ],
)
def test_how_a_client_wants_it_to_think(config: Json, effort: Any, budget: int | None, include: bool | None) -> None:
    thinking = asked(generationConfig={"thinkingConfig": config}).thinking
    assert thinking
    assert (thinking.effort, thinking.budget, thinking.include) == (effort, budget, include)
    assert thinking.param == "generationConfig.thinkingConfig"


@pytest.mark.parametrize(
    ("calling", "mode", "names"),
    [
        ({}, "auto", []),
        ({"mode": "AUTO"}, "auto", []),
        ({"mode": "NONE"}, "none", []),
        ({"mode": "ANY", "allowed_function_names": ["f"]}, "required", ["f"]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, "auto", ["f"]),
    ],
)
def test_which_functions_may_be_called(calling: Json, mode: str, names: list[str]) -> None:
    tools = [{"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]
    request = asked(tools=tools, tool_config={"function_calling_config": calling})
    assert request.tool_choice
    assert (request.tool_choice.mode, request.tool_choice.names) == (mode, names)
    assert request.functions[0].parameters == {"type": "object"}


REQUEST_NAMES = (
    "contents role parts text thought thoughtSignature inlineData mimeType data fileData fileUri functionCall id name"
    " args functionResponse response systemInstruction tools functionDeclarations parameters parametersJsonSchema type"
    " nullable anyOf items googleSearch toolConfig functionCallingConfig mode allowedFunctionNames generationConfig"
    " temperature topK maxOutputTokens stopSequences responseMimeType responseSchema responseModalities thinkingConfig"
    " thinkingBudget mediaResolution videoMetadata executableCode labels"
).split()


@st.composite
def bodies(draw: st.DrawFn) -> Json:
    """Any object with Google's names, or a recorded body with any JSON in one place."""
    if draw(st.booleans()):
        names = st.sampled_from([*REQUEST_NAMES, *map(snake, REQUEST_NAMES)])
        inner = st.recursive(
            json_values,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
            max_leaves=8,
        )
        return draw(st.dictionaries(names, inner, max_size=4))
    body: Json = json.loads(json.dumps(REQUESTS[draw(st.sampled_from(sorted(REQUESTS)))]))
    value: Any = body
    while True:
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 6)):
            value = value[place]
        else:
            value[place] = draw(json_values)
            return body


INSTRUCTED_ONLY: Json = {
    "contents": [{"role": "user", "parts": [{"text": ""}]}],
    "systemInstruction": {"role": "user", "parts": [{"text": "s"}]},
}


@given(bodies())
@example(INSTRUCTED_ONLY)
def test_any_body_is_read_or_refused(body: Json) -> None:
    before = repr(body)
    try:
        request = gemini_request(NEW, body, stream=False)
    except InvalidRequest:
        return
    assert request.turns or request.system
    assert repr(body) == before
    back = gemini_request(NEW, write_request(request).body, stream=False)
    # Instructions alone become a turn.
    assert back.turns == request.turns if request.turns else [*back.turns[0].parts] == [*request.system]


# Answers, as Google's clients read them


def stripped(answer: Answer) -> Answer:
    """What others than Google know of an answer."""
    for choice in answer.choices:
        choice.google, choice.native = {}, None
    answer.google = {}
    return answer


@pytest.mark.parametrize("name", RESPONSES)
def test_an_answer_comes_back_the_same(name: str) -> None:
    (answer,) = read(RESPONSES[name])
    assert write_answer(answer, "m") == RESPONSES[name]


def pieces(response: Json) -> list[Json]:
    """A stream: one event for each part; why it ended and the usage in the last."""
    head = {name: value for name, value in response.items() if name not in ("candidates", "usageMetadata")}
    events = [
        {
            "candidates": [
                {"content": {"role": "model", "parts": [part]}, "index": candidate["index"]},
            ],
            **head,
        }
        for candidate in response.get("candidates", [])
        for part in candidate["content"].get("parts", [])
    ]
    last = [{name: value for name, value in one.items() if name != "content"} for one in response.get("candidates", [])]
    usage = {name: value for name, value in response.items() if name == "usageMetadata"}
    return [*events, ({"candidates": last} if last else {}) | usage | head]


def sent(written: bytes, as_events: bool) -> list[Json]:
    """What a client reads of a stream."""
    if not as_events:
        array: list[Json] = json.loads(written)
        return array
    assert written.endswith(b"\r\n\r\n")
    events = written.split(b"\r\n\r\n")[:-1]
    assert all(event.startswith(b"data: ") for event in events)
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def joined(events: list[Json]) -> Json:
    """The one answer that the events of a stream make; a text of nothing says nothing."""
    whole: Json = {}
    candidates: dict[int, Json] = {}
    for event in events:
        whole |= {name: value for name, value in event.items() if name != "candidates"}
        for one in event.get("candidates", []):
            own = candidates.setdefault(one["index"], {"content": {"role": "model"}})
            own |= {name: value for name, value in one.items() if name != "content"}
            if more := [part for part in one.get("content", {}).get("parts", []) if part != {"text": ""}]:
                own["content"]["parts"] = own["content"].get("parts", []) + more
    return whole | ({"candidates": list(candidates.values())} if candidates else {})


@pytest.mark.parametrize("as_events", [True, False])
@pytest.mark.parametrize("name", RESPONSES)
def test_a_stream_comes_back_the_same(name: str, as_events: bool) -> None:
    reader, writer = AnswerReader(), StreamWriter("m", as_events)
    written = b"".join(writer.write(reader.read(event)) for event in pieces(RESPONSES[name])) + writer.end()
    assert joined(sent(written, as_events)) == RESPONSES[name]
    assert not writer.failed


@pytest.mark.parametrize("name", ["text", "calls", "no content"])
def test_what_the_neutral_form_holds_is_enough(name: str) -> None:
    """Without the members that are kept for Google alone: all that matters is there."""
    response: Json = write_answer(stripped(read(RESPONSES[name])[0]), "m")
    recorded = RESPONSES[name]
    for one, other in zip(response["candidates"], recorded["candidates"], strict=True):
        assert one["content"] == other["content"]
        assert one["finishReason"] == other["finishReason"]
    for member in ("modelVersion", "responseId"):
        assert response[member] == recorded[member]


def told(*parts: Part, **members: Any) -> Json:
    """The candidate of an answer."""
    answer = write_answer(Answer(choices=[Choice(0, [*parts], **members)]), "m")
    (one,) = json.loads(json.dumps(answer))["candidates"]
    return dict(one)


@pytest.mark.parametrize(
    ("finish", "native", "refused", "reason"),
    [
        (Finish.STOP, None, None, "STOP"),
        (Finish.TOOL_CALLS, NativeFinish("openai", "tool_calls"), None, "STOP"),
        (Finish.LENGTH, None, None, "MAX_TOKENS"),
        (Finish.CONTENT_FILTER, None, None, "SAFETY"),
        (Finish.CONTENT_FILTER, NativeFinish("google", "SPII"), None, "SPII"),
        # OpenAI says "stop" then.
        (Finish.STOP, NativeFinish("openai", "stop"), "I cannot.", "SAFETY"),
        (None, None, None, None),
    ],
)
def test_reasons(finish: Finish | None, native: NativeFinish | None, refused: str | None, reason: str | None) -> None:
    candidate = told(finish=finish, native=native, refusal=refused)
    assert (candidate.get("finishReason"), candidate.get("finishMessage")) == (reason, refused)
    # No text that nobody said.
    assert candidate["content"] == {"role": "model"}


@pytest.mark.parametrize(
    ("texts", "span", "segment"),
    [
        (["España: 👍 ganó"], (10, 14), {"startIndex": 14, "endIndex": 19, "text": "ganó"}),
        (["España"], (0, 6), {"endIndex": 7, "text": "España"}),
        (["Olé. ", "Olé. Olé."], (10, 14), {"partIndex": 1, "startIndex": 6, "endIndex": 11, "text": "Olé."}),
        # Over two parts: in all the text.
        (["Olé", "Olé"], (2, 4), {"startIndex": 2, "endIndex": 5, "text": "éO"}),
        # Beyond the text.
        (["a"], (0, 9), {"endIndex": 1, "text": "a"}),
    ],
)
def test_citations_count_bytes(texts: list[str], span: tuple[int, int], segment: Json) -> None:
    cited = [Citation(*span, "https://a", "A"), Citation(*span, "https://b", "")]
    metadata = told(*map(Text, texts), citations=cited)["groundingMetadata"]
    assert metadata == {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"web": {"uri": "https://b"}}],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0, 1]}],
    }


def test_logprobs_of_an_answer() -> None:
    result = told(logprobs=[TokenLogprob("a", -0.5, [TokenLogprob("b", -1.0, [])])])["logprobsResult"]
    assert result == {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.0}]}],
    }


@pytest.mark.parametrize(
    ("usage", "tier", "expected"),
    [
        (None, None, None),
        (Usage(3, 4), None, {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}),
        # Thoughts stand beside what can be seen.
        (
            Usage(3, 10, 2, 6, {"text": 3, "audio": 0}, {"image": 4}),
            "flex",
            {
                "promptTokenCount": 3,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 6,
                "cachedContentTokenCount": 2,
                "totalTokenCount": 13,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 4}],
                "trafficType": "ON_DEMAND_FLEX",
            },
        ),
        # Unknown is not zero.
        (Usage(3, None), None, {"promptTokenCount": 3}),
    ],
)
def test_usage_of_an_answer(usage: Usage | None, tier: str | None, expected: Json | None) -> None:
    assert write_answer(Answer(usage=usage, service_tier=tier), "m").get("usageMetadata") == expected


class TestStream:
    @pytest.mark.parametrize("as_events", [True, False])
    def test_nothing_waits(self, as_events: bool) -> None:
        writer = StreamWriter("m", as_events)
        first = writer.write(Answer("r", None, [Choice(0, [Text("a")])]))
        assert b'"text":"a"' in first
        assert first.startswith(b"data: {" if as_events else b"[{")

    def test_the_last_event_tells_why_and_how_much(self) -> None:
        writer = StreamWriter("m", True)
        writer.write(Answer("r", "served", [Choice(0, [Text("España")])]))
        assert writer.write(Answer("r", "served", [Choice(0, citations=[Citation(5, 6, "u", "")])])) == b""
        assert writer.write(Answer("r", "served", [Choice(0, [], Finish.LENGTH)])) == b""
        assert writer.write(Answer(usage=Usage(3, 4))) == b""
        (last,) = sent(writer.end(), True)
        assert last == {
            "candidates": [
                {
                    # Google's chats take an event without parts for a broken one.
                    "content": {"role": "model", "parts": [{"text": ""}]},
                    "finishReason": "MAX_TOKENS",
                    "index": 0,
                    "groundingMetadata": {
                        "groundingChunks": [{"web": {"uri": "u"}}],
                        "groundingSupports": [
                            {"segment": {"startIndex": 6, "endIndex": 7, "text": "a"}, "groundingChunkIndices": [0]}
                        ],
                    },
                }
            ],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
            "modelVersion": "served",
            "responseId": "r",
        }

    def test_a_refusal_in_pieces(self) -> None:
        writer = StreamWriter("m", True)
        for refusal in ("I ", "cannot."):
            writer.write(Answer(choices=[Choice(0, refusal=refusal)]))
        writer.write(Answer(choices=[Choice(0, [], Finish.STOP)]))
        ((candidate,),) = (event["candidates"] for event in sent(writer.end(), True))
        assert (candidate["finishReason"], candidate["finishMessage"]) == ("SAFETY", "I cannot.")

    @pytest.mark.parametrize("as_events", [True, False])
    @pytest.mark.parametrize(
        "answers",
        [
            [],
            [Answer(choices=[Choice(0, [Text("a")])])],
            [Answer(choices=[Choice(0, [Text("a")], Finish.STOP), Choice(1, [Text("b")])])],
        ],
    )
    def test_an_end_before_the_end_is_an_error(self, answers: list[Answer], as_events: bool) -> None:
        writer = StreamWriter("m", as_events)
        events = sent(b"".join(map(writer.write, answers)) + writer.end(), as_events)
        assert events[-1]["error"]["code"] == 502
        assert writer.failed
        assert not any("finishReason" in candidate for event in events[:-1] for candidate in event["candidates"])

    @pytest.mark.parametrize("as_events", [True, False])
    def test_nothing_after_a_failure(self, as_events: bool) -> None:
        writer = StreamWriter("m", as_events)
        answer = Answer(choices=[Choice(0, [Text("a")], Finish.STOP)])
        events = sent(writer.write(answer) + writer.fail(Failure(429, "Quota.", "RESOURCE_EXHAUSTED")), as_events)
        assert events[-1] == {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED"}}
        assert writer.write(answer) + writer.end() + writer.fail(Failure(500, "x", "INTERNAL")) == b""

    def test_nothing_after_the_end(self) -> None:
        writer = StreamWriter("m", False)
        answer = Answer(choices=[Choice(0, [Text("a")], Finish.STOP)])
        assert len(sent(writer.write(answer) + writer.end(), False)) == 2
        assert writer.write(answer) + writer.end() + writer.fail(Failure(500, "x", "INTERNAL")) == b""
        assert not writer.failed


@given(st.lists(documents(), max_size=3), st.booleans())
def test_any_answer_for_a_client_of_googles(events: list[object], as_events: bool) -> None:
    reader, writer = AnswerReader(), StreamWriter("m", as_events)
    written = b""
    for event in events:
        answer = reader.read(event)
        written += writer.write(answer)
        json.dumps(write_answer(answer, "m"))
        written += writer.fail(reader.failure) if reader.failure else b""
    told = sent(written + writer.end(), as_events)
    assert ("error" in told[-1]) == writer.failed
    assert not any("error" in event for event in told[:-1])
