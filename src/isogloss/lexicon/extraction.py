"""From raw text to anchors, in one pass.

Receives an encoder and an iterator of sentences, which may be longer than memory; hands on `Anchors`, one per
layer. Sentences of like length are encoded together to waste little on padding. Since an encoder treats each
sentence by itself and sums run in float64, neither the order nor the batches show in the result.

Source: Schuster et al. (2019), section 3. They read at most the 50,000 most frequent word types from about
5 % of the training text.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice

import torch

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.errors import TextError
from isogloss.lexicon.anchors import AnchorAccumulator, Anchors, AnchorSums
from isogloss.lexicon.settings import AnchorSettings

Progress = Callable[[int, int], None]
"""Called after each batch with the sentences and the words read so far."""


def extract_anchors(
    encoder: Encoder,
    sentences: Iterable[Sentence],
    *,
    language: str,
    settings: AnchorSettings | None = None,
    words: Collection[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Anchors, ...]:
    """Encode a text and average the vectors of every word type: one `Anchors` per layer.

    Args:
        encoder: The encoder of the language.
        sentences: Read once and never held together.
        language: Code of the language, kept with the anchors.
        settings: Which word types get an anchor, and how batches are cut.
        words: If given, only these word types are summed, which bounds memory: see `frequent_types`.
        progress: Called after each batch.

    Raises:
        TextError: No word type was seen ``min_count`` times.
        VectorsError: The encoder gave a vector that is not finite.
    """
    settings = settings or AnchorSettings()
    sums = sum_anchors(encoder, sentences, settings=settings, words=words, progress=progress)
    anchors = sums.anchors(language, min_count=settings.min_count, max_types=settings.max_types)
    if not len(anchors[0]):
        raise _too_rare(language, int(sums.counts.sum()), len(sums.words), settings.min_count)
    return anchors


def frequent_types(
    sentences: Iterable[Sentence], *, language: str, settings: AnchorSettings | None = None
) -> tuple[str, ...]:
    """Count a text and return the word types that get an anchor, most frequent first.

    With these as ``words``, `extract_anchors` gives the same anchors in memory that no longer grows with the rare types
    of a text, which are by far the most.

    Args:
        sentences: The text that `extract_anchors` is to read.
        language: Its code, for the message.
        settings: Which word types get an anchor.

    Raises:
        TextError: No word type was seen ``min_count`` times.
    """
    settings = settings or AnchorSettings()
    counts: Counter[str] = Counter()
    for sentence in islice(sentences, settings.max_sentences):
        counts.update(sentence.forms)
    frequent = [word for word, count in counts.items() if count >= settings.min_count]
    if not frequent:
        raise _too_rare(language, counts.total(), len(counts), settings.min_count)
    return tuple(sorted(frequent, key=lambda word: (-counts[word], word))[: settings.max_types])


def sum_anchors(
    encoder: Encoder,
    sentences: Iterable[Sentence],
    *,
    settings: AnchorSettings | None = None,
    words: Collection[str] | None = None,
    progress: Progress | None = None,
) -> AnchorSums:
    """Encode a text and sum the vectors of every word type, for the share of one worker or file.

    ``min_count`` and ``max_types`` are left to `AnchorSums.anchors`, after all shares are added.
    """
    settings = settings or AnchorSettings()
    accumulator = AnchorAccumulator(layers=encoder.layers, width=encoder.width, words=words)
    sentences_read = words_read = 0
    for batch in _batches(islice(sentences, settings.max_sentences), batch_words=settings.batch_words):
        with torch.no_grad():
            embeddings = encoder.encode(batch)
        forms = [form for sentence in batch for form in sentence.forms]
        accumulator.add(forms, embeddings.vectors[embeddings.mask])  # tokens layers width
        sentences_read, words_read = sentences_read + len(batch), words_read + len(forms)
        if progress is not None:
            progress(sentences_read, words_read)
    return accumulator.sums()


def _batches(sentences: Iterable[Sentence], *, batch_words: int) -> Iterator[list[Sentence]]:
    """Cut a stream into batches of at most ``batch_words`` words with padding, or of one longer sentence."""
    for window in _windows(sentences, words=32 * batch_words):  # wide enough to find sentences of like length
        batch: list[Sentence] = []
        for sentence in sorted(window, key=len):
            # Sorted by length, so this sentence is the longest yet and sets the padding.
            if batch and len(sentence) * (len(batch) + 1) > batch_words:
                yield batch
                batch = []
            batch.append(sentence)
        yield batch


def _windows(sentences: Iterable[Sentence], *, words: int) -> Iterator[list[Sentence]]:
    """Cut a stream into stretches of about so many words; empty sentences are passed over."""
    window: list[Sentence] = []
    held = 0
    for sentence in sentences:
        if len(sentence):
            window.append(sentence)
            held += len(sentence)
        if held >= words:
            yield window
            window, held = [], 0
    if window:
        yield window


def _too_rare(language: str, words: int, types: int, min_count: int) -> TextError:
    return TextError(
        f"Text of {language}: {words} words of {types} types, but no type occurs {min_count} times, as min_count asks. "
        f"Give more text, or lower min_count."
    )
