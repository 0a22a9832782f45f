"""One language while its model is being trained: its text, its model, and where the reading of the text stands.

A training holds one `Learner`, see `training.py`, or several whose models share their recurrent layers, see
`polyglot.py`. The learner gives losses of batches and measures itself on held-out lines; the steps are taken elsewhere.
"""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from isogloss.compute.processes import ALONE, Processes
from isogloss.corpus.vocabulary import UNKNOWN_ID
from isogloss.encoders.elmo.bilm import BiLM, StreamBatch
from isogloss.encoders.elmo.counting import (
    CountedText,
    Transfer,
    count_text,
    held_out_sentences,
    start_from_counts,
)
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.perplexity import Perplexity, measure_perplexity
from isogloss.encoders.elmo.pull import Pull
from isogloss.encoders.elmo.recurrent import State
from isogloss.encoders.elmo.settings import SIZES, BiLMSettings, BiLMTrainingSettings
from isogloss.encoders.elmo.streams import TextFile, TextStreams, rows_of
from isogloss.errors import TrainingError


@dataclass(frozen=True)
class TextToLearn:
    """A text that was counted, and the lines of it that no training reads."""

    corpus: TextFile
    counted: CountedText
    held_out: list[list[str]]

    @classmethod
    def read(cls, corpus: TextFile, settings: BiLMTrainingSettings) -> "TextToLearn":
        """Count a text.

        Raises:
            TextError: The file cannot be read or holds no words.
            TrainingError: The text is too short.
        """
        held_out = held_out_sentences(corpus, settings)
        counted = count_text(corpus, settings)
        if not held_out or counted.words < 2 * settings.unroll:
            raise TrainingError(
                f"{corpus.path}: {counted.sentences + len(held_out)} sentences with {counted.words} words to train on. "
                f"A language model needs at least {settings.held_out_every} sentences (one in "
                f"{settings.held_out_every} is held out) and {2 * settings.unroll} words. Add text. (In a "
                f"recipe, encoders.held_out_every may be lowered, too.)"
            )
        return cls(corpus, counted, held_out)

    def steps(self, settings: BiLMTrainingSettings) -> int:
        """Return how many steps the asked-for passes over the text take."""
        per_step = settings.rows * settings.unroll
        return math.ceil(settings.epochs * (self.counted.words + self.counted.sentences) / per_step)


def shape_of(settings: BiLMTrainingSettings) -> BiLMSettings:
    """Return the shape of the model, which settings may tell by the name of a size."""
    return SIZES[settings.model] if isinstance(settings.model, str) else settings.model


class Learner:
    """A language's model in training."""

    def __init__(
        self,
        text: TextToLearn,
        settings: BiLMTrainingSettings,
        *,
        seed: int,
        processes: Processes = ALONE,
        recurrent: nn.ModuleList | None = None,
        pull: Pull | None = None,
    ) -> None:
        """Make a fresh model; `start` gives it its start.

        Args:
            text: What it learns from.
            settings: Size, rows, dropout and the rest.
            seed: Of samples and of the order of lines.
            processes: Those that train together; each trains its share of the rows.
            recurrent: Layers of another language's model, to be shared with it.
            pull: What draws words of this language to those of a rich one.
        """
        self.text, self.settings, self._seed, self._processes, self._pull = text, settings, seed, processes, pull
        vocabulary = text.counted.vocabulary
        self.model = BiLM(
            shape_of(settings), types=len(vocabulary), samples=settings.softmax_samples, dropout=settings.dropout
        )
        if recurrent is not None:
            self.model.recurrent = recurrent
        self._rows = processes.share(settings.rows)
        self.streams = TextStreams(text.corpus, vocabulary, rows=settings.rows, unroll=settings.unroll, seed=seed)

    def start(self, transfer: Transfer | None = None) -> None:
        """Let words begin where counts, another model or their translations put them."""
        if self.settings.start != "random":
            start_from_counts(
                self.model, self.text.counted, self.text.corpus, self.settings, seed=self._seed, transfer=transfer
            )
        if self._pull is not None:
            self._pull.start(self.model, self.text.counted.vocabulary)

    def begin(self, *, held: float = 0.0) -> None:
        """Go to the device of this process, at the begin of the text.

        Args:
            held: Share of all steps for which the recurrent layers stay as they are.
        """
        self._held = held
        device = self._processes.device
        self.model.to(device)
        self._pull = self._pull and self._pull.to(device)
        self.carried = Carried(self.model.zero_states(self._rows.stop - self._rows.start), self._processes)

    def loss(self, batch: StreamBatch, *, done: float) -> Tensor:
        """Return the loss of the next batch in nats per word, the pull included.

        Args:
            batch: The next one of `streams`, all rows.
            done: Share of all steps that lie behind.
        """
        self.model.recurrent.requires_grad_(done >= self._held)
        own = (rows_of(batch, self._rows) if self._processes.world > 1 else batch).to(self._processes.device)
        layers, self.carried.states = self.model.read_chunk(own, self.carried.states, processes=self._processes)
        value = self.model.prediction_loss(own, layers[-1], processes=self._processes)
        if self._pull is not None:
            value = value + self._pull.loss(self.model, own, layers, done=done, processes=self._processes)
        return value

    def perplexity(self) -> Perplexity:
        """Measure the model on the held-out lines, each process a share of them."""
        processes, held_out = self._processes, sorted(self.text.held_out, key=len)
        found = measure_perplexity(
            self.model, self.text.counted.vocabulary, held_out[processes.rank :: processes.world]
        )
        forward, backward, words = processes.sums([found.forward_nats, found.backward_nats, float(found.words)])
        return Perplexity(forward, backward, round(words))

    def encoder(self, *, perplexity: Perplexity, steps: int, seconds: float) -> ELMoEncoder:
        """Return what was learned, on the CPU, with a card that tells how.

        Args:
            perplexity: Of the model as it is now. Models that share layers are all measured before one is moved.
            steps: That were taken.
            seconds: That they took.
        """
        counted = self.text.counted
        held_out_words = [word for sentence in self.text.held_out for word in sentence]
        per_step = self.settings.rows * self.settings.unroll
        card = {
            "language": self.text.corpus.language,
            "training_words": counted.words,
            "training_sentences": counted.sentences,
            "counted_words": counted.counted_words,
            "steps": steps,
            "seconds": round(seconds, 1),
            "words_per_second": round(steps * per_step / seconds) if seconds else None,
            "held_out_words": perplexity.words,
            "forward_perplexity": round(perplexity.forward, 3),
            "backward_perplexity": round(perplexity.backward, 3),
            "vocabulary": len(counted.vocabulary),
            "share_unknown": round(float((counted.vocabulary.encode(held_out_words) == UNKNOWN_ID).mean()), 5),
            "seed": self._seed,
        }
        if self._pull is not None:
            card |= self._pull.facts(self.model)
        return ELMoEncoder(
            self.model.cpu(),
            settings=shape_of(self.settings),
            vocabulary=counted.vocabulary,
            language=self.text.corpus.language,
            card=card,
        )


class Carried:
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
