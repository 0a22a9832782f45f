"""A dictionary where there is none: found in one space, believed or not, and grown from a small one."""

import re

import pytest
import torch

from isogloss.errors import AlignmentError, NoAlignmentFound
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.adversarial import AdversarialResult
from isogloss.mapping.induction import grow_dictionary, induce_dictionary
from isogloss.mapping.settings import AdversarialSettings, ProcrustesSettings, SelfLearningSettings

TYPES, WIDTH = 400, 16
QUICK = SelfLearningSettings(types=TYPES, patience=1, shown=0.4, growth=3.0, agreement_types=TYPES, final_types=TYPES)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


def languages(*, alike: list[str] | None = None, noise: float = 0.05) -> tuple[Anchors, Anchors]:
    """Two languages of which the second is the first, turned; the first words of both are ``alike``."""
    alike = alike or []
    source = normal(1, TYPES, WIDTH)
    target = source @ rotation(2, WIDTH) + noise * normal(3, TYPES, WIDTH)
    words = [[*alike, *(f"{code}x{row}" for row in range(len(alike), TYPES))] for code in ("gl", "es")]
    return (
        Anchors.of_vectors(words[0], source, language="gl", layer=1),
        Anchors.of_vectors(words[1], target, language="es", layer=1),
    )


def share_right(dictionary: BilingualDictionary) -> float:
    """The share of pairs whose second word is the translation: the same word, or of the same number."""
    right = [source.removeprefix("glx") == target.removeprefix("esx") for source, target in dictionary.pairs]
    return sum(right) / len(right)


LETTERS = "abcdefghij"
NAMES = [f"{one}o{other}arind" for one in LETTERS for other in LETTERS][:60]
YEARS = [str(1900 + year) for year in range(60)]


@pytest.mark.parametrize(("seed_pairs", "alike"), [("identical", NAMES), ("numerals", YEARS), ("cognates", NAMES)])
def test_a_dictionary_grows_from_words_that_are_alike(seed_pairs, alike):
    source, target = languages(alike=alike)
    told = []
    settings = QUICK.model_copy(update={"seed_pairs": seed_pairs})
    induced = induce_dictionary(source, target, settings=settings, report=told.append)
    assert (induced.dictionary.source, induced.dictionary.target) == ("gl", "es")
    assert len(induced.dictionary) > 0.95 * TYPES
    assert share_right(induced.dictionary) > 0.99
    assert induced.details["seed_pairs"] == seed_pairs
    assert induced.details["seeds"] == 60
    assert induced.details["induced_pairs"] == len(induced.dictionary)
    assert induced.details["runs"] == 2
    assert induced.details["agreement"] > 0.9
    assert 0.9 < induced.details["closeness"] <= 1
    assert induced.details["diagnosis"].endswith("which wrong ones hardly do.")
    assert told[0]["round"] == 1
    assert set(told[0]) == {"round", "closeness", "shown"}


NEIGHBOURS = QUICK.model_copy(update={"seed_pairs": "neighbours", "shown": None})


def near_one_another(*, alike: int, seed: int = 6) -> tuple[Anchors, Anchors]:
    """Two languages whose spaces were one before they moved apart."""
    source = normal(1, TYPES, WIDTH)
    skew = 0.1 * normal(5, WIDTH, WIDTH)
    target = source @ torch.linalg.matrix_exp(skew - skew.mT) + 0.3 * normal(seed, TYPES, WIDTH)
    names = NAMES[:alike]
    ours, theirs = ([*names, *(f"{code}x{row}" for row in range(alike, TYPES))] for code in ("gl", "es"))
    return (
        Anchors.of_vectors(ours, source, language="gl", layer=1),
        Anchors.of_vectors(theirs, target, language="es", layer=1),
    )


def test_spaces_that_were_one_need_no_seed_but_their_neighbours():
    source, target = near_one_another(alike=20)
    told = []
    induced = induce_dictionary(source, target, settings=NEIGHBOURS, report=told.append)
    assert share_right(induced.dictionary) > 0.9
    assert induced.details["seed_pairs"] == "neighbours"
    assert re.fullmatch(
        r"20 frequent words are spelt alike, and \d+ % of them are each other's nearest before any map, so the two "
        r"spaces were one, and are near it still\.",
        induced.details["diagnosis"],
    )
    assert {one["shown"] for one in told} == {1.0}  # nothing is hidden


def test_without_words_spelt_alike_neighbours_are_not_believed():
    message = (
        r"^Alignment gl→es, layer 1: 19 frequent words are spelt alike, and \d+ % of them are each other's nearest "
        r"before any map; fewer than 20 cannot tell whether the two spaces were one\. Expected evidence for one"
    )
    with pytest.raises(NoAlignmentFound, match=message):
        induce_dictionary(*near_one_another(alike=19), settings=NEIGHBOURS)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_neighbours_of_spaces_that_never_met_are_not_believed(decay):
    """Though both stretch alike along the same axes, and so the two runs agree."""
    axes = torch.arange(1, 49, dtype=torch.float64) ** -decay
    words = ([*NAMES, *(f"{code}x{row}" for row in range(len(NAMES), 1000))] for code in ("gl", "es"))
    source, target = (
        Anchors.of_vectors(own, normal(seed, 1000, 48) * axes, language=code, layer=1)
        for own, seed, code in zip(words, (8, 9), ("gl", "es"), strict=True)
    )
    with pytest.raises(NoAlignmentFound) as caught:
        induce_dictionary(source, target, settings=NEIGHBOURS)
    if decay:
        assert "60 frequent words are spelt alike, and 0 % of them are each other's nearest before any" in str(
            caught.value
        )
        assert "of spaces that were one more than 10 % are. So these were not." in str(caught.value)


def test_a_dictionary_grows_from_a_small_one():
    source, target = languages()
    small = BilingualDictionary("gl", "es", tuple((f"glx{row}", f"esx{row}") for row in range(40)))
    settings = QUICK.model_copy(update={"seed_pairs": "dictionary"})
    induced = induce_dictionary(source, target, settings=settings, dictionary=small)
    assert len(induced.dictionary) > 0.95 * TYPES
    assert share_right(induced.dictionary) > 0.99
    assert induced.details["seeds"] == 40


def test_the_dictionary_decides_nothing_unless_it_is_asked():
    source, target = languages(alike=NAMES)
    wrong = BilingualDictionary("gl", "es", tuple((f"glx{row}", f"esx{row + 1}") for row in range(100, 200)))
    with_it, without = (induce_dictionary(source, target, settings=QUICK, dictionary=given) for given in (wrong, None))
    assert with_it == without


@pytest.mark.parametrize(("seed_pairs", "alike"), [("identical", NAMES[:19]), ("numerals", NAMES)])
def test_too_few_seeds_are_refused(seed_pairs, alike):
    source, target = languages(alike=alike)
    found = len(alike) if seed_pairs == "identical" else 0
    with pytest.raises(
        AlignmentError,
        match=rf"^Alignment gl→es: {found} seed pairs \({seed_pairs}\) have anchors. Self-learning halves them and "
        r"needs at least 20. Choose other seed pairs \(align: --seed-pairs\)",
    ):
        induce_dictionary(source, target, settings=QUICK.model_copy(update={"seed_pairs": seed_pairs}))


def test_a_dictionary_that_is_asked_for_must_be_given():
    source, target = languages()
    with pytest.raises(
        AlignmentError, match=r"gl→es: self-learning from a dictionary has no dictionary. It needs one. Give"
    ):
        induce_dictionary(source, target, settings=QUICK.model_copy(update={"seed_pairs": "dictionary"}))


def test_what_is_not_believed_is_raised_with_its_evidence_and_the_way_out():
    source, target = languages(alike=NAMES)
    source, target = source.keep(max_types=200), target.keep(max_types=200)
    unrelated = Anchors.of_vectors(target.words, normal(50, 200, WIDTH), language="es", layer=1)
    with pytest.raises(NoAlignmentFound) as caught:
        induce_dictionary(source, unrelated, settings=QUICK)
    message = str(caught.value)
    assert caught.value.exit_status == 3
    assert "\n" not in message
    assert message.startswith("Alignment gl→es, layer 1: 4 runs, two by two from halves that have nothing in common")
    share = re.search(r"translate (\d+) % of the 200 most frequent words alike; right maps agree on more", message)
    assert share is not None
    assert int(share[1]) < 30
    assert "Expected evidence for one alignment. Give a dictionary, other seed pairs (align: --seed-pairs)" in message


@pytest.mark.parametrize("succeeded", [True, False])
def test_after_the_game_pairs_come_from_refinement(monkeypatch, succeeded):
    source, target = languages(noise=0.0)
    seen = {}

    def played(ours, theirs, **given):
        seen.update(given)
        given["progress"](3, 9, {"accuracy": 0.5})
        nearly = torch.linalg.qr(rotation(2, WIDTH) + 0.05 * normal(9, WIDTH, WIDTH))
        matrix = nearly.Q * nearly.R.diagonal().sign()
        return AdversarialResult(
            matrix=matrix, restarts=(), kept_restart=0, agreement=torch.eye(1).double(), random=(),
            succeeded=succeeded, diagnosis="A game was played.",
        )  # fmt: skip

    monkeypatch.setattr("isogloss.mapping.adversarial.adversarial", played)
    told, samples = [], (normal(5, 20, WIDTH), normal(6, 20, WIDTH))
    game = {"settings": AdversarialSettings(refinements=0), "samples": samples, "seed": 4, "report": told.append}
    if not succeeded:
        with pytest.raises(NoAlignmentFound, match=r"gl→es, layer 1: A game was played. Expected .* use self-learning"):
            induce_dictionary(source, target, **game)
        return
    induced = induce_dictionary(source, target, **game)
    assert induced.dictionary.pairs == tuple((f"glx{row}", f"esx{row}") for row in range(TYPES))
    assert induced.details["kept_restart"] == 0
    assert induced.details["induced_pairs"] == TYPES
    assert told == [{"done": 3, "total": 9, "accuracy": 0.5}]
    assert (seen["source_samples"] is samples[0], seen["target_samples"] is samples[1]) == (True, True)
    assert seen["seed"] == 4


def test_anchors_of_two_layers_are_refused():
    source, target = languages()
    other = Anchors.of_vectors(target.words, target.vectors, language="es", layer=2)
    with pytest.raises(AlignmentError, match=r"gl→es: the anchors are of layers 1 and 2"):
        induce_dictionary(source, other, settings=QUICK)


# Growing


def test_a_grown_dictionary_keeps_what_was_given_and_adds_what_it_leads_to():
    source, target = languages()
    pairs = (*tuple((f"glx{row}", f"esx{row}") for row in range(30)), ("glx40", "esx41"), ("glx50", "unknown"))
    known = BilingualDictionary("gl", "es", pairs)
    grown = grow_dictionary(source, target, dictionary=known, settings=ProcrustesSettings(refinements=2))
    assert grown.pairs[: len(pairs)] == pairs
    assert len(set(grown.pairs)) == len(grown.pairs)
    assert len(grown) > 0.95 * TYPES
    assert share_right(grown) > 0.99
    assert ("glx40", "esx40") in grown.pairs


def test_without_a_dictionary_growing_begins_with_words_that_are_alike():
    source, target = languages(alike=NAMES)
    grown = grow_dictionary(source, target, dictionary=None, settings=ProcrustesSettings())
    assert grown.pairs[:60] == tuple((name, name) for name in NAMES)
    assert len(grown) > 0.95 * TYPES
    assert share_right(grown) > 0.99


def test_growing_only_looks_at_frequent_words():
    source, target = languages()
    known = BilingualDictionary("gl", "es", tuple((f"glx{row}", f"esx{row}") for row in range(30)))
    grown = grow_dictionary(source, target, dictionary=known, settings=ProcrustesSettings(refinement_types=100))
    assert 95 <= len(grown) <= 100


def test_growing_needs_pairs_to_begin_with():
    source, target = languages(alike=NAMES[:9])
    with pytest.raises(AlignmentError, match=r"gl→es has 9 usable dictionary pairs; at least 10 are needed"):
        grow_dictionary(source, target, dictionary=None, settings=ProcrustesSettings())
