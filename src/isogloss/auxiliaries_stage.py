"""The stage that finds the auxiliaries of a language whose trees a parser never saw; see `parsing/auxiliaries.py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isogloss.artifacts import write_atomically
from isogloss.recipe import LanguageCorpus
from isogloss.stages import SpacePlan, load_space

AUXILIARIES, WORDS = "auxiliaries", "words.txt"
"""Folder within a run, and the file of one word a line in each of its own."""


def make_auxiliaries(
    draft: Path, *, space: SpacePlan, parser: Path, corpus: LanguageCorpus, language: str
) -> Mapping[str, Any]:
    """Find the auxiliaries of a language in its raw text, with a parser that never saw a tree of it."""
    from isogloss.corpus.raw_text import read_text
    from isogloss.parsing.auxiliaries import SENTENCES, find_auxiliaries
    from isogloss.parsing.parser import Parser

    assert corpus.text is not None
    limit = min(SENTENCES, corpus.max_sentences or SENTENCES)
    sentences = read_text(corpus.text, language=language, tokenised=corpus.tokenised, limit=limit)
    found = find_auxiliaries(Parser.load(parser), sentences, load_space(space))
    write_atomically(draft / WORDS, "".join(f"{word}\n" for word in found))
    return {"auxiliaries": list(found)}
