"""A sentence as Universal Dependencies sees it: words, multiword tokens, empty nodes and comments.

A `Sentence` holds everything that its CoNLL-U block held, so that writing it back gives the same bytes.
Models look only at `words`; the other parts travel along untouched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Word:
    """A syntactic word: one numbered line of a UD tree. Its id is its place in the sentence, from 1."""

    form: str
    lemma: str = "_"
    upos: str = "_"
    xpos: str = "_"
    feats: str = "_"
    head: int | None = None
    """The id of the governing word, 0 for the root, None where the file has ``_``."""
    deprel: str | None = None
    """The relation to the head, None where the file has ``_``."""
    deps: str = "_"
    misc: str = "_"


@dataclass(frozen=True, slots=True)
class MultiwordToken:
    """Several words written as one, as Spanish *al* = *a* + *el*."""

    first: int
    last: int
    columns: tuple[str, ...]
    """The nine columns after the id, as they stand in the file; the first is the written form."""

    @property
    def form(self) -> str:
        """The token as written."""
        return self.columns[0]


@dataclass(frozen=True, slots=True)
class EmptyNode:
    """An elided word of the enhanced graph, written ``5.1`` after word 5. Parsers do not see it."""

    after: int
    index: int
    columns: tuple[str, ...]
    """The nine columns after the id, as they stand in the file."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words in order, with whatever else stood in the file."""

    words: tuple[Word, ...]
    language: str = ""
    comments: tuple[str, ...] = ()
    """Comment lines with their ``#``, without line ends."""
    multiword_tokens: tuple[MultiwordToken, ...] = ()
    empty_nodes: tuple[EmptyNode, ...] = ()

    @classmethod
    def of_forms(cls, forms: Sequence[str], *, language: str = "") -> "Sentence":
        """Make a sentence without annotation from written forms."""
        return cls(words=tuple(Word(form) for form in forms), language=language)

    @property
    def forms(self) -> tuple[str, ...]:
        """The written form of every word."""
        return tuple(word.form for word in self.words)

    @property
    def has_tree(self) -> bool:
        """Whether every word has a head and a relation."""
        return all(word.head is not None and word.deprel is not None for word in self.words)

    def comment(self, key: str) -> str | None:
        """Return the value of the comment ``# key = value``, or None."""
        for line in self.comments:
            name, sign, value = line[1:].partition("=")
            if sign and name.strip() == key:
                return value.strip()
        return None

    def with_tree(self, heads: Sequence[int], deprels: Sequence[str]) -> "Sentence":
        """Return the sentence with a new tree; everything else stays, the enhanced graph included.

        A graph that was given may say other things than the new tree. It is an annotation of its own, without which the
        empty nodes would be left hanging.

        Args:
            heads: One id per word, 0 for the root.
            deprels: One relation per word.
        """
        assert len(heads) == len(deprels) == len(self.words), "a tree has one head and relation per word"
        # Spelt out, field by field: `replace` of a word takes several times as long, and texts are long.
        words = tuple(
            Word(old.form, old.lemma, old.upos, old.xpos, old.feats, int(head), deprel, old.deps, old.misc)
            for old, head, deprel in zip(self.words, heads, deprels, strict=True)
        )
        return replace(self, words=words)

    def with_upos(self, tags: Sequence[str]) -> "Sentence":
        """Return the sentence with new universal part-of-speech tags."""
        assert len(tags) == len(self.words), "one tag per word"
        words = tuple(
            Word(old.form, old.lemma, tag, old.xpos, old.feats, old.head, old.deprel, old.deps, old.misc)
            for old, tag in zip(self.words, tags, strict=True)
        )
        return replace(self, words=words)

    def __len__(self) -> int:
        return len(self.words)
