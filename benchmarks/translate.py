"""Words of running text, translated in context: ``python -m benchmarks.translate DATA --anchors DIR --models DIR``.

English words of the PUD trees that have one counterpart in the translated sentence look for it among the anchors of the
other language (`isogloss.mapping.occurrences.translate_occurrences`), by CSLS; right is the form of the counterpart, in
any case. Words whose counterpart has no anchor are left out. Maps come from the training dictionary. How far an
occurrence is moved towards its anchor was chosen on the first half of the sentences; the second half tells.

Some pairs of words stand in ``pud`` because they begin alike (`pud_pairs.ALIKE` letters), which flatters a look-up that
sees spelling. So words that begin otherwise than their counterpart are also told of by themselves.

Folders of anchors, models and data are those of ``benchmarks.alignment``. ``--json`` names a file for every number, one
JSON object per line. One thread.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.pud_pairs import ALIKE, load_pairs

from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.lexicon.anchor_files import load_anchors
from isogloss.lexicon.dictionary import read_dictionary
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.occurrences import translate_occurrences
from isogloss.mapping.settings import ProcrustesSettings

CENTRED = {"normalisation": "unit_centre_unit", "prior": "held_out"}
MAPS = {
    "the map alone": ProcrustesSettings(**CENTRED, weighting=0.0),
    "weighted": ProcrustesSettings(**CENTRED, weighting=0.3),
    "weighted, spelling": ProcrustesSettings(**CENTRED, weighting=0.3, spelling=0.5),
}
PARTS = ("first half", "second half", "second half, begun otherwise")


@dataclass(frozen=True, eq=False)
class Words:
    """Words in context, and what is sought."""

    vectors: torch.Tensor
    """Occurrences × layers × width."""
    words: list[str]
    sought: list[str]
    """Forms of their counterparts, in lower case."""
    sentences: list[int]
    """Number of the sentence of each, from 0."""

    def in_part(self, part: str, *, known: set[str]) -> list[int]:
        """Return which of them are told of in a part, of those whose counterpart is known."""
        half = max(self.sentences) // 2
        return [
            at
            for at, (word, sought, sentence) in enumerate(zip(self.words, self.sought, self.sentences, strict=True))
            if sought in known
            and (sentence <= half) == (part == "first half")
            and (part in PARTS[:2] or word.lower()[:ALIKE] != sought[:ALIKE])
        ]


def words_in_context(options: argparse.Namespace, pair: str) -> Words:
    """Encode the sentences, and keep the words that have a counterpart and a letter in them."""
    source, target = pair.split("-")
    pairs = load_pairs(options.data, target)
    encoder = ELMoEncoder.load(options.models / source)
    held, words, sought, sentences = [], [], [], []
    for number, (both, vectors) in enumerate(zip(pairs, encoder.iterate(one.source for one in pairs), strict=True)):
        for ours, theirs in both.links or ():
            if any(map(str.isalpha, both.source.forms[ours])):
                held.append(vectors[ours])
                words.append(both.source.forms[ours])
                sought.append(both.target.forms[theirs].lower())
                sentences.append(number)
    return Words(torch.stack(held), words, sought, sentences)


def measure(options: argparse.Namespace, pair: str, layer: int, of: Words) -> list[dict[str, Any]]:
    """Translate with every map and shift; a record of each."""
    codes = pair.split("-")
    source, target = (load_anchors(options.anchors / code, layer).keep(max_types=options.types) for code in codes)
    dictionary = read_dictionary(options.data / "dict" / f"{pair}.train.tsv", source=codes[0], target=codes[1])
    known = {word.lower() for word in target.words}
    records = []
    for name, settings in MAPS.items():
        alignment = fit_alignment(source, target, dictionary=dictionary, settings=settings)
        for shift in options.shifts:
            sides = {"source": source, "target": target, "shift": shift}
            found = translate_occurrences(alignment, of.vectors[:, layer], of.words, k=5, **sides)
            forms = [[word.lower() for word, _ in translations] for translations in found]
            record: dict[str, Any] = {"pair": pair, "layer": layer, "map": name, "shift": shift}
            for part in PARTS:
                rows = of.in_part(part, known=known)
                hits = [sum(of.sought[row] in forms[row][:k] for row in rows) for k in (1, 5)]
                record[part] = {"words": len(rows)} | {
                    f"P@{k}": hit / len(rows) if rows else None for k, hit in zip((1, 5), hits, strict=True)
                }
            records.append(record)
    return records


def table(records: Sequence[dict[str, Any]], part: str) -> str:
    """Write a Markdown table: a line for each pair, layer and map, a column for each shift."""
    shifts = list(dict.fromkeys(record["shift"] for record in records))
    lines = [f"| pair | layer | map | words | {' | '.join(f'shift {shift:g}' for shift in shifts)} |"]
    lines.append("| --- " * (4 + len(shifts)) + "|")
    for at in range(0, len(records), len(shifts)):
        some = records[at : at + len(shifts)]
        cells = [some[0]["pair"], str(some[0]["layer"]), some[0]["map"], f"{some[0][part]['words']:,}"]
        for found in (record[part] for record in some):
            cells.append(f"{100 * found['P@1']:.1f} / {100 * found['P@5']:.1f}" if found["words"] else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark and print a table for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--anchors", type=Path, required=True, help="a folder of anchors per language")
    parser.add_argument("--models", type=Path, required=True, help="a folder with a language model per language")
    parser.add_argument("--pairs", nargs="+", default=["en-de", "en-es", "en-fr", "en-it", "en-pt", "en-sv"])
    parser.add_argument("--layers", nargs="+", type=int, default=[1])
    parser.add_argument("--shifts", nargs="+", type=float, default=[1.0, 0.5, 0.0], help="1: own vectors; 0: anchors")
    parser.add_argument("--types", type=int, default=15_000, help="most frequent word types of each language")
    parser.add_argument("--json", type=Path, help="file for everything that was found")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records: list[dict[str, Any]] = []
    for pair in options.pairs:
        of = words_in_context(options, pair)
        for layer in options.layers:
            records += measure(options, pair, layer, of)
            if options.json:
                options.json.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    for part in PARTS:
        print(f"\n{part}: P@1 / P@5\n\n{table(records, part)}")


if __name__ == "__main__":
    main()
