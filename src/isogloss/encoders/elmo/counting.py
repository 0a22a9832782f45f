"""What is counted before the first step of training: vocabulary, number of words, start vectors, held-out sentences.

A text of common size is counted whole. Of a large one only the begin is read, so that training starts within seconds
however large the file is; how many words there are in all then follows from how much of the file was read:

    words ≈ size of the file · words counted / bytes that held them

Bytes are those on disk, so this holds for compressed files too. A decompressor reads ahead, and by the block; so as not
to be misled by that, the words and bytes between two moments are compared at which it has just read on.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.compute.randomness import derive_seed
from isogloss.corpus.raw_text import GZIP_MAGIC, XZ_MAGIC, ZSTD_MAGIC, Position
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.settings import BiLMTrainingSettings
from isogloss.encoders.elmo.streams import TextFile
from isogloss.encoders.static import cooccurrence_vectors

log = logging.getLogger(__name__)

LARGE_TEXT_BYTES = 100_000_000
"""A plain file of more bytes is large."""
LARGE_COMPRESSED_BYTES = 25_000_000
"""A compressed file of more bytes is large: it holds about four times as much."""
WORDS_OF_LARGE_TEXT = 400_000
"""Words counted of a large text, if the settings do not say."""
WORDS_REMEMBERED = 2_000_000
"""A text of no more words is split once and kept for the start vectors; a longer one is split twice."""
HELD_OUT_WORDS = 60
"""Held-out text ends after so many words per sentence asked for, in case its lines are long."""


Transfer = Callable[[BiLM, Vocabulary, Tensor], object]
"""Gives a fresh model its start from word vectors (one per word of the vocabulary) and from what else it knows."""


@dataclass(frozen=True)
class CountedText:
    """What is known of a text before training."""

    vocabulary: Vocabulary
    words: int
    """Words to train on in one epoch; estimated where only a part was counted."""
    sentences: int
    """Sentences likewise."""
    counted_words: int
    """Words that were really counted."""
    counted_sentences: int
    remembered: list[list[str]] | None
    """The counted sentences, unless there are too many to keep."""

    @property
    def whole(self) -> bool:
        """Whether the whole text was counted."""
        return self.counted_words == self.words


def words_to_count(text: TextFile, settings: BiLMTrainingSettings) -> int | None:
    """Return how many words are to be counted before the first step; None counts the whole text.

    What the settings say is done. If they leave it open, the size of the file on disk decides.
    """
    if settings.counted_words is not None:
        return settings.counted_words
    with text.path.open("rb") as file:
        compressed = file.read(6).startswith((GZIP_MAGIC, XZ_MAGIC, ZSTD_MAGIC))
    large = LARGE_COMPRESSED_BYTES if compressed else LARGE_TEXT_BYTES
    return WORDS_OF_LARGE_TEXT if text.path.stat().st_size > large else None


def count_text(text: TextFile, settings: BiLMTrainingSettings) -> CountedText:
    """Count the training text, or its begin.

    A word that is seen once in a hundredth of the text stands for a hundred in all of it. So `min_count`, which is
    about the whole text, is lowered in proportion for a part of it.

    Args:
        text: The corpus.
        settings: Its `counted_words`, `min_count` and `vocabulary_size` are used.
    """
    limit = words_to_count(text, settings)
    words = sentences = 0
    share = 1.0
    early = late = (0, 0)  # words and bytes when the file was last read on: after a quarter, and so far
    remembered: list[list[str]] | None = []
    position = Position()

    def lines() -> Iterator[list[str]]:
        nonlocal words, sentences, share, early, late, remembered
        for line in text.lines(held_out=False, position=position):
            if limit is not None:
                if (place := position()) != late[1]:
                    early, late = (early if early[0] >= limit / 4 else late), (words, place)
                if words >= limit:
                    share = _share_read(text, early, late, words, sentences)
                    return
            raise_if_stop_requested()
            split = text.words(line)
            words, sentences = words + len(split), sentences + 1
            if remembered is not None:
                remembered.append(split)
                if words > WORDS_REMEMBERED:
                    remembered = None
            yield split

    # Which types are frequent enough depends on how much was read, which is known at the end only.
    counted = Vocabulary.count(lines(), min_count=1)
    vocabulary = counted.cut(min_count=max(1, round(settings.min_count * share)), max_size=settings.vocabulary_size)
    if share < 1.0:
        log.info("counted %d words, about %.2f %% of %s", words, 100 * share, text.path)
    return CountedText(
        vocabulary=vocabulary,
        words=round(words / share),
        sentences=round(sentences / share),
        counted_words=words,
        counted_sentences=sentences,
        remembered=remembered,
    )


def _share_read(text: TextFile, early: tuple[int, int], late: tuple[int, int], words: int, sentences: int) -> float:
    """Estimate which share of the training text was counted; less than 1, since there is more.

    Args:
        text: The corpus.
        early: Words counted and bytes read at some moment.
        late: The same, later.
        words: Words counted in all.
        sentences: Sentences counted in all.
    """
    size = text.path.stat().st_size
    share = late[1] / size
    if late[0] > early[0] and late[1] > early[1]:
        share = words / (size * (late[0] - early[0]) / (late[1] - early[1]))
    if text.max_sentences is not None:
        every = text.held_out_every
        share = max(share, sentences / (text.max_sentences * (every - 1) / every))
    return min(share, 1.0 - 1e-9)


def held_out_sentences(text: TextFile, settings: BiLMTrainingSettings) -> list[list[str]]:
    """Read the held-out sentences, no further into the file than needed."""
    sentences: list[list[str]] = []
    words = 0
    for line in text.lines(held_out=True):
        if split := text.words(line):
            sentences.append(split)
            words += len(split)
        if len(sentences) == settings.held_out_sentences or words >= HELD_OUT_WORDS * settings.held_out_sentences:
            break
    return sentences


def start_from_counts(
    model: BiLM,
    counted: CountedText,
    text: TextFile,
    settings: BiLMTrainingSettings,
    *,
    seed: int,
    transfer: Transfer | None = None,
) -> None:
    """Let words that stand near the same words begin with similar vectors, as input and as prediction.

    Each word's softmax bias begins at the logarithm of its count, so that the first steps need not learn which words
    are frequent.

    Args:
        model: Its vectors of words and its softmax are overwritten.
        counted: What `count_text` gave.
        text: The corpus; read again where the counted sentences were not kept.
        settings: See `CooccurrenceSettings`.
        seed: Of the decomposition.
        transfer: Makes another use of the vectors.
    """
    assert model.softmax is not None, "a model without a softmax cannot be trained"
    width = model.softmax.weight.shape[1]

    def lines() -> Iterator[list[str]]:
        for number, line in enumerate(text.lines(held_out=False)):
            if number == counted.counted_sentences:
                return
            raise_if_stop_requested()
            yield text.words(line)

    how = settings.cooccurrences
    if not counted.whole:  # counts of a small part are rough, and not worth the time of an exact decomposition
        how = how.model_copy(update={"power_iterations": min(how.power_iterations, 1)})
    vectors = cooccurrence_vectors(
        counted.vocabulary,
        lines() if counted.remembered is None else counted.remembered,
        width=width,
        settings=how,
        seed=derive_seed(seed, "co-occurrences"),
    )
    if transfer is not None:
        transfer(model, counted.vocabulary, vectors)
        return
    with torch.no_grad():
        softmax_from_counts(model, counted.vocabulary, vectors)
        if model.word_vectors is not None:
            model.word_vectors.weight.copy_(vectors[: model.word_types])


@torch.no_grad()
def softmax_from_counts(model: BiLM, vocabulary: Vocabulary, vectors: Tensor) -> None:
    """Let the softmax begin with vectors from counts, and with each word's logarithm of its count as its bias.

    Args:
        model: Its softmax is overwritten.
        vocabulary: Its words.
        vectors: One per word, of mean square 1; see `cooccurrence_vectors`.
    """
    assert model.softmax is not None, "a model without a softmax cannot be trained"
    counts = torch.tensor(vocabulary.counts, dtype=torch.float32)
    model.softmax.weight.copy_(vectors * vectors.shape[1] ** -0.5)
    model.softmax.bias.copy_(torch.log((counts + 1) / counts.mean()))
