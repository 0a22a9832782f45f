"""Our alignments of real language models, in tables for docs/results.md: ``python -m benchmarks.alignment DATA``.

``geometry``  the shape of every language's space, layer by layer (`isogloss.lexicon.geometry`)
``roads``     precision@1 and @5 of word translation by every road in `ROADS`, on dictionaries that no road has seen,
              with the CPU seconds that the road took; a road that draws random numbers is taken with three seeds
``contexts``  word-in-context retrieval on the parallel PUD trees, both ways, without a map, with Procrustes from a
              dictionary, and from parallel text; by CSLS, by cosine in the file of ``--json``

    python -m benchmarks.alignment DATA --anchors ANCHORS --models MODELS --json found.jsonl --parts geometry contexts

ANCHORS and MODELS hold a folder per language, as ``isogloss anchors`` and ``isogloss train-lm`` write them; so does
what ``--static`` names, by ``isogloss static``. DATA holds ``dict/en-es.train.tsv`` and ``.test.tsv``,
``parallel/en-es.tsv.xz`` and ``ud/es/pud.conllu``; which words of the PUD trees translate each other stands in
``pud`` beside this file. The first language of a pair is mapped into the space of the second. Everything runs on one
thread, and CPU seconds leave out reading files. With ``--json`` every number is kept as soon as it is known, one JSON
object per line, and a run that was broken off goes on where it was. Take another file for other anchors or models:
the lines know settings, not files.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch
from benchmarks.align_roads import our_roads
from benchmarks.align_tables import table
from benchmarks.pud_pairs import FOLDER, load_pairs

from isogloss.compute.randomness import numpy_generator
from isogloss.corpus.conllu import read_conllu
from isogloss.corpus.parallel import SentencePair, read_parallel
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.errors import AlignmentError
from isogloss.lexicon.anchor_files import load_all_anchors, load_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary, identical_words, read_dictionary
from isogloss.lexicon.geometry import geometry
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.contextual_pairs import dictionary_from_links, fit_contextual, link_words
from isogloss.mapping.fit import fit_alignment, fit_induced
from isogloss.mapping.induction import Induced, grow_dictionary, induce_dictionary
from isogloss.mapping.retrieval import Metric, translation_precision
from isogloss.mapping.settings import AdversarialSettings, ParallelSettings, ProcrustesSettings, SelfLearningSettings
from isogloss.mapping.word_retrieval import Measure, RetrievalScores, retrieve_words

Record = dict[str, Any]
Value = TypeVar("Value")
AT = (1, 5)
LANGUAGES = ("de", "es", "fr", "it", "pt", "sv", "tr")


@dataclass(frozen=True)
class Road:
    """One way to an alignment."""

    name: str
    settings: Any
    given: str
    """A ``dictionary``, ``identical words`` (a dictionary made of them), ``parallel text``, ``links`` (a dictionary
    made of the words linked in it), or ``nothing``."""
    guide_layer: int | None = None
    """Layer in which a road without a dictionary looks for pairs, whatever layer is aligned; None for its own."""
    by_static: bool = False
    """Whether pairs are sought in static vectors of the same text instead (road g)."""

    def seeds(self, most: int) -> range:
        """So many where chance plays a part, in a search or in the choice of pairs that are held out; else one.

        A prior that is chosen so counts as chance only without weighting: beside it, it says no more than that there is
        one.
        """
        held_out = "held_out" in (getattr(self.settings, name, None) for name in ("selection", "weighting"))
        chance = held_out or self.settings.method in ("adversarial", "self_learning", "rcsls")
        return range(1, 1 + (most if chance else 1))


ROADS = (
    *(
        Road(name, settings, given, guide_layer=0 if settings.method == "self_learning" else None)
        for name, (settings, given) in our_roads().items()
    ),
    Road(
        "adversarial, small game",
        AdversarialSettings(restarts=3, epochs=3, epoch_words=200_000, discriminator_width=512),
        "nothing",
        guide_layer=0,
    ),
    Road(
        "static vectors' pairs, dictionary",
        ProcrustesSettings(normalisation="unit_centre_unit", refinements=5, prior=0.0, weighting=0.0),
        "dictionary",
        by_static=True,
    ),
    Road(
        "static vectors' pairs, identical",
        SelfLearningSettings(prior=0.0, weighting=0.3, meeting=False),
        "nothing",
        by_static=True,
    ),
    Road("parallel text", ParallelSettings(prior=0.0), "parallel text"),
    Road("parallel text, prior", ParallelSettings(), "parallel text"),
    Road("procrustes, dictionary from links", ProcrustesSettings(prior=0.0, weighting=0.0), "links"),
)
"""A further road is one more line here, or in `our_roads` if it is to be compared with other tools as well."""

MAPS = {
    "none": None,
    "procrustes, dictionary": Road("procrustes", ProcrustesSettings(prior=0.0, weighting=0.0), "dictionary"),
    "procrustes, dictionary, prior": Road("procrustes", ProcrustesSettings(prior="auto", weighting=0.0), "dictionary"),
    "procrustes, dictionary, prior held out": Road("procrustes", ProcrustesSettings(weighting=0.0), "dictionary"),
    "self-learning, identical words, prior": Road(
        "self-learning", SelfLearningSettings(weighting=0.0), "nothing", guide_layer=0
    ),
    "parallel text": Road("parallel text", ParallelSettings(prior=0.0), "parallel text"),
    "parallel text, prior": Road("parallel text", ParallelSettings(), "parallel text"),
}
"""What brings words in context into one space."""


class Found:
    """What is known already, by what it is known of; kept in a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        """Read what an earlier run has left. A last line that was broken off is forgotten."""
        self.path = path
        self._found_by_key: dict[str, Record] = {}
        if path is not None and path.exists():
            whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
            for line in whole.splitlines():
                entry = json.loads(line)
                self._found_by_key[json.dumps(entry["of"], sort_keys=True)] = entry["found"]
            path.write_text(f"{whole}\n" if whole else "", encoding="utf-8")

    def __call__(self, of: Record, compute: Callable[[], Record]) -> Record:
        """Return what is known of something, computed if need be, with what it is known of beside."""
        key = json.dumps(of, sort_keys=True)
        if key not in self._found_by_key:
            print(*(value for value in of.values() if isinstance(value, str | int)), "…", file=sys.stderr, flush=True)
            self._found_by_key[key] = found = compute()
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"of": of, "found": found}, ensure_ascii=False) + "\n")
        return {**of, **self._found_by_key[key]}


@dataclass(frozen=True, eq=False)
class Taken:
    """A road that was taken."""

    alignment: Alignment
    cpu_seconds: float
    """In parallel text, of linking the words and of all layers together."""
    dictionary: BilingualDictionary | None
    """The pairs that were given, or that stand in the text that was given."""


class Materials:
    """Everything that is read, each once and when it is first needed."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Remember where things are, and the anchors of so many languages as one pair has, for they are large."""
        self._options = options
        self.anchors = lru_cache(2)(self._load_anchors)
        self.pud_vectors = lru_cache(None)(self._pud_vectors)
        self._linked = lru_cache(1)(self._link)
        self._induced = lru_cache(None)(self._induce)
        self._grown = lru_cache(None)(self._grow)
        self._in_context = lru_cache(1)(self._fit_in_context)

    def _load_anchors(self, language: str) -> tuple[Anchors, ...]:
        """Read the most frequent anchors of a language, all layers."""
        layers = load_all_anchors(self._options.anchors / language)
        return tuple(layer.keep(max_types=self._options.types) for layer in layers)

    def _static_vectors(self, pair: str) -> tuple[Anchors, Anchors]:
        """Read the most frequent static vectors of both languages."""
        sides = [load_anchors(self._options.static / language, 0) for language in pair.split("-")]
        source, target = (side.keep(max_types=self._options.types) for side in sides)
        return source, target

    def dictionary(self, pair: str, part: str) -> BilingualDictionary:
        """Read the ``train`` or the ``test`` part of a dictionary."""
        source, target = pair.split("-")
        return read_dictionary(self._options.data / "dict" / f"{pair}.{part}.tsv", source=source, target=target)

    def geometry(self, language: str, layer: int) -> Record:
        """Measure the space of a language in one layer."""
        return geometry(self.anchors(language)[layer]).to_row()

    def take(self, road: Road, pair: str, layer: int, *, seed: int = 1) -> Taken:
        """Take a road."""
        source, target = pair.split("-")
        both = self.anchors(source), self.anchors(target)
        dictionary, before = None, 0.0
        match road.given:
            case "parallel text" | "links":
                linked, before = self._linked(pair)
                dictionary = dictionary_from_links(linked, source=source, target=target)
            case "dictionary":
                dictionary = self.dictionary(pair, "train")
            case "identical words":
                dictionary = identical_words(both[0][layer], both[1][layer])
        if road.given == "parallel text":
            alignments, seconds = self._in_context(pair, road.settings)
            return Taken(alignments[layer], before + seconds, dictionary)
        if road.by_static and road.given == "dictionary":
            dictionary, before = self._grown(pair, road.settings)
            road = replace(road, settings=road.settings.model_copy(update={"refinements": 0}))
        elif road.guide_layer is not None or road.by_static:
            # Without spelling the search knows nothing of how its finds become a map: it is done once for all layers.
            search = road.settings
            if not getattr(search, "spelling", 0.0):
                of_the_map = {"prior", "weighting", "meeting"} & type(search).model_fields.keys()
                search = search.model_copy(update=dict.fromkeys(of_the_map, 0))
            induced, seconds = self._induced(pair, search, None if road.by_static else road.guide_layer, seed)
            if isinstance(induced, AlignmentError):
                raise induced
            alignment = fit_induced(both[0][layer], both[1][layer], induced=induced, settings=road.settings)
            return Taken(alignment, seconds, dictionary)
        given = {"dictionary": dictionary, "settings": road.settings, "seed": seed}
        alignment, seconds = _timed(fit_alignment, both[0][layer], both[1][layer], **given)
        return Taken(alignment, before + seconds, dictionary)

    def _induce(
        self, pair: str, settings: SelfLearningSettings | AdversarialSettings, layer: int | None, seed: int
    ) -> tuple[Induced | AlignmentError, float]:
        """Find pairs from a seed or from nothing, in a layer or (None) static vectors; or return why there are none."""
        if layer is None:
            source, target = self._static_vectors(pair)
        else:
            source, target = (self.anchors(language)[layer] for language in pair.split("-"))
        dictionary = self.dictionary(pair, "train") if getattr(settings, "seed_pairs", "") == "dictionary" else None

        def search() -> Induced | AlignmentError:
            try:
                return induce_dictionary(source, target, settings=settings, dictionary=dictionary, seed=seed)
            except AlignmentError as error:
                return error

        return _timed(search)

    def _grow(self, pair: str, settings: ProcrustesSettings) -> tuple[BilingualDictionary, float]:
        """Add to the dictionary the pairs that it leads to in static vectors."""
        both, known = self._static_vectors(pair), self.dictionary(pair, "train")
        return _timed(grow_dictionary, *both, dictionary=known, settings=settings)

    def _link(self, pair: str) -> tuple[list[SentencePair], float]:
        """Read parallel text and link its words."""
        source, target = pair.split("-")
        path, limit = self._options.data / "parallel" / f"{pair}.tsv.xz", self._options.sentences
        text = list(read_parallel(path, source=source, target=target, limit=limit))
        return _timed(link_words, text, settings=ParallelSettings())

    def _fit_in_context(self, pair: str, settings: ParallelSettings) -> tuple[tuple[Alignment, ...], float]:
        """Align all layers by linked words in their contexts."""
        source, target = pair.split("-")
        encoders = [ELMoEncoder.load(self._options.models / language) for language in (source, target)]
        linked, both = self._linked(pair)[0], (self.anchors(source), self.anchors(target))
        anchors = {"source_anchors": both[0], "target_anchors": both[1]}
        return _timed(fit_contextual, *encoders, linked, **anchors, settings=settings)

    def _pud_vectors(self, language: str) -> dict[str | None, torch.Tensor]:
        """Encode the PUD sentences, each words × layers × width; in half precision, since they stay in memory."""
        sentences = list(read_conllu(self._options.data / "ud" / language / "pud.conllu", language=language))
        vectors = ELMoEncoder.load(self._options.models / language).iterate(sentences)
        return {one.comment("sent_id"): rows.half() for one, rows in zip(sentences, vectors, strict=True)}


def _timed(function: Callable[..., Value], *arguments: Any, **named: Any) -> tuple[Value, float]:
    """Call a function, and return its value and the CPU seconds that it took."""
    begun = time.process_time()
    value = function(*arguments, **named)
    return value, time.process_time() - begun


def measure_geometry(found: Found, materials: Materials, options: argparse.Namespace) -> list[Record]:
    """Measure every language's space."""
    languages = dict.fromkeys(language for pair in options.pairs for language in pair.split("-"))
    return [
        found({"part": "geometry", "language": language, "layer": layer}, partial(materials.geometry, language, layer))
        for language in languages
        for layer in options.layers
    ]


def take_roads(found: Found, materials: Materials, options: argparse.Namespace) -> list[Record]:
    """Take every road, and judge it by the test dictionary."""
    records = []
    for pair in options.pairs:
        for layer in options.layers:
            for road in ROADS:
                wanted = any(fnmatch(road.name, pattern) for pattern in options.roads)
                wanted = wanted and not (road.by_static and options.static is None)
                for seed in road.seeds(options.seeds) if wanted else ():
                    of = {"part": "roads", "pair": pair, "layer": layer, "road": road.name, "given": road.given}
                    of |= {"seed": seed, **_told(road, options)}
                    records.append(found(of, partial(_take_and_judge, materials, road, pair, layer, seed)))
    return records


def _told(road: Road, options: argparse.Namespace) -> Record:
    """Return what else a road's result depends on."""
    told = {"settings": road.settings.model_dump(mode="json"), "guide_layer": road.guide_layer, "types": options.types}
    return {**told, "sentences": options.sentences} if road.given in ("parallel text", "links") else told


def _take_and_judge(materials: Materials, road: Road, pair: str, layer: int, seed: int) -> Record:
    test = materials.dictionary(pair, "test")
    try:
        taken = materials.take(road, pair, layer, seed=seed)
        source, target = (materials.anchors(language)[layer] for language in pair.split("-"))
        scores = translation_precision(taken.alignment, source, target, test, at=AT)
    except AlignmentError as error:
        return {"error": str(error)}
    given = {(one.lower(), other.lower()) for one, other in (taken.dictionary.pairs if taken.dictionary else ())}
    seen = {one.lower() for one, other in test.pairs if (one.lower(), other.lower()) in given}
    low, high = scores.interval(1, numpy_generator(1, "interval"))
    record: Record = {f"P@{k}": scores.precision(k) for k in AT}
    record |= {"P@1 interval": [low, high], "tested_words": scores.tested_words, "seen_test_words": len(seen)}
    return record | {"cpu_seconds": taken.cpu_seconds, "pairs": len(taken.dictionary or ())}


def look_in_contexts(found: Found, materials: Materials, options: argparse.Namespace) -> list[Record]:
    """Let the words of the PUD trees look for their translations in context."""
    records = []
    for pair in options.pairs:
        if not pair.startswith("en-") or not (FOLDER / f"{pair}.tsv").exists():
            print(f"contexts: no paired words of {pair} in {FOLDER}: it is left out.", file=sys.stderr)
            continue
        for layer in options.layers:
            for name, road in MAPS.items():
                of = {"part": "contexts", "pair": pair, "layer": layer, "map": name}
                of |= {} if road is None else _told(road, options)
                records.append(found(of, partial(_look, materials, options, road, pair, layer)))
    return records


def _look(materials: Materials, options: argparse.Namespace, road: Road | None, pair: str, layer: int) -> Record:
    source, target = pair.split("-")
    alignment = None if road is None else materials.take(road, pair, layer).alignment
    sentences = load_pairs(options.data, target)

    def of_layer(language: str, some: Sequence[Sentence]) -> list[torch.Tensor]:
        return [materials.pud_vectors(language)[one.comment("sent_id")][:, layer].float() for one in some]

    sides = of_layer(source, [pair.source for pair in sentences]), of_layer(target, [pair.target for pair in sentences])
    record: Record = {}
    for metric in get_args(Metric):
        both = retrieve_words(alignment, *sides, sentences, metric=metric)
        record |= {metric: [_shares(scores) for scores in both], "words": int(both[0].words.sum())}
        record["repeated words"] = [int(scores.repeated_words.sum()) for scores in both]
    return record


def _shares(scores: RetrievalScores) -> Record:
    """Return by measure the share that was found, and its 95 % interval."""
    return {
        measure: [scores.share(measure), *scores.interval(measure, generator=numpy_generator(1, measure))]
        for measure in get_args(Measure)
    }


def geometry_table(records: Sequence[Record]) -> str:
    """Write a line for each language and layer. Distances are 1 − cosine, mean ± standard deviation."""
    columns = {
        "word types": lambda one: f"{one['words']:,}",
        "anchors apart": lambda one: _mean_sd(one, "anchor_distance"),
        "tokens from anchor": lambda one: _mean_sd(one, "token_distance"),
        "… by tokens": lambda one: _number(one["token_distance_by_tokens"]),
        "homonyms' tokens": lambda one: _mean_sd(one, "homonym_distance"),
        "variance within types": lambda one: _number(one["within_type_share"]),
        "isotropy": lambda one: _number(one["partition_isotropy"]),
        "effective rank": lambda one: f"{one['effective_rank']:.0f}",
    }
    rows = [[one["language"], str(one["layer"]), *(write(one) for write in columns.values())] for one in records]
    return table(["language", "layer", *columns], rows)


def _mean_sd(one: Record, name: str) -> str:
    mean, sd = one[f"{name}_mean"], one[f"{name}_sd"]
    return "–" if mean is None else f"{mean:.3f} ± {sd:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def roads_table(records: Sequence[Record]) -> str:
    """Write a line for each pair and road: P@1 / P@5 in per cent, layer by layer.

    A road that was taken with several seeds has mean ± standard deviation. CPU seconds are the median over layers and
    seeds.
    """
    layers = sorted({one["layer"] for one in records})
    by_road: dict[tuple[str, str], list[Record]] = {}
    for one in records:
        by_road.setdefault((one["pair"], one["road"]), []).append(one)
    rows = []
    for place, taken in by_road.items():
        cells = [_precisions([one for one in taken if one["layer"] == layer]) for layer in layers]
        good = [one for one in taken if "error" not in one]
        seconds = f"{statistics.median(one['cpu_seconds'] for one in good):.1f}" if good else "–"
        words = f"{good[0]['tested_words']:,}" if good else "–"
        rows.append([*place, *cells, seconds, words])
    told = dict.fromkeys(f"{one['pair']}, {one['road']}: {one['error']}" for one in records if "error" in one)
    head = ["pair", "road", *(f"layer {layer}" for layer in layers), "CPU s", "words"]
    return "\n\n".join([table(head, rows), *told])


def _precisions(taken: Sequence[Record]) -> str:
    """Write P@1 / P@5 of a road in one layer, from all its seeds."""
    good = [one for one in taken if "error" not in one]
    if not good:
        return "refused" if taken else "–"
    some = f" ({len(good)} of {len(taken)} seeds)" if len(good) < len(taken) else ""
    return " / ".join(_percent_mean([one[f"P@{k}"] for one in good]) for k in AT) + some


def _percent_mean(values: Sequence[float]) -> str:
    sd = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{sd}"


def contexts_table(records: Sequence[Record]) -> str:
    """Write a line for each pair, layer and map: per cent found from source to target / from target to source, by CSLS.

    In the layer without context all occurrences of a form are one vector, so there only the form can be found.
    """
    rows = []
    for one in records:
        row = [one["pair"], str(one["layer"]), one["map"], f"{one['words']:,}"]
        for measure in ("occurrence", "form"):
            known = one["layer"] > 0 or measure == "form"
            both = " / ".join(f"{100 * shares[measure][0]:.1f}" for shares in one["csls"])
            row.append(both if known else "–")
        rows.append(row)
    return table(["pair", "layer", "map", "words", "occurrence, → / ←", "type, → / ←"], rows)


PARTS: dict[str, tuple[Callable[..., list[Record]], Callable[..., str]]] = {
    "geometry": (measure_geometry, geometry_table),
    "roads": (take_roads, roads_table),
    "contexts": (look_in_contexts, contexts_table),
}


def main() -> None:
    """Do the parts that are asked for and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--anchors", type=Path, required=True, help="a folder of anchors per language")
    parser.add_argument("--models", type=Path, required=True, help="a folder with a language model per language")
    parser.add_argument(
        "--static", type=Path, help="a folder of static vectors per language; without it no road by them"
    )
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--pairs", nargs="+", default=[f"en-{code}" for code in LANGUAGES])
    parser.add_argument("--layers", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--roads", nargs="+", default=["*"], help="names, with * and ?, such as 'procrustes*'")
    parser.add_argument("--seeds", type=int, default=3, help="of roads that draw random numbers")
    parser.add_argument("--types", type=int, default=15_000, help="most frequent word types of each language")
    parser.add_argument("--sentences", type=int, default=5000, help="of parallel text, at most")
    parser.add_argument("--json", type=Path, help="file for everything that was found, and to go on from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found, materials = Found(options.json), Materials(options)
    for part in options.parts:
        measure, write = PARTS[part]
        print(f"## {part}", write(measure(found, materials, options)), sep="\n\n", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
