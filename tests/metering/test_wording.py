from typing import Literal

import pytest
from pydantic import BaseModel
from pydantic import Field
from pydantic import ValidationError

from metering import wording


class Inner(BaseModel):
    name: str = Field("x", min_length=1)


class Described(BaseModel):
    inner: Inner
    names: dict[str, str] = {}
    models: tuple[str, ...] = ()
    size: float = 1.0
    color: Literal["red", "blue"] = "red"


def test_suggestion() -> None:
    assert wording.suggestion("modle", ["model", "since"]) == "; did you mean model?"
    assert wording.suggestion("x", ["model", "since"]) == "; choose from model, since"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "is missing"),
        ({"inner": {"name": 5}}, "write text"),
        ({"inner": {"name": ""}}, "write text, or leave it out"),
        ({"inner": {}, "names": []}, "write names and values, such as {name: value}"),
        ({"inner": "x"}, "write names and values, such as {name: value}"),
        ({"inner": {}, "models": "x"}, "write a list, such as [first, second]"),
        ({"inner": {}, "size": "1m"}, "write a number"),
        ({"inner": {}, "size": []}, "write a number"),
        ({"inner": {}, "color": "green"}, "write 'red' or 'blue'"),
    ],
)
def test_what_to_write_instead(value: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Described.model_validate(value)
    assert [wording.explain(error) for error in caught.value.errors()] == [message]
