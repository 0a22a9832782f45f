"""Published ELMo weights: read as bilm-tf reads them, written back exactly, and refused when something is wrong.

The second implementation is `slow_elmo.py`. Where the folder of fixtures is, both are compared with vectors that the
original TensorFlow program computed.
"""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.encoders.slow_elmo import SlowELMo, arrays_in, write_random_model

from isogloss.corpus.plain_text import composed
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.published import read_published, write_published
from isogloss.encoders.elmo.stateful import StatefulReader
from isogloss.encoders.encoder import Encoder
from isogloss.errors import ArtifactError

# Sums in another order differ by rounding; float32 and a handful of layers stay well under this.
NEARLY = {"rtol": 0, "atol": 1e-5}
WORDS = [
    "el",
    "perro",
    "ñu",
    "🐟🐠",
    "x" * 47,
    "y" * 48,
    "z" * 60,
    "ñ" * 40,
    "a",
    "<S>",
    "</S>",
    "<UNK>",
    "",
    "\ud800b",
]
CELL = "RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell"


def sentences(*texts: list[str]) -> list[Sentence]:
    return [Sentence.of_forms(text) for text in texts]


def read(folder: Path) -> ELMoEncoder:
    return read_published(folder / "weights.hdf5", folder / "options.json", language="xx")


def slow(folder: Path) -> SlowELMo:
    return SlowELMo(folder / "weights.hdf5", folder / "options.json")


@pytest.fixture
def model(tmp_path) -> Path:
    """A folder with a small random model."""
    write_random_model(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of the tiny published model; skips the test where there is none."""
    shared = Path(__file__).parents[3] / "shared" / "fixtures"
    folder = Path(os.environ.get("ISOGLOSS_FIXTURES", shared)) / "allennlp-elmo"
    if not folder.is_dir():
        pytest.skip(f"no published model: {folder} is not there (set ISOGLOSS_FIXTURES)")
    return folder


# The same vectors as the original program


def original_batches(folder: Path) -> list[tuple[list[list[str]], list[np.ndarray]]]:
    """Ten batches of three sentences, and the vectors of the last layer that the original program found for each."""
    texts = json.loads((folder / "sentences.json").read_text(encoding="utf-8"))
    vectors = [arrays_in(folder / f"lm_embeddings_{row}.hdf5") for row in range(3)]
    return [
        (
            [texts[row][batch].split() for row in range(3)],
            [np.concatenate(list(vectors[row][str(batch)]), axis=-1) for row in range(3)],
        )
        for batch in range(10)
    ]


def test_the_vectors_of_the_original_program_are_reproduced(published):
    encoder = read_published(published / "lm_weights.hdf5", published / "options.json", language="en")
    reader = StatefulReader(encoder)
    for texts, expected in original_batches(published):
        found = reader.encode(sentences(*texts))
        for row, vectors in enumerate(expected):
            assert found.mask[row].sum() == len(vectors)
            torch.testing.assert_close(found.layer(2)[row, : len(vectors)], torch.from_numpy(vectors), **NEARLY)


def test_the_slow_implementation_agrees_with_the_original_program(published):
    model = SlowELMo(published / "lm_weights.hdf5", published / "options.json")
    for texts, expected in original_batches(published):
        for row, (text, vectors) in enumerate(zip(texts, expected, strict=True)):
            np.testing.assert_allclose(model.read(text, row=row)[:, 2], vectors, **NEARLY)


def test_the_published_model_without_state_agrees_with_the_slow_implementation(published):
    encoder = read_published(published / "lm_weights.hdf5", published / "options.json", language="en")
    model = SlowELMo(published / "lm_weights.hdf5", published / "options.json")
    texts = [text for batch, _ in original_batches(published)[3:6] for text in batch]
    found = encoder.encode(sentences(*texts))
    for row, text in enumerate(texts):
        np.testing.assert_allclose(found.vectors[row, : len(text)].numpy(), model.read(text), **NEARLY)


def test_the_published_model_is_written_as_it_was_read(published, tmp_path):
    encoder = read_published(published / "lm_weights.hdf5", published / "options.json", language="en")
    write_published(encoder, tmp_path)
    check_same_arrays(published / "lm_weights.hdf5", tmp_path / "weights.hdf5")
    assert json.loads((tmp_path / "options.json").read_text()) == json.loads((published / "options.json").read_text())


# The same vectors as the slow implementation


@pytest.mark.parametrize(("rows", "highways", "layers"), [(261, 2, 2), (262, 2, 2), (261, 0, 1), (261, 1, 3)])
def test_reading_without_state_agrees_with_the_slow_implementation(tmp_path, rows, highways, layers):
    write_random_model(tmp_path, rows=rows, highways=highways, layers=layers)
    texts = [WORDS, WORDS[3:5], [], WORDS[::-1]]
    found = read(tmp_path).encode(sentences(*texts))
    assert found.vectors.shape == (4, len(WORDS), layers + 1, 12)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(found.vectors[row, : len(text)].numpy(), slow(tmp_path).read(text), **NEARLY)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
@example(["\uf900"])  # which in form C is another letter
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_word_agrees_with_the_slow_implementation(model, words):
    found = read(model).encode(sentences(words)).vectors[0]
    # Words are read in normalisation form C, as all raw text is; the slow implementation reads letters as they come.
    np.testing.assert_allclose(found.numpy(), slow(model).read([composed(word) for word in words]), **NEARLY)


def test_reading_with_state_agrees_with_the_slow_implementation(model):
    reader, other = StatefulReader(read(model)), slow(model)
    batches = [
        [["el", "perro"], ["ñu"], ["a"] * 5],
        [["perro", "perro", "perro"]],  # fewer rows: the others keep their state
        [],
        [["a"], [], ["el"], ["ñu", "a"]],  # more rows than ever: the new one begins empty
        [["el", "el"], ["perro"], ["a", "ñu", "a"], ["a"]],
    ]
    for batch in batches:
        found = reader.encode(sentences(*batch))
        assert found.mask.sum(dim=1).tolist() == [len(text) for text in batch]
        for row, text in enumerate(batch):
            np.testing.assert_allclose(found.vectors[row, : len(text)].numpy(), other.read(text, row=row), **NEARLY)
            assert not found.vectors[row, len(text) :].any()


texts_of_any_size = st.lists(st.lists(st.sampled_from(WORDS), max_size=6), min_size=1, max_size=4)


@given(batches=st.lists(texts_of_any_size, min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_any_sequence_of_batches_with_state_agrees_with_the_slow_implementation(model, batches):
    reader, other = StatefulReader(read(model)), slow(model)
    for batch in batches:
        found = reader.encode(sentences(*batch))
        for row, text in enumerate(batch):
            np.testing.assert_allclose(found.vectors[row, : len(text)].numpy(), other.read(text, row=row), **NEARLY)


def test_clipping_takes_part_in_these_comparisons(model):
    recurrent = read(model).encode(sentences(WORDS)).layer(1)
    assert recurrent.abs().max() == torch.tensor(0.3)


@given(texts=texts_of_any_size, data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_vectors_without_state_do_not_depend_on_batch_size_or_order(model, texts, data):
    encoder = read(model)
    order = data.draw(st.permutations(range(len(texts))))
    size = data.draw(st.integers(1, len(texts)))
    together = encoder.encode(sentences(*texts)).vectors
    for first in range(0, len(order), size):
        chosen = order[first : first + size]
        found = encoder.encode(sentences(*(texts[index] for index in chosen))).vectors
        for row, index in enumerate(chosen):
            length = len(texts[index])
            torch.testing.assert_close(found[row, :length], together[index, :length], **NEARLY)


# Reading with state


def test_a_stateful_reader_is_an_encoder(model):
    reader = StatefulReader(read(model))
    assert isinstance(reader, Encoder)
    assert (reader.layers, reader.width) == (3, 12)
    assert reader.encode([]).vectors.shape == (0, 0, 3, 12)


def test_the_first_batch_is_read_as_without_state_and_later_ones_differ(model):
    encoder = read(model)
    reader, batch = StatefulReader(encoder), sentences(["el", "perro"], ["ñu"], WORDS)
    alone, first, second = encoder.encode(batch), reader.encode(batch), reader.encode(batch)
    torch.testing.assert_close(first.vectors, alone.vectors, **NEARLY)
    assert torch.equal(first.mask, alone.mask)
    assert torch.equal(second.layer(0), first.layer(0)), "layer 0 knows no context"
    assert (second.layer(1) - first.layer(1)).abs().max() > 1e-3
    reader.reset()
    assert torch.equal(reader.encode(batch).vectors, first.vectors)
    assert torch.equal(encoder.encode(batch).vectors, alone.vectors), "the encoder itself remembers nothing"


# There and back


def check_same_arrays(before: Path, after: Path) -> None:
    """Check that two files hold the same; forget biases as far as float32 keeps them when 1 is added."""
    expected, found = arrays_in(before), arrays_in(after)
    assert set(found) == set(expected)
    for key, array in expected.items():
        assert found[key].dtype == np.float32
        if key.endswith("LSTMCell/B"):
            forget = slice(2 * len(array) // 4, 3 * len(array) // 4)
            one = np.float32(1)
            np.testing.assert_array_equal(found[key][forget] + one, array[forget] + one)
            # Half the distance between neighbouring float32 from 1 to 2 is 2⁻²⁴.
            np.testing.assert_allclose(found[key][forget], array[forget], rtol=0, atol=2**-24)
            array[forget] = found[key][forget]
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("rows", [261, 262])
def test_what_was_read_is_written_as_it_was(tmp_path, rows):
    write_random_model(tmp_path, rows=rows)
    out = tmp_path / "out"
    out.mkdir()
    write_published(read(tmp_path), out)
    if rows == 262:
        with h5py.File(tmp_path / "weights.hdf5", "r+") as file:
            written = file["char_embed"][1:]
            del file["char_embed"]
            file["char_embed"] = written
    check_same_arrays(tmp_path / "weights.hdf5", out / "weights.hdf5")
    before, after = (json.loads((folder / "options.json").read_text()) for folder in (tmp_path, out))
    del before["dropout"], before["lstm"]["n_unknown"]
    assert after == before


def ours(tiny, **changes) -> ELMoEncoder:
    torch.manual_seed(0)
    shape = tiny.model_copy(update={"word_types": 0, **changes})
    vocabulary = Vocabulary.count([["el", "pez"]])
    return ELMoEncoder(
        BiLM(shape, types=len(vocabulary)), settings=shape, vocabulary=vocabulary, language="es", card={"steps": 3}
    )


@pytest.mark.parametrize("changes", [{}, {"highways": 3, "layers": 1, "cell_clip": 0.01, "projection_clip": 2.5}])
def test_a_model_of_ours_gives_the_same_vectors_bit_for_bit_after_writing_and_reading(tiny, tmp_path, changes):
    encoder = ours(tiny, **changes)
    write_published(encoder, tmp_path)
    again = read(tmp_path)
    assert again.settings == encoder.settings
    batch = sentences(WORDS, ["el", "pez"], ["pez"])
    assert torch.equal(again.encode(batch).vectors, encoder.encode(batch).vectors)
    for key, tensor in again.model.state_dict().items():
        expected = encoder.model.state_dict()[key]
        assert torch.equal(tensor[1:], expected[1:]), key  # row 0 of the characters is never read
    assert again.model.softmax is None
    np.testing.assert_allclose(again.encode(batch).vectors[0].numpy(), slow(tmp_path).read(WORDS), **NEARLY)


def test_small_forget_biases_are_rounded_as_float32_rounds(tiny, tmp_path):
    encoder = ours(tiny)
    bias = encoder.model.recurrent[0].bias
    with torch.no_grad():
        bias[:, 32:48] = torch.linspace(-4.0, 4.0, 16)
        bias[0, 32:36] = torch.tensor([1e-9, 0.1, 0.3, 0.49])
    write_published(encoder, tmp_path)
    again = read(tmp_path).model.recurrent[0].bias
    kept = bias >= 0.5
    assert torch.equal(again[kept], bias[kept])
    torch.testing.assert_close(again, bias, rtol=0, atol=1e-6)  # 2⁻²² from −5 on, half of that at worst


def test_writing_twice_gives_the_same_bytes(model):
    for name in ("one", "two"):
        (model / name).mkdir()
        write_published(read(model), model / name)
    for name in ("weights.hdf5", "options.json"):
        assert (model / "one" / name).read_bytes() == (model / "two" / name).read_bytes()


def test_an_imported_model_is_saved_and_loaded_like_any_other(model):
    encoder = read(model)
    (model / "saved").mkdir()
    encoder.save(model / "saved")
    again = ELMoEncoder.load(model / "saved")
    assert (again.language, again.settings, again.card) == ("xx", encoder.settings, encoder.card)
    assert torch.equal(again.encode(sentences(WORDS)).vectors, encoder.encode(sentences(WORDS)).vectors)


def test_an_imported_model_knows_no_words_and_has_no_vectors_of_types(model):
    encoder = read(model)
    assert encoder.settings.word_types == encoder.model.word_types == 0
    assert encoder.vocabulary.words == ("<S>", "</S>", "<UNK>")
    assert encoder.vocabulary.counts == (0, 0, 0)


def test_a_model_with_vectors_of_word_types_cannot_be_written(tiny, tmp_path):
    expected = (
        r"Language model of 'es': 5 word types have vectors of their own \(word_types\). Expected 0: .* Train a model "
        r"with word_types = 0, for example with --size original"
    )
    with pytest.raises(ArtifactError, match=expected):
        write_published(ours(tiny, word_types=100), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_floating_point_numbers_are_read(model, kind):
    expected = read(model).model.state_dict()["characters.projection.bias"].numpy().astype(kind).astype(np.float32)
    replace("CNN_proj/b_proj", lambda array: array.astype(kind))(model / "weights.hdf5")
    np.testing.assert_array_equal(read(model).model.state_dict()["characters.projection.bias"].numpy(), expected)


@pytest.mark.parametrize(("rows", "characters"), [(261, 261), (261, 262), (262, 262)])
def test_options_of_training_and_of_reading_are_both_accepted(tmp_path, rows, characters):
    write_random_model(tmp_path, rows=rows)
    expected = read(tmp_path).model.state_dict()["characters.embedding.weight"]
    set_option("char_cnn.n_characters", characters)(tmp_path / "options.json")
    found = read(tmp_path).model.state_dict()["characters.embedding.weight"]
    assert torch.equal(found, expected)
    assert not found[0].any()
    np.testing.assert_array_equal(found[1:].numpy(), arrays_in(tmp_path / "weights.hdf5")["char_embed"][-261:])


# What is refused


def replace(key, change):
    """Return a function that puts another array in the place of one in an hdf5 file, or nothing."""

    def edit(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            before = file[key][...]
            del file[key]
            after = change(before)
            if after is not None:
                file[key] = after

    return edit


def put(key, value):
    """Return a function that adds something to an hdf5 file."""

    def edit(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            if key in file:
                del file[key]
            file[key] = value

    return edit


def to_elsewhere(path: Path) -> None:
    with h5py.File(path.with_name("other.hdf5"), "w") as other:
        other["numbers"] = np.zeros(6, np.float32)
    put("CNN_proj/b_proj", h5py.ExternalLink("other.hdf5", "numbers"))(path)


def raw_elsewhere(path: Path) -> None:
    path.with_name("raw").write_bytes(bytes(24))
    with h5py.File(path, "r+") as file:
        del file["CNN_proj/b_proj"]
        file.create_dataset("CNN_proj/b_proj", (6,), np.float32, external=[(str(path.with_name("raw")), 0, 24)])


def objects(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["CNN_proj/b_proj"]
        file.create_dataset("CNN_proj/b_proj", data=["pickled"] * 6, dtype=h5py.string_dtype())


def with_value(value):
    def change(array: np.ndarray) -> np.ndarray:
        array.flat[3] = value
        return array

    return change


FULL = r"Give the weights and the options of one and the same model"
BAD_WEIGHTS = {
    "a missing array": (replace(f"{CELL}/B", lambda a: None), rf"{CELL}/B: missing. Expected weights of shape \(40,\)"),
    "no characters": (replace("char_embed", lambda a: None), r"char_embed: missing. Expected .* \(261, 4\)"),
    "a narrow array": (
        replace(f"{CELL}/W_0", lambda a: a[:, 1:]),
        rf"{CELL}/W_0: found shape \(12, 39\). .*\(12, 40\)",
    ),
    "a turned array": (replace("CNN_proj/W_proj", lambda a: a.T), r"W_proj: found shape \(6, 13\). Expected \(13, 6\)"),
    "a flat array": (replace("CNN/W_cnn_1", lambda a: a[0]), r"W_cnn_1: found shape \(2, 4, 4\). .* \(1, 2, 4, 4\)"),
    "a scalar": (put("CNN_proj/b_proj", np.float32(1)), r"CNN_proj/b_proj: found shape \(\). Expected \(6,\)"),
    "260 characters": (
        replace("char_embed", lambda a: a[1:]),
        rf"char_embed: found shape \(260, 4\). Expected \(261, 4\) or \(262, 4\), as .*options.json says. {FULL}",
    ),
    "whole numbers": (
        replace("CNN/b_cnn_0", lambda a: a.astype(np.int32)),
        r"CNN/b_cnn_0: holds values of type int32. Expected floating-point numbers of shape \(3,\). Check that",
    ),
    "complex numbers": (
        replace("CNN/b_cnn_0", lambda a: a.astype(np.complex64)),
        r"CNN/b_cnn_0: holds values of type complex64",
    ),
    "a table": (put("CNN/b_cnn_0", np.zeros(3, [("a", "f4")])), r"CNN/b_cnn_0: holds values of type \["),
    "objects": (objects, r"CNN_proj/b_proj: holds values of type object. Expected floating-point numbers"),
    "a link out of the file": (to_elsewhere, r"CNN_proj/b_proj: holds a link to numbers in another file"),
    "numbers outside the file": (raw_elsewhere, r"CNN_proj/b_proj: holds a link to numbers in another file"),
    "a dangling link": (
        put("CNN_proj/b_proj", h5py.SoftLink("/nowhere")),
        r"CNN_proj/b_proj: not readable as hdf5 \(.+\)",
    ),
    "NaN": (
        replace("char_embed", with_value(np.nan)),
        r"char_embed: 1 of 1044 numbers are not finite in float32. Expected finite weights. The file is damaged; copy",
    ),
    "infinity": (replace(f"{CELL}/W_P_0", with_value(-np.inf)), r"W_P_0: 1 of 60 numbers are not finite"),
    "numbers too large": (
        replace("CNN_high_1/b_carry", lambda a: a.astype(np.float64) * 1e300),
        r"CNN_high_1/b_carry: 13 of 13 numbers are not finite in float32",
    ),
    "another layer": (
        put(f"{CELL[:-10]}2/LSTMCell/B", np.zeros(40)),
        r"Cell2: is there. Expected only 2 layers \(lstm.n_",
    ),
    "another span": (
        put("CNN/W_cnn_3", np.zeros(3)),
        r"CNN/W_cnn_3: is there. Expected only 3 spans of filters \(char_",
    ),
    "another highway": (
        put("CNN_high_2/b_carry", np.zeros(3)),
        r"CNN_high_2: is there. Expected only 2 highway layers",
    ),
}


def complaint(folder: Path, *, of: str) -> str:
    """Return what `read_published` says against a folder's model: one line that begins with the file's name."""
    with pytest.raises(ArtifactError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.startswith(str(folder / of))
    assert "\n" not in message
    return message


def matches(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(message)


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights_are_refused(model, name):
    damage, pattern = BAD_WEIGHTS[name]
    damage(model / "weights.hdf5")
    matches(rf"weights.hdf5, .*{pattern}", complaint(model, of="weights.hdf5"))


def test_a_group_in_the_place_of_numbers_is_refused(model):
    with h5py.File(model / "weights.hdf5", "r+") as file:
        del file["CNN_proj/b_proj"]
        file.create_group("CNN_proj/b_proj")
    matches(r"weights.hdf5, CNN_proj/b_proj: holds no array of numbers. Expected", complaint(model, of="weights.hdf5"))


def test_numbers_in_the_place_of_a_group_are_refused(model):
    with h5py.File(model / "weights.hdf5", "r+") as file:
        del file["CNN_proj"]
        file["CNN_proj"] = np.zeros(3)
    complaint(model, of="weights.hdf5")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_weights_that_are_cut_short_are_refused(model, share):
    path = model / "weights.hdf5"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    matches(r"weights.hdf5: not readable as hdf5 \(.+\). Expected ELMo weights", complaint(model, of="weights.hdf5"))


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 a zip archive", b"\x80\x02}q\x00.", b"\x89HDF\r\n\x1a\n" + b"\xff" * 4096]
)
def test_what_is_no_hdf5_is_refused(model, content):
    (model / "weights.hdf5").write_bytes(content)
    matches(r"weights.hdf5: not readable as hdf5", complaint(model, of="weights.hdf5"))


@given(place=st.floats(0, 1, exclude_max=True), content=st.binary(min_size=1, max_size=16))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, derandomize=True)
def test_damaged_weights_are_refused_or_read_but_never_crash(model, place, content):
    path = model / "damaged.hdf5"
    data = bytearray((model / "weights.hdf5").read_bytes())
    start = int(place * len(data))
    data[start : start + len(content)] = content
    path.write_bytes(data)
    try:
        read_published(path, model / "options.json", language="xx")
    except ArtifactError as error:
        assert str(error).startswith(str(path))


@pytest.mark.parametrize("name", ["weights.hdf5", "options.json"])
def test_a_missing_file_is_named(model, name):
    (model / name).unlink()
    matches(rf"{name}: no such file. Expected .* Check the path", complaint(model, of=name))


@pytest.mark.parametrize("name", ["weights.hdf5", "options.json"])
def test_a_folder_in_the_place_of_a_file_is_refused(model, name):
    (model / name).unlink()
    (model / name).mkdir()
    matches(rf"{name}: not readable as", complaint(model, of=name))


def set_option(key: str, value: object):
    """Return a function that sets an option, or removes it (...)."""

    def edit(path: Path) -> None:
        options = json.loads(path.read_text())
        *folders, last = key.split(".")
        inner = options
        for folder in folders:
            inner = inner[folder]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
        path.write_text(json.dumps(options))

    return edit


@pytest.mark.parametrize(
    ("key", "value", "weights_key"),
    [
        ("lstm.dim", 11, "LSTMCell/W_0"),
        ("lstm.projection_dim", 7, "CNN_proj/W_proj"),
        ("lstm.n_layers", 1, "Cell1: is there. Expected only 1 layers"),
        ("lstm.n_layers", 3, "Cell2/LSTMCell/W_0: missing"),
        ("lstm.n_layers", 10**15, "Cell2/LSTMCell/W_0: missing"),
        ("lstm.dim", 10**12, "LSTMCell/W_0"),
        ("char_cnn.filters", [[1, 3], [2, 4]], "CNN/W_cnn_2: is there"),
        ("char_cnn.filters", [[1, 3], [2, 4], [5, 7]], "CNN/W_cnn_2: found shape"),
        ("char_cnn.filters", [[1, 3], [2, 4], [4, 6]], "CNN/W_cnn_2: found shape"),
        ("char_cnn.filters", [[1, 3], [2, 4], [5, 6], [6, 1]], "CNN/W_cnn_3: missing"),
        ("char_cnn.n_highway", 1, "CNN_high_1: is there"),
        ("char_cnn.n_highway", 3, "CNN_high_2/W_carry: missing"),
        ("char_cnn.embedding.dim", 5, "char_embed: found shape"),
    ],
)
def test_options_that_contradict_the_weights_are_refused(model, key, value, weights_key):
    set_option(key, value)(model / "options.json")
    message = complaint(model, of="weights.hdf5")
    matches(rf"weights.hdf5, .*{weights_key}.*options.json says. {FULL}", message)


def test_fewer_characters_than_the_weights_have_are_refused(tmp_path):
    write_random_model(tmp_path, rows=262)
    set_option("char_cnn.n_characters", 261)(tmp_path / "options.json")
    matches(r"char_embed: found shape \(262, 4\). Expected \(261, 4\)", complaint(tmp_path, of="weights.hdf5"))


@pytest.mark.parametrize(
    ("key", "value", "pattern"),
    [
        ("lstm", ..., r"lstm.use_skip_connections: missing. Expected the options that the weights were trained with"),
        ("lstm.dim", ..., r"lstm.dim: missing"),
        ("lstm.n_layers", ..., r"lstm.n_layers: missing"),
        ("lstm.cell_clip", ..., r"lstm.cell_clip: missing"),
        ("char_cnn.embedding.dim", ..., r"char_cnn.embedding.dim: missing"),
        ("char_cnn.embedding", 16, r"char_cnn.embedding.dim: missing"),
        ("char_cnn.activation", ..., r"char_cnn.activation: missing"),
        ("lstm.dim", 0, r"lstm.dim: found 0. Expected a whole number, 1 or more. Choose such a model, or correct"),
        ("lstm.dim", "64", r'lstm.dim: found "64". Expected a whole number'),
        ("lstm.dim", 64.0, r"lstm.dim: found 64.0. Expected a whole number"),
        ("lstm.n_layers", True, r"lstm.n_layers: found true. Expected a whole number"),
        ("char_cnn.n_highway", -1, r"char_cnn.n_highway: found -1. Expected a whole number, 0 or more"),
        ("lstm.cell_clip", None, r"lstm.cell_clip: found null. Expected a number above 0: models without clipping"),
        ("lstm.proj_clip", 0, r"lstm.proj_clip: found 0. Expected a number above 0"),
        ("lstm.proj_clip", float("inf"), r"lstm.proj_clip: found Infinity. Expected a number above 0"),
        ("lstm.proj_clip", float("nan"), r"lstm.proj_clip: found NaN. Expected a number above 0"),
        ("lstm.cell_clip", 10**400, r"lstm.cell_clip: found 1000.*…. Expected a number above 0"),
        ("lstm.use_skip_connections", False, r"use_skip_connections: found false. Expected true: layers above the fi"),
        ("lstm.use_skip_connections", 1, r"use_skip_connections: found 1. Expected true"),
        ("char_cnn.activation", "tanh", r'char_cnn.activation: found "tanh". Expected "relu": character filters'),
        ("char_cnn.max_characters_per_token", 40, r"max_characters_per_token: found 40. Expected 50: a word is read"),
        ("char_cnn.n_characters", 260, r"char_cnn.n_characters: found 260. Expected 261 \(training\) or 262 \(read"),
        ("char_cnn.filters", [], r"char_cnn.filters: found \[\]. Expected a list of pairs \[span, number\] with spans"),
        ("char_cnn.filters", [[1, 2, 3]], r"char_cnn.filters: found \[\[1, 2, 3\]\]. Expected a list of pairs"),
        ("char_cnn.filters", [[51, 3]], r"char_cnn.filters: found \[\[51, 3\]\]. .* with spans from 1 to 50"),
        ("char_cnn.filters", {"1": 3}, r'char_cnn.filters: found \{"1": 3\}'),
        ("bidirectional", False, r"bidirectional: found false. Expected true: there are two directions"),
    ],
)
def test_bad_options_are_refused(model, key, value, pattern):
    set_option(key, value)(model / "options.json")
    matches(rf"options.json, .*{pattern}", complaint(model, of="options.json"))


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"", r"not readable as JSON \(.+\). Expected the options of ELMo weights. Check"),
        (b'{"lstm": ', r"not readable as JSON"),
        (b"\xff\xfe{\x00", r"not readable as JSON"),
        (b"[" * 100_000, r"not readable as JSON"),
        (b"[1, 2]", r"holds \[1, 2\]. Expected the options of ELMo weights, a JSON object with lstm and char_cnn"),
        (b"{}", r"lstm.use_skip_connections: missing"),
    ],
)
def test_options_that_are_none_are_refused(model, content, pattern):
    (model / "options.json").write_bytes(content)
    matches(rf"options.json.*{pattern}", complaint(model, of="options.json"))


@pytest.mark.parametrize("key", ["bidirectional", "lstm.n_tokens_vocab", "unroll_steps"])
def test_options_that_say_nothing_of_the_shape_are_passed_over(model, key):
    expected = read(model)
    set_option(key, True)(model / "options.json")
    assert read(model).settings == expected.settings
