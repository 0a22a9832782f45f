"""How a language sounds and is written: sound patterns, sound laws, scripts.

A stem is either invented from the sound pattern of its language, or inherited: the ancestor's stem,
changed by the regular sound laws of the language, as Latin *pater* and English *father* come from one
word. Sounds are Latin letters, one each; a script turns them into its own letters.
"""

import re
from dataclasses import dataclass

from isogloss.corpus.invented.chance import Chance

VOWELS = "aeiouy"

SCRIPTS = {
    "Latin": {},
    "Greek": dict(zip("abgdezqiklmnxoprstufhcw", "αβγδεζθικλμνξοπρστυφχψω", strict=True)),
    "Cyrillic": dict(zip("abvgdezijklmnoprstufhcqwxy", "абвгдезийклмнопрстуфхцчшжы", strict=True)),
    "Georgian": dict(zip("abgdevzqiklmnopjrstufcwxyh", "აბგდევზთიკლმნოპჟრსტუფქღშჩხ", strict=True)),
}
"""Letters by sound. A language whose script is not Latin has only sounds that its script can write."""


@dataclass(frozen=True)
class SoundPattern:
    """Which sounds a language has and how it strings them together."""

    consonants: str
    vowels: str
    syllables: tuple[str, ...]
    """Patterns of one syllable, ``C`` a consonant and ``V`` a vowel."""
    final: str
    """``vowel`` or ``consonant``: what every stem ends in, so that endings join smoothly."""
    laws: tuple[tuple[str, str], ...] = ()
    """Regular expressions and what they become, in order: what happened to the ancestor's stems."""


ANCESTOR = SoundPattern("ptkbdgmnlrsvh", "aeiou", ("CV", "CV", "CVC"), "vowel")


def invent_stem(pattern: SoundPattern, chance: Chance, *, syllables: int) -> str:
    """Invent a stem of the given number of syllables."""
    stem = ""
    for _ in range(syllables):
        for kind in chance.one_of(pattern.syllables):
            stem += chance.one_of(pattern.vowels if kind == "V" else pattern.consonants)
    return finish(_smooth(stem), pattern, chance)


def inherit_stem(ancestor: str, pattern: SoundPattern, chance: Chance) -> str:
    """Let the sound laws of a language act on the ancestor's stem."""
    for sound, change in pattern.laws:
        ancestor = re.sub(sound, change, ancestor)
    return finish(_smooth(ancestor), pattern, chance)


def finish(stem: str, pattern: SoundPattern, chance: Chance) -> str:
    """Make a stem end as its language wants."""
    ends_in_vowel = stem[-1] in VOWELS
    if pattern.final == "vowel" and not ends_in_vowel:
        return stem + chance.one_of(pattern.vowels)
    if pattern.final == "consonant" and ends_in_vowel:
        return stem + chance.one_of(pattern.consonants)
    return stem


def write(sounds: str, script: str) -> str:
    """Write sounds in a script, in lower case."""
    letters = SCRIPTS[script]
    return "".join(letters.get(sound, sound) for sound in sounds)


def capitalise(form: str) -> str:
    """Make the first letter large, where the script has large letters: Georgian has none in running text."""
    return form[:1].title() + form[1:]


def _smooth(stem: str) -> str:
    """Simplify doubled sounds: *kappa* becomes *kapa*."""
    return re.sub(r"(.)\1+", r"\1", stem)
