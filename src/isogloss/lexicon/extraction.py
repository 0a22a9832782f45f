"""From raw text to anchors, in one pass, by one process or by many.

Receives an encoder and an iterator of sentences, which may be longer than memory; hands on `Anchors`, one per
layer. Sentences of like length are encoded together to waste little on padding. Since an encoder treats each
sentence by itself and sums run in float64, neither the order nor the batches show in the result. Several processes,
or machines, deal the batches out among themselves and add up their sums.

Source: Schuster et al. (2019), section 3. They read at most the 50,000 most frequent word types from about
5 % of the training text.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import reduce
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float32
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.compute.workers import Event, Task, report, run_tasks
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.errors import TextError, TrainingError
from isogloss.lexicon.anchor_files import Share, load_sums, save_sums
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
    return anchors_of_sums(sums, language=language, settings=settings)


def anchors_of_sums(sums: AnchorSums, *, language: str, settings: AnchorSettings | None = None) -> tuple[Anchors, ...]:
    """Make the anchors of every layer from sums over a whole text.

    Args:
        sums: As `sum_anchors`, `sum_anchors_in_processes` or `merge_sums` give them.
        language: Code of the language, kept with the anchors.
        settings: Which word types get an anchor.

    Raises:
        TextError: No word type was seen ``min_count`` times.
    """
    settings = settings or AnchorSettings()
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
    share: Share | None = None,
    progress: Progress | None = None,
) -> AnchorSums:
    """Encode a text and sum the vectors of every word type, or do the share of one worker.

    ``min_count`` and ``max_types`` are left to `anchors_of_sums`, after all shares are added.

    Args:
        encoder: The encoder of the language.
        sentences: The whole text, also where only a share of it is summed. The batches cut from it are dealt out, and
            so are the same, with the same vectors, whatever the number of shares.
        settings: How far to read, and how batches are cut.
        words: If given, only these word types are summed, which bounds memory: see `frequent_types`.
        share: Every so manieth batch is this worker's; without it, all are.
        progress: Called after each batch.

    Raises:
        KeyboardInterrupt: Somebody asked to stop.
        VectorsError: The encoder gave a vector that is not finite.
    """
    settings, share = settings or AnchorSettings(), share or Share()
    accumulator = AnchorAccumulator(layers=encoder.layers, width=encoder.width, words=words)
    sentences_read = words_read = 0
    batches = _batches(islice(sentences, settings.max_sentences), batch_words=settings.batch_words)
    for batch in islice(batches, share.number - 1, None, share.of):
        raise_if_stop_requested()
        with torch.no_grad():
            embeddings = encoder.encode(batch)
        forms = [form for sentence in batch for form in sentence.forms]
        accumulator.add(forms, embeddings.vectors[embeddings.mask])  # tokens layers width
        sentences_read, words_read = sentences_read + len(batch), words_read + len(forms)
        if progress is not None:
            progress(sentences_read, words_read)
    return accumulator.sums()


def sum_anchors_in_processes(
    load_encoder: Callable[[], Encoder],
    read: Callable[[], Iterable[Sentence]],
    *,
    language: str,
    processes: int,
    scratch: Path,
    threads: int = 1,
    settings: AnchorSettings | None = None,
    words: Collection[str] | None = None,
    share: Share | None = None,
    progress: Progress | None = None,
) -> AnchorSums:
    """Do what `sum_anchors` does in several processes; their number does not show in the sums.

    Each process reads the whole text, for words must be counted before batches can be cut, and encodes its share of
    the batches. Every process holds word types × layers × width × 8 bytes, twice while it ends; give ``words`` to bound
    that. The sums pass through files.

    Args:
        load_encoder: Makes the encoder of the language. Like ``read``, a function of a module, or a `functools.partial`
            of one: other processes must find it by its name.
        read: Opens the text, from its beginning.
        language: Its code, for messages.
        processes: How many; with 1, the work is done in this one.
        scratch: An existing folder with room for the sums of all processes. What is written there is removed.
        threads: Of each process.
        settings: How far to read, and how batches are cut.
        words: If given, only these word types are summed.
        share: The share of all these processes together, where other machines do the others.
        progress: Called with the sentences and words read by all processes.

    Raises:
        KeyboardInterrupt: Somebody asked to stop.
        TrainingError: A process was killed.
        VectorsError: The encoder gave a vector that is not finite.
    """
    ours = share or Share()
    if processes == 1:
        return sum_anchors(load_encoder(), read(), settings=settings, words=words, share=ours, progress=progress)
    read_by_task: dict[str, tuple[int, int]] = {}

    def listen(event: Event) -> None:
        if event["event"] == "progress" and progress is not None:
            read_by_task[event["task"]] = event["sentences"], event["words"]
            sentences, tokens = zip(*read_by_task.values(), strict=True)
            progress(sum(sentences), sum(tokens))

    with TemporaryDirectory(prefix=".sums-", dir=scratch) as folder:
        # Of the batches ours.number, ours.number + ours.of, ... each process takes every so manieth.
        shares = [Share(ours.number + place * ours.of, processes * ours.of) for place in range(processes)]
        parts = [Path(folder) / str(place) for place in range(processes)]
        common = {
            "load_encoder": load_encoder,
            "read": read,
            "settings": settings,
            "words": words,
            "language": language,
        }
        tasks = [
            Task(
                f"anchors of {language}, share {part.number} of {part.of}",
                _sum_share,
                {**common, "share": part, "folder": path},
            )
            for part, path in zip(shares, parts, strict=True)
        ]
        try:
            run_tasks(tasks, workers=processes, threads=threads, on_event=listen)
        except TrainingError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            raise TrainingError(
                f"Anchors of {language}: one of {processes} processes was killed, perhaps for want of memory. Expected "
                "it to finish. Take fewer processes, or a lower max_types."
            ) from error
        return reduce(lambda sums, part: sums + load_sums(part), parts[1:], load_sums(parts[0]))


def _sum_share(
    load_encoder: Callable[[], Encoder],
    read: Callable[[], Iterable[Sentence]],
    *,
    language: str,
    settings: AnchorSettings | None,
    words: Collection[str] | None,
    share: Share,
    folder: Path,
) -> None:
    """Do one process's share and leave the sums in a folder."""

    def tell(sentences: int, words: int) -> None:
        report("progress", sentences=sentences, words=words)

    sums = sum_anchors(load_encoder(), read(), settings=settings, words=words, share=share, progress=tell)
    save_sums(folder, sums, language=language)


def gather_occurrences(
    encoder: Encoder,
    sentences: Iterable[Sentence],
    words: Collection[str],
    *,
    layer: int,
    limit: int,
    batch_words: int = 4096,
) -> dict[str, Float32[Tensor, "_ width"]]:
    """Gather the vectors in context of some words, in one layer.

    Args:
        encoder: The encoder of the language.
        sentences: Read until every word was seen ``limit`` times, which for a rare word may be to the end. Only
            sentences that are needed are encoded.
        words: Word types, as they are written in the text.
        layer: 0 is the character layer.
        limit: Occurrences per word: the first so many of the text.
        batch_words: Words encoded together, padding included. Steers speed and memory, never the result.

    Returns:
        For every word asked for, in the order given, its vectors in the order of the text; none for a word that does
        not occur.

    Raises:
        KeyboardInterrupt: Somebody asked to stop.
    """
    found: dict[str, list[Tensor]] = {word: [] for word in words}
    missing = dict.fromkeys(found, limit)
    batch: list[Sentence] = []
    wanted: list[tuple[int, int, str]] = []  # place of the sentence in the batch, place of the word in it, the word

    def encode() -> None:
        raise_if_stop_requested()
        with torch.no_grad():
            vectors = encoder.encode(batch).layer(layer)  # batch words width
        for row, column, word in wanted:
            found[word].append(vectors[row, column].float().cpu())
        batch.clear()
        wanted.clear()

    for sentence in sentences:
        places = []
        for column, form in enumerate(sentence.forms):
            if missing.get(form, 0) > 0:
                missing[form] -= 1
                places.append((column, form))
        if places:
            if batch and max(map(len, [*batch, sentence])) * (len(batch) + 1) > batch_words:
                encode()
            wanted += [(len(batch), column, form) for column, form in places]
            batch.append(sentence)
        if not any(missing.values()):
            break
    if batch:
        encode()
    return {word: torch.stack(vectors) if vectors else torch.zeros(0, encoder.width) for word, vectors in found.items()}


def with_layer_0(anchors: Sequence[Anchors], encoder: Encoder) -> tuple[Anchors, ...]:
    """Put the anchors of layer 0 before those of the other layers, if they are missing.

    Layer 0 knows no context: all occurrences of a word type have the vector that the encoder has for the word alone. So
    who keeps the encoder need not keep these anchors.

    Args:
        anchors: Of one language, lowest layer first.
        encoder: The one that they were gathered with.

    Returns:
        All layers. The mean norm of the new ones is that of the tokens of the given word types only.
    """
    first = anchors[0]
    if first.layer == 0:
        return tuple(anchors)
    words = [Sentence.of_forms([word], language=first.language) for word in first.words]
    with torch.no_grad():
        found = encoder.encode(words).layer(0)[:, 0]  # types width
    lowest = Anchors.of_vectors(first.words, found.cpu(), language=first.language, counts=first.counts.tolist())
    return (lowest, *anchors)


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
