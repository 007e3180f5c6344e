"""What all models of the destinations file share."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from worker.configuration.quantities import AsText

__all__ = ["Key", "Model", "one_or_many"]


def one_or_many(value: Any) -> Any:
    """Take one value for a list of one."""
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _header_value(value: Any) -> str:
    """Read a key that travels in a header: visible ASCII characters only."""
    text = str(value)
    if not all("!" <= character <= "~" for character in text):
        raise PydanticCustomError("key_characters", "expected visible ASCII characters without spaces")
    return text


Key = Annotated[SecretStr, BeforeValidator(_header_value), AsText()]


class Model(BaseModel):
    """A part of the file: no key that is not known, and no value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, data: Any) -> Any:
        """Take a key with nothing after it as one that was left out."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
