"""What all tests share: one thread, a Hypothesis profile, the real data, and one very small experiment."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # two threads that wait for each other can be ten times slower than one
settings.register_profile("isogloss", deadline=None)
settings.load_profile("isogloss")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real treebanks, texts and dictionaries; skips the test where there is none."""
    folder = Path(os.environ.get("ISOGLOSS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there (set ISOGLOSS_DATA)")
    return folder


TINY = """
name = "tiny"
reference = "qal"

[compute]
workers = 0

[invented]
languages = ["qal", "qbe", "qel"]
text_sentences = 500
train_sentences = 40
dev_sentences = 10
test_sentences = 12
parallel_sentences = 2

[encoders]
rows = 8
unroll = 8
min_count = 1
held_out_sentences = 10

[encoders.model]
character_width = 4
filters = [[1, 4], [2, 4], [3, 8]]
word_types = 200
projection_width = 8
cell_width = 16

[encoders.loop]
max_steps = 30
learning_rate = 5e-3
evaluate_every = 15

[lexicon]
min_count = 2

[static]
width = 12
min_count = 2

[mapping.method]
too_few_pairs = "complete"

[parsing]
train_on = ["qal", "qbe"]
test_on = ["qel"]
systems = ["pos-only", "unaligned", "anchors-only", "static", "aligned", "supervised"]

[parsing.parser]
lstm_layers = 1
hidden_width = 12
arc_width = 12
relation_width = 12
upos_width = 6
batch_size = 8

[parsing.parser.loop]
max_steps = 20
evaluate_every = 10
learning_rate = 1e-2
"""


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that runs in some seconds: three invented languages, very small models, all systems."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory):
    """The finished run of `tiny_recipe`. Read only: tests that change it begin with a copy."""
    from isogloss.experiment import run

    return run(tiny_recipe, tmp_path_factory.mktemp("runs") / "tiny")


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    output: str
    errors: str

    @property
    def complaints(self) -> list[str]:
        """The lines of standard error that begin with our name."""
        return [line for line in self.errors.splitlines() if line.startswith("isogloss: ")]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run the command line in this process: ``command("score", gold, system)``."""
    from isogloss.__main__ import main

    def run_command(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, words)])
        output, errors = io.StringIO(), io.StringIO()
        status = 0
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
        return Ended(status, output.getvalue(), errors.getvalue())

    return run_command
