from typing import Any

import pytest
from hypothesis import given

from metering.usage.errors import ErrorReader
from metering.usage.errors import rpc_code
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import pruned
from tests.metering.usage.told import told


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": 429, "message": "secret", "status": "RESOURCE_EXHAUSTED"}}, "RESOURCE_EXHAUSTED"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}, "overloaded_error"),
        ({"error": {"type": "invalid_request_error", "code": "model_not_found"}}, "invalid_request_error"),
        ({"error": {"type": None, "code": "model_not_found"}}, "model_not_found"),
        ({"object": "error", "type": "invalid_request", "message": "secret"}, "invalid_request"),
        ({"error": {"status": "a text that quotes the prompt"}}, None),
        ({"error": {"code": 503, "message": "secret"}}, "UNAVAILABLE"),
        ({"error": {"code": 299}}, None),
        ({"error": "secret"}, None),
        ({"detail": "secret"}, None),
    ],
)
def test_codes(body: dict[str, Any], code: str | None) -> None:
    assert told(ErrorReader(), body).get("error_type") == code
    # As streamGenerateContent sends it: in an array.
    assert told(ErrorReader(), *pruned(ErrorReader(), body)).get("error_type") == code


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "OK"), ("8", "RESOURCE_EXHAUSTED"), (16, "UNAUTHENTICATED"), (17, "UNKNOWN"), (None, "UNKNOWN")],
)
def test_rpc_code(number: object, name: str) -> None:
    assert rpc_code(number) == name


@given(value=json_values)
def test_any_shape(value: object) -> None:
    told(
        ErrorReader(),
        value,
        {"error": value},
        {"error": {"status": value, "type": value, "code": value}},
        *ANYTHING,
    )
