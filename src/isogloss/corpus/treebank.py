"""A treebank: sentences with gold trees, and what one must know to use them."""

from collections.abc import Iterator
from dataclasses import dataclass

from isogloss.corpus.sentence import Sentence


@dataclass(frozen=True)
class Treebank:
    """Sentences of one language and split."""

    sentences: tuple[Sentence, ...]
    language: str
    split: str = ""
    name: str = ""
    licence: str = ""

    def __len__(self) -> int:
        return len(self.sentences)

    def __iter__(self) -> Iterator[Sentence]:
        return iter(self.sentences)

    @property
    def word_count(self) -> int:
        """Words in all sentences together."""
        return sum(len(sentence) for sentence in self.sentences)
