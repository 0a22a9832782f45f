"""What two language models are worth to a parser: ``python -m benchmarks.zero_shot DATA en=MODEL es=MODEL``.

A quick experiment to choose language models by, beside perplexity and precision@1; not a result to publish. A small
parser without parts of speech learns from 2,000 trees of the first language, 400 steps, and parses 500 sentences of
the second one's development trees, of which it saw none. Anchors come from the first lines of the raw text, and the
alignment from the dictionary ``dict/FIRST-SECOND.train.tsv``. DATA holds ``text``, ``ud`` and ``dict``.
"""

import argparse
from itertools import islice
from pathlib import Path

import torch

from isogloss.corpus.conllu import iterate_conllu
from isogloss.corpus.raw_text import read_text
from isogloss.corpus.treebank import Treebank
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.lexicon.dictionary import read_dictionary
from isogloss.lexicon.extraction import extract_anchors
from isogloss.lexicon.settings import AnchorSettings
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.settings import ProcrustesSettings
from isogloss.mapping.shared_space import SharedSpace
from isogloss.parsing.attachment import sentence_scores
from isogloss.parsing.settings import ParserLoopSettings, ParserSettings
from isogloss.parsing.training import train_parser

PARSER = ParserSettings(
    upos="none",
    lstm_layers=2,
    hidden_width=150,
    arc_width=200,
    loop=ParserLoopSettings(max_steps=400, evaluate_every=400, schedule="linear", learning_rate=2e-3, warmup_steps=20),
)


def treebank(data: Path, language: str, split: str, sentences: int) -> Treebank:
    """Read the first sentences of a treebank."""
    found = iterate_conllu(data / "ud" / language / f"{split}.conllu", language=language, require_trees=True)
    return Treebank(tuple(islice(found, sentences)), language=language, split=split, licence="")


def main() -> None:
    """Train, parse and print a line per layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs=2, help="LANGUAGE=FOLDER, first the one with trees")
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--text-sentences", type=int, default=25_000, help="for the anchors")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    folders = dict(model.split("=", 1) for model in arguments.models)
    first, second = folders
    encoders = {language: ELMoEncoder.load(Path(folder)) for language, folder in folders.items()}
    anchors = {}
    for language, encoder in encoders.items():
        path = arguments.data / "text" / f"{language}.txt.xz"
        text = read_text(path, language=language, limit=arguments.text_sentences)
        anchors[language] = extract_anchors(encoder, text, language=language, settings=AnchorSettings(min_count=3))
    dictionary = read_dictionary(
        arguments.data / "dict" / f"{first}-{second}.train.tsv", source=first, target=second
    ).reversed()
    method = ProcrustesSettings(normalisation="unit_centre_unit", too_few_pairs="complete", weighting=0.0)
    pairs = zip(anchors[second], anchors[first], strict=True)
    alignments = [fit_alignment(*pair, dictionary=dictionary, settings=method) for pair in pairs]
    space = SharedSpace.of(first, encoders=encoders, alignments=alignments)

    gold = treebank(arguments.data, second, "dev", 500)
    for layer in arguments.layers:
        trained = train_parser(
            space,
            [treebank(arguments.data, first, "train", 2000)],
            dev=[treebank(arguments.data, first, "dev", 200)],
            settings=PARSER.model_copy(update={"layer": layer}),
            seed=arguments.seed,
        )
        scores = sentence_scores(gold.sentences, trained.parse(gold.sentences, space))
        print(f"{first}→{second} layer {layer}: {sum(scores[1:], scores[0])}", flush=True)


if __name__ == "__main__":
    main()
