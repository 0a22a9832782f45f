"""Say an event in a language: words in order, with their dependency tree.

Every phrase is a node with dependents before and after it. Saying an event builds the nodes in the order
that the language wants and reads them off from left to right, so that all trees are projective. Relations
follow the guidelines of Universal Dependencies 2 (de Marneffe, Manning, Nivre and Zeman 2021).
"""

from typing import NamedTuple

from isogloss.corpus.invented.concepts import class_of
from isogloss.corpus.invented.events import Event, Thing
from isogloss.corpus.invented.languages import LANGUAGES, InventedLanguage
from isogloss.corpus.invented.words import Entry, Lexicon, lexicon

Key = tuple[int, str]

_CIRCUMSTANCES = ("topic", "instrument", "goal", "place", "time")
_WITHOUT_ARTICLE = ("name", "town", "pronoun")
_RELATIONS = {"subject": "nsubj", "object": "obj", "owner": "nmod:poss", "modifier": "nmod"}
_NO_KEY: Key = (0, "")
_PUNCTUATION = {mark: Entry(mark, mark, "PUNCT", "_", "", "") for mark in ".?,"}


class _Node:
    """A word with its dependents. Its key is what it says: equal keys in two languages make aligned words."""

    __slots__ = ("after", "before", "deprel", "entry", "key", "place")

    def __init__(self, entry: Entry, deprel: str, key: Key) -> None:
        self.entry = entry
        self.deprel = deprel
        self.key = key
        self.before: list[_Node] = []
        self.after: list[_Node] = []
        self.place = 0


class Telling(NamedTuple):
    """An event said in a language: parallel lists with one member for each word."""

    entries: list[Entry]
    heads: list[int]
    """Ids from 1; 0 for the root."""
    deprels: list[str]
    keys: list[Key]
    """What each word says. Words of two tellings of one event with the same key translate each other."""


class Speaker:
    """One who speaks a language: it turns events into tellings."""

    def __init__(self, code: str) -> None:
        self.language: InventedLanguage = LANGUAGES[code]
        self.lexicon: Lexicon = lexicon(code)

    def tell(self, event: Event) -> Telling:
        """Say an event as a whole sentence."""
        root = self._clause(event, "root")
        root.after.append(_punctuation("?" if event.asked else "."))
        nodes: list[_Node] = []
        heads: list[_Node | None] = []
        _read_off(root, None, nodes, heads)
        for place, node in enumerate(nodes, 1):
            node.place = place
        return Telling(
            entries=[node.entry for node in nodes],
            heads=[0 if head is None else head.place for head in heads],
            deprels=[node.deprel for node in nodes],
            keys=[node.key for node in nodes],
        )

    def _word(self, concept: str, deprel: str, key: Key, cell: str = "") -> _Node:
        return _Node(self.lexicon[concept, cell], deprel, key)

    def _clause(self, event: Event, deprel: str, *, gap: str = "", mark: str = "") -> _Node:
        """Build a clause around its verb or predicate.

        Args:
            event: What happens.
            deprel: How the clause depends on what it stands in.
            gap: In a relative clause, the role of the thing that the clause describes.
            mark: The subordinator, where there is one.
        """
        language, me = self.language, id(event)
        cell = "Past" if event.past and language.past_ending else ""
        helpers: list[_Node] = []  # negation, auxiliary and copula stand together
        if event.negated:
            negation = "not.past" if event.past else "not.present"
            helpers.append(self._word(negation, "advmod", (me, "negation")))
        if event.past and not language.past_ending:
            helpers.append(self._word("past.auxiliary", "aux", (me, "past")))
        if event.action == "quality":
            head = self._word(event.predicate, deprel, (me, "action"))
        elif event.action == "identity":
            head = self._thing(event.parts["predicate"], deprel, "predicate")
        else:
            head = self._word(event.action, deprel, (me, "action"), cell)
        is_verb = head.entry.upos == "VERB"
        if not is_verb:
            helpers.append(self._word("be.auxiliary", "cop", (me, "copula"), cell))

        parts = self._parts(event)
        opening, closing = self._edges(event, gap=gap, mark=mark, parts=parts)
        subject = parts.pop("subject", [])
        others = [node for nodes in parts.values() for node in nodes]
        if language.order == "SOV":
            others.reverse()  # time, place …, object: what belongs closest to the verb stands closest to it
            if is_verb:
                before, after = opening + subject + others + helpers, closing
            else:
                before, after = opening + subject + others, helpers + closing
        elif language.order == "SVO":
            before, after = opening + subject + helpers, others + closing
        elif is_verb:
            before, after = opening + helpers, subject + others + closing
        else:
            before, after = opening + helpers + subject, others + closing
        head.before = before + head.before
        head.after += after
        self._join_clauses(event, head)
        return head

    def _parts(self, event: Event) -> dict[str, list[_Node]]:
        """Build what takes part in an event, by role, closest to the verb first."""
        me, parts = id(event), {}
        for role in ("subject", "object", "recipient"):
            if role in event.parts:
                parts[role] = [self._thing(event.parts[role], _RELATIONS.get(role, ""), role)]
        if event.manner:
            parts["manner"] = [self._word(event.manner, "advmod", (me, "manner"))]
        for role in _CIRCUMSTANCES:
            if role in event.parts:
                parts[role] = [self._thing(event.parts[role], "obl", role, event.relations[role])]
        if event.moment:
            parts["moment"] = [self._word(event.moment, "advmod", (me, "moment"))]
        if event.asked in ("subject", "object"):
            word = "who.question" if event.asked == "subject" else "what.question"
            cell = self._cell(event.asked, word)
            parts[event.asked] = [self._word(word, _RELATIONS[event.asked], (me, "question"), cell)]
        elif event.asked == "place":
            parts["place"] = [self._word("where.question", "advmod", (me, "question"))]
        if event.content is not None:
            clause = self._clause(event.content, "ccomp", mark="that.link")
            parts["content"] = [clause]
        return parts

    def _edges(
        self, event: Event, *, gap: str, mark: str, parts: dict[str, list[_Node]]
    ) -> tuple[list[_Node], list[_Node]]:
        """Build what opens and what closes a clause; take from its parts what has to come first."""
        language, me = self.language, id(event)
        opening: list[_Node] = []
        closing: list[_Node] = []
        if event.asked == "whether":
            particle = self._word("whether.question", "discourse", (me, "question"))
            (closing if language.postpositions else opening).append(particle)
        if mark:
            (closing if language.postpositions else opening).append(self._word(mark, "mark", (me, "mark")))
        if gap and language.postpositions:
            closing.append(self._word("which.link", "mark", (me, "relative")))
        elif gap:
            cell = self._cell(gap, "which.relative")
            pronoun = self._word("which.relative", _RELATIONS[gap], (me, "relative"), cell)
            opening.append(pronoun)
        if event.asked and event.asked != "whether" and language.order != "SOV":
            opening += parts.pop(event.asked)
        if event.fronted:
            opening += parts.pop("moment", []) or parts.pop("time", [])
        return opening, closing

    def _join_clauses(self, event: Event, head: _Node) -> None:
        """Add the second clause of a sentence: subordinate, or coordinated."""
        if event.subordinate is not None:
            mark, first, second = event.subordinate
            clause = self._clause(second, "advcl", mark=mark)
            if first or self.language.postpositions:
                clause.after.append(_punctuation(","))
                head.before.insert(0, clause)
            else:
                head.after.append(clause)
        if event.sequel is not None:
            link, second = event.sequel
            clause = self._clause(second, "conj")
            clause.before[:0] = [_punctuation(","), self._word(link, "cc", (id(second), "link"))]
            head.after.append(clause)

    def _cell(self, role: str, concept: str) -> str:
        """Choose the form of a noun or pronoun for its role."""
        marked = role == "object" or (role == "recipient" and self.language.accusative_recipients)
        return "Acc" if marked and (concept, "Acc") in self.lexicon else ""

    def _thing(self, thing: Thing, deprel: str, role: str, adposition: str = "") -> _Node:
        """Build a noun phrase, with its adposition where it has one."""
        language, me, cell = self.language, id(thing), self._cell(role, thing.concept)
        if role == "recipient":
            deprel = "iobj" if cell else "obl"
            adposition = "" if cell else "to.adposition"
        elif role == "owner":
            adposition = "of.adposition"
        head = self._word(thing.concept, deprel, (me, "thing"), cell)
        before: list[_Node] = []
        after: list[_Node] = []
        final = language.postpositions
        if thing.relative is not None:
            gap, event = thing.relative
            (before if final else after).append(self._clause(event, "acl:relcl", gap=gap))
        if thing.modifier is not None:
            relation, inner = thing.modifier
            node = self._thing(inner, "nmod", "modifier", relation)
            before.append(node) if final else after.insert(0, node)
        before += self._determiner(thing)
        qualities = [self._word(quality, "amod", (me, quality)) for quality in thing.qualities]
        owner = [] if thing.owner is None else [self._thing(thing.owner, "nmod:poss", "owner")]
        if not language.owners_after:
            before += owner
        if language.adjectives_after:
            after = qualities[::-1] + (owner if language.owners_after else []) + after
        else:
            before += qualities
            after = (owner if language.owners_after else []) + after
        if thing.partner is not None:
            link, partner = thing.partner
            second = self._thing(partner, "conj", "partner")
            second.entry = self.lexicon[partner.concept, cell]
            second.before.insert(0, self._word(link, "cc", (id(partner), "link")))
            after.append(second)
        if adposition:
            case = self._word(adposition, "case", (me, "adposition"))
            if final:
                after.append(case)
            else:
                before.insert(0, case)
        head.before, head.after = before, after
        return head

    def _determiner(self, thing: Thing) -> list[_Node]:
        me, articles = id(thing), self.language.articles
        if thing.quantifier:
            word = self._word(thing.quantifier, "det", (me, "quantifier"))
            if word.entry.upos == "NUM":
                word.deprel = "nummod"
            return [word]
        if class_of(thing.concept) in _WITHOUT_ARTICLE or not articles:
            return []
        if thing.definite:
            return [self._word("the.article", "det", (me, "article"))]
        return [self._word("a.article", "det", (me, "article"))] if articles == "both" else []


def _punctuation(mark: str) -> _Node:
    return _Node(_PUNCTUATION[mark], "punct", _NO_KEY)


def _read_off(node: _Node, head: _Node | None, nodes: list[_Node], heads: list[_Node | None]) -> None:
    """Collect a node and all below it from left to right, with their heads."""
    for child in node.before:
        _read_off(child, node, nodes, heads)
    nodes.append(node)
    heads.append(head)
    for child in node.after:
        _read_off(child, node, nodes, heads)
