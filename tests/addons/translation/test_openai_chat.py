import base64
import json
from dataclasses import replace
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
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Notes
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
from addons.translation.conversation import Written
from addons.translation.gemini.read_answer import AnswerReader
from addons.translation.gemini.read_request import read_request as google_request
from addons.translation.gemini.write_answer import StreamWriter as GoogleStreamWriter
from addons.translation.gemini.write_answer import write_answer as google_answer
from addons.translation.gemini.write_request import write_request as for_gemini
from addons.translation.openai_chat import AnswerReader as ChatReader
from addons.translation.openai_chat import StreamWriter
from addons.translation.openai_chat import read_request
from addons.translation.openai_chat import redirected
from addons.translation.openai_chat import write_answer
from addons.translation.openai_chat import write_request
from addons.translation.validation import DEEPEST
from tests.addons.translation.chats import DEEP
from tests.addons.translation.chats import chats
from tests.addons.translation.chats import check
from tests.addons.translation.gemini.examples import bodies
from tests.addons.translation.gemini.examples import documents
from tests.addons.translation.recorded import CHUNKS
from tests.addons.translation.recorded import COMPLETIONS
from tests.addons.translation.recorded import REQUESTS
from tests.addons.translation.recorded import USAGE
from tests.addons.translation.recorded import camel
from tests.addons.translation.recorded import fragment
from tests.metering.test_json_array import json_values

Json = dict[str, Any]

HI = {"role": "user", "content": "Hi"}


def read(*messages: object, **members: object) -> Request:
    return read_request({"model": "gemini-2.5-flash", "messages": [*messages] or [HI], **members})


def refused(*messages: object, **members: object) -> str | None:
    """Which member is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        read(*messages, **members)
    assert (caught.value.status, bool(caught.value.message)) == (400, True)
    return caught.value.param


def converted(*messages: object, **members: object) -> Json | None:
    """The body for Gemini, which it must take; None if it was refused."""
    try:
        body = for_gemini(read(*messages, **members)).body
    except InvalidRequest:
        return None
    check(body)
    return body


def message(role: str, content: object = None, **members: object) -> Json:
    return {"role": role, "content": content, **members}


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


class TestMessages:
    @pytest.mark.parametrize(
        ("messages", "system", "turns"),
        [
            ([HI], [], [user(Text("Hi"))]),
            # Instructions go together, wherever they stand.
            (
                [message("system", "s"), HI, message("developer", [{"type": "text", "text": "d"}])],
                ["s", "d"],
                [user(Text("Hi"))],
            ),
            ([HI, message("system", "s"), HI], ["s"], [user(Text("Hi"), Text("Hi"))]),
            ([message("system", "s")], ["s"], []),
            # Turns alternate.
            ([HI, HI, message("assistant", "a"), message("assistant", "b"), HI], [], None),
            # What is empty is left out.
            ([HI, message("assistant", ""), message("assistant")], [], [user(Text("Hi"))]),
            ([message("user", [{"type": "text", "text": ""}, {"type": "text", "text": "a"}])], [], [user(Text("a"))]),
            # What a model said instead of an answer.
            ([HI, message("assistant", refusal="no")], [], [user(Text("Hi")), assistant(Text("no"))]),
            (
                [HI, message("assistant", [{"type": "refusal", "refusal": "no"}])],
                [],
                [user(Text("Hi")), assistant(Text("no"))],
            ),
            # Claude wants its thoughts back, before what it said.
            (
                [
                    HI,
                    message(
                        "assistant", "a", thinking_blocks=[{"type": "thinking", "thinking": "h", "signature": "s"}]
                    ),
                ],
                [],
                [user(Text("Hi")), assistant(Thought("h", Signature("anthropic", "s")), Text("a"))],
            ),
            (
                [HI, message("assistant", thinking_blocks=[{"type": "redacted_thinking", "data": "d"}])],
                [],
                [user(Text("Hi"))],
            ),
            # Without a signature thoughts are of no use.
            (
                [HI, message("assistant", "a", reasoning_content="hm", audio={"id": "x"}, name="n")],
                [],
                [user(Text("Hi")), assistant(Text("a"))],
            ),
        ],
    )
    def test_turns(self, messages: list[Json], system: list[str], turns: list[Turn] | None) -> None:
        request = read(*messages)
        assert request.system == [Text(text) for text in system]
        if turns is None:
            turns = [user(Text("Hi"), Text("Hi")), assistant(Text("a"), Text("b")), user(Text("Hi"))]
        assert request.turns == turns

    @pytest.mark.parametrize(
        ("messages", "param"),
        [
            ([message("user", "")], "messages"),
            ([message("user")], "messages[0].content"),
            ([message("user", 5)], "messages[0].content"),
            ([HI, message("user", [{"type": "text"}])], "messages[1].content[0].text"),
            ([message("user", [{"type": "hologram"}])], "messages[0].content[0]"),
            ([message("robot", "x")], "messages[0]"),
            ([{"content": "x"}], "messages[0]"),
            ([5], "messages[0]"),
            ([HI, message("system", [{"type": "image_url", "image_url": "gs://x.png"}])], "messages[1].content"),
        ],
    )
    def test_what_is_no_message(self, messages: list[Json], param: str) -> None:
        refusal = refused(*messages)
        assert refusal is not None
        assert refusal.startswith(param)

    @pytest.mark.parametrize("body", [{}, {"model": "m"}, {"messages": [HI]}])
    def test_what_is_no_request(self, body: Json) -> None:
        with pytest.raises(InvalidRequest):
            read_request(body)

    @pytest.mark.parametrize("members", [{"messages": []}, {"messages": {}}, {"messages": None}, {"model": ""}])
    def test_what_a_request_needs(self, members: Json) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read_request({"model": "m", "messages": [HI], **members})
        assert caught.value.param == next(iter(members))


def call(id: str, name: str = "f", arguments: str = "{}", **members: Any) -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **members}


def calls(*made: Json, content: object = None, **members: object) -> Json:
    return message("assistant", content, tool_calls=[*made], **members)


def result(id: str, content: object = "x", **members: object) -> Json:
    return message("tool", content, tool_call_id=id, **members)


class TestToolCalls:
    def test_in_parallel_with_results_in_any_order(self) -> None:
        request = read(
            HI,
            calls(call("1", arguments='{"a": "é"}'), call("2", "g"), call("3"), content="Let me see."),
            result("3", "third"),
            result("1", '{"b": 1}'),
            result("2", "[2]"),
            HI,
        )
        assert request.turns[1:] == [
            assistant(
                Text("Let me see."), ToolCall("1", "f", {"a": "é"}), ToolCall("2", "g", {}), ToolCall("3", "f", {})
            ),
            user(
                ToolResult("1", "f", {"b": 1}), ToolResult("2", "g", "[2]"), ToolResult("3", "f", "third"), Text("Hi")
            ),
        ]

    def test_ids_count_for_one_turn(self) -> None:
        request = read(HI, calls(call("1", "f")), result("1"), calls(call("1", "g")), result("1"))
        results = [part for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)]
        assert [one.name for one in results] == ["f", "g"]

    def test_functions_as_they_were_before_tools(self) -> None:
        legacy = {"name": "f", "arguments": '{"a": 1}'}
        request = read(HI, message("assistant", function_call=legacy), message("function", "x", name="f"))
        assert request.turns[1:] == [assistant(ToolCall(None, "f", {"a": 1})), user(ToolResult(None, "f", "x"))]

    @pytest.mark.parametrize("text", ["", "  ", "{}"])
    def test_no_arguments(self, text: str) -> None:
        assert read(HI, calls(call("1", arguments=text)), result("1")).turns[1] == assistant(ToolCall("1", "f", {}))

    @pytest.mark.parametrize("text", ["[]", "5", "null", "{", "nonsense", '{"a": NaN}', '{"a": 1e999}', DEEP * 10])
    def test_arguments_that_are_no_object_of_json(self, text: str) -> None:
        param = refused(HI, calls(call("1", arguments=text)), result("1"))
        assert param == "messages[1].tool_calls[0].function.arguments"

    @pytest.mark.parametrize(
        ("content", "output"),
        [
            ("", ""),
            (' {"a": 1}', {"a": 1}),
            ('{"a": 1} and more', '{"a": 1} and more'),
            ('{"a": NaN}', '{"a": NaN}'),
            # Beyond what a double holds is no JSON that anybody could read.
            ('{"a": 1e999}', '{"a": 1e999}'),
            ("null", "null"),
            ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ],
    )
    def test_results(self, content: object, output: object) -> None:
        assert read(HI, calls(call("1")), result("1", content)).turns[2] == user(ToolResult("1", "f", output))

    def test_media_in_a_result(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        turn = read(HI, calls(call("1")), result("1", [{"type": "text", "text": "a"}, image])).turns[2]
        assert turn == user(ToolResult("1", "f", "a", [Media("image/png", data="AAAA")]))

    @pytest.mark.parametrize("text", [DEEP, '{"a": "\\ud800"}', '{"\\udc00": 1}'])
    @pytest.mark.parametrize("place", ["arguments", "content"])
    def test_json_in_a_text_that_cannot_be_sent_as_such(self, text: str, place: str) -> None:
        """Too deep, or no Unicode: refused, or sent as the text it is."""
        arguments, content = (text, "x") if place == "arguments" else ("{}", text)
        body = converted(HI, calls(call("1", arguments=arguments)), result("1", content))
        assert body is None or "output" in body["contents"][2]["parts"][0]["functionResponse"]["response"]

    @pytest.mark.parametrize(
        ("messages", "param"),
        [
            # Without results, with too few, too many, or others'.
            ([HI, calls(call("1"))], "messages[1]"),
            ([HI, calls(call("1")), HI], "messages[2]"),
            ([HI, calls(call("1"), call("2")), result("1"), HI], "messages[3]"),
            ([HI, calls(call("1"), call("2")), result("1"), calls(call("3")), result("3")], "messages[3]"),
            ([HI, calls(call("1")), result("1"), result("1")], "messages[3].tool_call_id"),
            ([HI, calls(call("1")), result("2")], "messages[2].tool_call_id"),
            ([HI, result("1")], "messages[1].tool_call_id"),
            ([HI, calls(call("1")), result("1"), HI, result("1")], "messages[4].tool_call_id"),
            ([HI, message("function", "x", name="f")], "messages[1].name"),
            # Calls that are none.
            ([HI, calls(call("1"), call("1")), result("1")], "messages[1].tool_calls"),
            ([HI, calls(call("")), result("")], "messages[1].tool_calls[0].id"),
            ([HI, calls(call("1", name="")), result("1")], "messages[1].tool_calls[0].function.name"),
            ([HI, calls({"id": "1", "type": "custom"})], "messages[1].tool_calls[0].type"),
        ],
    )
    def test_calls_and_results_that_do_not_match(self, messages: list[Json], param: str) -> None:
        assert (refused(*messages) or "").startswith(param)


SIGNATURE = base64.b64encode(bytes(range(90))).decode()
BIFROST = SIGNATURE.replace("+", "-").replace("/", "_").rstrip("=")


class TestSignatures:
    @pytest.mark.parametrize(
        ("id", "beside", "around"),
        [
            (f"1__thought__{SIGNATURE}", {}, {}),
            (f"1_ts_{BIFROST}", {}, {}),
            ("1", {"extra_content": {"google": {"thought_signature": SIGNATURE}}}, {}),
            ("1", {"provider_specific_fields": {"thought_signature": SIGNATURE}}, {}),
            ("1", {}, {"reasoning_details": [{"type": "reasoning.encrypted", "id": "1", "signature": SIGNATURE}]}),
            # Twice is once.
            (f"1__thought__{SIGNATURE}", {"extra_content": {"google": {"thought_signature": SIGNATURE}}}, {}),
        ],
    )
    def test_of_a_call(self, id: str, beside: Json, around: Json) -> None:
        turns = read(HI, calls(call(id, **beside), **around), result(id)).turns
        assert turns[1] == assistant(ToolCall("1", "f", {}, Signature("google", SIGNATURE)))
        assert turns[2] == user(ToolResult("1", "f", "x"))

    def test_of_a_call_whose_result_has_the_bare_id(self) -> None:
        turns = read(HI, calls(call(f"1__thought__{SIGNATURE}")), result("1")).turns
        assert turns[2] == user(ToolResult("1", "f", "x"))

    @pytest.mark.parametrize("content", ["a", None])
    def test_of_a_message(self, content: str | None) -> None:
        extra = {"google": {"thought_signature": SIGNATURE}}
        turn = read(HI, message("assistant", content, extra_content=extra)).turns[1]
        assert turn == assistant(Text(content or "", Signature("google", SIGNATURE)))

    @pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro-preview"])
    def test_what_is_no_base64_is_refused_or_left_out(self, model: str) -> None:
        """Google takes bytes there; the client may have it from anywhere."""
        extra: Json = {"extra_content": {"google": {"thought_signature": "é***"}}}
        for messages in (
            [HI, message("assistant", "a", **extra), HI],
            [HI, calls(call("1", **extra)), result("1")],
            [HI, calls(call("1__thought__***")), result("1__thought__***")],
        ):
            body = converted(*messages, model=model)
            assert body is None or "***" not in json.dumps(body)

    def test_what_goes_out_comes_back(self) -> None:
        made = ToolCall("1", "f", {"a": 1}, Signature("google", SIGNATURE))
        answer = write_answer(Answer(choices=[Choice(0, [made], Finish.TOOL_CALLS)]), "m")
        told: Any = answer["choices"]
        said = json.loads(json.dumps(told[0]["message"]))
        assert said["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": SIGNATURE}}
        # As SDKs give it back: with all that was beside it, and with nothing but what they know.
        bare = {name: said["tool_calls"][0][name] for name in ("id", "type", "function")}
        for again in (said, message("assistant", tool_calls=[bare])):
            assert read(HI, again, result(bare["id"])).turns[1] == assistant(made)


def part(kind: str, **members: object) -> Json:
    return {"type": kind, kind: members}


PNG = "data:image/png;base64,AAAA"


class TestMedia:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (part("image_url", url=PNG), Media("image/png", data="AAAA")),
            ({"type": "image_url", "image_url": PNG}, Media("image/png", data="AAAA")),
            (part("image_url", url=PNG, detail="auto"), Media("image/png", data="AAAA")),
            (part("image_url", url=PNG, detail="HIGH"), Media("image/png", data="AAAA", detail="high")),
            (part("image_url", url="data:video/mp4;base64,AAAA"), Media("video/mp4", data="AAAA")),
            (part("image_url", url="gs://b/o.webp"), Media("image/webp", uri="gs://b/o.webp")),
            (part("image_url", url="https://h/a.jpg?b=c.png"), Media("image/jpeg", uri="https://h/a.jpg?b=c.png")),
            (part("image_url", url="https://h/a", format="image/heic"), Media("image/heic", uri="https://h/a")),
            (part("image_url", url="https://h/a.png", mime_type="webp"), Media("image/webp", uri="https://h/a.png")),
            (part("video_url", url="gs://b/o.mov"), Media("video/quicktime", uri="gs://b/o.mov")),
            (
                part("video_url", url="gs://b/o.mp4") | {"video_metadata": {"fps": 2, "start_offset": "1.5s"}},
                Media("video/mp4", uri="gs://b/o.mp4", clip={"fps": 2, "startOffset": "1.5s"}),
            ),
            (
                part("video_url", url="gs://b/o.mp4", video_metadata={"endOffset": "3s"}),
                Media("video/mp4", uri="gs://b/o.mp4", clip={"endOffset": "3s"}),
            ),
            (part("audio_url", url="https://h/a.mp3"), Media("audio/mp3", uri="https://h/a.mp3")),
            (part("input_audio", data="AAAA", format="wav"), Media("audio/wav", data="AAAA")),
            (part("input_audio", data="AAAA", format="mp4"), Media("audio/mp4", data="AAAA")),
            (part("input_audio", data="-_8", format="pcm16"), Media("audio/pcm", data="+/8=")),
            (part("input_audio", data="data:audio/x;base64,AAAA", format="mp3"), Media("audio/mp3", data="AAAA")),
            (part("file", file_data="AAAA"), Media("application/pdf", data="AAAA")),
            (part("file", file_data="AAAA", filename="a.csv"), Media("text/csv", data="AAAA")),
            (part("file", file_data="data:text/plain;base64,AAAA"), Media("text/plain", data="AAAA")),
            (part("file", file_data="data:;base64,AAAA", filename="a.md"), Media("text/markdown", data="AAAA")),
            (part("file", file_id="gs://b/o.pdf"), Media("application/pdf", uri="gs://b/o.pdf")),
            (part("file", file_id="https://h/a", filename="a.pdf"), Media("application/pdf", uri="https://h/a")),
            (part("file", file_id="https://h/a", format="video/mp4"), Media("video/mp4", uri="https://h/a")),
            (part("file", file_url="https://h/a.pdf"), Media("application/pdf", uri="https://h/a.pdf")),
            # As responses have them.
            ({"type": "input_image", "image_url": PNG, "detail": "low"}, Media("image/png", data="AAAA", detail="low")),
            ({"type": "input_file", "file_data": "AAAA"}, Media("application/pdf", data="AAAA")),
            ({"type": "input_video", "video_url": "gs://b/o.mov"}, Media("video/quicktime", uri="gs://b/o.mov")),
        ],
    )
    def test_parts(self, content: Json, expected: Media) -> None:
        request = read(message("user", [content]))
        assert request.turns == [user(expected)]
        assert request.notes.assumed == []

    @pytest.mark.parametrize("url", ["https://h/a", "gs://b/o", "https://h/?f=a.png"])
    def test_an_image_of_unknown_type_is_taken_for_jpeg(self, url: str) -> None:
        request = read(message("user", [{"type": "text", "text": "x"}, part("image_url", url=url)]))
        assert request.turns[0].parts[1] == Media("image/jpeg", uri=url)
        assert request.notes.assumed == ["messages[0].content[1].image_url=image/jpeg"]

    @pytest.mark.parametrize(
        ("content", "param"),
        [
            (part("image_url", url="iVBORw0KGgo="), "image_url.url"),
            (part("image_url", url="data:image/png;base64,???"), "image_url.url"),
            (part("image_url", url=""), "image_url.url"),
            (part("image_url", url=5), "image_url.url"),
            (part("image_url"), "image_url.url"),
            (part("image_url", url=PNG, format="nonsense"), "image_url"),
            (part("image_url", url=PNG, detail="extreme"), "image_url.detail"),
            (part("video_url", url="https://h/a"), "video_url.url"),
            (part("video_url", url="gs://b/o.mp4", video_metadata={"fps": 0}), "video_url.video_metadata.fps"),
            (part("video_url", url="gs://b/o.mp4", video_metadata={"startOffset": "soon"}), "video_url.video_metadata"),
            (part("audio_url", url="gs://b/o"), "audio_url.url"),
            (part("input_audio", data="AAAA", format="nonsense"), "input_audio.format"),
            (part("input_audio", data="AAAA", format="png"), "input_audio.format"),
            (part("input_audio", data="!", format="wav"), "input_audio.data"),
            (part("file", file_data=""), "file.file_data"),
            (part("file", file_id="file-123"), "file.file_id"),
            (part("file", file_id="gs://b/o"), "file.file_id"),
            (part("file"), "file.file_id"),
        ],
    )
    def test_what_is_no_medium(self, content: Json, param: str) -> None:
        assert (refused(message("user", [content])) or "").startswith(f"messages[0].content[0].{param}")


HOUR: Json = {"type": "ephemeral", "ttl": "1h"}
SHORT: Json = {"type": "ephemeral"}


class TestCaches:
    """Each belongs to one part: a message's own to its last."""

    @pytest.mark.parametrize(
        ("told", "parts"),
        [
            (message("user", "a", cache_control=HOUR), [Text("a", cache=HOUR)]),
            (
                message("user", [{"type": "text", "text": "a", "cache_control": SHORT}, part("image_url", url=PNG)]),
                [Text("a", cache=SHORT), Media("image/png", data="AAAA")],
            ),
            (
                message("user", [part("image_url", url=PNG) | {"cache_control": HOUR}]),
                [Media("image/png", data="AAAA", cache=HOUR)],
            ),
            (
                message("user", [{"type": "text", "text": text} for text in "ab"], cache_control=SHORT),
                [Text("a"), Text("b", cache=SHORT)],
            ),
            # The part's own word stands.
            (
                message("user", [{"type": "text", "text": "a", "cache_control": HOUR}], cache_control=SHORT),
                [Text("a", cache=HOUR)],
            ),
            (message("user", "a", cache_control=None), [Text("a")]),
            (message("user", "a", cache_control=HOUR | {"scope": "x"}), [Text("a", cache=HOUR)]),
        ],
    )
    def test_of_the_user(self, told: Json, parts: list[Part]) -> None:
        request = read(told)
        assert (request.turns, request.notes.dropped) == ([user(*parts)], [])

    def test_of_instructions(self) -> None:
        content = [{"type": "text", "text": "a", "cache_control": SHORT}, {"type": "text", "text": "b"}]
        request = read(message("system", content), message("developer", "c", cache_control=HOUR), HI)
        assert request.system == [Text("a", cache=SHORT), Text("b"), Text("c", cache=HOUR)]

    def test_of_calls_and_results(self) -> None:
        told = [
            {"type": "text", "text": "x", "cache_control": SHORT},
            part("image_url", url=PNG) | {"cache_control": HOUR},
        ]
        request = read(
            HI,
            {**calls(call("1", "f"), call("2", "g") | {"cache_control": SHORT}, call("3", "h")), "cache_control": HOUR},
            {**result("1", "a"), "cache_control": SHORT},
            {**result("2", told), "cache_control": None},
            result("3", "c"),
        )
        assert request.turns[1:] == [
            assistant(ToolCall("1", "f", {}), ToolCall("2", "g", {}, cache=SHORT), ToolCall("3", "h", {}, cache=HOUR)),
            user(
                ToolResult("1", "f", "a", cache=SHORT),
                ToolResult("2", "g", "x", [Media("image/png", data="AAAA")], cache=HOUR),
                ToolResult("3", "h", "c"),
            ),
        ]

    def test_of_tools(self) -> None:
        tools = [tool("f") | {"cache_control": HOUR}, tool("g", cache_control=SHORT), tool("h")]
        assert read(tools=tools).functions == [Function("f", cache=HOUR), Function("g", cache=SHORT), Function("h")]

    @pytest.mark.parametrize(
        ("messages", "members", "dropped"),
        [
            ([HI, message("user", "", cache_control=SHORT)], {}, "messages[1].cache_control"),
            ([HI, message("system", "", cache_control=SHORT)], {}, "messages[1].cache_control"),
            (
                [
                    message(
                        "user", [{"type": "text", "text": "", "cache_control": SHORT}, {"type": "text", "text": "a"}]
                    )
                ],
                {},
                "messages[0].content[0].cache_control",
            ),
            ([HI], {"tools": [{"type": "web_search", "cache_control": SHORT}]}, "tools[0].cache_control"),
            ([HI], {"cache_control": SHORT}, "cache_control"),
        ],
    )
    def test_of_nothing_are_named(self, messages: list[Json], members: Json, dropped: str) -> None:
        assert read(*messages, **members).notes.dropped == [dropped]

    @pytest.mark.parametrize(
        ("control", "wrong"),
        [
            ({"type": "persistent"}, ".type"),
            ({"ttl": "1h"}, ".type"),
            ({"type": "ephemeral", "ttl": "2h"}, ".ttl"),
            ({"type": "ephemeral", "ttl": 300}, ".ttl"),
            ("ephemeral", ""),
        ],
    )
    def test_what_is_none(self, control: object, wrong: str) -> None:
        said = {"type": "text", "text": "a", "cache_control": control}
        assert refused(message("user", [said])) == f"messages[0].content[0].cache_control{wrong}"
        assert refused(message("system", "a", cache_control=control)) == f"messages[0].cache_control{wrong}"
        assert refused(tools=[tool() | {"cache_control": control}]) == f"tools[0].cache_control{wrong}"


def tool(name: str = "f", **members: object) -> Json:
    return {"type": "function", "function": {"name": name, **members}}


class TestTools:
    def test_the_deepest_schema_that_can_come(self) -> None:
        """Google's parser goes no deeper than 100."""
        schema: Json = {"type": "string"}
        for _ in range(DEEPEST - 1):
            schema = {"not": schema}
        assert converted(tools=[tool(parameters={"not": schema})]) is None
        body = converted(tools=[tool(parameters=schema)])
        assert body
        assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == schema

    def test_functions(self) -> None:
        schema: Json = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}
        request = read(tools=[tool("f", description="d", parameters=schema, strict=True), tool("g")])
        assert request.functions == [Function("f", "d", schema), Function("g")]
        assert request.notes.dropped == []

    def test_functions_as_they_were_before_tools(self) -> None:
        request = read(functions=[{"name": "f", "parameters": {"type": "object"}}], function_call={"name": "f"})
        assert request.functions == [Function("f", None, {"type": "object"})]
        assert request.tool_choice == ToolChoice("required", ["f"])
        assert read(functions=[{"name": "f"}], function_call="none").tool_choice == ToolChoice("none")

    @pytest.mark.parametrize(
        ("members", "names"),
        [
            ({"tools": [{"type": "web_search"}]}, {"googleSearch": "tools[0]"}),
            ({"tools": [{"type": "web_search_preview", "search_context_size": "low"}]}, {"googleSearch": "tools[0]"}),
            (
                {"tools": [{"googleSearch": {}}, {"urlContext": {}}]},
                {"googleSearch": "tools[0]", "urlContext": "tools[1]"},
            ),
            ({"tools": [{"type": "code_interpreter"}]}, {"codeExecution": "tools[0]"}),
            ({"web_search_options": {}}, {"googleSearch": "web_search_options"}),
        ],
    )
    def test_tools_of_the_server(self, members: Json, names: dict[str, str]) -> None:
        assert read(**members).server_tools == names

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (None, None),
            ("none", ToolChoice("none")),
            ("auto", ToolChoice("auto")),
            ("required", ToolChoice("required")),
            ("any", ToolChoice("required")),
            (tool("g"), ToolChoice("required", ["g"])),
            ({"type": "function", "name": "g"}, ToolChoice("required", ["g"])),
            (
                {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("f"), tool("g")]}},
                ToolChoice("auto", ["f", "g"]),
            ),
            (
                {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"name": "f"}]}},
                ToolChoice("required", ["f"]),
            ),
        ],
    )
    def test_choices(self, choice: object, expected: ToolChoice | None) -> None:
        assert read(tools=[tool("f"), tool("g")], tool_choice=choice).tool_choice == expected

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"tools": [tool(), tool()]}, "tools"),
            ({"tools": [tool()], "functions": [{"name": "f"}]}, "tools"),
            ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters"),
            ({"tools": [tool("")]}, "tools[0].function.name"),
            ({"tools": [{"type": "teleport"}]}, "tools[0]"),
            ({"tools": [{}]}, "tools[0]"),
            ({"tools": [{"type": "function"}]}, "tools[0].function"),
            ({"tools": [tool()], "tool_choice": tool("g")}, "tool_choice"),
            ({"tools": [tool()], "tool_choice": "sometimes"}, "tool_choice"),
            ({"tools": [tool()], "tool_choice": {"type": "function"}}, "tool_choice"),
        ],
    )
    def test_what_is_no_tool(self, members: Json, param: str) -> None:
        assert refused(**members) == param


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            Format({"type": "object"}),
        ),
    ],
)
def test_formats(response_format: object, expected: Format | None) -> None:
    assert read(response_format=response_format).format == expected


@pytest.mark.parametrize(
    "response_format",
    [{"type": "json_schema"}, {"type": "json_schema", "json_schema": {"name": "n"}}, {"type": "xml"}, {}, "json", 5],
)
def test_what_is_no_format(response_format: object) -> None:
    assert (refused(response_format=response_format) or "").startswith("response_format")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        # Zeros are kept.
        ({"temperature": 0, "top_p": 0.0, "top_k": 0}, {"temperature": 0, "top_p": 0.0, "top_k": 0}),
        ({"seed": 0, "presence_penalty": 0, "frequency_penalty": -2}, None),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"stop": "a"}, {"stop": ["a"]}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop": []}, {"stop": None}),
        ({"n": 3, "seed": 2**40}, None),
        ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        # Google refuses the number without the switch.
        ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"modalities": ["text", "IMAGE"]}, {"modalities": ["text", "image"]}),
        ({"audio": {"voice": "Kore", "format": "pcm16"}}, {"voice": "Kore"}),
        ({"audio": {"voice": {"id": "Kore"}}}, {"voice": "Kore"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"user": "u", "parallel_tool_calls": False}, None),
        ({"user": ""}, {"user": None}),
        ({"stream": True}, {"stream": True, "include_usage": False}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "include_usage": True}),
        ({"project_id": "p", "region": "r"}, {"project": "p", "location": "r"}),
        ({"temperature": None, "stop": None, "tools": None, "stream": None}, {"temperature": None, "stream": False}),
    ],
)
def test_parameters(members: Json, expected: Json | None) -> None:
    request = read(**members)
    expected = members if expected is None else expected
    assert {name: getattr(request, name) for name in expected} == expected
    assert request.notes.dropped == []


@pytest.mark.parametrize(
    "members",
    [
        {"temperature": "1"},
        {"temperature": 2.1},
        {"temperature": -1},
        {"temperature": True},
        {"top_p": 1.5},
        {"max_tokens": 0},
        {"max_tokens": 2**31},
        {"max_tokens": 5.5},
        {"n": 0},
        {"seed": "1"},
        {"stop": 5},
        {"stop": ["a"] * 6},
        {"top_logprobs": 21},
        {"presence_penalty": 3},
        {"stream": "yes"},
        {"stream_options": {"include_usage": 1}},
        {"modalities": ["smell"]},
        {"reasoning_effort": "enormous"},
        {"labels": {"Team": "a"}},
        {"labels": {"team": "A b"}},
        {"labels": {"team": 5}},
        {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "SOMETIMES"}]},
        {"google": {"thinking_config": {"thinking_budget": "9"}}},
        {"google": {"thinking_config": {"patience": 9}}},
        {"extra_body": {"google": {"thinking_config": {"thinking_level": "EXTREME"}}}},
        {"project_id": 5},
    ],
)
def test_what_is_no_parameter(members: Json) -> None:
    assert (refused(**members) or "").startswith(next(iter(members)))


@pytest.mark.parametrize(
    ("members", "dropped"),
    [
        ({"logit_bias": {"1": 2}, "verbosity": "low"}, ["logit_bias", "verbosity"]),
        # What asks for nothing is not missed.
        ({"store": False, "metadata": {}, "prediction": None}, []),
        # Some services know what to do with them: who does not names them.
        ({"user": "u", "parallel_tool_calls": False}, []),
        ({"audio": {"voice": "Kore", "format": "wav"}}, ["audio.format"]),
        ({"google": {"thought_tag_marker": "x"}}, ["google.thought_tag_marker"]),
        ({"stream_options": {"include_obfuscation": True}}, []),
    ],
)
def test_what_has_no_target_is_named(members: Json, dropped: list[str]) -> None:
    assert read(**members).notes.dropped == dropped


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, None),
        ({"reasoning_effort": "low"}, Thinking("low")),
        ({"reasoning_effort": "none"}, Thinking("none")),
        ({"reasoning_effort": "XHIGH"}, Thinking("high")),
        ({"reasoning": {"effort": "medium"}}, Thinking("medium", param="reasoning")),
        ({"reasoning": {"effort": "medium", "exclude": True}}, Thinking("medium", include=False, param="reasoning")),
        # Tokens are more exact than an effort.
        ({"reasoning": {"effort": "low", "max_tokens": 9000}}, Thinking(budget=9000, param="reasoning")),
        ({"reasoning": {"enabled": True}}, Thinking(include=True, param="reasoning")),
        ({"reasoning": {"enabled": False}}, Thinking("none", param="reasoning")),
        ({"reasoning": {}}, None),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            Thinking(budget=2000, include=True, param="thinking"),
        ),
        ({"thinking": {"type": "adaptive"}}, Thinking(include=True, param="thinking")),
        ({"thinking": {"type": "disabled"}}, Thinking("none", param="thinking")),
    ],
)
def test_thinking(members: Json, expected: Thinking | None) -> None:
    assert read(**members).thinking == expected


SAFETY = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}


@pytest.mark.parametrize(
    "around", [lambda google: {"google": google}, lambda google: {"extra_body": {"google": google}}]
)
@pytest.mark.parametrize(
    ("google", "request_members", "config"),
    [
        ({}, None, None),
        (
            {"thinking_config": {"thinking_budget": 9, "include_thoughts": True}},
            {},
            {"thinkingConfig": {"thinkingBudget": 9, "includeThoughts": True}},
        ),
        ({"thinkingConfig": {"thinkingLevel": "low"}}, {}, {"thinkingConfig": {"thinkingLevel": "LOW"}}),
        ({"safety_settings": [SAFETY]}, {"safetySettings": [SAFETY]}, {}),
        ({"safetySettings": [SAFETY]}, {"safetySettings": [SAFETY]}, {}),
        ({"cached_content": "c"}, {"cachedContent": "c"}, {}),
        ({"labels": {"team": "a"}}, {"labels": {"team": "a"}}, {}),
        ({"imageConfig": {"aspect_ratio": "16:9"}}, {}, {"imageConfig": {"aspectRatio": "16:9"}}),
        ({"audio_timestamp": False}, {}, {"audioTimestamp": False}),
    ],
)
def test_what_google_takes_beside(around: Any, google: Json, request_members: Json | None, config: Json | None) -> None:
    request = read(**around(google))
    if request_members is None:
        assert request.google is None
        return
    assert request.google
    assert (request.google.request, request.google.generation_config) == (request_members, config)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"safety_settings": [SAFETY]}, {"safetySettings": [SAFETY]}),
        ({"safetySettings": [SAFETY]}, {"safetySettings": [SAFETY]}),
        ({"cached_content": "c"}, {"cachedContent": "c"}),
        ({"cachedContent": "c"}, {"cachedContent": "c"}),
        ({"labels": {"team": "a"}}, {"labels": {"team": "a"}}),
        # What stands at the top is nearer.
        ({"labels": {"team": "a"}, "google": {"labels": {"team": "b"}}}, {"labels": {"team": "a"}}),
    ],
)
def test_what_google_takes_at_the_top(members: Json, expected: Json) -> None:
    google = read(**members).google
    assert google
    assert google.request == expected


@pytest.mark.parametrize(
    "google",
    [
        {"thinkingConfig": {"thinkingBudget": 1}, "thinking_config": {"thinking_budget": 2}},
        {"labels": {"a": "b"}, "safetySettings": [], "safety_settings": [SAFETY]},
    ],
)
def test_both_spellings_at_once(google: Json) -> None:
    """One of them goes out."""
    body = converted(google=google)
    assert body is None or not [name for name in body if "_" in name]


def test_googles_own_word_on_thinking_stands() -> None:
    request = read(reasoning_effort="high", google={"thinking_config": {"thinking_budget": 5}})
    assert for_gemini(request).body["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 5}}


@given(st.dictionaries(st.sampled_from(["model", "messages", "tools", "google", "stop", "x"]), json_values))
def test_any_object(body: Json) -> None:
    with pytest.raises(InvalidRequest):
        read_request({"messages": [], **body})


# Redirecting


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a"}', b'{"model":"m"}'),
        (b' {\n "x" : 1e5 ,\t"model" : "a"\r\n} \n', b' {\n "x" : 1e5 ,\t"model" : "m"\r\n} \n'),
        # Nothing to change.
        (b'{ "model" : "m" , "x": "\\u00e9\xc3\xa9" }', b'{ "model" : "m" , "x": "\\u00e9\xc3\xa9" }'),
        (b'{ "model" : "\\u006d" }', b'{ "model" : "\\u006d" }'),
        (b"{ }", b"{ }"),
        # The name, however it is spelled, twice, not in a deeper place.
        (b'{"m\\u006fdel":"a"}', b'{"m\\u006fdel":"m"}'),
        (b'{"model":"a","x":{"model":"a"},"model":5}', b'{"model":"m","x":{"model":"a"},"model":"m"}'),
        # Members that go: the first, one in the middle, the last, several, all.
        (b'{"gone":1, "x":2}', b'{"x":2}'),
        (b'{"x":1, "gone":[{"gone":","}], "y":2}', b'{"x":1, "y":2}'),
        (b'{"x":1, "gone":2}', b'{"x":1}'),
        (b'{"x":1, "gone":2, "lost":3}', b'{"x":1}'),
        (b'{"gone":1, "x":2, "lost":3}', b'{"x":2}'),
        (b'{"gone":1,"lost":3}', b"{}"),
        (b'{"x":{"gone":1}}', b'{"x":{"gone":1}}'),
    ],
)
def test_redirected(body: bytes, expected: bytes) -> None:
    assert redirected(body, "m", {"gone", "lost"}) == expected


def test_a_model_of_any_name() -> None:
    assert json.loads(redirected(b'{"model": "a"}', 'é"\\', set())) == {"model": 'é"\\'}


@pytest.mark.parametrize(
    "body", [b"", b" ", b"[]", b"5", b'"{"', b"{", b'{"a"', b'{"a" 1}', b'{"a":1', b'{"a":}', b"\xff"]
)
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        redirected(body, "m", set())


space = st.text(" \t\r\n", max_size=2)


@st.composite
def written_objects(draw: st.DrawFn) -> list[tuple[str, str, str, Any]]:
    """Members of an object, as (what is before its name, name and value as text, name, value)."""
    members = []
    for name in draw(st.lists(st.sampled_from(["model", "gone", "lost", "x", "é", ""]) | st.text(max_size=3))):
        value = draw(json_values | st.sampled_from(["m", "a", "}", ",", '"']))
        ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
        key = json.dumps(name, ensure_ascii=ascii_only) + draw(space) + ":"
        text = draw(space) + json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        members.append((draw(space), key + text, name, value))
    return members


@given(members=written_objects(), around=st.tuples(space, space, space))
def test_any_object_redirected(members: list[tuple[str, str, str, Any]], around: tuple[str, str, str]) -> None:
    before, inside, after = around
    text = before + "{" + ",".join(gap + member + inside for gap, member, _, _ in members) + "}" + after
    written = redirected(text.encode(), "m", {"gone", "lost"}).decode()
    kept = [(member, name, value) for _, member, name, value in members if name not in ("gone", "lost")]
    pairs = [(name, "m" if name == "model" else value) for _, name, value in kept]
    assert json.loads(written) == dict(pairs)
    if len(kept) == len(members) and all(value == "m" for _, name, value in kept if name == "model"):
        assert written == text
    # All that stays, stays as it was written, in its order.
    place = 0
    for member, name, value in kept:
        if name != "model" or value == "m":
            place = written.index(member, place) + len(member)
    assert written.startswith(before + "{")
    assert written.endswith("}" + after)


# Answers


def told(*parts: Part, finish: Finish | None = Finish.STOP, **members: Any) -> Json:
    """The only choice of an answer."""
    answer = json.loads(json.dumps(write_answer(Answer(choices=[Choice(0, [*parts], finish, **members)]), "m")))
    (choice,) = answer["choices"]
    assert choice.keys() == {"index", "message", "logprobs", "finish_reason"}
    assert choice["message"]["role"] == "assistant"
    return dict(choice)


def said(*parts: Part, **members: Any) -> Json:
    """What its message says beside its role and a refusal of None."""
    message = told(*parts, **members)["message"]
    return {name: value for name, value in message.items() if name != "role" and (name, value) != ("refusal", None)}


def test_an_answer() -> None:
    usage = Usage(3, 4)
    answer = write_answer(Answer("r", "served", [Choice(0, [Text("Hi")], Finish.STOP)], usage, "flex"), "asked")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "id": "chatcmpl-r",
        "object": "chat.completion",
        "model": "served",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "service_tier": "flex",
    }


def test_an_answer_of_nothing_still_has_a_choice() -> None:
    first, second = write_answer(Answer(), "m"), write_answer(Answer(), "m")
    assert (first["model"], first["id"] != second["id"]) == ("m", True)
    (choice,) = json.loads(json.dumps(first["choices"]))
    assert choice["message"]["content"] == ""
    assert choice["finish_reason"] == "stop"


def test_choices_keep_their_numbers() -> None:
    choices = [Choice(1, [Text("b")], Finish.LENGTH), Choice(0, [Text("a")], Finish.STOP)]
    written: Any = write_answer(Answer(choices=choices), "m")["choices"]
    assert [(one["index"], one["message"]["content"]) for one in written] == [(1, "b"), (0, "a")]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], {"content": ""}),
        ([Text("a"), Text("b")], {"content": "ab"}),
        ([Thought("hm"), Thought("!"), Text("a")], {"content": "a", "reasoning_content": "hm!"}),
        ([Thought("hm")], {"content": "", "reasoning_content": "hm"}),
        (
            [Text("a"), Media("image/png", data="AAAA"), Media("image/png", uri="https://x")],
            {
                "content": "a",
                "images": [
                    {"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "index": 1, "image_url": {"url": "https://x"}},
                ],
            },
        ),
        (
            [Text("a", Signature("google", "AAAA"))],
            {"content": "a", "extra_content": {"google": {"thought_signature": "AAAA"}}},
        ),
        (
            [Text("a"), Text("", Signature("google", "AAAA"))],
            {"content": "a", "extra_content": {"google": {"thought_signature": "AAAA"}}},
        ),
        # Claude's signatures are of thoughts, and never told as Google's.
        (
            [Thought("hm", Signature("anthropic", "s")), Text("a", Signature("anthropic", "s"))],
            {
                "content": "a",
                "reasoning_content": "hm",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
            },
        ),
    ],
)
def test_what_a_message_says(parts: list[Part], expected: Json) -> None:
    assert said(*parts) == expected


def test_calls() -> None:
    signed = ToolCall("1", "f", {"a": "é"}, Signature("google", "AAAA"))
    choice = told(signed, ToolCall(None, "f", {}), ToolCall(None, "f", {}), finish=Finish.TOOL_CALLS)
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second, third = choice["message"]["tool_calls"]
    assert first == {
        "id": "1__thought__AAAA",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": "é"}'},
        "extra_content": {"google": {"thought_signature": "AAAA"}},
    }
    assert second["function"] == third["function"] == {"name": "f", "arguments": "{}"}
    assert second["id"] != third["id"]
    assert second["id"].startswith("call_")


def test_calls_without_a_finish_reason() -> None:
    """Google leaves out FINISH_REASON_UNSPECIFIED, which is as good as STOP."""
    assert told(Text("a"), finish=None)["finish_reason"] == "stop"
    assert told(ToolCall("1", "f", {}), finish=None)["finish_reason"] == "tool_calls"


def test_a_refusal() -> None:
    choice = told(finish=Finish.CONTENT_FILTER, refusal="why")
    assert choice["finish_reason"] == "content_filter"
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "why")


def test_audio() -> None:
    message = said(Media("audio/wav", data="AAAA"))
    assert message["content"] is None
    assert message["audio"].keys() == {"id", "data", "expires_at", "transcript"}
    assert message["audio"]["data"] == "AAAA"


def test_annotations() -> None:
    assert said(Text("Hi"), citations=[Citation(0, 2, "https://a", "A")])["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": 2, "url": "https://a", "title": "A"},
        }
    ]


LOGPROBS = [TokenLogprob("é", -0.5, [TokenLogprob("e", -1.0, [])])]
WRITTEN_LOGPROBS = {
    "content": [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
        }
    ],
    "refusal": None,
}


def test_logprobs() -> None:
    assert told(Text("é"), logprobs=LOGPROBS)["logprobs"] == WRITTEN_LOGPROBS


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(3, 4), {}),
        (Usage(3, None), {"completion_tokens": 0, "total_tokens": 3}),
        (
            Usage(3, 4, 2, 1),
            {"prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}},
        ),
        (Usage(3, 4, 0), {"prompt_tokens_details": {"cached_tokens": 0}}),
        (
            Usage(3, 4, None, None, {"text": 1, "document": 1, "image": 1}, {"audio": 4, "smell": 9}),
            {
                "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 2, "image_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 4},
            },
        ),
    ],
)
def test_usage(usage: Usage, expected: Json) -> None:
    written = write_answer(Answer(usage=usage), "m")["usage"]
    assert written == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7} | expected


@given(documents())
def test_any_answer(document: object) -> None:
    reader = AnswerReader()
    written: Any = write_answer(reader.read(document), "m")
    assert json.loads(json.dumps(written)) == written
    assert written["choices"]
    for choice in written["choices"]:
        assert choice["finish_reason"] in set(Finish)
    if usage := written.get("usage"):
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


# Streams


class Stream:
    """What a client reads of a stream."""

    def __init__(self, include_usage: bool = False) -> None:
        self.writer = StreamWriter("asked", include_usage)
        self.sent = b""

    def write(self, *answers: Answer) -> "Stream":
        for answer in answers:
            self.sent += self.writer.write(answer)
        return self

    def end(self) -> "Stream":
        self.sent += self.writer.end()
        return self

    def fail(self) -> "Stream":
        self.sent += self.writer.fail(Failure(503, "gone", "UNAVAILABLE"))
        return self

    @property
    def events(self) -> list[Any]:
        assert not self.sent or self.sent.endswith(b"\n\n")
        pieces = self.sent.split(b"\n\n")[:-1]
        assert all(piece.startswith(b"data: ") for piece in pieces)
        return [piece[6:].decode() if piece == b"data: [DONE]" else json.loads(piece[6:]) for piece in pieces]

    @property
    def deltas(self) -> list[Json]:
        """Of the chunks with a choice, without the first (the role) and the last (the end)."""
        choices = [event["choices"][0] for event in self.events if event != "[DONE]"]
        return [choice["delta"] for choice in choices][1:-1]


def piece(*parts: Part, index: int = 0, finish: Finish | None = None, **members: Any) -> Answer:
    return Answer("r", "served", [Choice(index, [*parts], finish, **members)])


def chunk(delta: Json, finish: str | None = None, index: int = 0) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def test_a_stream() -> None:
    stream = Stream().write(piece(Text("Hel")), piece(Text("lo")), piece(finish=Finish.STOP)).end()
    *chunks, done = stream.events
    assert done == "[DONE]"
    assert [event["choices"] for event in chunks] == [
        [chunk({"role": "assistant", "content": ""})],
        [chunk({"content": "Hel"})],
        [chunk({"content": "lo"})],
        [chunk({}, "stop")],
    ]
    heads = [{name: value for name, value in event.items() if name != "choices"} for event in chunks]
    assert all(head == heads[0] for head in heads)
    assert isinstance(heads[0].pop("created"), int)
    assert heads[0] == {"id": "chatcmpl-r", "object": "chat.completion.chunk", "model": "served"}


def test_an_id_of_ours_stays() -> None:
    stream = Stream().write(Answer(choices=[Choice(0, [Text("a")])]), piece(Text("b"), finish=Finish.STOP)).end()
    ids = {event["id"] for event in stream.events[:-1]}
    assert len(ids) == 1
    assert ids != {"chatcmpl-"}


def test_nothing_waits() -> None:
    stream = Stream().write(piece(Text("Hel")))
    assert stream.events[-1]["choices"] == [chunk({"content": "Hel"})]


@pytest.mark.parametrize("include_usage", [True, False])
def test_usage_comes_last_and_when_asked(include_usage: bool) -> None:
    stream = Stream(include_usage)
    stream.write(
        Answer(usage=Usage(3, 1)), piece(Text("a")), piece(finish=Finish.STOP), Answer(usage=Usage(3, 4))
    ).end()
    *chunks, last, done = stream.events
    assert done == "[DONE]"
    if include_usage:
        assert all(event["usage"] is None for event in chunks)
        assert last["choices"] == []
        assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    else:
        assert all("usage" not in event for event in [*chunks, last])


def test_calls_are_counted_over_the_stream() -> None:
    stream = Stream().write(
        piece(ToolCall("1", "f", {"a": "é"}, Signature("google", "AAAA")), ToolCall("2", "f", {})),
        piece(ToolCall("3", "g", {})),
        piece(Text(""), finish=Finish.TOOL_CALLS),
    )
    made = [call for delta in stream.end().deltas for call in delta["tool_calls"]]
    assert [(call["index"], call["id"]) for call in made] == [(0, "1__thought__AAAA"), (1, "2"), (2, "3")]
    assert made[0] == {
        "index": 0,
        "id": "1__thought__AAAA",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": "é"}'},
        "extra_content": {"google": {"thought_signature": "AAAA"}},
    }
    assert stream.events[-2]["choices"] == [chunk({}, "tool_calls")]


@pytest.mark.parametrize(
    ("parts", "members", "deltas"),
    [
        ([], {}, []),
        ([Text("")], {}, []),
        ([Thought("hm"), Text("a")], {}, [{"reasoning_content": "hm"}, {"content": "a"}]),
        # A signature alone is no content.
        ([Text("", Signature("google", "AAAA"))], {}, [{"extra_content": {"google": {"thought_signature": "AAAA"}}}]),
        # Claude's signature is of all that was thought before it.
        (
            [Thought("h"), Thought("m"), Thought("", Signature("anthropic", "s"))],
            {},
            [
                {"reasoning_content": "h"},
                {"reasoning_content": "m"},
                {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
            ],
        ),
        ([], {"refusal": "why"}, [{"refusal": "why"}]),
        (
            [],
            {"citations": [Citation(0, 2, "u", "t")]},
            [
                {
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"},
                        }
                    ]
                }
            ],
        ),
    ],
)
def test_deltas(parts: list[Part], members: Json, deltas: list[Json]) -> None:
    stream = Stream().write(piece(*parts, finish=Finish.STOP, **members)).end()
    assert stream.deltas == deltas


def test_images_are_counted_over_the_stream() -> None:
    image = Media("image/png", data="AAAA")
    stream = Stream().write(piece(image, image), piece(image, finish=Finish.STOP)).end()
    assert [image["index"] for delta in stream.deltas for image in delta["images"]] == [0, 1, 2]


def test_logprobs_of_a_stream() -> None:
    stream = Stream().write(piece(Text("é"), finish=Finish.STOP, logprobs=LOGPROBS)).end()
    told = [event["choices"][0]["logprobs"] for event in stream.events[:-1]]
    assert [one for one in told if one] == [WRITTEN_LOGPROBS]


def test_what_comes_behind_the_reason_to_stop() -> None:
    stream = Stream().write(piece(Text("a"), finish=Finish.LENGTH), piece(citations=[Citation(0, 1, "u", "t")])).end()
    finishes = [event["choices"][0]["finish_reason"] for event in stream.events[:-1]]
    assert finishes == [None, None, None, "length"]


def test_two_choices() -> None:
    stream = Stream().write(
        Answer("r", "m", [Choice(0, [Text("a")]), Choice(1, [Text("b")])]),
        Answer("r", "m", [Choice(1, [], Finish.LENGTH)]),
        Answer("r", "m", [Choice(0, [ToolCall("1", "f", {})], Finish.TOOL_CALLS)]),
    )
    stream.end()
    for index, finish in ((0, "tool_calls"), (1, "length")):
        own = [event["choices"][0] for event in stream.events[:-1] if event["choices"][0]["index"] == index]
        assert [one["delta"].get("role") for one in own] == ["assistant"] + [None] * (len(own) - 1)
        assert [one["finish_reason"] for one in own] == [None] * (len(own) - 1) + [finish]


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [Answer()],
        [piece(Text("a"))],
        # One of two choices.
        [piece(Text("a"), finish=Finish.STOP), piece(Text("b"), index=1)],
    ],
)
def test_an_end_before_the_end_is_an_error(answers: list[Answer]) -> None:
    events = Stream(include_usage=True).write(*answers).end().events
    assert events[-1]["error"]["type"] == "server_error"
    assert all(choice["finish_reason"] is None for event in events[:-1] for choice in event["choices"])


def test_nothing_after_a_failure() -> None:
    stream = Stream(include_usage=True).write(piece(Text("a"), finish=Finish.STOP)).fail()
    assert stream.events[-1] == {
        "error": {"message": "gone", "type": "server_error", "param": None, "code": "service_unavailable"}
    }
    sent = stream.sent
    assert stream.write(piece(Text("b"))).end().fail().sent == sent


def test_nothing_after_the_end() -> None:
    stream = Stream().write(piece(Text("a"), finish=Finish.STOP)).end()
    sent = stream.sent
    assert stream.write(piece(Text("b"))).end().fail().sent == sent


def streamed(*events: object) -> list[Any]:
    reader, stream = AnswerReader(), Stream(include_usage=True)
    for event in events:
        stream.write(reader.read(event))
        if reader.failure:
            stream.sent += stream.writer.fail(reader.failure)
    return stream.end().events


def test_a_call_and_then_an_empty_stop() -> None:
    """As Gemini 3.5 and newer end a turn of calls."""
    events = streamed(
        {"responseId": "r", "candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]},
        {"responseId": "r", "candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]},
    )
    assert [event["choices"][0]["finish_reason"] for event in events[:-2]] == [None, None, "tool_calls"]
    assert events[-1] == "[DONE]"


def test_a_blocked_prompt() -> None:
    *chunks, _, done = streamed({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "why"}})
    assert [event["choices"][0]["delta"] for event in chunks] == [
        {"role": "assistant", "content": ""},
        {"refusal": "why"},
        {},
    ]
    assert (chunks[-1]["choices"][0]["finish_reason"], done) == ("content_filter", "[DONE]")


def test_an_error_inside_a_stream() -> None:
    events = streamed(
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED"}},
        {"candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}]},
    )
    assert events[-1]["error"]["type"] == "rate_limit_error"
    assert "[DONE]" not in events
    assert '{"content": "b"}' not in json.dumps(events)


@given(events=st.lists(documents(), max_size=4))
def test_any_stream(events: list[object]) -> None:
    sent = streamed(*events)
    assert (sent[-1] == "[DONE]") != ("error" in sent[-1])
    chunks = [event for event in sent if "choices" in event]
    assert len({event["id"] for event in chunks}) <= 1
    own: dict[int, list[Json]] = {}
    for event in chunks:
        for choice in event["choices"]:
            own.setdefault(choice["index"], []).append(choice)
    for choices in own.values():
        assert [bool(choice["delta"].get("role")) for choice in choices] == [True] + [False] * (len(choices) - 1)
        finishes = [choice["finish_reason"] for choice in choices]
        assert not any(finishes[:-1])
        assert bool(finishes[-1]) == (sent[-1] == "[DONE]")
        assert finishes[-1] in (None, *Finish)


@settings(max_examples=30)
@given(chats)
def test_a_chat_is_read_the_same_twice(chat: Json) -> None:
    """Reading changes nothing in a body."""
    before = json.dumps(chat)
    assert read_request(chat) == read_request(chat)
    assert json.dumps(chat) == before


# Requests, for a service


def for_service(*turns: Turn, model: str = "gpt-4o", **members: Any) -> Written:
    """What goes out, which must be what a client may send."""
    request = Request(model, turns=[*turns] or [user(Text("Hi"))], **members)
    written = write_request(request)
    assert written.headers == {}
    assert request.notes.dropped == []
    read_request(json.loads(json.dumps(written.body)))
    return written


def messages_of(*turns: Turn, **members: Any) -> Any:
    return for_service(*turns, **members).body["messages"]


class TestWrittenMessages:
    def test_turns(self) -> None:
        turns = [user(Text("a"), Text("b")), assistant(Thought("hm"), Text("c")), user(Text("d")), user(Text("e"))]
        turns.append(assistant(Text("f"), Text("g")))
        assert messages_of(*turns, system=[Text("s"), Text("t")]) == [
            message("system", [{"type": "text", "text": "s"}, {"type": "text", "text": "t"}]),
            message("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            message("assistant", "c"),
            message("user", "d"),
            message("user", "e"),
            message("assistant", "fg"),
        ]

    def test_calls_without_ids_get_them(self) -> None:
        turns = [
            assistant(Text("x"), ToolCall(None, "f", {"a": "é"}), ToolCall("call_0", "g", {}), ToolCall(None, "f", {})),
            user(ToolResult(None, "f", {"b": 1}), ToolResult("call_0", "g", "text"), ToolResult(None, "f", [2])),
            assistant(ToolCall(None, "f", {})),
            user(ToolResult(None, "f", ""), Text("And?")),
        ]
        written = messages_of(user(Text("Hi")), *turns)
        assert written == messages_of(user(Text("Hi")), *turns)
        assert written[1:] == [
            calls(call("call_1", arguments='{"a": "é"}'), call("call_0", "g"), call("call_2"), content="x"),
            result("call_1", '{"b": 1}'),
            result("call_0", "text"),
            result("call_2", "[2]"),
            calls(call("call_3")),
            result("call_3", ""),
            message("user", "And?"),
        ]

    def test_an_id_that_is_there_twice(self) -> None:
        written = messages_of(
            assistant(ToolCall("1", "f", {}), ToolCall("1", "g", {})),
            user(ToolResult("1", "f", "a"), ToolResult("1", "g", "b")),
        )
        assert written[1:] == [result("1", "a"), result("call_0", "b")]

    def test_media_of_a_result_follow_all_results(self) -> None:
        image = Media("image/png", data="AAAA")
        turns = [
            assistant(ToolCall("1", "f", {}), ToolCall("2", "f", {})),
            user(ToolResult("1", "f", "a", [image]), ToolResult("2", "f", "b"), Text("See?")),
        ]
        assert messages_of(*turns)[1:] == [
            result("1", "a"),
            result("2", "b"),
            message("user", [part("image_url", url=PNG), {"type": "text", "text": "See?"}]),
        ]

    def test_a_result_of_no_call(self) -> None:
        with pytest.raises(InvalidRequest):
            write_request(Request("m", turns=[user(ToolResult("1", "f", "x"))]))

    @pytest.mark.parametrize(
        ("model", "issuer", "given"),
        [
            ("google/gemini-3-pro-preview", "google", True),
            ("google/gemini-3-pro-preview", "anthropic", False),
            # Others cannot read what Google has signed.
            ("gpt-5", "google", False),
        ],
    )
    def test_signatures_go_back_to_who_signed(self, model: str, issuer: Any, given: bool) -> None:
        signed = Signature(issuer, SIGNATURE)
        turns = [assistant(Text("a", signed), ToolCall("1", "f", {}, signed)), user(ToolResult("1", "f", "x"))]
        extra: Json = {"extra_content": {"google": {"thought_signature": SIGNATURE}}} if given else {}
        assert messages_of(*turns, model=model)[0] == calls(call("1", **extra), content="a", **extra)

    @pytest.mark.parametrize(
        ("medium", "expected", "dropped"),
        [
            (Media("image/png", data="AAAA"), part("image_url", url=PNG), []),
            (Media("image/png", data="AAAA", detail="high"), part("image_url", url=PNG, detail="high"), []),
            (Media("image/png", uri="https://h/a"), part("image_url", url="https://h/a"), []),
            (Media("audio/mpeg", data="AAAA"), part("input_audio", data="AAAA", format="mp3"), []),
            (Media("audio/wav; rate=8000", data="AAAA"), part("input_audio", data="AAAA", format="wav"), []),
            (
                Media("application/pdf", data="AAAA"),
                part("file", filename="file.pdf", file_data="data:application/pdf;base64,AAAA"),
                [],
            ),
            (
                Media("video/mp4", uri="https://h/a", clip={"fps": 2}),
                part("video_url", url="https://h/a"),
                ["video_metadata"],
            ),
        ],
    )
    def test_media(self, medium: Media, expected: Json, dropped: list[str]) -> None:
        body, _, notes = write_request(Request("m", turns=[user(medium)]))
        assert body["messages"] == [message("user", [expected])]
        assert notes.dropped == dropped

    @pytest.mark.parametrize(
        "medium",
        [
            Media("image/png", uri="gs://b/o.png"),
            Media("application/pdf", uri="https://h/a.pdf"),
            Media("audio/mp3", uri="https://h/a.mp3"),
            Media("audio/flac", data="AAAA"),
        ],
    )
    def test_media_that_it_cannot_read(self, medium: Media) -> None:
        with pytest.raises(InvalidRequest) as caught:
            write_request(Request("m", turns=[user(medium)], names={"turns": "contents"}))
        assert caught.value.param == "contents"

    def test_what_a_model_drew(self) -> None:
        drawn = assistant(Media("image/png", data="AAAA"))
        body, _, notes = write_request(Request("m", turns=[user(Text("Hi")), drawn], names={"media": "inlineData"}))
        assert (body["messages"], notes.dropped) == ([HI], ["inlineData"])


class TestWrittenParameters:
    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, {}),
            (
                {"temperature": 0, "top_p": 0, "seed": 0, "n": 1, "stop": ["a"], "presence_penalty": 0},
                {"temperature": 0, "top_p": 0, "seed": 0, "n": 1, "stop": ["a"], "presence_penalty": 0},
            ),
            ({"logprobs": True, "top_logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
            ({"logprobs": False, "top_logprobs": 3}, {}),
            # Its usage must reach client and ledger, whoever asks.
            ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
            ({"modalities": ["text"]}, {}),
            # OpenAI refuses it without tools.
            ({"parallel_tool_calls": False}, {}),
            (
                {"parallel_tool_calls": False, "functions": [Function("g")]},
                {"tools": [tool("g")], "parallel_tool_calls": False},
            ),
            ({"format": Format()}, {"response_format": {"type": "json_object"}}),
            (
                {"format": Format({"type": "object"})},
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "answer", "schema": {"type": "object"}},
                    }
                },
            ),
            (
                {"functions": [Function("f", "d", {"type": "object"}), Function("g")]},
                {"tools": [tool("f", description="d", parameters={"type": "object"}), tool("g")]},
            ),
            ({"server_tools": {"googleSearch": "tools[0]"}}, {"web_search_options": {}}),
            ({"tool_choice": ToolChoice("required")}, {}),
        ],
    )
    def test_members(self, members: Json, expected: Json) -> None:
        body, _, notes = for_service(**members)
        assert body == {"model": "gpt-4o", "messages": [HI]} | expected
        assert notes.dropped == []

    @pytest.mark.parametrize(
        ("model", "name"),
        [
            *(
                (model, "max_completion_tokens")
                for model in ("o1", "o3-mini", "openai/o4-mini", "gpt-5", "gpt-5.1-mini")
            ),
            *((model, "max_tokens") for model in ("gpt-4o", "gpt-35-turbo", "gpt-oss-120b", "qwen3", "olmo", "o")),
        ],
    )
    def test_how_many_tokens(self, model: str, name: str) -> None:
        assert for_service(model=model, max_tokens=5).body[name] == 5

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (ToolChoice("none", ["f"]), "none"),
            (ToolChoice("auto"), "auto"),
            (ToolChoice("required"), "required"),
            (ToolChoice("required", ["f"]), tool("f")),
            (
                ToolChoice("required", ["f", "g"]),
                {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("f"), tool("g")]}},
            ),
            (
                ToolChoice("auto", ["f"]),
                {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("f")]}},
            ),
        ],
    )
    def test_choices(self, choice: ToolChoice, expected: object) -> None:
        written = for_service(functions=[Function("f"), Function("g")], tool_choice=choice)
        assert written.body["tool_choice"] == expected

    @pytest.mark.parametrize(
        ("model", "thinking", "effort", "dropped"),
        [
            ("gpt-5", Thinking("minimal"), "minimal", []),
            ("gpt-5", Thinking(budget=0), "none", []),
            ("gpt-5", Thinking(budget=1024), "low", []),
            ("gpt-5", Thinking(budget=8000), "medium", []),
            ("gpt-5", Thinking(budget=30000), "high", []),
            ("gpt-5", Thinking(budget=-1), None, []),
            ("gpt-5", Thinking("low", include=True), "low", ["reasoning_effort"]),
            # These would refuse it.
            ("gpt-4o", Thinking("high"), None, ["reasoning_effort"]),
            ("gpt-4.1", Thinking("none"), None, []),
        ],
    )
    def test_thinking(self, model: str, thinking: Thinking, effort: str | None, dropped: list[str]) -> None:
        body, _, notes = for_service(model=model, thinking=thinking)
        assert (body.get("reasoning_effort"), notes.dropped) == (effort, dropped)

    @pytest.mark.parametrize(
        ("members", "dropped"),
        [
            ({"top_k": 0}, ["top_k"]),
            ({"top_k": 5, "names": {"top_k": "generationConfig.topK"}}, ["generationConfig.topK"]),
            ({"modalities": ["text", "image"]}, ["modalities"]),
            ({"modalities": ["text", "audio"], "voice": "alloy"}, ["modalities", "voice"]),
            ({"server_tools": {"urlContext": "tools[1]"}}, ["tools[1]"]),
            (
                {"google": Google({"labels": {"a": "b"}, "x": {}}, {"imageConfig": {}}, elsewhere=["tools[0].a"])},
                ["labels", "generationConfig.imageConfig", "tools[0].a"],
            ),
        ],
    )
    def test_what_has_no_target_is_named(self, members: Json, dropped: list[str]) -> None:
        body, _, notes = for_service(**members)
        assert (body, notes.dropped) == ({"model": "gpt-4o", "messages": [HI]}, dropped)

    def test_what_is_to_be_remembered_is_named_once(self) -> None:
        body, _, notes = for_service(user(Text("a", cache=SHORT)), functions=[Function("f", cache=SHORT)])
        assert body == for_service(user(Text("a")), functions=[Function("f")]).body
        assert notes.dropped == ["cache_control"]

    def test_too_many_stops(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            write_request(Request("m", turns=[user(Text("Hi"))], stop=["a"] * 5, names={"stop": "s"}))
        assert caught.value.param == "s"


def kept(request: Request) -> Request:
    """What of a chat goes out to a service, in the words of such a chat."""
    for turn in request.turns:
        texts = [one for one in turn.parts if isinstance(one, Text)]
        if turn.role == "assistant" and texts:
            signed = [one.signature for one in texts if one.signature]
            whole = Text("".join(one.text for one in texts), signed[-1] if signed else None)
            turn.parts = [whole, *(one for one in turn.parts if not isinstance(one, Text))]
        for one in turn.parts:
            if not isinstance(one, Thought):
                one.cache = None
            for medium in one.media if isinstance(one, ToolResult) else [one]:
                if isinstance(medium, Media):
                    # Nearest is what there is.
                    medium.detail = {"medium": None, "ultra_high": "high"}.get(medium.detail or "", medium.detail)
                    medium.clip = None
    request.system = [replace(text, cache=None) for text in request.system]
    request.functions = [replace(function, cache=None) for function in request.functions]
    request.thinking = None
    request.google = None
    request.names = {}
    request.top_k = None
    request.modalities = request.voice = request.project = request.location = None
    request.top_logprobs = request.top_logprobs if request.logprobs else None
    request.include_usage = request.stream
    if not request.functions:
        request.tool_choice = request.parallel_tool_calls = None
    request.server_tools = {name: "web_search_options" for name in request.server_tools if name == "googleSearch"}
    request.notes = Notes()
    return request


def is_kept(turn: Turn) -> bool:
    """Pictures of the model go nowhere, those of results into the next message; calls without ids get them."""
    return not any(
        (isinstance(one, Media) and turn.role == "assistant")
        or (isinstance(one, ToolResult) and one.media)
        or (isinstance(one, ToolCall) and one.id is None)
        for one in turn.parts
    )


@settings(max_examples=100)
@given(chats)
def test_a_chat_comes_back_the_same(chat: Json) -> None:
    # Signatures are for Gemini only.
    request = read_request(chat | {"model": "google/gemini-3-pro-preview"})
    try:
        body = write_request(request).body
    except InvalidRequest:
        return
    again = read_request(json.loads(json.dumps(body)))
    if all(map(is_kept, request.turns)):
        assert kept(again) == kept(request)


CHATS: list[Json] = [
    {"model": "gpt-4o", "messages": [HI]},
    {"model": "g", "stream": True, "messages": [HI], "stream_options": {"include_usage": True}},
    {
        "model": "gpt-5",
        "messages": [
            message("system", "s"),
            message("user", [{"type": "text", "text": "a"}, part("image_url", url=PNG, detail="low")]),
            calls(call("call_a", "f", '{"a": 1}'), call("call_b", "g")),
            result("call_a", '{"b": 2}'),
            result("call_b", "text"),
            message("assistant", "c"),
            message("user", "d"),
        ],
        "tools": [tool("f", description="d", parameters={"type": "object"}), tool("g")],
        "tool_choice": tool("g"),
        "max_completion_tokens": 7,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        "temperature": 0,
        "stop": ["x"],
        "logprobs": True,
        "top_logprobs": 2,
    },
]


@pytest.mark.parametrize("chat", CHATS)
def test_a_recorded_chat_comes_back_the_same(chat: Json) -> None:
    assert write_request(read_request(chat)).body == chat


def test_a_file_of_googles() -> None:
    """Of a gs:// URL nobody else can make anything."""
    with pytest.raises(InvalidRequest) as caught:
        write_request(google_request("gpt-4o", REQUESTS["every kind of part"], stream=True))
    assert ("gs://" in caught.value.message, caught.value.param) == (True, "contents")


def test_parts_that_only_google_knows() -> None:
    body = json.loads(json.dumps(REQUESTS["every kind of part"]))
    body["contents"][0]["parts"][0] = {"text": "a"}
    body["contents"][2]["parts"].append({"toolResponse": {}})
    written, _, notes = write_request(google_request("gpt-4o", body, stream=True))
    assert written["messages"] == [
        message(
            "user",
            [
                {"type": "text", "text": "a"},
                part("image_url", url="data:image/png;base64,YWJj"),
                {"type": "text", "text": "Draw it."},
            ],
        ),
        message("assistant", "\n```python\n1 + 1\n```\n\n```\n2\n```\n"),
        message("user", "And now?"),
    ]
    assert notes.dropped == [
        "inlineData",
        "generationConfig.thinkingConfig",
        "generationConfig.mediaResolution",
        "generationConfig.speechConfig",
        "contents[2].parts[1]",
    ]


@pytest.mark.parametrize("name", sorted(REQUESTS.keys() - {"every kind of part"}))
def test_what_google_clients_ask(name: str) -> None:
    body = camel(REQUESTS[name])
    written, _, notes = write_request(google_request("gpt-4o", body, stream=True))
    read_request(json.loads(json.dumps(written)))
    assert not json.dumps(written).count("thought")
    for path in ("safetySettings", "labels", "cachedContent"):
        assert (path in notes.dropped) == (path in body)
    for path in ("topK", "imageConfig"):
        assert (f"generationConfig.{path}" in notes.dropped) == (path in body.get("generationConfig", {}))


def test_what_a_google_client_asks_in_full() -> None:
    written, _, notes = write_request(google_request("gpt-5", REQUESTS["full"], stream=False))
    assert written == {
        "model": "gpt-5",
        "messages": [
            message("system", "sys"),
            message(
                "user",
                [{"type": "text", "text": "a"}, part("image_url", url="data:image/png;base64,YWJj")],
            ),
        ],
        "temperature": 0.1,
        "top_p": 0.9,
        "max_completion_tokens": 10,
        "n": 1,
        "stop": ["x"],
        "seed": 1,
        "logprobs": True,
        "top_logprobs": 2,
        "web_search_options": {},
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": {"properties": {"a": {"type": "string"}}, "type": "object"},
            },
        },
        "reasoning_effort": "low",
    }
    assert notes.dropped == [
        "generationConfig.topK",
        "generationConfig.thinkingConfig.includeThoughts",
        "safetySettings",
        "labels",
        "cachedContent",
    ]


@given(bodies())
def test_any_body_of_a_google_client(body: Json) -> None:
    """What is not refused is a chat."""
    try:
        written = write_request(google_request("gpt-5", body, stream=True)).body
    except InvalidRequest:
        return
    again = json.loads(json.dumps(written, allow_nan=False))
    assert read_request(again).stream


# Answers, as services give them


def gotten(*documents: object) -> list[Answer]:
    reader = ChatReader()
    answers = [reader.read(document) for document in documents]
    assert reader.failure is None
    return answers


def choice_of(message: object, finish: str | None = "stop", **members: object) -> Choice:
    """What is made of the only choice of a whole answer."""
    ((choice,),) = (
        answer.choices
        for answer in gotten({"choices": [{"index": 0, "message": message, "finish_reason": finish, **members}]})
    )
    return choice


@pytest.mark.parametrize("name", COMPLETIONS)
def test_an_answer_comes_back_the_same(name: str) -> None:
    (answer,) = gotten(COMPLETIONS[name])
    assert json.loads(json.dumps(write_answer(answer, "m"))) == COMPLETIONS[name]


def joined(chunks: list[Any]) -> Json:
    """What all chunks together say of each choice, and the usage."""
    whole: Json = {"usage": None}
    for one in chunks:
        head = {name: value for name, value in one.items() if name not in ("choices", "usage")}
        assert whole.setdefault("head", head) == head
        whole["usage"] = one["usage"] or whole["usage"]
        for choice in one["choices"]:
            own = whole.setdefault(choice["index"], {"calls": {}})
            own["finish"] = choice["finish_reason"] or own.get("finish")
            for name, value in choice["delta"].items():
                if name != "tool_calls":
                    own[name] = own.get(name, "") + value
            for made in choice["delta"].get("tool_calls", []):
                built = own["calls"].setdefault(made["index"], {"id": None, "name": None, "arguments": ""})
                built["id"] = made.get("id") or built["id"]
                built["name"] = made["function"].get("name") or built["name"]
                built["arguments"] += made["function"]["arguments"]
    return whole


@pytest.mark.parametrize("name", CHUNKS)
def test_a_stream_comes_back_the_same(name: str) -> None:
    reader, stream = ChatReader(), Stream(include_usage=True)
    assert not reader.finished
    stream.write(*map(reader.read, CHUNKS[name])).end()
    assert reader.finished
    *chunks, done = stream.events
    assert (joined(chunks), done) == (joined(CHUNKS[name]), "[DONE]")


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ({"content": "a"}, [Text("a")]),
        ({"content": None}, []),
        ({"content": ""}, []),
        ({"content": "a", "reasoning_content": "hm"}, [Thought("hm"), Text("a")]),
        ({"content": "a", "reasoning": "hm"}, [Thought("hm"), Text("a")]),
        # Mistral's.
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "a"}]},
            [Thought("hm"), Text("a")],
        ),
        ({"images": [{"image_url": {"url": PNG}}]}, [Media("image/png", data="AAAA")]),
        ({"images": [{"image_url": "https://h/a.webp?b"}]}, [Media("image/webp", uri="https://h/a.webp?b")]),
        ({"images": [{"image_url": {"url": "file:///x"}}]}, []),
        ({"audio": {"id": "1", "data": "AAAA", "transcript": "a"}}, [Media("audio/wav", data="AAAA")]),
        (
            {"content": "a", "extra_content": {"google": {"thought_signature": SIGNATURE}}},
            [Text("a", Signature("google", SIGNATURE))],
        ),
        (
            {"tool_calls": [call(f"1__thought__{SIGNATURE}", arguments='{"a": 1}')]},
            [ToolCall("1", "f", {"a": 1}, Signature("google", SIGNATURE))],
        ),
        ({"tool_calls": [call("1", arguments="")]}, [ToolCall("1", "f", {})]),
        (
            {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}]},
            [ToolCall("1", "f", {"a": 1})],
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, [ToolCall(None, "f", {})]),
    ],
)
def test_parts_of_an_answer(said: Json, parts: list[Part]) -> None:
    assert choice_of(said).parts == parts


@pytest.mark.parametrize(
    ("reason", "message", "finish"),
    [
        ("stop", {}, "stop"),
        ("length", {}, "length"),
        ("content_filter", {"content": "a"}, "content_filter"),
        ("tool_calls", {"tool_calls": [call("1")]}, "tool_calls"),
        ("function_call", {"function_call": {"name": "f", "arguments": ""}}, "tool_calls"),
        # As many services end a call.
        ("stop", {"tool_calls": [call("1")]}, "tool_calls"),
        ("length", {"tool_calls": [call("1")]}, "length"),
        # Reasons of tomorrow never leak.
        ("eos", {"content": "a"}, "stop"),
        ("eos", {}, "content_filter"),
        (None, {"content": "a"}, None),
    ],
)
def test_finish_reasons(reason: str | None, message: Json, finish: str | None) -> None:
    choice = choice_of(message, reason)
    assert choice.finish == finish
    assert choice.native == (NativeFinish("openai", reason) if reason else None)


@pytest.mark.parametrize("arguments", ["{", "[]", '{"a": 1e999}'])
@pytest.mark.parametrize(("reason", "finish"), [("tool_calls", Finish.STOP), ("length", Finish.LENGTH)])
def test_a_call_that_nobody_can_make(arguments: str, reason: str, finish: Finish) -> None:
    """Made with other arguments it could do harm: it is left out, and Google's clients are told why."""
    choice = choice_of({"content": "a", "tool_calls": [call("1", arguments=arguments)]}, reason)
    assert (choice.parts, choice.finish) == ([Text("a")], finish)
    told: Any = google_answer(Answer(choices=[choice]), "m")
    expected = "MAX_TOKENS" if reason == "length" else "MALFORMED_FUNCTION_CALL"
    assert told["candidates"][0]["finishReason"] == expected


def of_calls(*fragments: Json, finish: str | None = None) -> Json:
    return {"choices": [{"index": 0, "delta": {"tool_calls": [*fragments]}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    "events",
    [
        # In turn, mixed, and all as the first, as Google's own endpoint counts them.
        [
            of_calls(fragment(0, "", "1", "f")),
            of_calls(fragment(0, '{"a"')),
            of_calls(fragment(0, ": 1}")),
            of_calls(fragment(1, "{}", "2", "g")),
        ],
        [
            of_calls(fragment(0, '{"a"', "1", "f"), fragment(1, "{", "2", "g")),
            of_calls(fragment(0, ": 1}"), fragment(1, "}")),
        ],
        [of_calls(fragment(0, '{"a": 1}', "1", "f")), of_calls(fragment(0, "{}", "2", "g"))],
        # The id in each fragment.
        [
            of_calls(fragment(0, '{"a"', "1", "f")),
            of_calls(fragment(0, ": 1}", "1", "f"), fragment(1, "{}", "2", "g")),
        ],
    ],
)
def test_fragments_of_calls(events: list[Json]) -> None:
    *before, last = gotten(*events, of_calls(finish="tool_calls"))
    assert all(answer.choices[0].parts == [] for answer in before)
    assert last.choices[0].parts == [ToolCall("1", "f", {"a": 1}), ToolCall("2", "g", {})]


def test_a_refusal_and_what_it_rests_on() -> None:
    cited = {"type": "url_citation", "url_citation": {"start_index": 1, "end_index": 2, "url": "u"}}
    wrong = {"type": "url_citation", "url_citation": {"start_index": 9, "end_index": 2, "url": "u", "title": "t"}}
    choice = choice_of({"refusal": "no", "annotations": [cited, wrong, {"type": "file_citation"}]})
    assert (choice.refusal, choice.citations) == ("no", [Citation(1, 2, "u", "")])


def test_logprobs_of_a_service() -> None:
    assert choice_of({}, logprobs=WRITTEN_LOGPROBS).logprobs == LOGPROBS
    assert choice_of({}, logprobs={"content": [{"token": "a", "logprob": 10**400}]}).logprobs
    assert choice_of({}, logprobs={"content": None}).logprobs is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        (USAGE, Usage(9, 12)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 12,
                "total_tokens": 21,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(9, 12, 4, 5, {"audio": 1}),
        ),
        # What leaves the reasoning out.
        ({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 26}, Usage(9, 17, None, 5)),
        ({"prompt_tokens": 9}, Usage(9, None)),
    ],
)
def test_usage_of_a_service(usage: object, expected: Usage | None) -> None:
    (answer,) = gotten({"usage": usage, "choices": []})
    assert answer.usage == expected


def test_the_end_is_known() -> None:
    reader = ChatReader(2)
    reader.read({"choices": [{"index": 1, "delta": {"content": "a"}, "finish_reason": "stop"}]})
    assert not reader.finished
    reader.read({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
    assert reader.finished


def test_an_error_of_a_service() -> None:
    reader = ChatReader()
    assert reader.read({"error": {"message": "Quota.", "type": "rate_limit_error", "code": "x"}}) == Answer()
    assert reader.failure == Failure(429, "Quota.", "RESOURCE_EXHAUSTED")


OPENAI_NAMES = (
    "id model created choices index message delta role content refusal tool_calls function_call function name arguments"
    " reasoning_content images image_url url audio data annotations url_citation start_index end_index logprobs"
    " token logprob top_logprobs finish_reason usage prompt_tokens completion_tokens error code extra_content"
).split()


@st.composite
def answers_of_services(draw: st.DrawFn) -> object:
    """Any JSON with OpenAI's names, or a recorded answer with any JSON in one place."""
    if draw(st.booleans()):
        return draw(
            st.recursive(
                json_values,
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(OPENAI_NAMES), inner, max_size=4)
                ),
                max_leaves=8,
            )
        )
    recorded = [*COMPLETIONS.values(), *(chunk for chunks in CHUNKS.values() for chunk in chunks)]
    document: Any = json.loads(json.dumps(draw(st.sampled_from(recorded))))
    value = document
    while True:
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 6)):
            value = value[place]
        else:
            value[place] = draw(json_values)
            return document


@given(st.lists(answers_of_services(), max_size=4))
def test_any_answer_of_a_service(documents: list[object]) -> None:
    reader, stream, google = ChatReader(), Stream(include_usage=True), GoogleStreamWriter("m", False)
    told = b""
    for document in documents:
        answer = reader.read(document)
        for choice in answer.choices:
            assert choice.index >= 0
            assert choice.finish is None or choice.finish in Finish
        stream.write(answer)
        told += google.write(answer)
        json.dumps(write_answer(answer, "m"))
        json.dumps(google_answer(answer, "m"))
    stream.end()
    assert (stream.events[-1] == "[DONE]") != stream.writer.failed
    assert isinstance(json.loads(told + google.end()), list)
