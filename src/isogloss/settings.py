"""The base of all settings: frozen, strict, documented.

Each stage declares its settings beside its code as one class derived from `Settings`. The docstring under a
field is its help text, in the command line and in the reference.
"""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Settings(BaseModel):
    """Values that steer one stage. Unknown keys are refused; nothing can be changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is wanted; they would be taken for 1 and 0."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and not _allows_truth(field.annotation):
            raise ValueError("should be neither true nor false")
        return value


def _allows_truth(annotation: Any) -> bool:
    """Whether true and false are values of a type."""
    return annotation in (bool, Any) or isinstance(annotation, bool) or any(map(_allows_truth, get_args(annotation)))
