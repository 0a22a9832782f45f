"""Packed rows hold every sentence once, in reading order of either direction."""

from hypothesis import given
from hypothesis import strategies as st

from isogloss.encoders.elmo.packing import pack

texts = st.lists(st.lists(st.sampled_from(["a", "b", "pez", "mar", "<S>"]), max_size=6), max_size=9)


@given(texts, st.integers(1, 4))
def test_packed_sentences_can_be_read_back(sentences, rows):
    batch = pack(sentences, rows=rows)
    assert batch.types[:2] == ("<S>", "</S>")
    assert len(set(batch.types)) == len(batch.types)
    spoken = [words for words in sentences if words]
    assert sum(batch.active) == batch.inputs.shape[1] == sum(len(words) + 1 for words in spoken)
    assert batch.active == sorted(batch.active, reverse=True)
    assert max(batch.active, default=0) == min(rows, len(spoken))
    for direction, (mark, end) in enumerate([("<S>", "</S>"), ("</S>", "<S>")]):
        read = []
        for row in range(max(batch.active, default=0)):
            start = 0
            for step, running in enumerate(batch.active):
                if row >= running:
                    break
                word, target = (batch.types[values[direction, start + row]] for values in (batch.inputs, batch.targets))
                if row in batch.begins[step]:
                    assert word == mark
                    read.append(([], []))
                else:
                    read[-1][0].append(word)
                read[-1][1].append(target)
                start += running
        for words, targets in read:
            assert targets == [*words, end]
        assert sorted(words[:: 1 - 2 * direction] for words, _ in read) == sorted(spoken)


@given(texts, st.integers(1, 4))
def test_the_place_of_every_word_is_known(sentences, rows):
    batch = pack(sentences, rows=rows)
    words = [word for sentence in sentences for word in sentence]
    for direction in (0, 1):
        places = batch.places[direction].tolist()
        assert len(set(places)) == len(places)
        assert [batch.types[batch.inputs[direction, place]] for place in places] == words


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 8))
def test_rows_are_of_like_length(lengths, rows):
    batch = pack([["a"] * length for length in lengths], rows=rows)
    steps = len(batch.active)
    tokens = sum(length + 1 for length in lengths)
    assert max(lengths) + 1 <= steps <= tokens / rows + max(lengths) + 1  # no row begins when another has ended
