"""Split raw text into the words that trees are made of.

A parser trained on trees sees *de el* where the page says *del*, and *do n't* for *don't*. A language model
that is to serve it must have seen the same words, so raw text is split in two steps, both by rule and both
without downloads:

1. `split_words` cuts a line into tokens. The rules rest on Unicode properties and so hold for any script;
   a small table adds what treebanks of a language do differently (`RULES`).
2. `split_contractions` replaces tokens that nearly always stand for two syntactic words (`CONTRACTIONS`).

Scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) get one character with its marks per
word. That is a stopgap: for these, bring text that is already split (``tokenised``). The agreement with
treebanks is measured by ``python -m benchmarks.tokens``.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import regex

from isogloss.corpus.plain_text import plain

_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\u30FC\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}\u00AD\u200C\u200D]--[{_NO_SPACES}]]"
_PICTURE = r"\p{Extended_Pictographic}[\uFE0F\p{EMod}\U000E0020-\U000E007F]*"
ADDRESS = regex.compile(r"https?://|ftp://|www\.|[^@]+@")
_DOMAIN = r"(?:com|org|net|edu|gov|info|eu|uk|de|fr|it|es|pt|br|se|tr|kz|ru|ch|htm|html|pdf|doc|txt|xml|php)"


@dataclass(frozen=True)
class Rules:
    """What the treebanks of one language do differently, as patterns of the `regex` package."""

    whole: str = ""
    """Tokens that are looked for before words, such as elided articles (*l'*, *d'*)."""
    cut: str = ""
    """Finds the parts of a token that holds an apostrophe or a hyphen; their sum must be the token."""
    abbreviations: str = ""
    """Words, separated by spaces, that keep their period unless they end the line."""
    numbered: str = ""
    """Likewise, words that keep it before a number only: *art.* 5, where *art* may be a word too."""
    detached: str = ""
    """Likewise, words whose period ends no sentence, but is a token of its own in most trees."""


_CONSONANTS = "bcdfghjklmnpqrstvwxzçñğşбвгджзйклмнпрстфхцчшщқғңһ"
# What has no vowel is short for a word; after a number, for a unit, which may end a sentence. So may TV and the like.
_WITHOUT_VOWEL = rf"[{_CONSONANTS}{_CONSONANTS.upper()}][{_CONSONANTS}]{{0,3}}+\.(?<!\p{{N}}\s?\p{{L}}{{1,4}}\.)"
_ELISION = r"(?:(?:[dlLD]|[dDnNaA]ell|[aA]ll|[sS]ull)['’])?"  # l'art. 5, dell'art. 5

_ENGLISH_CLITIC = "(?i:n['’]t|['’](?:s|re|ll|ve|d|m))"
_ENGLISH_PREFIX = "(?i:e|x|co|non|pre|post|ex|anti|multi|semi|re|mid|pro|un|inter|sub|mini|bi|de)"
_FRENCH_CLITIC = "(?i:-(?:t-)?(?:ils?|elles?|on|je|tu|nous|vous|ce|y|en|les?|la|lui|leur|moi|toi))"

RULES: Mapping[str, Rules] = MappingProxyType(
    {
        "en": Rules(
            whole=r"['’](?i:s|re|ll|ve|d|m)(?![\p{L}\p{N}'’])|\d+(?:/\d+)+(?!\p{L})|\d+(?=(?i:[ap]m)(?!\p{L}))",
            cut=rf"{_ENGLISH_CLITIC}$|\d+(?:-\d+)+|(?:(?<![\p{{L}}\p{{N}}]){_ENGLISH_PREFIX}-)?"
            rf"[^-]+?(?={_ENGLISH_CLITIC}$|-|$)|-",
            abbreviations="Dr Mr Mrs Ms St Ft Inc Co Corp Ltd Gen Lt Rev Jr Sr Gov Sen Col Capt Prof Jan Feb "
            "Aug Sept Oct Nov Dec vs etc cf Bros Reps Rep Attn Vol pp al Messrs Mme Mt Sgt Maj Cmdr Hon Pres Supt Dept",
            numbered="Nos Fig Figs fig figs Sec Sect Chap chap Eq Eqs Art Arts vol Mar Apr Jun Jul Tel tel Ext ext Apt "
            "approx ca",
        ),
        "fr": Rules(
            whole="(?i:c['’]est-à-dire|(?:jusqu|lorsqu|puisqu|quoiqu|qu|[cdjlmnst])['’](?!on(?<=l['’]on)(?!\\p{L})))",
            cut=rf"(?i:rendez-vous|c['’]est-à-dire)$|{_FRENCH_CLITIC}(?=-|$)|.+?(?=(?:{_FRENCH_CLITIC}){{1,4}}+$)|.+",
            abbreviations="M MM Mme cf etc Vol pp Dr av Mr Mgr St p J.-C Mmes Mlle Mlles Me Pr Sté",
            numbered="no nos Nos fig figs Fig Figs art arts Art Arts chap Chap vol tél Tél env éd",
        ),
        "it": Rules(
            whole=r"(?i:e|po|mo|va|fa|di|[cdl]|un|[dn]ell|[ad]ll|dall|sull|que[sl][tl])['’](?!\p{L})|['’]\d\d(?!\d)",
            cut=r"(?<![^'’])\p{L}+['’](?=\p{L})(?!['’]?s$)|.+",
            abbreviations="n nn ecc pag pagg mr sig dott prof on art Sig Sigg sigg Dott Prof Avv avv Ing ing arch geom",
            numbered="fig figg Fig Figg artt Art Artt cap capp Cap Capp vol voll Vol Voll tel Tel num tab Tab sez",
        ),
        "de": Rules(
            whole=r"\d{1,2}\.(?=\s+\p{L})",
            cut="[^-]+|-",
            abbreviations="Dr St etc Prof Nr Az Mio Mrd Tsd Hr Dipl Ing Hrsg vgl Vgl inkl exkl evtl ggf sog geb",
            numbered="Abb Abs Art Bd Bde Kap Nrn Rn Ziff Tab Taf Tel Fig Vol Anm Aufl Jan Feb Apr Aug Sept Okt Nov Dez",
            detached="bzw ca",
        ),
        "es": Rules(
            whole=r"(?:EE|UU|FF|AA|RR|HH|JJ|OO|CC)\.(?=\s*\S)",  # doubled for the plural, as in EE. UU.
            abbreviations="etc Sr Sra Dr Dra Ud Uds D St Bros núm pág Ing Sres Sras Srta Srtas Prof Profa Lic Gral "
            "Cnel Mons Excmo Excma Ilmo Hnos Cía Avda Av Dpto",
            numbered="art arts Art Arts cap caps Cap Caps fig figs Fig Figs Núm núms págs Pág Págs vol vols Vol tel "
            "Tel aprox",
        ),
        "pt": Rules(
            whole=r"(?:US|CR?|R)\$",
            abbreviations="etc dr dra sr sra Dr Dra Sr Sra tel art arts ed av Av Jr Inc Cia pág eng Exmo Exma Prof "
            "Profa prof Eng Cel Srta",
            numbered="Art Arts fig figs Fig Figs cap caps Cap Caps vol vols Vol núm nº págs Pág Tel",
        ),
        "sv": Rules(
            whole=r"\p{L}{1,63}+-(?=\s)|(?:\p{Lu}+|\d+):(?:s|ns?|e|a|ans?|ar|erna)(?![\p{L}\p{N}])",
            abbreviations="kl t.ex bl.a s.k m.m o.s.v vol dr Dr prof Prof ca resp jfr inkl",
            numbered="kap Kap fig Fig figs tab Tab tel Tel jan feb apr aug sept okt nov dec",
        ),
        "tr": Rules(
            cut=r"(?<=\d)-(?=\d)|.+?(?=(?<=\d)-\d|$)",
            abbreviations="Prof Dr vb Doç Yrd Av Sn Hz Bkz bkz Cad Sok Mah",
            numbered="no sf Şek şek Tel tel",
        ),
        "kk": Rules(abbreviations="млн млрд трлн акад проф", numbered="ж жж"),
    }
)


def primary_code(language: str) -> str:
    """Return the code whose rules a language follows: that before the first hyphen or underline (RFC 5646).

    >>> primary_code("pt-BR"), primary_code("es-10k"), primary_code("tr")
    ('pt', 'es', 'tr')
    """
    return language.replace("_", "-").partition("-")[0].lower()


def rules_of(language: str) -> Rules:
    """Return what is particular to a language, by its code."""
    return RULES.get(primary_code(language), Rules())


def abbreviations_of(language: str) -> tuple[str, str]:
    """Return what words look like that keep their period: always, and before a number. Patterns, with the period.

    Beside the words that are listed for the language, *No*, *Nr* and short words without a vowel (*Bd*, *p*, *стр*)
    keep it before a number in any language.
    """
    rules = rules_of(language)
    always, numbered = ("|".join(map(regex.escape, words.split())) for words in (rules.abbreviations, rules.numbered))
    elision = _ELISION if primary_code(language) in ("fr", "it") else ""
    numbered = "|".join(filter(None, (numbered, "No|Nr")))
    return rf"{elision}(?:{always})\." if always else "", rf"{elision}(?:{numbered})\.|{_WITHOUT_VOWEL}"


@functools.cache
def _pattern(language: str) -> Callable[[str], list[str]]:
    """Compile the one expression that finds all tokens of a line."""
    rules = rules_of(language)
    always, numbered = abbreviations_of(language)
    letter = _LETTER
    alternatives = [  # Repetition is bounded where it looks past the token, or long lines would take forever.
        r"(?:https?://|ftp://|www\.)[^\s<>\"]*[^\s<>\"'.,;:!?)\]}…»”’]",
        r"[\w.+-]{1,64}+@[\w-]+(?:\.[\w-]+)+",
        rules.whole,
        rf"(?=\p{{L}}{{1,8}}+['’.])(?:(?:{numbered})(?=\s*\d)" + (rf"|{always}(?=\s*\S))" if always else ")"),
        r"\p{L}\.(?:-?\p{L}\.)+|\p{Lu}\.(?=\s*\p{Lu})",
        rf"\p{{L}}{{1,63}}+(?:[.-]\p{{L}}{{1,63}}+){{0,8}}?\.(?i:{_DOMAIN})(?!{letter})",
        rf"{letter}+(?:(?:['’·_-](?={letter})|(?<=\d)[.,:](?=\d)){letter}+)*",
        rf"[0-9#*]\uFE0F?\u20E3|\p{{RI}}{{2}}|{_PICTURE}(?:\u200D{_PICTURE})*",
        rf"[{_NO_SPACES}][\p{{M}}\u200D]*",
        r"[:;=]['-]?[()DPp](?![\p{L}\p{N}])",
        r"\.{2,}|-{2,}|[!?]{2,}|_{2,}|={2,}|<{2,}|>{2,}|\${2,}|\*{2,}|~{2,}|…{2,}|''|’’|``",
        r"[^\s\x1C-\x1F]\p{M}*",
    ]
    expression = "|".join(f"(?:{alternative})" for alternative in alternatives if alternative)
    return regex.compile(expression, regex.V1).findall


@functools.cache
def _cutter(language: str) -> Callable[[str], list[str]] | None:
    cut = rules_of(language).cut
    return regex.compile(cut, regex.V1).findall if cut else None


def split_words(line: str, *, language: str = "") -> list[str]:
    """Split a line into tokens, whose sum is the line without its white space.

    Words keep inner apostrophes and hyphens, numbers keep inner ``.``, ``,`` and ``:``; addresses and emoji
    sequences stay whole; punctuation stands alone, but for runs such as ``...``, ``--`` and ``?!``.

    Args:
        line: One sentence, as a person would write it.
        language: Its code, such as ``fr`` or ``fr-CA``; one without rules of its own gets those above.

    >>> split_words("L'eau n'est-elle pas à 3,5 €?", language="fr")
    ["L'", 'eau', "n'", 'est', '-elle', 'pas', 'à', '3,5', '€', '?']
    """
    tokens = _pattern(language)(line)
    cut = _cutter(language)
    if cut is None or ("-" not in line and "'" not in line and "’" not in line):
        return tokens
    parts: list[str] = []
    for token in tokens:
        # Only words are cut: no dashes, no smileys, no addresses.
        if (
            len(token) > 2
            and ("-" in token or "'" in token or "’" in token)
            and (token[0].isalnum() or token[-1].isalnum())
            and not ADDRESS.match(token)
        ):
            parts.extend(cut(token))
        else:
            parts.append(token)
    return parts


def split_contractions(words: Sequence[str], *, language: str) -> list[str]:
    """Replace each contraction by the two words that trees have, *del* by *de el*.

    A parser is trained on the words of trees, so the language model that it listens to must have learnt the
    same words. Each language has a closed list of forms that its treebanks split nearly always; where a form
    is ambiguous, as French *des*, the more frequent reading decides. Verbs with clitics (*darle*) stay whole.
    *Del* becomes *De el*, and *DEL* becomes *DE EL*.

    >>> split_contractions(["Del", "mar", "al", "cielo"], language="es")
    ['De', 'el', 'mar', 'a', 'el', 'cielo']
    """
    table = _cased_contractions(language)
    if not table:
        return list(words)
    split: list[str] = []
    for word in words:
        parts = table.get(word)
        if parts is None:
            split.append(word)
        else:
            split.extend(parts)
    return split


def words_of_line(line: str, *, language: str, tokenised: bool = False, contractions: bool = True) -> list[str]:
    """Return the words of a line of raw text, made plain, as the trees of the language have them.

    Args:
        line: One sentence; of a line without words, the list is empty.
        language: Its code.
        tokenised: The words are already apart: split at white space alone.
        contractions: Whether to split *del* into *de el*, if the words are not ``tokenised``.
    """
    line = plain(line)
    if tokenised:
        return line.split()
    words = split_words(line, language=language)
    return split_contractions(words, language=language) if contractions else words


def lower_case(text: str, *, language: str = "") -> str:
    """Write text in lower case by the rules of its language: Turkish and Azeri *I* becomes *ı*, *İ* *i*."""
    if primary_code(language) in ("tr", "az"):
        text = text.replace("I", "ı").replace("İ", "i")
    return text.lower()


def _contraction_table(text: str) -> Mapping[str, tuple[str, ...]]:
    """Read entries such as ``del=de+el``."""
    entries = (entry.split("=") for entry in text.split())
    return MappingProxyType({form: tuple(parts.split("+")) for form, parts in entries})


CONTRACTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "en": _contraction_table("cannot=can+not gonna=gon+na wanna=wan+na gotta=got+ta"),
        "es": _contraction_table("del=de+el al=a+el"),
        "fr": _contraction_table(
            "du=de+le des=de+les au=à+le aux=à+les duquel=de+lequel desquels=de+lesquels "
            "desquelles=de+lesquelles auquel=à+lequel auxquels=à+lesquels auxquelles=à+lesquelles"
        ),
        "de": _contraction_table(
            "im=in+dem am=an+dem zum=zu+dem zur=zu+der vom=von+dem beim=bei+dem ins=in+das ans=an+das "
            "aufs=auf+das fürs=für+das"
        ),
        "it": _contraction_table(
            "del=di+il dello=di+lo dell'=di+l' della=di+la dei=di+i degli=di+gli delle=di+le "
            "al=a+il allo=a+lo all'=a+l' alla=a+la ai=a+i agli=a+gli alle=a+le "
            "dal=da+il dallo=da+lo dall'=da+l' dalla=da+la dai=da+i dagli=da+gli dalle=da+le "
            "nel=in+il nello=in+lo nell'=in+l' nella=in+la nei=in+i negli=in+gli nelle=in+le "
            "sul=su+il sullo=su+lo sull'=su+l' sulla=su+la sui=su+i sugli=su+gli sulle=su+le "
            "col=con+il coi=con+i pel=per+il pei=per+i"
        ),
        "pt": _contraction_table(
            "do=de+o da=de+a dos=de+os das=de+as no=em+o na=em+a nos=em+os nas=em+as "
            "ao=a+o aos=a+os à=a+a às=a+as pelo=por+o pela=por+a pelos=por+os pelas=por+as "
            "num=em+um numa=em+uma nuns=em+uns numas=em+umas dum=de+um duma=de+uma "
            "deste=de+este desta=de+esta destes=de+estes destas=de+estas disto=de+isto "
            "desse=de+esse dessa=de+essa desses=de+esses dessas=de+essas disso=de+isso "
            "daquele=de+aquele daquela=de+aquela daqueles=de+aqueles daquelas=de+aquelas daquilo=de+aquilo "
            "neste=em+este nesta=em+esta nestes=em+estes nestas=em+estas nisto=em+isto "
            "nesse=em+esse nessa=em+essa nesses=em+esses nessas=em+essas nisso=em+isso "
            "naquele=em+aquele naquela=em+aquela naqueles=em+aqueles naquelas=em+aquelas naquilo=em+aquilo "
            "dele=de+ele dela=de+ela deles=de+eles delas=de+elas "
            "nele=em+ele nela=em+ela neles=em+eles nelas=em+elas "
            "àquele=a+aquele àquela=a+aquela àqueles=a+aqueles àquelas=a+aquelas àquilo=a+aquilo "
            "daí=de+aí dali=de+ali daqui=de+aqui doutro=de+outro doutra=de+outra"
        ),
    }
)
"""For each language, forms that stand for several syntactic words, in lower case."""


@functools.cache
def _cased_contractions(language: str) -> Mapping[str, tuple[str, ...]]:
    return cased(CONTRACTIONS.get(primary_code(language), {}))


def cased(contractions: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Write contractions out in small letters, with a capital, and in capitals, with either apostrophe."""
    table: dict[str, tuple[str, ...]] = {}
    for form, parts in contractions.items():
        for mark in "'’":
            spelt, words = form.replace("'", mark), tuple(part.replace("'", mark) for part in parts)
            table[spelt.upper()] = tuple(word.upper() for word in words)
            table[spelt.capitalize()] = (words[0].capitalize(), *words[1:])
            table[spelt] = words
    return table
