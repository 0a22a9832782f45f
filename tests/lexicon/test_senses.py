"""Words are divided into senses where their contexts lie in clouds, and nowhere else."""

import itertools
import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import ArtifactError, VectorsError
from isogloss.lexicon.extraction import extract_anchors
from isogloss.lexicon.sense_clusters import SenseSettings, divide_occurrences, evening, k_means
from isogloss.lexicon.sense_files import load_all_senses, load_senses, save_senses
from isogloss.lexicon.senses import SenseAnchors, gather_senses, sample_occurrences
from isogloss.lexicon.settings import AnchorSettings
from isogloss.shapes import mask_of_lengths

WIDTH = 12
SMALL = SenseSettings(min_count=30, occurrences=120)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


class PlantedEncoder:
    """Layer 0 knows the word; layer 1 adds noise of its own to every word, and moves *bear* and *Bank* by their sense.

    The sense is said by the word before: ``animal bear``, ``verb bear``.
    """

    layers, width = 2, WIDTH

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, 2, WIDTH)
        for row, sentence in enumerate(sentences):
            for place, form in enumerate(sentence.forms):
                before = sentence.forms[place - 1] if place else ""
                vectors[row, place, 0] = seen = 3 + self.normal("word", form)
                moved = self.normal("sense", before) if form == "bear" else torch.zeros(WIDTH)
                vectors[row, place, 1] = seen + moved + 0.3 * self.normal(*sentence.forms, str(place))
        return ContextualEmbeddings(vectors=vectors, mask=mask)

    @staticmethod
    def normal(*about: str) -> torch.Tensor:
        seed = [byte for word in about for byte in f"{word} ".encode()]
        return torch.from_numpy(np.random.default_rng(seed).standard_normal(WIDTH)).float()


def planted_text() -> list[Sentence]:
    """Of 100 bears, 60 are animals; 50 houses are nothing but houses; 20 doors are too few to be looked at."""
    lines = [f"s{n} animal bear" for n in range(60)] + [f"s{n} verb bear" for n in range(40)]
    lines += [f"s{n} {'animal' if n % 2 else 'verb'} house ." for n in range(50)] + [f"s{n} door" for n in range(20)]
    order = np.random.default_rng(0).permutation(len(lines))
    return [Sentence.of_forms(lines[number].split(), language="en") for number in order]


TEXT = planted_text()
ANCHORS = extract_anchors(PlantedEncoder(), TEXT, language="en", settings=AnchorSettings(min_count=20))
SENSES = gather_senses(PlantedEncoder(), iter(TEXT), anchors=ANCHORS, settings=SMALL)
LAYER_0, LAYER_1 = SENSES


def test_planted_senses_are_found_and_others_left_alone():
    for senses in SENSES:  # layer 0 shares the division of layer 1
        found = dict(zip(senses.words, senses.senses.tolist(), strict=True))
        assert found["bear"] == 2
        assert {word for word, number in found.items() if number > 1} == {"bear"}
    rows = LAYER_1.rows_of("bear")
    assert LAYER_1.shares[rows.start : rows.stop].tolist() == [0.6, 0.4]
    assert LAYER_1.is_ambiguous("Bear") and not LAYER_1.is_ambiguous("house") and not LAYER_1.is_ambiguous("unseen")


def test_plain_anchors_are_those_of_words_of_one_sense():
    for anchors in ANCHORS:
        found = SenseAnchors.of_anchors(anchors)
        assert (found.words, found.language, found.layer) == (anchors.words, anchors.language, anchors.layer)
        assert found.senses.tolist() == found.shares.tolist() == [1] * len(anchors)
        assert torch.equal(found.vectors, anchors.vectors) and torch.equal(found.counts, anchors.counts)
        again = found.expand()
        assert again.words == anchors.words and torch.equal(again.vectors, anchors.vectors)


def test_sense_anchors_agree_with_a_loop_over_the_text():
    by_sense: dict[str, list[torch.Tensor]] = {}
    for sentence in TEXT:
        if "bear" in sentence.forms:
            by_sense.setdefault(sentence.forms[1], []).append(PlantedEncoder().encode([sentence]).vectors[0, 2])
    for senses in SENSES:
        for row, sense in zip(senses.rows_of("bear"), ("animal", "verb"), strict=True):
            mean = torch.stack(by_sense[sense])[:, senses.layer].double().mean(dim=0)
            assert torch.allclose(senses.vectors[row].double(), mean, atol=1e-6)  # float32 holds 7 digits


def test_senses_weighed_by_their_shares_give_the_mean_and_single_words_their_plain_anchor():
    for senses, anchors in zip(SENSES, ANCHORS, strict=True):
        assert senses.words == anchors.words and senses.mean_norm == anchors.mean_norm
        for index, word in enumerate(senses.words):
            rows = senses.rows_of(word)
            vectors, shares = senses.vectors[rows.start : rows.stop], senses.shares[rows.start : rows.stop]
            if len(rows) == 1:
                assert torch.equal(vectors[0], anchors.vectors[index])
            else:  # every bear was in the sample, so the sample's mean is the plain anchor
                assert torch.allclose(shares @ vectors.double(), anchors.vectors[index].double(), atol=1e-6)
            assert float(shares.sum()) == pytest.approx(1)


def test_an_occurrence_finds_its_sense():
    for sentence in TEXT:
        if "bear" in sentence.forms:
            vector = PlantedEncoder().encode([sentence]).vectors[0, 2, 1]
            assert LAYER_1.sense_of("bear", vector) == ("animal", "verb").index(sentence.forms[1])
    with pytest.raises(VectorsError, match=r"Sense anchors of en, layer 1: 'unseen' has no anchor"):
        LAYER_1.sense_of("unseen", torch.zeros(WIDTH))


def test_expanded_senses_are_anchors_by_falling_count():
    anchors = LAYER_1.expand()
    counts = dict(zip(anchors.words, anchors.counts.tolist(), strict=True))
    assert (counts["bear#1"], counts["bear#2"], counts["house"], counts["door"]) == (60, 40, 50, 20)
    assert "bear" not in anchors.words
    assert anchors.counts.tolist() == sorted(anchors.counts.tolist(), reverse=True)
    for name in anchors.words:
        word, _, number = name.partition("#")
        row = LAYER_1.rows_of(word)[int(number or 1) - 1]
        assert torch.equal(anchors.vectors[anchors.words.index(name)], LAYER_1.vectors[row])
        assert LAYER_1.word_of_sense[name] == word


def test_a_word_of_several_senses_is_not_found_as_another_spelling():
    words, senses = ("bear", "Bear", "house"), torch.tensor([2, 1, 1])
    counts, shares = torch.tensor([4, 2, 1]), torch.tensor([0.5, 0.5, 1.0, 1.0], dtype=torch.float64)
    anchors = SenseAnchors("en", 1, words, senses, torch.eye(4), shares, counts, mean_norm=1.0).expand()
    assert anchors.index_of("bear") is None and "bear" not in anchors
    assert anchors.senses_of("bear") == ("bear#1", "bear#2") and anchors.senses_of("house") == ()
    assert [anchors.words[anchors.index_of(name) or 0] for name in ("bear#2", "Bear", "House")] == [
        "bear#2",
        "Bear",
        "house",
    ]
    with pytest.raises(VectorsError, match=r"1 of 1 words have no anchor \(bear\)"):
        anchors.for_words(["bear"])


def test_a_word_like_the_name_of_a_sense_is_refused():
    senses = SenseAnchors(
        language="en",
        layer=1,
        words=("bear", "bear#1"),
        senses=torch.tensor([2, 1]),
        vectors=torch.eye(3),
        shares=torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64),
        counts=torch.tensor([4, 2]),
        mean_norm=1.0,
    )
    with pytest.raises(VectorsError, match=r"'bear#1' is both a word type of the text and the name of a sense"):
        senses.expand()


def test_the_same_seed_gives_the_same_senses_whatever_else_is_looked_at():
    again = gather_senses(PlantedEncoder(), iter(TEXT), anchors=ANCHORS, settings=SMALL)
    small_batches = SMALL.model_copy(update={"batch_words": 7})
    batched = gather_senses(PlantedEncoder(), iter(TEXT), anchors=ANCHORS, settings=small_batches)
    for one, *others in zip(SENSES, again, batched, strict=True):
        for other in others:
            assert torch.equal(one.vectors, other.vectors) and torch.equal(one.senses, other.senses)


def test_one_layer_can_be_divided_as_another_is():
    (alone,) = gather_senses(PlantedEncoder(), TEXT, anchors=ANCHORS[:1], settings=SMALL, clustering_layer=1)
    assert torch.equal(alone.vectors, LAYER_0.vectors)
    (without_context,) = gather_senses(PlantedEncoder(), TEXT, anchors=ANCHORS[:1], settings=SMALL)
    assert without_context.senses.tolist() == [1] * len(ANCHORS[0])


def test_only_words_asked_for_are_looked_at():
    (none,) = gather_senses(PlantedEncoder(), TEXT, anchors=ANCHORS[1:], settings=SMALL, words=["house"])
    assert int(none.senses.max()) == 1


@given(st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=20)
def test_a_sample_holds_vectors_of_its_words_and_at_most_so_many(occurrences, seed):
    chosen = SenseSettings(occurrences=occurrences)
    words = ["bear", "unseen", "house"]
    sample = sample_occurrences(PlantedEncoder(), iter(TEXT), words=words, layers=(1, 0), settings=chosen, seed=seed)
    assert sample.words == ("bear", "house") and sample.sizes.tolist() == [occurrences] * 2
    assert sample.vectors.shape == (2 * occurrences, 2, WIDTH)
    everywhere: dict[str, set[tuple[float, ...]]] = {}
    for sentence in TEXT:
        for form, vector in zip(sentence.forms, PlantedEncoder().encode([sentence]).vectors[0], strict=True):
            everywhere.setdefault(form, set()).add(tuple(vector[[1, 0]].flatten().tolist()))
    for word, vectors in zip(sample.words, sample.vectors.split(sample.sizes.tolist()), strict=True):
        drawn = {tuple(vector.flatten().tolist()) for vector in vectors}
        assert len(drawn) == occurrences and drawn <= everywhere[word]


def test_all_occurrences_are_equally_likely_to_be_sampled():
    text = [Sentence.of_forms([f"s{n}", "w"]) for n in range(10)]
    of_vector = {tuple(PlantedEncoder().encode([each]).vectors[0, 1, 1].tolist()): n for n, each in enumerate(text)}
    drawn = np.zeros(10)
    for seed in range(400):
        sample = sample_occurrences(
            PlantedEncoder(), text, words=["w"], layers=(1,), settings=SenseSettings(occurrences=3), seed=seed
        )
        for vector in sample.vectors[:, 0].tolist():
            drawn[of_vector[tuple(vector)]] += 1
    # Each is expected 120 times, with a standard deviation of 9; four of these are passed once in 1,600 such tests.
    assert np.abs(drawn - 120).max() < 4 * (400 * 0.3 * 0.7) ** 0.5


def test_an_encoder_that_diverged_is_named():
    class Diverged(PlantedEncoder):
        def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
            embeddings = super().encode(sentences)
            return ContextualEmbeddings(vectors=embeddings.vectors / 0, mask=embeddings.mask)

    with pytest.raises(VectorsError, match=r"the encoder's vector of 'bear' is not finite"):
        gather_senses(Diverged(), TEXT, anchors=ANCHORS, settings=SMALL)


def test_k_means_finds_the_best_of_all_divisions_of_a_few_points():
    points = normal(1, 3, 7, 2)
    labels, within = k_means(points, k=2, restarts=40, generator=np.random.default_rng(0))
    for cloud, own, least in zip(points, labels, within, strict=True):

        def left(division: Sequence[bool], cloud: torch.Tensor = cloud) -> float:
            parts = [cloud[torch.tensor(division)], cloud[~torch.tensor(division)]]
            return sum(float((part - part.mean(dim=0)).square().sum()) for part in parts if len(part))

        assert float(least) == pytest.approx(left((own == 1).tolist()))
        assert float(least) == pytest.approx(min(map(left, itertools.product([False, True], repeat=7))))


@pytest.mark.parametrize("senses", [1, 2, 3, 4])
def test_as_many_clouds_are_found_as_were_planted(senses):
    centres = 6 * torch.eye(WIDTH, dtype=torch.float64)[:senses]
    truth = torch.arange(160) % senses
    vectors = 10 + centres[truth] + 0.5 * normal(senses, 160, WIDTH)
    labels = divide_occurrences(vectors, settings=SenseSettings(), seed=1)
    assert len(set(zip(truth.tolist(), labels.tolist(), strict=True))) == int(labels.max()) + 1 == senses


@given(st.integers(0, 1000))
@settings(max_examples=15)
def test_one_cloud_of_any_shape_stays_one(seed):
    stretched = normal(seed, 150, WIDTH) @ torch.diag(torch.logspace(0, -2, WIDTH, dtype=torch.float64))
    labels = divide_occurrences(20 + stretched, settings=SenseSettings(), seed=seed)
    assert not labels.any()


def test_equal_vectors_and_few_vectors_stay_one():
    assert not divide_occurrences(torch.ones(100, WIDTH), settings=SenseSettings(), seed=1).any()
    assert not divide_occurrences(normal(0, 3, WIDTH), settings=SenseSettings(), seed=1).any()


def test_an_outlier_is_no_sense():
    vectors = 10 + 0.1 * normal(3, 150, WIDTH)
    vectors[:5] += 8 * torch.eye(WIDTH, dtype=torch.float64)[0]
    assert not divide_occurrences(vectors, settings=SenseSettings(min_share=0.08), seed=1).any()
    found = divide_occurrences(vectors, settings=SenseSettings(min_share=0.02), seed=1)
    assert found.nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_evening_makes_the_common_variance_alike_in_all_directions():
    stretch = torch.diag(torch.tensor([3.0, 1.0, 0.5, 0.1], dtype=torch.float64))
    words = [torch.tensor([50.0, 0, 0, 0]).double() + normal(word, 500, 4) @ stretch for word in range(4)]
    even = evening(words, width=4, evenness=1e-9)
    rows = [torch.nn.functional.normalize(vectors, dim=1) for vectors in words]
    centred = torch.cat([points - points.mean(dim=0) for points in rows]) @ even
    assert torch.allclose(centred.mT @ centred / len(centred), torch.eye(4, dtype=torch.float64), atol=1e-3)
    assert torch.equal(evening([torch.ones(3, 4)], width=4, evenness=0.1), torch.eye(4, dtype=torch.float64))


def test_what_all_words_do_is_no_sense():
    """Words that stand before a full stop differ from those that do not: all in the same direction."""
    before_stop = 8 * torch.eye(WIDTH, dtype=torch.float64)[0]
    words = [20 + normal(seed, 120, WIDTH) + (torch.arange(120) % 2)[:, None] * before_stop for seed in range(12)]
    meant_apart = words[0] + (torch.arange(120) // 2 % 2)[:, None] * 8 * torch.eye(WIDTH, dtype=torch.float64)[1]
    even = evening([meant_apart, *words[1:]], width=WIDTH, evenness=0.1)
    assert divide_occurrences(words[1], settings=SenseSettings(), seed=1).any()
    assert not divide_occurrences(words[1], settings=SenseSettings(), seed=1, even=even).any()
    labels = divide_occurrences(meant_apart, settings=SenseSettings(max_senses=2), seed=1, even=even)
    right = float((labels == (torch.arange(120) // 2 % 2)).double().mean())
    assert max(right, 1 - right) > 0.95


def test_files_come_back(tmp_path):
    save_senses(tmp_path / "en", SENSES)
    for written, read in zip(SENSES, load_all_senses(tmp_path / "en"), strict=True):
        for name in ("vectors", "shares", "senses", "counts"):
            assert torch.equal(getattr(written, name), getattr(read, name))
        for name in ("language", "layer", "words", "mean_norm"):
            assert getattr(written, name) == getattr(read, name)
    assert load_senses(tmp_path / "en", 1).layer == 1
    with pytest.raises(ArtifactError, match=r"no sense anchors of layer 5, only of 0, 1\."):
        load_senses(tmp_path / "en", 5)


def test_files_that_do_not_fit_are_refused(tmp_path):
    save_senses(tmp_path, SENSES)
    text = (tmp_path / "senses.json").read_text()
    facts = json.loads(text)
    (tmp_path / "senses.json").write_text(json.dumps(facts | {"words": facts["words"][1:]}))
    with pytest.raises(ArtifactError, match=rf"do not fit {len(ANCHORS[0]) - 1} words and 2 layers of senses.json"):
        load_senses(tmp_path, 0)
    (tmp_path / "senses.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"senses.json: cannot be read \(KeyError: 'language'\)"):
        load_senses(tmp_path, 0)
    (tmp_path / "senses.json").write_text(text)
    (tmp_path / "senses.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=r"senses.safetensors: cannot be read"):
        load_senses(tmp_path, 0)
