"""A bundle: made of a run, loaded in part, every damage noticed; what comes with the project fits together."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import torch

from isogloss.artifacts import hash_file, only_writer
from isogloss.bundle import BUNDLE, default_folder, open_bundle, put_in_place, write_bundle
from isogloss.bundle_commands import make_bundle, measure_confidence
from isogloss.corpus.conllu import read_conllu
from isogloss.corpus.sentence import Sentence
from isogloss.errors import ArtifactError, DataError, IsoglossError, OutputError, RecipeError
from isogloss.parsing.confidence import mean_confidence
from isogloss.trained import load_trained


@pytest.fixture(scope="module")
def bundle(tiny_run, tmp_path_factory):
    """Models of the tiny run, with the parser that sees no tags. Read only."""
    return make_bundle(tiny_run.folder, tmp_path_factory.mktemp("bundles") / "models", pos="none")


@pytest.fixture
def copied(bundle, tmp_path):
    """A copy to be spoilt."""
    shutil.copytree(bundle.folder, tmp_path / "models")
    return open_bundle(tmp_path / "models")


def files_below(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_lists_every_file_it_holds(bundle):
    assert {BUNDLE, *bundle.files} == set(files_below(bundle.folder))


def test_a_bundle_tells_what_its_parser_learned_from(bundle):
    assert bundle.reference == "qal"
    assert {code: facts["trees"] for code, facts in bundle.languages.items()} == {
        "qal": True,
        "qbe": True,
        "qel": False,
    }
    assert bundle.parser["languages"] == ["qal", "qbe"]
    assert bundle.parser["tags"] == "none"
    assert bundle.parser["licences"] == bundle.languages["qel"]["licences"] == ["CC0-1.0 (invented by isogloss)"]
    assert bundle.languages["qel"]["name"] == "Elgari"


def test_a_bundle_tells_the_scores_of_its_parser(bundle, tiny_run):
    rows = [row.to_row() for row in tiny_run.scores if (row.system, row.pos) == ("aligned", "none")]
    assert rows
    assert bundle.languages["qel"]["scores"] == rows
    assert bundle.languages["qal"]["scores"] == []


def test_a_bundle_tells_how_sure_its_parser_is_of_the_languages_that_its_run_tested(bundle, tiny_run):
    trained = bundle.load("qel")
    gold = read_conllu(tiny_run.folder / "corpus" / "qel" / "test.conllu", language="qel")
    bare = [Sentence.of_forms(sentence.forms, language="qel") for sentence in gold]
    expected = mean_confidence(trained.parser, bare, trained.space)
    assert bundle.languages["qel"]["confidence"] == pytest.approx(expected, abs=1e-4)
    assert "confidence" not in bundle.languages["qal"]


def test_confidence_can_be_measured_later_and_changes_no_file_but_the_list(copied, tiny_run):
    before = files_below(copied.folder)
    found = measure_confidence(copied.folder, {"qal": tiny_run.folder / "corpus" / "qal" / "test.conllu"})
    assert 0 < found.languages["qal"]["confidence"] < 1
    assert {**files_below(copied.folder), BUNDLE: ""} == {**before, BUNDLE: ""}
    assert found.files == copied.files
    assert found.languages["qel"] == copied.languages["qel"]


@pytest.mark.parametrize("language", ["qal", "qel"])
def test_a_bundle_reads_the_vectors_that_its_run_read(bundle, tiny_run, language):
    gold = read_conllu(tiny_run.folder / "corpus" / language / "test.conllu", language=language)
    expected = load_trained(tiny_run.folder).space.encode(gold).vectors
    found = bundle.load(language).space.encode(gold).vectors
    # float16 has eleven digits of two: weights of language model and map are each off by up to one part in 2048
    far = (found - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-9)
    assert far.max() < 10 / 2048


def test_a_bundle_parses_as_its_run_does(bundle, tiny_run):
    gold = read_conllu(tiny_run.folder / "corpus" / "qel" / "test.conllu", language="qel")
    expected, found = load_trained(tiny_run.folder).parse(gold), bundle.load("qel").parse(gold)
    same = [
        ours.head == theirs.head
        for one, other in zip(expected, found, strict=True)
        for ours, theirs in zip(one.words, other.words, strict=True)
    ]
    assert sum(same) / len(same) > 0.95, "float16 turns few decisions"


def test_several_languages_are_loaded_side_by_side(bundle, tiny_run):
    trained = bundle.load("qel", "qbe")
    mixed = [
        read_conllu(tiny_run.folder / "corpus" / language / "test.conllu", language=language)[0]
        for language in ("qbe", "qel")
    ]
    alone = [next(bundle.load(sentence.language).parse([sentence])) for sentence in mixed]
    assert list(trained.parse(mixed)) == alone


def language_models(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in files_below(folder).items() if name.startswith(("qal/", "qbe/", "qel/"))}


def test_making_a_bundle_again_leaves_its_language_models_as_they_are(copied, tiny_run):
    before = language_models(copied.folder)
    again = make_bundle(tiny_run.folder, copied.folder, pos="gold")
    assert again.parser["tags"] == "gold"
    assert language_models(copied.folder) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_small_language_model_is_taken_as_it_is(bundle, tiny_run, tmp_path, there):
    """A run that was given the project's own models hands them back to the byte."""
    shutil.copytree(tiny_run.folder, tmp_path / "run")
    for language in bundle.languages:
        given, taken = bundle.folder / language, tmp_path / "run" / "encoders" / language
        of_run, of_model = (json.loads((folder / "manifest.json").read_text()) for folder in (taken, given))
        shutil.copytree(given, taken, dirs_exist_ok=True)
        manifest = of_model | {"key": of_run["key"], "inputs": {"model": of_model["key"]}}
        (taken / "manifest.json").write_text(json.dumps(manifest))
        if there:
            shutil.copytree(given, tmp_path / "models" / language)
    made = make_bundle(tmp_path / "run", tmp_path / "models", pos="none")
    theirs, ours = language_models(made.folder), language_models(bundle.folder)
    if not there:  # then the manifest is a new one
        theirs, ours = ({n: d for n, d in x.items() if "manifest" not in n} for x in (theirs, ours))
    assert theirs == ours


@pytest.mark.parametrize(
    ("name", "needed_by"),
    [("qel/model.safetensors", "qel"), ("parser/model.safetensors", "qal"), ("alignments/qel/layer-1/*.json", "qel")],
)
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_file_is_named_when_it_is_needed(copied, name, needed_by, damage):
    (path,) = copied.folder.glob(name)
    if damage == "missing":
        path.unlink()
        message = rf"{path}: cannot be read \(No such file or directory\). Expected a part of these models. Copy them"
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        message = rf"{path}: differs from what bundle.json lists \(SHA-256\). Expected it as it was made. Copy the"
    with pytest.raises(ArtifactError, match=message):
        copied.load(needed_by)


def test_a_damaged_file_that_is_not_needed_does_no_harm(copied, tiny_run):
    (copied.folder / "qbe" / "model.safetensors").write_bytes(b"")
    gold = read_conllu(tiny_run.folder / "corpus" / "qel" / "test.conllu", language="qel")
    assert all(sentence.has_tree for sentence in copied.load("qel").parse(gold))


def test_an_unknown_language_is_told_the_known_ones_and_how_to_add_it(bundle):
    message = r"language 'xx': not among the models in .*models. Expected one of qal \(Alvan\), qbe \(Bereshi\), qel "
    with pytest.raises(DataError, match=message + r"\(Elgari\). Choose one, or .*: isogloss add-language xx --help"):
        bundle.load("xx")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"models: no models to parse with \(no bundle.json\). Expected a folder that isogloss make-bundle or"),
        ("{", r"bundle.json: not readable as a list of models \(.*\). Expected what isogloss wrote. Copy the models"),
        ("[]", r"bundle.json: not readable as a list of models"),
        ('{"format": 9}', r"bundle.json: not readable as a list of models \(format 9, not 1\)"),
        ('{"format": 1}', r"bundle.json: not readable as a list of models \('reference'\)"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path, text, message):
    (tmp_path / "models").mkdir()
    if text is not None:
        (tmp_path / "models" / BUNDLE).write_text(text)
    with pytest.raises(ArtifactError, match=message):
        open_bundle(tmp_path / "models")


def test_a_bundle_that_lacks_a_part_is_not_written(copied):
    shutil.rmtree(copied.folder / "alignments" / "qbe")
    facts = {"reference": "qal", "languages": copied.languages, "parser": copied.parser}
    with pytest.raises(ArtifactError, match=r"alignments/qbe: nothing there. Expected a part of the models. Put it"):
        write_bundle(copied.folder, **facts)


def test_a_folder_of_something_else_is_not_made_a_bundle(tiny_run, tmp_path):
    (tmp_path / "thesis.txt").write_text("dear reader")
    with pytest.raises(OutputError, match=r"holds thesis.txt, which is no part of this bundle. Expected a new or"):
        make_bundle(tiny_run.folder, tmp_path, pos="none")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_drafts_of_a_bundle_go_and_those_of_others_stay(copied, tiny_run):
    ours = [copied.folder / name for name in (".qel.x1.partial", "alignments/.qbe.x2.old.partial")]
    for folder in ours:
        folder.mkdir()
    theirs = [copied.folder / name for name in (".video.mp4.partial", "qel/.letter.partial")]
    for path in theirs:
        path.write_text("half of it")
    with pytest.raises(OutputError, match=r"holds \.video\.mp4\.partial, which is no part of this bundle"):
        make_bundle(tiny_run.folder, copied.folder, pos="none")
    assert all(path.exists() for path in (*ours, *theirs))
    theirs[0].unlink()
    make_bundle(tiny_run.folder, copied.folder, pos="none")
    assert not any(path.exists() for path in ours)
    assert theirs[1].exists()


@pytest.mark.parametrize("lacking", ["lexicon/qal/manifest.json", "parsed/aligned-none/scores.json"])
def test_a_run_that_is_damaged_leaves_a_bundle_as_it_is(copied, tiny_run, tmp_path, lacking):
    run, before = tmp_path / "run", files_below(copied.folder)
    shutil.copytree(tiny_run.folder, run)
    (run / lacking).write_text("{")
    with pytest.raises(IsoglossError):
        make_bundle(run, copied.folder, pos="none")
    assert files_below(copied.folder) == before


def test_a_bundle_lists_anchors_of_its_reference_alone(copied):
    (copied.folder / "anchors" / "notes.txt").write_text("of somebody")
    again = write_bundle(copied.folder, reference="qal", languages=copied.languages, parser=copied.parser)
    assert again.files == copied.files


def test_a_folder_that_filled_meanwhile_is_told_and_the_draft_stays(tmp_path):
    for folder, name in (("draft", "bundle.json"), ("new", "thesis.txt")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("mine")
    with pytest.raises(OutputError, match=r"new: is there already\. Expected a new or empty folder"):
        put_in_place(tmp_path / "draft", tmp_path / "new")
    assert (tmp_path / "draft" / "bundle.json").read_text() == (tmp_path / "new" / "thesis.txt").read_text() == "mine"


def test_a_folder_that_fills_in_the_last_moment_is_told_too(tmp_path, monkeypatch):
    (tmp_path / "draft").mkdir()
    (tmp_path / "new").mkdir()

    def filled(out: Path) -> None:
        (out / "thesis.txt").write_text("mine")

    monkeypatch.setattr("isogloss.bundle.refuse_to_replace", filled)
    with pytest.raises(OutputError, match=r"new: cannot be written: something is in a folder of that name\. Choose"):
        put_in_place(tmp_path / "draft", tmp_path / "new")


def test_two_do_not_write_one_bundle(tiny_run, tmp_path):
    with only_writer(tmp_path / "models"), pytest.raises(OutputError, match="another process is writing here"):
        make_bundle(tiny_run.folder, tmp_path / "models", pos="none")


@pytest.mark.parametrize(
    ("system", "pos", "error", "message"),
    [
        ("static", "none", RecipeError, r"--system: found 'static'. Expected aligned or aligned-no-dictionary, which"),
        ("aligned", "predicted", ArtifactError, r"aligned-predicted: no such parser. The run has: aligned-gold, alig"),
    ],
)
def test_only_a_parser_that_reads_new_text_goes_into_a_bundle(tiny_run, tmp_path, system, pos, error, message):
    with pytest.raises(error, match=message):
        make_bundle(tiny_run.folder, tmp_path / "models", system=system, pos=pos)
    assert not (tmp_path / "models").exists()


def test_weights_in_a_bundle_are_float16(bundle):
    from safetensors.torch import load_file

    for path in bundle.folder.rglob("*.safetensors"):
        tensors = load_file(path)
        precise = (
            {"counts", "mean_norms"} if path.name == "anchors.safetensors" else set()
        )  # a few numbers, not vectors
        assert {tensors[name].dtype for name in tensors.keys() - precise} == {torch.float16}, path


def test_anchors_of_the_reference_go_along_for_languages_to_come(tiny_run, bundle):
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.anchor_files import load_all_anchors
    from isogloss.lexicon.extraction import with_layer_0

    kept = load_all_anchors(bundle.folder / "anchors" / "qal")
    gathered = load_all_anchors(tiny_run.folder / "lexicon" / "qal")
    assert [one.layer for one in kept] == [1, 2], "layer 0 the language model knows by itself"
    for ours, theirs in zip(kept, gathered[1:], strict=True):
        assert ours.words == theirs.words[:4000]
        assert ours.mean_norm == theirs.mean_norm
        assert torch.equal(ours.vectors, theirs.vectors[:4000].half().float())
    assert bundle.has_anchors

    whole = with_layer_0(kept, ELMoEncoder.load(bundle.folder / "qal"))
    assert [one.layer for one in whole] == [0, 1, 2]
    # Models in a bundle are of float16, which keeps eleven bits.
    torch.testing.assert_close(whole[0].vectors, gathered[0].vectors[:4000], atol=2e-3, rtol=2e-3)


def test_wheel_and_source_archive_take_the_models_along():
    root = Path(__file__).parents[1]
    targets = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert "models" in targets["wheel"]["only-include"] and "models" in targets["sdist"]["include"]
    assert targets["wheel"]["sources"]["models"] == "isogloss/models", "where an installed package looks for them"


def test_the_models_of_the_repository_are_used_by_default(monkeypatch):
    monkeypatch.delenv("ISOGLOSS_MODELS", raising=False)
    assert default_folder() == Path(__file__).parents[1] / "models"


# The commands


def test_the_environment_names_the_models(bundle, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_MODELS", str(bundle.folder))
    assert default_folder() == bundle.folder
    assert open_bundle().languages == bundle.languages


def test_models_lists_languages_scores_and_licences(command, bundle):
    row = bundle.languages["qel"]["scores"][0]
    lines = command("models", "--models", bundle.folder).output.splitlines()
    (line,) = [line for line in lines if line.startswith("qel") and "Elgari" in line]
    assert line.split()[:3] == ["qel", "Elgari", "no"]
    assert f"test {100 * row['las']:.1f}" in line and f"test {100 * row['uas']:.1f}" in line
    assert lines[0].endswith("the parser learned from trees of qal, qbe")
    assert "qel     CC0-1.0 (invented by isogloss)" in lines
    assert "parser  CC0-1.0 (invented by isogloss)" in lines


def test_models_tells_what_to_expect_where_there_are_no_scores(command, copied):
    facts = {code: dict(facts) for code, facts in copied.languages.items()}
    facts["qel"] |= {"scores": [], "expected": "fair"}
    write_bundle(copied.folder, reference="qal", languages=facts, parser=copied.parser)
    lines = command("models", "--models", copied.folder).output.splitlines()
    (line,) = [line for line in lines if "Elgari" in line]
    assert "expected: fair" in line


def test_models_tells_programs_the_same(command, bundle):
    found = json.loads(command("models", "--models", bundle.folder, "--json").output)
    assert found["languages"] == {code: dict(facts) for code, facts in bundle.languages.items()}
    assert found["folder"] == str(bundle.folder)


def test_make_bundle_says_what_it_made(command, tiny_run, tmp_path):
    ended = command("make-bundle", tiny_run.folder, "-o", tmp_path / "models", "--pos", "gold")
    assert ended.output == f"3 languages in {tmp_path / 'models'}\n"
    assert open_bundle(tmp_path / "models").parser["tags"] == "gold"
