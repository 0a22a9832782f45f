"""Train a bidirectional language model on raw text."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.devices import matrix_products_in
from isogloss.compute.loop import Progress, Step, optimise
from isogloss.compute.processes import ALONE, Processes
from isogloss.compute.randomness import seeded_torch
from isogloss.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from isogloss.encoders.elmo.anchoring import RichLanguage
from isogloss.encoders.elmo.bilm import BiLM, StreamBatch
from isogloss.encoders.elmo.counting import Transfer, count_text, held_out_sentences, start_from_counts
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.packing import pack
from isogloss.encoders.elmo.pull import Pull
from isogloss.encoders.elmo.recurrent import State
from isogloss.encoders.elmo.settings import SIZES, BiLMTrainingSettings
from isogloss.encoders.elmo.streams import TextFile, TextStreams, rows_of, spellings
from isogloss.errors import TrainingError

WORDS_PER_EVALUATION_BATCH = 1000
MOST_NATS = 700.0
"""Nats per word of a model that has gone astray; the perplexity of more would be no number any more."""


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
        return math.exp(min(self.forward_nats / self.words, MOST_NATS))

    @property
    def backward(self) -> float:
        """Perplexity of the backward direction."""
        return math.exp(min(self.backward_nats / self.words, MOST_NATS))

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
    device = model.softmax.weight.device
    total = Perplexity(0.0, 0.0, 0)
    for group in _groups(sorted(sentences, key=len), WORDS_PER_EVALUATION_BATCH):
        batch = pack(group)
        ids = torch.from_numpy(vocabulary.encode(batch.types)).to(device)
        types = model.without_context(spellings(batch.types).to(device), ids)
        nats = [0.0, 0.0]
        for direction in (0, 1):
            inputs, targets = batch.inputs[direction].to(device), ids[batch.targets[direction].to(device)]
            *_, last = model.read(types, inputs, batch.active, batch.begins, direction=direction)
            for start in range(0, len(targets), WORDS_PER_EVALUATION_BATCH):  # one sentence may be very long
                some = slice(start, start + WORDS_PER_EVALUATION_BATCH)
                nats[direction] += float(model.softmax.exact_loss(last[some], targets[some])) * len(targets[some])
        total += Perplexity(nats[0], nats[1], batch.inputs.shape[1])
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
    """The recurrent states that the streams' rows carry from chunk to chunk, of this process's rows."""

    def __init__(self, states: list[State], processes: Processes) -> None:
        self.states, self._processes = states, processes

    def state_dict(self) -> dict[str, Tensor]:
        """Return the states of all rows; processes that train together call this together."""
        return {
            f"{name}-{index}": self._processes.gather(getattr(state, name), dim=1)
            for index, state in enumerate(self.states)
            for name in state._fields
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the states of this process's rows."""

        def own(value: Tensor) -> Tensor:
            return value[:, self._processes.share(value.shape[1])].contiguous().to(self._processes.device)

        self.states = [
            State(*(own(state[f"{name}-{index}"]) for name in State._fields)) for index in range(len(self.states))
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
    on_evaluation: Callable[[Perplexity], None] = lambda perplexity: None,
    precision: str = "float32",
    processes: Processes = ALONE,
    transfer: Transfer | None = None,
    beside: RichLanguage | None = None,
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
        on_evaluation: Called with every measurement on held-out text, before the step that it belongs to.
        precision: Of the matrix products of training, ``float32`` or ``bfloat16``. Evaluation is in float32.
        processes: Those that train together, and the device of this one; each trains its share of the rows.
        transfer: How the model starts from another one; see `mapping/transfer.py`.
        beside: A rich language, to whose words those of this one are pulled; see `pull.py`.

    Returns:
        An encoder, on the CPU. Its card tells tokens, perplexity on held-out lines, and time.

    Raises:
        TextError: The file cannot be read or holds no words.
        DictionaryError: There is a rich language, and no pair is of words that both know.
        TrainingError: The text is too short, the rows cannot be shared, the rich language's model has another width, or
            the loss became infinite.
    """
    if settings.rows % processes.world:
        raise TrainingError(
            f"rows: found {settings.rows}, to be shared by {processes.world} processes. Expected a multiple of "
            f"{processes.world}. Choose such a number of rows, or of processes."
        )
    corpus = TextFile(Path(text), language, tokenised, settings.held_out_every, max_sentences)
    held_out = held_out_sentences(corpus, settings)
    counted = count_text(corpus, settings)
    if not held_out or counted.words < 2 * settings.unroll:
        raise TrainingError(
            f"{text}: {counted.sentences + len(held_out)} sentences with {counted.words} words to train on. A language "
            f"model needs at least {settings.held_out_every} sentences (one in {settings.held_out_every} is held out) "
            f"and {2 * settings.unroll} words. Add text, or lower held_out_every."
        )
    per_step = settings.rows * settings.unroll
    steps = min(settings.loop.max_steps, math.ceil(settings.epochs * (counted.words + counted.sentences) / per_step))
    loop = settings.loop.model_copy(
        update={"max_steps": steps, "warmup_steps": min(settings.loop.warmup_steps, steps // 10)}
    )
    vocabulary, device = counted.vocabulary, processes.device
    shape = SIZES[settings.model] if isinstance(settings.model, str) else settings.model
    pull = None
    if beside is not None and settings.anchoring.pulls:
        pull = Pull.towards(
            beside,
            vocabulary=vocabulary,
            width=shape.projection_width,
            settings=settings.anchoring,
            processes=processes,
        )
    progress = Progress()
    with seeded_torch(seed, "language model", language):
        model = BiLM(shape, types=len(vocabulary), samples=settings.softmax_samples, dropout=settings.dropout)
        if not (checkpoints is not None and checkpoints.any()):
            if settings.start != "random":
                start_from_counts(model, counted, corpus, settings, seed=seed, transfer=transfer)
            if pull is not None:
                pull.start(model, vocabulary)
        model.to(device)
        pull = pull and pull.to(device)
        streams = TextStreams(corpus, vocabulary, rows=settings.rows, unroll=settings.unroll, seed=seed)
        rows = processes.share(settings.rows)
        carried = _Carried(model.zero_states(rows.stop - rows.start), processes)

        def loss(batch: StreamBatch) -> Tensor:
            own = (rows_of(batch, rows) if processes.world > 1 else batch).to(device)
            with matrix_products_in(precision, device):
                layers, carried.states = model.read_chunk(own, carried.states, processes=processes)
                value = model.prediction_loss(own, layers[-1], processes=processes)
                if pull is not None:
                    value = value + pull.loss(model, own, layers, done=progress.step / steps, processes=processes)
            return value

        def measure() -> Perplexity:
            own = sorted(held_out, key=len)[processes.rank :: processes.world]
            found = measure_perplexity(model, vocabulary, own)
            forward, backward, words = processes.sums([found.forward_nats, found.backward_nats, float(found.words)])
            return Perplexity(forward, backward, round(words))

        def evaluate() -> float:
            found = measure()
            on_evaluation(found)
            return -found.mean_nats

        for step in optimise(
            model,
            streams,
            loss=loss,
            evaluate=evaluate,
            settings=loop,
            carried=carried,
            checkpoints=checkpoints,
            describe=streams.describe,
            progress=progress,
            processes=processes,
        ):
            on_step(step, steps)
    perplexity = measure()
    held_out_words = [word for sentence in held_out for word in sentence]
    seconds = progress.seconds
    card = {
        "language": language,
        "training_words": counted.words,
        "training_sentences": counted.sentences,
        "counted_words": counted.counted_words,
        "steps": progress.step,
        "seconds": round(seconds, 1),
        "words_per_second": round(progress.step * per_step / seconds) if seconds else None,
        "held_out_words": perplexity.words,
        "forward_perplexity": round(perplexity.forward, 3),
        "backward_perplexity": round(perplexity.backward, 3),
        "vocabulary": len(vocabulary),
        "share_unknown": round(float((vocabulary.encode(held_out_words) == UNKNOWN_ID).mean()), 5),
        "seed": seed,
    }
    if pull is not None:
        card |= pull.facts(model)
    return ELMoEncoder(model.cpu(), settings=shape, vocabulary=vocabulary, language=language, card=card)
