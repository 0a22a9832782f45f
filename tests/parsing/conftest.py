"""A toy language whose grammar is plain to see, and an encoder that knows words by heart."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from isogloss.corpus.sentence import Sentence, Word
from isogloss.corpus.treebank import Treebank
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.parsing.settings import ParserSettings
from isogloss.shapes import mask_of_lengths


class ByHeart:
    """An encoder without context: a fixed random vector for every written form and layer."""

    def __init__(self, *, layers: int = 2, width: int = 24) -> None:
        self.layers, self.width = layers, width

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, self.layers, self.width)
        for row, sentence in enumerate(sentences):
            for column, form in enumerate(sentence.forms):
                seed = int.from_bytes(hashlib.sha256(form.encode()).digest()[:8], "big")
                numbers = np.random.default_rng(seed).normal(size=(self.layers, self.width))
                vectors[row, column] = torch.from_numpy(numbers)
        return ContextualEmbeddings(vectors=vectors, mask=mask)


def toy_sentence(generator: np.random.Generator, language: str) -> Sentence:
    """Build *(the) (big)\\* dog sees (the) (big)\\* cat .*, with between 3 and about 12 words."""
    words: list[list] = []

    def noun_phrase() -> int:
        """Append a noun and what belongs to it; return the noun's id. Heads are filled in for the rest."""
        before = len(words)
        if generator.random() < 0.6:
            words.append([f"det{generator.integers(3)}", "DET", "det"])
        while generator.random() < 0.4:
            words.append([f"adj{generator.integers(8)}", "ADJ", "amod"])
        words.append([f"noun{generator.integers(12)}", "NOUN", None])
        noun = len(words)
        for word in words[before:-1]:
            word.append(noun)
        return noun

    subject = noun_phrase()
    words.append([f"verb{generator.integers(8)}", "VERB", "root", 0])
    verb = len(words)
    thing = noun_phrase()
    words.append([".", "PUNCT", "punct", verb])
    for noun, deprel in ((subject, "nsubj"), (thing, "obj")):
        words[noun - 1] = [*words[noun - 1][:2], deprel, verb]
    return Sentence(
        words=tuple(Word(form, upos=upos, head=head, deprel=deprel) for form, upos, deprel, head in words),
        language=language,
    )


@pytest.fixture(scope="session")
def toy_treebank():
    """Make a treebank of the toy language: ``toy_treebank(sentences, seed)``."""

    def make(sentences: int, seed: int, language: str = "toy") -> Treebank:
        generator = np.random.default_rng(seed)
        return Treebank(tuple(toy_sentence(generator, language) for _ in range(sentences)), language=language)

    return make


@pytest.fixture(scope="session")
def by_heart():
    """Make an encoder that knows words by heart: ``by_heart(layers=2, width=24)``."""
    return ByHeart


@pytest.fixture(scope="session")
def tiny_settings():
    """Make settings of a parser small enough for tests; keywords replace single values."""

    def make(*, steps: int = 60, **changes) -> ParserSettings:
        loop = {"max_steps": steps, "evaluate_every": 20, "learning_rate": 1e-2}
        small = {"lstm_layers": 1, "hidden_width": 16, "arc_width": 24, "relation_width": 16, "upos_width": 8}
        return ParserSettings(**{**small, "dropout": 0.1, "vector_dropout": 0.1, "loop": loop, **changes})

    return make
