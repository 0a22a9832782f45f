"""Measure how well `split_words` agrees with the tokens of treebanks: ``python -m benchmarks.tokens DATA``.

DATA holds ``ud/LANG/{train,dev}.conllu``. The raw text is each sentence's comment ``# text``. Two F1 scores:

- *tokens*: spans of the text, where a multiword token counts as one (so English ``don't`` counts against us,
  which we split as its trees do);
- *words*: syntactic words after `split_contractions`, where span and form (in lower case) must be right.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from isogloss.corpus.conllu import iterate_conllu
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.tokens import split_contractions, split_words

Span = tuple[int, int, str]


def spans(forms: Sequence[str]) -> set[Span]:
    """Return where each form starts and ends in the text without white space."""
    found, start = set(), 0
    for form in forms:
        end = start + len("".join(form.split()))
        found.add((start, end, form))
        start = end
    return found


def word_spans(tokens: Sequence[str], split: Callable[[int], Sequence[str]]) -> set[Span]:
    """Return the spans of syntactic words; parts that are not written out share the span of their token."""
    found, start = set(), 0
    for place, token in enumerate(tokens):
        token = "".join(token.split())
        end, parts = start + len(token), [part.lower() for part in split(place)]
        at = start
        for number, part in enumerate(parts):
            part = "".join(part.split())
            if "".join(parts) == token.lower():
                found.add((at, at + len(part), part))
                at += len(part)
            else:
                found.add((start, end, f"{number} {part}"))
        start = end
    return found


def gold_tokens(sentence: Sentence) -> tuple[list[str], list[list[str]]]:
    """Return the tokens as written, and the words of each."""
    first_words = {token.first: token for token in sentence.multiword_tokens}
    tokens, parts, place = [], [], 1
    while place <= len(sentence):
        token = first_words.get(place)
        last = token.last if token else place
        tokens.append(token.form if token else sentence.words[place - 1].form)
        parts.append([word.form for word in sentence.words[place - 1 : last]])
        place = last + 1
    return tokens, parts


def measure(path: Path, language: str) -> tuple[float, float, float, Counter[str]]:
    """Return F1 of tokens, F1 of words, tokens a second, and what went wrong most often."""
    right, total = Counter(), Counter()
    wrong: Counter[str] = Counter()
    elapsed_seconds, count = 0.0, 0
    for sentence in iterate_conllu(path, language=language):
        text = sentence.comment("text")
        tokens, parts = gold_tokens(sentence)
        if text is None or "".join(text.split()) != "".join("".join(tokens).split()):
            continue
        begin = time.perf_counter()
        found = split_words(text, language=language)
        elapsed_seconds += time.perf_counter() - begin
        count += len(found)
        pairs = {
            "tokens": (spans(tokens), spans(found)),
            "words": (
                word_spans(tokens, parts.__getitem__),
                word_spans(found, lambda i, found=found: split_contractions([found[i]], language=language)),
            ),
        }
        for scope, (gold, ours) in pairs.items():
            right[scope] += 2 * len(gold & ours)
            total[scope] += len(gold) + len(ours)
        gold, ours = pairs["words"]
        wrong.update(f"−{form}" for _, _, form in gold - ours)
        wrong.update(f"+{form}" for _, _, form in ours - gold)
    scores = [right[scope] / max(total[scope], 1) for scope in ("tokens", "words")]
    return scores[0], scores[1], count / max(elapsed_seconds, 1e-9), wrong


def main(data: Path, verbose: bool) -> None:
    """Print one line a treebank."""
    print(f"{'treebank':<10}{'tokens F1':>10}{'words F1':>10}{'tokens/s':>12}")
    for path in sorted(data.glob("ud/*/*.conllu")):
        if path.stem in ("train", "dev"):
            language = path.parent.name
            tokens, words, speed, wrong = measure(path, language)
            print(f"{language + ' ' + path.stem:<10}{100 * tokens:>10.2f}{100 * words:>10.2f}{speed:>12,.0f}")
            if verbose:
                print("   ", "  ".join(f"{item}:{number}" for item, number in wrong.most_common(90)))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Usage: python -m benchmarks.tokens DATA [--verbose]. DATA holds ud/LANG/train.conllu.")
    main(Path(sys.argv[1]), "--verbose" in sys.argv)
