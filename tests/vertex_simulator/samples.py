"""What models say in answers: words, and values that fit a JSON schema."""

from typing import Any

WORDS = ("Hello", "there,", "this", "is", "a", "simulated", "answer", "of", "many", "words.")
CITIES = ("Paris", "Oslo", "Rome", "Bern")
THOUGHT = "Let me think."


def sample(schema: dict[str, Any], number: int = 0) -> Any:
    """A value that `schema` allows; `number` makes several differ."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {name: sample(member, number) for name, member in schema.get("properties", {}).items()}
    simple = {"integer": 42, "number": 42, "boolean": True, "null": None}
    if kind == "array":
        return [sample(schema.get("items", {}), number)]
    return simple.get(kind, CITIES[number % len(CITIES)])
