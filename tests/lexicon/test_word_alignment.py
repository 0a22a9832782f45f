"""The word aligner, against plain loops over the same equations, and against the truth of the invented family."""

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.invented import parallel_sentences
from isogloss.lexicon import word_cells
from isogloss.lexicon.symmetrisation import grow_diag_final_and
from isogloss.lexicon.word_alignment import (
    TENSIONS,
    UNSEEN,
    WordAligner,
    WordAlignerSettings,
    align_words,
)

INTERSECTION = WordAlignerSettings()
UNION = WordAlignerSettings(symmetrisation="grow-diag-final-and")

texts = st.lists(
    st.tuples(*[st.lists(st.sampled_from(letters), min_size=1, max_size=5) for letters in ("abcdE", "vwxyZ")]),
    min_size=1,
    max_size=6,
)


# A slow second implementation: one direction of the model, word by word.


def digamma(value: float) -> float:
    return float(torch.digamma(torch.tensor(value, dtype=torch.float64)))


def choices(words, origins, place, tension: float, null: float) -> list[float]:
    """p(origin) for the word at a place: first nothing, then each place of the other sentence."""
    length, others = len(origins), len(words)
    pulls = [math.exp(-tension * abs((i + 1) / length - (place + 1) / others)) for i in range(length)]
    return [null, *((1 - null) * pull / sum(pulls) for pull in pulls)]


def posterior(words, origins, place, probability, tension: float, null: float) -> list[float]:
    joint = [
        prior * probability(origin, words[place])
        for prior, origin in zip(choices(words, origins, place, tension, null), [None, *origins], strict=True)
    ]
    return [each / sum(joint) for each in joint]


def slow_direction(pairs, options: WordAlignerSettings):
    """Return p(word | origin), with None for nothing, and λ; pairs are (words, origins)."""
    pairs = [([w.lower() for w in words], [o.lower() for o in origins]) for words, origins in pairs]
    together = defaultdict(set)
    for words, origins in pairs:
        for origin in [None, *origins]:
            together[origin] |= set(words)
    table = {(origin, word): 1.0 for origin, some in together.items() for word in some}
    tension = 0.0
    for done in range(options.model_1_rounds + options.diagonal_rounds):
        if done == options.model_1_rounds:
            tension = options.tension
        counts = dict.fromkeys(table, 0.0)
        slope = curvature = 0.0
        for words, origins in pairs:
            length, others = len(origins), len(words)
            for place, word in enumerate(words):
                shares = posterior(words, origins, place, lambda o, w: table[o, w], tension, options.null)
                prior = choices(words, origins, place, tension, options.null)[1:]
                prior = [each / sum(prior) for each in prior]
                for origin, share in zip([None, *origins], shares, strict=True):
                    counts[origin, word] += share
                h = [-abs((i + 1) / length - (place + 1) / others) for i in range(length)]
                mean = sum(p * x for p, x in zip(prior, h, strict=True))
                slope += sum(q * x for q, x in zip(shares[1:], h, strict=True)) - sum(shares[1:]) * mean
                curvature += sum(shares[1:]) * sum(p * (x - mean) ** 2 for p, x in zip(prior, h, strict=True))
        for origin, some in together.items():
            total = sum(counts[origin, word] for word in some)
            for word in some:
                if options.alpha:
                    table[origin, word] = math.exp(
                        digamma(counts[origin, word] + options.alpha) - digamma(total + options.alpha * len(some))
                    )
                else:
                    table[origin, word] = counts[origin, word] / total
        if done >= options.model_1_rounds and curvature > 1e-9:
            tension = min(max(tension + slope / curvature, TENSIONS[0]), TENSIONS[1])
    return table, tension


def slow_choice(words, origins, table, tension: float, null: float):
    """For each word the place of its most probable origin, None for nothing, and how probable that is."""
    words, origins = [w.lower() for w in words], [o.lower() for o in origins]
    chosen = []
    for place in range(len(words)):
        shares = posterior(words, origins, place, lambda o, w: max(table.get((o, w), 0), UNSEEN), tension, null)
        best = max(range(1, len(shares)), key=lambda k: (shares[k], -k))
        chosen.append((best - 1 if shares[best] > shares[0] else None, shares))
    return chosen


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("cells", [1, 7, 1 << 19])
@settings(max_examples=12)
@given(pairs=texts)
def test_what_is_learnt_agrees_with_plain_loops(pairs, alpha, cells):
    options = WordAlignerSettings(model_1_rounds=2, diagonal_rounds=3, alpha=alpha)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_cells, "CELLS_AT_A_TIME", cells)
        aligner = WordAligner.fit(pairs, settings=options)
    tables = []
    for forward in (True, False):
        table, tension = slow_direction([(t, s) if forward else (s, t) for s, t in pairs], options)
        tables.append((table, tension))
        for (origin, word), expected in table.items():
            if origin is None:
                continue
            found = aligner.translation(*((origin, word) if forward else (word, origin)))[0 if forward else 1]
            # Newton's step divides by a curvature, which may be small and amplifies rounding a little.
            assert found == pytest.approx(max(expected, UNSEEN), rel=1e-8, abs=1e-10)
        assert aligner.tensions[0 if forward else 1] == pytest.approx(tension, rel=1e-6)


@settings(max_examples=15)
@given(texts, texts)
def test_links_agree_with_plain_loops_on_any_sentences(training, others):
    options = WordAlignerSettings(model_1_rounds=2, diagonal_rounds=2)
    aligner = WordAligner.fit(training, settings=options)
    tables = [
        slow_direction([(t, s) if forward else (s, t) for s, t in training], options) for forward in (True, False)
    ]
    for (source, target), links in zip(others, aligner.links(others), strict=True):
        forward = slow_choice(target, source, *tables[0], options.null)
        backward = slow_choice(source, target, *tables[1], options.null)
        for link in links:
            sure = forward[link.target][1][link.source + 1] * backward[link.source][1][link.target + 1]
            assert link.confidence == pytest.approx(sure, rel=1e-6, abs=1e-10)
        if not any(_tied(shares) for _, shares in (*forward, *backward)):
            expected = {(i, j) for j, (i, _) in enumerate(forward) if i is not None and backward[i][0] == j}
            assert {(link.source, link.target) for link in links} == expected


def _tied(shares: list[float]) -> bool:
    first, second = sorted(shares, reverse=True)[:2]
    return first - second < 1e-9


def test_one_round_worked_by_hand():
    # Model 1, one round, no prior: every word of "a b" | "A B" is explained by null (0.2) and both words (0.4 each),
    # the "A" of "a" | "A" by null (0.2) and "a" (0.8). So a gave A 0.4 + 0.8 and B 0.4 of its 1.6.
    options = WordAlignerSettings(model_1_rounds=1, diagonal_rounds=0, alpha=0, null=0.2)
    aligner = WordAligner.fit([(["a", "b"], ["A", "B"]), (["a"], ["A"])], settings=options)
    assert aligner.translation("a", "A")[0] == pytest.approx(0.75)
    assert aligner.translation("a", "B")[0] == pytest.approx(0.25)
    assert aligner.translation("b", "B")[0] == pytest.approx(0.5)
    assert aligner.tensions == (0, 0)


# Against the truth


def marks(found, gold) -> tuple[float, float]:
    """Precision and recall of links."""
    one = {(number, *link) for number, links in enumerate(found) for link in links}
    other = {(number, *link) for number, links in enumerate(gold) for link in links}
    return len(one & other) / len(one), len(one & other) / len(other)


@pytest.mark.parametrize(("code", "recall"), [("qbe", 0.96), ("qco", 0.94), ("qdo", 0.98), ("qel", 0.98)])
def test_the_links_of_the_invented_family_are_found(code, recall):
    told = list(parallel_sentences("qal", code, 500, 1))
    pairs, gold = [(one.forms, other.forms) for one, other, _ in told], [links for *_, links in told]
    aligner = WordAligner.fit(pairs)
    # The truth links words that say something, so what links to a word without a gold link is no mistake of meaning.
    linked = [({i for i, _ in links}, {j for _, j in links}) for links in gold]
    found = [
        [(i, j) for i, j in links if i in sources and j in targets]
        for links, (sources, targets) in zip(aligner.align(pairs), linked, strict=True)
    ]
    precision, found_recall = marks(found, gold)
    assert precision > 0.95
    assert found_recall > recall
    assert 1 - 2 * precision * found_recall / (precision + found_recall) < 0.05  # AER, as all gold links are sure


def test_an_aligner_links_sentences_it_was_not_trained_on():
    told = list(parallel_sentences("qal", "qel", 600, 1))
    aligner = WordAligner.fit([(one.forms, other.forms) for one, other, _ in told[:500]])
    found = aligner.align([(one.forms, other.forms) for one, other, _ in told[500:]])
    assert marks(found, [links for *_, links in told[500:]])[1] > 0.95


def test_sure_links_are_better_links():
    told = list(parallel_sentences("qal", "qbe", 500, 1))
    pairs, gold = [(one.forms, other.forms) for one, other, _ in told], [links for *_, links in told]
    aligner = WordAligner.fit(pairs)
    everything, sure = aligner.align(pairs), aligner.align(pairs, min_confidence=0.9)
    assert all(set(some) <= set(all_) for some, all_ in zip(sure, everything, strict=True))
    assert marks(sure, gold)[0] > marks(everything, gold)[0] + 0.05


def test_the_diagonal_tells_repeated_words_apart():
    pairs = [(list("axay"), list("AXAY")), (list("az"), list("AZ")), (["x"], ["X"]), (["y"], ["Y"])]
    aligner = WordAligner.fit(pairs * 5)
    assert aligner.align(pairs)[0] == ((0, 0), (1, 1), (2, 2), (3, 3))
    assert min(aligner.tensions) > 1


# Putting two directions together


def by_definition(forward, backward):
    """Grow-diag-final-and as it is told: look through all candidates until none is added."""
    links = set(forward & backward)
    border = sorted(links)
    while border:
        reached = []
        for i, j in border:
            for k, m in [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                present = (k, m) in forward or (k, m) in backward
                lonely = all(k != x for x, _ in links) or all(m != y for _, y in links)
                if present and lonely and (k, m) not in links:
                    links.add((k, m))
                    reached.append((k, m))
        border = reached
    for direction in (forward, backward):
        for k, m in sorted(direction):
            if all(k != x and m != y for x, y in links):
                links.add((k, m))
    return links


sets = st.frozensets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=9)


@given(sets, sets)
def test_growing_agrees_with_its_definition(forward, backward):
    found = grow_diag_final_and(forward, backward)
    assert found == by_definition(forward, backward)
    assert forward & backward <= found <= forward | backward


def test_growing_worked_by_hand():
    # (1, 1) is agreed. (1, 2) touches it and word 2 is alone; (2, 1) likewise. (4, 4) stands apart, but both its words
    # are alone. (1, 5) touches nothing, and word 1 is taken.
    forward, backward = frozenset({(1, 1), (1, 2), (4, 4)}), frozenset({(1, 1), (2, 1), (1, 5)})
    assert grow_diag_final_and(forward, backward) == {(1, 1), (1, 2), (2, 1), (4, 4)}


@settings(max_examples=15)
@given(texts)
def test_an_intersection_is_one_to_one_and_part_of_what_grows_from_it(pairs):
    small = WordAlignerSettings(model_1_rounds=2, diagonal_rounds=1)
    large = small.model_copy(update={"symmetrisation": "grow-diag-final-and"})
    for few, many in zip(align_words(pairs, settings=small), align_words(pairs, settings=large), strict=True):
        assert len({i for i, _ in few}) == len({j for _, j in few}) == len(few)
        assert set(few) <= set(many)
        assert list(many) == sorted(many)


# Edges


def test_one_word_is_linked():
    assert align_words([(["a"], ["A"])]) == [((0, 0),)]


@pytest.mark.parametrize("options", [INTERSECTION, UNION])
@pytest.mark.parametrize("empty", [([], []), (["a"], []), ([], ["A"])])
def test_an_empty_side_gets_no_links(empty, options):
    assert align_words([empty, (["a"], ["A"])], settings=options) == [(), ((0, 0),)]
    assert align_words([empty], settings=options) == [()]
    assert align_words([], settings=options) == []


def test_a_very_long_sentence_is_left_out():
    short = [([f"a{k}"], [f"b{k}"]) for k in range(301)]
    long = ([f"a{k}" for k in range(301)], [f"b{k}" for k in range(301)])
    aligner = WordAligner.fit([long, *short])
    assert aligner.align([long, short[7]]) == [(), ((0, 0),)]
    assert aligner.translation("a7", "b7") == WordAligner.fit(short).translation("a7", "b7")
    assert aligner.translation("a7", "b8") == (UNSEEN, UNSEEN)
    longer = WordAlignerSettings(longest=301)
    assert align_words([long, *short], settings=longer)[0] == tuple((k, k) for k in range(301))


def test_case_does_not_matter():
    pairs = [(["The", "Sea"], ["El", "Mar"]), (["the"], ["el"]), (["SEA"], ["mar"])]
    lower = [([w.lower() for w in one], [w.lower() for w in other]) for one, other in pairs]
    assert align_words(pairs) == align_words(lower)
    assert WordAligner.fit(pairs).translation("sea", "MAR") == WordAligner.fit(lower).translation("sea", "mar")


def test_unknown_words_are_linked_by_place():
    aligner = WordAligner.fit([(["a", "b"], ["A", "B"]), (["a"], ["A"]), (["b"], ["B"])] * 3)
    assert aligner.align([(["a", "new", "b"], ["A", "NEU", "B"])]) == [((0, 0), (1, 1), (2, 2))]
    assert aligner.translation("a", "new") == (UNSEEN, UNSEEN)


def test_blocks_leave_no_trace(monkeypatch):
    told = [(one.forms, other.forms) for one, other, _ in parallel_sentences("qal", "qco", 60, 1)]
    whole = WordAligner.fit(told)
    monkeypatch.setattr(word_cells, "CELLS_AT_A_TIME", 100)
    pieces = WordAligner.fit(told)
    assert whole.align(told) == pieces.align(told)
    assert np.allclose(whole.tensions, pieces.tensions, rtol=1e-9)
