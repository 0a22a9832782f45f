"""add-language: a language that had no part in a parser is parsed, the old models stay, and a stop costs nothing."""

import os
from pathlib import Path

import pytest
import torch

from isogloss.add_language import add_language
from isogloss.added_language import roads_for
from isogloss.added_plan import plan_added_language
from isogloss.artifacts import hash_file
from isogloss.bundle import open_bundle, write_bundle
from isogloss.bundle_commands import make_bundle
from isogloss.compute.randomness import numpy_generator
from isogloss.corpus.conllu import read_conllu
from isogloss.corpus.invented.family import FamilySettings, write_family
from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.encoders.elmo.settings import SIZES
from isogloss.errors import (
    ArtifactError,
    DataError,
    DictionaryError,
    OutputError,
    RecipeError,
    TextError,
    TrainingError,
)
from isogloss.language_budget import FEWEST_SIGNS, HELD, MOST_PASSES, TextSize, size_of, training_for
from isogloss.lexicon.seeds import SHORTEST_ALIKE
from isogloss.recipe import LanguageCorpus


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> Path:
    """Dovish, which no test run knows: text, trees, and a dictionary from it to Alvan."""
    folder = tmp_path_factory.mktemp("family")
    sizes = {"text_sentences": 200, "train_sentences": 8, "dev_sentences": 2, "test_sentences": 6}
    write_family(folder, FamilySettings(languages=("qal", "qdo"), parallel_sentences=2, **sizes))
    lines = (folder / "dictionaries" / "qdo-qal.train.tsv").read_text(encoding="utf-8").splitlines()
    turned = "".join("\t".join(reversed(line.split("\t"))) + "\n" for line in lines)
    (folder / "qal-qdo.tsv").write_text(turned, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def models(tiny_run, tmp_path_factory):
    """Models of three other languages. Read only."""
    return make_bundle(tiny_run.folder, tmp_path_factory.mktemp("bundles") / "models", pos="none")


def files_below(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def added(family, models, tmp_path_factory):
    """Old files before, facts, and the new bundle."""
    before, out = files_below(models.folder), tmp_path_factory.mktemp("added") / "models"
    arguments = {"to": models.folder, "dictionary": family / "qal-qdo.tsv", "licence": "CC0"}
    facts = add_language("qdo", family / "qdo" / "text.txt", out, **arguments)
    return before, facts, open_bundle(out), arguments


def test_an_added_language_is_parsed(added, family):
    _, _, bundle, _ = added
    gold = read_conllu(family / "qdo" / "test.conllu", language="qdo")
    parsed = list(bundle.load("qdo").parse(gold))
    assert [sentence.forms for sentence in parsed] == [sentence.forms for sentence in gold]
    assert all(sentence.has_tree for sentence in parsed)


def test_the_old_models_stay_and_are_in_the_new_ones_byte_for_byte(added, models):
    before, _, bundle, _ = added
    assert files_below(models.folder) == before
    assert set(bundle.languages) == {*models.languages, "qdo"}
    assert {name: bundle.files[name] for name in models.files} == dict(models.files)
    assert bundle.parser == models.parser
    a_file = next(iter(models.files))
    assert os.path.samefile(models.folder / a_file, bundle.folder / a_file), "a link, which takes no space"


def test_what_is_told_of_the_language_is_what_the_bundle_tells(added):
    _, facts, bundle, _ = added
    assert bundle.languages["qdo"] == facts
    assert (facts["name"], facts["trees"], facts["licences"], facts["scores"]) == ("Dovish", False, ["CC0"], [])
    evidence = facts["evidence"]
    assert evidence["sentences"] == 190, "one line in twenty is held out"
    assert evidence["withheld_words"] == 50
    assert 20 <= evidence["tested_words"] <= 50
    assert 0 <= evidence["precision@1"] <= evidence["precision@5"] <= 1
    assert 0 < evidence["confidence"] < 1
    assert facts["road"] == "the dictionary"
    assert facts["anchored"], "200 sentences are few"
    assert facts["expected"] in ("good", "fair", "poor")
    assert facts["reasons"]


@pytest.mark.parametrize("right", [True, False])
def test_withheld_words_find_their_translations_if_the_dictionary_is_right_and_only_then(
    models, tiny_run, tmp_path, right
):
    """A language that is Alvan itself, by another code. What its model is pulled to is found there in any case."""
    known = (models.folder / "anchors" / "qal" / "words.txt").read_text(encoding="utf-8").splitlines()
    words = [word for word in known if len(word) > 2]
    others = words if right else [words[place] for place in numpy_generator(1, "mixed up").permutation(len(words))]
    dictionary = tmp_path / "pairs.tsv"
    dictionary.write_text("".join(f"{one}\t{other}\n" for one, other in zip(words, others, strict=True)))
    text = tiny_run.folder / "corpus" / "qal" / "text.txt"
    facts = add_language("qzz", text, tmp_path / "new", to=models.folder, dictionary=dictionary)
    evidence = facts["evidence"]
    assert facts["anchored"]
    assert evidence["learned_pairs"] + evidence["withheld_words"] == len(words)
    assert evidence["tested_words"] >= 50
    if right:
        assert evidence["precision@5"] > 0.5
    else:
        # Chance is 5 in 411. With the pull towards all pairs, and the map alone fitted without them, it was 0.14.
        assert evidence["precision@5"] < 0.06


def test_of_a_small_dictionary_all_is_learned_and_nothing_is_said_of_translations(family, models, tmp_path):
    lines = (family / "qal-qdo.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "small.tsv").write_text("".join(lines[:150]), encoding="utf-8")
    arguments = {"to": models.folder, "dictionary": tmp_path / "small.tsv", "max_sentences": 60}
    facts = add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments)
    evidence = facts["evidence"]
    assert (evidence["learned_pairs"], evidence["withheld_words"]) == (150, 0)
    assert evidence["signs"] == 2, "the full stop and the comma, which are in no word list"
    assert "precision@5" not in evidence
    assert facts["reasons"][0].startswith("The dictionary is too small for words to be withheld from training")


def test_a_language_begins_as_its_kin_and_takes_over_its_map(command, tiny_run, family, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of_kin = tiny_run.folder / "corpus" / "dictionaries" / "qbe-qal.train.tsv"
    arguments = {"to": models.folder, "dictionary": family / "qal-qdo.tsv", "kin": "qbe", "kin_dictionary": of_kin}
    facts = add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments)
    bundle = open_bundle(tmp_path / "new")
    assert facts["evidence"]["kin"] == "qbe"
    assert facts["evidence"]["learned_pairs"] > 0
    assert facts["road"] == "the map of qbe, in whose space its language model was trained"
    assert facts["reasons"][0] == (
        "Its map is that of qbe, which needs no dictionary of the reference, so nothing tells whether words find their "
        "translations."
    )
    loaded = bundle.load("qbe", "qdo").space
    assert loaded.encoders["qdo"].card["recurrent_held"] == HELD
    for layer in range(loaded.layers):
        ours, theirs = (loaded.alignments[language, layer] for language in ("qdo", "qbe"))
        assert torch.equal(ours.matrix, theirs.matrix)
        assert ours.scale == theirs.scale
        assert ours.source == "qdo"
        assert ours.details["taken_over_from"] == "qbe"
    assert loaded.encoders["qdo"].card["started_from"] == "qbe"
    ended = command("run", _recipe_of_kin(tmp_path, bundle.folder, tiny_run.folder / "corpus", family), "-o", "run")
    assert (ended.status, ended.complaints) == (0, [])
    assert [line for line in ended.output.splitlines() if "→qal" in line][-2:] == [
        "qdo→qal layer 1: as qbe",
        "qdo→qal layer 2: as qbe",
    ]


def test_text_of_the_reference_is_read_by_its_own_model_whoever_is_the_kin(tiny_run, family, models, tmp_path):
    stages = plan_added_language(
        "qdo",
        LanguageCorpus(text=str(family / "qdo" / "text.txt")),
        models,
        tmp_path,
        dictionary=None,
        kin="qbe",
        kin_dictionary=None,
        reference_text=tiny_run.folder / "corpus" / "qal" / "text.txt",
        auxiliaries=None,
        threads=1,
        precision="float32",
        seed=1,
    )
    by_name = {stage.name: stage for stage in stages}
    assert by_name["lexicon/qal"].arguments["encoder"] == models.folder / "qal"
    assert by_name["encoders/qdo"].arguments["reference"] == models.folder / "qbe"


def _recipe_of_kin(folder: Path, models: Path, corpus: Path, family: Path) -> Path:
    """Write a recipe in which Dovish takes over the map of its kin, and parses after next to no training."""
    lines = ['name = "kin"', 'reference = "qal"']
    for code, files in (("qal", corpus), ("qbe", corpus), ("qdo", family)):
        trees = ", ".join(f'{split} = "{files / code / split}.conllu"' for split in ("train", "dev", "test"))
        lines += [f"[corpus.{code}]", f'text = "{files / code / "text.txt"}"', f'model = "{models / code}"']
        lines += [f"treebank = {{ {trees} }}"]
    lines += ['kin = "qbe"', "[mapping]", f'dictionaries = "{corpus}/dictionaries/{{source}}-{{target}}.train.tsv"']
    lines += ["[mapping.method]", 'too_few_pairs = "complete"', "[parsing]", 'train_on = ["qal", "qbe"]']
    lines += ['test_on = ["qdo"]', 'test_splits = ["test"]', 'systems = ["aligned"]', 'pos = ["none"]']
    lines += ["[parsing.parser]", "hidden_width = 4", "[parsing.parser.loop]", "max_steps = 2"]
    (folder / "kin.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "kin.toml"


def test_the_same_command_again_finds_everything_done(added, family, monkeypatch):
    _, facts, bundle, arguments = added

    def not_again(*_, **__):
        raise AssertionError("nothing is to be made")

    monkeypatch.setattr("isogloss.add_language.run_tasks", not_again)
    assert add_language("qdo", family / "qdo" / "text.txt", bundle.folder, **arguments) == facts
    assert [path.name for path in bundle.folder.parent.iterdir()] == [bundle.folder.name], "no work is left behind"


@pytest.mark.parametrize("change", [{"name": "Dove"}, {"licence": "CC-BY"}, {"to": "others"}])
def test_another_command_does_not_pass_for_the_one_that_is_done(added, family, models, tmp_path, change):
    _, _, bundle, arguments = added
    if "to" in change:
        models.link_to(tmp_path / "others")
        told = {code: {**facts, "scores": []} for code, facts in models.languages.items()}
        write_bundle(tmp_path / "others", reference="qal", languages=told, parser=models.parser)
        change = {"to": tmp_path / "others"}
    with pytest.raises(OutputError, match="is there already"):
        add_language("qdo", family / "qdo" / "text.txt", bundle.folder, **(arguments | change))


def test_after_a_stop_the_same_command_goes_on_whichever_column_comes_first(family, models, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def killed(*_, **__):
        raise Killed

    arguments = {"to": models.folder, "dictionary": family / "qal-qdo.tsv"}
    with monkeypatch.context() as patch:
        patch.setattr("isogloss.added_plan.make_evidence", killed)
        with pytest.raises(Killed):
            add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()
    begun = []
    arguments["dictionary"] = family / "dictionaries" / "qdo-qal.train.tsv"
    add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments, on_event=begun.append)
    assert [event["task"] for event in begun if event["event"] == "started"] == ["evidence/qdo"]
    assert begun[0]["kept"] == ["encoders/qdo", "lexicon/qal", "lexicon/qdo", "mapping/qdo"]
    assert "qdo" in open_bundle(tmp_path / "new").languages


def test_without_a_dictionary_loan_words_lead_somewhere(command, family, models, tmp_path, monkeypatch):
    last_resort = roads_for(dictionary=False)[-1:]  # searches take minutes, and have tests of their own
    monkeypatch.setattr("isogloss.added_plan.roads_for", lambda *, dictionary: last_resort)
    known = Vocabulary.load(models.folder / "qal" / "vocabulary.txt").words[len(RESERVED) :]
    loans = [word for word in known if len(word) >= SHORTEST_ALIKE][:20]
    lines = (family / "qdo" / "text.txt").read_text(encoding="utf-8").splitlines()
    text, out = tmp_path / "loans.txt", tmp_path / "new"
    text.write_text("".join(f"{loans[n % len(loans)]} {line}\n" for n, line in enumerate(lines)), encoding="utf-8")
    ended = command("add-language", "qdo", "--text", text, "-o", out, "--to", models.folder, "--max-sentences", 80)
    assert ended.status == 0, ended.errors
    assert "Dovish (qdo) is in" in ended.output
    assert "aligned by words spelt alike" in ended.output
    assert "There is no dictionary, so nothing tells" in ended.output
    assert f"isogloss parse FILE -l qdo --models {out}" in ended.output.replace("\n", " ")


def test_a_run_can_be_added_to_as_well(tiny_run, family, tmp_path):
    arguments = {"to": tiny_run.folder, "dictionary": family / "qal-qdo.tsv", "max_sentences": 60}
    facts = add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments)
    assert set(open_bundle(tmp_path / "new").languages) == {"qal", "qbe", "qel", "qdo"}
    assert add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments) == facts, (
        "it is there already"
    )


def test_after_a_stop_the_models_of_a_run_are_made_anew_and_stages_go_on(tiny_run, family, tmp_path, monkeypatch):
    arguments = {"to": tiny_run.folder, "dictionary": family / "qal-qdo.tsv", "max_sentences": 60}
    with monkeypatch.context() as patch:
        patch.setattr("isogloss.added_plan.make_evidence", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments)
    left = open_bundle(tmp_path / ".new.work" / "models")
    write_bundle(left.folder, reference="qal", languages=left.languages, parser={"languages": ["of another run"]})
    begun = []
    add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments, on_event=begun.append)
    assert begun[0]["kept"] == ["encoders/qdo", "lexicon/qal", "lexicon/qdo", "mapping/qdo"]
    assert open_bundle(tmp_path / "new").parser == left.parser


def test_models_without_anchors_ask_for_text_of_their_reference(models, family, tmp_path):
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(models.folder, bare, ignore=shutil.ignore_patterns("anchors"))
    shutil.copytree(models.folder / "alignments", bare / "alignments", dirs_exist_ok=True)
    write_bundle(bare, reference="qal", languages=models.languages, parser=models.parser)
    arguments = {"to": bare, "dictionary": family / "qal-qdo.tsv", "max_sentences": 60}
    text, out = family / "qdo" / "text.txt", tmp_path / "new"
    with pytest.raises(ArtifactError, match=r"keeps no anchors of 'qal'.* Give raw text .* with --reference-text"):
        add_language("qdo", text, out, **arguments)
    add_language("qdo", text, out, **arguments, reference_text=family / "qal" / "text.txt")
    assert "qdo" in open_bundle(out).languages


@pytest.mark.parametrize(
    ("language", "change", "error", "message"),
    [
        ("qel", {}, DataError, r"language 'qel': among the models in .* already\. Expected one that is not"),
        ("../qdo", {}, RecipeError, r"language '\.\./qdo': names a folder of models\. Expected a code of letters"),
        ("parser", {}, RecipeError, r"language 'parser': names a folder of models"),
        ("qdo", {"text": "nowhere.txt"}, TextError, r"nowhere\.txt: no such file"),
        (
            "qdo",
            {"dictionary": "strange.tsv"},
            DictionaryError,
            r"no word of either column is known to the language mod",
        ),
        ("qdo", {"kin": "qzz"}, DataError, r"language 'qzz'"),
        (
            "qdo",
            {"kin": "qal"},
            RecipeError,
            r"kin 'qal': the reference, whose model every new language beg",
        ),
        ("qdo", {"kin_dictionary": "strange.tsv"}, RecipeError, r"there is no --kin\. Expected both\. Give --kin, or"),
        ("qdo", {"to": "strange.tsv"}, ArtifactError, r"strange\.tsv: no models to parse with"),
    ],
)
def test_what_cannot_be_added_is_refused_and_leaves_no_models(
    family, models, tmp_path, monkeypatch, language, change, error, message
):
    monkeypatch.chdir(tmp_path)
    Path("strange.tsv").write_text("ϡ\tϠ\n", encoding="utf-8")
    arguments = {"text": family / "qdo" / "text.txt", "to": models.folder, "dictionary": family / "qal-qdo.tsv"}
    arguments |= {name: value if name == "kin" else Path(value) for name, value in change.items()}
    with pytest.raises(error, match=message):
        add_language(language, out=tmp_path / "new", **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["strange.tsv"]


def test_a_language_that_a_run_has_is_refused_and_leaves_nothing(tiny_run, family, tmp_path):
    with pytest.raises(DataError, match="language 'qel': among the models"):
        add_language("qel", family / "qdo" / "text.txt", tmp_path / "new", to=tiny_run.folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", ["lexicon/qdo/manifest.json", "checkpoints/encoders/qdo/step-00000010.safetensors"])
def test_a_refusal_leaves_what_an_earlier_command_made(family, models, tmp_path, left):
    made = tmp_path / ".new.work" / left
    made.parent.mkdir(parents=True)
    made.touch()
    (tmp_path / "strange.tsv").write_text("ϡ\tϠ\n", encoding="utf-8")
    arguments = {"to": models.folder, "dictionary": tmp_path / "strange.tsv"}
    with pytest.raises(DictionaryError):
        add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", **arguments)
    assert made.is_file()


@pytest.mark.parametrize("to_a_run", [False, True])
def test_a_text_that_is_too_short_leaves_nothing_and_the_advice_can_be_followed(tiny_run, models, tmp_path, to_a_run):
    (tmp_path / "tiny.txt").write_text("hola mundo.\n", encoding="utf-8")
    with pytest.raises(
        TrainingError, match=r"1 sentences with 3 words to train on\. .* Add text\. \(In a recipe, encod"
    ):
        add_language("qdo", tmp_path / "tiny.txt", tmp_path / "q1", to=tiny_run.folder if to_a_run else models.folder)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.txt"]


def test_nothing_is_replaced(family, models, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"new: is there already\. Expected a new or empty folder"):
        add_language("qdo", family / "qdo" / "text.txt", tmp_path / "new", to=models.folder)
    assert (tmp_path / "new" / "thesis.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_the_signs_of_a_text_are_counted_most_frequent_first_and_rare_ones_passed_over(tmp_path):
    lines = ["ja , ja .", "« nein » , 10 % ."] * FEWEST_SIGNS + ["oh ! 7 € ."]
    (tmp_path / "text.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    corpus = LanguageCorpus(text=str(tmp_path / "text.txt"), tokenised=True)
    assert size_of(corpus, "de") == TextSize(words=60, sentences=11, signs=(".", ",", "«", "»", "%"))


@pytest.mark.parametrize(
    ("words", "passes", "steps", "dropout"),
    [
        (50_000, MOST_PASSES, 468, 0.3),  # 12 × 50,000 places in batches of 64 × 20
        (300_000, 5, 1171, 0.2),
        (1_600_000, 1, 1250, 0.1),
        (3_000_000, 1, 2343, 0.1),
    ],
)
def test_a_small_text_is_read_many_times_and_of_a_large_one_a_part(words, passes, steps, dropout):
    training = training_for(TextSize(words, sentences=20_000), SIZES["small"], pairs=350).settings
    assert (training.epochs, training.loop.max_steps, training.dropout) == (passes, steps, dropout)
    assert training.start == "reference"
    assert training.hold_recurrent == HELD


@pytest.mark.parametrize(
    ("sentences", "pairs", "anchored", "in_context"),
    [(9_999, 350, True, False), (9_999, 1000, True, True), (9_999, 0, False, False), (10_000, 1000, False, False)],
)
def test_a_very_small_text_with_a_dictionary_is_held_to_the_reference(sentences, pairs, anchored, in_context):
    training = training_for(TextSize(90_000, sentences), SIZES["small"], pairs=pairs)
    assert training.anchored is anchored
    assert (training.settings.anchoring.context_weight > 0) is in_context
