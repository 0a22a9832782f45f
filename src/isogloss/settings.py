"""The base of all settings: frozen, strict, documented.

Each stage declares its settings beside its code as one class derived from `Settings`. The docstring under a
field is its help text, in the command line and in the reference.
"""

import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


def is_code(text: str) -> bool:
    """Whether a text can be the code of a language: letters, digits, ``_`` and ``-``, since it names folders."""
    return re.fullmatch(r"[A-Za-z0-9_-]+", text) is not None


class Settings(BaseModel):
    """Values that steer one stage. Unknown keys are refused; nothing can be changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Take true and false for words where a number is wanted; pydantic would take them for 1 and 0."""
        types = set(_types_in(cls.model_fields[info.field_name or ""].annotation))
        return _in_words(value) if types & {int, float} and not types & {bool, str, Any} else value


def _types_in(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of; true or false as a value counts as bool."""
    yield type(annotation) if isinstance(annotation, bool) else annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def _in_words(value: Any) -> Any:
    """Return true and false as words, in lists too, and all else as it is."""
    if isinstance(value, list | tuple):
        return [_in_words(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else value
