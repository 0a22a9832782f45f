"""Reading as bilm-tf and AllenNLP read: what was read before goes on echoing.

Published readers of ELMo do not begin a sentence with an empty state. Row r of a batch begins with the state in which
row r of the batch before ended, in both directions and all layers, so a sentence's vectors depend on what was read
earlier, on the size of batches and on a sentence's place in its batch. `ELMoEncoder.encode` does nothing of the kind.
This reader is there to reproduce vectors that were made that way; for everything else the other one is the better.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.corpus.characters import BEGIN_OF_SENTENCE, END_OF_SENTENCE
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.recurrent import ProjectedLSTM, State
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.shapes import mask_of_lengths


class StatefulReader:
    """A language model as an `Encoder` that remembers, for each row of a batch, how the row before it ended."""

    def __init__(self, encoder: ELMoEncoder) -> None:
        """Begin with nothing read.

        Args:
            encoder: The model to read with. It is not changed, and several readers may share it.
        """
        self.encoder = encoder
        self.reset()

    @property
    def layers(self) -> int:
        """The character layer and the recurrent ones."""
        return self.encoder.layers

    @property
    def width(self) -> int:
        """Both directions together."""
        return self.encoder.width

    def reset(self) -> None:
        """Forget what was read."""
        self._states = self.encoder.model.zero_states(0)

    @torch.no_grad()
    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        """Return the vectors of every word, float32, zero where a sentence has ended; keep the final states.

        Sentence r begins with the state of row r, zeros if no batch had such a row yet. Rows that this batch does
        not have keep their state for a larger one. Each direction reads both ends of a sentence, ``<S>`` and
        ``</S>``, so the state that is carried on is the one after the far end.
        """
        lengths = [len(sentence) for sentence in sentences]
        mask = mask_of_lengths(lengths)
        vectors = torch.zeros(*mask.shape, self.layers, self.width)
        if not sentences:
            return ContextualEmbeddings(vectors, mask)
        steps = [length + 2 for length in lengths]
        hidden = self._without_context(sentences)
        read, states = [hidden], []
        for index, (layer, state) in enumerate(zip(self.encoder.model.recurrent, self._states, strict=True)):
            assert isinstance(layer, ProjectedLSTM), "every recurrent layer is one"
            outputs, after = _read_rows(layer, hidden, steps, _with_rows(state, len(steps)))
            hidden = outputs + hidden if index > 0 else outputs
            read.append(hidden)
            states.append(after)
        self._states = states
        half = self.width // 2
        stacked = torch.stack(read)  # layers directions steps rows half
        for row, length in enumerate(lengths):
            said = stacked[:, :, 1 : length + 1, row]  # layers directions words half
            vectors[row, :length, :, :half] = said[:, 0].transpose(0, 1)
            vectors[row, :length, :, half:] = said[:, 1].flip(1).transpose(0, 1)
        return ContextualEmbeddings(vectors, mask)

    def _without_context(self, sentences: Sequence[Sentence]) -> Float[Tensor, "directions steps rows width"]:
        """Return layer 0 of ``<S> w1 … wn </S>`` and of the same reversed, one sentence per row."""
        place: dict[str, int] = {}
        inputs: Int[Tensor, "directions steps rows"] = torch.zeros(
            2, max(map(len, sentences)) + 2, len(sentences), dtype=torch.long
        )
        for row, sentence in enumerate(sentences):
            words = (BEGIN_OF_SENTENCE, *sentence.forms, END_OF_SENTENCE)
            ids = torch.tensor([place.setdefault(word, len(place)) for word in words])
            inputs[0, : len(ids), row] = ids
            inputs[1, : len(ids), row] = ids.flip(0)
        return self.encoder.without_context(tuple(place))[inputs]


def _read_rows(
    layer: ProjectedLSTM, inputs: Float[Tensor, "directions steps rows width"], lengths: Sequence[int], state: State
) -> tuple[Float[Tensor, "directions steps rows width"], State]:
    """Run one layer over rows of unequal length.

    Args:
        layer: The layer.
        inputs: Direction 1 already reversed.
        lengths: Steps of each row.
        state: To begin with; its first rows are used.

    Returns:
        The outputs, zero where a row has ended, and the state after each row's last step.
    """
    outputs = torch.zeros_like(inputs)
    cell, output = state.cell.clone(), state.output.clone()
    for step in range(max(lengths)):
        rows = torch.tensor([row for row, length in enumerate(lengths) if step < length])
        now = inputs[:, step : step + 1].index_select(2, rows)
        begun = State(cell.index_select(1, rows), output.index_select(1, rows))
        outputs[:, step : step + 1, rows], after = layer(now, begun, now.new_ones(1, len(rows)))
        cell[:, rows], output[:, rows] = after
    return outputs, State(cell, output)


def _with_rows(state: State, rows: int) -> State:
    """Return a state with at least so many rows; new ones are zero."""
    missing = rows - state.cell.shape[1]
    if missing <= 0:
        return state
    return State(*(torch.cat([part, part.new_zeros(2, missing, part.shape[2])], dim=1) for part in state))
