"""Which stages a recipe needs, each with a key that is known before anything runs.

    corpus ─▶ encoders/xx ─▶ lexicon/xx ─▶ mapping/xx ─▶ parsing/SYSTEM-POS ─▶ parsed/SYSTEM-POS
                        └──▶ vectors/xx ───────────────────────┘

A stage's key is made of its settings, the hashes of the files it reads and the keys of the stages it builds on. So a
rerun can tell what is already there, and a changed setting makes anew just what depends on it.
"""

from pathlib import Path

from isogloss import stages as work
from isogloss.artifacts import read_manifest
from isogloss.corpus.invented.family import FamilySettings
from isogloss.mapping_stage import LOWEST_LAYER, make_alignments
from isogloss.plan_contents import INVENTED_LICENCE, content_of, limits_of
from isogloss.plan_parsers import add_parsers
from isogloss.planner import TESTED, Planner
from isogloss.recipe import Recipe
from isogloss.stage import Stage


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
    add_parsers(planner)
    return list(planner.stages.values())


class _Planner(Planner):
    """Adds the stages of languages."""

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
                    inputs=self.inputs_of(encoder) | self.trees((language,), splits),
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
