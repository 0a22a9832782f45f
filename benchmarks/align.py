"""Our roads to an alignment beside MUSE and VecMap, on the same vectors: ``python -m benchmarks.align PART``.

``quality``   the same exported anchors for every tool, and one judge for all: precision@k with all target words as
              candidates, by CSLS and by cosine, on the test dictionary that no tool has seen
``speed``     seconds and memory on 50,000 × 512 vectors, and how good the result was
``memory``    CSLS neighbours between 200,000 × 1,024 vectors: greatest memory and time

Every tool runs in a process of its own, on one thread, and rounds are interleaved, so that a machine that is busy for a
while slows all. On a busy machine a process waits for its turn, which only the wall clock sees: compare CPU seconds. A
float32 matrix product beside them says what the machine could do. Tables are printed as Markdown; ``--json`` keeps
everything, command lines included. What a tool has not finished in ``--limit`` CPU seconds is reported with its last
words.

The peers are not part of this package (VecMap is GPL: we judge its output and never import it). Check them out and give
them a Python of their own; MUSE needs an old one for its adversarial road, and finds neighbours faster with faiss:

    git clone https://github.com/artetxem/vecmap && git clone https://github.com/facebookresearch/MUSE
    python3.9 -m venv peer
    peer/bin/pip install torch==1.10.2 "numpy<1.23" scipy "faiss-cpu<1.8"
    python -m benchmarks.align quality --anchors ANCHORS --data DATA --pairs en-es en-fr --layers 0 1 2 \
        --vecmap vecmap --muse MUSE --peer-python peer/bin/python --types 10000

VecMap takes hundreds of iterations without a full dictionary, each quadratic in the word types: ``--types`` gives every
tool the same most frequent ones only.

ANCHORS holds a folder per language, as ``isogloss anchors`` writes it; DATA holds ``dict/en-es.train.tsv`` and
``.test.tsv``. Without a checkout its column is left out. Linux only.
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.align_peers import (
    Case,
    Run,
    Tool,
    muse_tools,
    run,
    seconds_per_iteration,
    shown,
    vecmap_tools,
    write_case,
)
from benchmarks.align_roads import measured_matrix_rate, neighbours_tool, road_tools
from benchmarks.align_tables import METRICS, best_table, quality_table, ratio_table, speed_table, spread, table

from isogloss.errors import IsoglossError
from isogloss.lexicon.anchor_files import load_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary, read_dictionary
from isogloss.lexicon.word2vec_text import read_word2vec_text
from isogloss.mapping.alignment import Alignment, load_alignment
from isogloss.mapping.retrieval import Metric, TranslationScores, translation_precision

AT = (1, 5, 10)


def judge(tool: Tool, case: Case, out: Path, *, metric: Metric) -> TranslationScores:
    """Count how many test words find their translation, from what a tool left in its output folder."""
    mapped: Alignment | torch.Tensor
    target = case.target
    if tool.mapped is None:
        mapped = load_alignment(out)
    else:
        source_file, target_file = tool.mapped(case, out)  # VecMap maps both sides
        mapped = _vectors(source_file, case.source)
        target = dataclasses.replace(
            target, vectors=_vectors(target_file, target), token_norms=None, token_squares=None
        )
    return translation_precision(mapped, case.source, target, case.test, at=AT, metric=metric)


def _vectors(path: Path, anchors: Anchors) -> torch.Tensor:
    """Read mapped vectors, in the order of the anchors that they were made from."""
    words, vectors = read_word2vec_text(path)
    row_by_word = {word: row for row, word in enumerate(words)}
    return vectors[torch.tensor([row_by_word[word] for word in anchors.words])]


def scores_of(tool: Tool, case: Case, out: Path) -> dict[str, Any]:
    """Return precision with its intervals by metric, and how many words were tested; or why there is none."""
    found: dict[str, Any] = {}
    for metric in METRICS:
        try:
            scores = judge(tool, case, out, metric=metric)
        except IsoglossError as error:
            return {"error": str(error)}
        found |= {"tested_words": scores.tested_words, "coverage": scores.coverage}
        found[metric] = {f"P@{k}": scores.precision(k) for k in AT}
        found[metric] |= {f"P@{k} interval": scores.interval(k, np.random.default_rng(k)) for k in AT}
    return found


# --------------------------------------------------------------------------------------------------- running them all


def chosen_tools(options: argparse.Namespace, *, text: bool) -> list[Tool]:
    """Return our roads and the peers that there are, those that ``--tools`` names."""
    tools = road_tools(text=text)
    for name in ("vecmap", "muse"):
        if getattr(options, name) is None:
            print(f"No checkout of {name} (--{name}): it is left out.")
    if options.vecmap is not None:
        tools += vecmap_tools(options.vecmap.resolve(), options.peer_python, seed=options.seed)
    if options.muse is not None:
        size = {"epochs": options.muse_epochs, "epoch_size": options.muse_epoch_size}
        tools += muse_tools(options.muse.resolve(), options.peer_python, seed=options.seed, **size)
    return [tool for tool in tools if any(fnmatch(tool.name, pattern) for pattern in options.tools)]


def compare(case: Case, tools: Sequence[Tool], options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[float]]:
    """Let all tools take turns, judge each, and return a record of each tool, and the matrix-product rates beside."""
    runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
    rates = []
    for number in range(options.rounds):
        rates.append(measured_matrix_rate())
        for tool in tools:
            if any(not before.finished for before in runs[tool.name]):
                continue  # it would not be ready in time now either
            _progress(f"{case.folder.name}, round {number + 1} of {options.rounds}: {tool.name} …")
            runs[tool.name].append(run(tool, case, _out(case, tool), limit=options.limit))
    records = []
    for tool in tools:
        _progress(f"{case.folder.name}: judging {tool.name} …")
        records.append(_record(tool, case, runs[tool.name]))
    return records, rates


def _record(tool: Tool, case: Case, runs: Sequence[Run]) -> dict[str, Any]:
    """Gather what is known of a tool's runs on a case."""
    last = runs[-1]
    record = {"case": case.folder.name, "tool": tool.name, "given": tool.given, "ours": tool.mapped is None}
    record |= {"command": shown(last.command), "outcome": last.outcome, "peak": max(one.peak for one in runs)}
    for name in ("wall", "cpu", "text_wall", "text_cpu"):
        record[name] = [getattr(one, name) for one in runs]
    record |= {"last_words": last.last_words} if not last.finished else scores_of(tool, case, _out(case, tool))
    if tool.name.startswith("VecMap") and not np.isnan(seconds := seconds_per_iteration(last.log)):
        record["cpu_per_iteration"] = seconds
    return record


def _out(case: Case, tool: Tool) -> Path:
    return case.folder / "".join(letter if letter.isalnum() else "-" for letter in tool.name)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# -------------------------------------------------------------------------------------------------------------- parts


def quality(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare the results on every pair and layer."""
    tools, records, rates = chosen_tools(options, text=False), [], []
    for pair in options.pairs:
        for layer in options.layers:
            source, target = (load_anchors(options.anchors / language, layer) for language in pair.split("-"))
            if options.types is not None:
                source, target = (side.keep(max_types=options.types) for side in (source, target))
            train, test = (_dictionary(options.data, pair, part) for part in ("train", "test"))
            case = write_case(folder / f"{pair}-{layer}", source, target, train, test)
            found, beside = compare(case, tools, options)
            records, rates = records + found, rates + beside
            _keep(options, {"records": records, "matrix_rates": rates})
    print(quality_table(records), best_table(records), sep="\n\n")
    return {"records": records, "matrix_rates": rates}


def _dictionary(data: Path, pair: str, part: str) -> BilingualDictionary:
    source, target = pair.split("-")
    return read_dictionary(data / "dict" / f"{pair}.{part}.tsv", source=source, target=target)


def speed(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare time and memory on vectors of the asked size."""
    if options.anchors is None:
        what = f"invented vectors, {options.types:,} × {options.width} on both sides"
        case = write_case(folder / "speed", *invented_vectors(types=options.types, width=options.width))
    else:
        (pair,) = options.pairs
        source, target = (_side_by_side(options.anchors / language, options.layers) for language in pair.split("-"))
        train, test = (_dictionary(options.data, pair, part) for part in ("train", "test"))
        case = write_case(folder / "speed", source, target, train, test)
        layers = " and ".join(map(str, options.layers))
        what = f"anchors of {pair}, layers {layers} side by side, "
        what += f"{len(case.source):,} and {len(case.target):,} × {case.source.width} (all the types that there are)"
    records, rates = compare(case, chosen_tools(options, text=True), options)
    print(f"{what}; {options.rounds} rounds, least / middle / greatest")
    print(speed_table(records), ratio_table(records), sep="\n\n")
    return {"vectors": what, "records": records, "matrix_rates": rates}


def _side_by_side(folder: Path, layers: Sequence[int]) -> Anchors:
    """Set the unit vectors of several layers side by side."""
    parts = [load_anchors(folder, layer) for layer in layers]
    units = torch.cat([torch.nn.functional.normalize(part.vectors, dim=1) for part in parts], dim=1)
    return Anchors.of_vectors(parts[0].words, units, language=parts[0].language, counts=parts[0].counts.tolist())


def invented_vectors(*, types: int, width: int) -> tuple[Anchors, Anchors, BilingualDictionary, BilingualDictionary]:
    """Make two languages that differ by a rotation and by noise, with 5,000 words to learn from and 1,500 to test on.

    Word r of one is word r of the other. Words gather in clusters, and directions are of falling variance, as those of
    word vectors are. Counts follow Zipf's law, and as the mean of a word's tokens an anchor has the more noise the
    rarer the word is. Test words are those of ranks 5,000 to 6,500, as in Conneau et al. (2018).
    """
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    clusters = max(1, types // 50)
    deviations = torch.arange(1, width + 1, dtype=torch.float32).pow(-0.5)
    members = torch.randint(clusters, (types,), generator=generator)
    meanings = (draw(clusters, width)[members] + 0.7 * draw(types, width)) * deviations
    noise = NOISE * (torch.arange(1, types + 1) / 5000.0).clamp(max=4.0).sqrt()[:, None]
    rotation = torch.linalg.qr(draw(width, width).double()).Q.float()
    source = meanings + noise * draw(types, width) * deviations
    target = (meanings + noise * draw(types, width) * deviations) @ rotation
    counts = [10_000_000 // rank for rank in range(1, types + 1)]
    sides = [
        Anchors.of_vectors([f"{name}{rank}" for rank in range(types)], vectors, language=language, counts=counts)
        for name, language, vectors in (("a", "aa", source), ("b", "bb", target))
    ]
    learnt, tested = range(min(5000, types // 2)), range(min(5000, types // 2), min(6500, types))
    train, test = (
        BilingualDictionary("aa", "bb", tuple((f"a{rank}", f"b{rank}") for rank in ranks)) for ranks in (learnt, tested)
    )
    return sides[0], sides[1], train, test


NOISE = 0.8
"""Standard deviation of the noise of a word of rank 5,000, as a share of that of the meanings in its direction."""


def memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure our search for neighbours, whole or for the first queries only."""
    queries = min(options.memory_queries or options.types, options.types)
    tool = neighbours_tool(types=options.types, width=options.width, queries=queries)
    nothing: Any = None
    rate = measured_matrix_rate()
    found = run(tool, nothing, folder / "memory", limit=options.limit)
    products = 2.0 * options.types * options.width * (options.types + queries)
    how = (
        "finished"
        if found.finished
        else f"stopped after {options.limit:,.0f} CPU seconds; memory is the greatest so far"
    )
    what = f"{queries:,} of {options.types:,} × {options.width} queries, all of them as background"
    rows = [[what, f"{found.peak / 1e9:.2f}", f"{found.cpu:,.0f}", f"{found.wall:,.0f}", how]]
    rows[0].append(f"{products / found.cpu / rate:.0%}" if found.finished else "")
    head = ["CSLS neighbours", "greatest memory, GB", "CPU s", "wall s", "", "share of the matrix rate"]
    print(table(head, rows))
    if not found.finished:
        _progress(found.last_words)
    return {"queries": queries, "run": {**dataclasses.asdict(found), "log": found.last_words}, "matrix_rates": [rate]}


def _keep(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Write what was found so far, if asked to."""
    if options.json is not None:
        options.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run one part and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, metavar="PART")
    for part, rounds in ((quality, 1), (speed, 3), (memory, 1)):
        one = parts.add_parser(part.__name__, help=(part.__doc__ or "").splitlines()[0])
        one.set_defaults(part=part)
        one.add_argument("--json", type=Path, help="file for everything that was found")
        one.add_argument("--work", type=Path, help="folder for files of vectors, kept; else one that is removed")
        one.add_argument("--limit", type=float, default=3600.0, help="CPU seconds for each run of a tool")
        if part is memory:
            one.add_argument(
                "--memory-queries", type=int, help="only the first so many queries; the background is whole"
            )
        else:
            one.add_argument("--rounds", type=int, default=rounds)
            one.add_argument("--anchors", type=Path, required=part is quality, help="a folder of anchors per language")
            one.add_argument(
                "--data", type=Path, default=Path(os.environ.get("ISOGLOSS_DATA", ".")), help="holds dict/"
            )
            one.add_argument("--pairs", nargs="+", default=["en-es"], help="such as en-es en-fr")
            one.add_argument("--layers", nargs="+", type=int, default=[0, 1, 2] if part is quality else [1, 2])
            one.add_argument("--vecmap", type=Path, help="a checkout of VecMap")
            one.add_argument("--muse", type=Path, help="a checkout of MUSE")
            one.add_argument("--peer-python", default=sys.executable, help="a Python that has what the two need")
            one.add_argument("--muse-epochs", type=int, default=0, help="of the adversarial road; 0 leaves it out")
            one.add_argument("--muse-epoch-size", type=int, default=1_000_000, help="words in an epoch")
            one.add_argument("--tools", nargs="+", default=["*"], help="names, with * and ?, such as 'VecMap*'")
            one.add_argument("--seed", type=int, default=1, help="of the peers")
        if part is quality:
            one.add_argument("--types", type=int, help="only so many of the most frequent word types of each language")
        else:
            one.add_argument("--types", type=int, default=50_000 if part is speed else 200_000, help="invented vectors")
            one.add_argument("--width", type=int, default=512 if part is speed else 1024)
    options = parser.parse_args()
    if options.work is not None and " " in str(options.work.resolve()):
        parser.error(f"--work: found {options.work}; MUSE makes its folders in a shell. Choose a path without spaces.")
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, it ends the tool that runs as well
    with tempfile.TemporaryDirectory() as temporary:
        found = options.part(options, options.work or Path(temporary))
    if rates := found["matrix_rates"]:
        print(f"\nfloat32 matrix product beside them: {spread([rate / 1e9 for rate in rates])} GFLOP per CPU second")
    _keep(options, found)


if __name__ == "__main__":
    main()
