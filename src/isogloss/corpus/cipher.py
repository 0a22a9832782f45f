"""A cipher of a real language: every letter replaced, grammar kept.

A ciphered corpus is a language that nobody has seen, with the same words, trees and meanings. What can be
learned from use alone must be learned from the cipher as well as from the original; what leaned on shared
spelling is lost. So a language and its cipher are a test of alignment whose truth is known: every word
translates its cipher.

The letters are exchanged one for one, large letters as their small ones. Digits, punctuation and spaces
stay, and so do word boundaries, tags, features and trees.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from isogloss.corpus.invented.chance import Chance
from isogloss.corpus.sentence import Sentence, Word
from isogloss.corpus.treebank import Treebank
from isogloss.errors import RecipeError

SCRIPTS = {"Greek": (0x0386, 0x03CF), "Cyrillic": (0x0430, 0x052F), "Armenian": (0x0561, 0x0586)}
"""First and last code point of the small letters of scripts that a cipher can write in."""


@dataclass(frozen=True)
class Cipher:
    """A one-to-one exchange of letters; letters it does not name stay, so it can always be undone."""

    letters: dict[str, str]
    """What each letter becomes: a permutation of its keys."""

    @property
    def inverse(self) -> "Cipher":
        """The cipher that undoes this one."""
        return Cipher({coded: letter for letter, coded in self.letters.items()})

    def text(self, line: str) -> str:
        """Encipher running text."""
        return line.translate(str.maketrans(self.letters))

    def word(self, word: Word) -> Word:
        """Encipher form and lemma of a word; its annotation stays."""
        return replace(word, form=self.text(word.form), lemma=self.text(word.lemma))

    def sentence(self, sentence: Sentence, *, language: str = "") -> Sentence:
        """Encipher a sentence: its words, multiword tokens, empty nodes and the comment ``# text``.

        Args:
            sentence: Any sentence.
            language: The code of the ciphered language, if it is to have its own.
        """
        return replace(
            sentence,
            words=tuple(self.word(word) for word in sentence.words),
            language=language or sentence.language,
            comments=tuple(self._comment(line) for line in sentence.comments),
            multiword_tokens=tuple(
                replace(token, columns=(self.text(token.form), *token.columns[1:]))
                for token in sentence.multiword_tokens
            ),
            empty_nodes=tuple(
                replace(node, columns=(*map(self.text, node.columns[:2]), *node.columns[2:]))
                for node in sentence.empty_nodes
            ),
        )

    def treebank(self, treebank: Treebank, *, language: str = "") -> Treebank:
        """Encipher all sentences of a treebank. See `sentence`."""
        sentences = tuple(self.sentence(sentence, language=language) for sentence in treebank)
        return replace(treebank, sentences=sentences, language=language or treebank.language)

    def _comment(self, line: str) -> str:
        name, sign, value = line.partition("=")
        return f"{name}={self.text(value)}" if sign and name[1:].strip() == "text" else line


def make_cipher(texts: Iterable[str], *, seed: int, script: str = "") -> Cipher:
    """Make a cipher for all letters of some texts.

    Args:
        texts: Lines or words that show which letters the language has.
        seed: Equal letters, seed and script give an equal cipher.
        script: One of `SCRIPTS`, or empty to shuffle the language's own letters so that none stays itself.
            Letters without a large form (as ``ß`` or ``の``) are always shuffled among themselves.

    Raises:
        RecipeError: The script is unknown or has fewer letters than the texts.
    """
    if script and script not in SCRIPTS:
        raise RecipeError(
            f"cipher, script: found {script}; expected one of {', '.join(SCRIPTS)}. Choose one of these, or none."
        )
    found = {letter for text in texts for letter in text if letter.isalpha()}
    cased = sorted({letter.lower() for letter in found if _has_cases(letter)})
    uncased = sorted(letter for letter in found if not _has_cases(letter))
    chance = Chance("cipher", seed, script)
    letters = dict(zip(uncased, _rotated(uncased, chance), strict=True))
    if script:
        available = _shuffled(_small_letters(script), chance)
        if len(available) < len(cased):
            raise RecipeError(
                f"cipher, script: {script} has {len(available)} letters, but the texts have {len(cased)}. "
                "Choose a script with more letters, or none to shuffle the texts' own."
            )
        small = _completed(dict(zip(cased, available, strict=False)))
    else:
        small = dict(zip(cased, _rotated(cased, chance), strict=True))
    large = {letter.upper(): coded.upper() for letter, coded in small.items()}
    return Cipher(letters | small | large)


def _has_cases(letter: str) -> bool:
    """Tell whether small and large forms are two single letters that lead to each other."""
    small, large = letter.lower(), letter.upper()
    together = len(small) == len(large) == 1 and small != large
    return together and letter in (small, large) and large.lower() == small and small.upper() == large


def _small_letters(script: str) -> list[str]:
    first, last = SCRIPTS[script]
    letters = map(chr, range(first, last + 1))
    cased = [letter for letter in letters if _has_cases(letter) and letter == letter.lower()]
    # Not Greek sigma: a capital one at the end of a word becomes another letter in lower case.
    return [letter for letter in cased if letter != "σ"]


def _shuffled(letters: list[str], chance: Chance) -> list[str]:
    """Put letters in a random order (Fisher and Yates)."""
    letters = list(letters)
    for last in range(len(letters) - 1, 0, -1):
        other = chance.below(last + 1)
        letters[last], letters[other] = letters[other], letters[last]
    return letters


def _rotated(letters: list[str], chance: Chance) -> list[str]:
    """Put letters in a random order in which none of several keeps its place: one long cycle."""
    order = _shuffled(letters, chance)
    following = dict(zip(order, order[1:] + order[:1], strict=True))
    return [following[letter] for letter in letters]


def _completed(letters: dict[str, str]) -> dict[str, str]:
    """Extend a one-to-one map to a permutation: target letters may occur in a text and need an image too."""
    images = set(letters.values())
    free = [letter for letter in letters if letter not in images]
    homeless = sorted(image for image in images if image not in letters)
    return letters | dict(zip(homeless, free, strict=True))
