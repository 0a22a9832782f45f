"""`align` by the command line: with a dictionary, with nothing, from files of vectors; and what it refuses."""

import itertools
import json
import re
from pathlib import Path

import pytest
import torch
from tests.endings import below, refusal

from isogloss.lexicon import anchor_sources
from isogloss.lexicon.anchor_files import save_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.word2vec_text import read_word2vec_text, write_word2vec_text
from isogloss.lexicon_commands import key_of_anchors
from isogloss.mapping.alignment import load_alignment

TYPES, WIDTH = 400, 16
FAST = ("--set", "patience=1", "--set", "shown=0.4", "--set", "growth=3.0")


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(layer: int) -> torch.Tensor:
    """The map from gl to es that is planted in a layer."""
    return torch.linalg.qr(normal(90 + layer, WIDTH, WIDTH)).Q


def clusters(seed: int, types: int = TYPES) -> torch.Tensor:
    """A space with a shape, as that of words: clusters of different sizes and spreads."""
    generator = torch.Generator().manual_seed(seed)
    sizes = 0.7 ** torch.arange(10, dtype=torch.float64)
    cluster = torch.multinomial(sizes, types, replacement=True, generator=generator)
    spread = torch.rand(10, WIDTH, generator=generator, dtype=torch.float64)
    return (2 * normal(seed + 1, 10, WIDTH))[cluster] + spread[cluster] * normal(seed + 2, types, WIDTH)


def words_of(language: str, types: int = TYPES) -> list[str]:
    """Fifty names that all languages share; the others end with the language's code."""
    names = [f"name{row}" for row in range(50)]
    return [*names, *(f"w{row}{language}" for row in range(50, types))]


def write_anchors(folder: Path, language: str, layers: dict[int, torch.Tensor]) -> Path:
    counts = range(TYPES, 0, -1)
    save_anchors(
        folder,
        [
            Anchors.of_vectors(
                words_of(language, len(each)), each, language=language, layer=layer, counts=counts[: len(each)]
            )
            for layer, each in layers.items()
        ],
    )
    return folder


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """Anchors of gl and of es, which is gl turned; layers 0 and 2."""
    spaces = {0: clusters(1), 2: clusters(11)}
    turned = {layer: vectors @ rotation(layer) for layer, vectors in spaces.items()}
    return write_anchors(tmp_path / "gl", "gl", spaces), write_anchors(tmp_path / "es", "es", turned)


def write_dictionary(path: Path, rows: range, *, turned: bool = False) -> Path:
    lines = ((f"w{row}gl", f"w{row}es") for row in rows)
    path.write_text("".join("\t".join(reversed(line) if turned else line) + "\n" for line in lines), encoding="utf-8")
    return path


def is_planted(folder: Path, *layers: int) -> bool:
    return all(torch.allclose(load_alignment(folder / f"layer-{n}").matrix, rotation(n), atol=1e-6) for n in layers)


# With a dictionary


@pytest.mark.parametrize("turned", [False, True])
def test_a_dictionary_gives_the_map_of_every_layer(command, pair, tmp_path, turned):
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 200), turned=turned)
    test = write_dictionary(tmp_path / "test.tsv", range(190, 250), turned=turned)
    out = tmp_path / "mapping"
    words = ("align", *pair, "-o", out, "-d", fit, "--test", test, "--json")
    ended = command(*words, *(["--turned"] if turned else []))
    assert ended.status == 0, ended.errors
    rows = json.loads(ended.output)
    assert [row["layer"] for row in rows] == [0, 2]
    assert [(row["source"], row["target"], row["method"]) for row in rows] == [("gl", "es", "procrustes")] * 2
    assert [row["usable_pairs"] for row in rows] == [100, 100]
    assert [row["precision@1"] for row in rows] == [1.0, 1.0]
    assert [row["test_pairs_dropped"] for row in rows] == [10, 10], "words it was fitted on do not judge it"
    assert [row["test_words_dropped"] for row in rows] == [10, 10]
    assert [row["tested_words"] for row in rows] == [50, 50]
    assert json.loads((out / "precision.json").read_text(encoding="utf-8")) == rows
    assert is_planted(out, 0, 2)
    assert not list(out.parent.glob(".*")), "no draft is left"


def test_words_that_cannot_judge_are_told(command, pair, tmp_path):
    fit, out = write_dictionary(tmp_path / "fit.tsv", range(100, 200)), tmp_path / "mapping"
    test = tmp_path / "test.tsv"
    lines = [*(f"W{row}GL\tw{row}es" for row in range(195, 205)), "w205gl\tunknown", "unknown\tw206es"]
    test.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    left_out = "gl→es: 5 words left out, since the alignment was found from them"
    judged = [f"gl→es layer {n}: precision@1 1.000, @5 1.000 (5 test words, CSLS; coverage 71.4 %)" for n in (0, 2)]
    assert command("align", *pair, "-o", out, "-d", fit, "--test", test).output.splitlines() == [*judged, left_out]
    assert (out / "fitted.txt").read_text(encoding="utf-8") == "".join(f"w{row}gl\n" for row in range(100, 200))
    heading, *table, last = command("lexicon", out, "-d", test).output.splitlines()
    assert (heading.split()[-2:], len(table), last) == (["coverage,", "%"], 4, left_out)
    assert [line.split()[-2:] for line in table] == [["5", "71.4"]] * 4
    where = ("--source-anchors", pair[0], "--target-anchors", pair[1], "--json")
    (row, _) = json.loads(command("lexicon", out / "layer-2", "-d", test, *where).output)
    assert (row["test_words_dropped"], row["test_pairs_dropped"], row["tested_words"]) == (5, 5, 5)
    (out / "fitted.txt").write_bytes(b"\xff\n")
    message = refusal(command("lexicon", out / "layer-2", "-d", test, *where))
    assert re.search(r"mapping/fitted.txt: cannot be read .* It holds a word on each line, in UTF-8. Align", message)


def test_words_from_which_an_alignment_was_found_do_not_judge_it(command, pair, tmp_path):
    fit, out = write_dictionary(tmp_path / "fit.tsv", range(100, 200)), tmp_path / "mapping"
    told = r"fit.tsv: every word of it is also in {}. Expected words that had no part in it. Name another file."
    message = refusal(command("align", *pair, "-o", out, "-d", fit, "--test", fit))
    assert re.search(told.format(r".*fit.tsv, from which the alignment is found"), message)
    assert command("align", *pair, "-o", out, "-d", fit).status == 0
    message = refusal(command("lexicon", out, "-d", fit))
    assert re.search(told.format(r"the dictionary from which .*mapping was found"), message)


def test_a_test_without_a_known_word_is_refused_before_the_work(command, pair, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.mapping_stage._fit_layers", lambda *_, **__: pytest.fail("was fitted"))
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 200))
    (tmp_path / "test.tsv").write_text("w7gl\tunknown\nw300gl\tunknown\nunknown\tw8es\n", encoding="utf-8")
    message = refusal(command("align", *pair, "-o", tmp_path / "mapping", "-d", fit, "--test", tmp_path / "test.tsv"))
    assert message.startswith(
        "Translation test gl→es, layer 0: of 3 dictionary pairs 1 source words have anchors, but none together"
    )
    assert not (tmp_path / "mapping").exists()


def test_without_a_dictionary_all_words_judge(command, pair, tmp_path):
    test, out = write_dictionary(tmp_path / "test.tsv", range(190, 250)), tmp_path / "mapping"
    ended = command("align", *pair, "-o", out, *FAST, "--test", test)
    assert ended.output.splitlines()[0].endswith("(60 test words, CSLS; coverage 100.0 %)"), ended.errors
    assert not (out / "fitted.txt").exists()
    assert "left out" not in ended.output + command("lexicon", out, "-d", test).output


def test_the_anchors_are_named_by_relative_paths_and_keys(command, pair, tmp_path):
    fit, out = write_dictionary(tmp_path / "fit.tsv", range(100, 200)), tmp_path / "deep" / "down" / "mapping"
    assert command("align", *pair, "-o", out, "-d", fit).status == 0
    named = json.loads((out / "anchors.json").read_text(encoding="utf-8"))
    assert named == {
        "source": "../../../gl",
        "target": "../../../es",
        "source_key": key_of_anchors(pair[0]),
        "target_key": key_of_anchors(pair[1]),
    }
    assert named["source_key"] != named["target_key"]
    assert (out / named["source"]).resolve() == pair[0].resolve()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["source_anchors"] == named["source_key"]
    assert manifest["inputs"]["target_anchors"] == named["target_key"]
    assert manifest["settings"]["method"]["method"] == "procrustes"


def test_alignments_behind_a_link_find_their_anchors(command, pair, tmp_path):
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 200))
    (tmp_path / "far" / "away" / "disk").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away" / "disk")
    (tmp_path / "gl-link").symlink_to(pair[0])
    out = tmp_path / "link" / "mapping"
    assert command("align", tmp_path / "gl-link", pair[1], "-o", out, "-d", fit).status == 0
    for place in (out, tmp_path / "far" / "away" / "disk" / "mapping"):
        ended = command("lexicon", place, "w100gl", "-k", 1, "--layer", 0)
        assert ended.output.startswith("w100gl\tw100es\t"), ended.errors


def test_options_reach_the_road(command, pair, tmp_path):
    fit, out = write_dictionary(tmp_path / "fit.tsv", range(100, 200)), tmp_path / "mapping"
    options = ("--normalisation", "iterative", "--refinements", 2, "--selection", "held_out", "--weighting", 0.3)
    ended = command("align", *pair, "-o", out, "-d", fit, *options, "--set", "refinement_types=300", "--json")
    assert ended.status == 0, ended.errors
    settings = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["settings"]["method"]
    expected = {"normalisation": "iterative", "refinements": 2, "selection": "held_out", "weighting": 0.3}
    assert settings == settings | expected | {"refinement_types": 300}
    assert all(len(row["held_out_by_round"]) == 3 for row in json.loads(ended.output))
    assert load_alignment(out / "layer-0").source_weighting is not None


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [("normalisation=centre", "normalisation", "centre"), ("refinements=1", "refinements", 1)],
)
def test_set_also_sets_what_has_an_option_of_its_own(command, pair, tmp_path, assignment, name, value):
    fit, out = write_dictionary(tmp_path / "fit.tsv", range(100, 200)), tmp_path / "mapping"
    assert command("align", *pair, "-o", out, "-d", fit, "--set", assignment).status == 0
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["settings"]["method"][name] == value


def test_rcsls_by_its_name(command, pair, tmp_path):
    fit, out = write_dictionary(tmp_path / "fit.tsv", range(100, 300)), tmp_path / "mapping"
    ended = command("align", *pair, "-o", out, "-d", fit, "--method", "rcsls", "--set", "steps=2", "--json")
    assert ended.status == 0, ended.errors
    assert [(row["method"], row["steps"] <= 2) for row in json.loads(ended.output)] == [("rcsls", True)] * 2


# With nothing


def test_without_a_dictionary_words_that_are_alike_lead_to_the_map(command, pair, tmp_path):
    out = tmp_path / "mapping"
    ended = command("align", *pair, "-o", out, *FAST, "--json")
    assert ended.status == 0, ended.errors
    rows = json.loads(ended.output)
    assert [(row["method"], row["seed_pairs"], row["seeds"]) for row in rows] == [
        ("self_learning", "identical", 50)
    ] * 2
    assert is_planted(out, 0, 2)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["guide"] == "lowest"


LATIN = ["".join(letters) for letters in itertools.permutations("abvgdez", 6)][:TYPES]
CYRILLIC = [word.translate(str.maketrans("abvgdez", "абвгдез")) for word in LATIN]


@pytest.mark.parametrize(
    ("words", "seed_pairs", "told"),
    [
        (LATIN, "identical", ""),
        (CYRILLIC, "cognates", rf"gl→es: 0 words are spelt alike, 20 are needed; begins from {TYPES} kindred."),
        (
            [f"слов{row}" for row in range(TYPES)],
            "none",
            r"0 words are spelt alike and 0 kindred, 20 are needed; begins",
        ),
    ],
)
def test_without_a_dictionary_the_seed_is_what_both_languages_have(
    command, tmp_path, caplog, monkeypatch, words, seed_pairs, told
):
    read, space = [], clusters(1)

    def reading(path: Path, **how):
        read.append(path)
        return read_word2vec_text(path, **how)

    monkeypatch.setattr(anchor_sources, "read_word2vec_text", reading)
    source, target = tmp_path / "gl.vec", tmp_path / "es.vec"
    write_word2vec_text(source, words, space)
    write_word2vec_text(target, LATIN, space @ rotation(0))
    languages = ("--source-language", "gl", "--target-language", "es")
    ended = command("align", source, target, "-o", tmp_path / "mapping", *languages, *FAST, "--json")
    assert ended.status == 0, ended.errors
    assert [row["seed_pairs"] for row in json.loads(ended.output)] == [seed_pairs]
    assert is_planted(tmp_path / "mapping", 0)
    assert re.search(told, caplog.text) if told else not caplog.text
    assert read == [source, target], "each file is read once"


def test_files_of_vectors_are_aligned_by_their_shape_alone(command, tmp_path):
    space, out = clusters(1), tmp_path / "mapping"
    write_word2vec_text(tmp_path / "gl.vec", [f"a{row}" for row in range(TYPES)], space)
    write_word2vec_text(tmp_path / "es.vec", [f"b{row}" for row in range(TYPES)], space @ rotation(0))
    words = ("align", tmp_path / "gl.vec", tmp_path / "es.vec", "-o", out, "--seed-pairs", "none", *FAST, "--json")
    message = refusal(command(*words))
    assert re.search(r"gl.vec: the language is not known, for a file of word vectors does not name it", message)
    assert not out.exists()
    ended = command(*words, "--source-language", "gl", "--target-language", "es")
    assert ended.status == 0, ended.errors
    (row,) = json.loads(ended.output)
    assert (row["source"], row["target"], row["layer"], row["seeds"]) == ("gl", "es", 0, 0)
    assert is_planted(out, 0)
    assert json.loads((out / "anchors.json").read_text(encoding="utf-8"))["source"] == "../gl.vec"


@pytest.mark.parametrize("guide", ["lowest", "2", "own"])
def test_one_layer_guides_the_others_or_each_its_own(command, tmp_path, guide):
    # In layer 2 the words of the two languages have nothing to do with one another.
    space = clusters(1)
    source = write_anchors(tmp_path / "gl", "gl", {0: space, 2: clusters(11)})
    target = write_anchors(tmp_path / "es", "es", {0: space @ rotation(0), 2: clusters(51)})
    words = ("align", source, target, *FAST, "--seed-pairs", "none")
    ended = command(*words, "--set", "runs=2", "-o", tmp_path / "mapping", "--guide", guide)
    if guide == "lowest":
        assert ended.status == 0, ended.errors
        assert is_planted(tmp_path / "mapping", 0)
    else:
        assert refusal(ended, status=3).startswith("Alignment gl→es, layer 2: 2 runs")


def test_other_vectors_can_be_the_guide(command, tmp_path):
    space = clusters(1)
    guides = [
        write_anchors(tmp_path / "static-gl", "gl", {0: space}),
        write_anchors(tmp_path / "static-es", "es", {0: space @ rotation(0)}),
    ]
    ball = normal(5, TYPES, WIDTH)  # without a shape
    source = write_anchors(tmp_path / "gl", "gl", {1: ball})
    target = write_anchors(tmp_path / "es", "es", {1: ball @ rotation(1)})
    options = ("--seed-pairs", "none", *FAST, "--source-guide", guides[0], "--target-guide", guides[1])
    assert command("align", source, target, "-o", tmp_path / "mapping", *options).status == 0
    assert is_planted(tmp_path / "mapping", 1)
    manifest = json.loads((tmp_path / "mapping" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["source_guide"] == key_of_anchors(guides[0])
    assert manifest["settings"]["guide"] == "vectors"


def test_self_learning_grows_from_the_dictionary_it_is_given(command, pair, tmp_path):
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 130))
    words = ("align", *pair, "-o", tmp_path / "mapping", "-d", fit, "--method", "self-learning", *FAST, "--json")
    rows = json.loads(command(*words).output)
    assert [(row["seed_pairs"], row["seeds"]) for row in rows] == [("dictionary", 30)] * 2


def test_unrelated_spaces_end_with_status_3_and_leave_nothing_behind(command, tmp_path):
    source = write_anchors(tmp_path / "gl", "gl", {0: clusters(1, 250)})
    target = write_anchors(tmp_path / "es", "es", {0: clusters(51, 250)})
    before = below(tmp_path)
    message = refusal(command("align", source, target, "-o", tmp_path / "mapping", *FAST, "--set", "runs=2"), status=3)
    assert below(tmp_path) == before
    found = re.match(
        r"Alignment gl→es, layer 0: 2 runs, two by two from halves that have nothing in common; the two that "
        r"agree best translate "
        r"(\d+) % of the 250 most frequent words alike; right maps agree on more than 30 %.*Give a dictionary",
        message,
    )
    assert found is not None, message
    assert int(found[1]) < 30


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "epochs=2"), r"epochs: procrustes has no such setting. Expected one of meeting, neighb"),
        (("--set", "epochs"), r"--set: found 'epochs'. Expected KEY=VALUE. Add the value"),
        (("--set", "prior=-1"), r"^prior: found -1. Expected a value greater than or equal to 0 or 'auto' or 'held"),
        (("--refinements", 1, "--set", "refinements=x"), r"^refinements: found 'x'. Expected a whole number. Chang"),
        (("--set", "refinements=1.5"), r"^refinements: found 1.5. Expected a whole number. Change it"),
        (("--method", "adversarial"), r"--dictionary: adversarial does not read it. Expected none here. Leave it out"),
        (("--method", "self-learning", "--seed-pairs", "cognates"), r"--dictionary: self-learning begins from seed p"),
        (("--method", "rcsls", "--guide", "0"), r"--guide: rcsls seeks no pairs. Expected none. Leave it out"),
        (("--source-model", "{gl}", "--target-model", "{gl}"), r"--source-model: procrustes does not read it. Exp"),
        (
            ("--source-model", "{gl}", "--target-model", "{gl}", "--source-text", "{fit}", "--target-text", "{fit}"),
            r"--source-text: procrustes reads no raw text. Expected none here. Leave it out, or choose --method adver",
        ),
        (("--weighting", 2), r"weighting: found 2. Expected a value less than or equal to 1 or 'held_out'. Change"),
        (("--weighting", "true"), r"weighting: found 'true'. Expected a number or 'held_out'. Change it"),
        (("--set", "refinements=true"), r"refinements: found 'true'. Expected a whole number. Change it"),
        (("--selection", "held_out"), r"selection: found held_out, but no refinements. Expected rounds of refin"),
        (("--guide", "lowest", "--selection", "closeness"), r"selection: found closeness, but no refinements. Exp"),
        (("--set", "refinement_types=9"), r"refinement_types: found 9, but no refinements. .* or give --refinements."),
        (("--weighting", 0, "--set", "meeting=true"), r"meeting: found True, but no weighting. Expected one, which"),
        (("--weighting", 0, "--spelling", 0.5), r"spelling: found 0.5, but no weighting. Expected one, which"),
        (("--spelling", -1), r"spelling: found -1.0. Expected a value greater than or equal to 0. Change it"),
        (("--weighting", 0, "--set", "weighting_prior=1"), r"weighting_prior: found 1, but no weighting. Expected"),
        (("--guide", "own"), r"--guide: found own, but procrustes finds every layer by itself anyway, unless another"),
        (("--method", "rcsls", "--weighting", 0.3), r"weighting: rcsls has no such setting"),
        (("--method", "guessing"), r"--method: found 'guessing'. Expected one of procrustes, rcsls, self"),
        (("--guide", 7), r"guide: found layer 7; the anchors have 0, 2. Expected one of these. Choose one"),
        (("--guide", -1), r"guide: found layer -1; the anchors have 0, 2"),
        (("--guide=--1",), r"--guide: found '--1'. Expected a layer"),
        (("--source-guide", "{gl}"), r"--source-guide: found without --target-guide. Expected both"),
        (("--target-guide", "{gl}"), r"--target-guide: found without --source-guide. Expected both"),
        (("--source-model", "{gl}"), r"--source-model: found without --target-model"),
        (("--target-text", "{fit}"), r"--target-text: found without --source-text"),
        (("--method", "parallel"), r"--method parallel: found no parallel text. .*Give --parallel, --source-model and"),
        (("--method", "parallel", "--parallel", "{fit}"), r"--method parallel: found no language models"),
        (("--parallel", "{fit}"), r"--parallel: procrustes does not read it. Leave it out, or choose --method parall"),
        (("--source-text", "{fit}", "--target-text", "{fit}"), r"--source-text: found no language models"),
        (("-d", "{unknown}"), r"gl→es has 0 usable dictionary pairs; at least 10 .* has 30 pairs; 0 of 30 source word"),
        (("--target-language", "pt"), r"es: holds anchors of 'es', but the language was said to be 'pt'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(command, pair, tmp_path, options, message):
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 200))
    unknown = write_dictionary(tmp_path / "unknown.tsv", range(10_000, 10_030))
    before = below(tmp_path)
    filled = [str(option).format(gl=pair[0], fit=fit, unknown=unknown) for option in options]
    found = refusal(command("align", *pair, "-o", tmp_path / "mapping", "-d", fit, *filled))
    assert re.search(message, found), found
    assert below(tmp_path) == before


@pytest.mark.parametrize("options", [(), ("--method", "rcsls"), ("--method", "self-learning"), ("--few-pairs",)])
@pytest.mark.parametrize("turned", [False, True])
def test_columns_the_wrong_way_round_are_noticed(command, pair, tmp_path, options, turned):
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 200), turned=not turned)
    with fit.open("a", encoding="utf-8") as file:
        file.writelines(f"name{row}\tname{row}\n" for row in range(40))  # as far as these go, either way is right
    words = ("align", *pair, "-o", tmp_path / "mapping", "-d", fit, *options, *(["--turned"] if turned else []))
    assert refusal(command(*words)) == (
        "Alignment gl→es: 40 of 140 dictionary pairs have anchors; turned round, 140 would. Expected words of gl "
        "first, then of es. Give --turned, or leave it out if it was given."
    )


def test_columns_of_a_test_the_wrong_way_round_are_noticed(command, pair, tmp_path):
    fit, out = write_dictionary(tmp_path / "fit.tsv", range(100, 200)), tmp_path / "mapping"
    test = write_dictionary(tmp_path / "test.tsv", range(200, 230), turned=True)
    told = (
        "Translation test gl→es, layer 0: 0 of 30 dictionary pairs have anchors; turned round, 30 would. Expected "
        "words of gl first, then of es. Give --turned, or leave it out if it was given."
    )
    assert refusal(command("align", *pair, "-o", out, "-d", fit, "--test", test)) == told
    assert command("align", *pair, "-o", out, "-d", fit).status == 0
    assert refusal(command("lexicon", out, "-d", test)) == told
    assert command("lexicon", out, "-d", test, "--turned").status == 0


def test_columns_that_are_not_there_cannot_be_turned(command, pair, tmp_path):
    message = refusal(command("align", *pair, "-o", tmp_path / "mapping", "--turned"))
    assert message.startswith(
        "--turned: found no file of two columns. Expected one whose columns it turns. Leave it out"
    )


def test_a_place_that_cannot_be_written_is_refused_before_anchors_are_read(command, pair, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.lexicon.anchor_sources.open_anchors", lambda *_, **__: pytest.fail("were read"))
    message = refusal(command("align", *pair, "-o", "/proc/x"))
    assert message.startswith("/proc/x: cannot be written: its folder is not there, or takes no files. Choose another")


@pytest.mark.parametrize("options", [("--method", "procrustes"), ("--method", "rcsls"), ("--seed-pairs", "dictionary")])
def test_a_road_that_needs_a_dictionary_says_so(command, pair, tmp_path, options):
    message = refusal(command("align", *pair, "-o", tmp_path / "mapping", *options))
    assert re.search(
        r"^Alignment gl→es: .* has no dictionary. It needs one. Give a dictionary \(--dictionary\)", message
    )
    assert not (tmp_path / "mapping").exists()


def test_widths_that_differ_are_refused(command, pair, tmp_path):
    narrow = write_anchors(tmp_path / "narrow", "es", {0: clusters(1)[:, :8], 2: clusters(1)[:, :8]})
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 200))
    for options in (("-d", fit), FAST):
        message = refusal(command("align", pair[0], narrow, "-o", tmp_path / "mapping", *options))
        assert re.search(r"^Alignment gl→es: the anchors are 16 and 8 wide. A rotation keeps the width", message)
    assert not (tmp_path / "mapping").exists()


@pytest.mark.parametrize("layers", [(0,), (0, 1), (0, 2, 3)])
def test_layers_that_differ_are_refused(command, pair, tmp_path, layers):
    other = write_anchors(tmp_path / "other", "es", {layer: clusters(1) for layer in layers})
    fit = write_dictionary(tmp_path / "fit.tsv", range(100, 200))
    message = refusal(command("align", pair[0], other, "-o", tmp_path / "mapping", "-d", fit))
    assert re.search(r"layer", message)
    assert not (tmp_path / "mapping").exists()
