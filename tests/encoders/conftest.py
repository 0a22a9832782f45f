"""A toy text that a language model can learn, and models small enough to train while one waits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogloss.encoders.elmo.settings import BiLMSettings, BiLMTrainingSettings

NOUNS = ("perro", "gato", "pez", "pájaro")
PLACES = ("casa", "mar", "calle", "árbol")


def toy_sentences(count: int, *, seed: int = 0) -> list[list[str]]:
    """Sentences such as *el perro ve un gato en la casa .*: each word tells much about the next."""
    generator = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        words = ["el", str(generator.choice(NOUNS)), "ve", "un", str(generator.choice(NOUNS))]
        if generator.random() < 0.5:
            words += ["en", "la", str(generator.choice(PLACES))]
        sentences.append([*words, "."])
    return sentences


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 400 sentences, words apart."""
    path = tmp_path_factory.mktemp("text") / "toy.txt"
    path.write_text("".join(" ".join(words) + "\n" for words in toy_sentences(400)), encoding="utf-8")
    return path


TINY = BiLMSettings(
    character_width=4, filters=((1, 4), (3, 8)), highways=1, projection_width=8, cell_width=16, layers=2
)


@pytest.fixture
def tiny() -> BiLMSettings:
    return TINY


@pytest.fixture(scope="session")
def training_settings() -> Callable[..., BiLMTrainingSettings]:
    """Make settings of a very small training run; keyword arguments replace some of them."""

    def make(**changes: Any) -> BiLMTrainingSettings:
        loop = {
            "max_steps": 18,
            "learning_rate": 0.02,
            "warmup_steps": 5,
            "evaluate_every": 8,
            "checkpoint_seconds": 1e-9,
            **changes.pop("loop", {}),
        }
        usual = {
            "model": json.loads(TINY.model_dump_json()),
            "epochs": 9,
            "rows": 4,
            "unroll": 7,
            "min_count": 1,
            "dropout": 0.2,
        }
        return BiLMTrainingSettings.model_validate({**usual, **changes, "loop": loop})

    return make
