"""What all sections of the YAML file have in common."""

from pydantic import BaseModel
from pydantic import ConfigDict


class Section(BaseModel):
    """A mapping of the file. Its fields are the keys that it may have."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def names(cls) -> list[str]:
        """The keys that this section may have."""
        return [field.alias or name for name, field in cls.model_fields.items()]
