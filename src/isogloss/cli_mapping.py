"""The commands that make and use anchors and alignments, which `cli` joins to the others.

Each parses its words, calls one library function, and prints: results to standard output, progress and messages to
standard error. The options that many commands share are here, for `cli_exchange` and `cli` too.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from isogloss.errors import RecipeError
from isogloss.printing import (
    print_facts,
    print_geometry,
    print_judgement,
    print_precision,
    print_senses,
    translation_lines,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Language = Annotated[str, typer.Option("--language", "-l", help="Code of the language, for example es.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]
Tokenised = Annotated[bool, typer.Option(help="Words are already apart, with white space between them.")]
Format = Annotated[str, typer.Option(help="Of the file: text, conllu, or auto: by its name and its first lines.")]
Seed = Annotated[int, typer.Option(help="Every random choice follows from it.")]

Threads = Annotated[int, typer.Option(help="Of each process. On a busy machine two can be slower than one.")]
Alignments = Annotated[Path, typer.Argument(metavar="ALIGNMENT", help="Folder of alignments, as align writes it.")]
SourceAnchors = Annotated[
    Path | None, typer.Option(help="Where the source's anchors are now, if they were moved or are not named.")
]
TargetAnchors = Annotated[Path | None, typer.Option(help="Likewise for the target's.")]


def words_of(listed: str | None, *, option: str) -> list[str]:
    """Read words with commas between them, each once; none where nothing was said.

    Raises:
        RecipeError: Something was said, but there is no word in it.
    """
    words = list(dict.fromkeys(filter(None, map(str.strip, (listed or "").split(",")))))
    if listed is not None and not words:
        raise RecipeError(f"{option}: found {listed!r}. Expected words with commas between them. Change it.")
    return words


def anchors(
    model: Annotated[Path, typer.Argument(help="Folder of a language model.")],
    text: Annotated[Path, typer.Argument(help="Raw text of its language.")],
    out: Out,
    min_count: Annotated[int, typer.Option(help="Word types seen less often get no anchor.")] = 5,
    max_types: Annotated[int, typer.Option(help="Only so many of the most frequent word types get one.")] = 50_000,
    max_sentences: Annotated[int | None, typer.Option(help="Reading stops after so many.")] = None,
    tokenised: Tokenised = False,
    processes: Annotated[int, typer.Option(help="Share the work among so many; the anchors are the same.")] = 1,
    threads: Threads = 1,
    share: Annotated[
        str | None, typer.Option(help="I/N: do share I of N, and write its sums for merge-anchors.", metavar="I/N")
    ] = None,
    senses: Annotated[bool, typer.Option("--senses", help="Several anchors for a word of several senses.")] = False,
    sense_words: Annotated[
        str | None, typer.Option(help="Look for senses of these, commas between; by default the 2,000 most frequent.")
    ] = None,
    sense_layer: Annotated[int | None, typer.Option(help="Compare contexts in this one; by default the last.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="Another setting of the search for senses: KEY=VALUE. May be repeated.")
    ] = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option(help="Of the search for senses; 1 by default.")] = None,
) -> None:
    """Find the anchor of every word type, in every layer; with `--senses`, several where its contexts fall apart.

    Several machines divide the work by shares: each runs the same command with `--share 1/3`, `2/3`, `3/3`, and
    `merge-anchors` adds up what they wrote.

    Example: `isogloss anchors models/es es.txt.xz -o anchors/es --processes 4`

    `isogloss anchors models/es es.txt.xz -o senses/es --senses` (for `align`, and then `translate`)
    """
    from isogloss.display import showing_progress
    from isogloss.lexicon_commands import anchors as command
    from isogloss.mapping_commands import options_of
    from isogloss.sense_commands import refuse_idle, sense_anchors

    limits: dict[str, Any] = {"min_count": min_count, "max_types": max_types, "max_sentences": max_sentences}
    work: dict[str, Any] = {"tokenised": tokenised, "processes": processes, "threads": threads}
    asked = {"--sense-words": sense_words, "--sense-layer": sense_layer, "--set": set_ or None, "--seed": seed}
    refuse_idle(asked, senses=senses, share=share)
    if senses:
        search: dict[str, Any] = {"words": words_of(sense_words, option="--sense-words"), "layer": sense_layer}
        search |= {"options": options_of(set_), "seed": 1 if seed is None else seed}
        with showing_progress() as show:
            print_senses(sense_anchors(model, text, out, on_event=show, **limits, **work, **search), out)
        return
    with showing_progress() as show:
        found = command(model, text, out, share=share, on_event=show, **limits, **work)
    print(f"{'sums of ' if share else ''}{found} word types in {out}")


def merge_anchors(
    sums: Annotated[list[Path], typer.Argument(metavar="SUMS...", help="Folders of sums, one for each share.")],
    out: Out,
    min_count: Annotated[int | None, typer.Option(help="At least that of the shares, which is the default.")] = None,
    max_types: Annotated[int | None, typer.Option(help="At most that of the shares, which is the default.")] = None,
) -> None:
    """Make anchors out of the sums of all shares of a text.

    Example: `isogloss merge-anchors sums/es-1 sums/es-2 sums/es-3 -o anchors/es`
    """
    from isogloss.lexicon_commands import merge_anchors as command

    print(f"{command(sums, out, min_count=min_count, max_types=max_types)} word types in {out}")


def static(
    text: Annotated[Path, typer.Argument(help="Raw text, one sentence a line; plain, gz, xz or zst.")],
    language: Language,
    out: Out,
    width: Annotated[int, typer.Option(help="Numbers in a vector.")] = 100,
    min_count: Annotated[int, typer.Option(help="Word types seen less often get no vector.")] = 5,
    max_types: Annotated[int, typer.Option(help="Only so many of the most frequent word types get one.")] = 50_000,
    window: Annotated[int, typer.Option(help="Words to either side that count as near.")] = 5,
    contexts: Annotated[int, typer.Option(help="Most frequent word types that describe others.")] = 10_000,
    max_sentences: Annotated[int | None, typer.Option(help="Reading stops after so many.")] = None,
    tokenised: Tokenised = False,
    seed: Seed = 1,
    threads: Threads = 1,
) -> None:
    """Make word vectors without context from raw text: anchors of one layer, for align, lexicon and geometry.

    They tell words apart by the words that stand near them, and often translate better than the layers of a language
    model that saw little text: see `--source-guide` of `align`.

    Example: `isogloss static es.txt.xz --language es -o static/es`
    """
    from isogloss.display import showing_progress
    from isogloss.lexicon_commands import static as command

    shape = {"width": width, "min_count": min_count, "max_types": max_types, "window": window, "contexts": contexts}
    reading = {"max_sentences": max_sentences, "tokenised": tokenised, "seed": seed, "threads": threads}
    with showing_progress() as show:
        found = command(text, out, language=language, on_event=show, **shape, **reading)
    print(f"{found} word types in {out}")


def geometry(
    folders: Annotated[
        list[Path], typer.Argument(metavar="ANCHORS...", help="Folders of anchors, or files in word2vec text format.")
    ],
    homonyms: Annotated[Path | None, typer.Option(help="A word a line; for English a list is built in.")] = None,
    min_count: Annotated[int, typer.Option(help="Words with fewer occurrences are left out.")] = 100,
    language: Annotated[
        list[str], typer.Option("--language", "-l", help="Of anchors that do not name theirs, in their order.")
    ] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Measure how far words lie apart in a space, and how far their tokens lie from their anchors.

    Distances are 1 − cosine, as mean ± standard deviation: between anchors of different words, and of tokens to their
    own anchor, for all words and for homonyms. Then how evenly the space is used: isotropy (1: no direction is
    preferred), the share of the squared norm that lies in the mean vector, and the effective rank; which share of the
    variance lies within word types; and the mean cosine of two tokens of one word, and of random ones. What is not
    known, as of word vectors without tokens, stays blank.

    Example: `isogloss geometry anchors/en anchors/es --homonyms homonyms.txt`
    """
    from isogloss.lexicon_commands import geometry as command

    found = command(folders, min_count=min_count, homonyms=homonyms, languages=language)
    if as_json:
        print(json.dumps([each.to_row() for each in found], indent=2))
    else:
        print_geometry(found)


def align(
    source: Annotated[Path, typer.Argument(help="Anchors of the language to be mapped, or word vectors as text.")],
    target: Annotated[Path, typer.Argument(help="Anchors of the reference.")],
    out: Out,
    dictionary: Annotated[
        Path | None, typer.Option("--dictionary", "-d", help="Lines SOURCE, tab, TARGET, to fit on.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="A dictionary that only judges.")] = None,
    turned: Annotated[
        bool, typer.Option(help="The first column of dictionaries and parallel text is the target.")
    ] = False,
    method: Annotated[
        str | None,
        typer.Option(
            help="procrustes, rcsls, self-learning, adversarial or parallel. By default procrustes with a dictionary, "
            "parallel with parallel text, else self-learning."
        ),
    ] = None,
    normalisation: Annotated[
        str | None, typer.Option(help="none, unit, centre, unit_centre_unit or iterative.")
    ] = None,
    refinements: Annotated[int | None, typer.Option(help="Rounds of mutual nearest neighbours.")] = None,
    selection: Annotated[
        str | None, typer.Option(help="Which round is kept: closeness, or held_out (a tenth of the dictionary).")
    ] = None,
    weighting: Annotated[
        str | None,
        typer.Option(help="For the look-up: power of each direction's correlation, from 0 to 1, or held_out."),
    ] = None,
    spelling: Annotated[
        float | None, typer.Option(help="Weight of letter groups in the look-up; try 0.5, or 0.7 without a dictionary.")
    ] = None,
    seed_pairs: Annotated[
        str | None,
        typer.Option(help="Of self-learning: dictionary, identical, numerals, cognates, neighbours or none."),
    ] = None,
    few_pairs: Annotated[bool, typer.Option(help="Accept fewer pairs than a vector has dimensions.")] = False,
    set_: Annotated[
        list[str], typer.Option("--set", help="Any other setting of the method: KEY=VALUE. May be repeated.")
    ] = [],  # noqa: B006
    guide: Annotated[
        str | None,
        typer.Option(help="Layer in which pairs are sought for all layers: a number, lowest, or own for each its own."),
    ] = None,
    source_guide: Annotated[
        Path | None, typer.Option(help="Other vectors of the source, such as those of static, to seek pairs in.")
    ] = None,
    target_guide: Annotated[Path | None, typer.Option(help="Likewise of the target.")] = None,
    parallel: Annotated[Path | None, typer.Option(help="Lines SENTENCE, tab, TRANSLATION.")] = None,
    source_model: Annotated[Path | None, typer.Option(help="Language model of the source.")] = None,
    target_model: Annotated[Path | None, typer.Option(help="Language model of the target.")] = None,
    source_text: Annotated[
        Path | None, typer.Option(help="Raw text of the source: plays the adversarial game with words in context.")
    ] = None,
    target_text: Annotated[Path | None, typer.Option(help="Likewise of the target.")] = None,
    source_language: Annotated[str | None, typer.Option(help="Where the vectors do not name it.")] = None,
    target_language: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    seed: Seed = 1,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Align one language's space with another's, in every layer: with a dictionary, parallel text, or nothing.

    Ends with exit status 3 where a search without a dictionary found nothing that can be believed. Two folders of sense
    anchors (`anchors --senses`) are aligned sense by sense, with a dictionary.

    Example: `isogloss align anchors/es anchors/en -d es-en.tsv -o mapping/es --refinements 5`

    `isogloss align anchors/es anchors/en -o mapping/es` (without a dictionary)

    `isogloss align anchors/es anchors/en -o mapping/es --parallel es-en.tsv --source-model lm/es --target-model lm/en`
    """
    from isogloss.display import showing_progress
    from isogloss.mapping_commands import align as command
    from isogloss.mapping_commands import both, options_of

    named = {
        "normalisation": normalisation,
        "refinements": refinements,
        "selection": selection,
        "weighting": None if weighting is None else options_of([f"weighting={weighting}"])["weighting"],
        "spelling": spelling,
        "seed_pairs": seed_pairs,
        "too_few_pairs": "complete" if few_pairs else None,
    }
    options = {name: value for name, value in named.items() if value is not None} | options_of(set_)
    guides = both("guide", source_guide, target_guide)
    with showing_progress() as show:
        rows = command(
            source,
            target,
            out,
            dictionary=dictionary,
            test=test,
            turned=turned,
            method=method,
            options=options,
            guide=guides or guide,
            parallel=parallel,
            models=both("model", source_model, target_model),
            texts=both("text", source_text, target_text),
            source_language=source_language,
            target_language=target_language,
            seed=seed,
            threads=threads,
            on_event=show,
        )
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print_precision(rows)


def lexicon(
    alignment: Alignments,
    words: Annotated[list[str], typer.Argument(metavar="[WORD]...", help="Words to translate; all by default.")] = [],  # noqa: B006
    dictionary: Annotated[
        Path | None, typer.Option("--dictionary", "-d", help="Judge by lines SOURCE, tab, TARGET.")
    ] = None,
    turned: Annotated[bool, typer.Option("--turned", help="The dictionary's first column is the target.")] = False,
    layer: Annotated[
        int | None, typer.Option(help="By default all for judging; for translating 1, or the only one.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many translations of each word.")] = 5,
    metric: Annotated[
        str | None, typer.Option(help="csls or cosine. By default both for judging; csls for translating.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; by default standard output.")] = None,
    source_anchors: SourceAnchors = None,
    target_anchors: TargetAnchors = None,
    as_json: Json = False,
) -> None:
    """Translate words by an alignment, or judge the alignment by a dictionary.

    Translations are lines of word, tab, translation, tab, score, best first. A judgement is the share of words with a
    right translation among the 1, 5 and 10 nearest, with 95 % intervals; any translation in the dictionary is right.

    Example: `isogloss lexicon mapping/es oso banco --layer 1`, or
    `isogloss lexicon mapping/es --dictionary es-en.test.tsv`
    """
    from isogloss.alignment_commands import judge, translate
    from isogloss.corpus.raw_text import write_lines
    from isogloss.display import showing_progress

    where = {"layer": layer, "source_anchors": source_anchors, "target_anchors": target_anchors}
    if dictionary is None:
        with showing_progress() as show:
            rows = translate(alignment, words, k=k, metric=metric or "csls", on_event=show, **where)
        lines = json.dumps(rows, indent=2, ensure_ascii=False).splitlines() if as_json else translation_lines(rows)
        if out is not None:
            write_lines(lines, out)
            return
        for line in lines:
            print(line)
        return
    if words or out is not None:
        raise RecipeError(
            f"--dictionary: found with {'words to translate' if words else '--out'}. Expected a dictionary to judge "
            "by, or something to translate. Leave one out."
        )
    with showing_progress() as show:
        rows = judge(alignment, dictionary, turned=turned, metric=metric, on_event=show, **where)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print_judgement(rows)


def draw_contexts(
    source_model: Annotated[Path, typer.Argument(help="Folder of the language model that is mapped.")],
    source_text: Annotated[Path, typer.Argument(help="Raw text of its language.")],
    target_model: Annotated[Path, typer.Argument(help="Folder of the reference's language model.")],
    target_text: Annotated[Path, typer.Argument(help="Raw text of its language.")],
    alignment: Annotated[Path, typer.Option(help="Folder of alignments, from source to target.")],
    source_words: Annotated[str, typer.Option(help="As they are written in the text, with commas between them.")],
    target_words: Annotated[str, typer.Option(help="Likewise.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Figure to write, .svg or .png.")],
    layer: Annotated[int | None, typer.Option(help="By default 1, or the only one.")] = None,
    limit: Annotated[int, typer.Option(help="Occurrences of each word, the first of the text.")] = 200,
    projection: Annotated[str, typer.Option(help="pca, or umap, which needs umap-learn.")] = "pca",
    max_sentences: Annotated[int | None, typer.Option(help="Reading stops after so many.")] = None,
    tokenised: Tokenised = False,
    source_anchors: SourceAnchors = None,
    target_anchors: TargetAnchors = None,
    threads: Threads = 1,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Draw words of two languages in context, with their anchors, before and after alignment.

    Example: `isogloss draw-contexts models/es es.txt.xz models/en en.txt.xz --alignment mapping/es
    --source-words oso,tener --target-words bear -o bear.svg`
    """
    from isogloss.alignment_commands import draw_contexts as command
    from isogloss.display import showing_progress

    options: dict[str, Any] = {"layer": layer, "limit": limit, "projection": projection, "threads": threads}
    options |= {"max_sentences": max_sentences, "tokenised": tokenised, "seed": seed}
    options |= {"source_anchors": source_anchors, "target_anchors": target_anchors}
    with showing_progress() as show:
        found = command(
            (source_model, target_model),
            (source_text, target_text),
            out,
            alignment=alignment,
            words=(words_of(source_words, option="--source-words"), words_of(target_words, option="--target-words")),
            on_event=show,
            **options,
        )
    print_facts(found, as_json)


COMMANDS: tuple[Callable[..., None], ...] = (
    anchors,
    merge_anchors,
    static,
    geometry,
    align,
    lexicon,
    draw_contexts,
)
"""In the order of ``isogloss --help``."""
