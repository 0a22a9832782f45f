"""Train a bidirectional language model on raw text."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.compute.loop import Step, optimise
from isogloss.compute.randomness import derive_seed, seeded_torch
from isogloss.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from isogloss.encoders.elmo.bilm import BiLM, StreamBatch, lay_out
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.recurrent import State
from isogloss.encoders.elmo.settings import SIZES, BiLMTrainingSettings
from isogloss.encoders.elmo.streams import TextFile, TextStreams, spellings
from isogloss.encoders.static import cooccurrence_vectors
from isogloss.errors import TrainingError

log = logging.getLogger(__name__)

WORDS_PER_EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts held-out text: summed negative log-likelihoods, which add up."""

    forward_nats: float
    backward_nats: float
    words: int
    """Words predicted by each direction, the end of a sentence included."""

    def __add__(self, other: "Perplexity") -> "Perplexity":
        return Perplexity(
            self.forward_nats + other.forward_nats,
            self.backward_nats + other.backward_nats,
            self.words + other.words,
        )

    @property
    def forward(self) -> float:
        """Perplexity of the forward direction: words predicted from those before them."""
        return math.exp(self.forward_nats / self.words)

    @property
    def backward(self) -> float:
        """Perplexity of the backward direction."""
        return math.exp(self.backward_nats / self.words)

    @property
    def mean_nats(self) -> float:
        """Nats per word, both directions together."""
        return (self.forward_nats + self.backward_nats) / (2 * self.words)


@torch.no_grad()
def measure_perplexity(model: BiLM, vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]) -> Perplexity:
    """Measure both directions with the exact softmax. Words outside the vocabulary count as ``<UNK>``.

    Args:
        model: In evaluation mode.
        vocabulary: Its softmax vocabulary.
        sentences: Held-out sentences, as words.
    """
    assert model.softmax is not None, "a model without a softmax has no perplexity"
    total = Perplexity(0.0, 0.0, 0)
    for group in _groups(sorted(sentences, key=len), WORDS_PER_EVALUATION_BATCH):
        batch = lay_out(group)
        type_ids = torch.from_numpy(vocabulary.encode(batch.words))
        types = model.without_context(spellings(batch.words), type_ids)
        layers = model.read(types, batch.inputs, batch.active)
        ids = type_ids[batch.inputs]  # directions steps rows
        # What comes next in one direction is what is read next, and after the last word the other end's mark.
        targets = torch.cat([ids[:, 1:], ids[:, :1]], dim=1)
        ends = ids[[1, 0], 0]
        nats = []
        for direction in (0, 1):
            spoken = torch.zeros_like(targets[direction], dtype=torch.bool)
            for row, length in enumerate(batch.lengths):
                targets[direction, length, row] = ends[direction, row]
                spoken[: length + 1, row] = True
            states, wanted = layers[-1][direction][spoken], targets[direction][spoken]
            nats.append(float(model.softmax.exact_loss(states, wanted)) * len(wanted))
        total += Perplexity(nats[0], nats[1], int(spoken.sum()))
    return total


def _groups(sentences: Sequence[Sequence[str]], words: int) -> Iterator[list[Sequence[str]]]:
    """Cut a list into groups of about so many words, padding included (sentences sorted by length)."""
    group: list[Sequence[str]] = []
    for sentence in sentences:
        if group and (len(group) + 1) * (len(sentence) + 1) > words:
            yield group
            group = []
        group.append(sentence)
    if group:
        yield group


class _Carried:
    """The recurrent states that the streams' rows carry from chunk to chunk."""

    def __init__(self, states: list[State]) -> None:
        self.states = states

    def state_dict(self) -> dict[str, Tensor]:
        return {
            f"{name}-{index}": getattr(state, name) for index, state in enumerate(self.states) for name in state._fields
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.states = [
            State(*(state[f"{name}-{index}"] for name in State._fields)) for index in range(len(self.states))
        ]


def train_bilm(
    text: Path | str,
    *,
    language: str,
    settings: BiLMTrainingSettings = BiLMTrainingSettings(),  # noqa: B008 - frozen
    seed: int = 1,
    tokenised: bool = False,
    max_sentences: int | None = None,
    checkpoints: Checkpoints | None = None,
    on_step: Callable[[Step, int], None] = lambda step, steps: None,
) -> ELMoEncoder:
    """Train a bidirectional language model on a file of raw text.

    Args:
        text: One sentence a line; plain, gz, xz or zst.
        language: Its code, which steers how words are split.
        settings: Size, passes, dropout and the rest.
        seed: Of weights, dropout, samples and the order of lines.
        tokenised: Words are already apart, with white space between them.
        max_sentences: Lines after this many are not read.
        checkpoints: Where to save and to resume from.
        on_step: Called after every step with the step and their planned number.

    Returns:
        An encoder. Its card tells tokens, perplexity on held-out lines, and time.

    Raises:
        TextError: The file cannot be read or holds no words.
        TrainingError: The text is too short, or the loss became infinite.
    """
    corpus = TextFile(Path(text), language, tokenised, settings.held_out_every, max_sentences)
    vocabulary, words, sentences = _count(corpus, settings)
    held_out = _held_out(corpus, settings)
    if not held_out or words < 2 * settings.unroll:
        raise TrainingError(
            f"{text}: {sentences + len(held_out)} sentences with {words} words to train on. A language model needs "
            f"at least {settings.held_out_every} sentences (one in {settings.held_out_every} is held out) and "
            f"{2 * settings.unroll} words. Add text, or lower held_out_every."
        )
    per_step = settings.rows * settings.unroll
    steps = min(settings.loop.max_steps, math.ceil(settings.epochs * (words + sentences) / per_step))
    loop = settings.loop.model_copy(
        update={"max_steps": steps, "warmup_steps": min(settings.loop.warmup_steps, steps // 10)}
    )
    shape = SIZES[settings.model] if isinstance(settings.model, str) else settings.model
    with seeded_torch(seed, "language model", language):
        model = BiLM(shape, types=len(vocabulary), samples=settings.softmax_samples, dropout=settings.dropout)
        if settings.start == "cooccurrences" and not (checkpoints is not None and checkpoints.any()):
            _start_from_counts(model, vocabulary, corpus, settings, seed)
        streams = TextStreams(corpus, vocabulary, rows=settings.rows, unroll=settings.unroll, seed=seed)
        carried = _Carried(model.zero_states(settings.rows))

        def loss(batch: StreamBatch) -> Tensor:
            value, carried.states = model.loss(batch, carried.states)
            return value

        seconds, taken = 0.0, steps
        for step in optimise(
            model,
            streams,
            loss=loss,
            evaluate=lambda: -measure_perplexity(model, vocabulary, held_out).mean_nats,
            settings=loop,
            carried=carried,
            checkpoints=checkpoints,
            describe=lambda batch: streams.describe(),
        ):
            seconds, taken = step.seconds, step.number
            on_step(step, steps)
    perplexity = measure_perplexity(model, vocabulary, held_out)
    held_out_words = [word for sentence in held_out for word in sentence]
    card = {
        "language": language,
        "training_words": words,
        "training_sentences": sentences,
        "steps": taken,
        "seconds": round(seconds, 1),
        "words_per_second": round(taken * per_step / seconds) if seconds else None,
        "held_out_words": perplexity.words,
        "forward_perplexity": round(perplexity.forward, 3),
        "backward_perplexity": round(perplexity.backward, 3),
        "vocabulary": len(vocabulary),
        "share_unknown": round(float((vocabulary.encode(held_out_words) == UNKNOWN_ID).mean()), 5),
        "seed": seed,
    }
    return ELMoEncoder(model, settings=shape, vocabulary=vocabulary, language=language, card=card)


def _start_from_counts(
    model: BiLM, vocabulary: Vocabulary, corpus: TextFile, settings: BiLMTrainingSettings, seed: int
) -> None:
    """Let words that stand near the same words begin with similar vectors, as input and as prediction."""
    assert model.softmax is not None
    width = model.softmax.weight.shape[1]

    def lines() -> Iterator[list[str]]:
        for line in corpus.lines(held_out=False):
            raise_if_stop_requested()
            yield corpus.words(line)

    vectors = cooccurrence_vectors(
        vocabulary,
        lines(),
        width=width,
        settings=settings.cooccurrences,
        seed=derive_seed(seed, "co-occurrences"),
    )
    with torch.no_grad():
        model.softmax.weight.copy_(vectors * width**-0.5)
        if model.word_vectors is not None:
            model.word_vectors.weight.copy_(vectors[: model.word_types])


def _count(corpus: TextFile, settings: BiLMTrainingSettings) -> tuple[Vocabulary, int, int]:
    """Count the training text once: vocabulary, words, sentences."""
    words = sentences = 0

    def lines() -> Iterator[list[str]]:
        nonlocal words, sentences
        for line in corpus.lines(held_out=False):
            raise_if_stop_requested()
            split = corpus.words(line)
            words, sentences = words + len(split), sentences + 1
            yield split

    vocabulary = Vocabulary.count(lines(), min_count=settings.min_count, max_size=settings.vocabulary_size)
    return vocabulary, words, sentences


def _held_out(corpus: TextFile, settings: BiLMTrainingSettings) -> list[list[str]]:
    sentences: list[list[str]] = []
    for line in corpus.lines(held_out=True):
        if len(sentences) == settings.held_out_sentences:
            break
        if words := corpus.words(line):
            sentences.append(words)
    return sentences
