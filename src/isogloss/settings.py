"""The base of all settings: frozen, strict, documented.

Each stage declares its settings beside its code as one class derived from `Settings`. The docstring under a
field is its help text, in the command line and in the reference.
"""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Values that steer one stage. Unknown keys are refused; nothing can be changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
