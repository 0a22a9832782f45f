"""What the planning of every stage needs: the stages so far, and names for the content of files.

`isogloss.plan` adds the stages of languages to a `Planner`, `isogloss.plan_parsers` those of parsers.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from isogloss.artifacts import hash_file
from isogloss.errors import DataError
from isogloss.plan_contents import invented_corpora
from isogloss.recipe import Recipe
from isogloss.stage import Stage

TESTED = "-tested"
"""Ending of the vectors of test sets."""


def serves_tests(stage: Stage) -> bool:
    """Whether a stage is there for test sets alone, so that a run can do without it and still parse."""
    return stage.kind == "parsed" or (stage.kind == "vectors" and stage.name.endswith(TESTED))


class Planner:
    """The stages so far, and what is needed to name the next."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self.stages: dict[str, Stage] = {}
        self.corpora = invented_corpora(recipe.invented, folder) if recipe.invented else dict(recipe.corpus)
        self.written: dict[str, str] = {}
        """Files that stages will write, beside those of an invented corpus: their content by their place."""
        self._hash_of = cache(lambda name: hash_file(Path(name)))

    def content(self, name: str | Path | None) -> str:
        """Name a file's content: by its hash, or by the stage that will write it."""
        assert name is not None
        if (made := self.written.get(str(name))) is not None:
            return made
        if self.recipe.invented is not None:
            return f"{self.stages['corpus'].key}:{Path(name).relative_to(self.folder)}"
        try:
            return self._hash_of(str(name))
        except OSError as error:
            raise DataError(
                f"{name}: cannot be read ({error.strerror}). Expected a file that you may read. Check its permissions."
            ) from error

    def add(self, stage: Stage, **arguments: Any) -> None:
        """Add a stage; what must know the stage's key comes as `arguments`."""
        self.stages[stage.name] = replace(stage, arguments={**stage.arguments, **arguments})

    def inputs_of(self, *names: str) -> dict[str, str]:
        """Return the keys of stages, by name."""
        return {name: self.stages[name].key for name in names}

    def resumable(self, stage: Stage) -> dict[str, Any]:
        """Return the arguments by which a stage keeps checkpoints."""
        return {"checkpoints": self.folder / "checkpoints" / stage.name, "key": stage.key}

    def licences(self, *languages: str) -> tuple[str, ...]:
        """Return the licences of some languages' data."""
        return tuple(dict.fromkeys(filter(None, (self.corpora[language].licence for language in languages))))

    @property
    def after_corpus(self) -> tuple[str, ...]:
        """What a stage that reads files must wait for."""
        return ("corpus",) if self.recipe.invented is not None else ()

    def trees(self, languages: tuple[str, ...], splits: tuple[str, ...]) -> dict[str, str]:
        """Name the content of treebank files."""
        return {
            f"{language}-{split}": self.content(self.corpora[language].treebank[split])
            for language in languages
            for split in splits
            if split in self.corpora[language].treebank
        }
