"""The words of a language: every concept's stem, and every form that it can take.

All forms of a language are distinct, except where two concepts share a stem on purpose.
"""

from functools import cache
from typing import NamedTuple

from isogloss.corpus.invented.chance import Chance, whim
from isogloss.corpus.invented.concepts import (
    ADPOSITIONS,
    ADVERBS,
    ANIMATE,
    DESCRIBED,
    FRAMES,
    NOUN_CONCEPTS,
    PARTICLES,
    PRONOUNS,
    QUANTIFIERS,
    SUBORDINATORS,
    class_of,
)
from isogloss.corpus.invented.languages import LANGUAGES, InventedLanguage
from isogloss.corpus.invented.sounds import ANCESTOR, capitalise, inherit_stem, invent_stem, write


class Entry(NamedTuple):
    """One form of one concept, ready to stand in a sentence."""

    form: str
    lemma: str
    upos: str
    feats: str
    concept: str
    misc: str
    """``Gloss=…``, and ``Sense=…`` where the form has two senses."""


Lexicon = dict[tuple[str, str], Entry]
"""Entries by concept and cell: the cell is ``Acc``, ``Past``, or empty for the bare form."""


class _Shape(NamedTuple):
    """What kind of word a concept becomes: its tag, its features, its cells with theirs, its length."""

    upos: str
    cells: dict[str, str]
    syllables: int


def _shapes(language: InventedLanguage) -> dict[str, _Shape]:
    def declined(features: str = "", *, animate: bool = True) -> dict[str, str]:
        if not language.accusative or not (animate or language.marked_objects == "all"):
            return {"": features or "_"}
        return {cell: f"Case={cell or 'Nom'}|{features}".rstrip("|") for cell in ("", "Acc")}

    def conjugated(present: str, past: str) -> dict[str, str]:
        return {"": present, "Past": past} if language.past_ending else {"": "Mood=Ind|VerbForm=Fin"}

    present, past = "Mood=Ind|Tense=Pres|VerbForm=Fin", "Mood=Ind|Tense=Past|VerbForm=Fin"
    shapes: dict[str, _Shape] = {}
    for concept in NOUN_CONCEPTS:
        kind = class_of(concept)
        upos = "PROPN" if kind in ("name", "town") else "NOUN"
        shapes[concept] = _Shape(upos, declined(animate=kind in ANIMATE), 2)
    shapes |= {verb: _Shape("VERB", conjugated(present, past), 2) for verb in FRAMES}
    shapes["be.auxiliary"] = _Shape("AUX", conjugated(present, past), 1)
    shapes |= {quality: _Shape("ADJ", {"": "Degree=Pos"}, 2) for quality in DESCRIBED}
    for concept, values in PRONOUNS.items():
        person, number = values.split()
        features = f"Number={number}|Person={person}|PronType=Prs"
        shapes[f"{concept}.pronoun"] = _Shape("PRON", declined(features), 1)
    shapes |= {f"{word}.question": _Shape("PRON", declined("PronType=Int"), 1) for word in ("who", "what")}
    shapes["which.relative"] = _Shape("PRON", declined("PronType=Rel"), 1)
    shapes |= {f"{word}.manner": _Shape("ADV", {"": "_"}, 2) for word in ADVERBS["manner"].split()}
    for tense in ("past", "present"):
        shapes |= {f"{word}.moment": _Shape("ADV", {"": "_"}, 2) for word in ADVERBS[tense].split()}
        shapes |= {f"{word}.link": _Shape("SCONJ", {"": "_"}, 1) for word in SUBORDINATORS[tense].split()}
    for word, upos in QUANTIFIERS.items():
        features = {"NUM": "NumType=Card", "DET": "PronType=Dem" if word == "this" else "PronType=Tot"}[upos]
        shapes[f"{word}.quantifier"] = _Shape(upos, {"": "PronType=Ind" if word == "many" else features}, 2)
    shapes |= {f"{word}.adposition": _Shape("ADP", {"": "_"}, 1) for word in ADPOSITIONS.split()}
    for concept, values in PARTICLES.items():
        upos, features = values.split()
        shapes[concept] = _Shape(upos, {"": features}, 1)
    return shapes


def _stem(concept: str, language: InventedLanguage, syllables: int, attempt: int) -> str:
    chance = Chance("stem", language.code, concept, attempt)
    if attempt == 0 and whim("cognate", language.code, concept) < language.cognates:
        ancestor = invent_stem(ANCESTOR, Chance("ancestor", concept), syllables=syllables)
        return inherit_stem(ancestor, language.sounds, chance)
    longer = syllables == 2 and whim("length", language.code, concept) < 0.2
    return invent_stem(language.sounds, chance, syllables=syllables + longer)


def _ending(cell: str, language: InventedLanguage) -> str:
    return {"": "", "Acc": language.accusative, "Past": language.past_ending}[cell]


@cache
def lexicon(code: str) -> Lexicon:
    """Return all words of a language."""
    language = LANGUAGES[code]
    shapes = _shapes(language)
    twins = {second: first for first, second in language.homonyms}
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for concept, shape in shapes.items():
        if concept in twins:
            continue
        cells = {cell for shared in (concept, *_twins_of(concept, language)) for cell in shapes[shared].cells}
        for attempt in range(200):
            stem = _stem(concept, language, shape.syllables, attempt)
            forms = {stem + _ending(cell, language) for cell in cells}
            if len(stem) > 1 and len(forms) == len(cells) and not forms & taken:
                break
        else:
            raise AssertionError(f"{language.name} has run out of sounds for {concept}")
        taken |= forms
        stems[concept] = stem
    entries: Lexicon = {}
    for concept, shape in shapes.items():
        stem = stems[twins.get(concept, concept)]
        shared = [other for pair in language.homonyms if concept in pair for other in pair if other != concept]
        proper = shape.upos == "PROPN"
        for cell, features in shape.cells.items():
            form, lemma = (write(sounds, language.script) for sounds in (stem + _ending(cell, language), stem))
            ambiguous = any(cell in shapes[other].cells for other in shared)
            misc = f"Gloss={concept.partition('.')[0]}" + (f"|Sense={concept}" if ambiguous else "")
            if proper:
                form, lemma = capitalise(form), capitalise(lemma)
            entries[concept, cell] = Entry(form, lemma, shape.upos, features, concept, misc)
    return entries


def _twins_of(concept: str, language: InventedLanguage) -> tuple[str, ...]:
    return tuple(second for first, second in language.homonyms if first == concept)


def ambiguous_forms(code: str) -> dict[str, tuple[str, ...]]:
    """Return the forms of a language that have several senses, with the concepts they stand for."""
    concepts: dict[str, list[str]] = {}
    for entry in lexicon(code).values():
        if "|Sense=" in entry.misc:
            concepts.setdefault(entry.form, []).append(entry.concept)
    return {form: tuple(senses) for form, senses in concepts.items()}
