"""Which stages bring a language into a bundle, each with a key.

    text ─▶ encoders/xx ─▶ lexicon/xx ─▶ mapping/xx ─▶ evidence/xx
                 anchors of the bundle ─▶ lexicon/en ─┘

The language model begins as the reference's, or as that of a kindred language of the bundle (`kin`), whose map it then
takes over: a language with little text is nearer to its kin than to the reference, and so are its words in context.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.added_language import make_added_alignments, make_evidence, make_reference_anchors, roads_for
from isogloss.artifacts import read_manifest
from isogloss.bundle import ALIGNMENTS, ANCHORS, PARSER, Bundle
from isogloss.commands import checked, hash_of_text, readable
from isogloss.errors import ArtifactError, DictionaryError, RecipeError
from isogloss.language_budget import ROOMY_TEXT, size_of, training_for
from isogloss.mapping_stage import take_over_alignments
from isogloss.recipe import LanguageCorpus
from isogloss.stage import Stage
from isogloss.stages import make_anchors, make_encoder

if TYPE_CHECKING:
    from isogloss.lexicon.dictionary import BilingualDictionary

CHECKPOINTS = "checkpoints"
"""Folder within the work folder: unfinished training."""


def plan_added_language(
    language: str,
    corpus: LanguageCorpus,
    bundle: Bundle,
    work: Path,
    *,
    dictionary: Path | None,
    kin: str | None,
    kin_dictionary: Path | None,
    reference_text: Path | None,
    auxiliaries: Path | None,
    threads: int,
    precision: str,
    seed: int,
) -> list[Stage]:
    """List the stages that make a new language's part of a bundle. See `add_language.add_language` for what is given.

    Raises:
        RecipeError: The kin is the reference, or there is a dictionary of it and nothing that it could join.
        DataError: The bundle has no such kin, or a file is not what it should be.
        ArtifactError: There is nothing to align the language with.
    """
    from isogloss.compute.devices import choose_device, choose_precision
    from isogloss.encoders.elmo.settings import BiLMSettings
    from isogloss.lexicon.settings import AnchorSettings

    _check_kin(kin, bundle, dictionary=dictionary, kin_dictionary=kin_dictionary)
    reference, rich = bundle.reference, kin or bundle.reference
    model = bundle.folder / rich
    bundle.check(rich)
    size = size_of(corpus, language)
    shape = json.loads((model / "settings.json").read_text(encoding="utf-8"))["model"]
    pairs = None
    if dictionary is not None and kin is not None:
        pairs = _write_dictionary_of_kin(dictionary, kin_dictionary, language, kin, bundle, work, signs=size.signs)
    elif dictionary is not None:
        pairs = _write_dictionary(dictionary, language, bundle, work, signs=size.signs, seed=seed)
    chosen = training_for(
        size,
        BiLMSettings.model_validate(shape),
        pairs=0 if pairs is None else pairs.learned_pairs,
        of_kin=kin is not None,
    )
    training, least = chosen.settings, 5 if size.words >= ROOMY_TEXT else 2
    anchor_settings = AnchorSettings(min_count=least, max_types=30_000, max_sentences=100_000)
    precision = choose_precision(precision, choose_device("cpu"))
    read = {"language": language, "tokenised": corpus.tokenised, "max_sentences": corpus.max_sentences}
    inputs = {"text": hash_of_text(Path(corpus.text or ""))}
    given = {} if pairs is None else {"dictionary": hash_of_text(pairs.whole)}
    taught = {} if pairs is None else {"dictionary": hash_of_text(pairs.learned)}
    stages: list[Stage] = []

    def add(name: str, kind: str, make: Callable[..., Any], settings: dict[str, Any], **more: Any) -> Stage:
        licences = (corpus.licence,) if corpus.licence else ()
        more |= {"seed": seed, "licences": licences}
        stage = Stage(name=name, kind=kind, make=make, settings=settings | {"seed": seed}, **more)
        stages.append(stage)
        return stage

    gathering = {"settings": anchor_settings, "threads": threads}
    facts = {"anchors": anchor_settings.model_dump(mode="json"), "threads": threads}
    reader = bundle.folder / reference
    bundle.check(reference)
    if reference_text is not None:
        theirs = checked(LanguageCorpus, text=str(readable(reference_text)))
        of_reference = add(
            f"lexicon/{reference}",
            "anchors",
            make_anchors,
            {"language": reference} | facts,
            inputs={"text": hash_of_text(reference_text), "encoder": read_manifest(reader).key},
            arguments={"corpus": theirs, "language": reference, "encoder": reader, **gathering},
        )
    elif bundle.has_anchors:
        bundle.check(f"{ANCHORS}/{reference}")
        stored = bundle.folder / ANCHORS / reference
        of_reference = add(
            f"lexicon/{reference}",
            "anchors",
            make_reference_anchors,
            {"language": reference},
            inputs={"anchors": read_manifest(stored).key, "encoder": read_manifest(reader).key},
            arguments={"stored": stored, "encoder": reader},
        )
    else:
        raise ArtifactError(
            f"{bundle.folder}: keeps no anchors of {reference!r}, with which a new language could be aligned or "
            f"judged. Expected some. Give raw text in that language with --reference-text, or make the models again."
        )
    reference_anchors, reference_key = work / of_reference.name, of_reference.key
    in_context = chosen.anchored and training.anchoring.context_weight > 0
    pulled_by = {"reference anchors": reference_key} if in_context else {}
    encoder = add(
        f"encoders/{language}",
        "encoder",
        make_encoder,
        read
        | {"training": training.model_dump(mode="json"), "anchored": chosen.anchored}
        | {"threads": threads, "precision": precision},
        inputs=inputs | taught | {"reference": read_manifest(model).key} | pulled_by,
    )
    checkpoints = {"checkpoints": work / CHECKPOINTS / encoder.name, "key": encoder.key}
    how = {"corpus": corpus, "language": language, "settings": training, "seed": seed, "precision": precision}
    lent = {"reference": model, "dictionary": pairs and pairs.learned, "anchored": chosen.anchored}
    lent |= {"anchors": reference_anchors} if in_context else {}
    stages[-1] = replace(encoder, arguments={**how, **checkpoints, **lent})
    if not in_context:
        stages.reverse()  # the map alone needs the reference's anchors, and training finds out a text that is too short

    anchors = add(
        f"lexicon/{language}",
        "anchors",
        make_anchors,
        read | facts,
        inputs=inputs | {encoder.name: encoder.key},
        arguments={"corpus": corpus, "language": language, "encoder": work / encoder.name, **gathering},
    )
    roads = roads_for(dictionary=pairs is not None)
    ways = {"roads": [[road.name, road.settings.model_dump(mode="json")] for road in roads]}
    if kin is not None:
        part = f"{ALIGNMENTS}/{kin}"
        bundle.check(part)
        found = add(
            f"mapping/{language}",
            "alignments",
            take_over_alignments,
            {"source": language, "kin": kin},
            # The manifest's key does not tell of the map itself, which the same model may have another of.
            inputs={file: key for file, key in bundle.files.items() if file.startswith(f"{part}/layer-")},
            arguments={"source": language, "kin": kin, "alignments": bundle.folder / part},
        )
    else:
        found = add(
            f"mapping/{language}",
            "alignments",
            make_added_alignments,
            {"source": language, "target": reference} | ways,
            inputs=given | {anchors.name: anchors.key, "reference": reference_key},
            arguments={
                "source": language,
                "target": reference,
                "source_anchors": work / anchors.name,
                "target_anchors": reference_anchors,
                "dictionary": pairs and pairs.whole,
                "roads": roads,
                "seed": seed,
            },
        )
    add(
        f"evidence/{language}",
        "evidence",
        make_evidence,
        {"language": language},
        inputs={found.name: found.key, anchors.name: anchors.key, "reference": reference_key}
        | ({} if pairs is None else {"dictionary": hash_of_text(pairs.whole)})
        | ({} if auxiliaries is None else {"auxiliaries": hash_of_text(auxiliaries)})
        | {"parser": read_manifest(bundle.folder / PARSER).key},
        arguments={
            "language": language,
            "corpus": corpus,
            "models": bundle.folder,
            "encoder": work / encoder.name,
            "anchors": work / anchors.name,
            "alignments": work / found.name,
            "reference_anchors": reference_anchors,
            "learned": pairs and pairs.learned,
            "withheld": pairs and pairs.withheld,
            "kin": kin,
            "roads": roads,
            "training": training,
            "auxiliaries": auxiliaries,
            "seed": seed,
        },
    )
    return stages


@dataclass(frozen=True)
class _Pairs:
    """Files of a dictionary from the new language to the one whose model it begins as."""

    whole: Path
    """Of all pairs, from which the map is found in the end; and of signs."""
    learned: Path
    """Of those that the language model learns from; and of signs."""
    withheld: Path | None
    """Of those that only judge; none of a small dictionary."""
    learned_pairs: int
    """Of words, signs left out."""


def _write_dictionary(
    path: Path, language: str, bundle: Bundle, work: Path, *, signs: Sequence[str], seed: int
) -> _Pairs:
    """Write a dictionary and its parts, from the new language to the reference, whichever stands first in its file.

    To what is learned from come the signs that both texts have: commas are in no word list.
    """
    from isogloss.lexicon.dictionary import write_dictionary
    from isogloss.lexicon.seeds import sign_pairs
    from isogloss.mapping.evidence import withhold

    pairs = _read_dictionary(path, language, bundle.reference, bundle)
    learned, withheld = withhold(pairs, seed=seed)
    files = [work / f"{part}.tsv" for part in ("dictionary", "learned", "withheld")]
    alike = sign_pairs(signs, _words_of(bundle, bundle.reference))
    for file, part in zip(files, (pairs.and_also(alike), learned.and_also(alike), withheld), strict=True):
        write_dictionary(file, part)
    return _Pairs(files[0], files[1], files[2] if len(withheld) else None, len(learned))


def _check_kin(kin: str | None, bundle: Bundle, *, dictionary: Path | None, kin_dictionary: Path | None) -> None:
    """Refuse a kin that is none, and a dictionary of it that would do nothing."""
    if kin_dictionary is not None and (kin is None or dictionary is None):
        missing = "--kin" if kin is None else "--dictionary"
        raise RecipeError(
            f"{kin_dictionary}: a dictionary of the kin and the reference, by which --dictionary leads to the kin, and "
            f"there is no {missing}. Expected both. Give {missing}, or leave --kin-dictionary out."
        )
    if kin is None:
        return
    bundle.refuse_unknown(kin)
    if kin == bundle.reference:
        raise RecipeError(
            f"kin {kin!r}: the reference, whose model every new language begins as. Expected another language of "
            f"{bundle.folder}. Name one that is nearer, or leave --kin out."
        )


def _write_dictionary_of_kin(
    path: Path, of_kin: Path | None, language: str, kin: str, bundle: Bundle, work: Path, *, signs: Sequence[str]
) -> _Pairs:
    """Write a dictionary from the new language to its kin, joined by way of the reference if there is one `of_kin`.

    No pair is withheld: what judges is how words lie beside those of the reference, and the pairs are not of these.
    """
    from isogloss.lexicon.dictionary import write_dictionary
    from isogloss.lexicon.seeds import sign_pairs

    if of_kin is None:
        pairs = _read_dictionary(path, language, kin, bundle)
    else:
        theirs = _read_dictionary(of_kin, kin, bundle.reference, bundle)
        pairs = _read_dictionary(path, language, bundle.reference, bundle).through(theirs.reversed())
    file = work / "dictionary.tsv"
    write_dictionary(file, pairs.and_also(sign_pairs(signs, _words_of(bundle, kin))))
    return _Pairs(file, file, None, len(pairs))


def _read_dictionary(path: Path, language: str, other: str, bundle: Bundle) -> "BilingualDictionary":
    """Read a dictionary from a language to one of the bundle's, whichever stands first in its file."""
    from isogloss.rich_language import dictionary_towards

    known = _words_of(bundle, other)
    pairs = dictionary_towards(path, source=language, target=other, target_words=known)
    if {translation.lower() for _, translation in pairs.pairs}.isdisjoint(word.lower() for word in known):
        raise DictionaryError(
            f"{path}: no word of either column is known to the language model of {other!r}. Expected lines "
            f"with a word of that language, a tab, and its translation. Check the file."
        )
    return pairs


def _words_of(bundle: Bundle, language: str) -> Sequence[str]:
    """Return the words that a language model of a bundle knows."""
    from isogloss.corpus.vocabulary import Vocabulary

    return Vocabulary.load(bundle.folder / language / "vocabulary.txt").words
