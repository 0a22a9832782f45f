"""New trees and tags leave everything else of a sentence as it was."""

from dataclasses import fields, replace

from isogloss.corpus.sentence import EmptyNode, MultiwordToken, Sentence, Word


def annotated() -> Sentence:
    words = tuple(
        Word(**{field.name: f"{field.name} {number}" for field in fields(Word) if field.name != "head"}, head=0)
        for number in (1, 2)
    )
    token, node = MultiwordToken(1, 2, ("del",) + ("_",) * 8), EmptyNode(1, 1, ("_",) * 9)
    return Sentence(words, "es", ("# sent_id = 1",), (token,), (node,))


def test_a_new_tree_changes_heads_and_relations_and_nothing_else():
    sentence = annotated()
    first, second = sentence.words
    changed = (replace(first, head=2, deprel="to 2"), replace(second, head=0, deprel="to 0"))
    assert sentence.with_tree([2, 0], ["to 2", "to 0"]) == replace(sentence, words=changed)


def test_new_tags_change_nothing_else():
    sentence = annotated()
    first, second = sentence.words
    changed = (replace(first, upos="X"), replace(second, upos="SYM"))
    assert sentence.with_upos(["X", "SYM"]) == replace(sentence, words=changed)
