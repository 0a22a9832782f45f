"""Speed, memory and quality of the parser, beside SuPar and stanza: ``python -m benchmarks.parser DATA``.

All train on the same trees for the same CPU time, then parse the same sentences, each in a process of its own with one
thread, and take turns, so that a machine that is busy for a while slows all of them. Printed are training words and
parsed sentences per second of CPU and of the wall clock (on a busy machine a process waits for its turn, which only the
wall clock sees), steps, peak memory, LAS on development and test trees, each as least / median / greatest over rounds,
and how many times as fast as each peer we are. Beside them stands the machine's float32 matrix-product rate in the same
rounds.

The time of training and the memory count everything: reading trees, making vocabularies and, for us, encoding sentences
with a language model. Reading the files to be parsed and writing their trees are left out. Words per second count
nothing but steps.

What each of them sees:

- all: gold words, gold universal parts of speech, trees with relations without subtypes.
- ours: also the vectors of the language model, which has seen raw text. The network has the published size, 3 BiLSTM
  layers of 2 × 200, arcs 500, relations 100; its inputs are a learned mix of the model's layers.
- SuPar 1.1.4 (biaffine): also the words of the training trees and their letters; 3 BiLSTM layers of 2 × 400, arcs 500,
  relations 100; batches of 5,000 words. There are no vectors of other text.
- stanza (graph): likewise words and letters, 3 highway BiLSTM layers of 2 × 400, batches of 5,000 words.

SuPar sorts trees into 32 buckets of like length before it makes batches, so it needs all of a large treebank to fill
them; with few trees its batches, and its speed, are small. Short times say nothing of LAS.

Neither is part of this package, and both get an environment of their own:

    python3 -m venv peer
    peer/bin/pip install torch "transformers<5" dill nltk stanza supar==1.1.4
    python -m benchmarks.parser ../shared/data --peer-python peer/bin/python

Without ``--peer-python`` the peers are left out. Linux only.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.elmo import run, spread
from benchmarks.parser_peers import OURS, RATE, STANZA, SUPAR

from isogloss.corpus.conllu import iterate_conllu, write_conllu
from isogloss.corpus.sentence import Sentence, Word
from isogloss.parsing.attachment import attachment_scores, universal_relation
from isogloss.parsing.settings import ParserSettings

PEERS = {"SuPar": SUPAR, "stanza": STANZA}
PRECISIONS = ("float32", "bfloat16")
BATCH_SIZE = ParserSettings().batch_size

Record = dict[str, Any]
"""What a process reports, with the LAS of both files."""


def bare(sentence: Sentence) -> Sentence:
    """Return a sentence with words, parts of speech, heads and relations without subtypes, and nothing else."""
    words = (Word(w.form, upos=w.upos, head=w.head, deprel=universal_relation(w.deprel or "_")) for w in sentence.words)
    return Sentence(tuple(words), language=sentence.language)


def evenly_spaced(sentences: Sequence[Sentence], most: int) -> list[Sentence]:
    """Take at most so many sentences, from all parts of a treebank."""
    most = min(most, len(sentences))
    return [sentences[index * len(sentences) // most] for index in range(most)]


def read_trees(lines: Iterable[str]) -> list[tuple[list[int], list[str]]]:
    """Read heads and relations of each sentence; unlike `read_conllu`, take them even where they are no trees."""
    trees: list[tuple[list[int], list[str]]] = []
    inside = False
    for line in lines:
        columns = line.rstrip("\n").split("\t")
        if len(columns) < 8:  # a comment, or the end of a sentence
            inside = inside and line.startswith("#")
            continue
        if not inside:
            trees.append(([], []))
            inside = True
        trees[-1][0].append(int(columns[6]))
        trees[-1][1].append(columns[7])
    return trees


def las_of(gold: Sequence[Sentence], system: Path) -> float:
    """Score the trees of a file."""
    with system.open(encoding="utf-8") as lines:
        trees = read_trees(lines)
    parsed = [one.with_tree(heads, deprels) for one, (heads, deprels) in zip(gold, trees, strict=True)]
    return attachment_scores(gold, parsed).las


def per_second(record: Record, part: str, clock: str) -> float:
    """Return words or sentences per second."""
    return record[part]["words" if part == "training" else "sentences"] / record[part][clock]


ROWS: dict[str, tuple[Callable[[Record], float], str]] = {
    "training words per second of CPU time": (lambda one: per_second(one, "training", "cpu"), ",.0f"),
    "training words per second of wall clock": (lambda one: per_second(one, "training", "wall"), ",.0f"),
    "steps": (lambda one: one["training"]["steps"], ",.0f"),
    "parsed sentences per second of CPU time": (lambda one: per_second(one, "parsing", "cpu"), ",.1f"),
    "parsed sentences per second of wall clock": (lambda one: per_second(one, "parsing", "wall"), ",.1f"),
    "peak memory, MB": (lambda one: one["peak"] / 1e6, ",.0f"),
    "LAS on dev": (lambda one: 100 * one["las"]["dev"], ".2f"),
    "LAS on test": (lambda one: 100 * one["las"]["test"], ".2f"),
}


def tables(records: dict[str, list[Record]], rates: Sequence[Record]) -> str:
    """Return what was found, as lines to be printed."""
    lines = [f"{'matrix product, GFLOP/s of CPU time':<58} {spread([one['cpu'] / 1e9 for one in rates], '.0f')}"]
    for who, found in records.items():
        lines += [
            f"{who + ': ' + name:<58} {spread([value(one) for one in found], form)}"
            for name, (value, form) in ROWS.items()
        ]
    for ours in (name for name in records if name.startswith("ours")):
        for peer in (name for name in records if not name.startswith("ours")):
            for part in ("training", "parsing"):
                pairs = zip(records[ours], records[peer], strict=True)
                ratios = [per_second(one, part, "cpu") / per_second(other, part, "cpu") for one, other in pairs]
                lines.append(f"{ours + ' / ' + peer + ': speed of ' + part:<58} {spread(ratios, '.1f')}")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="holds ud/LANGUAGE/{train,dev,test}.conllu")
    parser.add_argument("--language", default="en")
    parser.add_argument("--model", type=Path, help="our language model; models/LANGUAGE by default")
    parser.add_argument("--trees", type=int, default=20_000, help="most training sentences")
    parser.add_argument("--sentences", type=int, default=300, help="most sentences of dev and of test")
    parser.add_argument("--seconds", type=float, default=300, help="CPU time of training, all included")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS, help="ours")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[BATCH_SIZE], help="ours, in sentences")
    parser.add_argument("--peer-python", help="a Python that has the peers")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    options = parser.parse_args()
    model = options.model or Path("models") / options.language
    with tempfile.TemporaryDirectory() as temporary:
        folder, gold = Path(temporary), {}
        for name, most in (("train", options.trees), ("dev", options.sentences), ("test", options.sentences)):
            path = options.data / "ud" / options.language / f"{name}.conllu"
            sentences = [one for one in iterate_conllu(path, language=options.language, require_trees=True) if len(one)]
            gold[name] = [bare(one) for one in evenly_spaced(sentences, most)]
            write_conllu(gold[name], folder / f"{name}.conllu")
            print(f"{path}: {len(gold[name])} sentences, {sum(map(len, gold[name]))} words")
        print(
            f"{options.seconds:g} seconds of CPU time; {options.rounds} rounds, least / median / greatest\n", flush=True
        )
        records: dict[str, list[Record]] = {}
        rates = []

        def measure(who: str, python: str, code: str, seed: int, *arguments: object) -> None:
            record = run(python, code, folder, options.seconds, seed, *arguments)
            record["las"] = {name: las_of(gold[name], folder / f"{name}.system.conllu") for name in ("dev", "test")}
            records.setdefault(who, []).append(record)

        for seed in range(1, options.rounds + 1):
            rates.append(run(sys.executable, RATE))
            for precision, size in product(options.precisions, options.batch_sizes):
                who = f"ours, {precision}" + (f", batches of {size}" if size != BATCH_SIZE else "")
                given = (model.absolute(), precision, options.language, size)
                measure(who, sys.executable, OURS, seed, *given)
            for peer in options.peers if options.peer_python else ():
                measure(peer, options.peer_python, PEERS[peer], seed)
        print(tables(records, rates))


if __name__ == "__main__":
    main()
