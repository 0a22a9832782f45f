"""The grammar of events: what can happen, before any language says it.

An `Event` is a tree of concepts, free of word order, endings and articles' forms. The same event, told in two
languages, is a pair of parallel sentences.
"""

from collections.abc import Iterator
from typing import NamedTuple

from isogloss.corpus.invented.chance import Chance, Table
from isogloss.corpus.invented.concepts import FRAMES, class_of
from isogloss.corpus.invented.world import World, world


class Thing(NamedTuple):
    """Somebody or something, with what is said about it in passing."""

    concept: str
    definite: bool = False
    quantifier: str = ""
    qualities: tuple[str, ...] = ()
    owner: "Thing | None" = None
    modifier: "tuple[str, Thing] | None" = None
    """An adposition and what it governs: *the fox* **in the forest**."""
    relative: "tuple[str, Event] | None" = None
    """The part this thing plays (``subject``, ``object``) in an event, and that event."""
    partner: "tuple[str, Thing] | None" = None
    """A conjunction and a second thing: *bread* **and cheese**."""


class Event(NamedTuple):
    """Something that happens, or with ``quality`` or ``identity`` as action something that is so."""

    action: str
    past: bool
    parts: dict[str, Thing]
    """By role: subject, object, recipient, place, goal, instrument, topic, time; or predicate."""
    relations: dict[str, str]
    """The adposition of each part that has one of its own choice."""
    negated: bool = False
    manner: str = ""
    moment: str = ""
    predicate: str = ""
    """The quality that the subject is said to have."""
    fronted: bool = False
    """Whether the time comes first."""
    asked: str = ""
    """``whether``, or the role asked for: ``subject``, ``object``, ``place``; empty in a statement."""
    content: "Event | None" = None
    subordinate: "tuple[str, bool, Event] | None" = None
    """A subordinator, whether its clause comes first, and what it introduces."""
    sequel: "tuple[str, Event] | None" = None
    """A conjunction and a second main clause; without a subject of its own it shares the first one's."""


_LINK = Table.of({"and.link": 4.0, "or.link": 1.0})
_SEQUEL = Table.of({"and.link": 3.0, "but.link": 2.0, "or.link": 0.5})
_QUESTION = Table.of({"whether": 3.0, "subject": 1.0, "object": 1.0, "place": 1.0})


def draw_events(chance: Chance) -> Iterator[Event]:
    """Draw events without end, one for each sentence."""
    teller = _Teller(chance, world())
    while True:
        yield teller.sentence()


class _Teller:
    """Draws the parts of one event after the other; holds nothing but chance and the world."""

    def __init__(self, chance: Chance, world: World) -> None:
        self.happens, self.pick, self.world = chance.happens, chance.pick, world

    def sentence(self) -> Event:
        """Draw the event of a whole sentence: a main clause, its mood and at most one more clause."""
        if self.happens(0.10):
            return self.state()
        verb = self.pick(self.world.verbs)
        event = self.clause(verb, past=self.happens(0.5))
        if event.content is not None:
            return event
        if self.happens(0.10):
            asked = self.pick(_QUESTION)
            if asked == "object" and "object" not in event.parts:
                asked = "whether"
            kept = {role: thing for role, thing in event.parts.items() if role != asked}
            return event._replace(parts=kept, asked=asked)
        if self.happens(0.13):
            second = self.clause(self.pick(self.world.sequels[verb]), past=event.past, plain=True)
            tense = "past" if event.past else "present"
            mark = self.pick(self.world.subordinators[tense][second.action])
            return event._replace(subordinate=(mark, self.happens(0.5), second))
        if self.happens(0.12):
            second = self.clause(self.pick(self.world.sequels[verb]), past=event.past, plain=True)
            subject = event.parts["subject"].concept
            if self.happens(0.6) and subject in FRAMES[second.action].subjects:
                del second.parts["subject"]
            return event._replace(sequel=(self.pick(_SEQUEL), second))
        return event

    def state(self) -> Event:
        """Draw something that is so: *the bear is hungry*, *Anna was a teacher*."""
        concept = self.pick(self.world.described)
        past = self.happens(0.5)
        subject = self.thing(concept)
        if concept in self.world.identities and self.happens(0.4):
            predicate = Thing(self.pick(self.world.identities[concept]))
            return Event("identity", past, {"subject": subject, "predicate": predicate}, {})
        quality = self.pick(self.world.qualities[concept])
        if quality in subject.qualities:
            subject = subject._replace(qualities=())
        asked = "whether" if self.happens(0.1) else ""
        return Event(
            "quality",
            past,
            {"subject": subject},
            {},
            predicate=quality,
            negated=self.happens(0.12),
            asked=asked,
        )

    def clause(self, verb: str, *, past: bool, plain: bool = False, without: str = "") -> Event:
        """Draw what happens.

        Args:
            verb: The action.
            past: Whether it is over.
            plain: Keep to the essentials, as clauses within clauses do.
            without: The role that is left out, in a relative clause.
        """
        world, frame, tense = self.world, FRAMES[verb], "past" if past else "present"
        parts: dict[str, Thing] = {}
        relations: dict[str, str] = {}
        if without != "subject":
            parts["subject"] = self.actor(verb, plain)
        if frame.objects and without != "object":
            parts["object"] = self.thing(self.pick(world.objects[verb]), plain)
        if frame.recipients and self.happens(0.85):
            parts["recipient"] = self.thing(self.pick(world.recipients[verb]), True)
        if frame.instruments and self.happens(0.15 if plain else 0.4):
            parts["instrument"] = self.thing(self.pick(world.instruments[verb]), True)
            relations["instrument"] = "with.adposition"
        if frame.topics and self.happens(0.7):
            parts["topic"] = self.thing(self.pick(world.topics[verb]), plain)
            relations["topic"] = "about.adposition"
        if frame.movement == "goal" and self.happens(0.65):
            parts["goal"] = self.thing(self.pick(world.goals[verb]), plain)
            relations["goal"] = "to.adposition" if self.happens(0.65) else "from.adposition"
        elif self.happens(0.9 if frame.movement else 0.05 if plain else 0.21):
            place = self.pick(world.places[verb])
            parts["place"] = self.thing(place, True)
            relations["place"] = self.pick(world.relations[place]) if class_of(place) != "town" else "in.adposition"
        if self.happens(0.05 if plain else 0.17):
            parts["time"] = Thing(self.pick(world.times[verb]), definite=True)
            relations["time"] = "during.adposition"
        return Event(
            verb,
            past,
            parts,
            relations,
            negated=self.happens(0.14),
            manner=self.pick(world.manners[verb]) if self.happens(0.14) else "",
            moment=self.pick(world.moments[tense][verb]) if self.happens(0.1 if plain else 0.27) else "",
            fronted=self.happens(0.4),
            content=self.clause(self.pick(world.sequels[verb]), past=past, plain=True) if frame.content else None,
        )

    def actor(self, verb: str, plain: bool) -> Thing:
        """Draw who does it: a thing or, where people can do it, a pronoun."""
        if "farmer.person" in FRAMES[verb].subjects and self.happens(0.14):
            return Thing(self.pick(self.world.pronouns[verb]))
        return self.thing(self.pick(self.world.subjects[verb]), plain)

    def thing(self, concept: str, plain: bool = False) -> Thing:
        """Draw what is said about a thing in passing; little of it where ``plain``."""
        world, happens = self.world, self.happens
        if class_of(concept) in ("name", "town"):
            return Thing(concept, partner=self.partner(concept, 0.03))
        qualities: tuple[str, ...] = ()
        if happens(0.2 if plain else 0.36) and concept in world.qualities:
            first, second = self.pick(world.qualities[concept]), self.pick(world.qualities[concept])
            qualities = (first, second) if first != second and happens(0.1) else (first,)
        owner = None
        if concept in world.owners and happens(0.07 if plain else 0.15):
            owner = Thing(self.pick(world.owners[concept]), definite=True)
        modifier = relative = None
        if not plain:
            if concept in world.modifiers and happens(0.13):
                inner = self.pick(world.modifiers[concept])
                adposition = self.pick(world.relations[inner])
                modifier = (adposition, Thing(inner, definite=class_of(inner) != "town" and happens(0.7)))
            elif happens(0.08):
                relative = self.relative(concept)
        quantifier = self.pick(world.quantifiers[concept]) if owner is None and happens(0.12) else ""
        return Thing(
            concept,
            definite=happens(0.6),
            quantifier=quantifier,
            qualities=qualities,
            owner=owner,
            modifier=modifier,
            relative=relative,
            partner=self.partner(concept, 0.03 if plain else 0.06) if relative is None else None,
        )

    def partner(self, concept: str, probability: float) -> tuple[str, Thing] | None:
        """Draw a second thing of the same kind, or none."""
        if not self.happens(probability):
            return None
        other = self.pick(self.world.partners[concept])
        definite = class_of(other) not in ("name", "town") and self.happens(0.6)
        return self.pick(_LINK), Thing(other, definite=definite)

    def relative(self, concept: str) -> tuple[str, Event] | None:
        """Draw an event in which the thing takes part: *the bear* **that ate the honey**."""
        role = "object" if self.happens(0.35) else "subject"
        table = (self.world.done_to if role == "object" else self.world.done_by).get(concept)
        if table is None:
            return None
        verb = self.pick(table)
        event = self.clause(verb, past=self.happens(0.5), plain=True, without=role)
        return None if event.content is not None else (role, event)
