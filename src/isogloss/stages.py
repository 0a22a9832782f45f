"""What each stage of an experiment does: a function that fills an empty folder.

These functions run in worker processes. Each loads what it needs from the folders of earlier stages and leaves the
thinking to the library: whatever a recipe can do, a notebook can do with the same few calls.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.compute.workers import report
from isogloss.errors import ArtifactError
from isogloss.recipe import ALIGNED, LanguageCorpus, Pos, System
from isogloss.rich_language import Lent, lend

SECONDS_BETWEEN_REPORTS = 0.5


def make_corpus(draft: Path, *, settings: Any) -> None:
    """Write the family of invented languages."""
    from isogloss.corpus.invented import write_family

    write_family(draft, settings)


def make_encoder(
    draft: Path | None,
    *,
    corpus: LanguageCorpus,
    language: str,
    settings: Any,
    seed: int,
    checkpoints: Path,
    key: str,
    precision: str = "float32",
    processes: Any = None,
    reference: Path | None = None,
    dictionary: Path | None = None,
    anchored: bool = False,
    anchors: Path | None = None,
) -> Mapping[str, Any]:
    """Train one language's language model, alone or with other processes; those after the first have no draft.

    With a `reference`, the model of another language, it starts from that one, or is anchored to it, or both; with a
    `dictionary` of the two, by its pairs in place of words spelt alike, and by the other's `anchors` where it is pulled
    in context, too. See `isogloss.rich_language`.
    """
    from isogloss.compute.checkpoints import Checkpoints
    from isogloss.compute.processes import ALONE
    from isogloss.encoders.elmo.training import train_bilm

    processes = processes or ALONE
    pace = Pace()
    perplexities: dict[str, float] = {}

    def note(found: Any) -> None:
        perplexities.update(forward_perplexity=round(found.forward, 3), backward_perplexity=round(found.backward, 3))

    def tell(step: Any, steps: int) -> None:
        if draft is not None:
            more = perplexities if step.score is not None else {}
            pace(step, steps, unit="words", per_step=settings.rows * settings.unroll, **more)

    lent = Lent()
    if reference is not None:
        of_both = {"dictionary": dictionary, "anchored": anchored, "anchors": anchors}
        lent = lend(reference, language=language, settings=settings, **of_both)
    assert corpus.text is not None
    encoder = train_bilm(
        Path(corpus.text),
        language=language,
        settings=settings,
        seed=seed,
        tokenised=corpus.tokenised,
        max_sentences=corpus.max_sentences,
        checkpoints=Checkpoints(checkpoints, fingerprint=key, processes=processes),
        on_step=tell,
        on_evaluation=note,
        transfer=lent.transfer,
        beside=lent.beside,
        precision=precision,
        processes=processes,
    )
    encoder.card |= lent.card
    if draft is not None:
        encoder.save(draft)
    return {"card": encoder.card}


def language_of_model(model: Path) -> str:
    """Return the code of a language model's language."""
    return json.loads((model / "settings.json").read_text(encoding="utf-8"))["language"]


def take_encoder(draft: Path, *, model: Path, language: str) -> Mapping[str, Any]:
    """Copy a language model that was trained elsewhere."""
    from isogloss.artifacts import check_files, read_manifest

    manifest = read_manifest(model, kind="encoder")
    check_files(model, manifest)
    if (found := language_of_model(model)) != language:
        raise ArtifactError(
            f"{model}: is a language model of {found!r}. Expected one of {language!r}. Name another in "
            f"corpus.{language}.model."
        )
    for name in manifest.content["files"]:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model / name, draft / name)
    return {"card": manifest.content.get("card", {})}


def make_vectors(
    draft: Path, *, corpus: LanguageCorpus, language: str, encoder: Path, splits: Sequence[str]
) -> Mapping[str, Any]:
    """Encode one language's treebank, all layers."""
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.stored import store_vectors

    trained = ELMoEncoder.load(encoder)
    trees = chain.from_iterable(treebank_of(corpus, language, split) for split in splits)
    words = store_vectors(draft, trained, trees, shape=(trained.layers, trained.width))
    return {"words": words}


def make_anchors(
    draft: Path, *, corpus: LanguageCorpus, language: str, encoder: Path, settings: Any, share: Any = None, **work: int
) -> Mapping[str, Any]:
    """Gather one language's anchors from its raw text, all layers; for one `Share` of it, the sums for `merge_sums`.

    The whole text is counted first, whatever the share, so that all shares sum the same word types. `work` says in how
    many `processes`, each with how many `threads`.
    """
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.anchor_files import save_anchors, save_sums
    from isogloss.lexicon.extraction import anchors_of_sums, frequent_types, sum_anchors_in_processes

    load, read = partial(ELMoEncoder.load, encoder), partial(read_text_of, corpus, language)
    common: dict[str, Any] = {"language": language, "settings": settings}
    words = frequent_types(read(), **common)
    common |= {"processes": 1} | work
    sums = sum_anchors_in_processes(
        load, read, words=words, share=share, scratch=draft, progress=Pace().count, **common
    )
    if share is not None:
        save_sums(draft, sums, language=language, share=share)
    else:
        save_anchors(draft, anchors_of_sums(sums, language=language, settings=settings))
    return {"word_types": len(sums.words)}


def make_static(draft: Path, *, corpus: LanguageCorpus, language: str, settings: Any, seed: int) -> Mapping[str, Any]:
    """Make one language's word vectors without context from its raw text, which is read twice."""
    from isogloss.encoders.static import static_vectors
    from isogloss.lexicon.anchor_files import save_anchors
    from isogloss.lexicon.anchors import Anchors

    def sentences() -> Iterator[Sequence[str]]:
        pace, words = Pace(), 0
        for number, sentence in enumerate(read_text_of(corpus, language), start=1):
            words += len(sentence.forms)
            pace.count(number, words)
            yield sentence.forms

    words, counts, vectors = static_vectors(sentences, settings=settings, seed=seed)
    anchors = Anchors.of_vectors(words, vectors, language=language, counts=counts)
    save_anchors(draft, (anchors,))
    return {"word_types": len(anchors)}


def make_parser(
    draft: Path,
    *,
    space: "SpacePlan | None",
    train: Mapping[str, LanguageCorpus],
    settings: Any,
    seed: int,
    checkpoints: Path,
    key: str,
) -> None:
    """Train one parser."""
    from isogloss.compute.checkpoints import Checkpoints
    from isogloss.parsing.training import train_parser

    pace = Pace()
    parser = train_parser(
        load_space(space) if space is not None else None,
        [treebank_of(corpus, language, "train") for language, corpus in train.items()],
        dev=[treebank_of(corpus, language, "dev") for language, corpus in train.items()],
        settings=settings,
        seed=seed,
        checkpoints=Checkpoints(checkpoints, fingerprint=key),
        on_step=lambda step: pace(step, settings.loop.max_steps, unit="sentences", per_step=settings.batch_size),
    )
    parser.save(draft)


def make_parsed(
    draft: Path,
    *,
    space: "SpacePlan | None",
    parser: Path,
    test: Mapping[str, LanguageCorpus],
    splits: Sequence[str],
    system: System,
    pos: Pos,
    seed: int,
    unseen: Sequence[str],
    auxiliaries: Mapping[str, Path],
    trees: int | None = None,
    draw: int = 1,
) -> None:
    """Parse the test sets of some languages with one parser, and score the trees.

    Where the parser learned from few `trees` of its language, that and the number of the `draw` stand in the scores.
    """
    from isogloss.compute.randomness import numpy_generator
    from isogloss.corpus.conllu import write_conllu
    from isogloss.parsing.attachment import sentence_scores, tagging_accuracy
    from isogloss.parsing.auxiliaries import read_auxiliaries
    from isogloss.parsing.parser import Parser, Tags
    from isogloss.reports.bootstrap import score_with_interval
    from isogloss.reports.results import write_scores

    trained, encoder = Parser.load(parser), load_space(space) if space is not None else None
    known = {language: read_auxiliaries(file, language=language) for language, file in auxiliaries.items()}
    tags: Tags = "predicted" if pos == "predicted" else "given"
    scores = []
    for language, corpus in test.items():
        for split in splits:
            raise_if_stop_requested()
            if split not in corpus.treebank:
                continue
            gold = treebank_of(corpus, language, split)
            parsed = trained.parse(gold.sentences, encoder, tags=tags, auxiliaries=known)
            write_conllu(parsed, draft / f"{language}-{split}.conllu")
            scores.append(
                score_with_interval(
                    sentence_scores(gold.sentences, parsed),
                    numpy_generator(seed, "bootstrap", system, pos, language, split),
                    system=system,
                    language=language,
                    split=split,
                    pos=pos,
                    seed=seed,
                    unseen=language in unseen,
                    upos=tagging_accuracy(gold.sentences, parsed) if trained.tagger else None,
                    trees=trees,
                    draw=draw,
                )
            )
    write_scores(draft / "scores.json", scores)


ENDINGS = {"static": ("static", "-static"), "aligned-no-dictionary": ("lexicon", "-no-dictionary")}
"""Where systems have their word vectors, and how the names of their alignments end, if not as the others do."""


@dataclass(frozen=True)
class SpacePlan:
    """Which folders make up the vectors that a parser reads."""

    system: str
    reference: str
    anchors: Mapping[str, Path]
    encoders: Mapping[str, Path]
    """Language models, or what `store_vectors` kept of them. Empty where every word stands for itself, without context:
    then its anchor is its vector."""
    alignments: Mapping[str, Path]
    scale: str = "mean_norm"
    """How the alignments scale vectors, for a reference that stands alone; see `ProcrustesSettings.scale`."""


def load_space(plan: SpacePlan) -> Any:
    """Load the encoders of a system as one `SharedSpace`.

    Every system divides its vectors by their language's mean norm, so that `unaligned` and `supervised` differ from
    `aligned` in nothing but the map: the rotation and, where the method centres, the shift. A reference that a parser
    learns from alone is scaled, too, as it will be beside the languages that the parser is for.
    """
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.stored import VECTORS, StoredEncoder
    from isogloss.lexicon.anchor_encoder import AnchorEncoder
    from isogloss.lexicon.anchor_files import load_all_anchors
    from isogloss.mapping.alignment import Alignment, load_alignment
    from isogloss.mapping.normalisation import mean_norm_scale
    from isogloss.mapping.shared_space import SharedSpace

    encoders: dict[str, Any] = {}
    alignments = []
    for language, folder in plan.anchors.items():
        anchors = load_all_anchors(folder)
        if language in plan.encoders:
            stored = (plan.encoders[language] / VECTORS).is_file()
            encoders[language] = (StoredEncoder if stored else ELMoEncoder).load(plan.encoders[language])
        else:
            encoders[language] = AnchorEncoder(anchors)
        alone = plan.reference == language and plan.system in ALIGNED and not plan.alignments
        if language in plan.alignments:
            alignments += [load_alignment(plan.alignments[language] / f"layer-{layer.layer}") for layer in anchors]
        elif plan.system in ("unaligned", "supervised") or (alone and plan.scale == "mean_norm"):
            alignments += [
                Alignment.identity(language, layer=layer.layer, width=layer.width, scale=mean_norm_scale(layer))
                for layer in anchors
            ]
    if plan.system in ("unaligned", "supervised"):
        by_key = {(alignment.source, alignment.layer): alignment for alignment in alignments}
        return SharedSpace(reference=next(iter(encoders)), encoders=encoders, alignments=by_key)
    return SharedSpace.of(plan.reference, encoders=encoders, alignments=alignments)


# Loading and reporting, shared by the stages.


def read_text_of(corpus: LanguageCorpus, language: str) -> Iterator[Any]:
    """Read all sentences of a language's raw text, those held out from its language model included."""
    from isogloss.corpus.raw_text import read_text

    assert corpus.text is not None
    text = read_text(Path(corpus.text), language=language, tokenised=corpus.tokenised, limit=corpus.max_sentences)
    for sentence in text:
        raise_if_stop_requested()
        yield sentence


def treebank_of(corpus: LanguageCorpus, language: str, split: str) -> Any:
    """Read one split of a language's treebank; of the training split only as much as the recipe allows."""
    from isogloss.corpus.conllu import iterate_conllu
    from isogloss.corpus.treebank import Treebank

    sentences = iterate_conllu(Path(corpus.treebank[split]), language=language, require_trees=True)
    limit = corpus.max_trees if split == "train" else None
    return Treebank(tuple(islice(sentences, limit)), language=language, split=split, licence=corpus.licence)


def read_dictionary_of(path: Path, source: str, target: str, reversed_columns: bool) -> Any:
    """Read a dictionary from `source` to `target`, whichever column comes first in its file."""
    from isogloss.lexicon.dictionary import read_dictionary

    if reversed_columns:
        return read_dictionary(path, source=target, target=source).reversed()
    return read_dictionary(path, source=source, target=target)


def forget_checkpoints(folder: Path, key: str) -> None:
    """Remove the checkpoints of a stage, now that its artifact is in its place; those of other settings stay."""
    if folder.is_dir():
        from isogloss.compute.checkpoints import Checkpoints

        Checkpoints(folder, fingerprint=key).remove(others=False)


class Pace:
    """Reports progress a few times a second: done, planned, rate and time left."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._first: int | None = None
        self._reported = 0.0

    def __call__(self, step: Any, steps: int, *, unit: str, per_step: int, **more: float) -> None:
        """Report a step of a training loop."""
        if self._first is None:  # neither a resumed run nor the counting of words before it belongs to the rate
            self._first, self._begun = step.number, time.monotonic()
            return
        scored = {} if step.score is None else {"score": round(step.score, 5)}
        if not scored and step.number != steps and not self._due():
            return
        elapsed = time.monotonic() - self._begun
        done = step.number - self._first
        report(
            "progress",
            done=step.number,
            total=steps,
            rate=round(done * per_step / elapsed),
            unit=unit,
            seconds_left=round((steps - step.number) * elapsed / done, 1),
            loss=round(step.loss, 5),
            **scored,
            **more,
        )

    def count(self, sentences: int, words: int) -> None:
        """Report a pass over a text of unknown length."""
        if self._due():
            elapsed = time.monotonic() - self._begun
            report("progress", done=sentences, total=None, rate=round(words / elapsed), unit="words")

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._reported < SECONDS_BETWEEN_REPORTS:
            return False
        self._reported = now
        return True
