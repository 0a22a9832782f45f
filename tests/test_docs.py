"""Our documents are true: their Python works as it stands, block after block, and what they copy is what there is."""

import itertools
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = ["README.md", "docs/tour.md", "docs/extending.md"]


def python_blocks(text: str) -> list[tuple[int, str]]:
    """Return the Python blocks of a Markdown text, each with the number of its first line."""
    return [(text.count("\n", 0, block.start(1)) + 1, block[1]) for block in BLOCK.finditer(text)]


def test_blocks_are_found_with_their_lines():
    text = "# Title\n\n```python\nfirst = 1\n```\n\n```sh\nmake test\n```\n\n```python\nsecond = 2\n\nthird = 3\n```\n"
    assert python_blocks(text) == [(4, "first = 1\n"), (12, "second = 2\n\nthird = 3\n")]


@pytest.mark.slow  # each trains something; up to half a minute
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_python_of_a_document_runs_in_order(name, tmp_path, monkeypatch):
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = python_blocks(text)
    assert blocks or not text.strip(), f"{name}: no ```python block was found. Add one, or take it off DOCUMENTS."
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "documents"}
    for line, block in blocks:
        # Blank lines before it let a traceback name the line of the document.
        exec(compile("\n" * (line - 1) + block, name, "exec"), namespace)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))], ids=str
)
def test_links_inside_the_documents_lead_somewhere(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (path.parent / link).exists()]
    assert not missing, f"{path.name} links to {missing}"


def table_below(text: str, start: str) -> dict[str, dict[str, str]]:
    """Return the first Markdown table after `start`: of each row, by its first cell, the other cells by heading."""
    lines = text[text.index(start) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in itertools.takewhile(lambda line: line.startswith("|"), lines[first:]):
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    headings, _, *body = rows
    return {name: dict(zip(headings[1:], cells, strict=True)) for name, *cells in body}


def test_the_results_of_the_models_are_those_of_their_bundle():
    languages = json.loads((ROOT / "models" / "bundle.json").read_text(encoding="utf-8"))["languages"]
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    expected = {split: dict.fromkeys(languages, "–") for split in ("test", "pud")}
    for code, facts in languages.items():
        for row in facts["scores"]:
            shares = (row["las"], row["uas"], row["upos"])
            expected[row["split"]][code] = " / ".join(f"{100 * share:.1f}" for share in shares)
    assert table_below(text, "### The models that come with the project") == expected
    sure = table_below(text, "How sure the parser is")
    added = "Turkish added"  # in the table, and not in the bundle
    of = {heading: heading.removesuffix(" (unseen)") for heading in sure["LAS"] if heading != added}
    assert sorted(of.values()) == sorted(languages)
    assert {heading: sure["confidence"][heading] for heading in of} == {
        heading: f"{languages[code]['confidence']:.2f}" for heading, code in of.items()
    }
    assert {heading: sure["LAS"][heading] for heading in of} == {
        heading: expected["test"][code].split(" / ")[0] for heading, code in of.items()
    }
