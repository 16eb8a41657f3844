"""Converts JSON Schema for services that take subsets of it, and Google's own Schema to JSON Schema.

Gemini: `parametersJsonSchema` and `responseJsonSchema` take JSON Schema with `$defs`, `$ref` and
`additionalProperties`. They do not know `const`, `allOf` and draft 7's `definitions`, and beside a `$ref` they allow
only names that begin with `$` (Google's reference of GenerationConfig). Such schemas are rewritten, their meaning kept.

Claude and OpenAI: the arguments of a function may use all of JSON Schema, but the root must be an object without
branches. Their errors say: "input_schema does not support oneOf, allOf, or anyOf at the top level", and "schema must
have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level".
"""

import json
from typing import Any
from typing import NamedTuple
from urllib.parse import unquote

from addons.translation.conversation import Json
from addons.translation.conversation import Notes
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


class ObjectSchema(NamedTuple):
    """A schema whose root is an object without branches."""

    schema: Json
    merged: list[str]
    """The keywords of the root whose schemas were merged into it, such as `anyOf`."""
    lost: list[str]
    """The keywords of the root that had to be left out."""

    def note(self, function: str, notes: Notes) -> None:
        """Names in the notes what was merged and left out; `function` is the name of the schema's function."""
        path = f"tools.{function}.parameters"
        notes.dropped += [f"{path}.{name}" for name in self.lost]
        notes.assumed += [f"{path}.{name}=merged" for name in self.merged]


def as_object(schema: Json | None) -> ObjectSchema:
    """The schema of a function's arguments for Claude and OpenAI. Branches at its root are merged: it has the
    properties of all of them. What it requires is what all branches of an `anyOf` or `oneOf` require, and what any of
    an `allOf` does. So it takes what the client's schema takes, and more."""
    root = schema or {}
    asked = [name for name in _BRANCHES if name in root]
    if not asked:
        return ObjectSchema(root | {"type": "object"}, [], [])
    flat = _Flattening(root).flat(root) or {}
    lost = [name for name in asked if name == "$ref" and not isinstance(_definition(root, root[name]), dict)]
    # References point to places below the root.
    kept = {name: root[name] for name in ("$defs", "definitions") if name in root}
    merged = [name for name in asked if name not in lost]
    schema = {**_without(flat, "$defs", "definitions"), "type": "object"} | kept
    return ObjectSchema(_with_branches(schema, root), merged, lost)


def _with_branches(schema: Json, root: Json) -> Json:
    """The merged schema of a root. If it has references into the root's branches (`#/anyOf/0/properties/x`), which are
    gone, these are kept as definitions."""
    for name in ("anyOf", "oneOf", "allOf"):
        place = f"#/{name}/"
        if name in root and _refers(schema, place):
            definitions = {f"root_{name}": {name: root[name]}}
            known = schema.get("$defs")
            schema["$defs"] = definitions if not isinstance(known, dict) else known | definitions
            schema = _moved(schema, f"#/$defs/root_{name}", place)
    return schema


def _refers(schema: object, place: str) -> bool:
    """Whether a schema has a reference to a place below `place`."""
    if isinstance(schema, list):
        return any(_refers(item, place) for item in schema)
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    return (isinstance(reference, str) and reference.startswith(place)) or _refers([*schema.values()], place)


class _Flattening:
    """Merges the branches of schemas into one object schema. `root` is what their references point into."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._targets: dict[str, Json | None] = {}
        """Reference -> the merged schema that it points to; None while that is being merged."""

    def flat(self, schema: object) -> Json | None:
        """A schema without branches at its root; None if it takes no objects."""
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            return None
        kind = schema.get("type", "object")
        if "object" not in (kind if isinstance(kind, list) else [kind]):
            return None
        all_of = [_without(schema, *_BRANCHES), self._target(schema.get("$ref"))]
        all_of += map(self.flat, items(schema.get("allOf")))
        for name in ("anyOf", "oneOf"):
            branches = [one for one in map(self.flat, items(schema.get(name))) if one is not None]
            all_of += [_either(branches)] if branches else []
        return _all([one for one in all_of if one is not None])

    def _target(self, reference: object) -> Json | None:
        """The merged schema that a reference points to; None if there is none, or if it is a part of itself."""
        if not isinstance(reference, str):
            return None
        if reference not in self._targets:
            self._targets[reference] = None
            self._targets[reference] = self.flat(_definition(self._root, reference))
        return self._targets[reference]


def _without(schema: Json, *names: str) -> Json:
    return {name: value for name, value in schema.items() if name not in names}


def _all(schemas: list[Json]) -> Json:
    """An object schema for what all of these take. If several have the same keyword, the first one's counts."""
    out: Json = {}
    for one in schemas:
        out |= _without(one, *out)
    required = [name for one in schemas for name in items(one.get("required"))]
    return out | _members_of(schemas) | ({"required": _unique(required)} if required else {})


def _either(schemas: list[Json]) -> Json:
    """An object schema for what any of these takes."""
    first, *others = (items(one.get("required")) for one in schemas)
    required = [name for name in first if all(name in other for other in others)]
    closed = all(one.get("additionalProperties") is False for one in schemas)
    out: Json = {"additionalProperties": False} if closed else {}
    return out | _members_of(schemas) | ({"required": required} if required else {})


def _members_of(schemas: list[Json]) -> Json:
    """The member `properties`, with those of all these schemas. A property with several schemas gets an `anyOf`."""
    found: dict[str, list[object]] = {}
    for one in schemas:
        properties = one.get("properties")
        for name, schema in properties.items() if isinstance(properties, dict) else ():
            found.setdefault(name, []).append(schema)
    merged = {name: _any_of(_unique(several)) for name, several in found.items()}
    return {"properties": merged} if merged else {}


def _any_of(schemas: list[object]) -> object:
    """A schema for what any of these takes. Those that are an `anyOf` themselves are not nested."""
    if len(schemas) == 1:
        return schemas[0]
    return {"anyOf": _unique([one for schema in schemas for one in _choices(schema)])}


def _choices(schema: object) -> list[object]:
    is_any_of = isinstance(schema, dict) and schema.keys() == {"anyOf"}
    return items(_member_of(schema, "anyOf")) if is_any_of else [schema]


def _unique(values: list[object]) -> list[object]:
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())


def inside(schema: Json, name: str) -> Json:
    """The schema of an object with one required member, `name`, whose value matches `schema`."""
    return {"type": "object", "properties": {name: _moved(schema, f"#/properties/{name}")}, "required": [name]}


def _definition(root: Json, reference: object) -> object:
    """What a reference such as `#/$defs/name/properties/x` points to, by the way of RFC 6901; None if there is
    nothing."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: object = root
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isdecimal() and int(name) < len(found) else None
        else:
            found = _member_of(found, name)
    return found


def _member_of(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _moved(schema: object, place: str, within: str = "#") -> Any:
    """A schema of which all that is `within` a place is moved to `place`, such as `#/properties/value`, `#` being the
    root: its references are adapted."""
    if isinstance(schema, list):
        return [_moved(item, place, within) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: place + value.removeprefix("#")
        if name == "$ref" and isinstance(value, str) and value.startswith(within)
        else _moved(value, place, within)
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
