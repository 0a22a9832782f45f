"""The concepts of the invented world, named in English: what its languages have words for.

A concept is written ``word.class``: ``bear.animal``, ``carry.verb``. The class says what it can do: the lines
of `VERBS` tell who may do what to what, and those of `QUALITIES` what may be so. Which bear likes which honey
is the business of `world`.
"""

from typing import NamedTuple

NOUNS = {
    "person": "farmer hunter baker teacher child mother father king queen soldier doctor merchant sailor "
    "singer thief neighbour guest shepherd smith judge",
    "name": "anna boris clara david emma felix",
    "animal": "dog cat horse cow sheep bear wolf fox duck crane seal bat fly mouse snake goose",
    "food": "bread cheese apple soup meat egg honey date rice cake",
    "drink": "milk wine water beer",
    "plant": "flower tree grass wheat rose herb",
    "tool": "knife hammer saw axe rope club crane lamp needle pen broom shovel wheel",
    "vehicle": "cart boat ship train",
    "container": "box basket cup bag barrel chest",
    "clothes": "coat hat shoe shirt ring belt",
    "document": "letter book song story map picture seal message",
    "building": "house church school factory bank mill tower well pen market kitchen bridge",
    "land": "forest river mountain lake field shore valley island garden spring road rock sea",
    "town": "arden borel corum delta",
    "time": "morning evening night summer winter spring date",
    "event": "wedding feast war game storm",
}
"""Nouns by class. Names and towns are proper nouns."""

VERBS = """
sleep   person name animal
laugh   person name
weep    person name
die     person name animal
wait    person name vehicle
swim    person animal
dance   person name
work    person name                        + tool
rest    person name animal
live    person name animal                 @ in
run     person name animal                 @ goal
walk    person name animal                 @ goal
fly     animal                             @ goal
travel  person name vehicle                @ goal
return  person name vehicle animal         @ goal
arrive  person name vehicle                @ in
fall    person animal plant container tool @ goal
grow    plant
burn    building plant document vehicle
sway    plant vehicle lamp
begin   event
end     event
eat     person name animal : food plant
drink   person name animal : drink
cook    person name : food                 + container
smell   person name animal : food drink plant
cut     person name : plant food clothes   + tool
build   person : building vehicle          + tool
break   person name : tool container       + tool
find    person name : tool container clothes document
lose    person name : clothes document tool container
see     person name animal : animal person building land vehicle town
hear    person name animal : animal event document
love    person name : person name animal
hate    person name : person name event
hunt    person animal : animal
catch   person name animal : animal        + tool
carry   person name animal : container food tool vehicle
pull    person animal : vehicle container  + tool
push    person name : vehicle container
wash    person name : clothes container animal
sell    person name : food clothes animal tool drink
buy     person name : food clothes container vehicle drink building
steal   person name animal : food clothes document
hide    person name : document container clothes
open    person name : container building document
close   person name : container building
paint   person name : building picture plant land
draw    person name : document animal land + tool
write   person name : document             + tool
read    person name : document
learn   person name : document
train   person : animal person
follow  person animal : person name animal land
help    person name : person name
call    person name : person name animal
visit   person name : person town building
cross   person name animal vehicle : land
leave   person name : building town event
enter   person name animal : building land
sow     person : plant land
repair  person name : vehicle tool building + tool
wear    person name : clothes
sew     person name : clothes              + tool
kill    person animal : animal person      + tool
guard   person animal : building animal town
feed    person name : animal
ride    person name : animal vehicle
count   person name : animal food container drink
meet    person name : person name
praise  person name : food person event drink document
give    person name : food clothes tool document animal > person name
send    person name : document food container > person name
show    person name : document tool clothes animal building > person name
bring   person name : food drink container tool > person name
lend    person name : tool vehicle clothes > person name
tell    person name : document > person name
promise person name : event food clothes vehicle > person name
speak   person name                        & event person town
sing    person name                        & land animal person event
think   person name                        !
know    person name                        !
say     person name                        !
hope    person name                        !
fear    person name                        !
"""
"""One verb a line: who does it ``:`` to what ``>`` for whom; ``+`` with what, ``@`` where to or where always,
``&`` about what, ``!`` that something happens. A word that is no class is a single noun."""

QUALITIES = """
big      animal building land tool container vehicle plant
small    animal building land tool container food person
heavy    tool container vehicle clothes document
light    tool container clothes
old      person animal building tool vehicle clothes document name
young    person animal plant
new      building tool vehicle clothes container document
red      clothes plant container food vehicle
white    animal clothes building plant
black    animal clothes tool vehicle
green    plant land clothes container
happy    person name animal event
sad      person name document
brave    person name animal
poor     person name town
rich     person name town
wise     person name document
lazy     person name animal
angry    person name animal
hungry   person name animal
sweet    food drink
sour     food drink
fresh    food drink plant
hot      food drink time
cold     drink land time food
dark     building land time
quiet    land building town person time
deep     land container
wide     land
high     building land plant
long     tool time event document
clean    clothes container drink building
dirty    clothes container animal town
sharp    tool
broken   tool container vehicle
strong   animal person drink event
weak     person animal
pretty   plant clothes town name
famous   town document person event
strange  document event animal building
"""
"""One adjective a line, with the classes of nouns that it may describe."""

ANIMATE = ("person", "name", "animal")
"""Classes of nouns for people and animals."""

ADVERBS = {
    "manner": "quickly slowly well often loudly gladly alone together again",
    "past": "yesterday once already",
    "present": "today now always",
}
ADPOSITIONS = "in on near under behind to from with of about during"
PRONOUNS = {"me": "1 Sing", "you": "2 Sing", "he": "3 Sing", "we": "1 Plur", "they": "3 Plur"}
QUANTIFIERS = {"two": "NUM", "three": "NUM", "ten": "NUM", "this": "DET", "every": "DET", "many": "DET"}
SUBORDINATORS = {"past": "when because after", "present": "if because while"}

PARTICLES = {
    "the.article": "DET Definite=Def|PronType=Art",
    "a.article": "DET Definite=Ind|PronType=Art",
    "not.present": "PART Polarity=Neg",
    "not.past": "PART Polarity=Neg",
    "past.auxiliary": "AUX Mood=Ind|Tense=Past|VerbForm=Fin",
    "whether.question": "PART PronType=Int",
    "where.question": "ADV PronType=Int",
    "and.link": "CCONJ _",
    "or.link": "CCONJ _",
    "but.link": "CCONJ _",
    "that.link": "SCONJ _",
    "which.link": "SCONJ _",
}
"""Words without inflection: universal tag and features."""


class Frame(NamedTuple):
    """What a verb allows: nouns for each of its places, as concepts; empty where it has no such place."""

    subjects: tuple[str, ...]
    objects: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    movement: str = ""
    """``goal`` for going somewhere, ``in`` for always being somewhere."""
    content: bool = False
    """Whether a clause follows: *she says that …*."""


def _members(classes: str) -> tuple[str, ...]:
    members: list[str] = []
    for name in classes.split():
        if name in NOUNS:
            members += [f"{word}.{name}" for word in NOUNS[name].split()]
        else:
            members += [noun for noun in NOUN_CONCEPTS if noun.partition(".")[0] == name]
    return tuple(members)


def _frame(line: str) -> tuple[str, Frame]:
    parts: dict[str, str] = {}
    sign = ""
    word, *rest = line.split()
    for piece in rest:
        if piece in ":>+@&!":
            sign = piece
            parts[sign] = ""
        else:
            parts[sign] = f"{parts.get(sign, '')} {piece}"
    return f"{word}.verb", Frame(
        subjects=_members(parts[""]),
        objects=_members(parts.get(":", "")),
        recipients=_members(parts.get(">", "")),
        instruments=_members(parts.get("+", "")),
        topics=_members(parts.get("&", "")),
        movement=parts.get("@", "").strip(),
        content="!" in parts,
    )


NOUN_CONCEPTS = tuple(f"{word}.{name}" for name, words in NOUNS.items() for word in words.split())
FRAMES: dict[str, Frame] = dict(_frame(line) for line in VERBS.strip().splitlines())
DESCRIBED = {
    f"{line.split()[0]}.quality": frozenset(_members(" ".join(line.split()[1:])))
    for line in QUALITIES.strip().splitlines()
}
"""The nouns that each quality may describe."""


def class_of(concept: str) -> str:
    """Return the class of a concept: ``animal`` of ``bear.animal``."""
    return concept.rpartition(".")[2]
