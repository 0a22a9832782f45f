"""The command `isogloss parse`: a file of any size in, its trees out, some hundred sentences at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, get_args

from isogloss.bundle import open_bundle
from isogloss.commands import checked
from isogloss.compute.settings import ComputeSettings
from isogloss.errors import ConlluError, DataError, PartlyDone, RecipeError, TextError
from isogloss.trained import SENTENCES_AT_A_TIME, TrainedParser, load_trained

if TYPE_CHECKING:
    from isogloss.corpus.raw_text import Source
    from isogloss.corpus.sentence import Sentence
    from isogloss.parsing.parser import Tags

LONGEST_LINE = 1 << 20
"""Bytes of raw text; of a longer line, the parts count as lines."""

Report = Callable[[DataError], None]
"""Told what is wrong with a sentence."""


def parse(
    file: Path,
    out: Path | TextIO,
    *,
    language: str,
    models: Path | None = None,
    run: Path | None = None,
    system: str | None = None,
    pos: str | None = None,
    tags: str = "auto",
    lines: bool = False,
    tokenised: bool = False,
    contractions: Path | None = None,
    precision: str | None = None,
    threads: int = 1,
    on_fault: Report | None = None,
) -> None:
    """Parse a file, CoNLL-U or raw text, and write CoNLL-U: with a bundle of models, or with one of a run's parsers.

    Args:
        file: Plain or compressed; ``-`` is standard input. It is CoNLL-U if its first line of content has columns.
        out: A file, which is there only when it is whole; or an open one, which is written to as trees are found.
        language: Its code.
        models: Folder of a bundle; by default that which comes with the project.
        run: Folder of a run whose parser is used instead; then `system` and `pos` say which of them.
        system: With `run`, see `load_trained`; by default ``aligned``.
        pos: With `run`, see `load_trained`; by default ``none``.
        tags: Which parts of speech a parser with a tagger reads: ``given`` in the file, ``predicted`` by itself, or
            ``auto``: given, in sentences where every word has one.
        lines: Raw text has one sentence a line. Else it is running text, with empty lines between paragraphs.
        tokenised: Raw text has one sentence a line, and its words are already apart.
        contractions: List of tokens of raw text that stand for several words; see `read_contractions`.
        precision: Of matrix products: ``float32``, ``bfloat16`` or ``auto``; by default as the parser was trained.
        threads: Of the matrix products.
        on_fault: Told of every sentence that cannot be parsed: one that breaks the format is left out, any other is
            handed on as it is. Without it, the first fault is raised.

    Raises:
        DataError: The parser cannot read the language, or the file is not what it should be.
        PartlyDone: Faults were told of. All else is parsed and written.
        OutputError: The file cannot be written; nothing is left behind.
        RecipeError: The parser has no tagger to be asked for; or an option is wrong, or would change nothing.
    """
    from isogloss.corpus.beginning import look_at_content
    from isogloss.corpus.conllu import iterate_numbered, write_conllu
    from isogloss.corpus.contractions import read_contractions
    from isogloss.corpus.raw_text import name_of, refuse_folder

    if isinstance(out, Path):
        refuse_folder(out)
    threads = checked(ComputeSettings, threads=threads).threads
    if run is None:
        _refuse_options({"--system": system, "--pos": pos}, "they choose a parser of a run, and --run names none")
    first_line, source = look_at_content(file)
    name = name_of(source)
    unpacked = name.removesuffix(".gz").removesuffix(".xz").removesuffix(".zst")
    is_conllu = first_line.count(b"\t") >= 8 or unpacked.endswith((".conllu", ".conll"))
    for_text = {"--lines": lines, "--tokenised": tokenised, "--contractions": contractions}
    if is_conllu:
        _refuse_options(for_text, f"{name} is CoNLL-U, which tells sentences and words itself")
    elif tokenised:
        _refuse_options({"--contractions": contractions}, "--tokenised leaves words as they stand")
    known = read_contractions(contractions) if contractions is not None else {}
    import torch

    torch.set_num_threads(threads)
    if run is not None:
        trained = load_trained(run, system=system or "aligned", pos=pos or "none")
        trained.refuse_unknown(language)
    else:
        trained = open_bundle(models).load(language)
    if precision is not None:
        trained = trained.in_precision(precision)
    wanted = _checked(trained, tags, is_conllu=is_conllu, name=name)
    faults = _Faults(on_fault)
    if is_conllu:
        numbered = iterate_numbered(source, language=language, on_fault=faults.tell if on_fault else None)
    elif lines or tokenised:
        numbered = _lines(source, language, tokenised=tokenised, contractions=known)
    else:
        numbered = _running_text(source, language, contractions=known)
    batches = _in_batches(trained, numbered, tags=wanted, name=name, faults=faults)
    if isinstance(out, Path):
        write_conllu(chain.from_iterable(batches), out)
    else:
        for batch in batches:  # each is flushed, so that whoever reads our output need not wait for the end
            write_conllu(batch, out)
    faults.raise_if_any(name)


def _refuse_options(given: Mapping[str, object], why: str) -> None:
    """Refuse options that would change nothing here, rather than pass them over.

    Args:
        given: Values by option.
        why: Why they would change nothing.
    """
    superfluous = [option for option, value in given.items() if value not in (None, False)]
    if superfluous:
        raise RecipeError(f"{', '.join(superfluous)}: found, but {why}. Expected no such option here. Leave it out.")


class _Faults:
    """What to do with faults: raise the first, or tell of each and go on."""

    def __init__(self, on_fault: Report | None) -> None:
        self._on_fault, self._count = on_fault, 0

    def tell(self, fault: DataError) -> None:
        """Raise a fault, or tell of it."""
        if self._on_fault is None:
            raise fault
        self._count += 1
        self._on_fault(fault)

    def raise_if_any(self, name: str) -> None:
        """Say at the end how many there were."""
        if self._count:
            raise PartlyDone(
                f"{name}: {self._count:,} of its sentences could not be parsed, as told above. Expected none. The "
                f"others are parsed; mend these and parse them again."
            )


def _checked(trained: TrainedParser, tags: str, *, is_conllu: bool, name: str) -> "Tags":
    """Return the wish for tags, if parser and file can fulfil it."""
    from isogloss.parsing.parser import Tags

    if tags not in get_args(Tags):
        raise RecipeError(f"--tags: found {tags!r}. Expected {', '.join(get_args(Tags))}. Choose one.")
    if tags == "predicted" and not trained.parser.tagger:
        raise RecipeError(
            "--tags: found 'predicted', and this parser has no tagger. Expected auto. Leave the option out, or choose "
            "another parser with --pos predicted."
        )
    if not is_conllu and (trained.parser.settings.upos == "gold" or tags == "given"):
        raise ConlluError(
            f"{name}: is raw text, and this parser reads tags. Expected CoNLL-U. Give such a file, or choose a parser "
            f"that needs none: --tags predicted, or --pos none."
        )
    return tags  # type: ignore[return-value]


def _in_batches(
    trained: TrainedParser,
    numbered: Iterable[tuple[int, "Sentence"]],
    *,
    tags: "Tags",
    name: str,
    faults: _Faults,
) -> Iterator[list["Sentence"]]:
    """Parse sentences, some hundred at a time; those that cannot be parsed stay as they are."""
    remaining = iter(numbered)
    while some := list(islice(remaining, SENTENCES_AT_A_TIME)):
        sound = []
        for line, sentence in some:
            objection = trained.objection(sentence, tags=tags)
            sound.append(objection is None)
            if objection is not None:
                faults.tell(DataError(f"{name}:{line}: the sentence {objection}"))
        trees = trained.parse((each for (_, each), good in zip(some, sound, strict=True) if good), tags=tags)
        yield [next(trees) if good else sentence for (_, sentence), good in zip(some, sound, strict=True)]


def _lines(
    source: "Source", language: str, *, tokenised: bool, contractions: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[int, "Sentence"]]:
    """Read raw text with one sentence a line, which its ``sent_id`` numbers."""
    from isogloss.corpus.raw_text import annotated_line, name_of, read_lines

    found = False
    for number, line in enumerate(read_lines(source, longest=LONGEST_LINE), start=1):
        sentence = annotated_line(
            line, language=language, tokenised=tokenised, contractions=contractions, sent_id=str(number)
        )
        if len(sentence):
            found = True
            yield number, sentence
    if not found:
        raise _no_words(name_of(source))


def _running_text(
    source: "Source", language: str, *, contractions: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[int, "Sentence"]]:
    """Read running text; its sentences are numbered, and told where paragraphs begin."""
    from isogloss.corpus.raw_text import annotated_line, name_of, read_lines
    from isogloss.corpus.sentences import sentences_of

    found = 0
    for raw in sentences_of(read_lines(source, longest=LONGEST_LINE), language=language):
        sentence = annotated_line(raw.text, language=language, contractions=contractions, sent_id=str(found + 1))
        if not len(sentence):
            continue
        found += 1
        if raw.opens_paragraph:
            sentence = replace(sentence, comments=("# newpar", *sentence.comments))
        yield raw.line, sentence
    if not found:
        raise _no_words(name_of(source))


def _no_words(name: str) -> TextError:
    return TextError(f"{name}: there are no words in this file. Expected text. Check that it is the right file.")
