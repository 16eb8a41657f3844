import pytest
from pydantic import Field
from pydantic import ValidationError

from addons.configuration.section import Section


class Described(Section):
    key: str = Field(default="", alias="key_env")
    models: tuple[str, ...] = ()


def test_names_are_those_of_the_file() -> None:
    assert Described.names() == ["key_env", "models"]


def test_what_is_not_named_is_refused_and_not_quoted() -> None:
    with pytest.raises(ValidationError) as told:
        Described.model_validate({"key": "Secret"})
    assert "Secret" not in str(told.value)
