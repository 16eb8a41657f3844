"""Converts JSON Schema for Gemini and Claude, which take subsets of it, and Google's own Schema to JSON Schema.

Gemini: `parametersJsonSchema` and `responseJsonSchema` take JSON Schema with `$defs`, `$ref` and
`additionalProperties`. They do not know `const`, `allOf` and draft 7's `definitions`, and beside a `$ref` they allow
only names that begin with `$` (Google's reference of GenerationConfig). Such schemas are rewritten, their meaning kept.

Claude: a tool's `input_schema` may use all of JSON Schema, but its root must be an object without branches
(Anthropic's reference of Messages: "input_schema does not support oneOf, allOf, or anyOf at the top level").
"""

import json
from typing import Any

from addons.translation.conversation import Json
from addons.translation.validation import camel
from metering.json_values import items

_SCHEMAS = frozenset("items additionalProperties not if then else contains propertyNames unevaluatedItems".split())
"""Keywords whose value is a schema."""
_LISTS = frozenset("anyOf oneOf allOf prefixItems".split())
"""Keywords whose value is a list of schemas."""
_MAPS = frozenset("properties $defs definitions patternProperties dependentSchemas".split())
"""Keywords whose value is an object of schemas: name -> schema."""


def for_gemini(schema: object) -> object:
    """A JSON Schema that Gemini takes, with the same meaning. A value that is no object is returned as it is."""
    if not isinstance(schema, dict):
        return schema
    out: Json = {name: _inside(name, value) for name, value in schema.items()}
    if isinstance(definitions := out.pop("definitions", None), dict):
        newer = out.get("$defs")
        out["$defs"] = definitions | (newer if isinstance(newer, dict) else {})
    if isinstance(reference := out.get("$ref"), str):
        out["$ref"] = reference.replace("#/definitions/", "#/$defs/")
    if len(items(out.get("allOf"))) == 1 and "anyOf" not in out:
        out["anyOf"] = out.pop("allOf")
    if "const" in out and "enum" not in out:
        out["enum"] = [out.pop("const")]
    if "$ref" in out and any(not name.startswith("$") for name in out):
        reference = {name: out.pop(name) for name in list(out) if name.startswith("$") and name != "$defs"}
        # Both the reference and an `anyOf` beside it must hold. Without `allOf` only one can be kept: the reference.
        out.pop("anyOf", None)
        out["anyOf"] = [reference]
    return out


_COUNTS = frozenset("minItems maxItems minLength maxLength minProperties maxProperties".split())
"""Members of Google's Schema that are int64. proto3 JSON may write them as strings: `"5"`."""
_RENAMED = {"ref": "$ref", "defs": "$defs"}


def from_openapi(schema: Json) -> Json:
    """Google's Schema as JSON Schema. Google's is that of OpenAPI 3.0, with types in upper case and `nullable`:
    `{"type": "STRING", "nullable": true}` becomes `{"type": ["string", "null"]}`."""
    out: Json = {}
    for name, value in schema.items():
        name = _RENAMED.get(name, camel(name))
        if name in ("items", "additionalProperties") and isinstance(value, dict):
            out[name] = from_openapi(value)
        elif name == "anyOf":
            out[name] = [from_openapi(item) if isinstance(item, dict) else item for item in items(value)]
        elif name in ("properties", "$defs") and isinstance(value, dict):
            out[name] = {key: from_openapi(item) if isinstance(item, dict) else item for key, item in value.items()}
        elif name == "type":
            if isinstance(value, str) and value != "TYPE_UNSPECIFIED":
                out[name] = value.lower()
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            out[name] = int(value)
        elif name not in ("nullable", "propertyOrdering", "example") and value is not None:
            out[name] = value
    return _nullable(out) if schema.get("nullable") is True else out


def _nullable(schema: Json) -> Json:
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*items(schema["enum"]), None]
    if "type" in schema:
        return schema | {"type": [schema["type"], "null"]}
    if "anyOf" in schema:
        return schema | {"anyOf": [*items(schema["anyOf"]), {"type": "null"}]}
    return schema


_OF_NOTHING = frozenset("type properties required additionalProperties $schema title description".split())


def is_empty(schema: Json | None) -> bool:
    """Whether a schema of a function's arguments says that there are none."""
    if not schema:
        return True
    return schema.keys() <= _OF_NOTHING and not schema.get("properties") and not schema.get("additionalProperties")


_BRANCHES = ("anyOf", "oneOf", "allOf", "$ref")


def is_object(schema: Json) -> bool:
    """Whether a schema can be the root of a Claude tool's `input_schema`: an object without branches."""
    return schema.get("type") == "object" and not any(name in schema for name in _BRANCHES)


def for_claude(schema: Json | None) -> tuple[Json, list[str]]:
    """The `input_schema` of a Claude tool, and the names of the keywords that had to be left out of its root."""
    root = dict(schema or {})
    reference = root.get("$ref")
    if isinstance(reference, str) and isinstance(target := _definition(root, reference), dict):
        del root["$ref"]
        root = target | root
    lost = [name for name in _BRANCHES if root.pop(name, None) is not None]
    return root | {"type": "object"}, lost


def inside(schema: Json, name: str) -> Json:
    """The schema of an object with one required member, `name`, whose value matches `schema`."""
    return {"type": "object", "properties": {name: _moved(schema, f"#/properties/{name}")}, "required": [name]}


def _definition(root: Json, reference: str) -> object:
    """The schema that a reference such as `#/$defs/name` points to; None if there is none."""
    _, _, path = reference.partition("#/")
    place, _, name = path.partition("/")
    definitions = root.get(place) if place in ("$defs", "definitions") else None
    return definitions.get(name) if isinstance(definitions, dict) else None


def _moved(schema: object, place: str) -> Any:
    """A schema that is moved from the root to `place`, such as `#/properties/value`: its references are adapted."""
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: place + value.removeprefix("#")
        if name == "$ref" and isinstance(value, str) and value.startswith("#")
        else _moved(value, place)
        for name, value in schema.items()
    }


def _inside(name: str, value: object) -> object:
    if name in _SCHEMAS:
        return for_gemini(value)
    if name in _LISTS:
        return [for_gemini(item) for item in items(value)]
    if name in _MAPS and isinstance(value, dict):
        return {key: for_gemini(item) for key, item in value.items()}
    return value


def instruction(schema: Json | None) -> str:
    """An instruction to answer in JSON: with an object, or with a value of the schema."""
    form = "a JSON object" if schema is None else "JSON"
    asked = f"Answer with {form} and with nothing else: no words around it, no code fence."
    if schema is None:
        return asked
    return f"{asked} It must hold against this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
