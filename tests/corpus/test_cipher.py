"""A cipher replaces every letter, keeps everything else, and can be undone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.cipher import SCRIPTS, Cipher, make_cipher
from isogloss.corpus.conllu import format_sentence, parse_conllu
from isogloss.corpus.invented import sentences, treebank
from isogloss.errors import RecipeError

SPANISH = "El veloz murciélago hindú comía feliz cardillo y kiwi. ¿La cigüeña tocaba el saxofón? ¡Año 2019! Weiß"
BLOCK = """# sent_id = al-1
# text = Va al río.
# text_en = He goes to the river.
1\tVa\tir\tVERB\t_\tMood=Ind\t0\troot\t_\t_
2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_
2\ta\ta\tADP\t_\t_\t4\tcase\t_\t_
3\tel\tel\tDET\t_\tDefinite=Def\t4\tdet\t_\t_
4\trío\trío\tNOUN\t_\tGender=Masc\t1\tobl\t_\tSpaceAfter=No
4.1\tva\tir\tVERB\t_\t_\t_\t_\t1:conj\t_
5\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_

"""


@pytest.fixture(params=["", *SCRIPTS])
def cipher(request) -> Cipher:
    return make_cipher([SPANISH], seed=1, script=request.param)


def test_cipher_of_a_seed_never_changes():
    assert make_cipher(["abcdefgh"], seed=1).text("abcdefgh ABC ß1") == "fcahbgde FCA ß1"


def test_every_letter_is_replaced_by_one_of_the_same_case(cipher):
    coded = cipher.text(SPANISH)
    assert len(coded) == len(SPANISH)
    for letter, other in zip(SPANISH, coded, strict=True):
        if letter.isalpha() and letter != "ß":
            assert other != letter and other.isupper() == letter.isupper()
            assert cipher.text(letter.lower()) == other.lower()


def test_digits_punctuation_and_spaces_stay(cipher):
    for letter, other in zip(SPANISH, cipher.text(SPANISH), strict=True):
        assert letter.isalpha() or other == letter


def test_cipher_into_a_script_writes_only_that_script():
    coded = make_cipher([SPANISH], seed=1, script="Armenian").text("El veloz murciélago")
    assert all("Ա" <= letter <= "ֆ" for letter in coded if letter.isalpha())


@given(text=st.text(), seed=st.integers(0, 9), script=st.sampled_from(["", *SCRIPTS]))
def test_any_text_comes_back(text, seed, script):
    cipher = make_cipher([SPANISH], seed=seed, script=script)
    assert cipher.inverse.text(cipher.text(text)) == text
    assert sorted(cipher.letters) == sorted(cipher.letters.values())


def test_sentence_is_enciphered_with_all_its_written_parts(cipher):
    (sentence,) = parse_conllu(BLOCK, language="es")
    coded = cipher.sentence(sentence, language="qzz")
    assert coded.language == "qzz"
    assert coded.comments == (
        "# sent_id = al-1",
        f"# text = {cipher.text('Va al río.')}",
        "# text_en = He goes to the river.",
    )
    assert coded.multiword_tokens[0].form == cipher.text("al")
    assert coded.empty_nodes[0].columns[:2] == (cipher.text("va"), cipher.text("ir"))
    assert [(word.form, word.lemma) for word in coded.words][3:] == [(cipher.text("río"),) * 2, (".", ".")]
    assert [word.head for word in coded.words] == [word.head for word in sentence.words]
    assert format_sentence(cipher.inverse.sentence(coded)) == BLOCK


def test_treebank_comes_back():
    original = treebank("qal", "dev", sentences=20, seed=1)
    cipher = make_cipher((form for sentence in original for form in sentence.forms), seed=2, script="Greek")
    coded = cipher.treebank(original, language="qzz")
    assert coded.language == "qzz" and coded.split == "dev"
    assert not {word.form for tree in coded for word in tree.words if word.upos != "PUNCT"} & {
        form for tree in original for form in tree.forms
    }
    assert cipher.inverse.treebank(coded, language="qal") == original


def test_letters_of_the_new_script_in_the_original_do_not_collide():
    cipher = make_cipher(["abc γδ"], seed=1, script="Greek")
    coded = cipher.text("abcαβγδεω")
    assert len(set(coded)) == 9 and cipher.inverse.text(coded) == "abcαβγδεω"


def test_unknown_script_is_refused():
    with pytest.raises(RecipeError, match=r"found Klingon; expected one of Greek, Cyrillic, Armenian"):
        make_cipher(["abc"], seed=1, script="Klingon")


def test_a_script_with_too_few_letters_is_refused():
    letters = "".join(form for s in sentences("qfi", "dev", 50, 1) for form in s.forms) + "abcdefghijklmnopqrstuvwxyz"
    with pytest.raises(RecipeError, match=r"Greek has \d+ letters, but the texts have 5\d"):
        make_cipher([letters], seed=1, script="Greek")
