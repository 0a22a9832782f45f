"""Scores of trees over other words than those of the gold trees, as when a parser was given raw text.

Both files must hold the same text: the same characters, if white space is left out. By these characters they are laid
side by side, and what counts is what covers the same ones. Of tokens, sentences, words, and of words with the right
part of speech, head (UAS), and head and relation (LAS) we tell

    precision = right ones / those of the system        recall = right ones / those of the gold file

and their harmonic mean, F1. All words count, punctuation included; relations are compared without their subtypes; empty
nodes do not exist. When a word of the system and a gold word are *partners*:

- Words that are tokens of their own are partners if they cover the same characters.
- The words of a multiword token have no characters of their own. Multiword tokens that share characters, of either
  file, are united into one stretch of text; the words that lie in it, whatever their tokens, are partners as a longest
  common subsequence of their forms has it, in small letters.

A head is right if it is the root in both files, or if the two heads are partners. Where all words are partners, UAS and
LAS are those of `isogloss.parsing.attachment`. Time and memory are linear in the text, and quadratic in the words of
one such stretch, which are few.

Source: the evaluation of the CoNLL 2018 shared task (Zeman et al. 2018); written from its definition. Its
program departs from that in one rare case: where a token before a stretch is split otherwise in the two files, it takes
some of the pieces for words of the stretch. We do not.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from heapq import merge
from typing import NamedTuple

from isogloss.corpus.sentence import Sentence, Word
from isogloss.errors import DataError
from isogloss.parsing.attachment import half_a_tree, place_of, universal_relation

MOST_WORDS_TOGETHER = 2_000
"""In a stretch of multiword tokens that share characters; a sentence of several hundred words is long already."""

NO_PARTNER = -1
Span = tuple[int, int]
"""The first character, and the first no longer in it, counted over the file without its white space."""


@dataclass(frozen=True)
class Matches:
    """How much of one kind there is in both files, and how much of it is right; ``a + b`` is that of both texts."""

    gold: int
    system: int
    correct: int

    @property
    def precision(self) -> float:
        """Share of what the system has that is right, from 0 to 1; 0 where it has nothing."""
        return self.correct / self.system if self.system else 0.0

    @property
    def recall(self) -> float:
        """Share of what the gold file has that the system found, from 0 to 1; 0 where it has nothing."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, from 0 to 1; 0 where there is nothing."""
        return 2 * self.correct / (self.gold + self.system) if self.gold + self.system else 0.0

    def __add__(self, other: "Matches") -> "Matches":
        return Matches(self.gold + other.gold, self.system + other.system, self.correct + other.correct)


@dataclass(frozen=True)
class RawScores:
    """What is right, from the splitting of the text to its trees; ``a + b`` is the score of both texts."""

    tokens: Matches
    sentences: Matches
    words: Matches
    upos: Matches
    uas: Matches
    las: Matches

    def __add__(self, other: "RawScores") -> "RawScores":
        return RawScores(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def raw_scores(gold: Iterable[Sentence], system: Iterable[Sentence]) -> RawScores:
    """Compare trees with gold trees of the same text, whatever their words and sentences are.

    Args:
        gold: Sentences with gold trees.
        system: The same text in the same order, with other trees.

    Raises:
        DataError: The characters differ, a tree is missing, a word is white space, or multiword tokens without an end
            leave open what belongs together.
    """
    right, found = _Text("gold", gold), _Text("system", system)
    _refuse_other_characters(right, found)
    partners = list(_partners(right, found))
    gold_head = {None: None, **dict(partners)}  # that which a head of the system stands for
    upos = uas = las = 0
    for theirs, ours in partners:
        expected, answer = right.words[ours], found.words[theirs]
        upos += expected.word.upos == answer.word.upos
        if gold_head.get(answer.head, NO_PARTNER) == expected.head:
            uas += 1
            assert expected.word.deprel is not None and answer.word.deprel is not None, "checked by _Text"
            las += universal_relation(expected.word.deprel) == universal_relation(answer.word.deprel)
    sizes = len(right.words), len(found.words)
    return RawScores(
        tokens=_same_spans(right.tokens, found.tokens),
        sentences=_same_spans(right.sentences, found.sentences),
        words=Matches(*sizes, len(partners)),
        upos=Matches(*sizes, upos),
        uas=Matches(*sizes, uas),
        las=Matches(*sizes, las),
    )


class _Placed(NamedTuple):
    """A word, with the characters that its token covers."""

    start: int
    end: int
    joined: bool
    """Whether the token is a multiword token."""
    head: int | None
    """Number of its head among the words of the file, from 0; None for the root."""
    word: Word


class _Text:
    """A file as characters without white space, and where its tokens, sentences and words lie in them."""

    def __init__(self, name: str, sentences: Iterable[Sentence]) -> None:
        self.tokens: list[Span] = []
        self.sentences: list[Span] = []
        self.words: list[_Placed] = []
        self._given: list[Sentence] = []
        forms: list[str] = []
        end = 0
        for number, sentence in enumerate(sentences, start=1):
            self._given.append(sentence)
            start, words_before = end, len(self.words)
            for form, words, joined in _tokens_of(sentence):
                written = "".join(form.split())
                if not written:
                    raise DataError(
                        f"{place_of(sentence, number)}: a token of the {name} file is white space alone. Expected a "
                        f"written token. Correct its form, or remove it."
                    )
                forms.append(written)
                span = end, end + len(written)
                end = span[1]
                self.tokens.append(span)
                for word in words:
                    if word.head is None or word.deprel is None:
                        place = f"{place_of(sentence, number)}, word {len(self.words) - words_before + 1}"
                        raise half_a_tree(word, name=name, place=place)
                    head = words_before + word.head - 1 if word.head else None
                    self.words.append(_Placed(*span, joined, head, word))
            self.sentences.append((start, end))
        self.characters = "".join(forms)

    def place(self, character: int) -> str:
        """Say in which sentence a character is."""
        if character >= len(self.characters):
            return "The end"
        which = bisect_right(self.sentences, character, key=lambda span: span[0]) - 1
        return place_of(self._given[which], which + 1)

    def small_forms(self, numbers: Iterable[int]) -> list[str]:
        """Return the forms of words as a common subsequence is sought in them."""
        return ["".join(self.words[number].word.form.split()).lower() for number in numbers]


def _tokens_of(sentence: Sentence) -> Iterator[tuple[str, Sequence[Word], bool]]:
    """Yield each token of a sentence: its form, its words, and whether it is a multiword token."""
    done = 0
    for token in sentence.multiword_tokens:
        yield from ((word.form, (word,), False) for word in sentence.words[done : token.first - 1])
        yield token.form, sentence.words[token.first - 1 : token.last], True
        done = token.last
    yield from ((word.form, (word,), False) for word in sentence.words[done:])


def _refuse_other_characters(gold: _Text, system: _Text) -> None:
    """Refuse files of two different texts, and say where they part."""
    if gold.characters == system.characters:
        return
    both = system, gold
    pairs = enumerate(zip(gold.characters, system.characters, strict=False))
    shorter = min(len(text.characters) for text in both)
    at = next((place for place, (ours, theirs) in pairs if ours != theirs), shorter)
    found, expected = (repr(text.characters[at : at + 20]) if at < len(text.characters) else "nothing" for text in both)
    raise DataError(
        f"{system.place(at)} of the system file: after {at:,} characters that are the same (white space left out) "
        f"comes {found}. Expected {expected}, as in the gold file ({gold.place(at)}). Only trees of the same text can "
        f"be compared: parse that of the gold file, and keep its multiword tokens."
    )


def _same_spans(gold: Sequence[Span], system: Sequence[Span]) -> Matches:
    return Matches(len(gold), len(system), len(set(gold).intersection(system)))


def _partners(gold: _Text, system: _Text) -> Iterator[tuple[int, int]]:
    """Yield the numbers of partners, that in the system's file first."""
    alone = {(word.start, word.end): number for number, word in enumerate(gold.words) if not word.joined}
    for number, word in enumerate(system.words):
        if not word.joined and (word.start, word.end) in alone:
            yield number, alone[word.start, word.end]
    # No such pair lies in a stretch: all of a stretch is covered by multiword tokens of the one file or the other.
    stretches = _stretches(gold.words, system.words)
    within = _within(gold.words, stretches), _within(system.words, stretches)
    for span, ours, theirs in zip(stretches, *within, strict=True):
        if max(len(ours), len(theirs)) > MOST_WORDS_TOGETHER:
            raise DataError(
                f"{gold.place(span[0])} of the gold file: here multiword tokens begin that cover, with those of the "
                f"system file that overlap them, {max(len(ours), len(theirs)):,} words. Expected "
                f"{MOST_WORDS_TOGETHER:,} at most. Check the ranges of the multiword tokens in both files."
            )
        for one, other in _common_subsequence(gold.small_forms(ours), system.small_forms(theirs)):
            yield theirs[other], ours[one]


def _stretches(*files: Sequence[_Placed]) -> list[Span]:
    """Unite the spans of multiword tokens that share characters, of all files."""
    united: list[Span] = []
    for start, end in merge(*([(word.start, word.end) for word in words if word.joined] for words in files)):
        if united and start < united[-1][1]:
            united[-1] = united[-1][0], max(united[-1][1], end)
        else:
            united.append((start, end))
    return united


def _within(words: Sequence[_Placed], spans: Iterable[Span]) -> Iterator[range]:
    """Yield for each span, in order, the numbers of the words that lie in it with their whole tokens."""
    first = 0
    for start, end in spans:
        while first < len(words) and words[first].start < start:
            first += 1
        last = first
        while last < len(words) and words[last].end <= end:
            last += 1
        yield range(first, last)
        first = last


def _common_subsequence(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of a longest common subsequence; of several, that which the shared task's evaluation takes."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        yield same, same
        same += 1
    one_left, other_left = one[same:], other[same:]
    if not one_left or not other_left:
        return
    # longest[i][j]: how long a common subsequence of one_left[i:] and other_left[j:] can be
    longest = [[0] * (len(other_left) + 1) for _ in range(len(one_left) + 1)]
    for i in reversed(range(len(one_left))):
        for j in reversed(range(len(other_left))):
            alike = one_left[i] == other_left[j]
            longest[i][j] = longest[i + 1][j + 1] + 1 if alike else max(longest[i + 1][j], longest[i][j + 1])
    i = j = 0
    while i < len(one_left) and j < len(other_left):
        if one_left[i] == other_left[j]:
            yield same + i, same + j
            i, j = i + 1, j + 1
        elif longest[i][j] == longest[i + 1][j]:  # nothing is lost by leaving this word of the first out
            i += 1
        else:
            j += 1
