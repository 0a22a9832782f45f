"""Attachment scores: how many words hang where they should.

UAS is the share of words with the right head, LAS the share with the right head and the right relation. Both
mean little without their scope, the words that count:

``ud``
    Every word, punctuation included, as the official scorer of the CoNLL 2018 shared task has it (Zeman et
    al. 2018). Relations are compared without their subtypes: ``nsubj:pass`` counts as ``nsubj``.
``no-punctuation``
    As papers on UDT v2.0 have it: words whose gold part of speech is punctuation or a symbol do not count.
    The relations, too, are compared without subtypes, of which UDT has none.

Scores are counts, made to be added: over sentences, files, processes. `sentence_scores` keeps them apart, for
intervals of confidence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from isogloss.corpus.sentence import Sentence, Word
from isogloss.errors import DataError

Scope = Literal["ud", "no-punctuation"]

PUNCTUATION = frozenset({"``", "''", ":", ",", ".", "PU", "PUNCT", "SYM"})
"""Parts of speech that the scope ``no-punctuation`` leaves out, as in the published evaluation."""


@dataclass(frozen=True)
class AttachmentScores:
    """Counts of right heads and relations; ``a + b`` is the score of both files together."""

    words: int
    """Words that count in this scope."""
    correct_heads: int
    correct_relations: int
    """Words with the right head *and* the right relation to it."""
    scope: Scope = "ud"

    @property
    def uas(self) -> float:
        """Share of words with the right head, from 0 to 1; 0 where no word counts."""
        return self.correct_heads / self.words if self.words else 0.0

    @property
    def las(self) -> float:
        """Share of words with the right head and relation, from 0 to 1; 0 where no word counts."""
        return self.correct_relations / self.words if self.words else 0.0

    def __add__(self, other: "AttachmentScores") -> "AttachmentScores":
        assert self.scope == other.scope, f"scores of scope {self.scope} and {other.scope} do not add up"
        return AttachmentScores(
            self.words + other.words,
            self.correct_heads + other.correct_heads,
            self.correct_relations + other.correct_relations,
            self.scope,
        )

    def __str__(self) -> str:
        return f"UAS {self.uas:.2%}, LAS {self.las:.2%} ({self.words} words, scope {self.scope})"


def attachment_scores(gold: Iterable[Sentence], system: Iterable[Sentence], *, scope: Scope = "ud") -> AttachmentScores:
    """Compare trees with gold trees over the same words.

    Args:
        gold: Sentences with gold trees.
        system: The same sentences, in the same order and with the same words, as a parser sees them.
        scope: Which words count.

    Raises:
        DataError: The sentences or their words differ, or a tree is missing.
    """
    return sum(sentence_scores(gold, system, scope=scope), AttachmentScores(0, 0, 0, scope))


def sentence_scores(
    gold: Iterable[Sentence], system: Iterable[Sentence], *, scope: Scope = "ud"
) -> list[AttachmentScores]:
    """Return the scores of each sentence, for example to draw bootstrap samples from.

    Raises:
        DataError: See `attachment_scores`.
    """
    gold, system = tuple(gold), tuple(system)
    if len(gold) != len(system):
        raise DataError(
            f"System trees: {len(system)} sentences. Expected the {len(gold)} sentences of the gold trees. "
            "Parse the gold file as it is, without splitting it anew."
        )
    return [_score(one, other, number, scope) for number, (one, other) in enumerate(zip(gold, system, strict=True), 1)]


def tagging_accuracy(gold: Iterable[Sentence], system: Iterable[Sentence]) -> float:
    """Return the share of words that have the part of speech that they should, from 0 to 1; 0 without words.

    Args:
        gold: Sentences with gold tags.
        system: The same sentences with other tags.
    """
    pairs = [
        (expected.upos, found.upos)
        for one, other in zip(gold, system, strict=True)
        for expected, found in zip(one.words, other.words, strict=True)
    ]
    return sum(expected == found for expected, found in pairs) / len(pairs) if pairs else 0.0


def universal_relation(deprel: str) -> str:
    """Return a relation without its subtype.

    >>> universal_relation("nsubj:pass")
    'nsubj'
    """
    return deprel.partition(":")[0]


def _score(gold: Sentence, system: Sentence, number: int, scope: Scope) -> AttachmentScores:
    if gold.forms != system.forms:
        raise DataError(_difference(gold.forms, system.forms, place_of(gold, number)))
    words = correct_heads = correct_relations = 0
    for position, (expected, found) in enumerate(zip(gold.words, system.words, strict=True), 1):
        for name, word in (("gold", expected), ("system", found)):
            if word.head is None or word.deprel is None:
                raise half_a_tree(word, name=name, place=f"{place_of(gold, number)}, word {position}")
        if scope == "no-punctuation" and expected.upos in PUNCTUATION:
            continue
        words += 1
        if expected.head == found.head:
            correct_heads += 1
            assert expected.deprel is not None and found.deprel is not None, "checked above"
            correct_relations += universal_relation(expected.deprel) == universal_relation(found.deprel)
    return AttachmentScores(words, correct_heads, correct_relations, scope)


def half_a_tree(word: Word, *, name: str, place: str) -> DataError:
    """Return what to say of a word without head or relation, which stands at `place` in the tree called `name`."""
    return DataError(
        f"{place} ({word.form!r}): the {name} tree has no {'head' if word.head is None else 'relation'} here. Scores "
        f"need a head and a relation for every word. Parse the sentence first, or take another file."
    )


def place_of(sentence: Sentence, number: int) -> str:
    """Return what a sentence is called in messages: its number in the file, from 1, and its ``sent_id``."""
    name = sentence.comment("sent_id")
    return f"Sentence {number}" + (f" (sent_id {name})" if name else "")


def _difference(gold: Sequence[str], system: Sequence[str], place: str) -> str:
    pairs = enumerate(zip_longest(gold, system), 1)
    position, (expected, found) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])

    def said(form: str | None) -> str:
        return "nothing" if form is None else repr(form)

    return (
        f"{place}, word {position}: the system file has {said(found)} ({len(system)} words). Expected "
        f"{said(expected)} ({len(gold)} words), as in the gold file. Parse the words of the gold file; trees "
        "over other words are scored by `raw_scores`, which aligns them, and by the command `isogloss score`."
    )
