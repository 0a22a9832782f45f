"""Spelling beside vectors: the nearer the more letter groups, in any script; and what pairs teach of it."""

import pytest
import torch

from isogloss.errors import ArtifactError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import load_alignment, save_alignment
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.one_space import in_one_space
from isogloss.mapping.retrieval import translation_precision
from isogloss.mapping.settings import ProcrustesSettings, SelfLearningSettings
from isogloss.mapping.spelling import (
    SPELLING_WIDTH,
    beside_spelling,
    letter_groups,
    same_letters,
    spelling_vectors,
)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_words_are_the_nearer_the_more_groups_they_share():
    nation, nacion, station, horse = spelling_vectors(["nation", "nación", "station", "horse"])
    assert nation @ station > nation @ nacion > 0.3
    assert abs(nation @ horse) < 0.15
    shared = len(set(letter_groups("nation")) & set(letter_groups("nacion")))
    assert float(nation @ nacion) == pytest.approx(shared / len(letter_groups("nation")), abs=0.1), "but for the hash"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Haus", "haus"), ("été", "ete"), ("e\u0301te", "été"), ("bank#1", "bank#12"), ("ISPARTA", "ısparta")],
)
def test_case_marks_and_senses_do_not_count(one, other):
    assert torch.equal(*spelling_vectors([one, other]))


@pytest.mark.parametrize("word", ["a", "!", "#1", "我", "қазақ", "\ud800", "x" * 10_000])
def test_any_word_has_a_spelling(word):
    (vector,) = spelling_vectors([word])
    assert vector.shape == (SPELLING_WIDTH,)
    assert float(vector.norm()) == pytest.approx(1, abs=1e-5)


def test_letters_of_other_scripts_are_letters():
    қазақ, қазақша, казах, kazakh = spelling_vectors(["қазақ", "қазақша", "казах", "kazakh"])
    assert қазақ @ қазақша > қазақ @ казах > 0.1
    assert abs(казах @ kazakh) < 0.15


def test_spelling_is_the_same_whatever_stands_beside_and_wherever_it_is_made():
    """Weightings are stored; the hash must say the same for ever."""
    alone, among = spelling_vectors(["night"])[0], spelling_vectors(["x", "night", "y"])[1]
    assert torch.equal(alone, among)
    counts = alone / alone.abs().min()  # eleven signs each: odd numbers
    assert [round(count) for count in counts[:12].tolist()] == [3, 3, -5, 1, 1, -1, 3, 5, 1, -1, -1, 5]
    assert spelling_vectors([]).shape == (0, SPELLING_WIDTH)


def test_vectors_and_spelling_stand_side_by_side_with_the_weight_asked_for():
    vectors = 7 * normal(1, 3, 4).double()
    both = beside_spelling(vectors, ["one", "two", "three"], weight=0.5)
    assert both.shape == (3, 4 + SPELLING_WIDTH)
    assert both.dtype == torch.float64
    assert torch.allclose(both[:, :4].norm(dim=1), torch.ones(3, dtype=torch.float64))
    assert torch.allclose(both[:, 4:].norm(dim=1), torch.full((3,), 0.5, dtype=torch.float64), atol=1e-6)


MIDDLES, ENDS = ("a", "e", "or", "ul"), ("nta", "sko", "mir", "lep")
WORDS = [first + middle + end for first in "bdfg" for middle in MIDDLES for end in ENDS]


def cipher(word: str) -> str:
    """The word as the neighbours spell it: by rule."""
    return word.translate(str.maketrans("bdfgk", "ptvhc"))


def cyrillic(word: str) -> str:
    """The word in letters that English has not."""
    return "".join(chr(0x430 + ord(letter) - ord("a")) for letter in word)


def test_letters_are_seen_to_be_the_same_or_not():
    words = spelling_vectors(WORDS)
    assert same_letters(words, spelling_vectors([cipher(word) for word in WORDS]))
    assert not same_letters(words, spelling_vectors([cyrillic(word) for word in WORDS]))


def two_languages(change) -> tuple[Anchors, Anchors, BilingualDictionary, BilingualDictionary]:
    """Two languages whose vectors tell half of what is to be known, and whose spelling differs by rule."""
    words = [f"{word}{end}" for word in WORDS for end in ("a", "os", "ik", "unt", "ere", "y")]
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(1)).tolist()
    words = [words[place] for place in order]
    meanings = normal(2, len(words), 20)
    rotation = torch.linalg.qr(normal(3, 20, 20)).Q
    theirs = [change(word) for word in words]
    one = Anchors.of_vectors(words, meanings, language="gl")
    two = Anchors.of_vectors(theirs, (meanings + 1.3 * normal(4, len(words), 20)) @ rotation, language="es")
    pairs = tuple(zip(words, theirs, strict=True))
    return one, two, BilingualDictionary("gl", "es", pairs[:190]), BilingualDictionary("gl", "es", pairs[190:])


@pytest.mark.parametrize("change", [cipher, cyrillic])
def test_spelling_that_differs_by_rule_helps_to_find_words_in_any_script(change):
    one, two, known, tested = two_languages(change)
    found = {}
    for spelling in (0.0, 0.5):
        settings = ProcrustesSettings(weighting=0.3, spelling=spelling)
        found[spelling] = fit_alignment(one, two, dictionary=known, settings=settings)
    without, beside = (translation_precision(each, one, two, tested).precision(1) for each in found.values())
    assert beside > without + 0.15
    assert torch.equal(found[0.0].matrix, found[0.5].matrix), "the map knows nothing of spelling"
    assert torch.equal(found[0.0].apply(one.vectors), found[0.5].apply(one.vectors))
    assert (found[0.0].spelling, found[0.5].spelling) == (0.0, 0.5)
    assert found[0.5].details["spelling"] == 0.5
    assert "spelling" not in found[0.0].details


def test_held_out_pairs_leave_spelling_out_where_it_does_not_help():
    """Words that have nothing in common but their meaning, exact in the vectors."""
    one, two, known, _ = two_languages(cipher)
    foreign = [f"{number:05d}"[::-1] for number in range(len(one))]
    exact = Anchors.of_vectors(foreign, one.vectors @ torch.linalg.qr(normal(3, 20, 20)).Q, language="es")
    of_rows = dict(zip(one.words, foreign, strict=True))
    choosing = ProcrustesSettings(spelling=0.5, meeting=False)
    pairs = BilingualDictionary("gl", "es", tuple((word, of_rows[word]) for word, _ in known.pairs))
    alone = fit_alignment(one, exact, dictionary=pairs, settings=choosing)
    assert (alone.spelling, alone.source_weighting) == (0.0, None)
    helped = fit_alignment(one, two, dictionary=known, settings=choosing)
    assert helped.spelling == 0.5


def test_words_without_vectors_are_not_found_by_spelling_alone():
    one, two, known, _ = two_languages(cipher)
    flat = Anchors.of_vectors(one.words, torch.cat([torch.zeros(200, 20), one.vectors[200:]]), language="gl")
    alone = fit_alignment(flat, two, dictionary=known, settings=ProcrustesSettings(spelling=0.5))
    assert alone.spelling == 0.0


def test_spelling_comes_back_from_disk_and_on_the_way_back_and_is_lost_in_a_chain(tmp_path):
    one, two, known, tested = two_languages(cipher)
    there = fit_alignment(one, two, dictionary=known, settings=ProcrustesSettings(weighting=0.3, spelling=0.5))
    save_alignment(tmp_path / "there", there)
    loaded = load_alignment(tmp_path / "there")
    for sides in zip(in_one_space(there, one, two), in_one_space(loaded, one, two), strict=True):
        assert torch.equal(*sides)
    back = there.inverse()
    turned = BilingualDictionary("es", "gl", tuple((theirs, ours) for ours, theirs in tested.pairs))
    assert translation_precision(back, two, one, turned).precision(1) > 0.6
    assert back.spelling == 0.5
    assert there.then(back).spelling == there.for_vectors().spelling == 0.0
    assert there.for_vectors().source_weighting is None


def test_folders_that_say_nothing_of_spelling_have_none(tmp_path):
    one, two, known, _ = two_languages(cipher)
    save_alignment(tmp_path, fit_alignment(one, two, dictionary=known, settings=ProcrustesSettings(weighting=0.3)))
    facts = tmp_path / "alignment.json"
    text = facts.read_text(encoding="utf-8")
    assert '  "spelling": 0.0,\n' in text
    facts.write_text(text.replace('  "spelling": 0.0,\n', ""), encoding="utf-8")
    assert load_alignment(tmp_path).spelling == 0.0
    facts.write_text(text.replace('"spelling": 0.0', '"spelling": -1.0'), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"layer 0: spelling is -1.0; 0 or a positive number is expected. Align ag"):
        load_alignment(tmp_path)


def test_pairs_that_a_search_found_teach_spelling_too():
    one, two, known, tested = two_languages(cipher)
    settings = SelfLearningSettings(
        seed_pairs="dictionary", types=400, agreement_types=200, patience=1, shown=0.5, spelling=0.5
    )
    beside = fit_alignment(one, two, dictionary=known, settings=settings)
    without = fit_alignment(one, two, dictionary=known, settings=settings.model_copy(update={"spelling": 0.0}))
    assert (beside.spelling, without.spelling) == (0.5, 0.0)
    ours, theirs = (translation_precision(each, one, two, tested).precision(1) for each in (beside, without))
    assert ours > theirs + 0.15
    true = torch.linalg.qr(normal(3, 20, 20)).Q.double()
    assert (beside.matrix - true).norm() < 0.8 * (without.matrix - true).norm(), "better pairs make a better map"
