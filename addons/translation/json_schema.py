"""JSON Schema, as clients write it, in what Gemini reads of it.

`parametersJsonSchema` and `responseJsonSchema` take JSON Schema with $defs, $ref and additionalProperties. What
is written differently here means the same: beside a `$ref` nothing but `$` names may stand, and `const`, `allOf` and
draft 7's `definitions` are no keywords (Google's reference of GenerationConfig).
"""

from addons.translation.conversation import Json

_SCHEMAS = frozenset("items additionalProperties not if then else contains propertyNames unevaluatedItems".split())
"""Keywords whose value is a schema, ..."""
_LISTS = frozenset("anyOf oneOf allOf prefixItems".split())
"""... a list of schemas, ..."""
_MAPS = frozenset("properties $defs definitions patternProperties dependentSchemas".split())
"""... schemas by name."""


def for_gemini(schema: object) -> object:
    """The same schema; what is no schema comes back as it is."""
    if not isinstance(schema, dict):
        return schema
    out: Json = {name: _inside(name, value) for name, value in schema.items()}
    if isinstance(definitions := out.pop("definitions", None), dict):
        newer = out.get("$defs")
        out["$defs"] = definitions | (newer if isinstance(newer, dict) else {})
    if isinstance(reference := out.get("$ref"), str):
        out["$ref"] = reference.replace("#/definitions/", "#/$defs/")
    if len(_list(out.get("allOf"))) == 1 and "anyOf" not in out:
        out["anyOf"] = out.pop("allOf")
    if "const" in out and "enum" not in out:
        out["enum"] = [out.pop("const")]
    if "$ref" in out and any(not name.startswith("$") for name in out):
        reference = {name: out.pop(name) for name in list(out) if name.startswith("$") and name != "$defs"}
        # Both must hold. Of several branches the reference stands for all: there is no `allOf`.
        out.pop("anyOf", None)
        out["anyOf"] = [reference]
    return out


_OF_NOTHING = frozenset("type properties required additionalProperties $schema title description".split())


def is_empty(schema: Json | None) -> bool:
    """Whether it describes the arguments of a function without any."""
    if not schema:
        return True
    return schema.keys() <= _OF_NOTHING and not schema.get("properties") and not schema.get("additionalProperties")


def _inside(name: str, value: object) -> object:
    if name in _SCHEMAS:
        return for_gemini(value)
    if name in _LISTS:
        return [for_gemini(item) for item in _list(value)]
    if name in _MAPS and isinstance(value, dict):
        return {key: for_gemini(item) for key, item in value.items()}
    return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
