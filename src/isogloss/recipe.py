"""A recipe: all settings of an experiment, strict and complete.

The tables carry the names of the package's folders. `recipe_reading.py` reads one from a TOML file.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveInt

from isogloss.compute.settings import ComputeSettings
from isogloss.corpus.invented.family import FamilySettings
from isogloss.encoders.elmo.settings import BiLMTrainingSettings
from isogloss.encoders.settings import StaticSettings
from isogloss.lexicon.settings import AnchorSettings
from isogloss.mapping.settings import MappingRecipe, MappingSettings
from isogloss.parsing.settings import ParserSettings, TuningSettings
from isogloss.settings import Settings

System = Literal[
    "pos-only", "unaligned", "anchors-only", "static", "aligned-no-dictionary", "aligned", "anchored", "supervised"
]
"""What a parser reads, and what it was trained on; see `ParsingRecipe.systems`."""
ALIGNED = ("anchors-only", "static", "aligned-no-dictionary", "aligned", "anchored")
"""Systems whose languages share one space."""
Pos = Literal["none", "predicted", "gold"]
_PARSER = rf"^({'|'.join(get_args(System))})-({'|'.join(get_args(Pos))})$"
_ROW = rf"^({'|'.join(get_args(System))})(-({'|'.join(get_args(Pos))}))?$"
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""A language's code, which also names folders."""
INVENTED_SPLITS = ("train", "dev", "test")
"""Splits that the treebanks of invented languages have."""


class LanguageCorpus(Settings):
    """The data of one language."""

    text: str | None = None
    """Raw text, one sentence a line; plain, gz, xz or zst."""
    tokenised: bool = False
    """Words in the text are already apart."""
    max_sentences: PositiveInt | None = None
    """Lines of the text after this many are not read."""
    model: str | None = None
    """Folder of a trained language model, taken as it is; without it one is trained as `encoders` says."""
    treebank: dict[str, str] = Field(default_factory=dict)
    """CoNLL-U files by split: `train`, `dev`, and any others to test on."""
    dictionary: str | None = None
    """Its dictionary, where it is not the one that the pattern `mapping.dictionaries` names. Columns as in that one."""
    test_dictionary: str | None = None
    """Likewise for `mapping.test_dictionaries`; "" for none."""
    method: MappingSettings | None = None
    """How its anchors are aligned with a dictionary, where it is not as `mapping.method` says."""
    kin: Code | None = None
    """Another language, in whose space its `model` was trained (``train-lm --anchored-to``): it takes over that one's
    alignments, and no dictionary of its own is needed."""
    max_trees: PositiveInt | None = None
    """Of `train`, trees after this many are not read; for small budgets."""
    licence: str = ""
    """Of text and trees, for the manifests of what is made from them."""


class FewShotRecipe(Settings):
    """Which unseen languages get a few trees after all, to see how far these lead."""

    languages: Annotated[tuple[Code, ...], Field(min_length=1)]
    """Languages of `parsing.test_on` that the parsers have not seen, with a treebank's `train` split to draw from."""
    trees: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (10, 50, 100, 500)
    """How many trees are drawn; each number makes a parser of its own."""
    draws: PositiveInt = 1
    """How many times they are drawn, for a spread over draws."""
    parsers: tuple[Annotated[str, Field(pattern=_PARSER)], ...] = ("aligned-none",)
    """Which zero-shot parsers go on: a system and its tags."""
    from_scratch: bool = True
    """Whether a parser learns from the same trees alone, too, for comparison, over vectors of the language model."""
    tuning: TuningSettings = TuningSettings()
    """How a parser goes on, and the dropout of one that learns from the same trees alone."""


class ParsingRecipe(Settings):
    """Which parsers are trained and what they are tested on."""

    train_on: tuple[str, ...]
    """Languages whose treebanks the parser learns from."""
    test_on: tuple[str, ...]
    """Languages to parse; those not in `train_on` are unseen."""
    leave_one_out: bool = False
    """A parser of its own for each language of `test_on`, which learns from all of `train_on` but that language: so all
    are unseen, though each teaches the others. Needs one parser per language, system and kind of tags."""
    test_splits: tuple[str, ...] = ("test",)
    """Splits of the treebanks to score; a language without one of them is scored on the others."""
    systems: tuple[System, ...] = ("pos-only", "unaligned", "anchors-only", "aligned", "supervised")
    """`pos-only`: tags and nothing else. `unaligned`: each language's own space. `anchors-only`: aligned anchors, no
    context. `static`: aligned word vectors from counts. `aligned`: the method. `aligned-no-dictionary`: the method, its
    alignment found without one. `anchored`: the method for little text; every language but the reference whose `model`
    is not given has a second language model, anchored to the reference's by the dictionary (`encoders.anchoring`).
    `supervised`: the target's own treebank, the upper bound."""
    fewer: dict[Annotated[str, Field(pattern=_ROW)], tuple[Code, ...]] = Field(default_factory=dict)
    """What is tested on some of `test_on` only, or on none, to save time: a system, or a system with one kind of tags,
    such as `unaligned-gold`. Languages that are not in `test_on` are left out here, too."""
    pos: tuple[Pos, ...] = ("none", "gold")
    """Which universal tags parsers read: none; those that they predict themselves from the same vectors; or gold ones,
    as `pos-only` always does."""
    parser: ParserSettings = ParserSettings()
    """The network and its training."""
    few_shot: FewShotRecipe | None = None
    """Parsers that go on with a few trees of a language that they had not seen."""

    def tested_on(self, system: str, pos: str) -> tuple[str, ...]:
        """Return the languages that a system with one kind of tags is tested on: `test_on`, or those of `fewer`."""
        some = self.fewer.get(f"{system}-{pos}", self.fewer.get(system, self.test_on))
        return tuple(language for language in some if language in self.test_on)

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """All systems with their kinds of tags that are tested on any language."""
        every = ((system, pos) for system in self.systems for pos in (("gold",) if system == "pos-only" else self.pos))
        return tuple((system, pos) for system, pos in every if self.tested_on(system, pos))

    @property
    def used(self) -> frozenset[str]:
        """The systems that are tested on any language; what only the others need is not made."""
        return frozenset(system for system, _ in self.rows)


class Recipe(Settings):
    """All settings of an experiment."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    """For people, and for the run folder: letters, digits, dots, dashes."""
    reference: str
    """The language whose space the others are mapped into."""
    seed: int = 1
    """Every random choice follows from it."""
    data: str = "."
    """What `{data}` stands for in paths. The environment variable ISOGLOSS_DATA overrides it."""
    compute: ComputeSettings = ComputeSettings()
    """Processes and threads."""
    invented: FamilySettings | None = None
    """Invented languages in place of `corpus`: nothing to download."""
    corpus: dict[Code, LanguageCorpus] = Field(default_factory=dict)
    """Data by language code."""
    encoders: BiLMTrainingSettings = BiLMTrainingSettings()
    """Language models."""
    static: StaticSettings = StaticSettings()
    """Word vectors without context, for the baseline `static`."""
    lexicon: AnchorSettings = AnchorSettings()
    """Anchors."""
    mapping: MappingRecipe = MappingRecipe()
    """Alignment."""
    parsing: ParsingRecipe
    """Parsers and their scores."""

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages in play: the reference, then those to train on, then those to test on."""
        return tuple(dict.fromkeys((self.reference, *self.parsing.train_on, *self.parsing.test_on)))

    @property
    def needs_encoders(self) -> bool:
        """Whether any system reads vectors of a language model."""
        return any(system not in ("pos-only", "static") for system in self.parsing.used)

    @property
    def needs_text(self) -> bool:
        """Whether any system reads vectors at all."""
        return any(system != "pos-only" for system in self.parsing.used)

    @property
    def needs_alignment(self) -> bool:
        """Whether any system reads aligned vectors."""
        return any(system in ALIGNED for system in self.parsing.used)

    @property
    def asks_for_pairs(self) -> bool:
        """Whether any system reads a dictionary to learn from."""
        systems = self.parsing.used
        methods = [*(entry.method for entry in self.corpus.values()), self.mapping.static]
        roads = [self.mapping, *(self.mapping.model_copy(update={"method": one}) for one in methods if one)]
        aligned = {"aligned", "anchors-only", "static"} & systems
        return "anchored" in systems or (bool(aligned) and any(road.needs_dictionary for road in roads))

    def reads_dictionary_of(self, language: str) -> bool:
        """Whether a system reads a dictionary of a language; that with a kin takes over the map of its anchors."""
        kin = language in self.corpus and self.corpus[language].kin is not None
        return not kin or bool({"static", "aligned-no-dictionary"} & self.parsing.used)

    def name_in(self, system: str, language: str) -> str:
        """Return what the folders of a language are called in a system: `anchored` has language models of its own."""
        ready = language in self.corpus and self.corpus[language].model is not None
        own = system == "anchored" and language != self.reference and not ready
        return f"{language}-anchored" if own else language
