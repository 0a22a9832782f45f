"""Read a list of contractions: tokens that stand for several words, which a user knows and we do not.

    dámelo<TAB>da me lo

One token a line, a tab, and its words with spaces between them. A token is found as written here, with a capital, and
in capitals. (For the contractions that we know, see `isogloss.corpus.tokens`.)
"""

from os import PathLike, fspath

from isogloss.corpus.raw_text import read_lines
from isogloss.corpus.tokens import cased
from isogloss.errors import TextError


def read_contractions(path: str | PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Read a list of contractions, each in every case it may be written in.

    Raises:
        TextError: The file cannot be read, a line has no tab or only one word, or a token stands twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        form, tab, words = line.partition("\t")
        tokens, parts = form.split(), tuple(words.split())
        if not tab or len(tokens) != 1 or len(parts) < 2:
            raise TextError(
                f"{fspath(path)}:{number}: found {line.strip()!r}. Expected a token, a tab, and its words, two or more "
                f"with spaces between them. Correct the line or remove it."
            )
        if tokens[0] in found:
            raise TextError(
                f"{fspath(path)}:{number}: {tokens[0]!r} stands here a second time. Expected each token once. Remove "
                f"one of the lines."
            )
        found[tokens[0]] = parts
    return cased(found)
