"""Find which words of the parallel PUD trees translate each other: ``python -m benchmarks.pud_pairs DATA [LANG…]``.

The pairs judge word-in-context retrieval (`isogloss.mapping.word_retrieval`), so they should be right rather than
many. The word aligner learns from the PUD sentences themselves, in gold words, and from the parallel text of the
language. Of the links that both directions choose, those are kept

- in which the aligner trusts (`MIN_CONFIDENCE`),
- of two words whose parts of speech can translate each other (`COMPATIBLE`), without punctuation,
- that were found elsewhere too, or whose words are spelled alike: two rare words of one sentence pair are each the only
  explanation of the other, so the aligner is as sure of wrong ones as of right ones.

DATA holds ``ud/LANG/pud.conllu`` and ``parallel/en-LANG.tsv.xz``.

Writes ``benchmarks/pud/en-LANG.tsv``, lines ``sent_id<TAB>i-j i-j …`` with places of syntactic words from 0, and no
words, since the trees have a licence of their own. ``--show 60`` prints so many random pairs in their sentences, to be
read.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from isogloss.compute.randomness import numpy_generator
from isogloss.corpus.conllu import read_conllu
from isogloss.corpus.parallel import SentencePair, join_by_id, read_links, read_parallel
from isogloss.corpus.raw_text import write_lines
from isogloss.corpus.sentence import Word
from isogloss.lexicon.word_alignment import WordAligner

LANGUAGES = ("de", "es", "fr", "it", "pt", "sv")
FOLDER = Path(__file__).parent / "pud"
MIN_CONFIDENCE = 0.5
"""Chosen by reading pairs; see README.md in the folder."""


COMPATIBLE = (
    {"NOUN", "PROPN", "ADJ", "NUM", "SYM", "X", "INTJ"},
    {"VERB", "AUX"},
    {"ADP", "PART", "SCONJ", "CCONJ", "ADV"},
    {"DET", "PRON", "ADJ", "NUM"},
    {"ADJ", "ADV"},
)
"""Parts of speech that translate each other, or differ by treebank: *not* is a particle here and an adverb there."""

ALIKE = 4
"""Letters at the beginning that make two rare words be spelled alike; shorter words must be equal."""


def parallel_trees(data: Path, language: str) -> list[SentencePair]:
    """Return the PUD sentences that English and the language share, without links."""
    source, target = (read_conllu(data / "ud" / code / "pud.conllu", language=code) for code in ("en", language))
    return join_by_id(source, target)


def load_pairs(data: Path, language: str, *, folder: Path = FOLDER) -> list[SentencePair]:
    """Return the PUD sentences of English and the language with the links that were found here."""
    source, target = (read_conllu(data / "ud" / code / "pud.conllu", language=code) for code in ("en", language))
    return join_by_id(source, target, links=read_links(folder / f"en-{language}.tsv"))


def find_pairs(
    trees: Sequence[SentencePair], text: Sequence[SentencePair], *, min_confidence: float
) -> list[tuple[tuple[int, int], ...]]:
    """Link the words of parallel trees, one-to-one, and keep what can be believed."""
    forms = [pair.forms for pair in (*trees, *text)]
    found = WordAligner.fit(forms).align(forms, min_confidence=min_confidence)
    times = Counter(
        (source[i].lower(), target[j].lower())
        for (source, target), links in zip(forms, found, strict=True)
        for i, j in links
    )

    def believed(one: Word, other: Word) -> bool:
        spelled = one.form.lower(), other.form.lower()
        return any({one.upos, other.upos} <= group for group in COMPATIBLE) and (
            times[spelled] > 1 or spelled[0][:ALIKE] == spelled[1][:ALIKE]
        )

    return [
        tuple((i, j) for i, j in links if believed(pair.source.words[i], pair.target.words[j]))
        for pair, links in zip(trees, found[: len(trees)], strict=True)
    ]


def show(trees: Sequence[SentencePair], links: Sequence[Sequence[tuple[int, int]]], count: int) -> None:
    """Print random pairs, marked in their sentences."""
    places = [(number, link) for number, some in enumerate(links) for link in some]
    for chosen in sorted(numpy_generator(1, "pairs to read").permutation(len(places))[:count].tolist()):
        number, link = places[chosen]
        for sentence, place in zip((trees[number].source, trees[number].target), link, strict=True):
            forms = list(sentence.forms)
            forms[place] = f"[{forms[place]}]"
            print(" ".join(forms[max(0, place - 8) : place + 8]))
        print()


def main() -> None:
    """Align, write and tell how many pairs there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("languages", nargs="*", default=LANGUAGES)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--min-confidence", type=float, default=MIN_CONFIDENCE)
    parser.add_argument("--show", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for language in arguments.languages:
        trees = parallel_trees(arguments.data, language)
        path = arguments.data / "parallel" / f"en-{language}.tsv.xz"
        text = list(read_parallel(path, source="en", target=language))
        links = find_pairs(trees, text, min_confidence=arguments.min_confidence)
        lines = [
            f"{pair.source.comment('sent_id')}\t{' '.join(f'{i}-{j}' for i, j in some)}"
            for pair, some in zip(trees, links, strict=True)
            if some
        ]
        write_lines(lines, arguments.folder / f"en-{language}.tsv")
        words = sum(word.upos != "PUNCT" for pair in trees for word in pair.source.words)
        pairs = sum(map(len, links))
        print(f"en-{language}: {pairs} pairs in {len(lines)} sentences, {pairs / words:.1%} of the English words")
        show(trees, links, arguments.show)


if __name__ == "__main__":
    main()
