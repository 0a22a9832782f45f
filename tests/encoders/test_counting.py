"""Counting before the first step: how much of a text, what follows from a part of it, and damaged text."""

import gzip
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zstandard

from isogloss.corpus import vocabulary as vocabulary_module
from isogloss.corpus.raw_text import Position, read_lines
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo import counting, streams
from isogloss.encoders.elmo.counting import count_text, held_out_sentences, words_to_count
from isogloss.encoders.elmo.settings import BiLMTrainingSettings
from isogloss.encoders.elmo.streams import LONGEST_LINE, TextFile, TextStreams
from isogloss.encoders.elmo.training import train_bilm


def zipfian(path: Path, lines: int, *, seed: int = 0) -> Path:
    """Write sentences of three to twelve words of very unequal frequency."""
    generator = np.random.default_rng(seed)
    sentences = []
    for _ in range(lines):
        ranks = generator.zipf(1.3, generator.integers(3, 13)) % 5000
        sentences.append(" ".join(f"w{rank}" for rank in ranks))
    path.write_text("\n".join(sentences) + "\n")
    return path


def corpus_of(path: Path, **options: Any) -> TextFile:
    return TextFile(path, "es", tokenised=True, **options)


# ------------------------------------------------------------------------------------------------ how much


@pytest.mark.parametrize(
    ("start", "size", "asked", "expected"),
    [
        (b"word ", 100_000_000, None, None),
        (b"word ", 100_000_001, None, counting.WORDS_OF_LARGE_TEXT),
        (b"\xfd7zXZ\x00", 25_000_000, None, None),
        (b"\xfd7zXZ\x00", 25_000_001, None, counting.WORDS_OF_LARGE_TEXT),
        (b"\x1f\x8b", 30_000_000, None, counting.WORDS_OF_LARGE_TEXT),
        (b"\x28\xb5\x2f\xfd", 30_000_000, None, counting.WORDS_OF_LARGE_TEXT),
        (b"word ", 500_000_000, 77, 77),
        (b"word ", 10, 77, 77),
    ],
)
def test_how_much_is_counted_follows_from_the_size_on_disk_unless_the_settings_say(
    tmp_path, start, size, asked, expected
):
    path = tmp_path / "text"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)  # takes no room on the disk
    assert words_to_count(corpus_of(path), BiLMTrainingSettings(counted_words=asked)) == expected


def test_a_text_that_is_counted_whole_is_counted_exactly(tmp_path):
    path = zipfian(tmp_path / "text.txt", 200)
    text = corpus_of(path)
    lines = [line.split() for line in text.lines(held_out=False)]
    counted = count_text(text, BiLMTrainingSettings(min_count=2, vocabulary_size=50))
    assert counted.whole
    assert (counted.words, counted.sentences) == (sum(map(len, lines)), len(lines))
    assert (counted.counted_words, counted.counted_sentences) == (counted.words, counted.sentences)
    assert counted.remembered == lines
    assert counted.vocabulary == Vocabulary.count(lines, min_count=2, max_size=50)


PACK = {
    "txt": lambda data: data,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("ending", PACK)
def test_the_number_of_words_is_estimated_from_a_part(tmp_path, ending):
    plain = zipfian(tmp_path / "plain.txt", 60_000)
    path = tmp_path / f"text.{ending}"
    path.write_bytes(PACK[ending](plain.read_bytes()))
    whole = count_text(corpus_of(plain), BiLMTrainingSettings())
    part = count_text(corpus_of(path), BiLMTrainingSettings(counted_words=200_000))
    assert not part.whole
    assert 200_000 <= part.counted_words < 200_012
    # The lines are all of a kind, so half of them tells the rest. Decompressors take blocks of 64 kB, a tenth of this.
    tolerance = 0.01 if ending == "txt" else 0.1
    assert part.words == pytest.approx(whole.words, rel=tolerance)
    assert part.sentences == pytest.approx(whole.sentences, rel=tolerance)


def test_a_part_is_read_no_further_than_needed(tmp_path, monkeypatch):
    taken = 0

    def counting_lines(path: Path, **options: Any):
        nonlocal taken
        for line in read_lines(path, **options):
            taken += 1
            yield line

    monkeypatch.setattr(streams, "read_lines", counting_lines)
    text = corpus_of(zipfian(tmp_path / "text.txt", 20_000))
    count_text(text, BiLMTrainingSettings(counted_words=1000))
    assert taken < 300
    taken = 0
    held_out = held_out_sentences(text, BiLMTrainingSettings(held_out_sentences=5))
    assert (len(held_out), taken) == (5, 100)


def test_a_limit_of_sentences_bounds_the_estimate(tmp_path):
    path = zipfian(tmp_path / "text.txt", 20_000)
    text = corpus_of(path, max_sentences=4000)
    whole = count_text(text, BiLMTrainingSettings())
    part = count_text(text, BiLMTrainingSettings(counted_words=5000))
    assert whole.sentences == 3800
    assert part.sentences == pytest.approx(3800, rel=0.02)
    assert part.words == pytest.approx(whole.words, rel=0.05)


def test_a_part_longer_than_the_text_is_the_text(tmp_path):
    text = corpus_of(zipfian(tmp_path / "text.txt", 100))
    assert count_text(text, BiLMTrainingSettings(counted_words=10**9)).whole


def test_rare_words_of_a_part_are_not_rare_in_the_whole(tmp_path):
    text = corpus_of(zipfian(tmp_path / "text.txt", 20_000))
    part = count_text(text, BiLMTrainingSettings(min_count=5, counted_words=5000))
    assert min(part.vocabulary.counts[3:]) == 1, "one in a thirtieth of the text stands for thirty"
    whole = count_text(text, BiLMTrainingSettings(min_count=5))
    assert min(whole.vocabulary.counts[3:]) == 5


def test_sentences_that_are_not_kept_are_read_again_for_the_start_vectors(text, training_settings, monkeypatch):
    settings = training_settings(counted_words=900, loop={"max_steps": 2})
    weights = []
    for remembered in (10**6, 0):
        monkeypatch.setattr(counting, "WORDS_REMEMBERED", remembered)
        assert (count_text(corpus_of(text), settings).remembered is None) == (remembered == 0)
        encoder = train_bilm(text, language="es", settings=settings, tokenised=True)
        weights.append(encoder.model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_model_is_trained_from_a_part_and_says_so(text, training_settings):
    whole = train_bilm(text, language="es", settings=training_settings(), tokenised=True).card
    part = train_bilm(text, language="es", settings=training_settings(counted_words=900), tokenised=True).card
    assert whole["counted_words"] == whole["training_words"]
    assert 900 <= part["counted_words"] < 910
    assert part["training_words"] == pytest.approx(whole["training_words"], rel=0.05)


def test_the_position_is_that_on_disk(tmp_path):
    path = tmp_path / "text.xz"
    path.write_bytes(lzma.compress(b"a line\n" * 100_000))
    position = Position()
    assert position() == 0
    lines = read_lines(path, position=position)
    next(lines)
    assert 0 < position() <= path.stat().st_size


# ------------------------------------------------------------------------------------------------- memory


def test_the_rarest_types_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(vocabulary_module, "MOST_TYPES_COUNTED", 100)
    words = ["often"] * 50 + ["twice"] * 30
    stream = [[word, f"once{number}", f"rare{number // 2}"] for number, word in enumerate(words * 20)]
    counted = Vocabulary.count(stream)
    exact = Counter(word for sentence in stream for word in sentence)
    assert len(counted) <= 103
    found = dict(zip(counted.words, counted.counts, strict=True))
    assert (found["often"], found["twice"]) == (exact["often"], exact["twice"])
    assert sum(counted.counts[2:]) == exact.total(), "what was forgotten counts as unknown"


@pytest.mark.parametrize(("min_count", "max_size"), [(1, None), (2, None), (3, 8), (1, 3), (9, 5)])
def test_cutting_a_vocabulary_is_as_counting_with_limits(min_count, max_size):
    stream = [["a"] * 4 + ["b"] * 3, ["c", "c", "d", "<S>", "<UNK>"], ["e", "f", "g", "b"]]
    cut = Vocabulary.count(stream).cut(min_count=min_count, max_size=max_size)
    assert cut == Vocabulary.count(stream, min_count=min_count, max_size=max_size)


# ------------------------------------------------------------------------------------------- damaged text


@pytest.mark.parametrize("letters", ["a", "ñ", "語", "🙂", "e\u0301"])
@pytest.mark.parametrize("longest", [8, 9, 10, 11, 8192])
def test_a_long_line_comes_in_pieces_that_cut_no_letter(tmp_path, letters, longest):
    path = tmp_path / "long.txt"
    line = letters * 40
    path.write_text(f"{line}\nshort\n{line} {line}")
    pieces = list(read_lines(path, longest=longest))
    assert "".join(pieces).replace(" ", "") == f"{line}short{line}{line}"
    assert all(len(piece.encode()) <= longest for piece in pieces)
    assert "\ufffd" not in "".join(pieces)


def test_long_lines_are_cut_between_words(tmp_path):
    path = tmp_path / "long.txt"
    words = [f"word{number}" for number in range(5000)]
    path.write_text(" ".join(words))
    pieces = list(TextFile(path, "es", tokenised=True, held_out_every=1000).lines(held_out=False))
    assert len(pieces) == 1 + len(" ".join(words)) // LONGEST_LINE
    assert [word for piece in pieces for word in piece.split()] == words


HARM = {
    "malformed UTF-8": b"el \xff\xfe gato \xc3\x28 ve \xe2\x82 un perro .\n" * 30,
    "NULs": b"el\x00gato \x00 ve \x00\x00 .\n" * 30,
    "a line of 10 MB": b"el gato ve un perro . " * 460_000 + b"\n",
    "a line of 300 kB": b"el gato ve un perro . " * 14_000 + b"\n",
    "a word of 300 kB": b"a" * 300_000 + b"\n",
    "a word of 10 MB": b"a" * 10_000_000 + b"\n",
    "a word of 10 MB of combining marks": b"e" + "\u0301".encode() * 5_000_000 + b"\n",
    "emoji": "el 👩‍👩‍👧‍👦 ve 🏳️‍🌈 🇪🇸 👍🏽 .\n".encode() * 30,
    "combining marks": "el ga\u0301\u0323\u0308to ve\u0301 \u0301\u0301 .\n".encode() * 30,
    "control characters and odd line ends": b"el \x1c gato\x85 \x0b\x0c ve\r un\r\n\r\n \xe2\x80\xa8 .\n" * 30,
    "no spaces": "彼は猫を見た。".encode() * 3000 + b"\n",
}


@pytest.mark.parametrize(
    "harm", [pytest.param(harm, marks=[pytest.mark.slow] if "10 MB" in harm else []) for harm in HARM]
)
def test_damaged_text_is_trained_through(text, training_settings, tmp_path, harm):
    import tracemalloc

    path = tmp_path / "harmed.txt"
    whole = text.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + HARM[harm] + whole[half:])
    settings = training_settings(
        counted_words=20_000, held_out_sentences=20, loop={"max_steps": 12, "evaluate_every": 6}
    )
    tracemalloc.start()
    try:
        encoder = train_bilm(path, language="es", settings=settings)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert encoder.card["steps"] == 12
    assert np.isfinite(encoder.card["forward_perplexity"])
    encoder.save(tmp_path)
    assert Vocabulary.load(tmp_path / "vocabulary.txt") == encoder.vocabulary
    assert peak < 60e6, "a block of lines and the words counted, not the line"
    streams_of_it = TextStreams(TextFile(path, "es"), encoder.vocabulary, rows=4, unroll=20, seed=1)
    while streams_of_it.epoch == 0 and streams_of_it.drawn < 1200:
        next(streams_of_it)
