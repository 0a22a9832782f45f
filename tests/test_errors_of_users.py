"""What people get wrong, through the command line: exit status 2, one clear line, nothing half-written.

A message names the place, what was found, what was expected and what to do next.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.encoders.slow_elmo import write_random_model

GOOD = (
    "1\tShe\t_\tPRON\t_\t_\t2\tnsubj\t_\t_\n"
    "2\tsaw\t_\tVERB\t_\t_\t0\troot\t_\t_\n"
    "3\tit\t_\tPRON\t_\t_\t2\tobj\t_\t_\n\n"
)


def check(ended, *, lines: int = 1) -> str:
    """Check that a command ended as it should, and return what it complained of."""
    assert ended.status == 2, ended
    assert "Traceback" not in ended.errors
    assert ended.output == ""
    assert len(ended.complaints) == lines, ended.errors
    assert ended.errors.splitlines()[-lines:] == ended.complaints, "the complaint comes last"
    return "\n".join(ended.complaints)


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def nothing_new(tmp_path):
    """Check at the end that the test's folder holds what it held when `remember` was called."""
    kept: list[set[str]] = []

    def remember() -> None:
        kept.append(below(tmp_path))

    yield remember
    assert kept, "the test forgot to remember"
    assert below(tmp_path) == kept[-1]


# CoNLL-U

BROKEN = {
    "nine columns": (
        GOOD.replace("root\t_\t_", "root\t_"),
        r":2: 9 columns. Expected 10, separated by tabs. Write _ for a value that is not there",
    ),
    "a head out of range": (
        GOOD.replace("\t2\tobj", "\t17\tobj"),
        r":3: HEAD is 17, but the sentence has 3 words. Heads run from 0 \(root\) to 3",
    ),
    "a cycle": (
        GOOD.replace("\t2\tnsubj", "\t3\tnsubj").replace("\t2\tobj", "\t1\tobj"),
        r":1: the heads form a cycle: 1 → 3 → 1. Every path of heads ends at the root, 0. Correct one of them",
    ),
    "two roots": (
        GOOD.replace("\t2\tobj", "\t0\tobj"),
        r":3: HEAD of word 3 is 0, but word 2 is the root already. A tree has one root. Attach one of them",
    ),
    "no root": (
        GOOD.replace("\t0\troot", "\t1\troot"),
        r":1: no word has HEAD 0 \(the heads go round: 1 → 2 → 1\). A tree has one root. Give the root HEAD 0",
    ),
    "ids out of order": (
        GOOD.replace("3\tit", "4\tit"),
        r":3: ID is '4', but the word before it has ID 2. Expected 3. Number the words 1, 2, 3 … in order",
    ),
    "a head that is no number": (
        GOOD.replace("\t2\tobj", "\ttwo\tobj"),
        r":3: HEAD is 'two'. Expected a number, 0 for the root, or _ for none. Correct the column",
    ),
    "an empty file": ("", r":1: the file is empty: it holds no sentence. Expected CoNLL-U. Check that"),
    "not UTF-8": (
        GOOD.replace("She", "Sh\udce9"),
        r":1: byte 4 of the file is 0xe9, which is not UTF-8 there. CoNLL-U is UTF-8. Convert the file",
    ),
}


@pytest.fixture(params=BROKEN, ids=lambda name: name.replace(" ", "-"))
def broken(request, tmp_path):
    content, words = BROKEN[request.param]
    path = tmp_path / "broken.conllu"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    return path, f"^isogloss: {path}{words}"


def matches(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(message)


def test_score_refuses_broken_trees(command, broken, nothing_new):
    path, words = broken
    good = path.with_name("good.conllu")
    good.write_text(GOOD)
    nothing_new()
    matches(words, check(command("score", path, good)))
    matches(words, check(command("score", good, path)))


def test_parse_refuses_broken_trees(command, broken, nothing_new, tiny_run):
    path, words = broken
    nothing_new()
    out = path.with_name("out.conllu")
    matches(words, check(command("parse", path, "-l", "qel", "--run", tiny_run.folder, "-o", out)))


def test_run_refuses_broken_trees(command, broken, tmp_path):
    _, words = broken
    for name in ("train", "dev"):
        (tmp_path / f"{name}.conllu").write_text(GOOD)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\nreference = "aa"\ncompute = { workers = 0 }\n'
        '[corpus.aa]\ntreebank = { train = "train.conllu", dev = "dev.conllu", test = "broken.conllu" }\n'
        '[parsing]\ntrain_on = ["aa"]\ntest_on = ["aa"]\nsystems = ["pos-only"]\n'
        "[parsing.parser]\nhidden_width = 4\nlstm_layers = 1\nloop = { max_steps = 1 }\n"
    )
    matches(words, check(command("run", recipe, "-o", tmp_path / "run")))
    left = below(tmp_path / "run")
    assert "parsing/pos-only-gold/manifest.json" in left, "what was finished before is kept"
    assert not [name for name in left if "partial" in name or name.startswith(("reports", "parsed/pos"))]


def test_a_tree_without_heads_cannot_be_scored(command, tmp_path, nothing_new):
    bare = tmp_path / "bare.conllu"
    bare.write_text(GOOD.replace("\t2\tobj", "\t_\t_"))
    nothing_new()
    message = check(command("score", bare, bare))
    matches(r"bare.conllu:3: HEAD of word 3 is _. Expected a whole tree here. Annotate the word", message)


def test_trees_of_another_text_cannot_be_scored(command, tmp_path, nothing_new):
    for name, content in (("gold", GOOD), ("system", GOOD.replace("She", "He"))):
        (tmp_path / f"{name}.conllu").write_text(content)
    nothing_new()
    message = check(command("score", tmp_path / "gold.conllu", tmp_path / "system.conllu"))
    matches(r"Sentence 1 of the system file: after 0 characters .* comes 'Hesawit'. Expected 'Shesawit', as", message)


def test_a_parser_that_reads_tags_needs_tags(command, tmp_path, tiny_run, nothing_new):
    (tmp_path / "raw.txt").write_text("a b c\n")
    nothing_new()
    words = (
        "parse",
        tmp_path / "raw.txt",
        "-l",
        "qel",
        "--run",
        tiny_run.folder,
        "--pos",
        "gold",
        "-o",
        tmp_path / "x",
    )
    matches(r"raw.txt: is raw text, and .* reads tags. Expected CoNLL-U. Give such", check(command(*words)))


# Raw text

TEXTS = {
    "missing": (None, r"text.txt: (there is )?no such file. Expected a .*file.*. Check the path"),
    "empty": (b"", r"text.txt: "),
    "blank": (b"\n  \n\n", r"text.txt: "),
    "UTF-16": ("one two\n".encode("utf-16"), r"text.txt: the text is UTF-16. Expected UTF-8. Convert it"),
    "cut short": (b"\x1f\x8b\x08\x00\x00", r"text.txt: the compressed file is damaged or cut short"),
}


@pytest.fixture(params=TEXTS, ids=lambda name: name.replace(" ", "-"))
def bad_text(request, tmp_path):
    content, words = TEXTS[request.param]
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    return path, words


def test_train_lm_refuses_bad_text(command, bad_text, nothing_new):
    path, words = bad_text
    nothing_new()
    matches(words, check(command("train-lm", path, "-l", "aa", "-o", path.parent / "model", "--size", "tiny")))


def test_anchors_embed_and_parse_refuse_bad_text(command, bad_text, nothing_new, tiny_run):
    path, words = bad_text
    model, out = tiny_run.folder / "encoders" / "qel", path.parent / "out"
    nothing_new()
    matches(words, check(command("anchors", model, path, "-o", out)))
    matches(words, check(command("embed", model, path, "-o", out)))
    matches(words, check(command("parse", path, "-l", "qel", "--run", tiny_run.folder, "-o", out)))


def test_a_text_that_is_too_short_to_learn_from_is_refused(command, tmp_path, nothing_new):
    (tmp_path / "text.txt").write_text("one two three\n" * 5)
    nothing_new()
    words = ("train-lm", tmp_path / "text.txt", "-l", "aa", "-o", tmp_path / "model", "--size", "tiny")
    matches(r"text.txt: 5 sentences with 15 words to train on. A language model needs", check(command(*words)))


# Dictionaries


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"house casa\n", r"pairs.tsv:1: found no tab in 'house casa'. Expected a word, one tab and its"),
        (b"a\tb\nhouse\tcasa\thaus\n", r"pairs.tsv:2: found 3 columns. Expected a word, one tab"),
        (b"a\tb\n\tcasa\n", r"pairs.tsv:2: the source word is empty. Expected a word"),
        (b"a\tb\nh\xe9\tcasa\n", r"pairs.tsv:2: not UTF-8 \(byte 0xe9 at position 2\). Expected a word"),
        (b"", r"pairs.tsv: the file is empty. A dictionary has at least one line"),
        (b"house\tcasa\n", r"Alignment qel→qal has 0 usable dictionary pairs; at least 10 are needed. The dict"),
        (None, r"pairs.tsv: cannot be read \(No such file or directory\). Expected a file of lines"),
    ],
)
def test_align_refuses_a_bad_dictionary(command, tmp_path, tiny_run, nothing_new, content, words):
    path = tmp_path / "pairs.tsv"
    if content is not None:
        path.write_bytes(content)
    nothing_new()
    anchors = [tiny_run.folder / "lexicon" / language for language in ("qel", "qal")]
    matches(words, check(command("align", *anchors, "-d", path, "-o", tmp_path / "mapping")))


def test_align_wants_as_many_pairs_as_dimensions(command, tmp_path, tiny_run, nothing_new):
    lines = (tiny_run.folder / "corpus" / "dictionaries" / "qel-qal.train.tsv").read_text().splitlines(True)
    (tmp_path / "pairs.tsv").write_text("".join(lines[:14]))
    nothing_new()
    anchors = [tiny_run.folder / "lexicon" / language for language in ("qel", "qal")]
    message = check(command("align", *anchors, "-d", tmp_path / "pairs.tsv", "-o", tmp_path / "mapping"))
    matches(r"Alignment qel→qal has 1\d dictionary pairs; width 16 needs at least 16. Add pairs, or", message)


def test_align_wants_folders_of_anchors(command, tmp_path, tiny_run, nothing_new):
    pairs = tiny_run.folder / "corpus" / "dictionaries" / "qel-qal.train.tsv"
    anchors = tiny_run.folder / "lexicon" / "qal"
    nothing_new()
    out = tmp_path / "mapping"
    message = check(command("align", tiny_run.folder / "encoders" / "qel", anchors, "-d", pairs, "-o", out))
    matches(r"encoders/qel: holds 'encoder'. Expected 'anchors'. Check which folder you named", message)
    message = check(command("align", tmp_path / "nowhere", anchors, "-d", pairs, "-o", out))
    matches(r"nowhere: no such folder. Expected a folder written by isogloss. Check the path", message)


# Published models


@pytest.fixture
def published(tmp_path) -> Path:
    """A folder with a small random model in the published format."""
    write_random_model(tmp_path)
    return tmp_path


def test_import_elmo_refuses_files_that_are_not_there(command, published, nothing_new):
    for name in ("weights.hdf5", "options.json"):
        (published / name).rename(published / "aside")
        nothing_new()
        words = ("import-elmo", published / "weights.hdf5", published / "options.json", "-l", "aa")
        message = check(command(*words, "-o", published / "model"))
        matches(rf"{name}: no such file. Expected .* Check the path", message)
        (published / "aside").rename(published / name)
    nothing_new()


def test_import_elmo_refuses_files_in_the_wrong_order(command, published, nothing_new):
    nothing_new()
    words = ("import-elmo", published / "options.json", published / "weights.hdf5", "-l", "aa")
    message = check(command(*words, "-o", published / "model"))
    matches(r"weights.hdf5: not readable as JSON \(.*\). Expected the options of ELMo weights. Check that", message)


def test_import_elmo_refuses_options_of_another_model(command, published, nothing_new):
    path = published / "options.json"
    path.write_text(path.read_text().replace('"dim": 10', '"dim": 11'))
    nothing_new()
    message = check(command("import-elmo", published / "weights.hdf5", path, "-l", "aa", "-o", published / "model"))
    matches(r"weights.hdf5, RNN_0/.*/W_0: found shape \(12, 40\). Expected \(12, 44\), as .*options.json says", message)


def test_import_elmo_refuses_weights_cut_short(command, published, nothing_new):
    path = published / "weights.hdf5"
    path.write_bytes(path.read_bytes()[:5000])
    nothing_new()
    words = ("import-elmo", path, published / "options.json", "-l", "aa", "-o", published / "model")
    matches(r"weights.hdf5: not readable as hdf5 \(.*truncated.*\). Expected ELMo weights", check(command(*words)))


def test_export_elmo_refuses_a_model_with_vectors_of_word_types(command, tiny_run, tmp_path, nothing_new):
    nothing_new()
    message = check(command("export-elmo", tiny_run.folder / "encoders" / "qel", "-o", tmp_path / "out"))
    matches(r"Language model of 'qel': \d+ word types have vectors .* Expected 0: .* --size original", message)


# Recipes and options


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("encoders.layers=3", r"tiny.toml, encoders.layers: unknown key. Did you mean encoders\.\w+\? Valid keys"),
        ("encoders.epochs='three'", r"tiny.toml, encoders.epochs: found 'three'; the value should be a whole n"),
        ("parsing.test_on=['zz']", r"tiny.toml, parsing.test_on: 'zz' is not in \[invented.languages\], which has"),
        ("reference=zz", r"tiny.toml, reference: 'zz' is not in \[invented.languages\], which has qal, qbe, qel. Add"),
        ("seed", r"--set seed: found no '='. Expected KEY=VALUE"),
    ],
)
def test_run_refuses_a_wrong_recipe(command, tmp_path, tiny_recipe, nothing_new, override, words):
    nothing_new()
    matches(words, check(command("run", tiny_recipe, "-o", tmp_path / "run", "--set", override)))


def test_run_tells_all_faults_of_a_recipe_at_once(command, tmp_path, tiny_recipe, nothing_new):
    nothing_new()
    words = ("--set", "seed='x'", "--set", "encoders.epoch=3")
    message = check(command("run", tiny_recipe, "-o", tmp_path / "run", *words), lines=2)
    assert f"isogloss: {tiny_recipe}, seed: found 'x'" in message
    assert f"isogloss: {tiny_recipe}, encoders.epoch: unknown key" in message


def test_run_refuses_a_recipe_whose_files_are_missing(command, tmp_path, nothing_new):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\nreference = "aa"\n[corpus.aa]\ntext = "aa.txt"\ntreebank = { train = "a", dev = "b" }\n'
        '[parsing]\ntrain_on = ["aa"]\ntest_on = ["aa"]\ntest_splits = ["dev"]\nsystems = ["unaligned"]\n'
    )
    nothing_new()
    message = check(command("run", recipe, "-o", tmp_path / "run"))
    matches(r"recipe.toml, corpus.aa.text: .*aa.txt: no such file. Expected a file. Paths are relative", message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train-lm", "{text}", "-l", "aa", "--size", "huge"), r"--size: found 'huge'. Expected one of tiny, small"),
        (("train-lm", "{text}", "-l", "aa", "--epochs", "0"), r"epochs: found 0. Expected a value greater than 0"),
        (("train-lm", "{text}", "-l", "aa", "--max-sentences", "0"), r"max_sentences: found 0. Expected a value"),
        (("train-lm", "{text}", "-l", "aa", "--threads", "0"), r"threads: found 0. Expected a value greater than"),
        (("invent", "--sentences", "-1"), r"text_sentences: found -1. Expected a value greater than or equal to 0"),
        (("invent", "-l", "xx"), r"languages: found xx; expected some of qal, qbe"),
        (("anchors", "{run}/encoders/qel", "{text}", "--min-count", "0"), r"min_count: found 0. Expected a value"),
        (("anchors", "{run}/lexicon/qel", "{text}"), r"lexicon/qel: holds 'anchors'. Expected 'encoder'. Check"),
        (("export-elmo", "{run}/lexicon/qel"), r"lexicon/qel: holds 'anchors'. Expected 'encoder'. Check"),
        (
            ("align", "{run}/lexicon/qel", "{run}/lexicon/qal", "-d", "{text}", "--normalisation", "unitary"),
            r"normalisation: found 'unitary'. Expected 'none', 'unit', 'centre', 'unit_centre_unit' or",
        ),
        (
            ("parse", "{text}", "--run", "{text}", "-l", "qel"),
            r"text.txt: holds no readable recipe.json. Expected the folder",
        ),
        (
            ("parse", "{text}", "--run", "{run}", "-l", "qel", "--system", "best"),
            r"parsing/best-none: no such parser. The run",
        ),
        (
            ("parse", "{text}", "--run", "{run}", "-l", "qco"),
            r"language 'qco': not in this run. Expected one of qal, qbe, qel",
        ),
    ],
)
def test_wrong_options_are_refused(command, tmp_path, tiny_run, nothing_new, words, message):
    shutil.copy(tiny_run.folder / "corpus" / "qel" / "text.txt", tmp_path / "text.txt")
    nothing_new()
    filled = [word.format(text=tmp_path / "text.txt", run=tiny_run.folder) for word in words]
    matches(message, check(command(*filled, "-o", tmp_path / "out")))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"scores.json: no such file. Expected the scores of a finished run. Check the path"),
        ("[", r"scores.json: cannot be read as JSON .* Expected a list of scores"),
        ('[{"system": "aligned"}]', r"scores.json, row 1: no 'language', .* Expected the keys"),
    ],
)
def test_report_refuses_what_are_no_scores(command, tmp_path, nothing_new, content, words):
    path = tmp_path / "scores.json"
    if content is not None:
        path.write_text(content)
    nothing_new()
    matches(words, check(command("report", path)))


# Places to write to

EVERY_WRITER = pytest.mark.parametrize(
    "words",
    [
        ("run", "{recipe}"),
        ("invent", "-l", "qal", "--sentences", "10"),
        ("train-lm", "{run}/corpus/qel/text.txt", "-l", "qel", "--size", "tiny"),
        ("anchors", "{run}/encoders/qel", "{run}/corpus/qel/text.txt"),
        ("import-elmo", "{published}/weights.hdf5", "{published}/options.json", "-l", "qel"),
        ("export-elmo", "{imported}"),
        ("embed", "{run}/encoders/qel", "{text}"),
        ("align", "{run}/lexicon/qel", "{run}/lexicon/qal", "-d", "{run}/corpus/dictionaries/qel-qal.train.tsv"),
        ("parse", "{run}/corpus/qel/test.conllu", "-l", "qel", "--run", "{run}"),
    ],
    ids=lambda words: words[0],
)


@pytest.fixture(scope="session")
def imported(tmp_path_factory):
    """A folder with a published model as a language model of ours; the published files lie beside it."""
    from isogloss.commands import import_elmo

    folder = tmp_path_factory.mktemp("published")
    write_random_model(folder)
    import_elmo(folder / "weights.hdf5", folder / "options.json", folder / "imported", language="qel")
    return folder / "imported"


@pytest.fixture
def write_with(command, tiny_run, tiny_recipe, imported, tmp_path_factory):
    """Run a command of `EVERY_WRITER` with a place to write to."""
    text = tmp_path_factory.mktemp("texts") / "text.txt"
    text.write_text("".join((tiny_run.folder / "corpus" / "qel" / "text.txt").read_text().splitlines(True)[:20]))

    def write(words, out):
        places = {"run": tiny_run.folder, "recipe": tiny_recipe, "text": text}
        places |= {"published": imported.parent, "imported": imported}
        return command(*(word.format(**places) for word in words), "-o", out)

    return write


@EVERY_WRITER
def test_a_place_below_a_file_cannot_be_written(write_with, tmp_path, nothing_new, words):
    (tmp_path / "file").write_text("mine")
    nothing_new()
    matches(str(tmp_path / "file"), check(write_with(words, tmp_path / "file" / "out")))
    assert (tmp_path / "file").read_text() == "mine"


@EVERY_WRITER
def test_a_folder_that_holds_something_else_is_not_replaced(write_with, tmp_path, nothing_new, words):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    nothing_new()
    message = check(write_with(words, tmp_path / "out"))
    assert f"isogloss: {tmp_path / 'out'}: " in message
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


@EVERY_WRITER
def test_an_artifact_of_another_kind_is_not_replaced(write_with, tmp_path, nothing_new, tiny_run, words):
    shutil.copytree(tiny_run.folder / "static" / "qel", tmp_path / "out")
    nothing_new()
    check(write_with(words, tmp_path / "out"))


@pytest.fixture
def mounted(tmp_path):
    """Mount a small file system: ``mounted("size=300k")`` returns its folder."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folders = []

    def mount(options: str) -> Path:
        folder = tmp_path / "mounted"
        folder.mkdir(exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        result = subprocess.run(words, capture_output=True, text=True)
        if result.returncode:
            pytest.skip(f"no file system can be mounted here: {result.stderr.strip()}")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


@EVERY_WRITER
def test_a_full_disk_is_told_and_nothing_is_left(write_with, mounted, words):
    folder = mounted("size=4k")
    message = check(write_with(words, folder / "out"))
    matches(r"(the disk is full|No space left on device)", message)
    assert below(folder) <= {"out", "out/.lock", "out/log.jsonl", "out/recipe.json"}, "of a run, where it stopped"
    if (folder / "out" / "recipe.json").exists():
        json.loads((folder / "out" / "recipe.json").read_text())


@EVERY_WRITER
def test_a_read_only_disk_is_told(write_with, mounted, words):
    folder = mounted("ro,size=300k")
    message = check(write_with(words, folder / "out"))
    matches(r"(?i)read-only", message)
    assert below(folder) == set()


def test_a_run_whose_disk_fills_up_keeps_what_is_finished(command, mounted, tiny_recipe):
    folder = mounted("size=300k")
    message = check(command("run", tiny_recipe, "-o", folder / "run"))
    matches(r"the disk is full. Free some space and run the same command again", message)
    assert not list(folder.rglob("*.partial"))
    if (folder / "run" / "corpus").exists():
        assert (folder / "run" / "corpus" / "manifest.json").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("kind", ["parse", "embed"])
def test_a_full_device_is_told(command, tiny_run, kind):
    folder = tiny_run.folder
    words = {
        "parse": ("parse", folder / "corpus" / "qel" / "test.conllu", "-l", "qel", "--run", folder),
        "embed": ("embed", folder / "encoders" / "qel", folder / "corpus" / "qel" / "test.conllu"),
    }
    message = check(command(*words[kind], "-o", "/dev/full"))
    matches(r"/dev/full: writing failed \(No space left on device\). Expected .* Nothing was changed; free", message)
    assert Path("/dev/full").is_char_device(), "a device is never replaced"


@pytest.mark.parametrize(
    "words",
    [("embed", "{run}/encoders/qel", "{text}"), ("parse", "{text}", "-l", "qel", "--run", "{run}")],
    ids=lambda w: w[0],
)
def test_a_file_in_a_folder_that_is_not_there_is_refused(command, tiny_run, tmp_path, nothing_new, words):
    (tmp_path / "text.txt").write_text("one two\n")
    nothing_new()
    filled = (word.format(run=tiny_run.folder, text=tmp_path / "text.txt") for word in words)
    message = check(command(*filled, "-o", tmp_path / "no" / "out"))
    matches(r"no/out: writing failed \(No such file or directory\). Expected a folder that exists", message)


@pytest.mark.parametrize("kind", ["parse", "embed"])
def test_a_folder_in_place_of_a_file_is_refused_before_any_work(command, tiny_run, tmp_path, monkeypatch, kind):
    words = {
        "parse": ("parse", tiny_run.folder / "corpus" / "qel" / "test.conllu", "-l", "qel", "--run", tiny_run.folder),
        "embed": ("embed", tiny_run.folder / "encoders" / "qel", tiny_run.folder / "corpus" / "qel" / "test.conllu"),
    }
    monkeypatch.setattr("isogloss.parsing_files.load_trained", lambda *_, **__: pytest.fail("nothing is to be loaded"))
    (tmp_path / "out").mkdir()
    message = check(command(*words[kind], "-o", tmp_path / "out"))
    matches(
        r"/out: is a folder\. Expected the name of a file to write\. Name one in it, such as .*/out/NAME\.", message
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


# Signals


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "stopped. What is finished is kept; give the same command again to go on."),
        (("add-language", "gl"), "stopped. What is finished is kept; give the same command again to go on."),
        (("align",), "stopped. No file was written."),
        (("parse", "text.txt"), "stopped. No file was written."),
        (("tune-parser",), "stopped. No file was written."),
        (("score",), "stopped. No file was written."),
        (("models",), "stopped. No file was written."),
    ],
    ids=lambda w: w[0] if isinstance(w, tuple) else "",
)
def test_whoever_is_ended_by_a_signal_says_so_in_one_line_as_for_ctrl_c(command, monkeypatch, words, said):
    def ended_while_working() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("isogloss.__main__._run", ended_while_working)
    try:
        ended = command(*words)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (ended.status, ended.output) == (130, "")
    assert ended.errors == f"isogloss: {said}\n"


def test_only_commands_that_there_are_go_on_after_a_stop():
    from isogloss.__main__ import RESUMABLE
    from isogloss.cli import app

    assert set(RESUMABLE) <= {info.name or info.callback.__name__.replace("_", "-") for info in app.registered_commands}
