from typing import Any

import pytest

from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from tests.addons.translation.anthropic.requests import CALL
from tests.addons.translation.anthropic.requests import HI
from tests.addons.translation.anthropic.requests import RESULT
from tests.addons.translation.anthropic.requests import asked
from tests.addons.translation.anthropic.requests import read
from tests.addons.translation.anthropic.requests import refused
from tests.addons.translation.anthropic.requests import said
from tests.addons.translation.anthropic.requests import text
from tests.addons.translation.anthropic.requests import turns
from tests.addons.translation.openai_chat.messages import assistant
from tests.addons.translation.openai_chat.messages import user

SIGNED = Signature("google", "c2lnbmVk")
CLAUDES = Signature("anthropic", "EqQBCg==")
CACHE: dict[str, Any] = {"type": "ephemeral"}
BILLING = "x-anthropic-billing-header: cc_version=2.1.177.01c; cc_entrypoint=cli; cch=36ee5;"
PNG: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def thinking(signature: str, thought: str = "hm") -> dict[str, Any]:
    return {"type": "thinking", "thinking": thought, "signature": signature}


class TestTurns:
    def test_they_alternate(self) -> None:
        assert turns(HI, HI, said(text("a")), said(text("b")), HI) == [
            user(Text("Hi"), Text("Hi")),
            assistant(Text("a"), Text("b")),
            user(Text("Hi")),
        ]

    @pytest.mark.parametrize("empty", [said(), said(text("")), {"role": "assistant", "content": ""}])
    def test_empty_answers_are_left_out(self, empty: Any) -> None:
        assert turns(HI, empty, HI) == [user(Text("Hi"), Text("Hi"))]

    @pytest.mark.parametrize("empty", [asked(), {"role": "user", "content": ""}])
    def test_empty_questions_are_refused(self, empty: Any) -> None:
        assert refused(empty) == "messages.0.content: User messages must have non-empty content"

    def test_empty_texts_are_refused(self) -> None:
        assert refused(asked(text("x"), text(""))).startswith("messages.0.content.1.text: Text content blocks must")

    def test_instructions_may_stand_anywhere(self) -> None:
        request = read(HI, {"role": "system", "content": "b"}, HI, system=[text("a", cache_control=CACHE), text("")])
        assert request.system == [Text("a", cache=CACHE), Text("b")]
        assert request.turns == [user(Text("Hi"), Text("Hi"))]

    def test_instructions_only(self) -> None:
        assert read({"role": "system", "content": "b"}).turns == []
        assert refused({"role": "system", "content": []}) == "messages: At least one message is required"
        assert refused({"role": "system", "content": [PNG]}) == "messages.0.content.0: Instructions must be text"

    @pytest.mark.parametrize(
        ("system", "texts", "dropped"),
        [
            ([text(BILLING), text("a")], [Text("a")], ["system[0]"]),
            (
                [text("a"), text(f"{BILLING}\n\nb", cache_control=CACHE)],
                [Text("a"), Text("b", cache=CACHE)],
                ["system[1]"],
            ),
            (f"{BILLING}\nb", [Text("b")], ["system"]),
            ([text(f"a {BILLING}")], [Text(f"a {BILLING}")], []),
        ],
    )
    def test_what_is_for_anthropics_billing(self, system: Any, texts: list[Text], dropped: list[str]) -> None:
        """It is another in each request, and would keep services from finding the same beginning in their cache."""
        request = read(HI, system=system)
        assert (request.system, request.notes.dropped) == (texts, dropped)

    def test_settings_among_the_messages(self) -> None:
        """A message of the role `system` may hold settings from there on, with or without a text."""
        effort = {"role": "system", "output_config": {"effort": "low"}, "clear_at": "never"}
        added = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}}
        request = read(HI, effort, {"role": "system", "content": [text("b"), added]})
        assert (request.system, request.turns) == ([Text("b")], [user(Text("Hi"))])
        assert request.notes.dropped == [
            "messages[1].output_config",
            "messages[1].clear_at",
            "messages[2].content[1]",
        ]


class TestAssistant:
    @pytest.mark.parametrize(
        ("blocks", "parts"),
        [
            ([text("a", cache_control=CACHE)], [Text("a", cache=CACHE)]),
            ([thinking("EqQBCg=="), text("a")], [Thought("hm", CLAUDES), Text("a")]),
            (
                [{"type": "redacted_thinking", "data": "x"}, text("a")],
                [Thought("", Signature("anthropic", "redacted_thinking:x")), Text("a")],
            ),
            # Google's signature belongs to the part after the thought.
            ([thinking("google:c2lnbmVk"), text("a"), text("b")], [Thought("hm"), Text("a", SIGNED), Text("b")]),
            ([thinking("google:c2lnbmVk", ""), text("a")], [Text("a", SIGNED)]),
            ([thinking("unsigned:"), text("a")], [Thought("hm"), Text("a")]),
            ([thinking("google:***"), text("a")], [Thought("hm"), Text("a")]),
            ([text("a", citations=[{"type": "x"}])], [Text("a")]),
            # What the conversation was about until here.
            ([{"type": "compaction", "content": "a", "encrypted_content": "x"}, text("b")], [Text("a"), Text("b")]),
            ([{"type": "compaction", "content": None}, text("b")], [Text("b")]),
            # A thought alone says nothing.
            ([thinking("EqQBCg==")], []),
        ],
    )
    def test_blocks(self, blocks: list[Any], parts: list[Part]) -> None:
        assert turns(HI, said(*blocks))[1:] == ([assistant(*parts)] if parts else [])

    @pytest.mark.parametrize(
        ("blocks", "call"),
        [
            ([CALL], ToolCall("toolu_1", "f", {"a": 1})),
            ([CALL | {"cache_control": CACHE}], ToolCall("toolu_1", "f", {"a": 1}, cache=CACHE)),
            ([CALL | {"id": "toolu_1__thought__c2lnbmVk"}], ToolCall("toolu_1", "f", {"a": 1}, SIGNED)),
            # base64url without padding.
            ([CALL | {"id": "toolu_1__thought__-_8"}], ToolCall("toolu_1", "f", {"a": 1}, Signature("google", "+/8="))),
            ([thinking("google:c2lnbmVk", ""), CALL], ToolCall("toolu_1", "f", {"a": 1}, SIGNED)),
        ],
    )
    def test_calls(self, blocks: list[Any], call: ToolCall) -> None:
        result = RESULT | {"tool_use_id": blocks[-1]["id"]}
        assert turns(HI, said(*blocks), asked(result))[1:] == [
            assistant(call),
            user(ToolResult("toolu_1", "f", "done")),
        ]

    def test_what_only_anthropics_servers_can_read(self) -> None:
        server = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
        found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
        request = read(HI, said(server, found, text("a")))
        assert request.turns[1:] == [assistant(Text("a"))]
        assert request.notes.dropped == ["messages[1].content[0]", "messages[1].content[1]"]

    def test_the_state_of_a_browser(self) -> None:
        state = {"type": "browser_state", "tabs": [{"tab_id": 1, "title": "t", "url": "u", "active": True}]}
        request = read(HI, said(CALL), asked(RESULT | {"content": [text("done"), state]}))
        assert request.turns[2] == user(ToolResult("toolu_1", "f", "done"))
        assert request.notes.dropped == ["messages[2].content[0].content[1]"]

    @pytest.mark.parametrize("block", [PNG, RESULT])
    def test_what_does_not_belong_there(self, block: Any) -> None:
        assert refused(HI, said(block)).startswith("messages.1.content.0: This block does not belong into an assistant")

    def test_too_large_a_number(self) -> None:
        assert refused(HI, said(CALL | {"input": {"a": float("inf")}})).startswith("messages.1.content.0.input: ")


class TestResults:
    def test_in_the_order_of_the_calls_before_all_else(self) -> None:
        second = CALL | {"id": "2"}
        results = [text("so"), RESULT | {"tool_use_id": "2", "is_error": True}, RESULT]
        assert turns(HI, said(CALL, second), asked(*results))[2] == user(
            ToolResult("toolu_1", "f", "done"), ToolResult("2", "f", "done", is_error=True), Text("so")
        )

    def test_in_several_messages(self) -> None:
        two = [asked(RESULT), asked(RESULT | {"tool_use_id": "2"})]
        assert len(turns(HI, said(CALL, CALL | {"id": "2"}), *two)[2].parts) == 2

    @pytest.mark.parametrize(
        ("members", "result"),
        [
            ({"content": None}, ToolResult("toolu_1", "f", "")),
            ({"content": []}, ToolResult("toolu_1", "f", "")),
            # A file that is to be changed must stay as it is.
            ({"content": '{ "a": 1 }'}, ToolResult("toolu_1", "f", '{ "a": 1 }')),
            ({"content": [text("a"), text("b")]}, ToolResult("toolu_1", "f", "a\nb")),
            (
                {"content": [text("a"), PNG | {"cache_control": CACHE}]},
                ToolResult("toolu_1", "f", "a", [Media("image/png", "AAAA")], cache=CACHE),
            ),
            ({"cache_control": CACHE}, ToolResult("toolu_1", "f", "done", cache=CACHE)),
            ({"content": [{"type": "tool_reference", "tool_name": "g"}]}, ToolResult("toolu_1", "f", "g")),
        ],
    )
    def test_content(self, members: Any, result: ToolResult) -> None:
        assert turns(HI, said(CALL), asked(RESULT | members))[2] == user(result)

    @pytest.mark.parametrize(
        ("messages", "told"),
        [
            ([asked(RESULT)], "messages.0.content.0: Unexpected `tool_use_id` found in `tool_result` blocks: toolu_1."),
            ([said(CALL)], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after"),
            ([said(CALL), HI], "messages.2: `tool_use` ids were found without"),
            ([said(CALL, CALL), asked(RESULT)], "messages.1: `tool_use` ids must be unique"),
            ([said(CALL), asked(RESULT, RESULT)], "messages.2.content.1: Each `tool_use` must have a single result"),
            ([asked(CALL)], "messages.0.content.0: This block does not belong into a user message"),
            ([asked(thinking("x"))], "messages.0.content.0: This block does not belong into a user message"),
        ],
    )
    def test_each_call_has_one(self, messages: list[Any], told: str) -> None:
        first = [] if messages[0]["role"] == "user" else [HI]
        assert refused(*first, *messages).startswith(told)


class TestUser:
    @pytest.mark.parametrize(
        ("block", "parts"),
        [
            (PNG, [Media("image/png", "AAAA")]),
            (PNG | {"cache_control": CACHE}, [Media("image/png", "AAAA", cache=CACHE)]),
            (
                {"type": "image", "source": {"type": "url", "url": "https://h/a.webp"}},
                [Media("image/webp", uri="https://h/a.webp")],
            ),
            (
                {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}, "title": "t"},
                [Text("t"), Media("application/pdf", uri="https://h/a.pdf")],
            ),
            (
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                    "context": "c",
                    "cache_control": CACHE,
                },
                [Text("c"), Media("application/pdf", "AAAA", cache=CACHE)],
            ),
            (
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                [Text("d")],
            ),
            ({"type": "document", "source": {"type": "content", "content": "d"}}, [Text("d")]),
            (
                {"type": "document", "source": {"type": "content", "content": [text("d"), PNG]}},
                [Text("d"), Media("image/png", "AAAA")],
            ),
            (
                {"type": "search_result", "source": "https://h", "title": "t", "content": [text("a"), text("b")]},
                [Text("t\nhttps://h\na\nb")],
            ),
        ],
    )
    def test_blocks(self, block: Any, parts: list[Part]) -> None:
        request = read(asked(block))
        assert request.turns == [user(*parts)]
        assert (request.notes.dropped, request.notes.assumed) == ([], [])

    @pytest.mark.parametrize(("kind", "mime_type"), [("image", "image/jpeg"), ("document", "application/pdf")])
    def test_a_type_that_the_url_does_not_tell_is_assumed(self, kind: str, mime_type: str) -> None:
        request = read(asked({"type": kind, "source": {"type": "url", "url": "https://h/a"}}))
        assert request.turns == [user(Media(mime_type, uri="https://h/a"))]
        assert request.notes.assumed == [f"messages[0].content[0].source.url={mime_type}"]

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ({"type": "file", "file_id": "file_1"}, "messages.0.content.0.source.file_id: No files are stored here"),
            ({"type": "url", "url": "ftp://h/a"}, "messages.0.content.0.source.url: Write a data:, http(s):// or gs"),
            ({"type": "base64", "media_type": "x", "data": "AAAA"}, "messages.0.content.0.source.media_type: This is"),
            ({"type": "base64", "media_type": "a/b", "data": "*"}, "messages.0.content.0.source.data: This is not"),
        ],
    )
    def test_media_that_cannot_be_sent(self, source: Any, told: str) -> None:
        assert refused(asked({"type": "image", "source": source})).startswith(told)

    def test_an_empty_document(self) -> None:
        empty = {"type": "document", "source": {"type": "content", "content": []}}
        assert refused(asked(empty)) == "messages.0.content.0.source: The document is empty"

    def test_a_file_of_a_container_is_named(self) -> None:
        request = read(asked({"type": "container_upload", "file_id": "x"}, text("a")))
        assert (request.turns, request.notes.dropped) == ([user(Text("a"))], ["messages[0].content[0]"])


def test_what_is_beyond_the_schema_is_named_at_any_depth() -> None:
    document = {
        "type": "document",
        "source": {"type": "content", "content": [text("d", x=1)]},
        "citations": {"enabled": True},
    }
    cached = text("a", cache_control=CACHE | {"scope": "global"}, citations=None)
    request = read(asked(document, cached), HI | {"name": "me"}, x=1, y=None)
    assert request.notes.dropped == [
        "x",
        "messages[0].content[0].citations",
        "messages[0].content[0].source.content[0].x",
        "messages[0].content[1].cache_control.scope",
        "messages[1].name",
    ]
