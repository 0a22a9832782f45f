"""Scores over other words than the gold file's: by hand, and to the last digit as the official scorer has them."""

import functools
import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from udtools import udeval

from isogloss.corpus.conllu import format_sentence, parse_conllu, read_conllu
from isogloss.corpus.raw_text import annotated_line
from isogloss.corpus.sentence import EmptyNode, MultiwordToken, Sentence, Word
from isogloss.corpus.sentences import split_sentences
from isogloss.errors import DataError
from isogloss.parsing.attachment import attachment_scores
from isogloss.parsing.raw_scores import Matches, RawScores, raw_scores

DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
NAMES = {"tokens": "Tokens", "sentences": "Sentences", "words": "Words", "upos": "UPOS", "uas": "UAS", "las": "LAS"}
TEXTS = st.text("ab", min_size=1, max_size=40)
COUNTS = st.builds(RawScores, *(st.builds(Matches, *(st.integers(0, 99) for _ in range(3))) for _ in range(6)))


def trees(text: str) -> tuple[Sentence, ...]:
    """Read sentences written small: a line for each word, ``form upos head deprel``, or ``1-2 form`` for a token."""

    def line(columns: list[str], number: int) -> str:
        if "-" in columns[0] and columns[0][0].isdigit():
            return "\t".join((*columns, *"_" * 8))
        form, upos, head, deprel = columns
        return "\t".join((str(number), form, "_", upos, "_", "_", head, deprel, "_", "_"))

    blocks = []
    for block in text.strip().split("\n\n"):
        lines = [each.split() for each in block.splitlines()]
        words_before = np.cumsum([1 if len(columns) == 4 else 0 for columns in lines])
        blocks.append("\n".join(line(*each) for each in zip(lines, map(int, words_before), strict=True)))
    return parse_conllu("\n\n".join(blocks) + "\n\n")


def official(gold, system) -> RawScores:
    loaded = [
        udeval.load_conllu(io.StringIO("".join(format_sentence(sentence) for sentence in sentences)), "text", {})
        for sentences in (gold, system)
    ]
    found = udeval.evaluate(*loaded)
    return RawScores(
        *(
            Matches(each.gold_total, each.system_total, each.correct)
            for each in (found[name] for name in NAMES.values())
        )
    )


def random_tree(sentence: Sentence, generator) -> Sentence:
    order = generator.permutation(len(sentence)) + 1
    heads = [0] * len(sentence)
    for place, word in enumerate(order[1:], 1):
        heads[word - 1] = int(order[max(0, place - generator.integers(1, 3))])
    names = ["root" if head == 0 else str(generator.choice(["obj", "obj:more", "det"])) for head in heads]
    return sentence.with_upos(list(generator.choice(["NOUN", "VERB"], len(sentence)))).with_tree(heads, names)


def random_tokens(characters: str, generator, *, joined: float) -> list[tuple[str, list[Word]]]:
    """Cut characters into tokens: each with its words, one of the same form, or some of others."""
    tokens, place = [], 0
    while place < len(characters):
        form = characters[place : place + int(generator.integers(1, 4))]
        place += len(form)
        if generator.random() < joined:
            choice = list(generator.choice(["a", "b", "A", form], int(generator.integers(1, 5))))
            tokens.append((form, [Word(str(each), lemma="joined") for each in choice]))
        else:
            tokens.append((form, [Word(form)]))
    return tokens


def gathered(tokens, generator) -> list[Sentence]:
    """Gather tokens into sentences with random trees."""
    sentences: list[Sentence] = []
    words: list[Word] = []
    multiword: list[MultiwordToken] = []
    for number, (form, some) in enumerate(tokens, start=1):
        if some[0].lemma == "joined":
            multiword.append(MultiwordToken(len(words) + 1, len(words) + len(some), (form, *"_" * 8)))
        words += some
        if generator.random() < 0.2 or number == len(tokens):
            sentences.append(random_tree(Sentence(tuple(words), multiword_tokens=tuple(multiword)), generator))
            words, multiword = [], []
    return sentences


def two_files(blocks: list[str], generator) -> tuple[list[Sentence], list[Sentence]]:
    """Make two files of blocks with a period after each: a block has no multiword token, or one of the files has but
    one token there. Elsewhere the official scorer does not keep to the definition.
    """
    files = [], []
    for block in blocks:
        if generator.random() < 0.5:
            whole = int(generator.integers(2))
            files[whole].append((block, [Word(each, lemma="joined") for each in (*block, "b")]))
            files[1 - whole].extend(random_tokens(block, generator, joined=0.4))
        else:
            for tokens in files:
                tokens.extend(random_tokens(block, generator, joined=0))
        for tokens in files:
            tokens.append((".", [Word(".")]))
    gold, system = (gathered(tokens, generator) for tokens in files)
    return gold, system


def slow_words_correct(gold: list[Sentence], system: list[Sentence]) -> int:
    """Count partners as the definition has them, character by character."""
    files = []
    for sentences in (gold, system):
        words, start, end = [], 0, 0
        for sentence in sentences:
            ranges = {at: each for each in sentence.multiword_tokens for at in range(each.first, each.last + 1)}
            for number, word in enumerate(sentence.words, start=1):
                token = ranges.get(number)
                start = end if token is None or number == token.first else start
                end = start + len(token.form if token else word.form)
                words.append((start, end, token is not None, word.form.lower()))
        files.append(words)
    united: dict[int, set[int]] = {}  # characters of multiword tokens, by character
    for start, end, joined, _ in (*files[0], *files[1]):
        if joined:
            together = set(range(start, end)).union(*(united.get(at, ()) for at in range(start, end)))
            united |= {at: together for at in together}

    @functools.cache
    def longest(one: tuple[str, ...], other: tuple[str, ...]) -> int:
        if not one or not other:
            return 0
        if one[0] == other[0]:
            return 1 + longest(one[1:], other[1:])
        return max(longest(one[1:], other), longest(one, other[1:]))

    alone = [{(start, end) for start, end, joined, _ in words if not joined} for words in files]
    found = len(alone[0] & alone[1])
    for stretch in {tuple(sorted(each)) for each in united.values()}:
        inside = [tuple(word[3] for word in words if set(range(*word[:2])) <= set(stretch)) for words in files]
        found += longest(*inside)
    return found


GOLD = trees("""
Vamos VERB 0 root
2-3 al
a ADP 4 case
el DET 4 det
mar NOUN 1 obl
. PUNCT 1 punct
""")


# By hand


def test_the_same_trees_are_all_right():
    scores = raw_scores(GOLD, GOLD)
    assert scores == RawScores(Matches(4, 4, 4), Matches(1, 1, 1), *[Matches(5, 5, 5)] * 4)
    assert scores.las.precision == scores.las.recall == scores.las.f1 == 1


def test_a_contraction_that_was_not_split_is_counted_by_hand():
    system = trees("""
        Vamos VERB 0 root
        al ADP 3 case
        mar NOUN 1 obl:arg
        . PUNCT 3 punct
    """)
    # `al` covers the characters of the multiword token, so the token is right; but it is neither of its words. The
    # relation of `mar` is right without its subtype, the head of the period is wrong.
    expected = RawScores(
        tokens=Matches(4, 4, 4),
        sentences=Matches(1, 1, 1),
        words=Matches(5, 4, 3),
        upos=Matches(5, 4, 3),
        uas=Matches(5, 4, 2),
        las=Matches(5, 4, 2),
    )
    assert raw_scores(GOLD, system) == expected == official(GOLD, system)
    assert expected.las.precision == 2 / 4 and expected.las.recall == 2 / 5 and expected.las.f1 == pytest.approx(4 / 9)


def test_a_multiword_token_split_otherwise_is_aligned_by_the_longest_common_subsequence():
    gold = trees("1-3 dámelo\nDa VERB 0 root\nme PRON 1 iobj\nlo PRON 1 obj")
    system = trees("1-2 dámelo\nda VERB 0 root\nlo PRON 1 iobj")
    # da = Da (small letters) and lo = lo; both heads are right, one relation is.
    found = raw_scores(gold, system)
    assert (found.words, found.uas, found.las) == (Matches(3, 2, 2), Matches(3, 2, 2), Matches(3, 2, 1))
    assert found == official(gold, system)


def test_multiword_tokens_that_overlap_are_one_stretch():
    gold = trees("1-2 abc\na X 0 root\nb X 1 dep\n3-4 def\nc X 1 dep\nd X 1 dep\nh X 1 dep")
    system = trees("1-2 ab\na X 0 root\nc X 1 dep\n3-4 cdefh\nd X 1 dep\nh X 1 dep")
    # The stretch is abcdefh, and h lies in it: a, c, d and h are partners.
    found = raw_scores(gold, system)
    assert (found.tokens.correct, found.words, found.las) == (0, Matches(5, 4, 4), Matches(5, 4, 4))
    assert found == official(gold, system)


def test_a_token_that_goes_beyond_a_multiword_token_has_no_partner():
    gold = trees("1-2 del\nde X 0 root\nel X 1 dep\nmar X 1 dep\nazul X 1 dep")
    system = trees("delmar X 0 root\nazul X 1 dep")
    found = raw_scores(gold, system)
    # The head of `azul` is delmar, which stands for no gold word.
    assert (found.words.correct, found.uas.correct, found.upos.correct) == (1, 0, 1)
    assert found == official(gold, system)


def test_sentence_borders_that_differ_cost_the_heads_that_they_cut_off():
    gold = trees("Sr X 0 root\n. X 1 dep\nPaz X 1 dep\n\nSí X 0 root")
    system = trees("Sr X 0 root\n. X 1 dep\n\nPaz X 0 root\nSí X 1 dep")
    found = raw_scores(gold, system)
    # No sentence covers the same characters. Paz is a root and should not be, Sí should be and is not.
    assert found == RawScores(Matches(4, 4, 4), Matches(2, 2, 0), *[Matches(4, 4, 4)] * 2, *[Matches(4, 4, 2)] * 2)
    assert found == official(gold, system)


def test_empty_nodes_do_not_exist():
    node = EmptyNode(1, 1, ("elided", *"_" * 8))
    assert raw_scores([replace(GOLD[0], empty_nodes=(node,))], GOLD) == raw_scores(GOLD, GOLD)


def test_white_space_inside_a_word_does_not_matter():
    gold, system = trees("10 X 0 root\n000 X 1 dep"), trees("10000 X 0 root")
    spaced = [replace(system[0], words=(replace(system[0].words[0], form="10\u00a0000"),))]
    assert raw_scores(gold, spaced) == raw_scores(gold, system) == official(gold, spaced)


def test_scores_of_nothing_are_0():
    scores = raw_scores([], [])
    assert (scores.las.precision, scores.las.recall, scores.las.f1) == (0, 0, 0)


@given(COUNTS, COUNTS, COUNTS)
def test_scores_add_up_in_any_order(a, b, c):
    assert (a + b) + c == a + (b + c) == c + (a + b)


# Beside the official scorer


@given(st.lists(st.text("ab", min_size=1, max_size=8), min_size=1, max_size=8), st.integers(0, 10**6))
def test_two_files_of_one_text_score_as_in_the_official_scorer(blocks, seed):
    gold, system = two_files(blocks, np.random.default_rng(seed))
    assert raw_scores(gold, system) == official(gold, system)


@given(TEXTS, st.integers(0, 10**6))
def test_as_many_words_have_partners_as_a_slow_count_finds(characters, seed):
    generator = np.random.default_rng(seed)
    gold, system = (gathered(random_tokens(characters, generator, joined=0.4), generator) for _ in range(2))
    assert raw_scores(gold, system).words.correct == slow_words_correct(gold, system)


def test_words_before_a_multiword_token_are_not_its_own():
    gold = trees("a-de-b X 0 root\n2-3 del\nde ADP 1 case\nel DET 1 det")
    pieces = "\n".join(f"{form} X {head} dep" for form, head in zip(("-", "de", "-", "b"), (1, 1, 1, 1), strict=True))
    system = trees(f"a X 0 root\n{pieces}\n6-7 del\nde ADP 1 case\nel DET 1 det")
    assert raw_scores(gold, system).upos == Matches(3, 7, 2)
    assert official(gold, system).upos == Matches(3, 7, 1)  # it takes the first `de`, which covers other characters


@given(TEXTS, st.integers(0, 10**6))
def test_where_all_words_agree_the_scores_are_those_of_the_plain_comparison(characters, seed):
    generator = np.random.default_rng(seed)
    gold = gathered(random_tokens(characters, generator, joined=0.4), generator)
    system = [random_tree(sentence, generator) for sentence in gold]
    found, plain = raw_scores(gold, system), attachment_scores(gold, system)
    assert (found.uas.f1, found.las.f1, found.words.f1) == (plain.uas, plain.las, 1)


@pytest.mark.parametrize("language", ["es", "fr", "de", "tr"])
def test_real_sentences_split_anew_score_as_in_the_official_scorer(language):
    path = DATA / "ud" / language / "test.conllu"
    if not path.exists():
        pytest.skip(f"{path} is not there; set ISOGLOSS_DATA to the folder of the real data")
    gold = [replace(each, empty_nodes=()) for each in read_conllu(path, language=language)[:60]]
    running = " ".join(each.comment("text") or "" for each in gold)
    generator = np.random.default_rng(2)
    system = [
        random_tree(annotated_line(line, language=language), generator)
        for line in split_sentences(running, language=language)
    ]
    found = raw_scores(gold, system)
    assert 0 < found.las.f1 < found.words.f1 < 1 and found.sentences.f1 < 1
    assert found == official(gold, system)


# Size


def test_many_multiword_tokens_take_linear_time():
    # 10,000 stretches of one token each. All in one table they would take 4 · 10⁸ steps.
    sentence = Sentence(
        tuple(Word(form, head=number, deprel="dep") for number, form in enumerate(("de", "el") * 1000)),
        multiword_tokens=tuple(MultiwordToken(at, at + 1, ("del", *"_" * 8)) for at in range(1, 2000, 2)),
    )
    other = replace(sentence, words=tuple(replace(word, form=word.form.upper()[:2]) for word in sentence.words))
    assert raw_scores([sentence] * 10, [other] * 10).words == Matches(20_000, 20_000, 20_000)


# Errors


def test_another_character_is_refused_with_its_place():
    gold = [replace(each, comments=("# sent_id = g-2",)) for each in trees("Sí X 0 root\n\nVa X 0 root\nbien X 1 dep")]
    system = [replace(gold[0], comments=()), *trees("Va X 0 root\nmal X 1 dep")]
    message = (
        "Sentence 2 of the system file: after 4 characters that are the same (white space left out) comes 'mal'. "
        "Expected 'bien', as in the gold file (Sentence 2 (sent_id g-2)). Only trees of the same text can be compared: "
        "parse that of the gold file, and keep its multiword tokens."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        raw_scores(gold, system)


@pytest.mark.parametrize(
    ("gold", "system", "message"),
    [
        ("a X 0 root\nb X 1 dep", "a X 0 root", "The end of the system file: after 1 characters .* comes nothing. Exp"),
        ("a X 0 root", "a X 0 root\nb X 1 dep", r"comes 'b'. Expected nothing, as in the gold file \(The end\)"),
    ],
)
def test_a_text_that_ends_early_is_refused(gold, system, message):
    with pytest.raises(DataError, match=message):
        raw_scores(trees(gold), trees(system))


def test_a_missing_tree_is_refused():
    with pytest.raises(DataError, match=r"Sentence 1, word 2 \('b'\): the system tree has no head here"):
        raw_scores(trees("ab X 0 root"), [Sentence((Word("a", head=0, deprel="root"), Word("b")))])


def test_a_token_of_white_space_is_refused():
    blank = [Sentence((Word("\u00a0", head=0, deprel="root"),))]
    with pytest.raises(
        DataError, match=r"Sentence 1: a token of the gold file is white space alone\. Expected a written"
    ):
        raw_scores(blank, blank)


def test_multiword_tokens_without_an_end_are_refused():
    def joined(*widths: int) -> list[Sentence]:
        words = tuple(Word("x", head=number, deprel="dep") for number in range(2 * len(widths)))
        tokens = (MultiwordToken(2 * at + 1, 2 * at + 2, ("a" * width, *"_" * 8)) for at, width in enumerate(widths))
        return [Sentence(words, multiword_tokens=tuple(tokens))]

    gold, system = joined(*[2] * 1001), joined(1, *[2] * 1000, 1)
    message = (
        "Sentence 1 of the gold file: here multiword tokens begin that cover, .* 2,004 words. Expected 2,000 at most"
    )
    with pytest.raises(DataError, match=message):
        raw_scores(gold, system)
