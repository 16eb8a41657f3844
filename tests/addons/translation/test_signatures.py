import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.signatures import MISSING
from addons.translation.signatures import of_details
from addons.translation.signatures import of_google
from addons.translation.signatures import split_id
from addons.translation.signatures import with_signature
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


def test_the_bypass_is_what_google_can_decode() -> None:
    assert MISSING == "skip_thought_signature_validator"
    assert base64.urlsafe_b64decode(MISSING)
