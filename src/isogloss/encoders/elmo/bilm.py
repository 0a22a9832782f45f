"""The bidirectional language model: characters, recurrent layers, next-word softmax.

The forward direction predicts each word from those before it, the backward direction from those after it. A
sentence stands between ``<S>`` and ``</S>``; the state is empty at its begin, so that what the model says of a
sentence depends on that sentence alone (published models carried their state from one sentence to the next).

Source: Peters et al. (2018), arXiv:1802.05365.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from isogloss.compute.processes import ALONE, Processes
from isogloss.corpus.vocabulary import UNKNOWN_ID
from isogloss.encoders.elmo.character_cnn import CharacterCNN
from isogloss.encoders.elmo.recurrent import ProjectedLSTM, State
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.encoders.elmo.softmax import WordSoftmax


@dataclass(frozen=True)
class StreamBatch:
    """One chunk of several streams of text, in both directions."""

    spellings: Int[Tensor, "types characters"]
    """Each word type of the chunk once."""
    ids: Int[Tensor, " types"]
    """The vocabulary ids of these types."""
    inputs: Int[Tensor, "directions steps rows"]
    """Places in `spellings`."""
    targets: Int[Tensor, "directions steps rows"]
    """Vocabulary ids of the words to predict."""
    keep: Float[Tensor, "steps rows"]
    """0 where a sentence begins."""

    def to(self, device: torch.device) -> "StreamBatch":
        """Return the batch on a device."""
        return StreamBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class BiLM(nn.Module):
    """A bidirectional language model of one language."""

    def __init__(
        self,
        settings: BiLMSettings,
        *,
        types: int,
        samples: int = 4096,
        dropout: float = 0.0,
        predicts: bool = True,
    ) -> None:
        """Make the network.

        Args:
            settings: Its shape.
            types: Size of the vocabulary.
            samples: Rivals per training step, see `WordSoftmax`.
            dropout: Share of the inputs of each recurrent layer, and of the last outputs, dropped in training.
            predicts: Whether it has a softmax. Without, it gives vectors and can be neither trained nor measured.
        """
        super().__init__()
        self.characters = CharacterCNN(
            character_width=settings.character_width,
            filters=settings.filters,
            highways=settings.highways,
            width=settings.projection_width,
        )
        self.word_types = min(settings.word_types, types)
        self.word_vectors = nn.Embedding(self.word_types, settings.projection_width) if self.word_types else None
        if self.word_vectors is not None:
            nn.init.normal_(self.word_vectors.weight, std=settings.projection_width**-0.5)
        self.recurrent = nn.ModuleList(
            ProjectedLSTM(
                width=settings.projection_width,
                cell_width=settings.cell_width,
                cell_clip=settings.cell_clip,
                projection_clip=settings.projection_clip,
            )
            for _ in range(settings.layers)
        )
        self.softmax = WordSoftmax(types=types, width=settings.projection_width, samples=samples) if predicts else None
        self.dropout = dropout

    def zero_states(self, rows: int) -> list[State]:
        """Return the states of all layers before anything was read."""
        return [layer.zero_state(rows) for layer in self.recurrent]  # type: ignore[operator]

    def without_context(
        self, spellings: Int[Tensor, "types characters"], ids: Int[Tensor, " types"]
    ) -> Float[Tensor, "types width"]:
        """Return layer 0 of word types: the vector of their characters, plus their own if they have one.

        Args:
            spellings: Character ids.
            ids: Vocabulary ids. Only the first `word_types` have a vector of their own; ``<UNK>`` has none.
        """
        vectors = self.characters(spellings)
        if self.word_vectors is None:
            return vectors
        known = (ids < self.word_types) & (ids != UNKNOWN_ID)
        return vectors + self.word_vectors(ids.where(known, 0)) * known[:, None]

    def loss(
        self, batch: StreamBatch, states: Sequence[State], *, processes: Processes = ALONE
    ) -> tuple[Float[Tensor, ""], list[State]]:
        """Return the mean loss of both directions in nats per word, and the states to carry on with.

        Args:
            batch: What to read and to predict.
            states: From the chunk before.
            processes: Those that train together; the batch is this one's share of rows.
        """
        layers, carried = self.read_chunk(batch, states, processes=processes)
        return self.prediction_loss(batch, layers[-1], processes=processes), carried

    def read_chunk(
        self, batch: StreamBatch, states: Sequence[State], *, processes: Processes = ALONE
    ) -> tuple[list[Float[Tensor, "directions steps rows width"]], list[State]]:
        """Return what each recurrent layer makes of a chunk of text in training, and the states to carry on with."""
        types = self.without_context(batch.spellings, batch.ids)
        # One large look-up: index_select's gradient is many times quicker than that of an indexed assignment.
        hidden = types.index_select(0, batch.inputs.flatten()).view(*batch.inputs.shape, -1)
        dropout = self.dropout if self.training else 0.0
        layers: list[Tensor] = []
        carried: list[State] = []
        for index, (layer, state) in enumerate(zip(self.recurrent, states, strict=True)):
            outputs, after = layer(processes.dropout(hidden, dropout, dim=2), state, batch.keep)
            hidden = outputs + hidden if index > 0 else outputs
            layers.append(hidden)
            carried.append(after)
        return layers, carried

    def prediction_loss(
        self, batch: StreamBatch, last: Float[Tensor, "directions steps rows width"], *, processes: Processes = ALONE
    ) -> Float[Tensor, ""]:
        """Return the mean loss of both directions in nats per word, given the last layer."""
        assert self.softmax is not None, "a model without a softmax cannot be trained"
        hidden = processes.dropout(last, self.dropout if self.training else 0.0, dim=2)
        return self.softmax(hidden.flatten(0, 2), batch.targets.flatten())

    def read(
        self,
        types: Float[Tensor, "types width"],
        inputs: Int[Tensor, " tokens"],
        active: Sequence[int],
        begins: Sequence[Sequence[int]] | None = None,
        *,
        direction: int,
    ) -> Iterator[Float[Tensor, "tokens width"]]:
        """Read whole sentences in one direction, each from an empty state; yield layer 0, then each recurrent layer.

        Args:
            types: Vectors from `without_context`.
            inputs: Places in `types` in reading order, see `PackedSentences`.
            active: How many rows each step has.
            begins: Rows in which a sentence begins, for each step; if None, in the first step only.
            direction: 0 forward, 1 backward.
        """
        hidden = types.detach().index_select(0, inputs)
        yield hidden
        for index, layer in enumerate(self.recurrent):
            outputs = layer.read(hidden, active, begins, direction=direction)  # type: ignore[operator]
            hidden = outputs.add_(hidden) if index > 0 else outputs
            yield hidden
