"""Published ELMo weights, read and written exactly: ``weights.hdf5`` with its ``options.json``.

This is the format of bilm-tf, which AllenNLP reads and in which ELMo was published. It holds the same network as
ours in another arrangement, so both directions are one list of places: which part of which array of the file is
which part of which of our tensors. What differs but for the order of things:

- The gates of a cell stand as i, g, f, o (ours: o, i, f, g), and the forget gate's bias without the 1 that every
  reader adds. Our biases hold that 1. Adding it in float32 rounds off last digits, which no reader ever uses: what
  was read and is written again is the same file, but for forget biases that differ by that rounding, below 10⁻⁶.
- The file's highway layers carry the transformed value through, ours the input: weights and bias of the gate change
  their sign, since 1 − σ(z) = σ(−z).
- The character id 0, "no word here", has no row in the file.

Source: Peters et al. (2018), arXiv:1802.05365; https://github.com/allenai/bilm-tf.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isogloss.artifacts import write_atomically
from isogloss.corpus.characters import CHARACTERS
from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.published_options import options_of, read_options
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.errors import ArtifactError

WEIGHTS, OPTIONS = "weights.hdf5", "options.json"
"""The names under which `write_published` writes."""
_GATES, _GATES_IN_FILE = "oifg", "igfo"
_CELL = "RNN_{}/RNN/MultiRNNCell/Cell{}/LSTMCell/"


def read_published(weights: Path, options: Path, *, language: str) -> ELMoEncoder:
    """Read a published ELMo model. It gives vectors, but has no softmax, so it can be neither trained nor measured.

    Args:
        weights: The hdf5 file. Its ``char_embed`` has 261 rows or, with a first one for "no word here", 262.
        options: The JSON file. Keys that say nothing of the network's shape are passed over.
        language: Code of its language.

    Raises:
        ArtifactError: A file is missing or damaged, something in it is not as expected, or the two files contradict
            one another. The message names the file and the key.
    """
    weights, options = Path(weights), Path(options)
    settings, characters = read_options(options)
    arrays = _read_arrays(weights, options, settings, characters)
    vocabulary = Vocabulary(RESERVED, (0,) * len(RESERVED))
    model = BiLM(settings, types=len(vocabulary), predicts=False)
    with torch.no_grad():
        model.characters.embedding.weight[0] = 0.0
        for place in _places(model, settings):
            found = torch.from_numpy(arrays[place.key])[place.part] * place.sign
            place.ours.copy_(found + place.shift if place.shift else found)  # −0.0 + 0.0 is 0.0
    card = {"language": language, "published_weights": weights.name, "published_options": options.name}
    return ELMoEncoder(model, settings=settings, vocabulary=vocabulary, language=language, card=card)


def write_published(encoder: ELMoEncoder, folder: Path) -> None:
    """Write a model as `WEIGHTS` and `OPTIONS` into an existing folder, for AllenNLP and other readers of ELMo.

    The softmax is left out: the format has no place for it. Read again, the model gives the same vectors bit for bit
    if no forget bias is below 0.5. Those below are rounded, by less than 10⁻⁶, when 1 is taken from them.

    Raises:
        ArtifactError: The model has vectors of word types, which the format cannot say.
        OutputError: The disk is full or the folder is not writable.
    """
    import h5py

    model, settings = encoder.model, encoder.settings
    if model.word_types:
        raise ArtifactError(
            f"Language model of {encoder.language!r}: {model.word_types:,} word types have vectors of their own "
            f"(word_types). Expected 0: in the published format characters alone make a word's vector. Train a model "
            f"with word_types = 0, for example with --size original."
        )
    arrays = {key: np.zeros(shape, np.float32) for key, shape in _shapes(settings)}
    for place in _places(model, settings):
        ours = (place.ours - place.shift if place.shift else place.ours) * place.sign
        arrays[place.key][place.part] = ours.detach().cpu().numpy()
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array)
    write_atomically(folder / WEIGHTS, content.getvalue())
    write_atomically(folder / OPTIONS, json.dumps(options_of(settings), indent=2) + "\n")


@dataclass(frozen=True)
class _Place:
    """A part of an array of the file, and the part of our model that it is: ours = sign · file + shift."""

    key: str
    part: tuple[slice, ...]
    ours: Tensor
    """A view of a parameter, in the shape of the file's part."""
    sign: float = 1.0
    shift: float = 0.0


def _places(model: BiLM, settings: BiLMSettings) -> Iterator[_Place]:
    """List where everything is."""
    characters = model.characters
    # Counted from the end: a file may have a row for "no word here" before the 261 that mean something.
    yield _Place("char_embed", (slice(1 - CHARACTERS, None),), characters.embedding.weight[1:])
    for index, (convolution, (span, _)) in enumerate(zip(characters.convolutions, settings.filters, strict=True)):
        weight = _parameter(convolution, "weight").T.unflatten(0, (span, settings.character_width))
        yield _Place(f"CNN/W_cnn_{index}", (slice(0, 1),), weight[None])
        yield _Place(f"CNN/b_cnn_{index}", (), _parameter(convolution, "bias"))
    for index, highway in enumerate(characters.highways):
        for name, sign in (("transform", 1.0), ("carry", -1.0)):
            layer: Any = getattr(highway, name)
            yield _Place(f"CNN_high_{index}/W_{name}", (), layer.weight.T, sign=sign)
            yield _Place(f"CNN_high_{index}/b_{name}", (), layer.bias, sign=sign)
    yield _Place("CNN_proj/W_proj", (), characters.projection.weight.T)
    yield _Place("CNN_proj/b_proj", (), characters.projection.bias)
    width = settings.projection_width
    for index, recurrent in enumerate(model.recurrent):
        for direction in (0, 1):
            cell = _CELL.format(direction, index)
            yield _Place(cell + "W_P_0", (), _parameter(recurrent, "projection")[direction])
            for gate in _GATES:
                theirs, ours = (
                    slice(order.index(gate) * settings.cell_width, (order.index(gate) + 1) * settings.cell_width)
                    for order in (_GATES_IN_FILE, _GATES)
                )
                bias = _parameter(recurrent, "bias")[direction, ours]
                yield _Place(cell + "B", (theirs,), bias, shift=1.0 if gate == "f" else 0.0)
                for first_row, name in ((0, "input_weight"), (width, "state_weight")):
                    part = (slice(first_row, first_row + width), theirs)
                    yield _Place(cell + "W_0", part, _parameter(recurrent, name)[direction, :, ours])


def _parameter(module: torch.nn.Module, name: str) -> Tensor:
    return getattr(module, name)


def _shapes(settings: BiLMSettings) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List the file's keys and the shapes of its arrays. (One by one: options may claim any number of layers.)"""
    features = sum(number for _, number in settings.filters)
    width, cell_width = settings.projection_width, settings.cell_width
    yield "char_embed", (CHARACTERS - 1, settings.character_width)
    for index, (span, number) in enumerate(settings.filters):
        yield f"CNN/W_cnn_{index}", (1, span, settings.character_width, number)
        yield f"CNN/b_cnn_{index}", (number,)
    for index in range(settings.highways):
        for name in ("carry", "transform"):
            yield f"CNN_high_{index}/W_{name}", (features, features)
            yield f"CNN_high_{index}/b_{name}", (features,)
    yield "CNN_proj/W_proj", (features, width)
    yield "CNN_proj/b_proj", (width,)
    for index in range(settings.layers):
        for direction in (0, 1):
            cell = _CELL.format(direction, index)
            yield cell + "W_0", (2 * width, 4 * cell_width)
            yield cell + "B", (4 * cell_width,)
            yield cell + "W_P_0", (cell_width, width)


def _beyond(settings: BiLMSettings) -> Mapping[str, str]:
    """Return the keys that only a larger model has, each with what the options say instead."""
    layers = f"{settings.layers} layers (lstm.n_layers)"
    cells = {f"RNN_{direction}/RNN/MultiRNNCell/Cell{settings.layers}": layers for direction in (0, 1)}
    return cells | {
        f"CNN/W_cnn_{len(settings.filters)}": f"{len(settings.filters)} spans of filters (char_cnn.filters)",
        f"CNN_high_{settings.highways}": f"{settings.highways} highway layers (char_cnn.n_highway)",
    }


def _read_arrays(weights: Path, options: Path, settings: BiLMSettings, characters: int) -> dict[str, np.ndarray]:
    """Read all weights, checked, as float32."""
    import h5py

    with _damage_told(str(weights)), h5py.File(weights, "r") as file:
        for key, expected in _beyond(settings).items():
            if key in file:
                raise _contradiction(weights, options, f"{key}: is there", f"only {expected}")
        return {
            key: _read_array(file, key, shape, weights=weights, options=options, characters=characters)
            for key, shape in _shapes(settings)
        }


def _read_array(
    file: Any, key: str, shape: tuple[int, ...], *, weights: Path, options: Path, characters: int
) -> np.ndarray:
    """Read one array of an open hdf5 file."""
    if key not in file:
        raise ArtifactError(
            f"{weights}, {key}: missing. Expected weights of shape {shape}, as {options} says. Give the weights and "
            f"the options of one and the same model."
        )
    with _damage_told(f"{weights}, {key}"):
        found = file[key]
        if what := _not_numbers(found, file):
            raise ArtifactError(
                f"{weights}, {key}: holds {what}. Expected floating-point numbers of shape {shape}. Check that it is a "
                f"file of ELMo weights."
            )
        fitting = {shape}
        if key == "char_embed" and characters == CHARACTERS:
            fitting.add((CHARACTERS, *shape[1:]))
        if found.shape not in fitting:
            expected = " or ".join(map(str, sorted(fitting)))
            raise _contradiction(weights, options, f"{key}: found shape {found.shape}", expected)
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told below
            array = found[...].astype(np.float32)
    if bad := int((~np.isfinite(array)).sum()):
        raise ArtifactError(
            f"{weights}, {key}: {bad} of {array.size} numbers are not finite in float32. Expected finite weights. The "
            f"file is damaged; copy it again."
        )
    return array


def _not_numbers(found: Any, file: Any) -> str:
    """Say what stands in place of an array of floating-point numbers; nothing if it is one."""
    import h5py

    if not isinstance(found, h5py.Dataset):
        return "no array of numbers"
    if found.dtype.kind != "f":
        return f"values of type {found.dtype}"
    if found.file != file or found.external or found.is_virtual:
        return "a link to numbers in another file"
    return ""


def _contradiction(weights: Path, options: Path, found: str, expected: str) -> ArtifactError:
    return ArtifactError(
        f"{weights}, {found}. Expected {expected}, as {options} says. Give the weights and the options of one and the "
        f"same model."
    )


@contextmanager
def _damage_told(place: str) -> Iterator[None]:
    """Within the block, turn whatever the hdf5 library stumbles over into an `ArtifactError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactError(f"{place}: no such file. Expected ELMo weights in hdf5. Check the path.") from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(
            f"{place}: not readable as hdf5 ({reason}). Expected ELMo weights. Check that it is the right file, or "
            f"copy it again."
        ) from error
