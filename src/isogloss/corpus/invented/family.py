"""The invented family as files and as values: raw text, treebanks, parallel sentences, dictionaries.

Every purpose has its own stream of events: text, treebanks, parallel sentences and dictionaries share
none. Raw text is drawn per language too: like texts of real languages, it is not parallel. Trees and
parallel sentences are the same events in all languages.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path

from pydantic import Field

from isogloss.corpus.conllu import write_conllu
from isogloss.corpus.invented.chance import Chance, whim
from isogloss.corpus.invented.events import Event, draw_events
from isogloss.corpus.invented.languages import LANGUAGES
from isogloss.corpus.invented.realise import Speaker, Telling
from isogloss.corpus.invented.sounds import capitalise
from isogloss.corpus.sentence import Sentence, Word
from isogloss.corpus.treebank import Treebank
from isogloss.errors import OutputError, RecipeError
from isogloss.settings import Settings

DICTIONARY_SENTENCES = 6000
"""Parallel sentences from which dictionaries are counted; the least count of a pair is `DICTIONARY_COUNT`."""
DICTIONARY_COUNT = 8
TEST_SHARE = 0.3
"""Share of a dictionary's source words that are kept for testing."""


class FamilySettings(Settings):
    """How much of the invented family to write."""

    languages: tuple[str, ...] = tuple(LANGUAGES)
    """Codes of the languages; the first is the reference, into which dictionaries lead."""
    text_sentences: int = Field(default=25_000, ge=0)
    """Sentences of raw text for each language."""
    train_sentences: int = Field(default=1_500, ge=0)
    """Sentences of each training treebank."""
    dev_sentences: int = Field(default=200, ge=0)
    """Sentences of each development treebank."""
    test_sentences: int = Field(default=300, ge=0)
    """Sentences of each test treebank."""
    parallel_sentences: int = Field(default=500, ge=0)
    """Sentences told in the reference and in another language, with their word alignment."""
    seed: int = 1
    """Seed of all that is told. The languages and their world stay the same."""


def sentences(code: str, stream: str, count: int, seed: int) -> Iterator[Sentence]:
    """Tell events of a stream in a language, with trees.

    Args:
        code: A language of `LANGUAGES`.
        stream: A name. Streams are independent, and sentence i of a stream is the same event in every
            language, except that each language has a stream ``text`` of its own.
        count: How many sentences.
        seed: With the stream's name, decides which events come.
    """
    speaker = _speaker(code)
    for number, event in enumerate(islice(_events(code, stream, seed), count), 1):
        yield _sentence(speaker.tell(event), code, f"{code}-{stream}-{number}")


def text_lines(code: str, count: int, seed: int, *, stream: str = "text") -> Iterator[str]:
    """Tell a stream as raw text, one sentence a line, as people write it; quicker than `sentences`."""
    speaker = _speaker(code)
    for event in islice(_events(code, stream, seed), count):
        yield _line(_forms(speaker.tell(event)))


def treebank(code: str, split: str, *, sentences: int, seed: int) -> Treebank:
    """Return a gold treebank of a language; the splits ``train``, ``dev`` and ``test`` share no stream."""
    told = tuple(_tell_all(code, split, sentences, seed))
    return Treebank(told, language=code, split=split, name=f"{LANGUAGES[code].name} (invented)", licence="CC0-1.0")


def parallel_sentences(
    source: str, target: str, count: int, seed: int, *, stream: str = "parallel"
) -> Iterator[tuple[Sentence, Sentence, tuple[tuple[int, int], ...]]]:
    """Tell a stream in two languages; yield both sentences and the places of aligned words, from 0."""
    speakers = _speaker(source), _speaker(target)
    for number, event in enumerate(islice(draw_events(Chance(seed, stream)), count), 1):
        tellings = [speaker.tell(event) for speaker in speakers]
        one, other = (
            _sentence(telling, code, f"{code}-{stream}-{number}")
            for telling, code in zip(tellings, (source, target), strict=True)
        )
        yield one, other, align(*tellings)


def align(source: Telling, target: Telling) -> tuple[tuple[int, int], ...]:
    """Pair the words of two tellings of one event that say the same; places count from 0."""
    places = {key: place for place, key in enumerate(target.keys) if key[0]}
    return tuple((place, places[key]) for place, key in enumerate(source.keys) if key in places)


@lru_cache(maxsize=64)
def _translations(source: str, target: str, seed: int) -> tuple[tuple[str, str], ...]:
    speakers = _speaker(source), _speaker(target)
    counts: Counter[tuple[str, str]] = Counter()
    for event in islice(draw_events(Chance(seed, "dictionary")), DICTIONARY_SENTENCES):
        one, other = (speaker.tell(event) for speaker in speakers)
        for i, j in align(one, other):
            counts[one.entries[i].form.lower(), other.entries[j].form.lower()] += 1
    frequent = {pair: count for pair, count in counts.items() if count >= DICTIONARY_COUNT}
    totals: Counter[str] = Counter()
    for (word, _), count in frequent.items():
        totals[word] += count
    order = sorted(frequent, key=lambda pair: (-totals[pair[0]], pair[0], -frequent[pair], pair[1]))
    return tuple(order)


def dictionary_pairs(source: str, target: str, seed: int) -> list[tuple[str, str]]:
    """Return the dictionary of two languages: word forms in lower case with all their translations.

    The most frequent word comes first, and of its translations the most frequent. Pairs are counted in
    aligned sentences, as lexicographers read parallel texts, except that here the alignment is true.
    """
    return list(_translations(source, target, seed))


def split_dictionary(pairs: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Split a dictionary for training and testing; no source word is in both."""
    testing = {word for word, _ in pairs if whim("dictionary", word) < TEST_SHARE}
    return [pair for pair in pairs if pair[0] not in testing], [pair for pair in pairs if pair[0] in testing]


def senses(sentence: Sentence) -> dict[int, str]:
    """Return the sense of every ambiguous word of a sentence, by its place from 0: ``{2: "bear.animal"}``."""
    return {
        place: value
        for place, word in enumerate(sentence.words)
        for name, _, value in (item.partition("=") for item in word.misc.split("|"))
        if name == "Sense"
    }


def write_family(folder: Path | str, settings: FamilySettings) -> None:
    """Write text, treebanks, dictionaries and parallel sentences of the invented family into a new or empty folder.

    Equal settings give equal bytes, on any machine. Files: ``<code>/text.txt``, ``<code>/train.conllu`` (and
    ``dev``, ``test``), ``dictionaries/<code>-<reference>.train.tsv`` (and ``.test.tsv``) from every other
    language, ``parallel/<reference>-<code>.tsv`` with two columns of words and one of word alignment.

    Raises:
        RecipeError: A language is not one of the family.
    """
    unknown = [code for code in settings.languages if code not in LANGUAGES]
    if unknown or not settings.languages:
        raise RecipeError(
            f"languages: found {', '.join(unknown) or 'none'}; expected some of {', '.join(LANGUAGES)}. "
            "Choose among these."
        )
    if len(set(settings.languages)) < len(settings.languages):
        raise RecipeError(f"languages: found {', '.join(settings.languages)}; expected each once. Name each once.")
    reference, *others = settings.languages
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder}: is not empty. Expected a new or empty folder. Choose another, or remove it.")
    for code in settings.languages:
        (folder / code).mkdir(parents=True)
        _write_lines(folder / code / "text.txt", text_lines(code, settings.text_sentences, settings.seed))
        for split in ("train", "dev", "test"):
            count = getattr(settings, f"{split}_sentences")
            write_conllu(sentences(code, split, count, settings.seed), folder / code / f"{split}.conllu")
    (folder / "dictionaries").mkdir()
    (folder / "parallel").mkdir()
    for code in others:
        parts = split_dictionary(dictionary_pairs(code, reference, settings.seed))
        for part, pairs in zip(("train", "test"), parts, strict=True):
            path = folder / "dictionaries" / f"{code}-{reference}.{part}.tsv"
            _write_lines(path, (f"{word}\t{translation}" for word, translation in pairs))
        told = parallel_sentences(reference, code, settings.parallel_sentences, settings.seed)
        _write_lines(folder / "parallel" / f"{reference}-{code}.tsv", map(_parallel_line, told))


_tell_all = sentences


@cache
def _speaker(code: str) -> Speaker:
    return Speaker(code)


def _events(code: str, stream: str, seed: int) -> Iterator[Event]:
    own = (code,) if stream == "text" else ()
    return draw_events(Chance(seed, stream, *own))


def _forms(telling: Telling) -> list[str]:
    forms = [entry.form for entry in telling.entries]
    forms[0] = capitalise(forms[0])
    return forms


def _line(forms: list[str]) -> str:
    """Write words as people do: no space before punctuation."""
    return " ".join(forms).replace(" .", ".").replace(" ,", ",").replace(" ?", "?")


def _sentence(telling: Telling, code: str, sent_id: str) -> Sentence:
    forms = _forms(telling)
    words = []
    for place, (form, entry, head, deprel) in enumerate(
        zip(forms, telling.entries, telling.heads, telling.deprels, strict=True), 1
    ):
        misc = entry.misc
        if place < len(forms) and telling.entries[place].upos == "PUNCT":
            misc += "|SpaceAfter=No" if misc else "SpaceAfter=No"
        words.append(Word(form, entry.lemma, entry.upos, "_", entry.feats, head=head, deprel=deprel, misc=misc or "_"))
    comments = (f"# sent_id = {sent_id}", f"# text = {_line(forms)}")
    return Sentence(tuple(words), language=code, comments=comments)


def _parallel_line(told: tuple[Sentence, Sentence, tuple[tuple[int, int], ...]]) -> str:
    one, other, alignment = told
    links = " ".join(f"{i}-{j}" for i, j in alignment)
    return f"{' '.join(one.forms)}\t{' '.join(other.forms)}\t{links}"


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
