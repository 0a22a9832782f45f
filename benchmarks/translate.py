"""Words of running text, translated in context: ``python -m benchmarks.translate DATA --anchors DIR --models DIR``.

English words of the PUD trees that have one counterpart in the translated sentence look for it among the anchors of the
other language (`isogloss.mapping.occurrences.translate_occurrences`), by CSLS; right is the form of the counterpart, in
any case. Maps come from the training dictionary. How far an occurrence is moved towards its anchor was chosen on the
first half of the sentences; the second half tells.

Folders of anchors, models and data are those of ``benchmarks.alignment``, as are the paired words in ``pud``.
With ``--json`` every number is written as one JSON object per line. One thread.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.pud_pairs import FOLDER

from isogloss.corpus.conllu import read_conllu
from isogloss.corpus.parallel import join_by_id, read_links
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


def words_in_context(options: argparse.Namespace, pair: str) -> tuple[torch.Tensor, list[str], list[str], list[int]]:
    """Return vectors (occurrences × layers × width), words, the counterparts sought, and the number of the sentence."""
    trees = [list(read_conllu(options.data / "ud" / code / "pud.conllu", language=code)) for code in pair.split("-")]
    pairs = join_by_id(*trees, links=read_links(FOLDER / f"{pair}.tsv"))
    encoder = ELMoEncoder.load(options.models / pair.split("-")[0])
    held, words, sought, sentences = [], [], [], []
    for number, (both, vectors) in enumerate(zip(pairs, encoder.iterate(one.source for one in pairs), strict=True)):
        for ours, theirs in both.links or ():
            if any(map(str.isalpha, both.source.forms[ours])):
                held.append(vectors[ours])
                words.append(both.source.forms[ours])
                sought.append(both.target.forms[theirs].lower())
                sentences.append(number)
    return torch.stack(held), words, sought, sentences


def measure(options: argparse.Namespace, pair: str, layer: int, of: Sequence[Any]) -> list[dict[str, Any]]:
    """Translate with every map and shift; a record of each, for both halves of the sentences."""
    vectors, words, sought, sentences = of
    codes = pair.split("-")
    source, target = (load_anchors(options.anchors / code, layer).keep(max_types=options.types) for code in codes)
    known = read_dictionary(options.data / "dict" / f"{pair}.train.tsv", source=codes[0], target=codes[1])
    forms = {word.lower() for word in target.words}
    half = max(sentences) // 2
    records = []
    for name, settings in MAPS.items():
        alignment = fit_alignment(source, target, dictionary=known, settings=settings)
        for shift in options.shifts:
            sides = {"source": source, "target": target, "shift": shift}
            found = translate_occurrences(alignment, vectors[:, layer], words, k=5, **sides)
            record: dict[str, Any] = {"pair": pair, "layer": layer, "map": name, "shift": shift}
            for part in ("first half", "second half"):
                hits = [
                    (word == each[0][0].lower(), word in [one.lower() for one, _ in each])
                    for word, each, number in zip(sought, found, sentences, strict=True)
                    if word in forms and (number <= half) == (part == "first half")
                ]
                counts = torch.tensor(hits, dtype=torch.float64)
                record |= {f"{part}, {at}": float(counts[:, column].mean()) for column, at in enumerate(("P@1", "P@5"))}
                record |= {f"{part}, words": len(hits)}
            records.append(record)
    return records


def main() -> None:
    """Run the benchmark and print a table for each half."""
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
            found = measure(options, pair, layer, of)
            records += found
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(record) + "\n" for record in found)
    for part in ("first half", "second half"):
        print(f"\n{part}: P@1 / P@5 of counterparts, by the share of the shift\n")
        print("\n".join(_lines(records, part, options.shifts)))


def _lines(records: Sequence[dict[str, Any]], part: str, shifts: Sequence[float]) -> list[str]:
    """Write a table as Markdown: a line for each pair, layer and map."""
    lines = ["| pair | layer | map | words | " + " | ".join(f"{shift:g}" for shift in shifts) + " |"]
    lines.append("| --- " * (4 + len(shifts)) + "|")
    for at in range(0, len(records), len(shifts)):
        some = records[at : at + len(shifts)]
        cells = [f"{100 * each[f'{part}, P@1']:.1f} / {100 * each[f'{part}, P@5']:.1f}" for each in some]
        first = some[0]
        cells = [first["pair"], str(first["layer"]), first["map"], f"{first[f'{part}, words']:,}", *cells]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
