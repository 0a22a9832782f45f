"""How sure is a parser of its trees? The mean probability of the heads that it chose.

It needs no gold tree. A parser that reads vectors as it knows them is sure of most heads; where they have lost their
meaning, it spreads its bets. Compared with a language that it has learned from, this tells whether a new one reached
the shared space. It tells no LAS: a parser can be surely wrong.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.parsing.features import (
    NO_AUXILIARIES,
    Auxiliaries,
    extract_features,
    has_universal_tags,
    work_units,
)
from isogloss.parsing.parser import Parser
from isogloss.parsing.trees import decode_trees


@torch.no_grad()
def mean_confidence(
    parser: Parser,
    sentences: Sequence[Sentence],
    encoder: Encoder | None,
    *,
    auxiliaries: Auxiliaries = NO_AUXILIARIES,
) -> float:
    """Return the mean probability, over words, of the heads of the best trees; 0 without any word.

    Args:
        parser: One that needs no tags, or sentences have them.
        sentences: Of any languages that the encoder knows; without trees, or they are not looked at.
        encoder: Of the parser's training.
        auxiliaries: Known ones by language.
    """
    full = [sentence for sentence in sentences if len(sentence)]
    network = parser.network.eval()
    total, words = 0.0, 0
    for unit in work_units(full, words=parser.settings.encode_words):
        some = [full[index] for index in unit]
        features = extract_features(some, encoder, settings=parser.settings, auxiliaries=auxiliaries)
        inputs = features.batch(range(len(some)))
        if parser.tagger:
            inputs = replace(inputs, given=torch.tensor([[has_universal_tags(one)] for one in some]))
        log_shares = network.arc_scores(network(inputs)).log_softmax(dim=-1)  # batch words heads
        heads = decode_trees(log_shares, inputs.lengths)
        chosen = log_shares.gather(2, heads[:, :, None])[:, :, 0].exp()  # batch words
        for row, length in enumerate(inputs.lengths.tolist()):
            total += float(chosen[row, :length].double().sum())
            words += length
    return total / words if words else 0.0
