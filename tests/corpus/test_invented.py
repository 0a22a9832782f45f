"""The invented family keeps its promises: same bytes everywhere, valid trees, true alignments and senses."""

import hashlib
import io
import warnings
from collections import Counter, defaultdict

import pytest

from isogloss.corpus.conllu import read_treebank, write_conllu
from isogloss.corpus.invented import (
    LANGUAGES,
    REFERENCE,
    FamilySettings,
    ambiguous_forms,
    dictionary_pairs,
    parallel_sentences,
    senses,
    sentences,
    split_dictionary,
    text_lines,
    treebank,
    write_family,
)
from isogloss.corpus.invented.chance import Chance, Table, whim
from isogloss.corpus.invented.words import lexicon
from isogloss.corpus.sentence import Sentence
from isogloss.errors import RecipeError

CODES = tuple(LANGUAGES)
OTHERS = CODES[1:]
SCRIPTS = {"Georgian": "აჰ", "Cyrillic": "ая", "Greek": "αω", "Latin": "az"}
PINNED_DRAWS = [616, 146, 243, 722, 110]
PINNED_WHIM = 0.48450654722756503
PINNED_FAMILY = "bb86b989a42f00b57a8ba55819f725cfc60029bd8083bfe541e5c595903c4c35"
"""SHA-256 of names and bytes of all files of `SMALL`; changes only with the languages or their world."""
SMALL = FamilySettings(
    languages=("qal", "qbe", "qel"),
    text_sentences=40,
    train_sentences=10,
    dev_sentences=5,
    test_sentences=5,
    parallel_sentences=10,
)


def split_words(line: str) -> list[str]:
    """Split raw text by the simplest rules: white space, and punctuation on its own."""
    for mark in ".,?":
        line = line.replace(mark, f" {mark} ")
    return line.split()


def concepts(sentence: Sentence) -> list[str]:
    return [word.misc.partition("Gloss=")[2].partition("|")[0] for word in sentence.words]


def glosses_by_form(code: str) -> dict[str, set[str]]:
    glosses = defaultdict(set)
    for (concept, _), entry in lexicon(code).items():
        glosses[entry.form.lower()].add(concept.partition(".")[0])
    return glosses


def share(hits: list[bool]) -> float:
    assert hits, "nothing to measure"
    return sum(hits) / len(hits)


def of_relation(code: str, deprel: str, *, count: int = 400):
    """Yield the places of dependents with a relation and of their heads, from 1, with their sentence."""
    for sentence in sentences(code, "test", count, seed=1):
        for place, word in enumerate(sentence.words, 1):
            if word.deprel == deprel:
                yield place, word.head, sentence


# The same everywhere


def test_a_stream_is_numpys_pcg64_and_whims_follow_from_names():
    chance = Chance("here", 1)
    assert [chance.below(1000) for _ in range(5)] == PINNED_DRAWS
    assert whim("bear", "honey") == PINNED_WHIM


def test_a_small_family_has_the_bytes_it_always_had(tmp_path):
    write_family(tmp_path, SMALL)
    digest = hashlib.sha256()
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        digest.update(path.relative_to(tmp_path).as_posix().encode() + b"\0" + path.read_bytes())
    assert digest.hexdigest() == PINNED_FAMILY


def test_another_seed_tells_other_events():
    assert list(text_lines("qal", 20, 1)) != list(text_lines("qal", 20, 2))


def test_a_longer_stream_begins_with_the_shorter():
    assert list(text_lines("qbe", 60, 3))[:20] == list(text_lines("qbe", 20, 3))


def test_table_picks_by_weight():
    table, chance = Table.of({"rare": 1.0, "common": 3.0}), Chance("picks")
    counts = Counter(chance.pick(table) for _ in range(4000))
    assert abs(counts["common"] / 4000 - 0.75) < 0.03  # four standard deviations of a share of 4000


# Files


def test_family_folder_has_every_file(tmp_path):
    write_family(tmp_path, SMALL)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {f"{code}/{split}.conllu" for code in SMALL.languages for split in ("train", "dev", "test")}
    expected |= {f"{code}/text.txt" for code in SMALL.languages}
    expected |= {f"dictionaries/{code}-qal.{part}.tsv" for code in ("qbe", "qel") for part in ("train", "test")}
    expected |= {f"parallel/qal-{code}.tsv" for code in ("qbe", "qel")}
    assert found == expected


def test_written_trees_are_those_of_the_treebank(tmp_path):
    write_family(tmp_path, SMALL)
    read = read_treebank(tmp_path / "qel" / "dev.conllu", language="qel")
    assert read.sentences == treebank("qel", "dev", sentences=5, seed=1).sentences


def test_unknown_language_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"found xyz; expected some of qal, qbe"):
        write_family(tmp_path, FamilySettings(languages=("qal", "xyz")))


def test_parallel_file_has_words_words_and_links(tmp_path):
    write_family(tmp_path, SMALL)
    lines = (tmp_path / "parallel" / "qal-qbe.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 10
    for line in lines:
        one, other, links = line.split("\t")
        for link in links.split():
            i, j = map(int, link.split("-"))
            assert i < len(one.split()) and j < len(other.split())


# Trees


@pytest.mark.parametrize("code", CODES)
def test_trees_pass_the_official_validator(code, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the validator's own
        from udtools import Validator
    path = tmp_path / "trees.conllu"
    write_conllu(sentences(code, "train", 250, seed=1), path)
    report = io.StringIO()
    state = Validator(lang="ud", level=3, output=report).validate_files([str(path)])
    assert state.passed(), report.getvalue()


@pytest.mark.parametrize("code", CODES)
def test_every_tree_has_one_root_and_no_crossing_arcs(code):
    for sentence in sentences(code, "train", 200, seed=1):
        heads = [word.head for word in sentence.words]
        assert heads.count(0) == 1
        arcs = [tuple(sorted((place, head))) for place, head in enumerate(heads, 1) if head]
        assert not any(a < c < b < d for a, b in arcs for c, d in arcs)


def test_the_family_knows_the_common_relations():
    relations = {word.deprel for code in CODES for s in sentences(code, "train", 300, 1) for word in s.words}
    assert relations >= {
        *("nsubj", "obj", "iobj", "obl", "nmod", "nmod:poss", "amod", "det", "nummod", "case", "aux", "cop"),
        *("advmod", "mark", "acl:relcl", "advcl", "ccomp", "conj", "cc", "punct", "discourse", "root"),
    }


@pytest.mark.parametrize("code", CODES)
def test_subject_verb_and_object_keep_their_order(code):
    order = LANGUAGES[code].order
    objects = [place > head for place, head, _ in of_relation(code, "obj") if head]
    # Questions and relative clauses may bring an object or a subject to the front.
    assert share(objects) < 0.02 if order == "SOV" else share(objects) > 0.85
    subjects = [
        place < head
        for place, head, sentence in of_relation(code, "nsubj")
        if sentence.words[head - 1].upos == "VERB" and sentence.words[place - 1].upos != "PRON"
    ]
    assert share(subjects) == (0.0 if order == "VSO" else 1.0)


@pytest.mark.parametrize("code", CODES)
def test_adjectives_owners_and_adpositions_keep_their_side(code):
    language = LANGUAGES[code]
    assert {place > head for place, head, _ in of_relation(code, "amod")} == {language.adjectives_after}
    assert {place > head for place, head, _ in of_relation(code, "nmod:poss")} == {language.owners_after}
    assert {place > head for place, head, _ in of_relation(code, "case")} == {language.postpositions}


# Raw text


@pytest.mark.parametrize("code", CODES)
def test_raw_text_splits_into_the_forms_of_the_trees(code):
    lines = text_lines(code, 200, 1, stream="train")
    for line, sentence in zip(lines, sentences(code, "train", 200, seed=1), strict=True):
        assert sentence.comment("text") == line
        assert split_words(line) == list(sentence.forms)


@pytest.mark.parametrize("code", CODES)
def test_text_is_written_in_one_script(code):
    first, last = SCRIPTS[LANGUAGES[code].script]
    letters = {letter for line in text_lines(code, 300, 1) for letter in line.lower() if letter.isalpha()}
    assert all(first <= letter <= last for letter in letters)


def test_sentences_begin_with_a_large_letter_where_there_is_one():
    assert all(line[0].isupper() for line in text_lines("qal", 50, 1))
    assert not any(letter.isupper() for line in text_lines("qel", 50, 1) for letter in line)


def test_raw_text_of_two_languages_is_not_parallel():
    lengths = [[len(line.split()) for line in text_lines(code, 300, 1)] for code in ("qdo", "qel")]
    parallel = [[len(s) for s in sentences(code, "train", 300, 1)] for code in ("qdo", "qel")]
    assert share([a == b for a, b in zip(*parallel, strict=True)]) > 0.9
    assert share([a == b for a, b in zip(*lengths, strict=True)]) < 0.3


# Words and senses


@pytest.mark.parametrize("code", CODES)
def test_forms_are_distinct_but_for_the_intended_ones(code):
    concepts_by_form = defaultdict(set)
    for entry in lexicon(code).values():
        concepts_by_form[entry.form.lower()].add(entry.concept)
    shared = {tuple(sorted(found)) for found in concepts_by_form.values() if len(found) > 1}
    assert shared == {tuple(sorted(pair)) for pair in LANGUAGES[code].homonyms}


@pytest.mark.parametrize("code", OTHERS)
def test_at_least_twelve_words_of_the_reference_have_two_translations_by_sense(code):
    ambiguous = ambiguous_forms(REFERENCE)
    assert len({concept for found in ambiguous.values() for concept in found}) >= 24
    for one, other in ambiguous.values():
        assert lexicon(REFERENCE)[one, ""].form == lexicon(REFERENCE)[other, ""].form
        assert lexicon(code)[one, ""].form != lexicon(code)[other, ""].form


def test_senses_name_every_ambiguous_occurrence():
    ambiguous = ambiguous_forms(REFERENCE)
    seen: Counter[str] = Counter()
    for sentence in sentences(REFERENCE, "train", 1500, seed=1):
        found = senses(sentence)
        for place, word in enumerate(sentence.words):
            assert (place in found) == (word.form.lower() in ambiguous)
            assert place not in found or found[place] in ambiguous[word.form.lower()]
        seen.update(found.values())
    assert set(seen) == {concept for pair in ambiguous.values() for concept in pair}
    assert min(seen.values()) >= 5


# Alignments and dictionaries


@pytest.mark.parametrize("code", OTHERS)
def test_aligned_words_mean_the_same(code):
    for one, other, links in parallel_sentences(REFERENCE, code, 200, seed=1):
        assert len({i for i, _ in links}) == len({j for _, j in links}) == len(links) > 0
        said, heard = concepts(one), concepts(other)
        assert all(said[i] == heard[j] for i, j in links)
        content = {i for i, word in enumerate(one.words) if word.upos in ("NOUN", "VERB", "ADJ", "PROPN")}
        assert content <= {i for i, _ in links}


def test_parallel_text_trees_and_raw_text_come_from_different_events():
    streams = ("train", "dev", "test", "parallel")
    told = [{s.comment("text") for s in sentences("qal", stream, 30, 1)} for stream in streams]
    told.append(set(text_lines("qal", 30, 1)))
    assert len(set().union(*told)) == sum(map(len, told))


@pytest.mark.parametrize("code", ["qbe", "qel"])
def test_dictionary_holds_every_translation_and_no_source_word_twice_over_its_split(code):
    pairs = dictionary_pairs(code, REFERENCE, 1)
    assert len(pairs) == len(set(pairs)) and all(word == word.lower() for pair in pairs for word in pair)
    train, test = split_dictionary(pairs)
    assert sorted(train + test) == sorted(pairs)
    assert not {word for word, _ in train} & {word for word, _ in test}
    assert len({word for word, _ in train}) > 200 and len({word for word, _ in test}) > 90
    meanings, translated = (glosses_by_form(language) for language in (code, REFERENCE))
    assert all(meanings[word] <= translated[translation] for word, translation in pairs)


def test_dictionary_gives_both_senses_of_an_ambiguous_word():
    translations = defaultdict(set)
    for word, translation in dictionary_pairs(REFERENCE, "qdo", 1):
        translations[word].add(translation)
    for form, pair in ambiguous_forms(REFERENCE).items():
        assert translations[form] >= {lexicon("qdo")[concept, ""].form for concept in pair}


def test_dictionary_puts_frequent_words_first():
    words = [word for word, _ in dictionary_pairs("qdo", "qal", 1)]
    counts = Counter(word for line in text_lines("qdo", 3000, 1) for word in split_words(line.lower()))
    assert sum(counts[word] for word in words[:50]) > 5 * sum(counts[word] for word in words[-50:])


@pytest.mark.parametrize("code", [code for code in CODES if LANGUAGES[code].marked_objects != "all"])
def test_no_word_form_is_too_rare_to_be_learned(code):
    counts = Counter(word for line in text_lines(code, 5000, 1) for word in split_words(line.lower()))
    used = {entry.form.lower() for entry in lexicon(code).values()} & set(counts)
    assert min(counts[form] for form in used) >= 4
