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
from isogloss.errors import RecipeError
from isogloss.mapping_stage import LOWEST_LAYER, PAIRS, join_dictionaries, make_alignments, take_over_alignments
from isogloss.plan_contents import INVENTED_LICENCE, content_of, limits_of, training_of
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
    if recipe.mapping.pivot and recipe.asks_for_pairs:
        for language in recipe.languages:
            if language != recipe.reference and recipe.reads_dictionary_of(language):
                planner.add_dictionary(language)
    if recipe.needs_encoders:
        for language in recipe.languages:
            if _needs_plain_encoder(recipe, language):
                planner.add_encoder(language)
                planner.add_anchors(language)
                planner.add_vectors(language)
    if "anchored" in recipe.parsing.used:
        for language in recipe.languages:
            if (name := recipe.name_in("anchored", language)) != language:
                planner.add_encoder(language, name=name)
                planner.add_anchors(language, name=name)
                planner.add_vectors(language, name=name)
                planner.add_alignments(language, of="lexicon", name=f"mapping/{name}", anchors=f"lexicon/{name}")
    if "static" in recipe.parsing.used:
        for language in recipe.languages:
            planner.add_static(language)
    for language in sorted(recipe.languages, key=planner.is_kin):  # kin last: they take over alignments of others
        if language != recipe.reference:
            aligned = {"aligned", "anchors-only", "anchored"} & recipe.parsing.used
            if aligned and _needs_plain_encoder(recipe, language):
                planner.add_alignments(language, of="lexicon", name=f"mapping/{language}")
            if "static" in recipe.parsing.used:
                planner.add_alignments(language, of="static", name=f"mapping/{language}-static")
            if "aligned-no-dictionary" in recipe.parsing.used:
                planner.add_alignments(language, of="lexicon", name=f"mapping/{language}-no-dictionary", search=True)
    add_parsers(planner)
    return list(planner.stages.values())


def _needs_plain_encoder(recipe: Recipe, language: str) -> bool:
    """Whether a system reads a language model of a language that is not anchored to another."""
    few = recipe.parsing.few_shot
    plain = any(system not in ("pos-only", "static", "anchored") for system in recipe.parsing.used)
    return plain or (few is not None and few.from_scratch) or recipe.name_in("anchored", language) == language


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

    def add_dictionary(self, language: str) -> None:
        """Plan one language's dictionary with the reference, by way of the pivot."""
        mapping, reference = self.recipe.mapping, self.recipe.reference
        files = {
            name: self._with_pivot(other)
            for name, other in (("dictionary", language), ("dictionary_of_target", reference))
            if other != mapping.pivot
        }
        turned = _turned(mapping.dictionaries)
        stage = Stage(
            name=f"dictionaries/{language}",
            kind="dictionary",
            make=join_dictionaries,
            settings={"source": language, "target": reference, "pivot": mapping.pivot, "reversed_columns": turned},
            inputs={name: self.content(file) for name, file in files.items()},
        )
        languages = {"source": language, "target": reference, "pivot": mapping.pivot}
        self.add(stage, **languages, **{"dictionary": None, **files}, reversed_columns=turned)
        self.written[str(self.folder / stage.name / PAIRS)] = f"{stage.key}:{PAIRS}"

    def _with_pivot(self, language: str) -> Path:
        """Return a language's dictionary with the pivot."""
        own, mapping = self.corpora[language].dictionary, self.recipe.mapping
        pattern = mapping.dictionaries.replace("{source}", language).replace("{target}", mapping.pivot)
        return Path(pattern if own is None else own)

    def add_encoder(self, language: str, *, name: str | None = None) -> None:
        """Plan one language's language model; under another `name`, one that is anchored to the reference's."""
        recipe, corpus = self.recipe, self.corpora[language]
        if corpus.model is not None:
            self._take_encoder(language, Path(corpus.model))
            return
        settings, anchored = recipe.encoders, name is not None
        starts = settings.anchoring.start_from_model if anchored else settings.start == "reference"
        if language == recipe.reference:
            starts = False
        if starts or settings.start == "reference":
            settings = settings.model_copy(update={"start": "reference" if starts else "cooccurrences"})
        if not starts:  # nothing could be held
            settings = settings.model_copy(update={"hold_recurrent": 0.0})
        first = f"encoders/{recipe.reference}"
        reference = self.inputs_of(first) if starts or anchored else {}
        dictionary = self._to_learn_from(language) if anchored else None
        pairs = {"dictionary": self.content(dictionary)} if dictionary is not None else {}
        anchors = f"lexicon/{recipe.reference}" if anchored and settings.anchoring.context_weight > 0 else None
        if anchors is not None:
            reference |= self.inputs_of(anchors)
        stage = Stage(
            name=f"encoders/{name or language}",
            kind="encoder",
            make=work.make_encoder,
            settings=limits_of(corpus, language)
            | {"training": training_of(settings, anchored=anchored)}
            | {"seed": recipe.seed, "threads": recipe.compute.threads},
            inputs={"text": self.content(corpus.text)} | reference | pairs,
            after=(*self.after_corpus, *reference, *self._stage_of(dictionary)),
            licences=self.licences(language),
            seed=recipe.seed,
        )
        more = {"settings": settings, "seed": recipe.seed} | self.resumable(stage)
        more["reference"] = self.folder / first if reference else None
        more |= {"dictionary": dictionary, "anchored": True} if anchored else {}
        more |= {"anchors": self.folder / anchors} if anchors is not None else {}
        self.add(stage, corpus=corpus, language=language, **more)

    def _take_encoder(self, language: str, model: Path) -> None:
        """Plan to take a language model that is there already."""
        manifest, kin = read_manifest(model, kind="encoder"), self.corpora[language].kin
        card = manifest.content.get("card", {})
        if kin is not None and kin not in (card.get("anchored_to"), card.get("started_from")):
            raise RecipeError(
                f"{model}: corpus.{language}.kin is {kin!r}, and this model was not started from one of that language. "
                f"Expected one that was, with train-lm --anchored-to. Choose another model, or remove kin."
            )
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

    def add_vectors(self, language: str, *, name: str | None = None) -> None:
        """Plan to encode one language's treebank, once for all parsers that read it.

        What parsers learn from and what they are tested on stand apart: another test set makes no other parser.
        """
        name = name or language
        corpus, encoder, parsing = self.corpora[language], f"encoders/{name}", self.recipe.parsing
        upper_bound = "supervised" in parsing.used and language in parsing.test_on
        learned_from = ("train", "dev") if language in parsing.train_on or upper_bound else ()
        tested_on = parsing.test_splits if language in parsing.test_on else ()
        for ending, wanted in (("", learned_from), (TESTED, tested_on)):
            splits = tuple(split for split in wanted if split in corpus.treebank)
            if not splits:
                continue
            limits = {"max_trees": corpus.max_trees} if "train" in splits else {}
            self.add(
                Stage(
                    name=f"vectors/{name}{ending}",
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

    def add_anchors(self, language: str, *, name: str | None = None) -> None:
        """Plan one language's anchors."""
        name = name or language
        corpus, encoder = self.corpora[language], f"encoders/{name}"
        self.add(
            Stage(
                name=f"lexicon/{name}",
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

    @property
    def _dictionaries(self) -> tuple[str, str]:
        """The patterns of the files to learn from and to test on."""
        if self.recipe.invented is not None:
            base = str(self.folder / "corpus" / "dictionaries" / "{source}-{target}")
            return f"{base}.train.tsv", f"{base}.test.tsv"
        return self.recipe.mapping.dictionaries, self.recipe.mapping.test_dictionaries

    def _to_learn_from(self, language: str) -> Path | None:
        """Return the dictionary of one language with the reference, joined by way of the pivot if there is one."""
        if self.recipe.mapping.pivot:
            return self.folder / f"dictionaries/{language}" / PAIRS
        return self._named(self._dictionaries[0], language, self.corpora[language].dictionary)

    def _named(self, pattern: str, language: str, own: str | None) -> Path | None:
        """Return the dictionary of one language with the reference: the one it names itself, or that of the pattern."""
        name = pattern.replace("{source}", language).replace("{target}", self.recipe.reference) if own is None else own
        return Path(name) if name else None

    def _stage_of(self, dictionary: Path | None) -> tuple[str, ...]:
        """Return the stage that writes a dictionary, if it is not there from the beginning."""
        made = dictionary is not None and str(dictionary) in self.written
        return (dictionary.parent.relative_to(self.folder).as_posix(),) if made and dictionary else ()

    def add_alignments(
        self, language: str, *, of: str, name: str, search: bool = False, anchors: str | None = None
    ) -> None:
        """Plan one language's alignments with the reference, of anchors or of static vectors; or search for them.

        Args:
            language: Its code.
            of: ``lexicon`` or ``static``, where the vectors are.
            name: Of the stage.
            search: Whether to do without a dictionary.
            anchors: The stage that made the language's own, where it is not called like the language.
        """
        mapping, reference, own = self.recipe.mapping, self.recipe.reference, self.corpora[language]
        if own.kin is not None and of == "lexicon" and not search:
            self._take_over_alignments(language, own.kin, name=name)
            return
        system = "aligned-no-dictionary" if search else "static" if of == "static" else "aligned"
        method = own.method if own.method is not None and system == "aligned" else mapping.method_of(system)
        mapping = mapping.model_copy(update={"method": method})
        train, test = self._dictionaries
        # The columns of a dictionary come in the order in which the pattern names the two languages.
        turned = _turned(train or test)
        of_both = anchors or f"{of}/{language}", f"{of}/{reference}"
        named = {
            "dictionary": self._to_learn_from(language) if mapping.needs_dictionary else None,
            "test_dictionary": self._named(test, language, own.test_dictionary),
        }
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
                inputs=self.inputs_of(*of_both)
                | {what: self.content(path) for what, path in named.items() if path is not None},
                after=(*of_both, *self._stage_of(named["dictionary"])),
            ),
            source=language,
            target=reference,
            source_anchors=self.folder / of_both[0],
            target_anchors=self.folder / of_both[1],
            reversed_columns=turned,
            **named,
            settings=mapping.method,
            guide=None if mapping.needs_dictionary else LOWEST_LAYER,
            seed=self.recipe.seed,
            vectors={"static": "static", f"lexicon/{language}-anchored": "anchored layer"}.get(anchors or of, "layer"),
        )

    def is_kin(self, language: str) -> bool:
        """Whether a language takes over the alignments of another one."""
        return self.recipe.invented is None and self.corpora[language].kin is not None

    def _take_over_alignments(self, language: str, kin: str, *, name: str) -> None:
        """Plan the alignments of a language that has those of its kin."""
        theirs = f"mapping/{kin}"
        self.add(
            Stage(
                name=name,
                kind="alignments",
                make=take_over_alignments,
                settings={"source": language, "kin": kin},
                inputs=self.inputs_of(theirs),
                after=(theirs,),
            ),
            source=language,
            kin=kin,
            alignments=self.folder / theirs,
        )


def _turned(pattern: str) -> bool:
    """Whether a dictionary's first column is the reference's, as the order of the two in a pattern says."""
    return pattern.rfind("{target}") < pattern.rfind("{source}")
