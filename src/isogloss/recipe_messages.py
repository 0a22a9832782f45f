"""What is wrong with a recipe, in words: place, what was found, what was expected, what to do next.

Receives the problems that pydantic found in a recipe's values; hands on one line for each.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_PLAIN_WORDS = {
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "string_type": "should be text",
    "model_type": "should be a table",
    "dict_type": "should be a table",
    "tuple_type": "should be a list",
}
"""What people call the types of pydantic's messages."""


def wish(problem: Any) -> str:
    """Say in plain words what a value should be, from what pydantic found.

    >>> wish({"type": "int_from_float", "msg": "Input should be a valid integer, got a number with a fractional part"})
    'should be a whole number'
    """
    message: str = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return _PLAIN_WORDS.get(problem["type"], message)


def explain(path: Path, values: Mapping[str, Any], problems: Sequence[Any], *, of: type[BaseModel]) -> list[str]:
    """Say in one line each what pydantic found: place, what was found, what was expected, what to do."""
    lines: dict[str, str] = {}
    for problem in problems:
        place = _place(problem, values)
        where = f"{path}, {'.'.join(map(str, place))}"
        match problem["type"]:
            case "extra_forbidden":
                known = _known_keys(place[:-1], of)
                close = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.0)
                prefix = "".join(f"{part}." for part in place[:-1])
                hint = f" Did you mean {prefix}{close[0]}?" if close else ""
                lines[where] = f"{where}: unknown key.{hint} Valid keys here: {', '.join(sorted(known))}."
            case "missing":
                lines[where] = f"{where}: missing. Expected a value. Add it to the recipe."
            case "literal_error" if isinstance(problem["input"], Mapping):
                pass  # a table, where a name could stand too: what is wrong in the table is told by itself
            case _:
                message = wish(problem)
                if where in lines:  # one line for a value that may be of several types, and is of none
                    lines[where] = lines[where].removesuffix(". Change it.") + f", or {message}. Change it."
                else:
                    found = f"found {problem['input']!r}; the value {message}"
                    lines[where] = f"{where}: {found.rstrip('.')}. Change it."
    return list(lines.values())


def _place(problem: Any, values: Any) -> list[Any]:
    """Return where a problem lies: pydantic's own place without the names that it gives to types of a union."""
    place = []
    for index, part in enumerate(problem["loc"]):
        known = range(len(values)) if isinstance(values, list) else values
        is_there = isinstance(known, Mapping | range) and part in known
        is_missing = problem["type"] == "missing" and index == len(problem["loc"]) - 1
        if is_there or is_missing:
            place.append(part)
        if is_there:
            values = values[part]
    return place


def _known_keys(place: Sequence[Any], model: Any) -> list[str]:
    """Return the valid keys of the table at a place, in settings of the type `model`."""
    for part in place:
        if isinstance(model, type) and issubclass(model, BaseModel) and str(part) in model.model_fields:
            model = _settings_class(model.model_fields[str(part)].annotation)
        # Any other part is the key of a dict of tables, such as a language code.
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _settings_class(annotation: Any) -> Any:
    """Return the settings class inside an annotation such as ``dict[str, LanguageCorpus]`` or ``X | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _settings_class(inner)
        if found is not None:
            return found
    return None
