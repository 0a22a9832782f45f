"""Vectors of known sentences, computed once and kept on disk: an `Encoder` that only looks them up.

A frozen encoder's vectors of a treebank never change. They are written once, as float16 and before any alignment, so
that all parsers share them whatever alignment they read through; and they are mapped into memory, so that a process
holds only what it is reading. A sentence is found by its words, wherever it comes from.

A folder of them holds `vectors.npy` (all words end to end: words × layers × width) and `sentences.json` (where each
sentence begins).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.artifacts import write_atomically, writing_to
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import ArtifactError, DataError
from isogloss.shapes import mask_of_lengths

VECTORS, SENTENCES = "vectors.npy", "sentences.json"


@runtime_checkable
class SentenceEncoder(Protocol):
    """What `store_vectors` needs of an encoder."""

    def iterate(self, sentences: Iterable[Sentence]) -> Iterable[Float[Tensor, "words layers width"]]:
        """Return the vectors of a text, one tensor per sentence and in order."""
        ...


class StoredEncoder:
    """An `Encoder` of the sentences whose vectors a folder holds, and of no others."""

    def __init__(self, vectors: np.ndarray, starts: dict[str, int], *, place: Path | str = "Stored vectors") -> None:
        """Wrap vectors that are already there.

        Args:
            vectors: words × layers × width, float16; may be mapped from a file.
            starts: By `_name` of a sentence, the row of its first word.
            place: How messages begin.
        """
        self._vectors, self._starts, self._place = vectors, starts, place

    @property
    def layers(self) -> int:
        """As many as the encoder had."""
        return self._vectors.shape[1]

    @property
    def width(self) -> int:
        """Of every vector."""
        return self._vectors.shape[2]

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        """Return the vectors of every word, float32, zero where a sentence has ended.

        Raises:
            DataError: A sentence is not among those that were stored.
        """
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, self.layers, self.width)
        for number, sentence in enumerate(sentences):
            start = self._starts.get(_name(sentence))
            if start is None:
                words = " ".join(sentence.forms[:8])
                raise DataError(
                    f"{self._place}: no vectors of the sentence {words!r} ({len(sentence)} words). Expected one of the "
                    f"{len(self._starts):,} sentences that were encoded. Encode its treebank first."
                )
            # Copied: what is mapped from a file that is open for reading only must not become a tensor.
            rows = np.array(self._vectors[start : start + len(sentence)])
            vectors[number, : len(sentence)] = torch.from_numpy(rows)
        return ContextualEmbeddings(vectors, mask)

    @classmethod
    def load(cls, folder: Path) -> "StoredEncoder":
        """Map the vectors that `store_vectors` wrote.

        Raises:
            ArtifactError: A file is missing or damaged.
        """
        path = Path(folder) / SENTENCES
        try:
            starts = {str(name): int(start) for name, start in json.loads(path.read_text(encoding="utf-8")).items()}
            path = Path(folder) / VECTORS
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
            if vectors.ndim != 3 or vectors.dtype != np.float16:
                raise ValueError(f"{vectors.dtype}, {vectors.ndim} dimensions")
        except (OSError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"{path}: not readable as stored vectors ({error}). Expected what isogloss wrote. Delete {folder} and "
                f"run again."
            ) from error
        return cls(vectors, starts, place=folder)


def store_vectors(
    folder: Path, encoder: SentenceEncoder, sentences: Iterable[Sentence], *, shape: tuple[int, int]
) -> int:
    """Write the vectors of sentences of one language into an existing folder; equal sentences are written once.

    Args:
        folder: Where to.
        encoder: Gives the same vectors to a sentence whatever stands beside it.
        sentences: Any; those without words are passed over.
        shape: Layers and width of the encoder.

    Returns:
        How many words were encoded.

    Raises:
        OutputError: The disk is full or the folder is not writable.
    """
    by_name = {_name(sentence): sentence for sentence in sentences if len(sentence)}
    words = sum(map(len, by_name.values()))
    starts: dict[str, int] = {}
    with writing_to(folder):
        vectors = np.lib.format.open_memmap(folder / VECTORS, mode="w+", dtype=np.float16, shape=(words, *shape))
        place = 0
        for name, found in zip(by_name, encoder.iterate(by_name.values()), strict=True):
            vectors[place : place + len(found)] = found.numpy()
            starts[name] = place
            place += len(found)
        vectors.flush()
    write_atomically(folder / SENTENCES, json.dumps(starts) + "\n")
    return words


def _name(sentence: Sentence) -> str:
    """Return what tells a sentence from all with other words."""
    return hashlib.blake2b("\x00".join(sentence.forms).encode(), digest_size=16).hexdigest()
