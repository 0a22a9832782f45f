"""The command line: help that helps, commands that follow one another, output for people and for programs."""

import ast
import gzip
import importlib
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from safetensors.torch import load_file
from tests.encoders.slow_elmo import write_random_model
from torch.testing import assert_close

import isogloss
from isogloss.artifacts import hash_file
from isogloss.corpus.conllu import read_conllu
from isogloss.reports.results import rows_with_gaps

COMMANDS = [
    "run",
    "invent",
    "train-lm",
    "import-elmo",
    "export-elmo",
    "shrink-lm",
    "embed",
    "anchors",
    "merge-anchors",
    "static",
    "geometry",
    "align",
    "lexicon",
    "translate",
    "import-anchors",
    "export-anchors",
    "import-alignment",
    "export-alignment",
    "draw-contexts",
    "train-polyglot",
    "make-bundle",
    "models",
    "train-parser",
    "tune-parser",
    "add-language",
    "parse",
    "score",
    "report",
]


# The package


def names_for_type_checkers() -> dict[str, str]:
    """Return the public names that the package's source promises, with their modules."""
    tree = ast.parse(Path(isogloss.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    return {name.name: node.module for node in block.body for name in node.names}


def test_the_public_names_are_those_that_type_checkers_see():
    assert sorted(isogloss.__all__) == sorted(names_for_type_checkers())
    assert dir(isogloss) == sorted(names_for_type_checkers())


@pytest.mark.parametrize(("name", "module"), names_for_type_checkers().items())
def test_every_public_name_is_found_in_its_home(name, module):
    assert getattr(isogloss, name) is getattr(importlib.import_module(module), name)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'isogloss' has no attribute 'train_everything'"):
        isogloss.train_everything  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, isogloss; print([n for n in ('torch', 'numpy', 'pydantic', 'matplotlib') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "first", ["from isogloss import Run", "import isogloss.experiment", "from isogloss import run"]
)
def test_the_function_run_is_found_whatever_was_imported_before(first):
    code = f"{first}; from isogloss import run; print(callable(run))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "True\n", found.stderr


# Help


def test_help_lists_every_command(command):
    shown = command("--help")
    assert shown.status == 0
    for name in COMMANDS:
        assert f" {name} " in shown.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(command, name):
    shown = command(name, "--help")
    assert shown.status == 0
    assert "Example:" in shown.output
    assert f"isogloss {name}" in shown.output.replace("\n", " ")


def test_there_is_no_command_that_these_tests_forget(command):
    from isogloss.cli import app

    names = [info.name or info.callback.__name__.replace("_", "-") for info in app.registered_commands]
    assert sorted(names) == sorted(COMMANDS)


def test_the_version_is_printed(command):
    assert command("--version").output.startswith("isogloss ")


@pytest.mark.parametrize("words", [("compress",), ("run",), ("score", "--fast")])
def test_misused_commands_end_with_status_2(command, words):
    ended = command(*words)
    assert ended.status == 2
    assert "Traceback" not in ended.errors
    assert "Usage: " in ended.errors


# One command after another


@pytest.fixture(scope="module")
def family(tmp_path_factory, request) -> Path:
    """A family written by ``invent``, with language models, anchors and an alignment by the other commands."""
    from isogloss.corpus.invented import FamilySettings, write_family
    from isogloss.language_models import train_lm
    from isogloss.lexicon_commands import anchors
    from isogloss.mapping_commands import align

    folder = tmp_path_factory.mktemp("family")
    settings = FamilySettings(
        languages=("qal", "qel"), text_sentences=300, train_sentences=1, dev_sentences=1, test_sentences=4
    )
    (folder / "corpus").mkdir()
    write_family(folder / "corpus", settings)
    for language in ("qal", "qel"):
        text = folder / "corpus" / language / "text.txt"
        train_lm(text, folder / "models" / language, language=language, size="tiny")
        anchors(folder / "models" / language, text, folder / "anchors" / language, min_count=2)
    align(
        *(folder / "anchors" / language for language in ("qel", "qal")),
        folder / "mapping",
        dictionary=folder / "corpus" / "dictionaries" / "qel-qal.train.tsv",
        options={"too_few_pairs": "complete"},
    )
    return folder


def test_invent_writes_a_family_and_prints_where(command, tmp_path):
    ended = command("invent", "-o", tmp_path / "family", "-l", "qal", "--sentences", 20)
    assert (ended.status, ended.output) == (0, f"{tmp_path / 'family'}\n")
    assert len((tmp_path / "family" / "qal" / "text.txt").read_text().splitlines()) == 20


def test_train_lm_prints_the_card_as_json_and_trains_only_once(command, family):
    words = ("train-lm", family / "corpus" / "qel" / "text.txt", "-l", "qel", "-o", family / "models" / "qel")
    before = (family / "models" / "qel" / "manifest.json").stat().st_mtime_ns
    ended = command(*words, "--size", "tiny", "--json")
    card = json.loads(ended.output)
    assert card["language"] == "qel"
    assert card["forward_perplexity"] > 1
    assert (family / "models" / "qel" / "manifest.json").stat().st_mtime_ns == before
    assert ended.errors == "", "nothing to be done, nothing to be told"


def test_train_lm_prints_the_card_for_people(command, family):
    words = ("train-lm", family / "corpus" / "qel" / "text.txt", "-l", "qel", "-o", family / "models" / "qel")
    lines = command(*words, "--size", "tiny").output.splitlines()
    assert "language             qel" in lines
    assert any(line.startswith("forward perplexity   ") for line in lines)


def test_the_same_command_trains_the_same_model(command, family, tmp_path):
    words = ("train-lm", family / "corpus" / "qel" / "text.txt", "-l", "qel", "-o", tmp_path / "again")
    ended = command(*words, "--size", "tiny")
    assert ended.errors.splitlines()[-1].startswith("again: done in ")
    ours, theirs = (folder / "model.safetensors" for folder in (tmp_path / "again", family / "models" / "qel"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_anchors_say_how_many_word_types_they_hold(command, family, tmp_path):
    words = ("anchors", family / "models" / "qel", family / "corpus" / "qel" / "text.txt", "-o", tmp_path / "anchors")
    ended = command(*words, "--min-count", 2)
    types_written = len((tmp_path / "anchors" / "words.txt").read_text(encoding="utf-8").splitlines())
    assert ended.output == f"{types_written} word types in {tmp_path / 'anchors'}\n"


def test_align_prints_a_row_for_each_layer(command, family, tmp_path):
    pairs = family / "corpus" / "dictionaries"
    words = ("align", family / "anchors" / "qel", family / "anchors" / "qal", "-d", pairs / "qel-qal.train.tsv")
    options = ("--test", pairs / "qel-qal.test.tsv", "--few-pairs")
    rows = json.loads(command(*words, *options, "-o", tmp_path / "mapping", "--json").output)
    assert [row["layer"] for row in rows] == [0, 1, 2]
    assert all(0 <= row["precision@1"] <= 1 and row["usable_pairs"] > 10 for row in rows)
    lines = command(*words, *options, "-o", tmp_path / "mapping").output.splitlines()
    assert [line.partition(": precision@1 ")[0] for line in lines] == [f"qel→qal layer {n}" for n in range(3)]
    untested = command(*words, "--few-pairs", "-o", tmp_path / "other").output.splitlines()
    assert untested[0] == f"qel→qal layer 0: {rows[0]['usable_pairs']} pairs used"


def test_align_can_read_a_dictionary_from_right_to_left(command, family, tmp_path):
    pairs = family / "corpus" / "dictionaries" / "qel-qal.train.tsv"
    lines = [line.split("\t") for line in pairs.read_text(encoding="utf-8").splitlines()]
    (tmp_path / "qal-qel.tsv").write_text("".join(f"{b}\t{a}\n" for a, b in lines), encoding="utf-8")
    anchors = (family / "anchors" / "qel", family / "anchors" / "qal")
    words = ("align", *anchors, "-d", tmp_path / "qal-qel.tsv", "--turned", "--few-pairs")
    assert command(*words, "-o", tmp_path / "mapping").status == 0
    name = Path("layer-1", "alignment.safetensors")
    assert (tmp_path / "mapping" / name).read_bytes() == (family / "mapping" / name).read_bytes()


def test_embed_writes_one_tensor_for_each_line(command, family, tmp_path):
    lines = (family / "corpus" / "qel" / "text.txt").read_text(encoding="utf-8").splitlines()[:5]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "vectors.safetensors"
    ended = command("embed", family / "models" / "qel", tmp_path / "text.txt", "-o", out)
    assert ended.output == f"5 sentences in {out}\n"
    vectors = load_file(out)
    assert sorted(vectors) == ["0", "1", "2", "3", "4"]
    words = [line.replace(".", " .").replace(",", " ,").replace("?", " ?").split() for line in lines]
    assert [tuple(vectors[str(n)].shape) for n in range(5)] == [(3, len(line), 64) for line in words]


def test_a_line_without_words_keeps_its_number_and_has_no_vectors(command, family, tmp_path):
    (tmp_path / "text.txt").write_text("ჩტო\n\n  \nგუკო\n", encoding="utf-8")
    out = tmp_path / "vectors.safetensors"
    assert command("embed", family / "models" / "qel", tmp_path / "text.txt", "-o", out).status == 0
    assert sorted(load_file(out)) == ["0", "3"]


def test_embedding_does_not_depend_on_the_other_lines(command, family, tmp_path):
    lines = (family / "corpus" / "qel" / "text.txt").read_text(encoding="utf-8").splitlines()[:3]
    found = []
    for name, some in (("all", lines), ("last", lines[2:])):
        (tmp_path / f"{name}.txt").write_text("\n".join(some), encoding="utf-8")
        command("embed", family / "models" / "qel", tmp_path / f"{name}.txt", "-o", tmp_path / name)
        found.append(load_file(tmp_path / name))
    # Matrix products of other shapes sum in another order on some processors, which moves the last of seven digits.
    assert_close(found[0]["2"], found[1]["0"], rtol=0, atol=1e-5)


@pytest.fixture
def published(tmp_path) -> tuple[Path, Path]:
    """Weights and options of a small random model in the published format."""
    folder = tmp_path / "published"
    folder.mkdir()
    write_random_model(folder)
    return folder / "weights.hdf5", folder / "options.json"


def test_a_published_model_becomes_a_language_model_like_any_other(command, published, family, tmp_path):
    model = tmp_path / "models" / "qel"
    ended = command("import-elmo", *published, "-l", "qel", "-o", model)
    assert (ended.status, ended.output, ended.errors) == (0, f"3 layers, 12 wide, in {model}\n", "")
    manifest = json.loads((model / "manifest.json").read_text())
    assert (manifest["kind"], manifest["settings"]) == ("encoder", {"language": "qel"})
    hashes = {name: hash_file(path) for name, path in zip(("weights", "options"), published, strict=True)}
    assert manifest["inputs"] == hashes
    assert manifest["card"]["published_weights"] == "weights.hdf5"
    (tmp_path / "text.txt").write_text("ჩტო გუკო.\nგუკო\n", encoding="utf-8")
    assert command("embed", model, tmp_path / "text.txt", "-o", tmp_path / "vectors").status == 0
    assert [tuple(vectors.shape) for vectors in load_file(tmp_path / "vectors").values()] == [(3, 3, 12), (3, 1, 12)]
    text = family / "corpus" / "qel" / "text.txt"
    assert command("anchors", model, text, "-o", tmp_path / "anchors", "--min-count", 2).status == 0


def test_a_language_model_goes_out_in_the_published_format_and_comes_back(command, published, tmp_path):
    command("import-elmo", *published, "-l", "qel", "-o", tmp_path / "model")
    ended = command("export-elmo", tmp_path / "model", "-o", tmp_path / "out")
    assert (ended.status, ended.output, ended.errors) == (0, f"{tmp_path / 'out'}\n", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "options.json",
        "weights.hdf5",
    ]
    again = (tmp_path / "out" / "weights.hdf5", tmp_path / "out" / "options.json")
    assert command("import-elmo", *again, "-l", "qel", "-o", tmp_path / "again").status == 0
    files = [folder / "model.safetensors" for folder in (tmp_path / "model", tmp_path / "again")]
    assert files[0].read_bytes() == files[1].read_bytes()


# Running and parsing


def test_run_prints_tables_for_people_and_rows_for_programs(command, tiny_run, tiny_recipe):
    ended = command("run", tiny_recipe, "-o", tiny_run.folder)
    assert "qel test, unseen language" in ended.output
    assert "aligned (zero-shot)" in ended.output
    assert "qel→qal layer 1: precision@1 " in ended.output
    assert ended.output.splitlines()[-1].endswith("visuals/tree-qel.svg")
    assert ended.errors == "tiny: 40 stages, 40 of them already there\n"
    rows = json.loads(command("run", tiny_recipe, "-o", tiny_run.folder, "--json").output)
    assert rows == rows_with_gaps(tiny_run.scores)


def test_report_joins_the_scores_of_runs(command, tiny_run):
    rows = json.loads(command("report", tiny_run.folder, "--json").output)
    assert rows == rows_with_gaps(tiny_run.scores)
    assert "aligned (zero-shot)" in command("report", tiny_run.folder / "reports" / "scores.json").output


def test_score_prints_what_the_run_found(command, tiny_run):
    gold = tiny_run.folder / "corpus" / "qel" / "test.conllu"
    parsed = tiny_run.folder / "parsed" / "aligned-gold" / "qel-test.conllu"
    facts = json.loads(command("score", gold, parsed, "--json").output)
    expected = next(score for score in tiny_run.scores if (score.system, score.pos) == ("aligned", "gold"))
    assert (facts["words"], facts["las"]) == (expected.words, round(100 * expected.las, 4))
    assert facts["las_interval"][0] <= facts["las"] <= facts["las_interval"][1]
    assert f"las                  {facts['las']}" in command("score", gold, parsed).output.splitlines()


SPLIT = """1-2	al	_	_	_	_	_	_	_	_
1	a	_	ADP	_	_	3	case	_	_
2	el	_	DET	_	_	3	det	_	_
3	mar	_	NOUN	_	_	0	root	_	_

"""
WHOLE = """1	al	_	ADP	_	_	2	case	_	_
2	mar	_	NOUN	_	_	0	root	_	_

"""


def test_score_aligns_words_that_differ(command, tmp_path):
    (tmp_path / "gold.conllu").write_text(SPLIT, encoding="utf-8")
    (tmp_path / "system.conllu").write_text(WHOLE, encoding="utf-8")
    ended = command("score", tmp_path / "gold.conllu", tmp_path / "system.conllu")
    assert ended.output.splitlines() == [
        "The words of the two files differ: they were aligned by their characters, as in the CoNLL 2018 shared task.",
        "Precision, recall and F1 in per cent; how many there are in each file, and how many are right.",
        "",
        "metric     precision  recall  F1      gold  system  right",
        "tokens     100.00     100.00  100.00  2     2       2",
        "sentences  100.00     100.00  100.00  1     1       1",
        "words       50.00      33.33   40.00  3     2       1",
        "UPOS        50.00      33.33   40.00  3     2       1",
        "UAS         50.00      33.33   40.00  3     2       1",
        "LAS         50.00      33.33   40.00  3     2       1",
    ]
    facts = json.loads(command("score", tmp_path / "gold.conllu", tmp_path / "system.conllu", "--json").output)
    assert list(facts["metrics"]) == ["tokens", "sentences", "words", "upos", "uas", "las"]
    counts = {"gold": 3, "system": 2, "correct": 1}
    assert facts["metrics"]["las"] == {"precision": 50.0, "recall": 33.3333, "f1": 40.0, **counts}


def test_score_of_two_texts_is_one_clear_error(command, tmp_path):
    (tmp_path / "gold.conllu").write_text(SPLIT, encoding="utf-8")
    (tmp_path / "system.conllu").write_text(WHOLE.replace("mar", "mer"), encoding="utf-8")
    ended = command("score", tmp_path / "gold.conllu", tmp_path / "system.conllu")
    assert (ended.status, ended.output) == (2, "")
    assert ended.errors.startswith(
        "isogloss: Sentence 1 of the system file: after 3 characters that are the same (white space left out) comes "
        "'er'. Expected 'ar', as in the gold file (Sentence 1). Only trees of the same text can be compared"
    )
    assert ended.errors.count("\n") == 1


@pytest.mark.parametrize("standard", ["gold", "system"])
def test_score_reads_one_file_from_standard_input(command, tmp_path, monkeypatch, standard):
    texts = {"gold": SPLIT, "system": WHOLE}
    paths = {name: tmp_path / f"{name}.conllu" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text, encoding="utf-8")
    expected = command("score", *paths.values()).output
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(texts[standard].encode()))))
    assert command("score", *(paths | {standard: "-"}).values()).output == expected


def test_faults_on_standard_input_are_placed(command, tmp_path, monkeypatch):
    (tmp_path / "gold.conllu").write_text(SPLIT, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"1\tal\n\n"))))
    assert command("score", tmp_path / "gold.conllu", "-").errors.startswith("isogloss: standard input:1: 2 columns.")


def test_standard_input_cannot_be_both_files(command):
    ended = command("score", "-", "-")
    message = "isogloss: -: both files are standard input. Expected one of them at most. Name the other.\n"
    assert (ended.status, ended.errors) == (2, message)


def of_run(run) -> tuple[object, ...]:
    """Options of `parse` that choose a run's parser."""
    return "-l", "qel", "--run", run.folder


COMPRESS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", ["text.txt", "trees.conllu"])
def test_parse_reads_raw_text_and_conllu_plain_and_compressed(command, tiny_run, tmp_path, name, ending):
    corpus = tiny_run.folder / "corpus" / "qel"
    content = {
        "text.txt": b"".join((corpus / "text.txt").read_bytes().splitlines(True)[:7]),
        "trees.conllu": (corpus / "test.conllu").read_bytes(),
    }[name]
    (tmp_path / (name + ending)).write_bytes(COMPRESS[ending](content))
    lines = ("--lines",) if name == "text.txt" else ()
    ended = command("parse", tmp_path / (name + ending), *of_run(tiny_run), *lines, "-o", tmp_path / "parsed")
    assert (ended.status, ended.output, ended.errors) == (0, "", "")
    parsed = read_conllu(tmp_path / "parsed", require_trees=True)
    assert len(parsed) == (7 if name == "text.txt" else 12)


def test_parse_writes_to_standard_output_what_it_would_write_to_a_file(command, tiny_run, tmp_path):
    words = ("parse", tiny_run.folder / "corpus" / "qel" / "test.conllu", *of_run(tiny_run))
    command(*words, "-o", tmp_path / "parsed.conllu")
    assert command(*words).output == (tmp_path / "parsed.conllu").read_text(encoding="utf-8")
    command(*words, "-o", tmp_path / "parsed.conllu.gz")
    assert gzip.decompress((tmp_path / "parsed.conllu.gz").read_bytes()).decode() == command(*words).output


def test_parse_keeps_what_it_does_not_decide(command, tiny_run, tmp_path):
    path = tmp_path / "in.conllu"
    path.write_text(
        "# text = dámelo ya\n1-2\tdámelo\t_\t_\t_\t_\t_\t_\t_\t_\n1\tda\tdar\tVERB\tV\tMood=Imp\t_\t_\t_\tA=b\n"
        "2\tmelo\tlo\tPRON\t_\t_\t_\t_\t_\t_\n2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n3\tya\tya\tADV\t_\t_\t_\t_\t_\t_\n\n",
        encoding="utf-8",
    )
    lines = command("parse", path, *of_run(tiny_run)).output.splitlines()
    assert [line.split("\t")[0] for line in lines[1:6]] == ["1-2", "1", "2", "2.1", "3"]
    assert lines[0] == "# text = dámelo ya"
    assert lines[2].split("\t")[1:6] == ["da", "dar", "VERB", "V", "Mood=Imp"]


@pytest.mark.parametrize(
    "line",
    [
        "ტჟუ ხამბორა დუგკო.",
        "The quick brown fox.",
        "Съешь ещё этих французских булок.",
        "그는 집에 갔다.",
        "我想去北京。",
        "ज्ञान शक्ति है।",
        "هذا كتاب جديد.",
        "👩‍👩‍👧 ok!",
        "x",
        "a" * 5000,
        "word " * 400,
        "\u200bhidden\u00a0spaces \ufeff",
    ],
    ids=lambda line: line[:8],
)
def test_parse_takes_any_script(command, tiny_run, tmp_path, line):
    (tmp_path / "text.txt").write_text(line + "\n", encoding="utf-8")
    ended = command("parse", tmp_path / "text.txt", *of_run(tiny_run), "-o", tmp_path / "parsed")
    assert ended.status == 0, ended.errors
    (sentence,) = read_conllu(tmp_path / "parsed", require_trees=True)
    assert "".join(sentence.forms).replace(" ", "") in "".join(line.split()) or sentence.multiword_tokens


def test_parse_skips_blank_lines(command, tiny_run, tmp_path):
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbf\n\none two.\r\n   \n\nthree.\n\n")
    command("parse", tmp_path / "text.txt", *of_run(tiny_run), "-o", tmp_path / "parsed")
    assert [sentence.forms for sentence in read_conllu(tmp_path / "parsed")] == [("one", "two", "."), ("three", ".")]


def test_parse_takes_words_as_they_are_if_asked(command, tiny_run, tmp_path):
    (tmp_path / "text.txt").write_text("one two. three\n")
    command("parse", tmp_path / "text.txt", *of_run(tiny_run), "--tokenised", "-o", tmp_path / "parsed")
    (sentence,) = read_conllu(tmp_path / "parsed")
    assert sentence.forms == ("one", "two.", "three")


# Real processes


def shell(words: list[object], *, output: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with its output sent somewhere by a shell."""
    line = " ".join([sys.executable, "-m", "isogloss", *map(str, words), output])
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_reader_that_has_seen_enough_causes_no_complaint(tiny_run, tmp_path):
    text = tmp_path / "long.txt"
    text.write_text((tiny_run.folder / "corpus" / "qel" / "text.txt").read_text(encoding="utf-8") * 4, encoding="utf-8")
    ended = shell(["parse", text, *of_run(tiny_run)], output="| head -n 2")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_told(tiny_run):
    gold = tiny_run.folder / "corpus" / "qel" / "test.conllu"
    ended = shell(["score", gold, gold], output="> /dev/full")
    assert ended.returncode == 2
    message = "isogloss: standard output: writing failed (No space left on device). Expected room for the result. "
    assert ended.stderr.startswith(message)
    assert ended.stderr.count("\n") == 1


def test_an_error_in_a_worker_process_is_one_line(tiny_run, tiny_recipe, tmp_path):
    shutil.copytree(tiny_run.folder / "corpus", tmp_path / "run" / "corpus")
    shutil.copy(tiny_run.folder / "recipe.json", tmp_path / "run")
    words = ["run", tiny_recipe, "-o", tmp_path / "run", "--set", "compute.workers=1"]
    words += ["--set", "parsing.systems='[\"static\"]'", "--set", "static.min_count=100000"]
    ended = shell(words, output="")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if line.startswith("isogloss: ")]) == 1
