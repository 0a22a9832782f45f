"""The figures of a run: anchors before and after alignment, a parsed sentence, and curves of few trees."""

import logging
from collections.abc import Sequence
from pathlib import Path

from isogloss.artifacts import write_atomically, writing_to
from isogloss.errors import IsoglossError
from isogloss.recipe import Recipe
from isogloss.reports.tables import Block
from isogloss.stage import Stage

log = logging.getLogger(__name__)

WORDS_OF_A_GOOD_EXAMPLE = range(7, 13)


def draw_run(recipe: Recipe, folder: Path, stages: Sequence[Stage], blocks: Sequence[Block] = ()) -> list[Path]:
    """Draw what a finished run can show; return the files. `blocks` are those of its table of scores.

    Without matplotlib maps and curves are left out, with a line in the log.
    """
    visuals = folder / "visuals"
    with writing_to(visuals):
        visuals.mkdir(exist_ok=True)
    drawn = []
    made = {stage.name: stage for stage in stages}
    for language in recipe.parsing.test_on:
        # A map that was taken over from another language was found from no pairs that could be drawn.
        if f"mapping/{language}" in made and "source_anchors" in made[f"mapping/{language}"].arguments:
            try:
                drawn.append(
                    _draw_map(recipe, folder, made[f"mapping/{language}"], visuals / f"anchors-{language}.svg")
                )
            except IsoglossError as error:
                log.warning("no map of anchors: %s", error)
        tree = _draw_example(recipe, folder, made, language, visuals / f"tree-{language}.svg")
        if tree is not None:
            drawn.append(tree)
    for block in blocks:
        if any(row.trees is not None for row in block.rows):
            try:
                drawn.append(_draw_curve(block, visuals / f"learning-curve-{block.language}-{block.split}.svg"))
            except IsoglossError as error:
                log.warning("no learning curve: %s", error)
    return drawn


def _draw_curve(block: Block, path: Path) -> Path:
    """Draw how far few trees of a language lead."""
    from isogloss.visuals.embedding_map import save_figure
    from isogloss.visuals.learning_curve import draw_learning_curve

    save_figure(draw_learning_curve(block), path)
    return path


def _draw_map(recipe: Recipe, folder: Path, stage: Stage, path: Path) -> Path:
    """Draw one language's anchors and the reference's, in the layer that the parser reads."""
    from isogloss.lexicon.anchor_files import load_anchors
    from isogloss.mapping.alignment import load_alignment
    from isogloss.stages import read_dictionary_of
    from isogloss.visuals.embedding_map import draw_anchor_map, save_figure

    layer = recipe.parsing.parser.layer if isinstance(recipe.parsing.parser.layer, int) else 1
    arguments = stage.arguments
    dictionary = read_dictionary_of(
        arguments["test_dictionary"] or arguments["dictionary"],
        arguments["source"],
        arguments["target"],
        arguments["reversed_columns"],
    )
    figure = draw_anchor_map(
        [load_anchors(arguments["target_anchors"], layer), load_anchors(arguments["source_anchors"], layer)],
        [load_alignment(folder / stage.name / f"layer-{layer}")],
        [dictionary],
    )
    save_figure(figure, path)
    return path


def _draw_example(recipe: Recipe, folder: Path, made: dict[str, Stage], language: str, path: Path) -> Path | None:
    """Draw the first sentence of a good length as our parser sees it, with its mistakes marked."""
    from isogloss.corpus.conllu import iterate_conllu
    from isogloss.visuals.dependency_tree import draw_tree

    for system in ("aligned-none", "aligned-gold", "pos-only-gold"):
        stage = made.get(f"parsed/{system}")
        for split in recipe.parsing.test_splits if stage is not None else ():
            parsed = folder / "parsed" / system / f"{language}-{split}.conllu"
            if stage is None or not parsed.is_file():
                continue
            gold = Path(stage.arguments["test"][language].treebank[split])
            for ours, theirs in zip(iterate_conllu(parsed), iterate_conllu(gold), strict=True):
                if len(ours) in WORDS_OF_A_GOOD_EXAMPLE:
                    write_atomically(path, draw_tree(ours, gold=theirs))
                    return path
    return None
