"""The stages that bring a new language into an existing parser: its map, and what speaks for the result.

They stand beside those of a run (`isogloss.stages`): each fills an empty folder. What a new language has is raw text
and perhaps a small dictionary; what the others have is a bundle of models, with the anchors of its reference.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.artifacts import write_atomically
from isogloss.errors import AlignmentError
from isogloss.mapping_stage import LOWEST_LAYER, make_alignments
from isogloss.recipe import LanguageCorpus
from isogloss.stages import read_dictionary_of

log = logging.getLogger(__name__)

PRIOR = 1.0
"""Weight of the identity beside the pairs of a dictionary; docs/results.md has the choice of it."""
CANDIDATES = 10_000
"""Most frequent word types of the new language among which words are looked up."""


@dataclass(frozen=True)
class Road:
    """One way to align a language, and its name for people."""

    name: str
    settings: Any
    needs_dictionary: bool = False


def roads_for(*, dictionary: bool) -> tuple[Road, ...]:
    """Return the ways to align a new language whose model started from the reference's, best first.

    Both models share a space from their first step, so the closed form keeps the map near the identity: with a `PRIOR`,
    350 pairs lead a parser of Spanish as far as 3,600 do. Such a closed form needs hardly any pair, so it is the last
    road as well, from words spelt alike. It does not centre: the means of two texts' word types are means of other
    things, and a parser loses by it.

    Args:
        dictionary: Whether there is one.
    """
    from isogloss.mapping.settings import ProcrustesSettings, SelfLearningSettings

    closed_form = ProcrustesSettings(normalisation="unit", too_few_pairs="complete", prior=PRIOR, weighting=0.0)
    if dictionary:
        return (Road("the dictionary", closed_form, needs_dictionary=True),)
    return (
        Road(
            "words spelt alike, and what grows from them", SelfLearningSettings(seed_pairs="identical", weighting=0.0)
        ),
        Road("kindred words, and what grows from them", SelfLearningSettings(seed_pairs="cognates", weighting=0.0)),
        Road("words spelt alike", closed_form),
    )


def make_reference_anchors(draft: Path, *, stored: Path, encoder: Path) -> Mapping[str, Any]:
    """Fill up the anchors that a bundle keeps of its reference with those of layer 0, which it need not keep."""
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.anchor_files import load_all_anchors, save_anchors
    from isogloss.lexicon.extraction import with_layer_0

    anchors = with_layer_0(load_all_anchors(stored), ELMoEncoder.load(encoder))
    save_anchors(draft, anchors)
    return {"types": len(anchors[0]), "layers": len(anchors)}


def make_added_alignments(
    draft: Path,
    *,
    source: str,
    target: str,
    source_anchors: Path,
    target_anchors: Path,
    dictionary: Path | None,
    roads: Sequence[Road],
    seed: int,
) -> Mapping[str, Any]:
    """Align a new language with the reference by the first road that leads anywhere."""
    from isogloss.lexicon.anchor_sources import open_anchors
    from isogloss.lexicon.dictionary import write_dictionary
    from isogloss.lexicon.seeds import alike_words

    for road in roads:
        words = dictionary if road.needs_dictionary else None
        closed_form = road.settings.method == "procrustes"
        if words is None and closed_form:
            ours, theirs = (open_anchors(path)[0] for path in (source_anchors, target_anchors))
            words = draft / "spelt-alike.tsv"
            write_dictionary(words, alike_words(ours, theirs))
        try:
            facts = make_alignments(
                draft,
                source=source,
                target=target,
                source_anchors=source_anchors,
                target_anchors=target_anchors,
                dictionary=words,
                reversed_columns=False,
                test_dictionary=None,
                settings=road.settings,
                guide=None if closed_form else LOWEST_LAYER,
                seed=seed,
            )
        except AlignmentError as error:
            if road is roads[-1]:
                raise
            log.warning("by %s: %s", road.name, error)
            continue
        return {"road": road.name, **facts}
    raise AssertionError("the last road is taken or raises")


def make_evidence(
    draft: Path,
    *,
    language: str,
    corpus: LanguageCorpus,
    models: Path,
    encoder: Path,
    anchors: Path,
    alignments: Path,
    reference_anchors: Path,
    learned: Path | None,
    withheld: Path | None,
    roads: Sequence[Road],
    training: Any,
    auxiliaries: Path | None,
    kin: str | None,
    seed: int,
) -> Mapping[str, Any]:
    """Gather in ``evidence.json`` what speaks for a new language's vectors. No tree of it is needed.

    Args:
        draft: Empty folder to fill.
        language: The new one.
        corpus: Its text.
        models: Folder of the old bundle.
        encoder: Its language model.
        anchors: Its anchors.
        alignments: Its map, which may rest on all of the dictionary.
        reference_anchors: Of the reference.
        learned: The part of the dictionary that the language model learned from: with the reference, or with `kin`.
        withheld: The words that had no part in it; only they tell how many find their translations.
        roads: The first one is that of the dictionary, if there is one.
        training: Settings of the language model.
        auxiliaries: A list of its auxiliaries, in place of those that the parser's tagger finds.
        kin: The language whose map it takes over, if any.
        seed: Every random choice follows from it.
    """
    from isogloss.bundle import open_bundle
    from isogloss.bundle_commands import JUDGED_SENTENCES
    from isogloss.corpus.sentence import Sentence
    from isogloss.corpus.word_kinds import is_sign
    from isogloss.encoders.elmo.counting import held_out_sentences
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.streams import TextFile
    from isogloss.lexicon.anchor_files import load_anchors
    from isogloss.mapping.alignment import load_alignment
    from isogloss.mapping.evidence import closeness, withheld_precision
    from isogloss.mapping.fit import fit_alignment
    from isogloss.mapping.shared_space import SharedSpace
    from isogloss.parsing.auxiliaries import find_auxiliaries, read_auxiliaries
    from isogloss.parsing.confidence import mean_confidence

    bundle = open_bundle(models)
    trained, model = bundle.load(bundle.reference), ELMoEncoder.load(encoder)
    layer = trained.parser.settings.layer
    layer = 1 if isinstance(layer, str) else layer
    ours, theirs = load_anchors(anchors, layer).keep(max_types=CANDIDATES), load_anchors(reference_anchors, layer)
    maps = [load_alignment(alignments / f"layer-{number}") for number in range(model.layers)]
    taught = None if learned is None else read_dictionary_of(learned, language, kin or bundle.reference, False)
    near = closeness(maps[layer], ours, theirs, but=() if taught is None else taught.translations)
    card = model.card
    facts: dict[str, Any] = {
        "layer": layer,
        "words": card["training_words"],
        "sentences": card["training_sentences"],
        "share_unknown": card["share_unknown"],
        "perplexity": round((card["forward_perplexity"] * card["backward_perplexity"]) ** 0.5, 1),
        "identity_share": maps[layer].details.get("identity_share"),
        "closeness": None if near is None else round(near, 4),
    }
    signs = 0 if taught is None else sum(is_sign(word) for word, _ in taught.pairs)
    words_and_signs = {} if taught is None else {"learned_pairs": len(taught) - signs, "signs": signs}
    if kin is not None:
        facts["kin"] = kin
        facts |= words_and_signs
    elif taught is not None:
        facts |= words_and_signs | {"withheld_words": 0}
    if taught is not None and withheld is not None:
        aside = read_dictionary_of(withheld, language, bundle.reference, False)
        facts["withheld_words"] = len(aside.translations)
        try:
            blind = fit_alignment(ours, theirs, dictionary=taught, settings=roads[0].settings, seed=seed)
            found = withheld_precision(blind, ours, theirs, aside)
        except AlignmentError as error:  # no pair that was learned from has anchors on both sides
            log.warning("%s", error)
            found = None
        if found is not None:
            facts |= {"tested_words": found.tested_words}
            facts |= {f"precision@{k}": round(found.precision(k), 4) for k in (1, 5)}
    assert corpus.text is not None
    text = TextFile(Path(corpus.text), language, corpus.tokenised, training.held_out_every, corpus.max_sentences)
    sentences = [
        Sentence.of_forms(words, language=language) for words in held_out_sentences(text, training)[:JUDGED_SENTENCES]
    ]
    space = SharedSpace(
        reference=language, encoders={language: model}, alignments={(language, each.layer): each for each in maps}
    )
    known: tuple[str, ...] = ()
    if trained.parser.tagger:
        if auxiliaries is None:
            read = (Sentence.of_forms(text.words(line), language=language) for line in text.lines(held_out=False))
            known = find_auxiliaries(trained.parser, read, space)
        else:
            known = read_auxiliaries(auxiliaries, language=language)
        facts["auxiliaries"] = list(known)
    if trained.parser.settings.upos != "gold":
        sure = mean_confidence(trained.parser, sentences, space, auxiliaries={language: known})
        facts["confidence"] = round(sure, 4)
    write_atomically(draft / "evidence.json", json.dumps(facts, indent=2) + "\n")
    return {"evidence": facts}
