"""The command parse, right after installation: any file in, valid trees out, and what is wrong said with its line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isogloss.bundle import open_bundle, write_bundle
from isogloss.bundle_commands import make_bundle
from isogloss.corpus.conllu import parse_conllu, read_conllu, read_treebank
from isogloss.corpus.plain_text import plain
from isogloss.errors import ConlluError, DataError, PartlyDone, TextError
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.training import train_parser
from isogloss.parsing_files import parse
from isogloss.trained import MOST_WORDS, load_trained


@pytest.fixture(scope="session")
def models(tiny_run, tmp_path_factory) -> Path:
    """Models of the tiny run whose parser, hardly trained, has a tagger. Read only."""
    folder = tmp_path_factory.mktemp("bundles") / "models"
    bundle = make_bundle(tiny_run.folder, folder, pos="none")
    trees = read_treebank(tiny_run.folder / "corpus" / "qal" / "train.conllu", language="qal")
    size = {"lstm_layers": 1, "hidden_width": 12, "arc_width": 12, "relation_width": 12, "upos_width": 6}
    wanted = ParserSettings(upos="predicted", **size, loop={"max_steps": 20, "evaluate_every": 20})
    parser = train_parser(load_trained(tiny_run.folder).space, [trees], settings=wanted, seed=1)
    parser.save(folder / "parser")
    write_bundle(folder, reference=bundle.reference, languages=bundle.languages, parser=bundle.parser)
    return folder


@pytest.fixture
def parsed(models, tmp_path):
    """Parse a text of Elgari to a file, and read the trees."""

    def parse_content(content: str | bytes, **options):
        name = "in.conllu" if options.pop("conllu", False) else "in.txt"
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        parse(tmp_path / name, tmp_path / "out.conllu", language="qel", models=models, **options)
        return read_conllu(tmp_path / "out.conllu")

    return parse_content


def word(number: int, form: str = "x", upos: str = "_") -> str:
    return f"{number}\t{form}\t_\t{upos}" + "\t_" * 6 + "\n"


def sentence(*forms: str, upos: str = "_") -> str:
    return "".join(word(number, form, upos) for number, form in enumerate(forms, start=1)) + "\n"


BROKEN = sentence("a", "b").replace("2\t", "3\t")


# Raw text


def test_running_text_becomes_sentences_in_paragraphs(parsed):
    found = parsed("Ena dva. Tri\nštiri! Pet?\n\n\nŠest je zadnji.\n")
    assert [each.forms for each in found] == [
        ("Ena", "dva", "."),
        ("Tri", "štiri", "!"),
        ("Pet", "?"),
        ("Šest", "je", "zadnji", "."),
    ]
    assert [each.comments for each in found] == [
        ("# newpar", "# sent_id = 1", "# text = Ena dva."),
        ("# sent_id = 2", "# text = Tri štiri!"),
        ("# sent_id = 3", "# text = Pet?"),
        ("# newpar", "# sent_id = 4", "# text = Šest je zadnji."),
    ]


def test_a_sentence_a_line_if_asked(parsed):
    found = parsed("Ena. Dva.\n\nTri\nštiri\n", lines=True)
    assert [each.comments for each in found] == [
        ("# sent_id = 1", "# text = Ena. Dva."),
        ("# sent_id = 3", "# text = Tri"),
        ("# sent_id = 4", "# text = štiri"),
    ]


def test_words_that_are_apart_already_stay_as_they_are(parsed):
    assert [each.forms for each in parsed("e.g. a-b ?!x\n", tokenised=True)] == [("e.g.", "a-b", "?!x")]


def test_contractions_of_the_user_become_multiword_tokens(parsed, tmp_path):
    (tmp_path / "list.tsv").write_text("skozi\ts kozi\n")
    (found,) = parsed("Skozi okno.", contractions=tmp_path / "list.tsv")
    assert found.forms == ("S", "kozi", "okno", ".")
    assert found.multiword_tokens[0].form == "Skozi"


def test_a_parser_with_a_tagger_tags_what_has_no_tags(parsed):
    (found,) = parsed("Ena dva.")
    assert all(each.upos != "_" for each in found.words)


STRANGE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=60)


@given(STRANGE)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_whole(parsed, text):
    if not plain(text).split():
        return
    found = parsed(text, lines=False)
    written = "".join("".join((each.comment("text") or "").split()) for each in found)
    assert written == "".join(plain(text).split())
    assert all(each.has_tree for each in found)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000,
        "слово " * 2_000,
        "mixed смешанный ανάμεικτο مختلط 混合 hàn 👩‍👩‍👧.",
        "\u200b \u00a0 a",
        "…",
        "U\u0308ber \u200fשלום",
    ],
    ids=["a long word", "2,000 words", "mixed scripts", "hidden spaces", "a mark alone", "apart"],
)
def test_what_is_unusual_is_parsed(parsed, text):
    assert all(each.has_tree for each in parsed(text))


# CoNLL-U

FULL = (
    "# newdoc id = a\n# sent_id = s1\n# text = dámelo ya\n1-2\tdámelo" + "\t_" * 8 + "\n"
    "1\tda\tdar\tVERB\tV\tMood=Imp\t0\troot\t0:root\tA=b\n2\tmelo\tlo\tPRON\t_\t_\t1\tobj\t1:obj\t_\n"
    "2.1\tx\t_\tVERB\t_\t_\t_\t_\t1:conj\t_\n3\tya\tya\tADV\t_\t_\t1\tadvmod\t1:advmod|2.1:advmod\t_\n\n"
)


def test_everything_but_the_tree_passes_through(parsed, tmp_path):
    parsed(FULL, conllu=True)

    def bare(text: str) -> list[list[str]]:
        rows = [line.split("\t") for line in text.splitlines()]
        return [row[:6] + row[8:] for row in rows]

    assert bare((tmp_path / "out.conllu").read_text(encoding="utf-8")) == bare(FULL)


@pytest.mark.parametrize(("tags", "kept"), [("auto", True), ("given", True), ("predicted", False)])
def test_tags_are_read_or_found_as_wished(parsed, tags, kept):
    (found,) = parsed(sentence("a", "b", "c", upos="X"), conllu=True, tags=tags)
    assert all(each.upos == "X" for each in found.words) == kept, "hardly any tag is X"


def test_where_a_word_has_no_tag_the_parser_finds_all(parsed):
    one, other = parsed(word(1, upos="X") + word(2) + "\n" + sentence("a", "b", upos="X"), conllu=True)
    assert "_" not in {each.upos for each in one.words}
    assert {each.upos for each in other.words} == {"X"}


def test_tags_that_are_not_there_cannot_be_read(parsed):
    with pytest.raises(ConlluError, match=r"in.txt: is raw text, and this parser reads tags. Expected CoNLL-U. Give"):
        parsed("Ena dva.", tags="given")


@pytest.mark.parametrize("level", [2])
def test_the_official_validator_finds_nothing_to_complain_of(models, tiny_run, tmp_path, level):
    text = tiny_run.folder / "corpus" / "qel" / "text.txt"
    (tmp_path / "in.txt").write_text(
        text.read_text(encoding="utf-8")[:3000] + "\n\nNew. Paragraph!\n", encoding="utf-8"
    )
    (tmp_path / "full.conllu").write_text(FULL, encoding="utf-8")
    for name in ("in.txt", "full.conllu"):
        parse(tmp_path / name, tmp_path / f"{name}.out", language="qel", models=models)
        validator = [Path(sys.executable).with_name("udvalidate"), "--lang", "es", "--level", "2"]
        ended = subprocess.run([*validator, tmp_path / f"{name}.out"], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr


# Which of the two

MIXED = "1 La la DET _ _ 2 det\n2 casa casa NOUN _ _ 0 root\n\n" + FULL + sentence("a", "b")
BEGINS = (
    r"in.txt:4: here begins CoNLL-U \('# sent_id = s1'\), but the file begins as raw text. Expected one of them from "
)
BEGINS += r"beginning to end. Mend the first lines, or say --format conllu; if all of it is text, --format text.$"


def without_newdoc(text: str) -> str:
    return text.replace("# newdoc id = a\n", "")


@pytest.mark.parametrize("options", [{}, {"lines": True}, {"tokenised": True}])
def test_conllu_in_raw_text_is_refused_by_its_line(parsed, options):
    with pytest.raises(TextError, match=BEGINS):
        parsed(without_newdoc(MIXED), **options)


@pytest.mark.parametrize("options", [{"lines": True}, {"tokenised": True}])
def test_text_right_below_conllu_is_not_lost(parsed, tmp_path, options):
    faults: list[object] = []
    block = word(1).rstrip("\n") + "\n2\ta damaged row\n"
    with pytest.raises(PartlyDone, match=r"in.txt: 1 of its sentences could not be parsed"):
        parsed("Ena dva.\n" + block + "Tri.\nPet.\n\nSem.\n", **options, on_fault=faults.append)
    assert len(faults) == 1
    found = read_conllu(tmp_path / "out.conllu")
    assert [each.comment("text") for each in found] == ["Ena dva.", "Tri.", "Pet.", "Sem."]


@pytest.mark.parametrize("options", [{}, {"lines": True}, {"tokenised": True}])
def test_conllu_in_raw_text_is_told_of_once_and_left_out(parsed, tmp_path, options):
    faults: list[object] = []
    with pytest.raises(PartlyDone, match=r"in.txt: 2 of its sentences could not be parsed"):
        parsed(without_newdoc(MIXED) + "Ena dva.\n# tri\n", **options, on_fault=faults.append)
    (fault,) = faults
    assert re.search(BEGINS, str(fault))
    found = read_conllu(tmp_path / "out.conllu")
    texts = " ".join(each.comment("text") or "" for each in found)
    assert texts == "1 La la DET _ _ 2 det 2 casa casa NOUN _ _ 0 root Ena dva. # tri"


def test_a_malformed_first_line_loses_its_sentence_alone_if_a_comment_says_what_it_is(parsed, tmp_path):
    faults: list[object] = []
    with pytest.raises(PartlyDone, match=r"in.txt: 1 of its sentences could not be parsed"):
        parsed("# text = La\n1 La la DET\n\n" + sentence("a", "b"), on_fault=faults.append)
    assert "in.txt:2: 1 columns. Expected 10, separated by tabs." in str(faults[0])
    assert str(faults[0]).endswith(
        "It was taken for CoNLL-U because line 1 is a comment as sentences of CoNLL-U have it; if it is raw text, say "
        "--format text."
    )
    assert [each.forms for each in read_conllu(tmp_path / "out.conllu")] == [("a", "b")]


def test_what_is_wrong_after_good_conllu_is_not_put_down_to_its_format(parsed):
    with pytest.raises(ConlluError, match=r"Number the words 1, 2, 3 … in order.$"):
        parsed(sentence("a", "b") + BROKEN)
    with pytest.raises(
        ConlluError, match=r"in order. It was taken for CoNLL-U because line 1 has 10 columns parted by"
    ):
        parsed(BROKEN)


def test_a_first_line_with_many_tabs_but_no_number_is_text(parsed):
    (found,) = parsed("a\tb\tc\td\te\tf\tg\th\ti\tj.")
    assert found.forms == (*"abcdefghij", ".")


def test_the_format_is_as_the_user_says(parsed):
    (found,) = parsed(word(1, "Ena"), format="text", lines=True)
    assert found.forms == ("1", "Ena", *"________")
    (found,) = parsed(sentence("a", "b"), conllu=True, format="text")
    assert found.forms[:2] == ("1", "a")
    with pytest.raises(
        ConlluError, match=r"in.txt:1: 1 columns. Expected 10, separated by tabs. Write _ .* sentence.$"
    ):
        parsed("Ena dva.", format="conllu")


def test_headlines_joined_are_told_of(parsed, caplog):
    parsed("Ena Dva\nTri Štiri\nPet\nŠest\nSedem\n")
    assert len(caplog.messages) == 1
    assert "in.txt: 5 of the first 5 lines have no mark that ends a sentence" in caplog.messages[0]
    parsed("Ena Dva\nTri Štiri\nPet\nŠest\nSedem\n", lines=True)
    assert len(caplog.messages) == 1


def test_of_a_sentence_too_long_in_running_text_it_is_said_that_lines_may_be_meant(parsed):
    long = "Ena dva tri\n" * (MOST_WORDS // 3 + 1)
    with pytest.raises(
        DataError, match=r"3,000 at most. Divide it; or, if every line of the text is a sentence, say --l"
    ):
        parsed(long)
    with pytest.raises(
        DataError, match=r"in.txt:1: the sentence has 3,003 words.* 3,000 at most. Divide the sentence.$"
    ):
        parsed(long.replace("\n", " "), lines=True)


# Faults


def test_without_keep_going_the_first_fault_ends_it_and_nothing_is_written(parsed, tmp_path):
    with pytest.raises(ConlluError, match=r"in.conllu:5: ID is '3', but the word before it has ID 1. Expected 2"):
        parsed(sentence("a", "b") + BROKEN + sentence("c"), conllu=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.conllu"]


def test_keep_going_tells_of_faults_and_parses_the_rest(command, models, tmp_path):
    long = sentence(*["w"] * (MOST_WORDS + 1))
    (tmp_path / "in.conllu").write_text(sentence("a", "b") + BROKEN + long + sentence("c"))
    words = ("parse", tmp_path / "in.conllu", "-l", "qel", "--models", models, "--keep-going", "-o", tmp_path / "out")
    ended = command(*words)
    assert ended.status == 4
    first, second, last = ended.complaints
    assert f"{tmp_path}/in.conllu:5: ID is '3', but the word before it has ID 1. Expected 2" in first
    assert f"in.conllu:7: the sentence has {MOST_WORDS + 1:,} words, each of which may depend on any other." in second
    assert "in.conllu: 2 of its sentences could not be parsed, as told above. Expected none. The others are" in last
    one, unparsed, other = read_conllu(tmp_path / "out")
    assert (one.forms, other.forms) == (("a", "b"), ("c",))
    assert one.has_tree and other.has_tree
    assert len(unparsed) == MOST_WORDS + 1 and not unparsed.has_tree, "what is well-formed is handed on as it is"


def test_keep_going_writes_the_same_where_nothing_is_wrong(parsed, tmp_path):
    faults: list[object] = []
    parsed(FULL, conllu=True, on_fault=faults.append)
    lenient = (tmp_path / "out.conllu").read_bytes()
    parsed(FULL, conllu=True)
    assert (tmp_path / "out.conllu").read_bytes() == lenient
    assert not faults


def test_words_without_tags_are_passed_over_if_tags_must_be_read(parsed):
    faults: list[object] = []
    with pytest.raises(PartlyDone, match=r"in.conllu: 1 of its sentences could not be parsed"):
        parsed(sentence("a", "b") + sentence("c", upos="X"), conllu=True, tags="given", on_fault=faults.append)
    assert str(faults[0]).endswith("--tags predicted, or --pos none.")
    assert "in.conllu:1: the sentence has no universal tags" in str(faults[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-l", "xx"), r"language 'xx': not among the models in .*. Expected one of qal \(Alvan\), .*add-language xx"),
        (("-l", "qel", "--tags", "some"), r"--tags: found 'some'. Expected auto, given, predicted. Choose one."),
        (("-l", "qel", "--run", "x"), r"--models and --run: found both. Expected one of them. Leave one out."),
        (("-l", "qel", "--format", "xml"), r"--format: found 'xml'. Expected auto, text, conllu. Choose one."),
        (("-l", "qel", "--threads", "0"), r"threads: found 0. Expected a value greater than or equal to 1. Change"),
        (("-l", "qel", "--pos", "gold"), r"--pos: found, but they choose a parser of a run, and --run names none. Exp"),
        (("-l", "qel", "--system", "static", "--pos", "none"), r"--system, --pos: found, but they choose a par"),
        (("-l", "qel", "--contractions", "x.tsv", "--tokenised"), r"--contractions: found, but --tokenised leaves wor"),
        (("-l", "qel", "--contractions", "x.tsv"), r"x.tsv: there is no such file. Expected a file to read. Check"),
    ],
)
def test_what_cannot_be_meant_is_refused(command, models, tmp_path, words, message):
    (tmp_path / "in.txt").write_text("Ena dva.\n")
    ended = command("parse", tmp_path / "in.txt", "--models", models, *words, "-o", tmp_path / "out")
    assert (ended.status, ended.output, len(ended.complaints)) == (2, "", 1), ended
    assert re.search(message, ended.errors), ended.errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("--lines",), ("--tokenised",), ("--contractions", "x.tsv")])
def test_options_for_raw_text_are_refused_with_conllu_before_models_are_looked_for(command, tmp_path, words):
    (tmp_path / "in.conllu").write_text(sentence("a", "b"))
    ended = command("parse", tmp_path / "in.conllu", "-l", "qel", "--models", tmp_path / "none", *words)
    assert (ended.status, ended.output, len(ended.complaints)) == (2, "", 1), ended
    expected = rf"{words[0]}: found, but .*in.conllu is CoNLL-U, which tells sentences and words itself. Expected no"
    assert re.search(expected, ended.errors), ended.errors


def test_a_parser_without_a_tagger_finds_no_tags(command, tiny_run, tmp_path):
    (tmp_path / "in.txt").write_text("Ena dva.\n")
    ended = command("parse", tmp_path / "in.txt", "-l", "qel", "--run", tiny_run.folder, "--tags", "predicted")
    assert ended.status == 2
    assert "--tags: found 'predicted', and this parser has no tagger. Expected auto. Leave the option" in ended.errors


# Streams


def run_parse(*words: object, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "isogloss", "parse", *map(str, words)], capture_output=True, **options)


def test_standard_input_is_parsed_like_a_file(models, parsed, tmp_path):
    parsed("Ena dva. Tri!\n")
    ended = run_parse("-", "-l", "qel", "--models", models, input=b"Ena dva. Tri!\n")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == (tmp_path / "out.conllu").read_bytes()


def test_trees_come_out_while_text_goes_in(models):
    """Whoever feeds a pipe gets trees before the end of the text: after as many sentences as are parsed together."""
    words = [sys.executable, "-m", "isogloss", "parse", "-", "-l", "qel", "--models", str(models)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"Ena dva.\n\n" * 300)
        process.stdin.flush()
        assert process.stdout.readline() == b"# newpar\n"
        process.stdin.close()
        assert process.stdout.read().count(b"# text") == 300


def test_neither_trees_nor_errors_depend_on_where_batches_end(models, parsed):
    texts = [sentence(*["ab"] * (1 + number % 7)) for number in range(600)]
    many = parsed("".join(texts), conllu=True)
    few = [parsed(text, conllu=True)[0] for text in texts[:7]]
    assert list(many[:7]) == few
    assert many[:7] == many[7:14]
    assert len(many) == 600


def test_the_models_of_the_environment_are_used(monkeypatch, models, tmp_path):
    monkeypatch.setenv("ISOGLOSS_MODELS", str(models))
    (tmp_path / "in.txt").write_text("Ena dva.")
    parse(tmp_path / "in.txt", tmp_path / "out", language="qal")
    assert len(parse_conllu((tmp_path / "out").read_text())) == 1
    assert json.loads((open_bundle().folder / "bundle.json").read_text())["reference"] == "qal"
