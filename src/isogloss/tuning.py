"""The command `tune-parser`: a bundle's parser goes on with the few trees that somebody has drawn of a language."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from isogloss.artifacts import build_artifact, only_writer, writing_to
from isogloss.bundle import BUNDLE, PARSER, open_bundle, put_in_place, refuse_to_replace, write_bundle
from isogloss.commands import checked, hash_of_text
from isogloss.compute.settings import ComputeSettings
from isogloss.drafts import new_draft
from isogloss.errors import DataError
from isogloss.stages import Pace

OF_ANOTHER_PARSER = ("expected", "reasons", "evidence", "key", "scores", "confidence")
"""What a bundle tells of its languages, and no longer holds when its parser is another."""


def tune_parser(
    trees: Path,
    out: Path,
    *,
    language: str,
    models: Path | None = None,
    others: Mapping[str, Path] | None = None,
    tuning: Mapping[str, Any] | None = None,
    licence: str = "",
    threads: int = 1,
    seed: int = 1,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
) -> dict[str, Any]:
    """Make a new bundle whose parser has learned from a few trees of one of its languages.

    Args:
        trees: CoNLL-U with a tree on every sentence.
        out: Folder of the new bundle.
        language: Of the trees.
        models: The old bundle; by default the models that come with the project.
        others: Treebanks of languages that the parser learned from, by code: they keep it from forgetting these.
        tuning: Fields of `TuningSettings` by name.
        licence: Of the trees.
        threads: Of matrix products.
        seed: Of dropout and the order of sentences.
        on_event: Called with everything that the training reports.

    Returns:
        How many trees there were, the steps that were taken, and ``ignored_relations``: of how many words only heads
        were learned, since the parser does not know their relations, by language and relation.

    Raises:
        DataError: The bundle does not know a language, or a file is not what it should be.
        TrainingError: Most words of a file have relations that the parser does not know.
        OutputError: The new folder holds something, or cannot be written, or another process writes there.
    """
    from isogloss.compute.workers import Task, run_tasks
    from isogloss.parsing.settings import TuningSettings

    out = Path(out).absolute()
    bundle = open_bundle(models)
    for code in (language, *(others or {})):
        bundle.refuse_unknown(code)
    for code in others or {}:
        if code not in bundle.parser["languages"]:
            raise DataError(
                f"language {code!r}: the parser did not learn from its trees. Expected some of "
                f"{', '.join(bundle.parser['languages'])}, which it is to be kept from forgetting. Leave this one out."
            )
    settings = checked(TuningSettings, **dict(tuning or {}))
    threads = checked(ComputeSettings, threads=threads).threads
    with only_writer(out):
        refuse_to_replace(out)
        with ExitStack() as until_done:
            with writing_to(out):
                draft = until_done.enter_context(new_draft(out))
                draft.chmod(out.parent.stat().st_mode & 0o777)  # who may read the folder may read what is put into it
            bundle.link_to(draft, but=PARSER)
            arguments = {"bundle": bundle, "draft": draft, "trees": Path(trees), "language": language}
            arguments |= {"others": dict(others or {}), "settings": settings, "licence": licence, "seed": seed}
            on_event({"event": "run", "recipe": f"tune with {language}", "stages": [PARSER], "kept": []})
            run_tasks([Task(PARSER, _tune, arguments)], workers=0, threads=threads, on_event=on_event)
            put_in_place(draft, out)
    return dict(open_bundle(out).parser["tuned"])


def _tune(
    *,
    bundle: Any,
    draft: Path,
    trees: Path,
    language: str,
    others: Mapping[str, Path],
    settings: Any,
    licence: str,
    seed: int,
) -> None:
    """Go on from the bundle's parser, and write the new one and all that is known of it into the draft."""
    import torch

    from isogloss.corpus.conllu import read_treebank
    from isogloss.parsing.few_shot import tune_parser as go_on

    trained = bundle.load(language, *others)
    few = read_treebank(trees, language=language, name=str(trees))
    beside = [read_treebank(path, language=code, name=str(path)) for code, path in others.items()]
    pace = Pace()
    parser = go_on(
        trained.parser,
        trained.space,
        few,
        others=beside,
        tuning=settings,
        seed=seed,
        on_step=lambda step, steps: pace(
            step, steps, unit="sentences", per_step=min(len(few), trained.parser.settings.batch_size)
        ),
    )
    build_artifact(
        draft / PARSER,
        "parser",
        lambda folder: parser.save(folder, dtype=torch.float16),
        settings={"stored": "float16", "tuning": settings.model_dump(mode="json"), "language": language},
        inputs={"models": hash_of_text(bundle.folder / BUNDLE), "trees": hash_of_text(trees)},
        seed=seed,
        licences=(*bundle.parser.get("licences", ()), *filter(None, [licence])),
    )
    about = {"language": language, "trees": len(few), "steps": parser.metadata["steps"]}
    about["ignored_relations"] = parser.metadata["ignored_relations"]
    learned = list(dict.fromkeys([*bundle.parser["languages"], language]))
    licences = sorted({*bundle.parser.get("licences", ()), *filter(None, [licence])})
    languages = {
        code: {name: fact for name, fact in facts.items() if name not in OF_ANOTHER_PARSER} | {"scores": []}
        for code, facts in bundle.languages.items()
    }
    languages[language]["trees"] = True
    languages[language].pop("auxiliaries", None)  # its tagger has seen now which words are
    write_bundle(
        draft,
        reference=bundle.reference,
        languages=languages,
        parser={**bundle.parser, "languages": learned, "licences": licences, "tuned": about},
    )
