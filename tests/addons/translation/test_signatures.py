import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.signatures import MISSING
from addons.translation.signatures import in_block
from addons.translation.signatures import is_claudes
from addons.translation.signatures import of_anthropic
from addons.translation.signatures import of_details
from addons.translation.signatures import of_google
from addons.translation.signatures import sealed
from addons.translation.signatures import split_id
from addons.translation.signatures import thinking_block
from addons.translation.signatures import thought_of
from addons.translation.signatures import unsealed
from addons.translation.signatures import with_signature
from addons.translation.signatures import with_signature_in_letters
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING

Json = dict[str, Any]
LONG = base64.b64encode(bytes(range(256))).decode()


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("call_1", ("call_1", None)),
        ("", ("", None)),
        (f"call_1__thought__{LONG}", ("call_1", LONG)),
        ("call_1__thought__", ("call_1", None)),
        # Base64url, without padding.
        ("call_1__thought__-_8", ("call_1", "+/8=")),
        # Bifrost's, base64url without padding.
        (f"call_1_ts_{LONG.replace('+', '-').replace('/', '_').rstrip('=')}", ("call_1", LONG)),
        ("call_ts_!", ("call_ts_!", None)),
    ],
)
def test_ids(id: str, expected: tuple[str, str | None]) -> None:
    assert split_id(id) == expected


@pytest.mark.parametrize("id", ["get_ts_data", "call_ts_0001", "toolu_ts_1699999999"])
def test_an_id_that_only_looks_signed_stays(id: str) -> None:
    """Ids are the client's own, also of other providers; no signature is as short as that."""
    assert split_id(id) == (id, None)


@given(id=st.from_regex(r"call_[a-z0-9]{1,24}", fullmatch=True), raw=st.binary(min_size=1, max_size=200))
def test_a_signature_comes_back_from_an_id(id: str, raw: bytes) -> None:
    signature = base64.b64encode(raw).decode()
    assert split_id(with_signature(id, signature)) == (id, signature)
    assert with_signature(id, None) == id


@given(id=st.from_regex(r"[a-zA-Z0-9-]{1,24}", fullmatch=True), raw=st.binary(min_size=1, max_size=200))
def test_a_signature_in_letters(id: str, raw: bytes) -> None:
    """Anthropic's ids have letters, digits, _ and - only."""
    signature = base64.b64encode(raw).decode()
    written = with_signature_in_letters(id, signature)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", written)
    assert split_id(written) == (id, signature)
    assert with_signature_in_letters(id, None) == id


@pytest.mark.parametrize(
    ("signature", "written", "is_its_own"),
    [
        (None, "unsigned:", False),
        (Signature("google", "AAAA"), "google:AAAA", False),
        (Signature("anthropic", "EqQB"), "EqQB", True),
    ],
)
def test_signatures_of_thinking_blocks(signature: Signature | None, written: str, is_its_own: bool) -> None:
    assert in_block(signature) == written
    assert is_claudes(written) == is_its_own
    assert is_its_own or unsealed(written) == signature


@given(st.text())
def test_any_id(id: str) -> None:
    bare, signature = split_id(id)
    assert id.startswith(bare)
    assert signature is None or signature


@pytest.mark.parametrize(
    "message",
    [
        {"extra_content": {"google": {"thought_signature": "sig"}}},
        {"extra_content": {"google": {"thoughtSignature": "sig"}}},
        {"provider_specific_fields": {"thought_signature": "sig"}},
        {"thought_signature": "sig"},
        {"thoughtSignature": "sig"},
        # Portkey's, on the function.
        {"function": {"name": "f", "thought_signature": "sig"}},
        {"function": {"name": "f", "provider_specific_fields": {"thought_signature": "sig"}}},
    ],
)
def test_signatures_beside_a_call(message: Json) -> None:
    assert of_google(message) == "sig"


@pytest.mark.parametrize(
    "message",
    [
        *ANYTHING,
        {"thought_signature": ""},
        {"thought_signature": 5},
        {"extra_content": {"google": None}},
        {"extra_content": {"anthropic": {"thought_signature": "sig"}}},
    ],
)
def test_no_signature(message: object) -> None:
    assert of_google(message) is None


def detail(**members: object) -> Json:
    return {"reasoning_details": [{"type": "reasoning.text"}, {"type": "reasoning.encrypted", **members}]}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (detail(id="call_1", signature="sig"), "sig"),
        (detail(id="tool_call_call_1", signature="sig"), "sig"),
        (detail(id="call_1", data="sig"), "sig"),
        (detail(id="call_2", signature="sig"), None),
        (detail(signature="sig"), None),
        (detail(id="call_1", signature=5), None),
        ({"reasoning_details": 5}, None),
        (None, None),
    ],
)
def test_signatures_in_details(message: object, expected: str | None) -> None:
    assert of_details(message, "call_1") == expected


@given(json_values)
def test_any_message(value: Any) -> None:
    for message in (value, {"extra_content": value}, {"function": value}, {"reasoning_details": [value]}):
        assert of_google(message) is None
        assert of_details(message, "call_1") is None


@pytest.mark.parametrize(
    ("block", "thought"),
    [
        ({"type": "thinking", "thinking": "h", "signature": "s"}, Thought("h", Signature("anthropic", "s"))),
        ({"type": "thinking", "thinking": "", "signature": "s"}, Thought("", Signature("anthropic", "s"))),
        (
            {"type": "redacted_thinking", "data": "d"},
            Thought("", Signature("anthropic", "redacted_thinking:d")),
        ),
    ],
)
def test_blocks_of_claude(block: Json, thought: Thought) -> None:
    assert thought_of(block) == thought
    assert thinking_block(thought) == block
    assert of_anthropic({"thinking_blocks": [block, {"type": "thinking", "thinking": "unsigned"}]}) == [thought]


@pytest.mark.parametrize("block", [*ANYTHING, {"type": "thinking"}, {"type": "redacted_thinking", "data": 5}])
def test_what_is_no_thought(block: object) -> None:
    assert thought_of(block) is None
    assert of_anthropic({"thinking_blocks": [block]}) == of_anthropic({"thinking_blocks": block}) == []


@pytest.mark.parametrize(
    "part", [Thought("h"), Thought("h", Signature("google", "AAAA")), Text("a", Signature("anthropic", "s")), None]
)
def test_what_claude_has_not_signed(part: object) -> None:
    assert thinking_block(part) is None


@pytest.mark.parametrize("signature", [Signature("google", LONG), Signature("anthropic", "a:b")])
def test_sealed_and_back(signature: Signature) -> None:
    assert unsealed(sealed(signature)) == signature


@pytest.mark.parametrize("encrypted", ["", "gAAAAABo", "google:", "anthropic:", "google:***", "openai:AAAA", ":AAAA"])
def test_what_was_not_sealed_here(encrypted: str) -> None:
    assert unsealed(encrypted) is None


def test_the_bypass_is_what_google_can_decode() -> None:
    assert MISSING == "skip_thought_signature_validator"
    assert base64.urlsafe_b64decode(MISSING)
