from typing import Any

import pytest
from hypothesis import given

from metering.usage.errors import ErrorReader
from metering.usage.errors import http_code
from metering.usage.errors import rpc_code
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": 429, "message": "secret", "status": "RESOURCE_EXHAUSTED"}}, "RESOURCE_EXHAUSTED"),
        ({"error": {"code": 400, "status": "FAILED_PRECONDITION"}}, "FAILED_PRECONDITION"),
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


def test_rpc_code() -> None:
    # google/rpc/code.proto
    names = {
        0: "OK",
        1: "CANCELLED",
        2: "UNKNOWN",
        3: "INVALID_ARGUMENT",
        4: "DEADLINE_EXCEEDED",
        5: "NOT_FOUND",
        6: "ALREADY_EXISTS",
        7: "PERMISSION_DENIED",
        "8": "RESOURCE_EXHAUSTED",
        9: "FAILED_PRECONDITION",
        10: "ABORTED",
        11: "OUT_OF_RANGE",
        12: "UNIMPLEMENTED",
        13: "INTERNAL",
        14: "UNAVAILABLE",
        15: "DATA_LOSS",
        16: "UNAUTHENTICATED",
        17: "UNKNOWN",
        None: "UNKNOWN",
    }
    assert {code: rpc_code(code) for code in names} == names


def test_http_code() -> None:
    # What google.rpc.Code says of each: "HTTP Mapping".
    names = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        409: "ABORTED",
        429: "RESOURCE_EXHAUSTED",
        499: "CANCELLED",
        500: "INTERNAL",
        501: "UNIMPLEMENTED",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
        418: None,
    }
    assert {code: http_code(code) for code in names} == names


@given(value=json_values)
def test_any_shape(value: object) -> None:
    read(
        ErrorReader(),
        value,
        {"error": value},
        {"error": {"status": value, "type": value, "code": value}},
        *ANYTHING,
    )
