"""Google's published discovery documents of aiplatform, as a judge of requests.

The documents come with google-api-python-client. Names may be spelled in camelCase or snake_case, as proto3 JSON
allows; what is not in the schema is refused with the error that Google sends.
"""

import base64
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient


class SchemaError(Exception):
    """A request that Google refuses with 400; the message is Google's."""


class UnknownMethod(Exception):
    """No method of the API has this path."""


@cache
def _document(version: str) -> dict[str, Any]:
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    document: dict[str, Any] = json.loads((folder / f"aiplatform.{version}.json").read_text())
    return document


@cache
def _methods(version: str) -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    found = []

    def walk(resource: dict[str, Any]) -> None:
        for method in resource.get("methods", {}).values():
            fixed = re.split(r"\{\w+\}", method.get("flatPath", method["path"]))
            pattern = re.compile("/" + "[^/:]+".join(map(re.escape, fixed)))
            found.append((method["httpMethod"], pattern, method))
        for inner in resource.get("resources", {}).values():
            walk(inner)

    walk(_document(version))
    return found


def check_request(method: str, path: str, body: object) -> None:
    """Raises UnknownMethod or SchemaError."""
    # In express mode publisher models take the same actions as behind a project, whatever the document lists.
    path = re.sub(r"^(/v\w+)(/publishers/.*:)", r"\1/projects/p/locations/l\2", path)
    version = path.split("/")[1]
    if version not in ("v1", "v1beta1"):
        raise UnknownMethod(path)
    described = next(
        (m for http_method, pattern, m in _methods(version) if http_method == method and pattern.fullmatch(path)),
        None,
    )
    if described is None:
        raise UnknownMethod(path)
    if "request" in described and body is not None:
        reference = described["request"]["$ref"]
        # What goes to a publisher's own format is any body, in spite of the schema.
        if not reference.endswith(("HttpBody", "RawPredictRequest")):
            _check(_document(version)["schemas"], {"$ref": reference}, body, "")


def _check(schemas: dict[str, Any], schema: dict[str, Any], value: object, where: str) -> None:
    if reference := schema.get("$ref"):
        schema = schemas[reference]
    kind = schema.get("type", "any")
    if kind == "any" or value is None:
        return
    CHECKS[kind](schemas, schema, value, where)


def _check_object(schemas: dict[str, Any], schema: dict[str, Any], value: object, where: str) -> None:
    if not isinstance(value, dict):
        raise SchemaError(f"Invalid value at '{where}': Proto field is not repeating, cannot start list.")
    properties = schema.get("properties", {})
    for name, member in value.items():
        described = properties.get(name) or properties.get(_camel(name)) or schema.get("additionalProperties")
        if described is None:
            at = f" at '{where}'" if where else ""
            raise SchemaError(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
        _check(schemas, described, member, f"{where}.{name}".lstrip("."))


def _check_array(schemas: dict[str, Any], schema: dict[str, Any], value: object, where: str) -> None:
    # proto3 JSON takes a single value for a repeated field.
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        _check(schemas, schema["items"], item, f"{where}[{index}]")


def _check_string(schemas: dict[str, Any], schema: dict[str, Any], value: object, where: str) -> None:
    form = schema.get("format")
    fits = isinstance(value, str)
    if form in ("int64", "uint64"):
        fits = isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdecimal())
    elif form == "byte" and isinstance(value, str):
        fits = _is_base64(value)
    elif form == "google-duration" and isinstance(value, str):
        fits = re.fullmatch(r"-?\d+(\.\d{1,9})?s", value) is not None
    if "enum" in schema and value not in schema["enum"]:
        # Types of schemas may be in lower case: Google's own examples for REST write `"type": "object"`.
        fits = isinstance(value, str) and "OBJECT" in schema["enum"] and value.upper() in schema["enum"]
    if not fits:
        raise SchemaError(f"Invalid value at '{where}' ({_type_name(schema)}), {json.dumps(value)[:80]}")


def _check_number(schemas: dict[str, Any], schema: dict[str, Any], value: object, where: str) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if schema["type"] == "integer" and isinstance(value, float):
        fits = value.is_integer()
    if isinstance(value, str):
        fits = re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
    if not fits:
        raise SchemaError(f"Invalid value at '{where}' ({_type_name(schema)}), {json.dumps(value)[:80]}")


def _check_boolean(schemas: dict[str, Any], schema: dict[str, Any], value: object, where: str) -> None:
    if not isinstance(value, bool):
        raise SchemaError(f"Invalid value at '{where}' (TYPE_BOOL), {json.dumps(value)[:80]}")


CHECKS = {
    "object": _check_object,
    "array": _check_array,
    "string": _check_string,
    "integer": _check_number,
    "number": _check_number,
    "boolean": _check_boolean,
}


def _type_name(schema: dict[str, Any]) -> str:
    return "TYPE_" + str(schema.get("format", schema["type"])).upper().replace("-", "_")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return True
