"""A trained language model as an encoder: sentences in, vectors of every word and layer out.

Layer 0 is the character layer, said twice to be as wide as the others; layer k holds the forward and the backward
state of recurrent layer k, side by side. A sentence's vectors depend on that sentence alone: not on what stands
beside it in the batch, nor on the order of sentences.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from isogloss.artifacts import write_atomically
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import BiLM, lay_out
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.encoders.elmo.streams import spellings
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import ArtifactError
from isogloss.shapes import mask_of_lengths

REMEMBERED = 50_000
"""Word types whose character vectors are kept between batches."""


class ELMoEncoder:
    """A bidirectional language model of one language as an `Encoder`."""

    def __init__(
        self,
        model: BiLM,
        *,
        settings: BiLMSettings,
        vocabulary: Vocabulary,
        language: str,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        """Wrap a model, which is put into evaluation mode.

        Args:
            model: The trained network.
            settings: Its shape.
            vocabulary: Of its softmax.
            language: Code of its language.
            card: What is known of its training.
        """
        self.model = model.eval()
        self.settings, self.vocabulary, self.language = settings, vocabulary, language
        self.card = dict(card or {})
        self._places: dict[str, int] = {}
        self._vectors = torch.empty(0, settings.projection_width)

    @property
    def layers(self) -> int:
        """The character layer and the recurrent ones."""
        return self.settings.layers + 1

    @property
    def width(self) -> int:
        """Both directions together."""
        return 2 * self.settings.projection_width

    @torch.no_grad()
    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        """Return the vectors of every word, float32, zero where a sentence has ended."""
        if not sentences:
            return ContextualEmbeddings(torch.zeros(0, 0, self.layers, self.width), torch.zeros(0, 0, dtype=torch.bool))
        batch = lay_out([sentence.forms for sentence in sentences])
        read = self.model.read(self._characters(batch.words), batch.inputs, batch.active)
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, self.layers, self.width)
        half = self.settings.projection_width
        stacked = torch.stack(read)  # layers directions steps rows half
        for row, (index, length) in enumerate(zip(batch.order, batch.lengths, strict=True)):
            said = stacked[:, :, 1 : length + 1, row]  # layers directions words half
            vectors[index, :length, :, :half] = said[:, 0].transpose(0, 1)
            vectors[index, :length, :, half:] = said[:, 1].flip(1).transpose(0, 1)
        return ContextualEmbeddings(vectors, mask)

    def _characters(self, words: Sequence[str]) -> Float[Tensor, "types width"]:
        """Return the character layer's vectors; those of recent words are remembered."""
        new = [word for word in words if word not in self._places]
        if new:
            if len(self._places) + len(new) > REMEMBERED:
                self._places, self._vectors = {}, self._vectors[:0]
                new = list(words)
            self._places |= {word: len(self._places) + index for index, word in enumerate(new)}
            ids = torch.from_numpy(self.vocabulary.encode(new))
            self._vectors = torch.cat([self._vectors, self.model.without_context(spellings(new), ids)])
        return self._vectors[[self._places[word] for word in words]]

    def save(self, folder: Path, *, predicts: bool = True, dtype: torch.dtype = torch.float32) -> None:
        """Write weights, vocabulary, settings and card into an existing folder.

        Args:
            folder: Where to.
            predicts: Whether to keep the softmax, if the model has one. Without it a model is a good deal smaller.
            dtype: How numbers are stored. They are float32 again when loaded.
        """
        predicts = predicts and self.model.softmax is not None
        weights = {
            name: weight.to(dtype).contiguous()
            for name, weight in self.model.state_dict().items()
            if predicts or not name.startswith("softmax.")
        }
        write_atomically(folder / "model.safetensors", to_safetensors(weights))
        self.vocabulary.save(folder / "vocabulary.txt")
        settings = {
            "language": self.language,
            "predicts": predicts,
            "model": self.settings.model_dump(mode="json"),
        }
        write_atomically(folder / "settings.json", json.dumps(settings, indent=2) + "\n")
        write_atomically(folder / "card.json", json.dumps(self.card, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "ELMoEncoder":
        """Read what `save` wrote.

        Raises:
            ArtifactError: A file is missing, damaged, or does not fit the others; the message names it.
        """
        path = Path(folder) / "settings.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            language = str(values["language"])
            settings = BiLMSettings.model_validate(values["model"])
            path = Path(folder) / "card.json"
            card = dict(json.loads(path.read_text(encoding="utf-8")))
            path = Path(folder) / "vocabulary.txt"
            vocabulary = Vocabulary.load(path)
            path = Path(folder) / "model.safetensors"
            weights = from_safetensors(path.read_bytes())
            model = BiLM(settings, types=len(vocabulary), predicts=bool(values.get("predicts", True)))
            model.load_state_dict(weights)
        except FileNotFoundError as error:
            raise ArtifactError(
                f"{path}: no such file. Expected a language model that isogloss trained. Check the folder's name."
            ) from error
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            SafetensorError,
            ValidationError,
        ) as error:
            reason = str(error).splitlines()[-1].strip()
            raise ArtifactError(
                f"{path}: not readable as part of a language model ({reason}). Train it again, or copy it again."
            ) from error
        return cls(model, settings=settings, vocabulary=vocabulary, language=language, card=card)
