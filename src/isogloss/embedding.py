"""The command `isogloss embed`: a text and a language model in, the vectors of every word out."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.commands import checked, readable, sound_model
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event
from isogloss.errors import OutputError, RecipeError, TextError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from isogloss.corpus.sentence import Sentence
    from isogloss.encoders.elmo.embedder import ELMoEncoder

SECONDS_BETWEEN_EVENTS = 0.5


def embed(
    model: Path,
    text: Path,
    out: Path,
    *,
    tokenised: bool = False,
    layers: Sequence[int] = (),
    dtype: str = "float32",
    half: bool = False,
    batch_words: int | None = None,
    stateful: bool = False,
    batch_size: int = 64,
    threads: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, Any]:
    """Write the vectors of every line of a text as safetensors: layers × words × width.

    Each tensor is named by the number of its line, from 0. A line without words has none. Memory does not grow with
    the text.

    Args:
        model: Folder of a language model.
        text: One sentence a line; plain, gz, xz or zst.
        out: The file. It appears when it is whole.
        tokenised: Words are already apart.
        layers: Which layers to write; all by default.
        dtype: What to compute in: float32, or bfloat16, which is sooner done and good to about two digits.
        half: Store numbers as float16 instead of float32.
        batch_words: Words read together. Steers speed and memory; in float32 never the result, in bfloat16 its last
            digit.
        stateful: Read as bilm-tf and AllenNLP do, see `StatefulReader`: the vectors depend on what was read before.
        batch_size: Sentences read together if `stateful`; the vectors depend on it.
        threads: Of the matrix products.
        on_event: Called with events of progress.

    Returns:
        Sentences, words, layers, width, seconds and words per second.

    Raises:
        RecipeError: A value is not what it should be.
        ArtifactError: There is no language model.
        TextError: The text cannot be read or holds no words.
        OutputError: The file cannot be written; nothing is left behind.
    """
    if dtype not in ("float32", "bfloat16"):
        raise RecipeError(f"--dtype: found {dtype!r}. Expected float32 or bfloat16. Choose one.")
    for name, number in (("--batch-words", batch_words), ("--batch-size", batch_size)):
        if number is not None and number < 1:
            raise RecipeError(f"{name}: found {number}. Expected 1 or more. Change it.")
    threads = checked(ComputeSettings, threads=threads).threads
    sound_model(model)
    readable(text)
    if Path(out).resolve() == Path(text).resolve():
        raise OutputError(f"{out}: is the text itself. Expected another file for its vectors. Choose another name.")

    import torch

    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.streams import TextFile
    from isogloss.encoders.elmo.vectors_file import count_words, write_vectors

    torch.set_num_threads(threads)
    encoder = ELMoEncoder.load(Path(model), dtype=getattr(torch, dtype))
    chosen = sorted(set(layers)) or list(range(encoder.layers))
    if not 0 <= chosen[0] <= chosen[-1] < encoder.layers:
        wrong = chosen[0] if chosen[0] < 0 else chosen[-1]
        raise RecipeError(
            f"--layer: found {wrong}. Expected 0 (characters) to {encoder.layers - 1}, the last layer of {model}. "
            f"Change it."
        )
    file_of_text = TextFile(Path(text), encoder.language, tokenised)
    name = Path(out).name
    on_event({"event": "run", "recipe": name, "stages": [name], "kept": []})
    on_event({"event": "started", "task": name})
    lines, lengths = count_words(file_of_text)
    if not lines:
        raise TextError(
            f"{text}: there are no words in this file. Expected text, one sentence a line. Check that it is the right "
            f"file."
        )
    words, begun = sum(lengths), time.monotonic()

    def encode(sentences: Iterable["Sentence"]) -> Iterator["Float[Tensor, 'words layers width']"]:
        if stateful:
            return _read_stateful(encoder, sentences, batch_size)
        return encoder.iterate(sentences, batch_words=batch_words)

    write_vectors(
        Path(out),
        file_of_text,
        encode,
        layers=chosen,
        width=encoder.width,
        lines=lines,
        lengths=lengths,
        dtype=torch.float16 if half else torch.float32,
        on_sentence=_telling(on_event, name, words),
    )
    on_event({"event": "finished", "task": name})
    seconds = time.monotonic() - begun
    return {
        "sentences": len(lines),
        "words": words,
        "layers": len(chosen),
        "width": encoder.width,
        "seconds": round(seconds, 2),
        "words_per_second": round(words / seconds) if seconds else None,
    }


def _read_stateful(
    encoder: "ELMoEncoder", sentences: Iterable["Sentence"], size: int
) -> Iterator["Float[Tensor, 'words layers width']"]:
    """Encode batches of so many sentences, in order, each beginning in the state that the one before left."""
    from isogloss.encoders.elmo.stateful import StatefulReader

    reader, coming = StatefulReader(encoder), iter(sentences)
    while batch := list(islice(coming, size)):
        found = reader.encode(batch)
        for vectors, sentence in zip(found.vectors, batch, strict=True):
            yield vectors[: len(sentence)]


def _telling(on_event: Callable[[Event], None], name: str, total: int) -> Callable[[int], None]:
    """Return what is to be called after each sentence with its words; it reports a few times a second."""
    begun = reported = time.monotonic()
    sentences = done = 0

    def tell(words: int) -> None:
        nonlocal reported, sentences, done
        sentences, done = sentences + 1, done + words
        now = time.monotonic()
        if now - reported >= SECONDS_BETWEEN_EVENTS:
            reported = now
            rate = done / (now - begun)
            left = round((total - done) / rate, 1)
            facts = {"done": sentences, "total": None, "rate": round(rate), "unit": "words", "seconds_left": left}
            on_event({"event": "progress", "task": name, **facts})

    return tell
