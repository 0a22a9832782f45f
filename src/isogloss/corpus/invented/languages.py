"""The languages of the invented family, from word order to sound.

They differ where languages of the world differ most visibly (Dryer and Haspelmath, WALS Online, chapters
81, 85, 86, 87: order of subject, object and verb; adpositions; genitives; adjectives), so that what one
language shows a parser another may contradict. Codes are from the range that ISO 639-2 keeps for private
use, qaa to qtz.
"""

from dataclasses import dataclass

from isogloss.corpus.invented.sounds import SoundPattern


@dataclass(frozen=True)
class InventedLanguage:
    """All that makes one invented language."""

    code: str
    name: str
    sounds: SoundPattern
    order: str = "SVO"
    """Order of subject, verb and object: ``SVO``, ``SOV`` or ``VSO``."""
    adjectives_after: bool = False
    """Whether *big bear* is *bear big*."""
    owners_after: bool = True
    """Whether the owner follows what it owns: *the house of the king*."""
    postpositions: bool = False
    """Whether *in the forest* is *forest in*; subordinators and relative clauses go along with it."""
    articles: str = ""
    """``both`` (*the*, *a*), ``definite`` or empty."""
    accusative: str = ""
    """The ending of objects. Without, word order alone tells them from subjects."""
    marked_objects: str = "animate"
    """``animate``: only people and animals, which might else be taken for subjects, have the ending, as in
    Hindi; ``all``: everything has."""
    accusative_recipients: bool = False
    """Whether the same ending marks recipients, as in Hindi. Without, an adposition does."""
    past_ending: str = ""
    """The ending of past verbs. Without, an auxiliary before the verb says so."""
    script: str = "Latin"
    cognates: float = 0.0
    """Share of stems inherited from the family's ancestor by the sound laws."""
    homonyms: tuple[tuple[str, str], ...] = ()
    """Pairs of concepts that share one stem."""

    @property
    def verb_final(self) -> bool:
        """Whether the verb closes its clause."""
        return self.order == "SOV"


HOMONYMS = (
    ("bear.animal", "carry.verb"),
    ("saw.tool", "see.verb"),
    ("fly.animal", "fly.verb"),
    ("ring.clothes", "call.verb"),
    ("train.vehicle", "train.verb"),
    ("rock.land", "sway.verb"),
    ("duck.animal", "fear.verb"),
    ("bank.building", "shore.land"),
    ("bat.animal", "club.tool"),
    ("crane.animal", "crane.tool"),
    ("seal.animal", "seal.document"),
    ("spring.time", "spring.land"),
    ("pen.tool", "pen.building"),
)
"""Two senses of one word in the reference language; all other languages tell them apart."""

_FAMILY = (
    InventedLanguage(
        code="qal",
        name="Alvan",
        sounds=SoundPattern(
            "ptkbdgmnlrsvf",
            "aeiou",
            ("CV", "CVC", "CV"),
            "consonant",
            (("h", ""), ("k(?=[ei])", "s"), ("u$", "o")),
        ),
        articles="both",
        accusative="a",
        past_ending="ed",
        cognates=0.35,
        homonyms=HOMONYMS,
    ),
    InventedLanguage(
        code="qbe",
        name="Bereshi",
        sounds=SoundPattern("ptkbdgmnzrsjhc", "aiuoe", ("CV", "CV", "CVC"), "vowel", (("l", "r"), ("v", "b"))),
        order="SOV",
        owners_after=False,
        postpositions=True,
        accusative="m",
        accusative_recipients=True,
        past_ending="ri",
        cognates=0.2,
    ),
    InventedLanguage(
        code="qco",
        name="Corvane",
        sounds=SoundPattern(
            "ptcbdgmnlrvfq",
            "aeiouy",
            ("CV", "CVC", "VC"),
            "consonant",
            (("k", "c"), ("p", "f"), ("h", ""), ("s", "q")),
        ),
        order="VSO",
        adjectives_after=True,
        articles="definite",
        cognates=0.35,
    ),
    InventedLanguage(
        code="qdo",
        name="Dovish",
        sounds=SoundPattern(
            "ptkbdgmnlrswf", "aeiouy", ("CV", "CVC", "CVC"), "consonant", (("v", "w"), ("h", ""), ("a$", "e"))
        ),
        adjectives_after=True,
        past_ending="or",
        cognates=0.6,
    ),
    InventedLanguage(
        code="qel",
        name="Elgari",
        sounds=SoundPattern(
            "bgdvzqklmnjrstwxyh",
            "aeiou",
            ("CV", "CCV", "CVC"),
            "vowel",
            (("p", "b"), ("k(?=[ei])", "x"), ("s", "z")),
        ),
        adjectives_after=True,
        accusative="s",
        past_ending="da",
        script="Georgian",
        cognates=0.15,
    ),
    InventedLanguage(
        code="qfi",
        name="Firian",
        sounds=SoundPattern("kptbdgmnlrszjhvqw", "aeiouy", ("CV", "CVC"), "vowel", (("t(?=i)", "c"), ("g", "h"))),
        order="SOV",
        adjectives_after=True,
        owners_after=False,
        postpositions=True,
        past_ending="la",
        script="Cyrillic",
        cognates=0.2,
    ),
    InventedLanguage(
        code="qga",
        name="Galthic",
        sounds=SoundPattern("kptbdgmnlrqfzhx", "aeiou", ("CV", "VC", "CVC"), "vowel", (("s", "z"), ("v", "f"))),
        order="VSO",
        articles="definite",
        accusative="n",
        marked_objects="all",
        past_ending="xe",
        script="Greek",
        cognates=0.25,
    ),
)
LANGUAGES: dict[str, InventedLanguage] = {language.code: language for language in _FAMILY}
"""All invented languages by code. The first is the reference."""
REFERENCE = _FAMILY[0].code
