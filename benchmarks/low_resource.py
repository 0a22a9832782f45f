"""What anchoring is worth to a language with little text: ``python -m benchmarks.low_resource OUT``.

Alvan is the rich language of the invented family, Elgari the one with little text: another script, other words, another
order, and no tree. The parser learns from Alvan alone and reads no parts of speech. Beside a plain language model of
few Elgari sentences and one of many times more stand models of the few that are anchored to Alvan's, in all the ways
that are asked for. OUT keeps everything, so a second call makes only what is new.

    share recovered = (anchored − plain) / (plain with much text − plain), and anchored / plain with much text, in LAS
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isogloss.artifacts import build_artifact
from isogloss.corpus.invented.family import FamilySettings, write_family
from isogloss.experiment import Run, run
from isogloss.lexicon.dictionary import BilingualDictionary, read_dictionary, write_dictionary

RICH, POOR = "qal", "qel"
RECIPE = """
name = "low-resource"
reference = "qal"

[compute]
workers = 0

[corpus.qal]
text = "family/qal/text.txt"
treebank = { train = "family/qal/train.conllu", dev = "family/qal/dev.conllu" }

[corpus.qel]
text = "family/qel/text.txt"
treebank = { test = "family/qel/test.conllu" }

[encoders]
epochs = 2
rows = 32
unroll = 16
min_count = 1
held_out_sentences = 300

[encoders.model]
filters = [[1, 8], [2, 16], [3, 32]]
word_types = 5000
projection_width = 64
cell_width = 128

[encoders.loop]
max_steps = 1000
learning_rate = 8e-3
warmup_steps = 50
evaluate_every = 50

[lexicon]
min_count = 2
max_sentences = 12_000

[mapping]
dictionaries = "dictionaries-0/{source}-{target}.train.tsv"
test_dictionaries = "family/dictionaries/{source}-{target}.test.tsv"

[mapping.method]
normalisation = "unit_centre_unit"
too_few_pairs = "complete"

[parsing]
train_on = ["qal"]
test_on = ["qel"]
systems = ["aligned"]
pos = ["none"]

[parsing.parser]
layer = 1
lstm_layers = 1
hidden_width = 100
arc_width = 100
relation_width = 50
batch_size = 32

[parsing.parser.loop]
max_steps = 400
evaluate_every = 400
learning_rate = 3e-3
schedule = "linear"
warmup_steps = 20
"""


def spoilt(dictionary: BilingualDictionary, share: float, *, seed: int = 1) -> BilingualDictionary:
    """Return a dictionary of which a share of the pairs is wrong: their translations are dealt out anew.

    Args:
        dictionary: The right one.
        share: Of the pairs, from 0 to 1.
        seed: Of the choice.
    """
    generator = random.Random(seed)
    wrong = generator.sample(range(len(dictionary.pairs)), round(share * len(dictionary.pairs)))
    pairs = list(dictionary.pairs)
    for place, other in zip(wrong, wrong[1:] + wrong[:1], strict=True):  # each gets that of the next, so none its own
        pairs[place] = (dictionary.pairs[place][0], dictionary.pairs[other][1])
    return BilingualDictionary(dictionary.source, dictionary.target, tuple(dict.fromkeys(pairs)))


def prepare(out: Path, *, sentences: int, noise: Sequence[float]) -> None:
    """Write the two languages, the recipe, and the dictionary with more and more wrong pairs."""
    settings = FamilySettings(
        languages=(RICH, POOR), text_sentences=sentences, train_sentences=600, dev_sentences=60, parallel_sentences=0
    )
    if not (out / "family").is_dir():
        what = settings.model_dump(mode="json")
        build_artifact(out / "family", "corpus", lambda draft: write_family(draft, settings), settings=what, inputs={})
    (out / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    name = f"{POOR}-{RICH}.train.tsv"
    right = read_dictionary(out / "family" / "dictionaries" / name, source=POOR, target=RICH)
    for share in {0.0, *noise}:
        (out / f"dictionaries-{share:g}").mkdir(exist_ok=True)
        write_dictionary(out / f"dictionaries-{share:g}" / name, spoilt(right, share))


def row_of(done: Run, system: str, **what: Any) -> dict[str, Any]:
    """Return what one language model is worth: perplexity, translation, LAS."""
    name = POOR + ("-anchored" if system == "anchored" else "")
    card = json.loads((done.folder / "encoders" / name / "card.json").read_text(encoding="utf-8"))
    layers = "anchored layer" if system == "anchored" else "layer"
    found = [row for row in done.precision if row["vectors"] == layers]
    score = next(score for score in done.scores if score.system == system)
    return {
        **what,
        "words": card["training_words"],
        "perplexity": (card["forward_perplexity"] * card["backward_perplexity"]) ** 0.5,
        **{f"P@1 layer {row['layer']}": row["precision@1"] for row in found},
        **{f"P@5 layer {row['layer']}": row["precision@5"] for row in found},
        "LAS": 100 * score.las,
    }


def rows_of(out: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Run the variants one after another, in one run folder for each seed."""
    passes = arguments.times if arguments.passes is None else arguments.passes
    for seed in arguments.seeds:

        def variant(text: str, *overrides: str, seed: int = seed) -> Run:
            return run(out / "recipe.toml", out / f"{text}-{seed}", overrides=[f"seed={seed}", *overrides])

        yield row_of(variant("much"), "aligned", model="plain, much text", seed=seed)
        few = (
            f"corpus.qel.max_sentences={arguments.sentences // arguments.times}",
            f"corpus.qal.model={out.absolute() / f'much-{seed}' / 'encoders' / RICH}",
            f"encoders.epochs={passes}",
        )
        systems = 'parsing.systems=["aligned", "anchored"]'
        for share in (0.0, *arguments.noise):
            pairs = f"mapping.dictionaries=dictionaries-{share:g}/{{source}}-{{target}}.train.tsv"
            for weight in arguments.weights if not share else arguments.weights[-1:]:
                for start in (True, False) if arguments.starts and not share else (True,):
                    done = variant(
                        "little",
                        *few,
                        pairs,
                        systems,
                        f"encoders.anchoring.weight={weight}",
                        f"encoders.anchoring.start_from_model={str(start).lower()}",
                        *arguments.set,
                    )
                    if (weight, start) == (arguments.weights[0], True) or share:
                        yield row_of(done, "aligned", model="plain", seed=seed, wrong=share)
                    what = {"model": "anchored" if start else "anchored, start from counts"}
                    yield row_of(done, "anchored", **what, seed=seed, weight=weight, wrong=share)


def main() -> None:
    """Train, parse and print a line of JSON per language model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that keeps everything")
    parser.add_argument("--sentences", type=int, default=9000, help="much text")
    parser.add_argument("--times", type=int, default=30, help="how many times more that is than little text")
    parser.add_argument("--passes", type=int, help="over the little text; by default as many as --times")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0], help="λ; the last one where pairs are wrong")
    parser.add_argument("--starts", action="store_true", help="start the anchored models from counts, too")
    parser.add_argument("--noise", type=float, nargs="*", default=[], help="shares of wrong pairs, such as 0.3")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--set", nargs="*", default=[], help="other settings of the few-text models: KEY=VALUE")
    arguments = parser.parse_args()
    prepare(arguments.out, sentences=arguments.sentences, noise=arguments.noise)
    much = plain = 0.0
    for row in rows_of(arguments.out, arguments):
        if row["model"] == "plain, much text":
            much = row["LAS"]
        elif row["model"] == "plain":
            plain = row["LAS"]
        else:
            row |= {"gap closed": (row["LAS"] - plain) / (much - plain), "of much text": row["LAS"] / much}
        shown = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in row.items()}
        print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
