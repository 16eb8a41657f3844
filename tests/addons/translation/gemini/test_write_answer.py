import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Part
from addons.translation.conversation import Text
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.gemini.read_answer import AnswerReader
from addons.translation.gemini.write_answer import StreamWriter
from addons.translation.gemini.write_answer import write_answer
from tests.addons.translation.gemini.examples import Json
from tests.addons.translation.gemini.examples import documents
from tests.addons.translation.gemini.examples import read
from tests.addons.translation.recorded import RESPONSES


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


def test_it_is_written_anew() -> None:
    """Members that are empty, or written in Google's other form, are not copied."""
    parts = [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]
    candidate = {"content": {"role": "model", "parts": parts}, "index": None, "finishReason": None}
    (answer,) = read({"candidates": [candidate], "modelVersion": "", "responseId": ""})
    written = {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}
    assert write_answer(answer, "m") == {"candidates": [{"content": written, "index": 0}], "modelVersion": "m"}


def test_a_refused_prompt_has_no_candidates() -> None:
    refused = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m-1"}
    (answer,) = read(refused | {"candidates": [{"index": 0, "finishReason": "SAFETY"}]})
    assert write_answer(answer, "m") == refused


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
