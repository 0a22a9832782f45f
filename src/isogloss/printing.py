"""How commands print their results on standard output: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogloss.lexicon.geometry import Geometry


SHOWN_WORDS = 12
"""Words of a list that are printed."""


def print_scores(scores: Any, as_json: bool) -> None:
    """Print scores as a table, or as JSON: a row for each score, with its shares of the gaps."""
    if as_json:
        from isogloss.reports.results import rows_with_gaps

        print(json.dumps(rows_with_gaps(scores), indent=2))
        return
    from rich.console import Console

    from isogloss.reports.tables import as_rich, as_text, score_table

    table = score_table(scores)
    if sys.stdout.isatty():
        Console().print(as_rich(table))
    else:
        print(as_text(table))


def print_precision(rows: list[dict[str, Any]]) -> None:
    """Print how well anchors translate, a line per language and layer."""
    for row in rows:
        if "precision@1" in row:
            print(
                f"{row['source']}→{row['target']} {row['vectors']} {row['layer']}: precision@1 "
                f"{row['precision@1']:.3f}, @5 {row['precision@5']:.3f} ({row['tested_words']} test words, CSLS; "
                f"coverage {100 * row['coverage']:.1f} %)"
            )
        elif "taken_over_from" in row:
            print(f"{row['source']}→{row['target']} {row['vectors']} {row['layer']}: as {row['taken_over_from']}")
        else:
            pairs = f": {row['pairs']}" if "pairs" in row else ""  # on senses: what became of ambiguous words
            layer = f"{row['source']}→{row['target']} {row['vectors']} {row['layer']}"
            print(f"{layer}: {row['usable_pairs']} pairs used{pairs}")
    _print_left_out(rows)


def print_senses(found: dict[str, Any], folder: Path) -> None:
    """Print how many word types there are, and the first of those that have several senses."""
    senses: dict[str, list[float]] = found["senses"]
    first = [f"{word} {len(shares)}" for word, shares in senses.items()][:SENSES_TOLD]
    more = ", …" if len(senses) > len(first) else ""
    told = f": {', '.join(first)}{more}" if senses else ""
    print(f"{found['word_types']} word types in {folder}, {len(senses)} of several senses{told}")


SENSES_TOLD = 10
"""Words of several senses that are named."""


def print_cards(cards: dict[str, dict[str, Any]]) -> None:
    """Print what language models were trained on and how well they predict, a line each."""
    for language, card in cards.items():
        print(
            f"{language}: {card['training_words']:,} words, {card['steps']:,} steps, perplexity "
            f"{card['forward_perplexity']:.1f} forward, {card['backward_perplexity']:.1f} backward"
        )


def print_parsers(parsers: dict[str, dict[str, Any]]) -> None:
    """Print how parsers were trained, a line each."""
    for name, facts in parsers.items():
        las = "" if facts.get("best_dev_las") is None else f", mean LAS on their dev sets {facts['best_dev_las']:.2%}"
        print(f"{name}: {', '.join(facts['languages'])}; {facts.get('steps', 0):,} steps{las}")


def print_added(language: str, facts: dict[str, Any], folder: Path) -> None:
    """Print what to expect of a language that was added, and why."""
    print(f"{facts['name']} ({language}) is in {shown(folder)}, aligned by {facts['road']}.")
    if facts["anchored"]:
        print("Since the text is small, the words of its model were held to their translations while it learned.")
    if words := facts.get("auxiliaries"):
        shown_words = ", ".join(words[:SHOWN_WORDS]) + (" …" if len(words) > SHOWN_WORDS else "")
        print(f"Taken for auxiliaries, never for verbs: {shown_words} (--auxiliaries FILE gives others).")
    print(f"Expected: {facts['expected']}.")
    for reason in facts["reasons"]:
        print(f"- {reason}")
    print(f"Parse it: isogloss parse FILE -l {language} --models {shown(folder)}")


def print_geometry(found: Sequence["Geometry"]) -> None:
    """Print the shape of spaces, a line for each language and layer; what is not known stays blank."""

    def spread(value: Any) -> str:
        return "" if value is None else f"{value.mean:.2f} ± {value.sd:.2f}"

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    headings = ("language", "layer", "words", "anchor–anchor", "token–anchor", "homonyms", "found")
    headings += ("isotropy", "in mean", "rank", "within", "self-sim.", "random")
    rows = [
        (
            each.language,
            str(each.layer),
            f"{each.words:,}",
            spread(each.anchor_distance),
            spread(each.token_distance),
            spread(each.homonym_distance),
            f"{each.homonyms_found} of {each.homonyms_asked}" if each.homonyms_asked else "",
            number(each.partition_isotropy),
            number(each.mean_share),
            f"{each.effective_rank:.1f}",
            number(each.within_type_share),
            spread(each.self_similarity),
            number(each.random_similarity),
        )
        for each in found
    ]
    _print_columns(headings, rows)


def print_judgement(rows: Sequence[dict[str, Any]]) -> None:
    """Print how well words are translated, a line for each layer and metric; precision in per cent."""

    def precision(row: dict[str, Any], at: int) -> str:
        low, high = row[f"precision@{at}_interval"]
        return f"{100 * row[f'precision@{at}']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    headings = ("languages", "layer", "metric", "P@1, %", "P@5, %", "P@10, %", "tested", "coverage, %")
    lines = [
        (
            f"{row['source']}→{row['target']}",
            str(row["layer"]),
            row["metric"],
            *(precision(row, at) for at in (1, 5, 10)),
            f"{row['tested_words']:,}",
            f"{100 * row['coverage']:.1f}",
        )
        for row in rows
    ]
    _print_columns(headings, lines)
    _print_left_out(rows)


def _print_left_out(rows: Sequence[dict[str, Any]]) -> None:
    """Print how many words did not judge, a line for each two languages; nothing where all did."""
    told = {(row["source"], row["target"]): row.get("test_words_dropped", 0) for row in rows}
    for (source, target), words in told.items():
        if words:
            print(f"{source}→{target}: {words:,} words left out, since the alignment was found from them")


def print_models(found: dict[str, Any]) -> None:
    """Print what a bundle holds: a line for each language, then the licences. Scores in per cent, by split.

    Of a language that was added without trees, it is told what can be expected.
    """

    def scores(facts: dict[str, Any], measure: str) -> str:
        rows = [row for row in facts["scores"] if row.get(measure) is not None]
        if not facts["scores"] and measure == "las" and "expected" in facts:
            return f"expected: {facts['expected']}"
        return ", ".join(f"{row['split']} {100 * row[measure]:.1f}" for row in rows)

    languages: dict[str, dict[str, Any]] = found["languages"]
    lines = [
        (
            code,
            facts["name"],
            "yes" if facts["trees"] else "no",
            *(scores(facts, measure) for measure in ("las", "uas", "upos")),
            f"{facts['words']:,}" if facts.get("words") else "",
        )
        for code, facts in languages.items()
    ]
    print(f"models in {found['folder']}; the parser learned from trees of {', '.join(found['parser']['languages'])}\n")
    _print_columns(("code", "language", "trees seen", "LAS, %", "UAS, %", "UPOS, %", "words of text"), lines)
    print("\nlicences")
    for code, facts in languages.items():
        print(f"{code:<7} {'; '.join(facts['licences'])}")
    print(f"{'parser':<7} {'; '.join(found['parser']['licences'])}")


def translation_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each translation: word, tab, translation, tab, score."""
    for row in rows:
        for found in row["translations"]:
            yield f"{row['word']}\t{found['word']}\t{found['score']:.4f}"


def occurrence_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each word in context: line and place, word, sense, then translations, each with its score."""
    for row in rows:
        found = (f"{each['word']} {each['score']:.4f}" for each in row["translations"])
        yield "\t".join([str(row["line"]), str(row["place"]), row["word"], row["sense"] or "-", *found])


def _print_columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings, columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def print_comparison(facts: dict[str, Any], as_json: bool) -> None:
    """Print how trees compare with the right ones: a line for each fact, or for each metric where words differ."""
    if as_json or "metrics" not in facts:
        print_facts(facts, as_json)
        return
    print("The words of the two files differ: they were aligned by their characters, as in the CoNLL 2018 shared task.")
    print("Precision, recall and F1 in per cent; how many there are in each file, and how many are right.\n")
    rows = [
        (
            name.upper() if name in ("upos", "uas", "las") else name,
            *(f"{found[share]:6.2f}" for share in ("precision", "recall", "f1")),
            *(f"{found[count]:,}" for count in ("gold", "system", "correct")),
        )
        for name, found in facts["metrics"].items()
    ]
    _print_columns(("metric", "precision", "recall", "F1", "gold", "system", "right"), rows)


def print_facts(facts: dict[str, Any], as_json: bool) -> None:
    """Print names and values, a line each, or as JSON."""
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        print(
            f"{name.replace('_', ' '):<20} {value:,}"
            if isinstance(value, int)
            else f"{name.replace('_', ' '):<20} {value}"
        )


def shown(path: Path) -> str:
    """Return a path as short as it can be told."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
