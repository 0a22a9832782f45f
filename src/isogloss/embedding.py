"""The command `isogloss embed`: a text and a language model in, the vectors of every word out, aligned if wanted."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from isogloss.alignment_folders import check_fits, open_alignments, warn_of_another_model
from isogloss.commands import checked, readable, sound_model
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event
from isogloss.errors import AlignmentError, OutputError, RecipeError, TextError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from isogloss.corpus.sentence import Sentence
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.mapping.alignment import Alignment

SECONDS_BETWEEN_EVENTS = 0.5
WORDS_MAPPED_TOGETHER = 2048


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
    aligned: Path | None = None,
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
        aligned: A folder of alignments. Vectors of its source language are mapped, each layer by its own alignment;
            those of its target language are multiplied by what makes them meet the mapped ones. The file's metadata
            then names the target language, as `aligned_to`.
        on_event: Called with events of progress.

    Returns:
        Sentences, words, layers, width, seconds and words per second; if aligned, with which language.

    Raises:
        RecipeError: A value is not what it should be.
        ArtifactError: There is no language model, or no alignment.
        AlignmentError: The alignments are of other languages, layers or widths than the model.
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

    from isogloss.corpus.raw_text import refuse_folder
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.streams import TextFile
    from isogloss.encoders.elmo.vectors_file import count_words, write_vectors

    refuse_folder(out)
    torch.set_num_threads(threads)
    encoder = ELMoEncoder.load(Path(model), dtype=getattr(torch, dtype))
    chosen = sorted(set(layers)) or list(range(encoder.layers))
    if not 0 <= chosen[0] <= chosen[-1] < encoder.layers:
        wrong = chosen[0] if chosen[0] < 0 else chosen[-1]
        raise RecipeError(
            f"--layer: found {wrong}. Expected 0 (characters) to {encoder.layers - 1}, the last layer of {model}. "
            f"Change it."
        )
    maps, aligned_to = {}, None
    if aligned is not None:
        maps, aligned_to = _maps(encoder, Path(aligned), chosen)
        side = "target" if encoder.language == aligned_to else "source"
        warn_of_another_model(Path(model), Path(aligned), side=side)
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
            found = _read_stateful(encoder, sentences, batch_size)
        else:
            found = encoder.iterate(sentences, batch_words=batch_words)
        return _mapped(found, maps) if maps else found

    def write(path: Path) -> None:
        write_vectors(
            path,
            file_of_text,
            encode,
            layers=chosen,
            width=encoder.width,
            lines=lines,
            lengths=lengths,
            dtype=torch.float16 if half else torch.float32,
            on_sentence=_telling(on_event, name, words),
        )

    if aligned_to is None:
        write(Path(out))
    else:
        _write_labelled(Path(out), write, {"aligned_to": aligned_to})
    on_event({"event": "finished", "task": name})
    seconds = time.monotonic() - begun
    return {
        "sentences": len(lines),
        "words": words,
        "layers": len(chosen),
        "width": encoder.width,
        "seconds": round(seconds, 2),
        "words_per_second": round(words / seconds) if seconds else None,
    } | ({"aligned_to": aligned_to} if aligned_to is not None else {})


def _maps(encoder: "ELMoEncoder", folder: Path, layers: Sequence[int]) -> tuple[dict[int, "Alignment"], str]:
    """Return what each layer's vectors are mapped by, and the language in whose space they are then.

    Raises:
        ArtifactError: There are no alignments.
        AlignmentError: They are not for this encoder.
    """
    from isogloss.mapping.alignment import Alignment

    alignments = open_alignments(folder)
    source, target = next((each.source, each.target) for each in alignments.values())
    if encoder.language not in (source, target):
        raise AlignmentError(
            f"--aligned {folder}: leads from {source} to {target}, but the model is of {encoder.language}. Expected an "
            f"alignment that begins or ends in {encoder.language}. Name another one."
        )
    missing = [layer for layer in layers if layer not in alignments]
    if missing:
        raise AlignmentError(
            f"--aligned {folder}: has no alignment of layer {', '.join(map(str, missing))}, only of "
            f"{', '.join(map(str, alignments))}. Expected one for each layer that is written. Choose layers "
            "with --layer."
        )
    maps = {layer: alignments[layer] for layer in layers}
    for layer, alignment in maps.items():
        check_fits(encoder, alignment, folder=folder)
        if encoder.language != source:
            own = {"layer": layer, "width": encoder.width, "scale": alignment.target_scale}
            maps[layer] = Alignment.identity(target, **own)
    return maps, target


def _mapped(
    sentences: Iterable["Float[Tensor, 'words layers width']"], maps: Mapping[int, "Alignment"]
) -> Iterator["Float[Tensor, 'words layers width']"]:
    """Map those layers that have a map; the others stay as they are. An alignment is made ready once for many words."""
    import torch

    held: list[Tensor] = []
    words = 0

    def mapped() -> Iterator["Tensor"]:
        vectors = torch.cat(held)  # words layers width
        for layer, alignment in maps.items():
            vectors[:, layer] = alignment.apply(vectors[:, layer])
        yield from vectors.split([len(each) for each in held])

    for vectors in sentences:
        held.append(vectors)
        words += len(vectors)
        if words >= WORDS_MAPPED_TOGETHER:
            yield from mapped()
            held, words = [], 0
    if held:
        yield from mapped()


def _write_labelled(out: Path, write: Callable[[Path], None], labels: Mapping[str, str]) -> None:
    """Write a safetensors file with more metadata than its writer gives it; it appears when it is whole.

    The header comes first in such a file, so the numbers are written elsewhere and then moved behind a longer header.
    """
    from isogloss.corpus.raw_text import write_whole

    try:
        scratch = TemporaryDirectory(dir=Path(os.path.realpath(out)).parent, prefix=".writing-")
    except OSError as error:
        raise OutputError(
            f"{out}: writing failed ({error.strerror}). Expected a folder that exists and may be written to. Choose "
            "another path."
        ) from error
    with scratch as folder:
        unlabelled = Path(folder) / "vectors"
        write(unlabelled)
        with unlabelled.open("rb") as numbers, write_whole(out) as file:
            header = json.loads(numbers.read(int.from_bytes(numbers.read(8), "little")))
            header["__metadata__"] |= labels
            content = json.dumps(header, separators=(",", ":")).encode()
            content += b" " * (-len(content) % 8)  # so that numbers stand at multiples of eight
            file.write(len(content).to_bytes(8, "little") + content)
            shutil.copyfileobj(numbers, file, length=1 << 22)


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
