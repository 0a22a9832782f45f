"""`isogloss embed`: one tensor for each line, whatever the lines are, and a file that is whole or not there."""

import json
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from isogloss.compute.workers import Event
from isogloss.corpus.sentence import Sentence
from isogloss.embedding import embed
from isogloss.encoders.elmo import vectors_file
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.stateful import StatefulReader
from isogloss.errors import AlignmentError, OutputError, RecipeError, TextError
from isogloss.mapping.alignment import Alignment, load_alignment, save_alignment

LINES = ["ჩტო გუკო.", "", "გუკო", "🐟 🏳️‍🌈 x", "ab " * 3000, "გუკო ჩტო", " \t ", "ჩტო"]
WITH_WORDS = [0, 2, 3, 4, 5, 7]
# Sums in another order differ by rounding: float32 and a handful of layers stay well under this.
NEARLY = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def model(tiny_run):
    return tiny_run.folder / "encoders" / "qel"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def alone(model, line: str) -> torch.Tensor:
    """The vectors of one line without the others: layers words width."""
    return ELMoEncoder.load(model).encode([Sentence.of_forms(line.split())]).vectors[0].transpose(0, 1)


@pytest.mark.parametrize("batch_words", [None, 1, 10])
def test_every_line_has_the_vectors_that_it_has_alone(model, text, tmp_path, batch_words):
    facts = embed(model, text, tmp_path / "out", tokenised=True, batch_words=batch_words)
    found = load_file(tmp_path / "out")
    assert sorted(map(int, found)) == WITH_WORDS
    for number in WITH_WORDS:
        expected = alone(model, LINES[number])
        # Over a line of three thousand words rounding adds up.
        steps = max(1.0, expected.shape[1] / 100)
        torch.testing.assert_close(found[str(number)], expected, rtol=0, atol=1e-5 * steps**0.5)
    assert (facts["sentences"], facts["words"]) == (6, sum(len(line.split()) for line in LINES))


def test_metadata_names_language_and_layers(model, text, tmp_path):
    embed(model, text, tmp_path / "out", layers=[2, 1, 2])
    with safe_open(tmp_path / "out", "pt") as file:
        assert file.metadata() == {"language": "qel", "layers": "1 2"}


def test_chosen_layers_are_those_of_all_and_half_is_float16(model, text, tmp_path):
    embed(model, text, tmp_path / "all", tokenised=True)
    embed(model, text, tmp_path / "some", tokenised=True, layers=[2, 0], half=True)
    whole, some = load_file(tmp_path / "all"), load_file(tmp_path / "some")
    for name, vectors in whole.items():
        assert torch.equal(some[name], vectors[[0, 2]].half())


def test_computing_in_bfloat16_gives_nearly_the_same(model, text, tmp_path):
    embed(model, text, tmp_path / "exact")
    embed(model, text, tmp_path / "quick", dtype="bfloat16")
    exact, quick = load_file(tmp_path / "exact"), load_file(tmp_path / "quick")
    for name, vectors in exact.items():
        assert quick[name].dtype == torch.float32
        if vectors.shape[1] < 100:  # over thousands of steps the rounding of two digits adds up
            assert (quick[name] - vectors).abs().max() < 0.03 * vectors.abs().max()


def test_stateful_reading_is_that_of_the_stateful_reader(model, text, tmp_path):
    embed(model, text, tmp_path / "out", tokenised=True, stateful=True, batch_size=4)
    found, reader = load_file(tmp_path / "out"), StatefulReader(ELMoEncoder.load(model))
    for numbers in (WITH_WORDS[:4], WITH_WORDS[4:]):
        expected = reader.encode([Sentence.of_forms(LINES[number].split()) for number in numbers]).vectors
        for row, number in enumerate(numbers):
            vectors = found[str(number)].transpose(0, 1)  # words layers width
            torch.testing.assert_close(vectors, expected[row, : len(vectors)], **NEARLY)


def test_malformed_letters_are_read_as_replacement_characters(model, tmp_path):
    (tmp_path / "text.txt").write_bytes(b"ab \xff\xfe cd\nab\n")
    embed(model, tmp_path / "text.txt", tmp_path / "out", tokenised=True)
    torch.testing.assert_close(load_file(tmp_path / "out")["0"], alone(model, "ab \ufffd\ufffd cd"), **NEARLY)


def test_numbers_stand_at_multiples_of_eight_and_fill_the_file(model, text, tmp_path):
    embed(model, text, tmp_path / "out")
    data = (tmp_path / "out").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    ends = [entry["data_offsets"][1] for name, entry in json.loads(data[8 : 8 + length]).items() if name[0] != "_"]
    assert length % 8 == 0
    assert max(ends) == len(data) - 8 - length


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": [0, 3]}, r"--layer: found 3\. Expected 0 \(characters\) to 2"),
        ({"layers": [-1]}, r"--layer: found -1\. Expected 0"),
        ({"dtype": "float64"}, r"--dtype: found 'float64'\. Expected float32 or bfloat16"),
        ({"batch_words": 0}, r"--batch-words: found 0\. Expected 1 or more"),
        ({"batch_size": 0}, r"--batch-size: found 0\. Expected 1 or more"),
        ({"threads": 0}, r"threads: found 0\."),
    ],
)
def test_values_that_make_no_sense_are_refused(model, text, tmp_path, options, words):
    with pytest.raises(RecipeError, match=words):
        embed(model, text, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_more_lines_than_a_file_can_name_are_refused(model, text, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors_file, "LARGEST_HEADER", 400)
    with pytest.raises(TextError, match=r"text\.txt: 6 lines with words\. Expected at most about .* Split the text"):
        embed(model, text, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.txt"]


@pytest.mark.parametrize("changed", ["ab\ncd\n", "ab\ncd ef\n", "ab cd\n", "ab\ncd\nef\nab\n"])
def test_a_text_that_changes_meanwhile_is_refused(model, tmp_path, monkeypatch, changed):
    path, count = tmp_path / "text.txt", vectors_file.count_words
    path.write_text("ab\ncd\nef\n")

    def counted_and_then_changed(text):
        counted = count(text)
        path.write_text(changed)
        return counted

    monkeypatch.setattr(vectors_file, "count_words", counted_and_then_changed)
    with pytest.raises(TextError, match=r"text\.txt: the file changed while it was read"):
        embed(model, path, tmp_path / "out", tokenised=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["text.txt"]


def test_an_interrupt_leaves_the_old_file_and_nothing_else(model, text, tmp_path, monkeypatch):
    (tmp_path / "out").write_text("old")
    wrote = []

    def interrupted(file, numbers):
        wrote.append(file.write(b"half"))
        raise KeyboardInterrupt

    monkeypatch.setattr(vectors_file, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(model, text, tmp_path / "out")
    assert wrote
    assert (tmp_path / "out").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text.txt"]


def test_progress_goes_to_standard_error_and_facts_to_standard_output(command, model, text, tmp_path):
    ended = command("embed", model, text, "-o", tmp_path / "out", "--tokenised", "--layer", 1, "--half", "--json")
    facts = json.loads(ended.output)
    assert (facts["sentences"], facts["layers"], facts["width"]) == (6, 1, 16)
    assert facts["words"] == sum(len(line.split()) for line in LINES)
    assert ended.errors.splitlines()[0] == "out: 1 stage"
    assert ended.errors.splitlines()[-1].startswith("out: done in 0:0")
    assert {tuple(vectors.shape[::2]) for vectors in load_file(tmp_path / "out").values()} == {(1, 16)}


def test_events_tell_how_much_is_done_and_left(model, tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("ab cd\n" * 30)
    monkeypatch.setattr("isogloss.embedding.SECONDS_BETWEEN_EVENTS", 0.0)
    events: list[Event] = []
    embed(model, tmp_path / "text.txt", tmp_path / "out", batch_words=9, on_event=events.append)
    told = [event for event in events if event["event"] == "progress"]
    assert [event["done"] for event in told] == list(range(1, 31))
    assert told[-1]["seconds_left"] == 0.0
    assert all(event["rate"] > 0 for event in told)


def test_vectors_do_not_take_the_place_of_the_text(model, text):
    before = text.read_bytes()
    with pytest.raises(OutputError, match="is the text itself"):
        embed(model, text, text)
    assert text.read_bytes() == before


# Aligned


@pytest.fixture
def mapping(tmp_path_factory):
    """Alignments qel→qal of layers 0 to 2, each of its own: they turn, stretch and move."""
    folder = tmp_path_factory.mktemp("mapping")
    for layer in range(3):
        generator = torch.Generator().manual_seed(layer)
        matrix = torch.linalg.qr(torch.randn(16, 16, generator=generator, dtype=torch.float64)).Q
        centres = torch.randn(2, 16, generator=generator, dtype=torch.float64)
        own = {"scale": 0.5 + layer, "target_scale": 0.25 + layer}
        centres = {"source_centre": centres[0], "target_centre": centres[1]}
        save_alignment(folder / f"layer-{layer}", Alignment("qel", "qal", layer, matrix, **own, **centres))
    return folder


@pytest.mark.parametrize("layers", [[], [1], [2, 0]])
@pytest.mark.parametrize("stateful", [False, True])
def test_aligned_vectors_are_those_that_each_layers_alignment_maps(model, text, tmp_path, mapping, layers, stateful):
    embed(model, text, tmp_path / "own", tokenised=True, layers=layers, stateful=stateful)
    facts = embed(model, text, tmp_path / "out", tokenised=True, layers=layers, stateful=stateful, aligned=mapping)
    own, found = load_file(tmp_path / "own"), load_file(tmp_path / "out")
    assert sorted(map(int, found)) == WITH_WORDS
    for name, vectors in own.items():
        for place, layer in enumerate(sorted(layers) or range(3)):
            alignment = load_alignment(mapping / f"layer-{layer}")
            W, b = alignment.scale * alignment.matrix, alignment.target_centre
            expected = (vectors[place].double() - alignment.source_centre) @ W + b
            # Sums of 16 products in float32, of numbers that the scale makes up to ten times as large.
            torch.testing.assert_close(found[name][place].double(), expected, rtol=0, atol=1e-5)
    assert facts["aligned_to"] == "qal"
    with safe_open(tmp_path / "out", "pt") as file:
        numbers = " ".join(map(str, sorted(layers) or range(3)))
        assert file.metadata() == {"language": "qel", "layers": numbers, "aligned_to": "qal"}
    assert {path.name for path in tmp_path.iterdir()} == {"own", "out", "text.txt"}


def test_vectors_of_the_reference_are_scaled_to_meet_the_aligned_ones(tiny_run, text, tmp_path, mapping):
    model = tiny_run.folder / "encoders" / "qal"
    embed(model, text, tmp_path / "own", tokenised=True)
    embed(model, text, tmp_path / "out", tokenised=True, aligned=mapping, half=True)
    own, found = load_file(tmp_path / "own"), load_file(tmp_path / "out")
    scales = torch.tensor([0.25, 1.25, 2.25])[:, None, None]
    for name, vectors in own.items():
        torch.testing.assert_close(found[name], (vectors * scales).half())
    with safe_open(tmp_path / "out", "pt") as file:
        assert file.metadata()["aligned_to"] == "qal"


def test_numbers_stand_at_multiples_of_eight_behind_a_longer_header_too(model, text, tmp_path, mapping):
    embed(model, text, tmp_path / "out", aligned=mapping)
    data = (tmp_path / "out").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    ends = [entry["data_offsets"][1] for name, entry in json.loads(data[8 : 8 + length]).items() if name[0] != "_"]
    assert length % 8 == 0
    assert max(ends) == len(data) - 8 - length


def test_words_are_mapped_together_and_stay_with_their_lines(model, text, tmp_path, mapping, monkeypatch):
    embed(model, text, tmp_path / "together", tokenised=True, aligned=mapping)
    monkeypatch.setattr("isogloss.embedding.WORDS_MAPPED_TOGETHER", 1)
    embed(model, text, tmp_path / "apart", tokenised=True, aligned=mapping)
    together, apart = load_file(tmp_path / "together"), load_file(tmp_path / "apart")
    assert together.keys() == apart.keys()
    for name, vectors in together.items():
        torch.testing.assert_close(vectors, apart[name], **NEARLY)


def alignment_of(source: str, target: str, *, layer: int = 1, width: int = 16) -> Alignment:
    return Alignment(source, target, layer, torch.eye(width, dtype=torch.float64))


@pytest.mark.parametrize(
    ("alignment", "words"),
    [
        (
            alignment_of("es", "en"),
            r"--aligned .*: leads from es to en, but the model is of qel\. Expected an alignment",
        ),
        (alignment_of("qel", "qal", layer=2), r"--aligned .*: has no alignment of layer 1, only of 2\. Expected one"),
        (
            alignment_of("qel", "qal", width=8),
            r"maps vectors of layer 1, width 8; the model gives layers 0 to 2, width 16",
        ),
    ],
)
def test_alignments_that_do_not_fit_the_model_are_refused(model, text, tmp_path, alignment, words):
    save_alignment(tmp_path / "mapping" / f"layer-{alignment.layer}", alignment)
    with pytest.raises(AlignmentError, match=words):
        embed(model, text, tmp_path / "out", layers=[1], aligned=tmp_path / "mapping")
    assert {path.name for path in tmp_path.iterdir()} == {"mapping", "text.txt"}


def test_a_folder_without_alignments_is_refused(command, model, text, tmp_path):
    ended = command("embed", model, text, "-o", tmp_path / "out", "--aligned", tmp_path / "nowhere")
    assert (ended.status, len(ended.complaints)) == (2, 1)
    assert "nowhere: no such folder" in ended.complaints[0]
    assert not (tmp_path / "out").exists()


def test_an_interrupt_while_aligning_leaves_the_old_file_and_nothing_else(model, text, tmp_path, mapping, monkeypatch):
    (tmp_path / "out").write_text("old")

    def interrupted(source, destination, length):
        raise KeyboardInterrupt

    monkeypatch.setattr("isogloss.embedding.shutil.copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(model, text, tmp_path / "out", aligned=mapping)
    assert (tmp_path / "out").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text.txt"]


def test_aligned_vectors_need_a_folder_that_is_there(model, text, tmp_path, mapping):
    with pytest.raises(OutputError, match=r"nowhere/out: writing failed \(No such file or directory\)"):
        embed(model, text, tmp_path / "nowhere" / "out", aligned=mapping)
