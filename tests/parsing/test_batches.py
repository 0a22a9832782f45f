"""The order of training sentences: fair to languages, whole in every pass, resumable."""

import json
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.parsing.batches import ParserBatches

LENGTHS = {"es": [5, 9, 2, 7, 7, 1, 30], "fr": [4, 4, 12]}


def make(seed=1, batch_size=2):
    return ParserBatches(LENGTHS, batch_size=batch_size, seed=seed)


def passes_of(language, batches):
    """Split a language's batches where a sentence comes again."""
    passes = [[]]
    for batch in batches:
        if batch.language == language:
            if set(batch.indices) & {index for indices in passes[-1] for index in indices}:
                passes.append([])
            passes[-1].append(batch.indices)
    return passes[:-1]


@pytest.mark.parametrize("language", ["es", "fr"])
def test_a_pass_holds_every_sentence_once(language):
    passes = passes_of(language, islice(make(), 60))
    assert len(passes) >= 4
    for one_pass in passes:
        assert sorted(sum(one_pass, ())) == list(range(len(LENGTHS[language])))


def test_passes_differ():
    first, second, *_ = passes_of("es", islice(make(), 60))
    assert first != second


@pytest.mark.parametrize("batch_size", [1, 3, 32, 10_000])
def test_batches_hold_as_many_sentences_on_average_as_asked_for(batch_size):
    sentences = 2000
    lengths = {"es": [1 + (17 * index) % 40 for index in range(sentences)]}
    supply = islice(ParserBatches(lengths, batch_size=batch_size, seed=0), sentences // batch_size + 2)
    [one_pass, *_] = passes_of("es", supply)
    # With a batch size of 1, many short sentences share a batch and some batches stay empty.
    assert len(one_pass) <= -(-sentences // batch_size)
    if batch_size > 1:
        assert len(one_pass) >= 0.9 * sentences // batch_size


def test_batches_hold_equally_many_words():
    lengths = [1 + (17 * index) % 40 for index in range(2000)]
    words = [
        sum(lengths[index] for index in batch.indices)
        for batch in islice(ParserBatches({"es": lengths}, batch_size=32, seed=0), 60)
    ]
    assert max(words) - min(words) <= 2 * 40  # up to one long sentence at either end


def test_languages_are_drawn_alike_however_large():
    counts = Counter(batch.language for batch in islice(make(), 2000))
    assert abs(counts["es"] - 1000) < 120  # five standard deviations of a fair coin


def test_batches_hold_similar_lengths():
    lengths = [1 + (17 * index) % 40 for index in range(2000)]
    padded = 0
    for batch in islice(ParserBatches({"es": lengths}, batch_size=20, seed=0), 100):
        padded += len(batch.indices) * max(lengths[index] for index in batch.indices)
    assert padded < 1.15 * sum(lengths)


def test_same_seed_same_batches_and_other_seed_others():
    first, again, other = (list(islice(make(seed), 20)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@given(taken=st.integers(0, 40), batch_size=st.integers(1, 8), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_resumed_batches_are_those_that_would_have_come(taken, batch_size, seed):
    whole = make(seed, batch_size)
    list(islice(whole, taken))
    state = json.loads(json.dumps(whole.state_dict()))
    resumed = make(seed, batch_size)
    list(islice(resumed, 3))  # whatever it did before is forgotten
    resumed.load_state_dict(state)
    assert list(islice(resumed, 15)) == list(islice(whole, 15))


def test_state_of_other_languages_is_refused():
    with pytest.raises(AssertionError, match="other languages"):
        make().load_state_dict({"step": 3, "pass": {"de": 0}, "place": {"de": 3}})
