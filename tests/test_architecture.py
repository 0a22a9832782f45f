"""The package is built in one direction, in small files, and each file says what it is.

A folder uses only what stands above it:

    errors ◀ shapes ◀ settings ◀ drafts ◀ artifacts                                           the ground
       ◀ compute ◀ corpus ◀ encoders ◀ lexicon ◀ mapping ◀ parsing ◀ reports ◀ visuals ◀ web   the pipeline
          ◀ recipe_messages ◀ recipe ◀ recipe_reading ◀ stages ◀ planner ◀ plan ◀ figures ◀ experiment
          ◀ display ◀ trained ◀ bundle
          ◀ commands ◀ lexicon_commands ◀ sense_commands ◀ alignment_folders ◀ bundle_commands
          ◀ language_budget ◀ added_language ◀ added_plan ◀ expectation ◀ add_language ◀ tuning
          ◀ alignment_commands ◀ exchange_commands ◀ mapping_commands ◀ language_models ◀ polyglot_models
          ◀ embedding ◀ translation ◀ parsing_files ◀ printing ◀ cli_mapping ◀ cli_translation
          ◀ cli_models ◀ cli_exchange ◀ cli_parsers ◀ cli ◀ __main__
"""

import ast
import doctest
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "isogloss"
FILES = sorted(SOURCE.rglob("*.py"))
GROUND = ["errors", "shapes", "settings", "drafts", "artifacts"]
PIPELINE = ["compute", "corpus", "encoders", "lexicon", "mapping", "parsing", "reports", "visuals", "web"]
SURFACE = [
    "recipe_messages",
    "recipe",
    "recipe_reading",
    "rich_language",
    "stages",
    "mapping_stage",
    "stage",
    "plan_contents",
    "few_shot_stage",
    "auxiliaries_stage",
    "planner",
    "plan_parsers",
    "plan",
    "figures",
    "experiment",
    "display",
    "trained",
    "bundle",
    "commands",
]
SURFACE += ["lexicon_commands", "sense_commands", "alignment_folders", "bundle_commands"]
SURFACE += [
    "language_budget",
    "added_language",
    "added_plan",
    "expectation",
    "add_language",
    "tuning",
    "alignment_commands",
    "exchange_commands",
    "mapping_commands",
]
SURFACE += [
    "language_models",
    "polyglot_models",
    "embedding",
    "translation",
    "parsing_files",
    "printing",
    "cli_mapping",
    "cli_translation",
    "cli_models",
    "cli_exchange",
    "cli_parsers",
]
SURFACE += ["cli", "__main__"]
ORDER = [*GROUND, *PIPELINE, *SURFACE]
LONGEST_FILE = 400
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the full names that a module imports, wherever in it: in functions and for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{name.name}" for name in node.names)


def parts_used(text: str, *, package: str) -> set[str]:
    """Return which parts of isogloss a module's text uses, as they are called in `ORDER`."""
    names = (name.split(".") for name in imported_names(ast.parse(text), package))
    return {name[1] if len(name) > 1 else "" for name in names if name[0] == "isogloss"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from isogloss.errors import DataError", {"errors"}),
        ("import isogloss.corpus.sentence", {"corpus"}),
        ("from isogloss import artifacts, plan", {"artifacts", "plan"}),
        ("def f():\n    from isogloss.parsing.trees import x", {"parsing"}),
        ("if TYPE_CHECKING:\n    from isogloss.web import server", {"web"}),
        ("from .sentence import Word", {"corpus"}),
        ("from ..errors import DataError", {"errors"}),
        ("from .. import errors", {"errors"}),
        ("import torch, os.path", set()),
    ],
)
def test_this_test_sees_every_way_to_import(text, expected):
    assert parts_used(text, package="isogloss.corpus") == expected


def test_every_file_and_folder_has_its_place_in_the_order():
    found = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in FILES}
    assert found - {"__init__"} <= set(ORDER)
    assert sorted(PIPELINE) == PIPELINE, "the alphabet is the pipeline"


@EVERY_FILE
def test_a_file_imports_only_what_stands_above_it(path):
    place = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if place == "__init__":
        return  # the front door, which opens to every room
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    above = ORDER[: ORDER.index(place)]
    own = {place} if (SOURCE / place).is_dir() else set()
    wrong = parts_used(path.read_text(encoding="utf-8"), package=package) - {*above, *own}
    assert not wrong, f"{module_of(path)} may use {above}, but imports {sorted(wrong)}"


@EVERY_FILE
def test_a_file_is_short_enough_to_be_read(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines. Split the file by subject."


@EVERY_FILE
def test_a_module_begins_by_saying_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "no docstring"


@EVERY_FILE
def test_what_others_may_use_has_a_docstring(path):
    silent = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        members = [node, *(node.body if isinstance(node, ast.ClassDef) else [])]
        silent += [
            member.name
            for member in members
            if isinstance(member, ast.FunctionDef | ast.ClassDef)
            and not member.name.startswith("_")
            and not getattr(node, "name", "_").startswith("_")
            and not ast.get_docstring(member)
        ]
    assert not [name for name in silent if name not in OBVIOUS], f"no docstring: {silent}"


OBVIOUS = {"readable", "readinto", "close"}
"""Methods that Python's own classes document."""


@EVERY_FILE
def test_examples_in_docstrings_are_true(path):
    if path.name == "__main__.py" or ">>>" not in path.read_text(encoding="utf-8"):
        return
    result = doctest.testmod(importlib.import_module(module_of(path)))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("module", ["isogloss", "isogloss.recipe_reading", "isogloss.compute.workers"])
def test_what_every_command_needs_does_not_wait_for_torch(module):
    code = f"import sys, {module}; print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    path = str(SOURCE.parent)
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"],
        capture_output=True,
        text=True,
    )
    assert found.stderr == ""
    assert found.stdout == "[]\n"
