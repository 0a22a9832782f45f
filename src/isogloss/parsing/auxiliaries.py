"""Which words of a language are its auxiliaries, found in raw text with a tagger that never saw a tree of it.

Auxiliaries are few and frequent, and trees hang on them: a verb that is taken for an auxiliary or the other way round
moves the root. A tagger reads a new language occurrence by occurrence, and takes most of its auxiliaries for verbs,
because each seems to be a little more verb than auxiliary: of German it finds a third. Over all occurrences of a word,
though, the probabilities part clearly: *ist* is an auxiliary in 0.70 of its cases, *hat* in 0.12, *werden* in 0.22, and
what is none in 0.02. So where a tagger finds far fewer auxiliaries than languages have, the words that it most often
took for such are made ones, until there are as many as usual.

Where it finds a usual number, nothing is changed: in Spanish, French or Portuguese the same would take verbs for
auxiliaries. The numbers below were chosen on development trees of these and of German; docs/results.md has what that is
worth. A language that has few by nature, such as Turkish (8 to 10 % of verbs and auxiliaries), looks like one whose
tagger finds too few. Turkish loses nothing by it, since hardly a word is `LIKELY` there; that is one language.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.corpus.plain_text import composed
from isogloss.corpus.raw_text import read_lines
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.tokens import lower_case
from isogloss.encoders.encoder import Encoder
from isogloss.errors import DataError
from isogloss.parsing.features import extract_features, work_units
from isogloss.parsing.parser import Parser
from isogloss.parsing.tags import TAG_IDS

SENTENCES, AT_ONCE = 6_000, 200
"""Sentences that are read, and how many of them at a time."""
LONGEST = 100
"""Words of a sentence; longer ones are passed over."""
FEW, USUAL = 0.15, 0.3
"""Share of auxiliaries among verbs and auxiliaries: below the first there are too few, and they are filled up to the
second. The trees of en, es, fr, it, pt, sv and tr have 0.37, 0.22, 0.28, 0.29, 0.20, 0.30 and 0.08."""
OCCURRENCES = 15
"""Of a word at least."""
VERBAL = 0.5
"""Mean probability of being a verb or an auxiliary that a word needs at least."""
LIKELY = 0.05
"""Least share of the auxiliary in that."""


def read_auxiliaries(path: Path | str, *, language: str) -> tuple[str, ...]:
    """Read a list of auxiliaries, one a line, and write them in lower case; of an empty file, none.

    Raises:
        DataError: The file cannot be read, or a line has several words.
    """
    words = [line.strip() for line in read_lines(Path(path))]
    for number, word in enumerate(words, start=1):
        if len(word.split()) > 1:
            raise DataError(
                f"{path}:{number}: found {word!r}. Expected one word a line, an auxiliary in one of its forms. Put "
                f"each on a line of its own."
            )
    return tuple(dict.fromkeys(lower_case(composed(word), language=language) for word in words if word))


@torch.no_grad()
def find_auxiliaries(parser: Parser, sentences: Iterable[Sentence], encoder: Encoder) -> tuple[str, ...]:
    """Return the words that are taken for auxiliaries, in lower case, most frequent first; none if all is as usual.

    Args:
        parser: One with a tagger.
        sentences: Raw text; the first `SENTENCES` are read, so they should be like the rest. Trees and tags are not
            looked at.
        encoder: Of the parser's training, which knows the language.
    """
    assert parser.tagger, "only a tagger can tell"
    network, was_training = parser.network, parser.network.training
    network.eval()
    counts: Counter[str] = Counter()
    shares: dict[str, Tensor] = {}
    remaining = (one for one in islice(sentences, SENTENCES) if 0 < len(one) <= LONGEST)
    while some := list(islice(remaining, AT_ONCE)):
        raise_if_stop_requested()
        features = extract_features(some, encoder, settings=parser.settings)
        for unit in work_units(some, words=parser.settings.encode_words):
            inputs = features.batch(unit)
            found = network.tag_scores(inputs.to(network.root.device)).softmax(dim=-1).cpu()
            both = found[..., [TAG_IDS["AUX"], TAG_IDS["VERB"]]].double()
            for row, index in enumerate(unit):
                for form, share in zip(some[index].forms, both[row], strict=False):  # the row has padding, too
                    word = lower_case(form, language=some[index].language)
                    counts[word] += 1
                    shares[word] = shares.get(word, 0.0) + share
    network.train(was_training)
    return chosen_as_auxiliaries(list(shares), counts, torch.stack(list(shares.values()))) if shares else ()


def chosen_as_auxiliaries(words: Sequence[str], counts: Counter[str], expected: Tensor) -> tuple[str, ...]:
    """Choose from what a tagger expects: the words that it most often takes for auxiliaries, if it does so too seldom.

    Args:
        words: Each once.
        counts: How often each occurs.
        expected: Of each word the expected number of occurrences as an auxiliary, and as a verb; words × 2.

    >>> seen = Counter({"ist": 80, "hat": 50, "geht": 400, "haus": 70})
    >>> expected = torch.tensor([[56.0, 24.0], [6.0, 44.0], [4.0, 390.0], [0.0, 1.0]])
    >>> chosen_as_auxiliaries(list(seen), seen, expected)
    ('ist', 'hat')
    >>> chosen_as_auxiliaries(["ist", "geht"], seen, expected[[0, 2]] + torch.tensor([[30.0, 0.0], [0.0, 0.0]]))
    ()
    """
    auxiliary, verb = expected.sum(dim=0).tolist()
    both = auxiliary + verb
    if not both or auxiliary / both >= FEW:
        return ()
    likely = sorted(
        (
            (as_auxiliary / (as_auxiliary + as_verb), word, as_verb)
            for word, (as_auxiliary, as_verb) in zip(words, expected.tolist(), strict=True)
            if counts[word] >= OCCURRENCES and as_auxiliary + as_verb >= VERBAL * counts[word]
        ),
        reverse=True,
    )
    chosen: list[str] = []
    for share, word, as_verb in likely:
        if share < LIKELY or auxiliary / both >= USUAL:
            break
        chosen.append(word)
        auxiliary += as_verb
    return tuple(sorted(chosen, key=lambda word: (-counts[word], word)))
