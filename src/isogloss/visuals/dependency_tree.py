"""A dependency tree as a picture: words in a row, arcs above them, each from a head to its dependent.

The layout needs two rules. An arc lies one level above every lower arc whose span overlaps its own, so no two
arcs share a line. At a word the ends of its arcs stand in the order of their levels, the highest in the
middle, so that the arcs of a projective tree never cross.

Receives a `Sentence` with a tree, and perhaps its gold tree; hands on an SVG document as text. Browsers
choose the fonts, so any script can be shown.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from isogloss.corpus.sentence import Sentence
from isogloss.errors import DataError
from isogloss.parsing.attachment import universal_relation

INK, GREY, BLUE, RED = "#1b1b1b", "#595959", "#0b5a94", "#b33c00"
FONTS = (
    "system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', 'Noto Sans CJK SC', 'Noto Sans Arabic', "
    "'Noto Sans Hebrew', 'Noto Sans Devanagari', sans-serif"
)
FORM_SIZE, UPOS_SIZE, LABEL_SIZE, NOTE_SIZE = 17, 11, 12, 10
MARGIN, GAP, SLOT, CORNER = 18.0, 18.0, 10.0, 9.0
"""Round the picture; between words; between the ends of two arcs at a word; radius of a bend. In pixels."""


@dataclass(frozen=True)
class _Arc:
    """An arc on its way into the picture. Words count from 0; the head of the root's arc is None."""

    head: int | None
    dependent: int
    label: str
    note: str
    """What the gold tree has instead; empty if the arc is right."""
    level: int = 0

    @property
    def left(self) -> int:
        return self.dependent if self.head is None else min(self.head, self.dependent)

    @property
    def right(self) -> int:
        return self.dependent if self.head is None else max(self.head, self.dependent)

    @property
    def colour(self) -> str:
        return RED if self.note else BLUE if self.head is None else GREY

    @property
    def room(self) -> float:
        """Pixels between its ends, so that label, note and bends fit."""
        widest = max(text_width(self.label, LABEL_SIZE), text_width(self.note, NOTE_SIZE))
        return widest + 2 * CORNER + 4


def draw_tree(sentence: Sentence, *, gold: Sentence | None = None) -> str:
    """Draw the dependency tree of a sentence as a standalone SVG document.

    Each word stands over its universal part of speech. Sentences in a script that runs from right to left are
    laid out from right to left.

    Args:
        sentence: Has a head and a relation for every word.
        gold: The same words with their gold tree. Arcs that LAS counts as wrong (subtypes of relations do not
            matter) are drawn dashed and in another colour, with what is right in small letters below.

    Raises:
        DataError: There is no word, a head or relation is missing or impossible, or the words of ``gold``
            differ.
    """
    _check(sentence, "the sentence")
    if gold is not None:
        _check(gold, "the gold sentence")
        if gold.forms != sentence.forms:
            raise DataError(
                f"Tree to draw: the gold sentence has the words {' '.join(gold.forms)!r}. Expected those of "
                f"the sentence, {' '.join(sentence.forms)!r}. Give the gold tree of the same sentence."
            )
    arcs = _with_levels(_arcs(sentence, gold))
    offsets = _ends(arcs)
    centres, width = _centres(sentence, arcs, offsets)
    if _runs_right_to_left(sentence):
        centres = [width - centre for centre in centres]
        offsets = {key: -offset for key, offset in offsets.items()}
    rise = 40.0 if any(arc.note for arc in arcs) else 30.0
    ground = MARGIN + LABEL_SIZE + 8 + rise * max(arc.level for arc in arcs)  # where arrows end
    height = ground + 2 * MARGIN + FORM_SIZE + UPOS_SIZE + 4
    description = _description(sentence, arcs)
    name = "tree-" + hashlib.sha256(description.encode()).hexdigest()[:12]
    text = " ".join(sentence.forms)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{name}-title {name}-desc" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="{FONTS}" text-anchor="middle">',
        f'<title id="{name}-title">{_clean(f"Dependency tree: {text}")}</title>',
        f'<desc id="{name}-desc">{_clean(description)}</desc>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    # The labels lie over all arcs, so that even an arc that crosses others leaves them legible.
    ends = {key: centres[key[1]] + offset for key, offset in offsets.items()}
    arcs.sort(key=lambda arc: (bool(arc.note), -arc.level))
    places = [(None if arc.head is None else ends[arc, arc.head], ends[arc, arc.dependent]) for arc in arcs]
    lines = [ground - rise * arc.level for arc in arcs]
    for arc, (start, end), line in zip(arcs, places, lines, strict=True):
        parts += _drawn_arc(arc, start, end, line, ground)
    for arc, (start, end), line in zip(arcs, places, lines, strict=True):
        parts += _drawn_label(arc, start, end, line, side=1 if end < width / 2 else -1)
    parts.append(f'<g xml:lang="{_clean(sentence.language or "und")}">')
    for word, centre in zip(sentence.words, centres, strict=True):
        base = ground + MARGIN / 2 + FORM_SIZE
        parts.append(_text(word.form, centre, base, FORM_SIZE, INK))
        if word.upos != "_":
            parts.append(_text(word.upos, centre, base + UPOS_SIZE + 7, UPOS_SIZE, GREY))
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def text_width(text: str, size: int) -> float:
    """Estimate how wide a text is in a proportional font of a size in pixels.

    East Asian wide letters take a whole em, combining marks nothing.

    >>> text_width("語", 10) > text_width("e", 10) == text_width("e\\u0301", 10)
    True
    """
    return size * sum(map(_letter_width, text), 0.0)


def _letter_width(letter: str) -> float:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter in "iljtfrI.,:;'|!()[] ":
        return 0.38
    return 0.95 if letter in "mwMW@—" else 0.72 if letter.isupper() else 0.6


def _check(sentence: Sentence, which: str) -> None:
    if not sentence.words:
        raise DataError(f"Tree to draw: {which} has no words. Expected at least one. Choose another sentence.")
    for number, word in enumerate(sentence.words, 1):
        if word.head is None or word.deprel is None:
            raise DataError(
                f"Tree to draw: word {number} ({word.form!r}) of {which} has no head or no relation. "
                "Expected both for every word. Parse the sentence first."
            )
        if not 0 <= word.head <= len(sentence) or word.head == number:
            raise DataError(
                f"Tree to draw: word {number} ({word.form!r}) of {which} has head {word.head}. Expected 0 "
                f"(root) to {len(sentence)}, and not the word itself. Mend the tree."
            )


def _arcs(sentence: Sentence, gold: Sentence | None) -> list[_Arc]:
    arcs = []
    for place, word in enumerate(sentence.words):
        assert word.head is not None and word.deprel is not None, "checked before"
        note = "" if gold is None else _correction(sentence, gold, place)
        arcs.append(_Arc(word.head - 1 if word.head else None, place, word.deprel, note))
    return arcs


def _correction(sentence: Sentence, gold: Sentence, place: int) -> str:
    """Say what the gold tree has for a word, if the word's arc is wrong."""
    found, right = sentence.words[place], gold.words[place]
    assert found.deprel and right.deprel and right.head is not None, "checked before"
    if found.head != right.head:
        return f"gold: {right.deprel} of {gold.words[right.head - 1].form}" if right.head else "gold: root"
    same = universal_relation(found.deprel) == universal_relation(right.deprel)
    return "" if same else f"gold: {right.deprel}"


def _with_levels(arcs: Sequence[_Arc]) -> list[_Arc]:
    """Put each arc above those shorter arcs whose spans overlap its own, and the root's arc above all."""
    placed: list[_Arc] = []
    for arc in sorted(arcs, key=lambda arc: (arc.right - arc.left, arc.left)):
        if arc.head is not None:
            below = [o.level for o in placed if o.left < arc.right and arc.left < o.right]
            placed.append(replace(arc, level=1 + max(below, default=0)))
    top = 1 + max((arc.level for arc in placed), default=0)
    return placed + [replace(arc, level=top) for arc in arcs if arc.head is None]


def _ends(arcs: Sequence[_Arc]) -> dict[tuple[_Arc, int], float]:
    """Place the two ends of each arc about the centres of their words: by arc and word, in pixels."""
    offsets = {}
    for word in range(len(arcs)):
        to_left = [arc for arc in arcs if arc.right == word != arc.left]
        to_right = [arc for arc in arcs if arc.left == word != arc.right]
        ends = sorted(to_left, key=lambda arc: arc.level)
        ends += [arc for arc in arcs if arc.head is None and arc.dependent == word]
        ends += sorted(to_right, key=lambda arc: -arc.level)
        for place, arc in enumerate(ends):
            offsets[arc, word] = SLOT * (place - (len(ends) - 1) / 2)
    return offsets


def _centres(
    sentence: Sentence, arcs: Sequence[_Arc], offsets: dict[tuple[_Arc, int], float]
) -> tuple[list[float], float]:
    """Place the words from left to right, each as near to the last as texts, arcs and labels allow."""
    halves = []
    for place, word in enumerate(sentence.words):
        reach = max(abs(offset) for (_, at), offset in offsets.items() if at == place)
        texts = text_width(word.form, FORM_SIZE), text_width(word.upos, UPOS_SIZE)
        root = text_width("root", LABEL_SIZE) if word.head == 0 else 0.0
        halves.append(max(*texts, root, 2 * reach + SLOT) / 2)
    centres: list[float] = []
    for place in range(len(sentence)):
        earliest = MARGIN + halves[0] if place == 0 else centres[-1] + halves[place - 1] + GAP + halves[place]
        for arc in arcs:
            if arc.right == place != arc.left:
                start = centres[arc.left] + offsets[arc, arc.left]
                earliest = max(earliest, start + arc.room - offsets[arc, place])
        centres.append(earliest)
    width = centres[-1] + halves[-1] + MARGIN
    # What is said beside the root's arrow stands on its roomier side, so half the width is enough.
    beside = max(text_width(arc.note, NOTE_SIZE) if arc.head is None else 0.0 for arc in arcs)
    return centres, max(width, 2 * (beside + MARGIN))


def _drawn_arc(arc: _Arc, start: float | None, end: float, line: float, ground: float) -> list[str]:
    """Draw an arc: up from the head at ``start``, along its line, down to the arrow head at ``end``."""
    dashes = ' stroke-dasharray="5 3"' if arc.note else ""
    if start is None:
        path = f"M{end:.1f} {line:.1f}V{ground - 6:.1f}"
    else:
        bend, below = CORNER if end > start else -CORNER, line + CORNER
        path = (
            f"M{start:.1f} {ground:.1f}V{below:.1f}Q{start:.1f} {line:.1f} {start + bend:.1f} {line:.1f}"
            f"H{end - bend:.1f}Q{end:.1f} {line:.1f} {end:.1f} {below:.1f}V{ground - 6:.1f}"
        )
    return [
        f'<path d="{path}" fill="none" stroke="{arc.colour}" stroke-width="1.4"{dashes}/>',
        f'<path d="M{end:.1f} {ground:.1f}l-3.6 -7.5h7.2z" fill="{arc.colour}"/>',
    ]


def _drawn_label(arc: _Arc, start: float | None, end: float, line: float, *, side: int) -> list[str]:
    """Write the relation above an arc's line, on white, and what is right below it, if the arc is wrong.

    With a root, what is right stands beside its arrow: ``side`` is 1 for the right of it, -1 for the left.
    """
    middle = end if start is None else (start + end) / 2
    colour = INK if arc.colour == GREY else arc.colour
    width, height = text_width(arc.label, LABEL_SIZE), LABEL_SIZE + 2
    backing = f'<rect x="{middle - width / 2:.1f}" y="{line - 2 - height:.1f}" width="{width:.1f}" '
    drawn = [
        backing + f'height="{height}" fill="#ffffff"/>',
        _text(arc.label, middle, line - 4, LABEL_SIZE, colour),
    ]
    if arc.note:
        aside = 0.0 if start is not None else side * (text_width(arc.note, NOTE_SIZE) / 2 + 6)
        drawn.append(_text(arc.note, middle + aside, line + NOTE_SIZE + 2, NOTE_SIZE, GREY, style="italic"))
    return drawn


def _text(text: str, x: float, y: float, size: int, colour: str, *, style: str = "normal") -> str:
    """Draw a text; each keeps its own direction of writing."""
    slant = "" if style == "normal" else f' font-style="{style}"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{slant} '
        f'unicode-bidi="isolate">{_clean(text)}</text>'
    )


def _description(sentence: Sentence, arcs: Sequence[_Arc]) -> str:
    """Say the tree in words, for those who do not see it."""
    said = []
    for arc in sorted(arcs, key=lambda arc: arc.dependent):
        form = sentence.words[arc.dependent].form
        place = "the root" if arc.head is None else f"{arc.label} of {sentence.words[arc.head].form}"
        said.append(f"{form} is {place}" + (f" ({arc.note})" if arc.note else "") + ".")
    return " ".join(said)


def _runs_right_to_left(sentence: Sentence) -> bool:
    """Whether most letters belong to a script such as Arabic or Hebrew."""
    classes = [unicodedata.bidirectional(letter) for form in sentence.forms for letter in form]
    return sum(name in ("R", "AL") for name in classes) > classes.count("L")


def _clean(text: str) -> str:
    """Escape a text for XML, which has no place for control characters."""
    return escape(re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text))
