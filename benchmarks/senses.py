"""Does an ambiguous word in context land on the right one of its translations? ``python -m benchmarks.senses RUN``.

RUN is a run of ``recipes/invented.toml``, whose reference has words of two meanings; the other languages have a word
for each. Told events that no model has seen are read in the reference, and every ambiguous word of them is mapped into
the other languages, where the anchors of its translations wait. It is right if the nearest is the right one. Rows:
without alignment, the word's anchor in place of its vector (no context), the run's alignments turned round, and
alignments from the run's 500 parallel sentences (`isogloss.mapping.contextual_pairs`). The majority is the share of
each word's more frequent sense, picked from the very occurrences judged.

    isogloss run recipes/invented.toml -o RUN --set invented.text_sentences=60000 --set 'parsing.systems=["aligned"]' \\
        --set 'parsing.pos=["none"]' --set parsing.parser.loop.max_steps=1 --set lexicon.max_sentences=40000
    python -m benchmarks.senses RUN
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from benchmarks.align_tables import table

from isogloss.corpus.invented import REFERENCE, sentences
from isogloss.corpus.parallel import read_parallel
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.lexicon.anchor_files import load_all_anchors
from isogloss.mapping.alignment import load_alignment
from isogloss.mapping.contextual_pairs import fit_contextual
from isogloss.mapping.sense_judge import SenseScores, gather_occurrences, invented_choices, judge_senses
from isogloss.mapping.settings import ParallelSettings


def main() -> None:
    """Judge every language of the run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--languages", nargs="+", default=["qbe", "qco", "qel"])
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sentences", type=int, default=4000)
    parser.add_argument("--stream", default="sense-final", help="another name gives other sentences")
    options = parser.parse_args()
    torch.set_num_threads(1)

    encoder = ELMoEncoder.load(options.run / "encoders" / REFERENCE)
    own = load_all_anchors(options.run / "lexicon" / REFERENCE)
    occurrences = gather_occurrences(encoder, sentences(REFERENCE, options.stream, options.sentences, 11))
    rows = []
    for language in options.languages:
        anchors = load_all_anchors(options.run / "lexicon" / language)
        told = read_parallel(
            options.run / "corpus" / "parallel" / f"{REFERENCE}-{language}.tsv",
            source=REFERENCE,
            target=language,
            tokenised=True,
            links=True,
        )
        unlinked = [replace(pair, links=None) for pair in told]  # the true links stay unknown to the aligner
        in_context = fit_contextual(
            encoder,
            ELMoEncoder.load(options.run / "encoders" / language),
            unlinked,
            source_anchors=own,
            target_anchors=anchors,
            settings=ParallelSettings(too_few_pairs="complete"),
        )
        choices = invented_choices(REFERENCE, language)
        for layer in options.layers:
            aligned = load_alignment(options.run / "mapping" / language / f"layer-{layer}").inverse()

            judge = partial(judge_senses, target_anchors=anchors[layer], choices=choices)
            without = occurrences.without_context(own[layer])
            scores = [
                judge(None, occurrences),
                judge(aligned, occurrences, queries=without),
                judge(aligned, occurrences),
                judge(in_context[layer], occurrences),
            ]
            rows.append([language, str(layer), *(_shown(score) for score in scores), f"{scores[0].majority:.3f}"])
        print(f"{language}: {scores[0].occurrences} occurrences of {scores[0].words} words", flush=True)
    print(table(["language", "layer", "unaligned", "no context", "aligned", "parallel text", "majority"], rows))


def _shown(score: SenseScores) -> str:
    low, high = score.interval(np.random.default_rng(1))
    return f"{score.accuracy:.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    main()
