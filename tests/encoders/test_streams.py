"""Text as streams: every sentence once an epoch, both directions, and a position that can be found again."""

import json
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isogloss.compute.loop import Batches
from isogloss.corpus.characters import character_ids
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo import streams
from isogloss.encoders.elmo.bilm import StreamBatch
from isogloss.encoders.elmo.streams import TextFile, TextStreams, spellings


def words_of(count: int) -> list[list[str]]:
    """Sentences of one to five words, all words different, so that every place in a stream is known."""
    return [[f"w{index}.{place}" for place in range(1 + index * 7 % 5)] for index in range(count)]


SENTENCES = words_of(23)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(" ".join(words) + "\n" for words in SENTENCES))
    return path


VOCABULARY = Vocabulary.count(SENTENCES)
KEEP_ALL = 1000
"""So many lines apart are held-out lines that a short text has none."""


def open_streams(path: Path, *, rows: int = 3, unroll: int = 4, seed: int = 1, every: int = KEEP_ALL) -> TextStreams:
    text = TextFile(path, "es", tokenised=True, held_out_every=every)
    return TextStreams(text, VOCABULARY, rows=rows, unroll=unroll, seed=seed)


def read_words(batch: StreamBatch, direction: int, row: int) -> list[str]:
    """Look up what a row reads, by the ids beside the spellings."""
    return [VOCABULARY.words[number] for number in batch.ids[batch.inputs[direction, :, row]].tolist()]


def predicted(batch: StreamBatch, direction: int, row: int) -> list[str]:
    return [VOCABULARY.words[number] for number in batch.targets[direction, :, row].tolist()]


def read_sentences(source: TextStreams) -> Iterator[list[str]]:
    """Read one row and yield each sentence as it ends."""
    assert source.rows == 1
    sentence: list[str] = []
    while True:
        batch = next(source)
        for word, target in zip(read_words(batch, 0, 0), predicted(batch, 0, 0), strict=True):
            sentence.append(word)
            if target == "</S>":
                yield sentence[1:]
                sentence = []


@pytest.mark.parametrize("unroll", [1, 2, 4, 50])
def test_every_sentence_is_read_once_per_epoch(path, unroll):
    source = read_sentences(open_streams(path, rows=1, unroll=unroll))
    first, second = (list(islice(source, len(SENTENCES))) for _ in range(2))
    assert sorted(first) == sorted(second) == sorted(SENTENCES)
    assert first != second, "each epoch has an order of its own"
    assert first != SENTENCES


def test_rows_share_the_sentences_between_them(path):
    source = open_streams(path, rows=3)
    seen: list[str] = []
    while source.epoch == 0:
        batch = next(source)
        seen += [word for row in range(3) for word in read_words(batch, 0, row) if word != "<S>"]
    assert {word for words in SENTENCES for word in words} <= set(seen)
    # Nothing comes twice, but for the words of the sentences that begin the next epoch.
    begun = {word for words, _ in source._current for word in words}
    assert all(seen.count(word) == 1 for words in SENTENCES for word in words if word not in begun)


def test_a_sentence_in_both_directions_is_as_worked_out_by_hand(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("w0.0 w2.0 w2.1\n")
    batch = next(open_streams(path, rows=1, unroll=6))
    assert read_words(batch, 0, 0) == ["<S>", "w0.0", "w2.0", "w2.1", "<S>", "w0.0"]
    assert predicted(batch, 0, 0) == ["w0.0", "w2.0", "w2.1", "</S>", "w0.0", "w2.0"]
    assert read_words(batch, 1, 0) == ["</S>", "w2.1", "w2.0", "w0.0", "</S>", "w2.1"]
    assert predicted(batch, 1, 0) == ["w2.1", "w2.0", "w0.0", "<S>", "w2.1", "w2.0"]
    assert batch.keep[:, 0].tolist() == [0, 1, 1, 1, 0, 1]


@given(rows=st.integers(1, 5), unroll=st.integers(1, 9), seed=st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_what_is_predicted_is_what_is_read_next(path, rows, unroll, seed):
    source = open_streams(path, rows=rows, unroll=unroll, seed=seed)
    chunks = list(islice(source, 12))
    for row in range(rows):
        for direction, begin, end in ((0, "<S>", "</S>"), (1, "</S>", "<S>")):
            read = [word for chunk in chunks for word in read_words(chunk, direction, row)]
            said = [word for chunk in chunks for word in predicted(chunk, direction, row)]
            keep = [value for chunk in chunks for value in chunk.keep[:, row].tolist()]
            assert read[0] == begin
            assert [value == 0.0 for value in keep] == [word == begin for word in read]
            for target, following in zip(said, read[1:], strict=False):
                assert following == (begin if target == end else target)
            for word, target in zip(read, said, strict=True):
                assert word != end
                if word != begin and target != end:  # neighbours of one sentence, in the right order
                    sentence, place = word.split(".")
                    step = 1 if direction == 0 else -1
                    assert target == f"{sentence}.{int(place) + step}"


def test_chunks_have_the_shapes_that_they_should(path):
    for batch in islice(open_streams(path, rows=3, unroll=4), 5):
        types = len(batch.spellings)
        assert batch.inputs.shape == batch.targets.shape == (2, 4, 3)
        assert batch.keep.shape == (4, 3)
        assert batch.spellings.shape == (types, 50)
        assert batch.ids.shape == (types,)
        assert sorted(set(batch.inputs.flatten().tolist())) == list(range(types)), "each type stands there once"
        words = [VOCABULARY.words[number] for number in batch.ids.tolist()]
        assert torch.equal(batch.spellings, torch.from_numpy(character_ids(words)))


def test_words_outside_the_vocabulary_keep_their_spelling_but_are_predicted_as_unknown(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("w0.0 ñu\n")
    batch = next(open_streams(path, rows=1, unroll=3))
    assert predicted(batch, 0, 0) == ["w0.0", "<UNK>", "</S>"]
    place = batch.inputs[0, 2, 0]
    assert batch.spellings[place].tolist() == character_ids(["ñu"])[0].tolist()


@pytest.mark.parametrize("every", [2, 5, 20])
def test_held_out_lines_are_never_read_in_training_and_all_others_are(path, every):
    source = read_sentences(open_streams(path, rows=1, every=every))
    text = TextFile(path, "es", tokenised=True, held_out_every=every)
    kept_out = [line.split() for line in text.lines(held_out=True)]
    assert kept_out == SENTENCES[every - 1 :: every]
    trained = list(islice(source, 2 * (len(SENTENCES) - len(kept_out))))
    assert sorted(trained) == sorted(2 * [words for words in SENTENCES if words not in kept_out])


def test_empty_lines_count_for_nothing(tmp_path):
    path = tmp_path / "gaps.txt"
    path.write_text("\n".join(["a", "", "b", "  ", "c", "", "", "d", ""]))
    text = TextFile(path, "es", tokenised=True, held_out_every=2, max_sentences=3)
    assert list(text.lines(held_out=False)) == ["a", "c"]
    assert list(text.lines(held_out=True)) == ["b"]


@pytest.mark.parametrize(
    ("tokenised", "line", "words"),
    [
        (True, "Casa , al mar.", ["Casa", ",", "al", "mar."]),
        (False, "Casa, al mar.", ["Casa", ",", "a", "el", "mar", "."]),
    ],
)
def test_lines_are_split_as_the_trees_of_the_language_are(path, tokenised, line, words):
    assert TextFile(path, "es", tokenised=tokenised).words(line) == words


def same(one: StreamBatch, other: StreamBatch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in StreamBatch.__dataclass_fields__)


def test_the_same_seed_gives_the_same_order_and_another_one_another(path):
    def begin(seed: int) -> list[StreamBatch]:
        return list(islice(open_streams(path, seed=seed), 20))

    assert all(same(*pair) for pair in zip(begin(1), begin(1), strict=True))
    assert not all(same(*pair) for pair in zip(begin(1), begin(2), strict=True))


@given(read=st.integers(0, 30), block=st.integers(1, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_saved_position_is_found_again_exactly(path, read, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "SHUFFLED_TOGETHER", block)
        source = open_streams(path)
        for _ in range(read):
            next(source)
        saved = json.loads(json.dumps(source.state_dict()))  # as a checkpoint keeps it
        expected = list(islice(source, 12))
        other = open_streams(path)
        next(other)  # wherever it was before
        other.load_state_dict(saved)
        assert all(same(*pair) for pair in zip(islice(other, 12), expected, strict=True))


@pytest.mark.parametrize("block", [1, 5, 22, 23, 24])
def test_blocks_of_any_size_hold_every_sentence_once(path, monkeypatch, block):
    monkeypatch.setattr(streams, "SHUFFLED_TOGETHER", block)
    source = read_sentences(open_streams(path, rows=1))
    found = list(islice(source, len(SENTENCES)))
    assert sorted(found) == sorted(SENTENCES)
    for place, sentence in enumerate(found):
        assert SENTENCES.index(sentence) // block == place // block, "lines stay in their block"


def test_no_more_than_one_block_of_lines_is_held(path, monkeypatch):
    asked = 0

    def endless(path: Path, **options: object) -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield f"line {asked}"

    monkeypatch.setattr(streams, "read_lines", endless)
    monkeypatch.setattr(streams, "SHUFFLED_TOGETHER", 10)
    source = open_streams(path, rows=1, unroll=3)  # a line a chunk
    for number in range(1, 31):
        next(source)
        assert number <= asked <= number + 10


@pytest.mark.parametrize("unroll", [1, 4, 50])
def test_the_words_of_a_batch_can_be_told_and_not_those_after_it(path, unroll):
    source = open_streams(path, rows=2, unroll=unroll)
    for _ in range(3):
        batch = next(source)
        rows = " | ".join(" ".join(read_words(batch, 0, row)) for row in range(2))
        assert source.describe(batch) == f"{path}, epoch {source.epoch + 1}: {rows}"


def test_words_are_told_as_the_network_reads_them(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text(f"ñu {60 * 'a'} </S>x\n")
    source = open_streams(path, rows=1, unroll=4)
    assert source.describe(next(source)).endswith(f": <S> ñu {48 * 'a'} </S>x")


def test_streams_are_batches_for_the_training_loop(path):
    assert isinstance(open_streams(path), Batches)


@given(st.lists(st.text(max_size=60), max_size=6))
def test_remembered_spellings_are_the_spellings(words):
    assert torch.equal(spellings(words), torch.from_numpy(character_ids(words)))


def test_each_epoch_is_shuffled_anew_and_every_order_is_a_permutation(path):
    source = read_sentences(open_streams(path, rows=1))
    orders = [[SENTENCES.index(sentence) for sentence in islice(source, len(SENTENCES))] for _ in range(4)]
    assert all(sorted(order) == list(range(len(SENTENCES))) for order in orders)
    assert all(one != other for one, other in pairwise(orders))
