"""Which stages a recipe needs, each with a key that is known before anything runs.

    corpus ─▶ encoders/xx ─▶ lexicon/xx ─▶ mapping/xx ─▶ parsing/SYSTEM-POS ─▶ parsed/SYSTEM-POS
                        └──▶ vectors/xx ───────────────────────┘

A stage's key is made of its settings, the hashes of the files it reads and the keys of the stages it builds on. So a
rerun can tell what is already there, and a changed setting makes anew just what depends on it.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from isogloss import stages as work
from isogloss.artifacts import hash_file, read_manifest
from isogloss.corpus.invented.family import FamilySettings
from isogloss.errors import DataError
from isogloss.mapping_stage import LOWEST_LAYER, make_alignments
from isogloss.plan_contents import INVENTED_LICENCE, content_of, invented_corpora, limits_of
from isogloss.recipe import ALIGNED, Recipe
from isogloss.stage import Stage
from isogloss.stages import ENDINGS, SpacePlan

log = logging.getLogger(__name__)

TESTED = "-tested"
"""Ending of the vectors of test sets."""


def plan_stages(recipe: Recipe, folder: Path) -> list[Stage]:
    """List the stages that a recipe needs, each after those it builds on.

    Args:
        recipe: A loaded recipe.
        folder: The run folder, absolute.
    """
    planner = _Planner(recipe, folder)
    if recipe.invented is not None:
        planner.add_corpus(recipe.invented)
    if recipe.needs_encoders:
        for language in recipe.languages:
            planner.add_encoder(language)
            planner.add_anchors(language)
            planner.add_vectors(language)
    if "static" in recipe.parsing.systems:
        for language in recipe.languages:
            planner.add_static(language)
    for language in recipe.languages:
        if language != recipe.reference:
            if "aligned" in recipe.parsing.systems or "anchors-only" in recipe.parsing.systems:
                planner.add_alignments(language, of="lexicon", name=f"mapping/{language}")
            if "static" in recipe.parsing.systems:
                planner.add_alignments(language, of="static", name=f"mapping/{language}-static")
            if "aligned-no-dictionary" in recipe.parsing.systems:
                planner.add_alignments(language, of="lexicon", name=f"mapping/{language}-no-dictionary", search=True)
    for system, pos, trained_on, tested_on in planner.parsers():
        planner.add_parser(system, pos, trained_on, tested_on)
    return list(planner.stages.values())


class _Planner:
    """The stages so far, and what is needed to name the next."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self.stages: dict[str, Stage] = {}
        self.corpora = invented_corpora(recipe.invented, folder) if recipe.invented else dict(recipe.corpus)
        self._hash_of = cache(lambda name: hash_file(Path(name)))

    def content(self, name: str | Path | None) -> str:
        """Name a file's content: by its hash, or by the stage that will write it."""
        assert name is not None
        if self.recipe.invented is not None:
            return f"{self.stages['corpus'].key}:{Path(name).relative_to(self.folder)}"
        try:
            return self._hash_of(str(name))
        except OSError as error:
            raise DataError(
                f"{name}: cannot be read ({error.strerror}). Expected a file that you may read. Check its permissions."
            ) from error

    def add(self, stage: Stage, **arguments: Any) -> None:
        """Add a stage; what must know the stage's key comes as `arguments`."""
        self.stages[stage.name] = replace(stage, arguments={**stage.arguments, **arguments})

    def inputs_of(self, *names: str) -> dict[str, str]:
        """Return the keys of stages, by name."""
        return {name: self.stages[name].key for name in names}

    def resumable(self, stage: Stage) -> dict[str, Any]:
        """Return the arguments by which a stage keeps checkpoints."""
        return {"checkpoints": self.folder / "checkpoints" / stage.name, "key": stage.key}

    def licences(self, *languages: str) -> tuple[str, ...]:
        """Return the licences of some languages' data."""
        return tuple(dict.fromkeys(filter(None, (self.corpora[language].licence for language in languages))))

    @property
    def after_corpus(self) -> tuple[str, ...]:
        """What a stage that reads files must wait for."""
        return ("corpus",) if self.recipe.invented is not None else ()

    def add_corpus(self, family: FamilySettings) -> None:
        """Plan the invented languages."""
        self.add(
            Stage(
                name="corpus",
                kind="corpus",
                make=work.make_corpus,
                settings=family.model_dump(mode="json"),
                arguments={"settings": family},
                licences=(INVENTED_LICENCE,),
                seed=family.seed,
            )
        )

    def add_encoder(self, language: str) -> None:
        """Plan one language's language model."""
        recipe, corpus = self.recipe, self.corpora[language]
        if corpus.model is not None:
            self._take_encoder(language, Path(corpus.model))
            return
        settings = recipe.encoders
        after_reference = settings.start == "reference" and language != recipe.reference
        if settings.start == "reference" and not after_reference:
            settings = settings.model_copy(update={"start": "cooccurrences"})
        first = f"encoders/{recipe.reference}"
        reference = self.inputs_of(first) if after_reference else {}
        stage = Stage(
            name=f"encoders/{language}",
            kind="encoder",
            make=work.make_encoder,
            settings=limits_of(corpus, language)
            | {"training": content_of(settings), "seed": recipe.seed, "threads": recipe.compute.threads},
            inputs={"text": self.content(corpus.text)} | reference,
            after=(*self.after_corpus, *reference),
            licences=self.licences(language),
            seed=recipe.seed,
        )
        more = {"settings": settings, "seed": recipe.seed} | self.resumable(stage)
        more["reference"] = self.folder / first if after_reference else None
        self.add(stage, corpus=corpus, language=language, **more)

    def _take_encoder(self, language: str, model: Path) -> None:
        """Plan to take a language model that is there already."""
        manifest = read_manifest(model, kind="encoder")
        self.add(
            Stage(
                name=f"encoders/{language}",
                kind="encoder",
                make=work.take_encoder,
                settings={"language": language},
                inputs={"model": manifest.key},
                arguments={"model": model, "language": language},
                licences=tuple(manifest.content.get("licences", ())),
                seed=manifest.content.get("seed"),
            )
        )

    def add_vectors(self, language: str) -> None:
        """Plan to encode one language's treebank, once for all parsers that read it.

        What parsers learn from and what they are tested on stand apart: another test set makes no other parser.
        """
        corpus, encoder, parsing = self.corpora[language], f"encoders/{language}", self.recipe.parsing
        upper_bound = "supervised" in parsing.systems and language in parsing.test_on
        learned_from = ("train", "dev") if language in parsing.train_on or upper_bound else ()
        tested_on = parsing.test_splits if language in parsing.test_on else ()
        for ending, wanted in (("", learned_from), (TESTED, tested_on)):
            splits = tuple(split for split in wanted if split in corpus.treebank)
            if not splits:
                continue
            limits = {"max_trees": corpus.max_trees} if "train" in splits else {}
            self.add(
                Stage(
                    name=f"vectors/{language}{ending}",
                    kind="vectors",
                    make=work.make_vectors,
                    settings={"splits": list(splits), **limits, "threads": self.recipe.compute.threads},
                    inputs=self.inputs_of(encoder) | self._trees((language,), splits),
                    after=(encoder,),
                ),
                corpus=corpus,
                language=language,
                encoder=self.folder / encoder,
                splits=splits,
            )

    def add_anchors(self, language: str) -> None:
        """Plan one language's anchors."""
        corpus, encoder = self.corpora[language], f"encoders/{language}"
        self.add(
            Stage(
                name=f"lexicon/{language}",
                kind="anchors",
                make=work.make_anchors,
                settings=limits_of(corpus, language)
                | {"anchors": content_of(self.recipe.lexicon), "threads": self.recipe.compute.threads},
                inputs={"text": self.content(corpus.text)} | self.inputs_of(encoder),
                after=(encoder,),
                licences=self.licences(language),
            ),
            corpus=corpus,
            language=language,
            encoder=self.folder / encoder,
            settings=self.recipe.lexicon,
        )

    def add_static(self, language: str) -> None:
        """Plan one language's word vectors without context."""
        corpus, settings = self.corpora[language], self.recipe.static
        self.add(
            Stage(
                name=f"static/{language}",
                kind="static",
                make=work.make_static,
                settings=limits_of(corpus, language)
                | {"static": settings.model_dump(mode="json")}
                | {"seed": self.recipe.seed, "threads": self.recipe.compute.threads},
                inputs={"text": self.content(corpus.text)},
                after=self.after_corpus,
                licences=self.licences(language),
                seed=self.recipe.seed,
            ),
            corpus=corpus,
            language=language,
            settings=settings,
            seed=self.recipe.seed,
        )

    def add_alignments(self, language: str, *, of: str, name: str, search: bool = False) -> None:
        """Plan one language's alignments with the reference, of anchors or of static vectors; or search for them."""
        mapping, reference = self.recipe.mapping, self.recipe.reference
        if search:
            mapping = mapping.model_copy(update={"method": mapping.without_dictionary})
        train, test = mapping.dictionaries, mapping.test_dictionaries
        if self.recipe.invented is not None:
            base = str(self.folder / "corpus" / "dictionaries" / "{source}-{target}")
            train, test = f"{base}.train.tsv", f"{base}.test.tsv"

        def named(pattern: str) -> Path:
            return Path(pattern.replace("{source}", language).replace("{target}", reference))

        if not mapping.needs_dictionary:
            train = ""

        # The columns of a dictionary come in the order in which the pattern names the two languages.
        pattern = train or test
        turned = pattern.rfind("{target}") < pattern.rfind("{source}")
        anchors = f"{of}/{language}", f"{of}/{reference}"
        dictionaries = {"dictionary": self.content(named(train))} if train else {}
        if test:
            dictionaries["test_dictionary"] = self.content(named(test))
        self.add(
            Stage(
                name=name,
                kind="alignments",
                make=make_alignments,
                settings={
                    "source": language,
                    "target": reference,
                    "reversed_columns": turned,
                    "method": mapping.method.model_dump(mode="json"),
                    "seed": self.recipe.seed,
                },
                inputs=self.inputs_of(*anchors) | dictionaries,
                after=anchors,
            ),
            source=language,
            target=reference,
            source_anchors=self.folder / anchors[0],
            target_anchors=self.folder / anchors[1],
            dictionary=named(train) if train else None,
            reversed_columns=turned,
            test_dictionary=named(test) if test else None,
            settings=mapping.method,
            guide=None if mapping.needs_dictionary else LOWEST_LAYER,
            seed=self.recipe.seed,
            vectors="static" if of == "static" else "layer",
        )

    def parsers(self) -> Iterator[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
        """Yield system, POS, languages to train on and languages to test on of every parser."""
        parsing = self.recipe.parsing
        for system in parsing.systems:
            for pos in ("gold",) if system == "pos-only" else parsing.pos:
                tested = parsing.fewer.get(f"{system}-{pos}", parsing.fewer.get(system, parsing.test_on))
                if not tested:
                    continue
                if system != "supervised" and not parsing.leave_one_out:
                    yield system, pos, parsing.train_on, tested
                for language in tested if system == "supervised" or parsing.leave_one_out else ():
                    if system != "supervised":
                        yield system, pos, tuple(one for one in parsing.train_on if one != language), (language,)
                    elif {"train", "dev"} <= set(self.corpora[language].treebank):
                        yield system, pos, (language,), (language,)
                    else:
                        log.warning("%s has no train and dev treebank: no supervised parser of it.", language)

    def add_parser(self, system: str, pos: str, trained_on: tuple[str, ...], tested_on: tuple[str, ...]) -> None:
        """Plan the training of one parser, and the parsing and scoring with it."""
        recipe = self.recipe
        of_one = system == "supervised" or recipe.parsing.leave_one_out
        label = f"{system}-{pos}" + (f"-{tested_on[0]}" if of_one else "")
        settings = recipe.parsing.parser.model_copy(update={"vectors": system != "pos-only", "upos": pos})
        if system == "static":
            settings = settings.model_copy(update={"layer": 0})
        space, needed = self._space(system, trained_on)
        stage = Stage(
            name=f"parsing/{label}",
            kind="parser",
            make=work.make_parser,
            settings={
                "system": system,
                "trained_on": {language: self.corpora[language].max_trees for language in trained_on},
                "parser": content_of(settings),
                "seed": recipe.seed,
                "threads": recipe.compute.threads,
            },
            inputs=self.inputs_of(*needed) | self._trees(trained_on, ("train", "dev")),
            after=(*needed, *self.after_corpus),
            licences=self.licences(*trained_on),
            seed=recipe.seed,
        )
        self.add(
            stage,
            space=space,
            train={language: self.corpora[language] for language in trained_on},
            settings=settings,
            seed=recipe.seed,
            **self.resumable(stage),
        )
        space, needed = self._space(system, tested_on, ending=TESTED)
        splits = recipe.parsing.test_splits
        self.add(
            Stage(
                name=f"parsed/{label}",
                kind="parsed",
                make=work.make_parsed,
                settings={"system": system, "pos": pos, "tested_on": list(tested_on), "splits": list(splits)},
                inputs=self.inputs_of(stage.name, *needed) | self._trees(tested_on, splits),
                after=(stage.name, *needed),
                seed=recipe.seed,
            ),
            space=space,
            parser=self.folder / stage.name,
            test={language: self.corpora[language] for language in tested_on},
            splits=splits,
            system=system,
            pos=pos,
            seed=recipe.seed,
            unseen=[language for language in tested_on if language not in trained_on],
        )

    def _space(
        self, system: str, languages: tuple[str, ...], *, ending: str = ""
    ) -> tuple[SpacePlan | None, tuple[str, ...]]:
        """Return what a parser of some languages reads, and the stages that make it.

        Vectors of their trees stand in folders with the `ending`; the reference's encoder itself will do where it lends
        its space only.
        """
        if system == "pos-only":
            return None, ()
        reference = self.recipe.reference
        aligned = system in ALIGNED
        members = tuple(dict.fromkeys((reference, *languages))) if aligned else languages
        mapped = tuple(language for language in members if aligned and language != reference)
        vectors, road = ENDINGS.get(system, ("lexicon", ""))
        in_context = () if system in ("static", "anchors-only") else members
        needed = [f"{vectors}/{language}" for language in members]
        encoders = {
            language: f"vectors/{language}{ending}" if language in languages else f"encoders/{language}"
            for language in in_context
        }
        needed += [*encoders.values(), *(f"mapping/{language}{road}" for language in mapped)]
        plan = SpacePlan(
            system=system,
            reference=reference,
            anchors={language: self.folder / vectors / language for language in members},
            encoders={language: self.folder / name for language, name in encoders.items()},
            alignments={language: self.folder / "mapping" / f"{language}{road}" for language in mapped},
        )
        return plan, tuple(needed)

    def _trees(self, languages: tuple[str, ...], splits: tuple[str, ...]) -> dict[str, str]:
        """Name the content of treebank files."""
        return {
            f"{language}-{split}": self.content(self.corpora[language].treebank[split])
            for language in languages
            for split in splits
            if split in self.corpora[language].treebank
        }
