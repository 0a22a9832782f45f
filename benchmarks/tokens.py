"""Measure how well our words and sentences agree with those of treebanks: ``python -m benchmarks.tokens DATA``.

DATA holds ``ud/LANG/{train,dev}.conllu``. First each sentence is given alone, as its comment ``# text`` has it; two F1
scores:

- *tokens*: spans of the text, where a multiword token counts as one (so English ``don't`` counts against us,
  which we split as its trees do);
- *words*: syntactic words after `split_contractions`, where span and form (in lower case) must be right.

Then the sentences are joined to running text, with white space where the treebank has it and with its paragraphs, if it
knows them; two more:

- *sentences*: spans of what `split_sentences` finds;
- *running*: tokens as above, of the sentences that were found.

Many treebanks are sentences drawn from here and there, headings among them; then no splitter can be right often.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from isogloss.corpus.conllu import iterate_conllu
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.sentences import split_sentences
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


def paragraphs_of(path: Path, language: str) -> Iterator[list[tuple[str, list[str], str]]]:
    """Yield the paragraphs of a treebank: each sentence's text and tokens, and the white space after it."""
    paragraph: list[tuple[str, list[str], str]] = []
    for sentence in iterate_conllu(path, language=language):
        if paragraph and any(comment.startswith(("# newdoc", "# newpar")) for comment in sentence.comments):
            yield paragraph
            paragraph = []
        text, (tokens, _) = sentence.comment("text"), gold_tokens(sentence)
        if text is None or "".join(text.split()) != "".join("".join(tokens).split()):
            continue
        token = sentence.multiword_tokens[-1] if sentence.multiword_tokens else None
        misc = token.columns[-1] if token and token.last == len(sentence) else sentence.words[-1].misc
        paragraph.append((text, tokens, "" if "SpaceAfter=No" in misc else " "))
    if paragraph:
        yield paragraph


def measure_running(path: Path, language: str) -> tuple[float, float]:
    """Return F1 of sentences, and of tokens, in running text."""
    right, total = Counter(), Counter()
    for paragraph in paragraphs_of(path, language):
        found = split_sentences("".join(text + space for text, _, space in paragraph), language=language)
        pairs = {
            "sentences": ([text for text, _, _ in paragraph], found),
            "running": (
                [token for _, tokens, _ in paragraph for token in tokens],
                [token for sentence in found for token in split_words(sentence, language=language)],
            ),
        }
        for scope, (gold, ours) in pairs.items():
            places, ours_places = ({span[:2] for span in spans(forms)} for forms in (gold, ours))
            right[scope] += 2 * len(places & ours_places)
            total[scope] += len(places) + len(ours_places)
    return right["sentences"] / max(total["sentences"], 1), right["running"] / max(total["running"], 1)


def main(data: Path, verbose: bool) -> None:
    """Print one line a treebank."""
    print(f"{'treebank':<10}{'tokens F1':>10}{'words F1':>10}{'tokens/s':>12}{'sentences F1':>14}{'running F1':>12}")
    for path in sorted(data.glob("ud/*/*.conllu")):
        if path.stem in ("train", "dev"):
            language = path.parent.name
            tokens, words, speed, wrong = measure(path, language)
            sentences, running = measure_running(path, language)
            print(
                f"{language + ' ' + path.stem:<10}{100 * tokens:>10.2f}{100 * words:>10.2f}{speed:>12,.0f}"
                f"{100 * sentences:>14.2f}{100 * running:>12.2f}"
            )
            if verbose:
                print("   ", "  ".join(f"{item}:{number}" for item, number in wrong.most_common(90)))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Usage: python -m benchmarks.tokens DATA [--verbose]. DATA holds ud/LANG/train.conllu.")
    main(Path(sys.argv[1]), "--verbose" in sys.argv)
