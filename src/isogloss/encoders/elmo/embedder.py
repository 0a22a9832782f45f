"""A trained language model as an encoder: sentences in, vectors of every word and layer out.

Layer 0 is the character layer, said twice to be as wide as the others; layer k holds the forward and the backward
state of recurrent layer k, side by side. A sentence's vectors depend on that sentence alone: not on what stands
beside it in the batch, nor on the order of sentences.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor
from torch.overrides import TorchFunctionMode

from isogloss.artifacts import write_atomically
from isogloss.corpus.plain_text import composed
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.packing import pack
from isogloss.encoders.elmo.remembered import RememberedVectors
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.encoders.elmo.streams import spellings
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import ArtifactError
from isogloss.shapes import mask_of_lengths

BATCH_WORDS = 8192
"""Words that are read together by default, if their vectors fit into `BATCH_BYTES`: enough to fill the rows."""
BATCH_BYTES = 64 << 20
"""Memory for the vectors of words that are read together by default."""


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
        """Wrap a model, which is put into evaluation mode and must not be trained further in here.

        Vectors of word types are remembered, so later changes of the weights would be seen in part only.

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
        self._characters = RememberedVectors(settings.projection_width, self.without_context)

    @property
    def layers(self) -> int:
        """The character layer and the recurrent ones."""
        return self.settings.layers + 1

    @property
    def width(self) -> int:
        """Both directions together."""
        return 2 * self.settings.projection_width

    @property
    def batch_words(self) -> int:
        """Words that are read together by default."""
        return max(1, min(BATCH_WORDS, BATCH_BYTES // (4 * self.layers * self.width)))

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        """Return the vectors of every word, float32, zero where a sentence has ended."""
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, self.layers, self.width)
        places = mask.flatten().nonzero()[:, 0]
        done = 0
        for some in batches_of(sentences, words=self.batch_words):
            words = sum(map(len, some))
            self._fill(vectors.flatten(0, 1), places[done : done + words], some)
            done += words
        return ContextualEmbeddings(vectors, mask)

    def iterate(
        self, sentences: Iterable[Sentence], *, batch_words: int | None = None
    ) -> Iterator[Float[Tensor, "words layers width"]]:
        """Return the vectors of a text of any length, float32, one tensor per sentence and in order.

        Args:
            sentences: Read only as far as the next batch needs. A sentence without words gets a tensor without rows.
            batch_words: Words read together, or one longer sentence. Steers speed and memory, never the result.
        """
        for some in batches_of(sentences, words=batch_words or self.batch_words):
            lengths = [len(sentence) for sentence in some]
            vectors = torch.empty(sum(lengths), self.layers, self.width)
            self._fill(vectors, torch.arange(len(vectors)), some)
            yield from vectors.split(lengths)

    def _fill(
        self,
        vectors: Float[Tensor, "places layers width"],
        places: Int[Tensor, " words"],
        sentences: Sequence[Sentence],
    ) -> None:
        """Write the vectors of all words of some sentences to their places.

        The tensor comes from outside so that it is an ordinary one: what is made in inference mode cannot take part
        in training.
        """
        half = self.settings.projection_width
        with torch.inference_mode():
            batch = pack([sentence.forms for sentence in sentences])
            types = self._characters(batch.types)
            for direction in (0, 1):
                read = self.model.read(types, batch.inputs[direction], batch.active, batch.begins, direction=direction)
                for layer, said in enumerate(read):
                    part = vectors[:, layer, direction * half : (direction + 1) * half]
                    part.index_copy_(0, places, said.index_select(0, batch.places[direction]).float())

    def without_context(self, types: Sequence[str]) -> Float[Tensor, "types width"]:
        """Return layer 0 of word types, said once; they are read in normalisation form C, as all raw text is."""
        types = [composed(word) for word in types]
        return self.model.without_context(spellings(types), torch.from_numpy(self.vocabulary.encode(types)))

    def save(self, folder: Path, *, predicts: bool = True, dtype: torch.dtype = torch.float32) -> None:
        """Write weights, vocabulary, settings and card into an existing folder.

        Args:
            folder: Where to.
            predicts: Whether to keep the softmax, if the model has one. Without it a model is a good deal smaller, and
                of its vocabulary only the words are kept that have a vector of their own.
            dtype: How numbers are stored. They are float32 again when loaded.

        Raises:
            ArtifactError: A number is not finite, or too large for `dtype`.
            OutputError: The folder cannot be written.
        """
        predicts = predicts and self.model.softmax is not None
        weights = {
            name: weight.to(dtype).contiguous()
            for name, weight in self.model.state_dict().items()
            if predicts or not name.startswith("softmax.")
        }
        for name, weight in weights.items():
            if not torch.isfinite(weight).all():
                raise ArtifactError(
                    f"{name}: has numbers that are not finite in {dtype}. Expected numbers that it can hold. Keep the "
                    f"model in float32."
                )
        write_atomically(folder / "model.safetensors", to_safetensors(weights))
        vocabulary = self.vocabulary if predicts else self.vocabulary.cut(max_size=max(self.model.word_types, 3))
        vocabulary.save(folder / "vocabulary.txt")
        settings = {
            "language": self.language,
            "predicts": predicts,
            "model": self.settings.model_dump(mode="json"),
        }
        write_atomically(folder / "settings.json", json.dumps(settings, indent=2) + "\n")
        write_atomically(folder / "card.json", json.dumps(self.card, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, *, dtype: torch.dtype = torch.float32) -> "ELMoEncoder":
        """Read what `save` wrote.

        Weights that are stored as asked for are not copied: they are mapped from the file, which must therefore not
        be changed in place while the encoder lives. (isogloss never does; it puts a new file in the old one's place.)

        Args:
            folder: Where from.
            dtype: Of the weights and of what is computed with them. Vectors are always float32; in bfloat16 they come
                sooner and agree with those of float32 to about two digits.

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
            weights = {name: weight.to(dtype) for name, weight in load_file(path).items()}
            with torch.device("meta"), _Unfilled():  # neither memory nor chance for weights that are replaced at once
                model = BiLM(settings, types=len(vocabulary), predicts=bool(values.get("predicts", True)))
            model.load_state_dict(weights, assign=True)
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


class _Unfilled(TorchFunctionMode):
    """Within the block, normal numbers are not drawn.

    To fill a tensor that has no memory with them, PyTorch would load half of its compiler: a second and 50 megabytes.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return kwargs["tensor"] if func is torch.nn.init.normal_ else func(*args, **kwargs)


def batches_of(sentences: Iterable[Sentence], *, words: int) -> Iterator[list[Sentence]]:
    """Cut a stream in order into batches of at most so many words and sentences together, or of one longer sentence.

    Sentences count because each has a mark that is read too.
    """
    batch: list[Sentence] = []
    held = 0
    for sentence in sentences:
        if batch and held + len(sentence) + 1 > words:
            yield batch
            batch, held = [], 0
        batch.append(sentence)
        held += len(sentence) + 1
    if batch:
        yield batch
