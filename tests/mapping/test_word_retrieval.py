"""Word-in-context retrieval: counts against plain loops, intervals, and what is refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.parallel import SentencePair
from isogloss.corpus.sentence import Sentence
from isogloss.errors import AlignmentError
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.word_retrieval import RetrievalScores, retrieve_words


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair_of(source: str, target: str, *links: tuple[int, int]) -> SentencePair:
    return SentencePair(
        Sentence.of_forms(source.split(), language="gl"), Sentence.of_forms(target.split(), language="es"), links
    )


def rows(*vectors: list[float]) -> torch.Tensor:
    return torch.tensor(vectors, dtype=torch.float32).reshape(len(vectors), -1)


def text_of(seed: int, *, sentences: int = 6) -> tuple[list[torch.Tensor], list[torch.Tensor], list[SentencePair]]:
    """Random sentences of few forms, random vectors, random one-to-one links (in some sentences none)."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(sentences):
        one, other = (generator.choice(list("abcA"), size=generator.integers(1, 6)).tolist() for _ in range(2))
        count = int(generator.integers(0, min(len(one), len(other)) + 1))
        links = zip(
            generator.permutation(len(one))[:count].tolist(),
            generator.permutation(len(other))[:count].tolist(),
            strict=True,
        )
        pairs.append(pair_of(" ".join(one), " ".join(other), *links))
    pairs.append(pair_of("a", "b", (0, 0)))
    vectors = [
        [
            normal(seed + 31 * number + side, len((pair.source, pair.target)[side]), 3)
            for number, pair in enumerate(pairs)
        ]
        for side in (0, 1)
    ]
    return vectors[0], vectors[1], pairs


def slow_counts(queries, candidates, forms, sentences: int, *, neighbourhood: int | None) -> dict[str, list[int]]:
    """Every count by sentence; queries and candidates are (sentence, vector), partner by partner."""

    def cosine(one, other) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True)) / math.dist(one, [0] * 3) / math.dist(other, [0] * 3)

    table = [[cosine(x, y) for _, y in candidates] for _, x in queries]
    if neighbourhood is not None:

        def crowding(line):
            largest = sorted(line, reverse=True)[:neighbourhood]
            return sum(largest) / len(largest)

        own, others = [crowding(line) for line in table], [crowding(column) for column in zip(*table, strict=True)]
        table = [[2 * value - own[k] - others[m] for m, value in enumerate(line)] for k, line in enumerate(table)]
    names = ("words", "repeated_words", "occurrence_hits", "repeated_hits", "form_hits")
    counts = {name: [0] * sentences for name in names}
    for k, (sentence, _) in enumerate(queries):
        best = max(range(len(candidates)), key=table[k].__getitem__)
        repeated = forms.count(forms[k]) > 1
        counts["words"][sentence] += 1
        counts["repeated_words"][sentence] += repeated
        counts["occurrence_hits"][sentence] += best == k
        counts["repeated_hits"][sentence] += repeated and best == k
        counts["form_hits"][sentence] += forms[best] == forms[k]
    return counts


@pytest.mark.parametrize("neighbourhood", [None, 1, 3])
@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_counts_agree_with_plain_loops(neighbourhood, seed):
    sources, targets, pairs = text_of(seed)
    found = retrieve_words(
        None,
        sources,
        targets,
        pairs,
        metric="cosine" if neighbourhood is None else "csls",
        neighbourhood=neighbourhood or 10,
    )
    linked = [(number, i, j) for number, pair in enumerate(pairs) for i, j in pair.links]
    ones = [(number, sources[number][i].tolist()) for number, i, _ in linked]
    others = [(number, targets[number][j].tolist()) for number, _, j in linked]
    forms = [
        [pairs[number].source.forms[i].lower() for number, i, _ in linked],
        [pairs[number].target.forms[j].lower() for number, _, j in linked],
    ]
    for scores, expected in zip(
        found,
        (
            slow_counts(ones, others, forms[1], len(pairs), neighbourhood=neighbourhood),
            slow_counts(others, ones, forms[0], len(pairs), neighbourhood=neighbourhood),
        ),
        strict=True,
    ):
        assert {name: getattr(scores, name).tolist() for name in expected} == expected


def test_the_three_measures_worked_by_hand():
    # casa stands in both translations, so a form is not enough for house; sea is alone. The first house finds the
    # second casa, which is written right but stands elsewhere; the second house finds its own; sea finds its own.
    pairs = [pair_of("the house", "la Casa", (1, 1)), pair_of("house sea", "casa mar", (0, 0), (1, 1))]
    sources = [rows([9, 9, 9], [0, 1, 0.1]), rows([0, 1, 0], [1, 0, 0])]
    targets = [rows([9, 9, 9], [0, 0.5, 1]), rows([0, 1, 0], [1, 0, 0])]
    forward, _ = retrieve_words(None, sources, targets, pairs, metric="cosine")
    assert forward.scope == "gl→es, cosine"
    assert forward.share("occurrence") == pytest.approx(2 / 3)
    assert forward.share("repeated") == pytest.approx(1 / 2)
    assert forward.share("form") == 1
    assert forward.words.tolist() == [1, 2]
    assert forward.occurrence_hits.tolist() == [0, 2]


def test_an_alignment_brings_words_together():
    turn = torch.linalg.qr(normal(1, 3, 3).double()).Q
    sources, _, pairs = text_of(4, sentences=30)
    pairs = [SentencePair(pair.source, pair.source, tuple((k, k) for k in range(len(pair.source)))) for pair in pairs]
    targets = [5 + 2 * vectors @ turn.float() for vectors in sources]
    alignment = Alignment("gl", "es", 1, turn, scale=2.0, target_centre=torch.full((3,), 5.0, dtype=torch.float64))
    unaligned = retrieve_words(None, sources, targets, pairs, metric="cosine")
    aligned = retrieve_words(alignment, sources, targets, pairs, metric="cosine")
    for scores, before in zip(aligned, unaligned, strict=True):
        assert scores.share("occurrence") == 1
        assert before.share("occurrence") < 0.5
    scopes = [scores.scope for scores in retrieve_words(alignment, sources, targets, pairs)]
    assert scopes == ["gl→es, layer 1, csls", "gl←es, layer 1, csls"]


def test_the_targets_own_scale_counts_where_there_is_a_centre():
    # Targets are twice as long as aligned vectors; the centre is told in aligned units.
    sources, _, pairs = text_of(4, sentences=30)
    pairs = [SentencePair(pair.source, pair.source, tuple((k, k) for k in range(len(pair.source)))) for pair in pairs]
    centre = torch.tensor([1.0, -2, 3], dtype=torch.float64)
    targets = [2 * (vectors + centre.float()) for vectors in sources]
    alignment = Alignment("gl", "es", 1, torch.eye(3, dtype=torch.float64), target_centre=centre, target_scale=0.5)
    assert retrieve_words(alignment, sources, targets, pairs, metric="cosine")[0].share() == 1


# Intervals and sums


def scores_of(words: list[int], hits: list[int], scope: str = "gl→es, csls") -> RetrievalScores:
    zeros = np.zeros(len(words), dtype=np.int64)
    return RetrievalScores(scope, np.array(words), zeros, np.array(hits), zeros, np.array(words))


def test_an_interval_agrees_with_plain_redrawing():
    scores = scores_of([3, 1, 4, 2, 5] * 6, [3, 0, 1, 1, 5] * 6)
    low, high = scores.interval(generator=np.random.default_rng(1), resamples=4000)
    generator = np.random.default_rng(2)
    shares = []
    for _ in range(4000):
        drawn = generator.choice(30, size=30)
        shares.append(sum(scores.occurrence_hits[k] for k in drawn) / sum(scores.words[k] for k in drawn))
    # Two sets of 4,000 draws: the ends differ by some thousandths.
    assert (low, high) == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.01)
    assert low < scores.share() < high


def test_an_interval_depends_on_the_generator_alone(monkeypatch):
    scores = scores_of([3, 1, 4], [1, 1, 2])
    one, two = (scores.interval(generator=np.random.default_rng(7), resamples=500) for _ in range(2))
    assert one == two
    monkeypatch.setattr("isogloss.mapping.word_retrieval.DRAWS_AT_A_TIME", 10)
    assert scores.interval(generator=np.random.default_rng(7), resamples=500) == one


def test_sentences_are_drawn_whole():
    # Ten words that all fail or all succeed together are as uncertain as two coins, not as ten.
    together, apart = scores_of([10, 10], [10, 0]), scores_of([1] * 20, [1, 0] * 10)
    low, high = together.interval(generator=np.random.default_rng(1), resamples=2000)
    assert (low, high) == (0, 1)
    low, high = apart.interval(generator=np.random.default_rng(1), resamples=2000)
    assert 0.2 < low < 0.5 < high < 0.8


def test_a_larger_confidence_gives_a_wider_interval():
    scores = scores_of([3, 1, 4, 2] * 10, [1, 1, 2, 0] * 10)
    narrow, wide = (
        scores.interval(generator=np.random.default_rng(1), confidence=confidence) for confidence in (0.5, 0.99)
    )
    assert wide[0] < narrow[0] < scores.share() < narrow[1] < wide[1]


def test_no_question_has_no_share():
    scores = scores_of([1, 2], [1, 1])
    assert math.isnan(scores.share("repeated"))
    assert all(map(math.isnan, scores.interval("repeated", generator=np.random.default_rng(1), resamples=10)))


def test_scores_of_two_texts_add_up():
    both = scores_of([3, 1], [1, 1], "a") + scores_of([4], [2], "b")
    assert both.scope == "a; b"
    assert both.words.tolist() == [3, 1, 4]
    assert both.share() == pytest.approx(4 / 8)


# What is refused


@pytest.mark.parametrize(
    ("pairs", "lengths", "message"),
    [
        ([pair_of("a b", "c", (0, 0))], ([1], [1]), r"gl→es: the source vectors do not fit.*1 vectors, but 1 with 2"),
        ([pair_of("a b", "c", (0, 0))], ([2], [1, 1]), r"the target vectors do not fit.*: 2 sentences with 2"),
        ([pair_of("a", "c")], ([1], [1]), r"none of 1 sentence pairs has links\. Expected pairs of words"),
        ([], ([], []), r"none of 0 sentence pairs has links"),
        ([pair_of("a", "c d", (0, 0), (0, 1))], ([1], [2]), r"sentence pair 1: a word has several links"),
        ([pair_of("a b", "c", (0, 0), (1, 0))], ([2], [1]), r"sentence pair 1: a word has several links"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(pairs, lengths, message):
    with pytest.raises(AlignmentError, match=message):
        retrieve_words(None, *([normal(1, length, 3) for length in side] for side in lengths), pairs)
