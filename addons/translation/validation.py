"""What clients send, held against pydantic's models; what is wrong is told in the client's own words."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Annotated
from typing import Any
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


def camel_or_snake(name: str) -> AliasChoices:
    return AliasChoices(alias_generators.to_camel(name), name)


class GoogleModel(BaseModel):
    """Google's own objects, in camelCase or snake_case. What Google would refuse is refused."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        alias_generator=alias_generators.to_camel,
    )

    @model_validator(mode="before")
    @classmethod
    def _camel_case(cls, value: object) -> object:
        """camelCase wins where both are given."""
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
    """A text stands for the object with this member."""
    return lambda value: {name: value} if isinstance(value, str) else value


_SEAM = re.compile(r"_([a-z0-9])")


def camel(name: str) -> str:
    return _SEAM.sub(lambda match: match[1].upper(), name)


DEEPEST = 90
"""Levels of a JSON value; Google's parser stops at 100 for the whole request."""
NO_VALUE = f"a number in it is too large, or it is more than {DEEPEST} levels deep"


def is_finite(value: object, levels: int = DEEPEST) -> bool:
    """Whether a JSON value is not too deep, and no number in it too large for a float: JSON has no word for it."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(is_finite(one, levels - 1) for one in inner)
    return not isinstance(value, float) or isfinite(value)


Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Count = Annotated[int, Field(ge=1, lt=2**31)]


def json_object(raw: bytes) -> Json:
    """A body, parsed. Raises InvalidRequest."""
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as e:
        raise InvalidRequest(f"the body is not JSON: {e}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("the body is not a JSON object")
    return body


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], body: object) -> M:
    """Raises InvalidRequest, with the path of what is wrong in the client's own words."""
    try:
        return model.model_validate(body)
    except ValidationError as e:
        # Of the branches of a union the one that got furthest.
        error = max(e.errors(include_url=False, include_context=False, include_input=False), key=_depth)
        path = _path(error["loc"], body)
        message = error["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{path}: {message[:1].lower()}{message[1:]}" if path else message, path) from None


def _depth(error: Any) -> int:
    return len(error["loc"])


def _path(loc: tuple[int | str, ...], body: object) -> str:
    """`messages[0].content`: without the names that pydantic gives to branches of a union."""
    path, value = "", body
    for place, step in enumerate(loc):
        if isinstance(step, int):
            path += f"[{step}]"
            value = value[step] if isinstance(value, list) and step < len(value) else None
        elif isinstance(value, dict) and step == value.get("type") and value.keys() & loc[place + 1 : place + 2]:
            # {"type": "text", "text": ...}: the branch, as what is wrong is beside its name.
            continue
        elif isinstance(value, dict) and (step in value or snake(step) in value or place == len(loc) - 1):
            path += f".{step}" if path else step
            value = member(value, step)
    return path
