"""The world of the invented family: who likes to do what to what, where and when.

Meaning is use: an anchor can be recognised in another language only if its word keeps company of its own.
So every verb has its own few favourite subjects and objects, every noun its own qualities, owners and places,
and no two are alike. All languages tell of this one world, which is what makes their vectors alignable; the
idea that spaces of meaning have the same shape in all languages (Mikolov, Le and Sutskever 2013) is true here
by construction.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from isogloss.corpus.invented.chance import Table, whim
from isogloss.corpus.invented.concepts import (
    ADVERBS,
    DESCRIBED,
    FRAMES,
    NOUN_CONCEPTS,
    NOUNS,
    PRONOUNS,
    QUANTIFIERS,
    SUBORDINATORS,
    class_of,
)

Tables = Mapping[str, Table[str]]

OWNED = ("animal", "tool", "vehicle", "container", "clothes", "document", "building", "food")
"""Classes of things that belong to somebody."""

_MODIFIERS = {
    "person": ("clothes", "town"),
    "animal": ("land", "building"),
    "building": ("land",),
    "tool": ("building", "container"),
    "container": ("building", "drink"),
    "plant": ("land",),
    "document": ("building",),
    "vehicle": ("land",),
}
_RELATIONS = {"clothes": ("with",), "town": ("from",), "drink": ("with",), "container": ("in", "under")}
_SPATIAL = ("in", "on", "near", "under", "behind")


class World(NamedTuple):
    """Tables to draw events from. Each maps a concept to what may stand beside it."""

    verbs: Table[str]
    subjects: Tables
    objects: Tables
    recipients: Tables
    instruments: Tables
    topics: Tables
    places: Tables
    """Verb → where it happens."""
    goals: Tables
    times: Tables
    """Verb → time of day or year."""
    manners: Tables
    moments: Mapping[str, Tables]
    """Tense → verb → adverb of time."""
    pronouns: Tables
    qualities: Tables
    owners: Tables
    modifiers: Tables
    """Noun → what stands in, near or with it."""
    relations: Tables
    """Noun → the adposition that it likes."""
    quantifiers: Tables
    partners: Tables
    """Noun → nouns of its class: *bread and cheese*."""
    identities: Tables
    done_by: Tables
    """Noun → what it does."""
    done_to: Tables
    """Noun → what is done to it."""
    sequels: Tables
    """Verb → the verb of a second clause."""
    subordinators: Mapping[str, Tables]
    described: Table[str]
    """Nouns of which something can be said with *to be*."""


def _liking(*names: str) -> float:
    """Return how much the first likes the second: mostly nothing, sometimes much; individual to the pair."""
    chance = whim(*names)
    if chance < 0.74:
        return 0.01
    return 1.0 if chance < 0.88 else 4.0


def frequency(concept: str) -> float:
    """Return how common a concept is: mildly skewed, from 0.6 to 1.8, so that none is too rare to learn."""
    return 0.6 * 3.0 ** (whim("frequency", concept) ** 1.5)


def _tables(
    name: str, rows: Iterable[str], columns_of: Callable[[str], Iterable[str]], *, rounds: int = 12
) -> tuple[Tables, Tables]:
    """Draw likings for rows × columns, balanced so that no column is starved; return them and the transpose.

    Balancing is iterative proportional fitting: scale columns, then rows, to their frequencies, and repeat.
    """
    weights = {
        row: {column: _liking(name, row, column) for column in columns if column != row}
        for row in rows
        if (columns := tuple(columns_of(row)))
    }
    for _ in range(rounds):
        sums: dict[str, float] = {}
        for cells in weights.values():
            for column, weight in cells.items():
                sums[column] = sums.get(column, 0.0) + weight
        for row, cells in weights.items():
            scaled = {column: weight * frequency(column) / sums[column] for column, weight in cells.items()}
            scale = frequency(row) / sum(scaled.values())
            weights[row] = {column: weight * scale for column, weight in scaled.items()}
    turned: dict[str, dict[str, float]] = {}
    for row, cells in weights.items():
        for column, weight in cells.items():
            turned.setdefault(column, {})[row] = weight
    return (
        {row: Table.of(cells) for row, cells in weights.items()},
        {column: Table.of(cells) for column, cells in turned.items()},
    )


def _nouns(*classes: str) -> tuple[str, ...]:
    return tuple(noun for noun in NOUN_CONCEPTS if class_of(noun) in classes)


@lru_cache(maxsize=1)
def world() -> World:
    """Return the one world that all invented languages talk about."""
    verbs = tuple(FRAMES)
    common = tuple(noun for noun in NOUN_CONCEPTS if class_of(noun) not in ("name", "town"))
    places = _nouns("building", "land", "town")

    def table(name: str, rows: Iterable[str], columns_of: Callable[[str], Iterable[str]]) -> Tables:
        return _tables(name, rows, columns_of)[0]

    def one_class(noun: str) -> tuple[str, ...]:
        return _nouns("person", "name") if class_of(noun) in ("person", "name") else _nouns(class_of(noun))

    subjects, done_by = _tables("subject", verbs, lambda verb: FRAMES[verb].subjects)
    objects, done_to = _tables("object", verbs, lambda verb: FRAMES[verb].objects)
    movers = [verb for verb in verbs if FRAMES[verb].movement == "goal"]
    return World(
        verbs=Table.of({verb: frequency(verb) for verb in verbs}),
        subjects=subjects,
        objects=objects,
        recipients=table("recipient", verbs, lambda verb: FRAMES[verb].recipients),
        instruments=table("instrument", verbs, lambda verb: FRAMES[verb].instruments),
        topics=table("topic", verbs, lambda verb: FRAMES[verb].topics),
        places=table("place", verbs, lambda _: places),
        goals=table("goal", movers, lambda _: places),
        times=table("time", verbs, lambda _: _nouns("time", "event")),
        manners=table("manner", verbs, lambda _: [f"{word}.manner" for word in ADVERBS["manner"].split()]),
        moments={
            tense: table("moment", verbs, lambda _, tense=tense: [f"{w}.moment" for w in ADVERBS[tense].split()])
            for tense in ("past", "present")
        },
        pronouns=table("pronoun", verbs, lambda _: [f"{word}.pronoun" for word in PRONOUNS]),
        qualities=table("quality", NOUN_CONCEPTS, lambda noun: [q for q in DESCRIBED if noun in DESCRIBED[q]]),
        owners=table("owner", _nouns(*OWNED), lambda _: _nouns("person", "name")),
        modifiers=table("modifier", common, lambda noun: _nouns(*_MODIFIERS.get(class_of(noun), ()))),
        relations=table(
            "relation",
            NOUN_CONCEPTS,
            lambda noun: [f"{word}.adposition" for word in _RELATIONS.get(class_of(noun), _SPATIAL)],
        ),
        quantifiers=table("quantifier", common, lambda _: [f"{word}.quantifier" for word in QUANTIFIERS]),
        partners=table("partner", [noun for noun in NOUN_CONCEPTS if class_of(noun) in NOUNS], one_class),
        identities=table("identity", _nouns("person", "name"), lambda _: _nouns("person")),
        done_by=done_by,
        done_to=done_to,
        sequels=table("sequel", verbs, lambda _: [verb for verb in verbs if not FRAMES[verb].content]),
        subordinators={
            tense: table("mark", verbs, lambda _, tense=tense: [f"{w}.link" for w in SUBORDINATORS[tense].split()])
            for tense in ("past", "present")
        },
        described=Table.of({n: frequency(n) for n in NOUN_CONCEPTS if any(n in d for d in DESCRIBED.values())}),
    )
