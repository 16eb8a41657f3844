import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import BROKEN_CALL
from addons.translation.conversation import Answer
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.gemini.write_answer import StreamWriter as GoogleStreamWriter
from addons.translation.gemini.write_answer import write_answer as google_answer
from addons.translation.openai_chat.read_answer import AnswerReader as ChatReader
from addons.translation.openai_chat.write_answer import write_answer
from tests.addons.translation.openai_chat.answers import Stream
from tests.addons.translation.openai_chat.answers import choice_of
from tests.addons.translation.openai_chat.answers import gotten
from tests.addons.translation.openai_chat.messages import PNG
from tests.addons.translation.openai_chat.messages import SIGNATURE
from tests.addons.translation.openai_chat.messages import call
from tests.addons.translation.recorded import CHUNKS
from tests.addons.translation.recorded import COMPLETIONS
from tests.addons.translation.recorded import USAGE
from tests.addons.translation.recorded import fragment
from tests.metering.test_json_array import json_values

Json = dict[str, Any]


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
    """Made with other arguments it could do harm: it is left out, and clients are told why."""
    choice = choice_of({"content": "a", "tool_calls": [call("1", arguments=arguments)]}, reason)
    assert (choice.parts, choice.finish) == ([Text("a")], finish)
    assert choice.refusal == (BROKEN_CALL if reason == "tool_calls" else None)
    assert choice.is_invalid == (reason == "tool_calls")
    told: Any = google_answer(Answer(choices=[choice]), "m")
    expected = "MAX_TOKENS" if reason == "length" else "MALFORMED_FUNCTION_CALL"
    assert told["candidates"][0]["finishReason"] == expected
    assert (choice.is_invalid, choice.refusal) == ((False, None) if reason == "length" else (True, BROKEN_CALL))


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
    (answer,) = gotten({"model": "gemini-2.5-flash", "usage": usage, "choices": []})
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
