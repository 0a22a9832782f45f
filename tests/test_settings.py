"""Every settings class explains each of its fields and can be made from nothing."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import ValidationError

import isogloss
from isogloss.recipe_messages import wish
from isogloss.settings import Settings


def classes(of: type[Settings] = Settings) -> Iterator[type[Settings]]:
    for subclass in of.__subclasses__():
        if subclass.__module__.startswith("isogloss."):
            yield subclass
            yield from classes(subclass)


for module in pkgutil.walk_packages(isogloss.__path__, "isogloss."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
ALL = sorted(set(classes()), key=lambda found: (found.__module__, found.__name__))
EVERY_CLASS = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


def test_the_settings_are_found():
    assert {"LoopSettings", "BiLMSettings", "BiLMTrainingSettings", "Recipe"} <= {kind.__name__ for kind in ALL}


@EVERY_CLASS
def test_every_field_has_a_docstring(kind):
    silent = [name for name, field in kind.model_fields.items() if not (field.description or "").strip()]
    assert not silent, f"{kind.__module__}.{kind.__name__}: no docstring under {silent}"


@EVERY_CLASS
def test_all_defaults_are_valid(kind):
    defaults: dict[str, Any] = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required()
    }
    given = {name: value.model_dump() if isinstance(value, Settings) else value for name, value in defaults.items()}
    try:
        made = kind.model_validate(given)
    except ValidationError as error:
        faults = [fault for fault in error.errors() if fault["type"] != "missing"]
        assert not faults, faults
    else:
        assert {name: getattr(made, name) for name in defaults} == defaults


@EVERY_CLASS
def test_unknown_keys_are_refused_and_nothing_can_be_changed(kind):
    assert kind.model_config["extra"] == "forbid"
    assert kind.model_config["frozen"] is True


class Speed(Settings):
    """A small example."""

    value: float = 1.0
    """How fast."""


def test_a_misspelt_key_is_an_error():
    with pytest.raises(ValidationError, match=r"vlaue\n  Extra inputs are not permitted"):
        Speed.model_validate({"vlaue": 2.0})


def test_a_value_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError, match="Instance is frozen"):
        Speed().value = 2.0  # type: ignore[misc]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "fast"])
def test_numbers_are_finite_numbers(value):
    with pytest.raises(ValidationError, match="Input should be a"):
        Speed(value=value)


class _Numbers(Settings):
    """For the tests below."""

    share: float = 0.0
    """A number."""
    weight: float | Literal["held_out"] = 0.0
    """A number or a word."""
    trees: tuple[int, ...] = ()
    """Numbers in a list."""
    wanted: bool = False
    """True or false."""
    either: bool | int = False
    """Both."""


@pytest.mark.parametrize(
    ("given", "wishes"),
    [
        ({"share": True}, ["should be a number"]),
        ({"weight": False}, ["should be a number", "should be 'held_out'"]),
        ({"trees": [3, True]}, ["should be a whole number"]),
    ],
)
def test_true_and_false_are_no_numbers(given, wishes):
    with pytest.raises(ValidationError) as caught:
        _Numbers.model_validate(given)
    assert [wish(problem) for problem in caught.value.errors()] == wishes


def test_true_is_itself_where_it_may_be():
    made = _Numbers.model_validate({"wanted": True, "either": True, "share": 1, "trees": [1, 2]})
    assert (made.wanted, made.either, made.share, made.trees) == (True, True, 1.0, (1, 2))
