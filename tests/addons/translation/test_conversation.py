import pytest

from addons.translation.conversation import Finish
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Usage
from addons.translation.conversation import to_bytes
from addons.translation.conversation import usage_of
from metering.call import Reading


def test_requests_share_nothing() -> None:
    first, second = Request("m"), Request("m")
    first.notes.dropped.append("x")
    first.server_tools["googleSearch"] = "tools[0]"
    assert (second.notes.dropped, second.server_tools) == ([], {})


def test_what_is_dropped_is_named_once() -> None:
    notes = Notes(["a"])
    notes.drop("b", "a", "b")
    notes.drop("c")
    assert notes.dropped == ["a", "b", "c"]


def test_the_finish_reasons_are_openais() -> None:
    assert {str(finish) for finish in Finish} == {"stop", "length", "tool_calls", "content_filter"}


def test_a_client_has_its_own_names() -> None:
    request = Request("m", names={"top_k": "generationConfig.topK"})
    assert (request.named("top_k"), request.named("n"), request.named("turns", "messages")) == (
        "generationConfig.topK",
        "n",
        "messages",
    )


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(None, None), (-1, None), (0, "none"), (1024, "low"), (1025, "medium"), (8192, "medium"), (8193, "high")],
)
def test_efforts(budget: int | None, effort: str | None) -> None:
    assert Thinking(budget=budget).as_effort == effort
    assert Thinking("high", budget).as_effort == "high"
    assert Thinking(budget=budget).is_off == (budget == 0)


def test_what_is_to_be_remembered() -> None:
    caches: list[dict[str, object]] = [{"type": "ephemeral", "ttl": str(number)} for number in range(5)]
    turns = [
        Turn("user", [Text("a", cache=caches[2]), Text("b"), Media("image/png", cache=caches[3])]),
        Turn("assistant", [Thought("h"), ToolCall("1", "f", {})]),
        Turn("user", [ToolResult("1", "f", "x", cache=caches[4])]),
    ]
    request = Request("m", [Text("s", cache=caches[1])], turns, [Function("f", cache=caches[0])])
    assert request.caches() == caches
    assert Request("m", turns=[Turn("user", [Text("a")])]).caches() == []


def test_what_only_google_knows_is_named_for_others() -> None:
    google = Google(
        {"labels": {"a": "b"}, "generationConfig": {}, "systemInstruction": {"role": "user"}},
        {"audioTimestamp": False, "imageConfig": None},
        elsewhere=["tools[0].googleSearch.excludeDomains"],
    )
    assert google.paths() == ["labels", "generationConfig.audioTimestamp", "tools[0].googleSearch.excludeDomains"]


@pytest.mark.parametrize(
    ("reading", "usage"),
    [
        (Reading(), None),
        (Reading(input_cached_tokens=1), None),
        (Reading(input_tokens=0), Usage(0, None)),
        (Reading(output_tokens=2, output_thought_tokens=1), Usage(None, 2, thoughts=1)),
        (
            Reading(input_tokens=3, input_cached_tokens=1, output_tokens=2, input_by_modality={"image": 3}),
            Usage(3, 2, 1, None, {"image": 3}, {}),
        ),
        (Reading(input_tokens=9, input_cache_write_tokens=4), Usage(9, None, cache_written=4)),
    ],
)
def test_what_a_reading_tells_of_usage(reading: Reading, usage: Usage | None) -> None:
    assert usage_of(reading) == usage


def test_bytes_of_any_text() -> None:
    assert to_bytes({"a": "é\ud800"}) == '{"a":"é?"}'.encode()


@pytest.mark.parametrize(
    ("param", "path"),
    [("reasoning", "reasoning.effort"), ("reasoning_effort", "reasoning_effort"), ("thinking", "thinking")],
)
def test_the_path_of_an_effort(param: str, path: str) -> None:
    assert Thinking("max", param=param).effort_param == path
