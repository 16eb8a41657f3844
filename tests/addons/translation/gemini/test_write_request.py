import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation import json_schema
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.write_request import TIER_HEADER
from addons.translation.gemini.write_request import write_request
from addons.translation.openai_chat.read_request import read_request
from addons.translation.signatures import MISSING
from tests.addons.translation.chats import chats
from tests.addons.translation.chats import check
from tests.addons.translation.chats import half_valid
from tests.addons.translation.gemini.examples import FUNCTIONS
from tests.addons.translation.gemini.examples import NEW
from tests.addons.translation.gemini.examples import OLD
from tests.addons.translation.gemini.examples import Json
from tests.addons.translation.gemini.examples import assistant
from tests.addons.translation.gemini.examples import config
from tests.addons.translation.gemini.examples import user
from tests.addons.translation.gemini.examples import written

HI = user(Text("Hi"))
SPEAKER = "gemini-2.5-flash-preview-tts"
PAINTER = "gemini-3-pro-image-preview"


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
        body = written(HI, assistant(call("1")), user(ToolResult("1", "f", "x"), Text("And now?")), model=NEW)
        assert body["contents"][2:] == [
            {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"output": "x"}}}]},
            {"role": "user", "parts": [{"text": "And now?"}]},
        ]

    def test_media_in_a_result(self) -> None:
        turns = [
            HI,
            assistant(call("1", signature="AAAA")),
            user(ToolResult("1", "f", "x", [Media("image/png", data="AAAA"), Media("image/png", uri="gs://x")])),
        ]
        inline = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
        linked = {"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}}
        response: Json = {"name": "f", "response": {"output": "x"}}
        assert written(*turns, model=OLD)["contents"][2:] == [
            {"role": "user", "parts": [{"functionResponse": response}]},
            {"role": "user", "parts": [inline, linked]},
        ]
        assert written(*turns, model=NEW)["contents"][2:] == [
            {"role": "user", "parts": [{"functionResponse": {**response, "id": "1", "parts": [inline, linked]}}]}
        ]

    def test_signatures_stay_at_their_part(self) -> None:
        turn = assistant(
            Text("t", Signature("google", "AAAA")), call("1", signature="CCCC"), call("2", signature="BBBB")
        )
        results = user(ToolResult("1", "f", ""), ToolResult("2", "f", ""))
        assert written(HI, turn, results, model=NEW)["contents"][1]["parts"] == [
            {"text": "t", "thoughtSignature": "AAAA"},
            called("1", signature="CCCC"),
            called("2", signature="BBBB"),
        ]

    def test_the_first_call_needs_a_signature(self) -> None:
        """Google refuses a first call without one, whatever the others have."""
        turn = assistant(call("1"), call("2", signature="BBBB"))
        results = user(ToolResult("1", "f", ""), ToolResult("2", "f", ""))
        assert written(HI, turn, results, model=NEW)["contents"][1]["parts"] == [
            called("1", signature=MISSING),
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
        turn = assistant(Text("t"), *calls)
        first, second = written(HI, turn, results, model=model)["contents"][1]["parts"][1:]
        assert (first.get("thoughtSignature"), second.get("thoughtSignature")) == (expected, None)

    def test_each_turn_of_calls_needs_a_signature(self) -> None:
        turns = [assistant(call("1", signature="AAAA")), user(ToolResult("1", "f", ""))]
        turns += [assistant(call("2")), user(ToolResult("2", "f", ""))]
        contents = written(HI, *turns, model=NEW)["contents"]
        assert contents[3]["parts"] == [called("2", signature=MISSING)]

    def test_a_call_without_an_id(self) -> None:
        turns = [assistant(ToolCall(None, "f", {})), user(ToolResult(None, "f", "x"))]
        _, first, second = written(HI, *turns, model=NEW)["contents"]
        assert "id" not in first["parts"][0]["functionCall"]
        assert "id" not in second["parts"][0]["functionResponse"]

    def test_signatures_of_others_are_not_given_back(self) -> None:
        other = Signature("anthropic", "AAAA")
        parts: list[Part] = [Thought("hm", other), Text("t", other), ToolCall("1", "f", {}, other)]
        turns = [assistant(*parts), user(ToolResult("1", "f", ""))]
        assert "AAAA" not in json.dumps(written(*turns, model=OLD))

    def test_thoughts_are_not_given_back(self) -> None:
        assert written(HI, assistant(Thought("hm"), Text("t")))["contents"][1]["parts"] == [{"text": "t"}]


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

    @pytest.mark.parametrize(
        ("name", "searches"),
        [
            ("googleSearch", True),
            ("googleSearchRetrieval", True),
            ("enterpriseWebSearch", True),
            ("googleMaps", True),
            ("urlContext", True),
            ("codeExecution", False),
        ],
    )
    def test_which_do_not_stand_beside_functions(self, name: str, searches: bool) -> None:
        request = Request(OLD, turns=[user(Text("x"))], functions=FUNCTIONS, server_tools={name: "tools[1]"})
        assert write_request(request).notes.dropped == (["tools[1]"] if searches else [])


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

    @pytest.mark.parametrize("tools", [{"functions": FUNCTIONS}, {"server_tools": {"googleSearch": "tools[0]"}}])
    @pytest.mark.parametrize("format", [Format(), Format({"type": "string"}, "text.format")])
    @pytest.mark.parametrize(
        ("model", "kept"), [(OLD, False), ("gemini-2.0-flash", False), (NEW, True), ("gemini-3.8-flash", True)]
    )
    def test_json_beside_tools(self, model: str, kept: bool, format: Format, tools: Json) -> None:
        """Before Gemini 3 "function calling with a response mime type: 'application/json' is unsupported"."""
        request = Request(model, system=[Text("s")], turns=[HI], format=format, **tools)
        written = write_request(request)
        body: dict[str, Any] = written.body
        notes = written.notes
        check(body)
        instructions = [part["text"] for part in body["systemInstruction"]["parts"]]
        assert instructions == ["s"] + ([] if kept else [json_schema.instruction(format.schema)])
        assert "tools" in body
        assert ("generationConfig" in body, notes) == (kept, Notes([], [] if kept else [f"{format.param}=instruction"]))

    @pytest.mark.parametrize(
        ("model", "notes", "instructed", "asked"),
        [
            ("gemini-2.5-flash-image", Notes([], ["response_format=instruction"]), True, False),
            (PAINTER, Notes(), False, True),
            (SPEAKER, Notes(["response_format"], ["modalities=audio"]), False, False),
        ],
    )
    def test_json_of_models_of_images_and_speech(self, model: str, notes: Notes, instructed: bool, asked: bool) -> None:
        body, _, told = write_request(Request(model, turns=[HI], format=Format()))
        assert told == notes
        assert ("systemInstruction" in body, "responseMimeType" in json.dumps(body)) == (instructed, asked)

    @pytest.mark.parametrize("model", [SPEAKER, PAINTER, "gemini-2.5-flash-image", "gemini-3.8-flash-image"])
    def test_models_that_call_no_functions(self, model: str) -> None:
        request = Request(model, turns=[HI], functions=FUNCTIONS, tool_choice=ToolChoice("auto"))
        body, _, notes = write_request(request)
        assert ("tools" in body, "toolConfig" in body, notes.dropped) == (False, False, ["tools"])
        request.tool_choice = ToolChoice("required")
        with pytest.raises(InvalidRequest) as caught:
            write_request(request)
        assert caught.value.param == "tool_choice"

    def test_instructions_for_speech_are_the_users_words(self) -> None:
        request = Request(SPEAKER, system=[Text("Say it kindly:")], turns=[HI], modalities=["audio"])
        body, _, notes = write_request(request)
        check(body)
        assert body["contents"] == [{"role": "user", "parts": [{"text": "Say it kindly:"}, {"text": "Hi"}]}]
        assert ("systemInstruction" in body, notes) == (False, Notes([], ["messages[0]=instructions"]))

    def test_json_without_tools(self) -> None:
        body, _, notes = write_request(Request(OLD, turns=[HI], format=Format()))
        assert (body["generationConfig"], notes) == ({"responseMimeType": "application/json"}, Notes())

    @pytest.mark.parametrize(
        ("model", "members", "config", "notes"),
        [
            (
                "gemini-3.8-flash",
                {"presence_penalty": 0.5, "frequency_penalty": -1.0},
                None,
                Notes(["presence_penalty", "frequency_penalty"]),
            ),
            ("gemini-3-pro-preview", {"presence_penalty": 0.5}, None, Notes(["presence_penalty"])),
            ("gemini-2.5-flash", {"presence_penalty": 0.5}, {"presencePenalty": 0.5}, Notes()),
            ("gemini-2.5-flash-image", {"presence_penalty": 0.5}, None, Notes(["presence_penalty"])),
            ("4611686018427387904", {"frequency_penalty": 0.5}, None, Notes(["frequency_penalty"])),
            ("somebodys-model", {"frequency_penalty": 0.5}, None, Notes(["frequency_penalty"])),
            # What is as it would be without is not missed.
            ("gemini-3.8-flash", {"presence_penalty": 0, "logprobs": False}, None, Notes()),
            (
                "gemini-3.8-flash",
                {"temperature": 0, "top_p": 0.5, "top_k": 3, "max_tokens": 9, "seed": 1, "stop": ["x"], "n": 2},
                {"maxOutputTokens": 9, "seed": 1, "stopSequences": ["x"], "candidateCount": 2},
                Notes(["temperature", "top_p", "top_k"]),
            ),
            ("gemini-3-flash-preview", {"temperature": 0, "top_p": 0.5}, {"temperature": 0, "topP": 0.5}, Notes()),
            (
                "gemini-3.5-flash",
                {"logprobs": True, "top_logprobs": 2},
                None,
                Notes(["logprobs", "top_logprobs"]),
            ),
        ],
    )
    def test_what_a_family_refuses(self, model: str, members: Json, config: Json | None, notes: Notes) -> None:
        request = Request(model, turns=[HI], **members)
        body, _, told = write_request(request)
        assert (body.get("generationConfig"), told) == (config, notes)
        assert request.notes == Notes()
        assert all(getattr(request, name) == value for name, value in members.items())

    @pytest.mark.parametrize(
        ("model", "asked", "written", "notes"),
        [
            (SPEAKER, ["text", "audio"], ["AUDIO"], Notes([], ["modalities=audio"])),
            (SPEAKER, ["audio"], ["AUDIO"], Notes()),
            (SPEAKER, ["text"], ["AUDIO"], Notes([], ["modalities=audio"])),
            (SPEAKER, None, ["AUDIO"], Notes([], ["modalities=audio"])),
            (SPEAKER, ["image"], ["AUDIO"], Notes(["modalities"], ["modalities=audio"])),
            (PAINTER, None, None, Notes()),
            (PAINTER, ["text", "image"], ["TEXT", "IMAGE"], Notes()),
            (PAINTER, ["image"], ["IMAGE"], Notes()),
            (PAINTER, ["text"], ["TEXT", "IMAGE"], Notes([], ["modalities=text+image"])),
            (PAINTER, ["text", "audio"], ["TEXT", "IMAGE"], Notes(["modalities"], ["modalities=text+image"])),
            (OLD, None, None, Notes()),
            (OLD, ["text"], ["TEXT"], Notes()),
            (OLD, ["text", "audio"], None, Notes(["modalities"])),
            ("gemini-3.8-flash", ["image"], None, Notes(["modalities"])),
            # What these give is not known.
            ("gemini-9-omni", ["text", "audio"], ["TEXT", "AUDIO"], Notes()),
            ("4611686018427387904", ["image"], ["IMAGE"], Notes()),
        ],
    )
    def test_modalities(self, model: str, asked: list[str] | None, written: list[str] | None, notes: Notes) -> None:
        made = write_request(Request(model, turns=[HI], modalities=asked))
        config: Any = made.body.get("generationConfig", {})
        assert (config.get("responseModalities"), made.notes) == (written, notes)

    @pytest.mark.parametrize(
        ("model", "stream", "format", "spoken", "dropped"),
        [
            (SPEAKER, True, "pcm16", True, []),
            (SPEAKER, False, None, True, []),
            (SPEAKER, False, "wav", True, []),
            # The length of a stream is not known when a wav file begins.
            (SPEAKER, True, "wav", True, ["audio.format"]),
            (SPEAKER, False, "mp3", True, ["audio.format"]),
            (OLD, False, "pcm16", False, ["audio"]),
            (OLD, False, "mp3", False, ["audio"]),
        ],
    )
    def test_voices(self, model: str, stream: bool, format: str | None, spoken: bool, dropped: list[str]) -> None:
        names = {"voice": "audio", "audio_format": "audio.format"}
        body, _, notes = write_request(
            Request(
                model,
                turns=[HI],
                modalities=["audio"] if spoken else None,
                voice="Kore",
                audio_format=format,
                stream=stream,
                names=names,
            )
        )
        said = {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}
        assert body.get("generationConfig", {}) == ({"responseModalities": ["AUDIO"]} | said if spoken else {})
        assert notes.dropped == dropped

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


def test_thoughts_of_another_model_are_left_out() -> None:
    thoughts = Turn("assistant", [Thought("hm", Signature("anthropic", "c2ln"))])
    request = Request("gemini-3-flash-preview", turns=[thoughts, Turn("user", [Text("Hi")])])
    assert write_request(request).body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    with pytest.raises(InvalidRequest):
        write_request(Request("gemini-3-flash-preview", turns=[thoughts]))
