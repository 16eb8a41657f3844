import copy
from typing import Any

import pytest
from hypothesis import given

from addons.translation.json_schema import for_gemini
from addons.translation.json_schema import is_empty
from tests.addons.translation.chats import schemas
from tests.metering.test_json_array import json_values

Json = dict[str, Any]
REF = {"$ref": "#/$defs/a"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": "x"}, {"enum": ["x"]}),
        ({"const": "x", "enum": ["x", "y"]}, {"const": "x", "enum": ["x", "y"]}),
        # Beside a reference only names with a dollar.
        (REF, REF),
        ({**REF, "$defs": {"a": {"const": 1}}}, {**REF, "$defs": {"a": {"enum": [1]}}}),
        ({**REF, "description": "d"}, {"description": "d", "anyOf": [REF]}),
        (
            {**REF, "title": "t", "$defs": {"a": {"type": "string"}}},
            {"title": "t", "$defs": {"a": {"type": "string"}}, "anyOf": [REF]},
        ),
        # At every depth, in every keyword that holds schemas.
        ({"items": {"const": 1}}, {"items": {"enum": [1]}}),
        ({"prefixItems": [{"const": 1}]}, {"prefixItems": [{"enum": [1]}]}),
        ({"oneOf": [{"const": 1}, True]}, {"oneOf": [{"enum": [1]}, True]}),
        ({"additionalProperties": {"const": 1}}, {"additionalProperties": {"enum": [1]}}),
        ({"properties": {"p": {"items": {"const": 1}}}}, {"properties": {"p": {"items": {"enum": [1]}}}}),
    ],
)
def test_what_is_written_differently(schema: Json, expected: Json) -> None:
    assert for_gemini(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"]},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "integer", "enum": [1, 2]}}},
        {"type": "string", "format": "email", "pattern": "^x", "minLength": 1},
        # Properties named like keywords, and values that look like schemas.
        {"type": "object", "properties": {"const": {"type": "string"}, "$ref": {"type": "string"}}},
        {"default": {"const": 1}},
        {"enum": [{"const": 1}]},
        {"examples": [{"$ref": "x", "a": 1}]},
        True,
        None,
        "schema",
    ],
)
def test_what_stays(schema: object) -> None:
    assert for_gemini(schema) == schema


def test_a_reference_is_not_widened_by_the_branches_beside_it() -> None:
    """What matches both the reference and a branch matches; a branch alone does not."""
    converted = for_gemini({**REF, "anyOf": [{"type": "string"}, {"type": "null"}]})
    assert isinstance(converted, dict)
    assert {"type": "string"} not in converted["anyOf"]


@given(schemas | json_values)
def test_any_schema(schema: object) -> None:
    before = copy.deepcopy(schema)
    converted = for_gemini(schema)
    assert schema == before
    assert for_gemini(converted) == converted


@given(schemas)
def test_references_stand_alone(schema: object) -> None:
    for node in nodes(for_gemini(schema)):
        assert "$ref" not in node or all(name.startswith("$") for name in node)


def nodes(schema: object) -> list[Json]:
    """The schemas in a schema that `schemas` makes."""
    if not isinstance(schema, dict):
        return []
    inner = [schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", [])]
    inner += [one for name in ("properties", "$defs") for one in schema.get(name, {}).values()]
    return [schema, *(node for one in inner for node in nodes(one))]


@pytest.mark.parametrize(
    ("schema", "empty"),
    [
        (None, True),
        ({}, True),
        ({"type": "object"}, True),
        ({"type": "object", "properties": {}}, True),
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False, "title": "t"}, True),
        ({"type": "object", "properties": {"a": {}}}, False),
        ({"type": "object", "additionalProperties": {"type": "string"}}, False),
        ({"type": "object", "additionalProperties": True}, False),
        (REF, False),
        ({"anyOf": [{"type": "object"}]}, False),
    ],
)
def test_functions_without_arguments(schema: Json | None, empty: bool) -> None:
    assert is_empty(schema) == empty
