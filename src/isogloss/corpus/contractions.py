"""Read a list of contractions: tokens that stand for several words, which a user knows and we do not.

    dámelo<TAB>da me lo

One token a line, a tab, and its words with spaces between them. A token is found as written here, with a capital, and
in capitals. (For the contractions that we know, see `isogloss.corpus.tokens`.)
"""

from os import PathLike, fspath

from isogloss.corpus.plain_text import plain
from isogloss.corpus.raw_text import read_lines
from isogloss.corpus.tokens import cased
from isogloss.errors import TextError


def read_contractions(path: str | PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Read a list of contractions, each in every case it may be written in.

    A token may stand in several cases (``Al``, ``al``) with the same words but for their case; each is read as written.

    Raises:
        TextError: The file cannot be read, a line has no tab or only one word, or a token stands twice: as it is, or in
            two cases with different words.
    """
    found: dict[str, tuple[str, ...]] = {}
    lines: dict[str, int] = {}
    first_by_small: dict[str, str] = {}  # a token in small letters, and how it was first written
    for number, line in enumerate(map(plain, read_lines(path)), start=1):
        if not line.strip():
            continue
        form, tab, words = line.partition("\t")
        tokens, parts = form.split(), tuple(words.split())
        if not tab or len(tokens) != 1 or len(parts) < 2:
            raise TextError(
                f"{fspath(path)}:{number}: found {line.strip()!r}. Expected a token, a tab, and its words, two or more "
                f"with spaces between them. Correct the line or remove it."
            )
        token = tokens[0]
        if token in found:
            raise TextError(
                f"{fspath(path)}:{number}: {token!r} stands here a second time, after line {lines[token]}. Expected "
                f"each token once. Remove one of the lines."
            )
        found[token], lines[token] = parts, number
        first = first_by_small.setdefault(_small(token), token)
        if [*map(_small, parts)] != [*map(_small, found[first])]:
            raise TextError(
                f"{fspath(path)}:{number}: {token!r} stands for {' '.join(parts)!r} here, but {first!r} in line "
                f"{lines[first]} for {' '.join(found[first])!r}. Expected the same words of a token in every letter "
                f"case. Remove one of the lines."
            )
    return cased(found) | found


def _small(text: str) -> str:
    """Write a token or word as `cased` varies it: in small letters, with one kind of apostrophe."""
    return text.lower().replace("’", "'")
