import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.json_schema import as_object
from addons.translation.json_schema import for_gemini
from addons.translation.json_schema import from_openapi
from addons.translation.json_schema import inside
from addons.translation.json_schema import is_empty
from addons.translation.json_schema import is_object
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


OBJECT = {"type": "object", "properties": {"a": {"anyOf": [True]}}}


A: Json = {"type": "string"}
B: Json = {"type": "integer"}


def having(*required: str, **properties: Any) -> Json:
    """The schema of an object."""
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


@pytest.mark.parametrize(
    ("schema", "expected", "merged", "lost"),
    [
        (None, {"type": "object"}, [], []),
        ({}, {"type": "object"}, [], []),
        (OBJECT, OBJECT, [], []),
        ({"type": ["object", "null"]}, {"type": "object"}, [], []),
        ({**OBJECT, "anyOf": [True], "allOf": []}, OBJECT, ["anyOf", "allOf"], []),
        # The branches' properties; required is what all branches require.
        ({"anyOf": [having("a", a=A), having("a", "b", a=A, b=B)]}, having("a", a=A, b=B), ["anyOf"], []),
        ({"oneOf": [having("a", a=A), having("b", b=B)]}, having(a=A, b=B), ["oneOf"], []),
        ({"oneOf": [having("a", a=A), {}]}, having(a=A), ["oneOf"], []),
        # What all must hold requires what any requires.
        ({"allOf": [having("a", a=A), having("b", b=B)]}, having("a", "b", a=A, b=B), ["allOf"], []),
        # Properties beside branches that only require some.
        (
            {**having("c", a=A, b=B, c=A), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            having("c", a=A, b=B, c=A),
            ["anyOf"],
            [],
        ),
        ({**having(a=A, b=B), "allOf": [{"required": ["a"]}]}, having("a", a=A, b=B), ["allOf"], []),
        # A property with several schemas.
        (
            {"anyOf": [having("kind", kind={"const": "x"}), having("kind", kind={"const": "y"})]},
            having("kind", kind={"anyOf": [{"const": "x"}, {"const": "y"}]}),
            ["anyOf"],
            [],
        ),
        (
            {"oneOf": [having(a=A), {"anyOf": [having(a=B), having(a=True)]}, having(a=A)]},
            having(a={"anyOf": [A, B, True]}),
            ["oneOf"],
            [],
        ),
        # Branches in branches; those that take no objects do not count.
        (
            {"anyOf": [{"allOf": [having("a", a=A), having("b", b=B)]}, {"type": "null"}, {"type": "string"}, False]},
            having("a", "b", a=A, b=B),
            ["anyOf"],
            [],
        ),
        # What nothing may be beside, if no branch allows it.
        (
            {"anyOf": [{**having(a=A), "additionalProperties": False}, {**having(b=B), "additionalProperties": False}]},
            {**having(a=A, b=B), "additionalProperties": False},
            ["anyOf"],
            [],
        ),
        (
            {"anyOf": [{**having(a=A), "additionalProperties": False}, having(b=B)]},
            having(a=A, b=B),
            ["anyOf"],
            [],
        ),
        (
            {**having(a=A), "description": "d", "anyOf": [{"description": "e"}]},
            {**having(a=A), "description": "d"},
            ["anyOf"],
            [],
        ),
        # References, at any depth.
        ({**REF, "$defs": {"a": OBJECT}}, {**OBJECT, "$defs": {"a": OBJECT}}, ["$ref"], []),
        (
            {"$ref": "#/definitions/a", "definitions": {"a": OBJECT}},
            {**OBJECT, "definitions": {"a": OBJECT}},
            ["$ref"],
            [],
        ),
        (
            {
                **REF,
                "$defs": {
                    "a": {"$ref": "#/$defs/b"},
                    "b": {"$ref": "#/$defs/c%7E1d/properties/e"},
                    "c/d": having(e=having("a", a=A)),
                },
            },
            {
                **having("a", a=A),
                "$defs": {
                    "a": {"$ref": "#/$defs/b"},
                    "b": {"$ref": "#/$defs/c%7E1d/properties/e"},
                    "c/d": having(e=having("a", a=A)),
                },
            },
            ["$ref"],
            [],
        ),
        (
            {
                "anyOf": [REF, {"$ref": "#/$defs/b"}],
                "$defs": {"a": having("a", a=A), "b": {"oneOf": [REF, having("a", a=B)]}},
            },
            {
                **having("a", a={"anyOf": [A, B]}),
                "$defs": {"a": having("a", a=A), "b": {"oneOf": [REF, having("a", a=B)]}},
            },
            ["anyOf"],
            [],
        ),
        (
            {"$ref": "#/$defs/a/1", "$defs": {"a": [5, having(a=A)]}},
            {**having(a=A), "$defs": {"a": [5, having(a=A)]}},
            ["$ref"],
            [],
        ),
        # References that lead nowhere, or in a circle.
        ({**REF, "$defs": {"a": REF}}, {"type": "object", "$defs": {"a": REF}}, ["$ref"], []),
        ({"$ref": "#"}, {"type": "object"}, ["$ref"], []),
        ({"$ref": "#/$defs/b"}, {"type": "object"}, [], ["$ref"]),
        ({"$ref": "https://h/x", **having(a=A)}, having(a=A), [], ["$ref"]),
        ({**REF, "$defs": 5}, {"type": "object", "$defs": 5}, [], ["$ref"]),
    ],
)
def test_what_claude_is_called_with(schema: Json | None, expected: Json, merged: list[str], lost: list[str]) -> None:
    before = copy.deepcopy(schema)
    assert as_object(schema) == (expected, merged, lost)
    assert schema == before


def test_references_into_branches_point_to_something() -> None:
    """Zod writes a schema that occurs twice like this."""
    schema: Json = {
        "oneOf": [having(a=A), having(b={"$ref": "#/oneOf/0/properties/a"}, c={"$ref": "#/$defs/d"})],
        "$defs": {"d": {"items": {"$ref": "#/oneOf/1"}}},
    }
    before = copy.deepcopy(schema)
    merged: Any = as_object(schema).schema
    assert schema == before
    assert merged["properties"] == {
        "a": A,
        "b": {"$ref": "#/$defs/root_oneOf/oneOf/0/properties/a"},
        "c": {"$ref": "#/$defs/d"},
    }
    assert merged["$defs"]["d"] == {"items": {"$ref": "#/$defs/root_oneOf/oneOf/1"}}
    first, second = merged["$defs"]["root_oneOf"]["oneOf"]
    assert first == having(a=A)
    assert second["properties"]["b"] == merged["properties"]["b"]


def test_many_references_are_merged_once() -> None:
    levels = {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(60)}
    schema: Json = {"$ref": "#/$defs/0", "$defs": {**levels, "60": having("a", a=A)}}
    assert as_object(schema).schema["required"] == ["a"]


branches = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from([A, B, True]), max_size=3).flatmap(
        lambda properties: st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(
            lambda required: having(*required, **properties)
        )
    ),
    lambda inner: st.builds(
        lambda keyword, several: {keyword: several},
        st.sampled_from(["anyOf", "oneOf", "allOf"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


def takes(schema: Any, names: set[str]) -> bool:
    """Whether an object with these members, each with a fitting value, is taken: what is required, and which of several
    branches."""
    if not set(schema.get("required", [])) <= names:
        return False
    several = [[takes(one, names) for one in schema.get(keyword, [])] for keyword in ("anyOf", "oneOf")]
    return all(any(one) for one in several if one) and all(takes(one, names) for one in schema.get("allOf", []))


def declared(schema: Any) -> set[str]:
    inner = [one for keyword in ("anyOf", "oneOf", "allOf") for one in schema.get(keyword, [])]
    return set(schema.get("properties", {})).union(*map(declared, inner))


@given(branches, st.sets(st.sampled_from("abc")))
def test_what_is_merged_takes_all_that_the_branches_take(schema: Any, names: set[str]) -> None:
    merged = as_object(schema).schema
    assert is_object(merged)
    assert declared(merged) == declared(schema)
    assert takes(merged, names) or not takes(schema, names)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [(OBJECT, True), ({**OBJECT, **REF}, False), ({**OBJECT, "oneOf": []}, False), ({}, False), ({"type": []}, False)],
)
def test_what_can_be_a_root(schema: Json, expected: bool) -> None:
    assert is_object(schema) == expected


def test_references_follow_a_schema_to_its_new_place() -> None:
    schema: Json = {"anyOf": [REF, {"$ref": "#"}, {"$ref": "https://h/x"}], "$defs": {"a": {"const": "#"}}}
    assert inside(schema, "v") == {
        "type": "object",
        "properties": {
            "v": {
                "anyOf": [
                    {"$ref": "#/properties/v/$defs/a"},
                    {"$ref": "#/properties/v"},
                    {"$ref": "https://h/x"},
                ],
                "$defs": {"a": {"const": "#"}},
            }
        },
        "required": ["v"],
    }


@given(schemas)
def test_any_root(schema: Any) -> None:
    if isinstance(schema, dict):
        assert is_object(as_object(schema).schema)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "TYPE_UNSPECIFIED"}, {}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        ({"type": "STRING", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        (
            {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
        ),
        # int64 is text in Google's JSON.
        (
            {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "1", "maxItems": 2},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        ),
        # Names of properties are the user's.
        (
            {
                "type": "OBJECT",
                "properties": {"min_items": {"type": "BOOLEAN"}, "type": {"type": "STRING"}},
                "required": ["min_items"],
                "propertyOrdering": ["min_items"],
                "example": {"type": "X"},
            },
            {
                "type": "object",
                "properties": {"min_items": {"type": "boolean"}, "type": {"type": "string"}},
                "required": ["min_items"],
            },
        ),
        (
            {"defs": {"a": {"type": "STRING"}}, "ref": "#/$defs/a", "additional_properties": {"type": "STRING"}},
            {"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a", "additionalProperties": {"type": "string"}},
        ),
        # JSON Schema, which some write there.
        ({"type": "string", "description": "d"}, {"type": "string", "description": "d"}),
    ],
)
def test_googles_own_schemas(schema: Json, expected: Json) -> None:
    before = copy.deepcopy(schema)
    assert from_openapi(schema) == expected
    assert schema == before


@given(st.dictionaries(st.sampled_from("type nullable anyOf any_of items properties enum ref".split()), json_values))
def test_any_schema_of_googles(schema: Json) -> None:
    assert "nullable" not in from_openapi(schema)
