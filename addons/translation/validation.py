"""Validation of request bodies with pydantic models. Errors name paths in the client's body: `messages[0].content`."""

import re
from collections.abc import Callable
from collections.abc import Iterator
from math import isfinite
from typing import Annotated
from typing import Any
from typing import ClassVar
from typing import TypeVar

from pydantic import AliasChoices
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError
from pydantic import alias_generators
from pydantic import model_validator
from pydantic_core import from_json

from addons.translation.conversation import Json
from addons.translation.errors import InvalidRequest
from metering.json_values import member
from metering.json_values import snake


class Model(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    quiet: ClassVar[frozenset[str]] = frozenset()
    """Names of undeclared members that ask for nothing, such as the `id` of an item, or that are read elsewhere."""
    read_whole: ClassVar[bool] = False
    """Whether all undeclared members are read elsewhere, or dropped with the whole object."""


NOTHING: tuple[object, ...] = (None, False, [], {})
"""Values of members that ask for nothing."""


def models_in(value: object, path: str = "") -> Iterator[tuple[str, BaseModel]]:
    """All models in a validated body, itself first, each with its path in the body: `messages[0].content[1]`."""
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from models_in(inner, f"{path}[{number}]")
    elif isinstance(value, BaseModel):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from models_in(getattr(value, name), f"{path}.{field.alias or name}" if path else name)


def undeclared(body: Model) -> Iterator[str]:
    """Paths of members within a validated body that no model declares and that ask for something. Those of the body
    itself are not among them."""
    for path, model in models_in(body):
        if path and isinstance(model, Model) and not model.read_whole:
            extra = model.model_extra or {}
            yield from (f"{path}.{name}" for name in extra if name not in model.quiet and extra[name] not in NOTHING)


def camel_or_snake(name: str) -> AliasChoices:
    return AliasChoices(alias_generators.to_camel(name), name)


class GoogleModel(BaseModel):
    """An object of Google's API, with members in camelCase or snake_case. Unknown members are refused, as Google does
    it."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        alias_generator=alias_generators.to_camel,
    )

    @model_validator(mode="before")
    @classmethod
    def _camel_case(cls, value: object) -> object:
        """Renames members in snake_case to camelCase. If a member is given in both spellings, camelCase wins."""
        if not isinstance(value, dict):
            return value
        known = {field.alias for field in cls.model_fields.values()}
        snake = {name: alias for name in value if (alias := alias_generators.to_camel(str(name))) in known - {name}}
        return {snake[name]: value[name] for name in snake} | {
            name: member for name, member in value.items() if name not in snake
        }


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def member_of_text(name: str) -> Callable[[object], object]:
    """A validator that accepts a string in place of an object: with the name `url`, "x" becomes {"url": "x"}."""
    return lambda value: {name: value} if isinstance(value, str) else value


_SEAM = re.compile(r"_([a-z0-9])")


def camel(name: str) -> str:
    return _SEAM.sub(lambda match: match[1].upper(), name)


DEEPEST = 90
"""The most levels of a nested JSON value. Google's parser stops at 100, for the whole request."""
NO_VALUE = f"this JSON has a number that is too large for a float, or more than {DEEPEST} nested levels"


def is_finite(value: object, levels: int = DEEPEST) -> bool:
    """Whether a JSON value can be sent on: at most `levels` deep, and without infinity, as which a number is read that
    is too large for a float. JSON cannot express infinity."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(is_finite(one, levels - 1) for one in inner)
    return not isinstance(value, float) or isfinite(value)


Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Count = Annotated[int, Field(ge=1, lt=2**31)]


def json_object(raw: bytes) -> Json:
    """A body, parsed. Raises InvalidRequest if it is no JSON object."""
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as e:
        raise InvalidRequest(f"the body is not JSON: {e}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("the body is not a JSON object")
    return body


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], body: object) -> M:
    """The body as an instance of `model`. Raises InvalidRequest, with the path of the wrong value."""
    try:
        return model.model_validate(body)
    except ValidationError as e:
        # Each branch of a union gives an error; the deepest one is of the branch that the client meant.
        error = max(e.errors(include_url=False, include_context=False, include_input=False), key=_depth)
        path = _path(error["loc"], body, is_missing=error["type"] == "missing")
        message = error["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{path}: {message[:1].lower()}{message[1:]}" if path else message, path) from None


def _depth(error: Any) -> int:
    return len(error["loc"])


def _path(loc: tuple[int | str, ...], body: object, *, is_missing: bool) -> str:
    """Pydantic's location of an error as a path, `messages[0].content`, without pydantic's names of union branches.
    `is_missing` is whether the last step is a member that the body lacks."""
    path, value = "", body
    for place, step in enumerate(loc):
        if isinstance(step, int):
            path += f"[{step}]"
            value = value[step] if isinstance(value, list) and step < len(value) else None
        elif isinstance(value, dict) and step == value.get("type") and _is_branch(value, step, loc[place + 1 :]):
            # In {"type": "text", "text": 5} the location is ("text", "text"): first the branch, then the member.
            continue
        elif isinstance(value, dict) and (
            step in value or snake(step) in value or (is_missing and place == len(loc) - 1)
        ):
            path += f".{step}" if path else step
            value = member(value, step)
    return path


def _is_branch(value: Json, step: str, rest: tuple[int | str, ...]) -> bool:
    """Whether a step that is named like the `type` of an object is a union branch, not the member of that name: the
    next step is a member of the object, or the member has none."""
    return bool(rest) and (rest[0] in value or not isinstance(value.get(step), dict | list))
