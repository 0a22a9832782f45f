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

FORMATS = ("auto", "text", "conllu")
"""What a file may be said to be."""
_DIVIDE_TEXT = "Divide it; or, if every line of the text is a sentence, say --lines."

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
    format: str = "auto",
    lines: bool = False,
    tokenised: bool = False,
    contractions: Path | None = None,
    precision: str | None = None,
    threads: int = 1,
    on_fault: Report | None = None,
) -> None:
    """Parse a file, CoNLL-U or raw text, and write CoNLL-U: with a bundle of models, or with one of a run's parsers.

    Args:
        file: Plain or compressed; ``-`` is standard input.
        out: A file, which is there only when it is whole; or an open one, which is written to as trees are found.
        language: Its code.
        models: Folder of a bundle; by default that which comes with the project.
        run: Folder of a run whose parser is used instead; then `system` and `pos` say which of them.
        system: With `run`, see `load_trained`; by default ``aligned``.
        pos: With `run`, see `load_trained`; by default ``none``.
        tags: Which parts of speech a parser with a tagger reads: ``given`` in the file, ``predicted`` by itself, or
            ``auto``: given, in sentences where every word has one.
        format: Of the file: ``text``, ``conllu`` or ``auto``: CoNLL-U if its name says so, or its first line of content
            has columns; else text, in which no line may be one of CoNLL-U.
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
    from isogloss.corpus.beginning import look_at_content, sign_of_conllu
    from isogloss.corpus.conllu import write_conllu
    from isogloss.corpus.contractions import read_contractions
    from isogloss.corpus.raw_text import name_of, read_lines, refuse_folder

    if isinstance(out, Path):
        refuse_folder(out)
    if models is not None and run is not None:
        raise RecipeError("--models and --run: found both. Expected one of them. Leave one out.")
    if format not in FORMATS:
        raise RecipeError(f"--format: found {format!r}. Expected {', '.join(FORMATS)}. Choose one.")
    threads = checked(ComputeSettings, threads=threads).threads
    if run is None:
        _refuse_options({"--system": system, "--pos": pos}, "they choose a parser of a run, and --run names none")
    beginning, source = look_at_content(file)
    name = name_of(source)
    unpacked = name.removesuffix(".gz").removesuffix(".xz").removesuffix(".zst")
    named_so = unpacked.endswith((".conllu", ".conll"))
    sign = sign_of_conllu(beginning) if format == "auto" and not named_so else ""
    is_conllu = format == "conllu" or (format == "auto" and (named_so or bool(sign)))
    why = f" It was taken for CoNLL-U because {sign}; if it is raw text, say --format text." if sign else ""
    for_text = {"--lines": lines, "--tokenised": tokenised, "--contractions": contractions}
    if is_conllu:
        _refuse_options(for_text, f"{name} is CoNLL-U, which tells sentences and words itself", hint=why)
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
        numbered = _conllu(source, language, faults, why=why)
    else:
        text = read_lines(source, longest=LONGEST_LINE)
        if format == "auto":
            text = _without_conllu(text, name, faults)
        if lines or tokenised:
            numbered = _lines(text, language, name=name, tokenised=tokenised, contractions=known)
        else:
            numbered = _running_text(text, language, name=name, contractions=known)
    if_long = "Divide the sentence." if is_conllu or lines or tokenised else _DIVIDE_TEXT
    batches = _in_batches(trained, numbered, tags=wanted, name=name, faults=faults, if_long=if_long)
    if isinstance(out, Path):
        write_conllu(chain.from_iterable(batches), out)
    else:
        for batch in batches:  # each is flushed, so that whoever reads our output need not wait for the end
            write_conllu(batch, out)
    faults.raise_if_any(name)


def _refuse_options(given: Mapping[str, object], why: str, *, hint: str = "") -> None:
    """Refuse options that would change nothing here, rather than pass them over.

    Args:
        given: Values by option.
        why: Why they would change nothing.
        hint: What else may be done.
    """
    superfluous = [option for option, value in given.items() if value not in (None, False)]
    if superfluous:
        raise RecipeError(
            f"{', '.join(superfluous)}: found, but {why}. Expected no such option here. Leave it out.{hint}"
        )


class _Faults:
    """What to do with faults: raise the first, or tell of each and go on."""

    def __init__(self, on_fault: Report | None) -> None:
        self._on_fault = on_fault
        self.count = 0

    @property
    def end_it(self) -> bool:
        """Whether the first one is raised."""
        return self._on_fault is None

    def tell(self, fault: DataError) -> None:
        """Raise a fault, or tell of it."""
        if self._on_fault is None:
            raise fault
        self.count += 1
        self._on_fault(fault)

    def raise_if_any(self, name: str) -> None:
        """Say at the end how many there were."""
        if self.count:
            raise PartlyDone(
                f"{name}: {self.count:,} of its sentences could not be parsed, as told above. Expected none. The "
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
    if_long: str,
) -> Iterator[list["Sentence"]]:
    """Parse sentences, some hundred at a time; those that cannot be parsed stay as they are."""
    remaining = iter(numbered)
    while some := list(islice(remaining, SENTENCES_AT_A_TIME)):
        sound = []
        for line, sentence in some:
            objection = trained.objection(sentence, tags=tags, if_long=if_long)
            sound.append(objection is None)
            if objection is not None:
                faults.tell(DataError(f"{name}:{line}: the sentence {objection}"))
        trees = trained.parse((each for (_, each), good in zip(some, sound, strict=True) if good), tags=tags)
        yield [next(trees) if good else sentence for (_, sentence), good in zip(some, sound, strict=True)]


def _conllu(source: "Source", language: str, faults: _Faults, *, why: str) -> Iterator[tuple[int, "Sentence"]]:
    """Read CoNLL-U; where nothing of it could be read yet, a fault adds `why` it was taken for that."""
    from isogloss.corpus.conllu import iterate_numbered

    found = False

    def explained(fault: ConlluError) -> ConlluError:
        return fault if found else ConlluError(f"{fault}{why}")

    def tell(fault: ConlluError) -> None:
        faults.tell(explained(fault))

    try:
        for numbered in iterate_numbered(source, language=language, on_fault=None if faults.end_it else tell):
            found = True
            yield numbered
    except ConlluError as fault:
        raise explained(fault) from None


def _without_conllu(lines: Iterable[str], name: str, faults: _Faults) -> Iterator[str]:
    """Hand lines of raw text on, but empty ones in place of CoNLL-U among them, which is told of where it begins."""
    from isogloss.corpus.conllu_block import is_conllu_line

    inside, after_empty = False, True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            after_empty = True
            yield line
            continue
        found = is_conllu_line(line)
        if found and not inside:
            faults.tell(
                TextError(
                    f"{name}:{number}: here begins CoNLL-U ({line[:40]!r}), but the file begins as raw text. Expected "
                    f"one of them from beginning to end. Mend the first lines, or say --format conllu; if all of it is "
                    f"text, --format text."
                )
            )
        elif found and after_empty:
            faults.count += 1
        like_conllu = line.startswith("#") or (not after_empty and "\t" in line)  # a comment, or a damaged row
        inside = found or (inside and like_conllu)
        after_empty = False
        yield "" if inside else line


def _lines(
    lines: Iterable[str], language: str, *, name: str, tokenised: bool, contractions: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[int, "Sentence"]]:
    """Read raw text with one sentence a line, which its ``sent_id`` numbers."""
    from isogloss.corpus.raw_text import annotated_line

    found = False
    for number, line in enumerate(lines, start=1):
        sentence = annotated_line(
            line, language=language, tokenised=tokenised, contractions=contractions, sent_id=str(number)
        )
        if len(sentence):
            found = True
            yield number, sentence
    if not found:
        raise _no_words(name)


def _running_text(
    lines: Iterable[str], language: str, *, name: str, contractions: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[int, "Sentence"]]:
    """Read running text; its sentences are numbered, and told where paragraphs begin."""
    from isogloss.corpus.raw_text import annotated_line
    from isogloss.corpus.sentences import noticing_joined_lines, sentences_of

    found = 0
    for raw in sentences_of(noticing_joined_lines(lines, name=name), language=language):
        sentence = annotated_line(raw.text, language=language, contractions=contractions, sent_id=str(found + 1))
        if not len(sentence):
            continue
        found += 1
        if raw.opens_paragraph:
            sentence = replace(sentence, comments=("# newpar", *sentence.comments))
        yield raw.line, sentence
    if not found:
        raise _no_words(name)


def _no_words(name: str) -> TextError:
    return TextError(f"{name}: there are no words in this file. Expected text. Check that it is the right file.")
