from dataclasses import replace
from typing import Any

import pytest

from addons.translation.anthropic.write_request import write_request as write_for_claude
from addons.translation.conversation import Function
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Text
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_chat.write_request import write_request as write_for_chat
from tests.addons.translation.openai_chat.messages import HI
from tests.addons.translation.openai_chat.messages import PNG
from tests.addons.translation.openai_chat.messages import SHORT
from tests.addons.translation.openai_chat.messages import assistant
from tests.addons.translation.openai_chat.messages import call
from tests.addons.translation.openai_chat.messages import calls
from tests.addons.translation.openai_chat.messages import message
from tests.addons.translation.openai_chat.messages import part
from tests.addons.translation.openai_chat.messages import read
from tests.addons.translation.openai_chat.messages import refused
from tests.addons.translation.openai_chat.messages import result
from tests.addons.translation.openai_chat.messages import tool
from tests.addons.translation.openai_chat.messages import user

Json = dict[str, Any]


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
        ],
    )
    def test_of_the_user(self, told: Json, parts: list[Part]) -> None:
        request = read(told)
        assert (request.turns, request.notes.dropped) == ([user(*parts)], [])

    def test_what_nobody_knows_of_it(self) -> None:
        request = read(message("user", "a", cache_control=HOUR | {"scope": "x"}))
        assert request.turns == [user(Text("a", cache=HOUR))]
        assert request.notes.dropped == ["messages[0].cache_control.scope"]

    @pytest.mark.parametrize(
        ("ttl", "cache", "dropped"),
        [
            (None, {"type": "ephemeral"}, []),
            ("30m", {"type": "ephemeral", "ttl": "1h"}, []),
            ("12h", {"type": "ephemeral", "ttl": "1h"}, ["messages[0].content[0].prompt_cache_breakpoint.ttl"]),
        ],
    )
    def test_openais_own_breakpoints(self, ttl: str | None, cache: Json, dropped: list[str]) -> None:
        breakpoint = {"mode": "explicit"} | ({"ttl": ttl} if ttl else {})
        text = {"type": "text", "text": "a", "prompt_cache_breakpoint": breakpoint}
        request = read(message("user", [text, {"type": "text", "text": "b"}]))
        assert request.turns == [user(Text("a", cache=cache), Text("b"))]
        assert request.notes.dropped == dropped
        path = "prompt_cache_breakpoint"
        assert path in write_for_gemini(request).notes.dropped
        assert path in write_for_chat(replace(request, model="m")).notes.dropped
        request.model = "claude-opus-4-1"
        claudes = write_for_claude(request)
        assert claudes.notes.dropped == dropped
        assert claudes.body["messages"] == [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a", "cache_control": cache}, {"type": "text", "text": "b"}],
            }
        ]

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
