"""A trained parser parses as the run that made it did, and says what it cannot read."""

from dataclasses import replace

import pytest

from isogloss.corpus.conllu import read_conllu, write_conllu
from isogloss.corpus.sentence import Sentence
from isogloss.errors import ArtifactError, DataError, RecipeError
from isogloss.parsing.parser import Parser
from isogloss.parsing.settings import ParserSettings
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.stages import load_space
from isogloss.trained import TrainedParser, load_trained

PARSERS = ["pos-only-gold", *(f"{name}-none" for name in ("unaligned", "anchors-only", "static", "aligned"))]
PARSERS += ["aligned-gold"]


@pytest.mark.parametrize("name", PARSERS)
def test_a_loaded_parser_finds_the_trees_of_its_run(tiny_run, tmp_path, name):
    system, _, pos = name.rpartition("-")
    gold = read_conllu(tiny_run.folder / "corpus" / "qel" / "test.conllu", language="qel")
    bare = [
        replace(sentence, words=tuple(replace(word, head=None, deprel=None) for word in sentence.words))
        for sentence in gold
    ]
    trained = load_trained(tiny_run.folder, system=system, pos=pos)
    write_conllu(trained.parse(bare), tmp_path / "parsed.conllu")
    theirs = tiny_run.folder / "parsed" / name / "qel-test.conllu"
    assert (tmp_path / "parsed.conllu").read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("name", PARSERS[1:])
def test_a_loaded_parser_reads_the_vectors_of_its_run(tiny_run, tiny_recipe, name):
    system, _, pos = name.rpartition("-")
    gold = read_conllu(tiny_run.folder / "corpus" / "qel" / "test.conllu", language="qel")
    planned = {stage.name: stage for stage in plan_stages(load_recipe(tiny_recipe), tiny_run.folder)}
    expected = load_space(planned[f"parsed/{name}"].arguments["space"]).encode(gold)
    found = load_trained(tiny_run.folder, system=system, pos=pos).space.encode(gold)
    if system in ("anchors-only", "static"):
        assert found.vectors.equal(expected.vectors)
    else:  # the run kept its treebanks' vectors as float16, whose numbers are right to one part in 2048
        near = expected.vectors.norm(dim=-1, keepdim=True) / 2048
        assert ((found.vectors - expected.vectors).norm(dim=-1, keepdim=True) <= near).all()


@pytest.mark.parametrize("system", ["aligned", "anchors-only", "static"])
def test_a_parser_that_learns_from_the_reference_alone_reads_what_it_will_read_beside_others(
    tiny_run, tiny_recipe, system
):
    recipe = load_recipe(tiny_recipe, overrides=['parsing.train_on=["qal"]'])
    planned = {stage.name: stage for stage in plan_stages(recipe, tiny_run.folder)}
    gold = read_conllu(tiny_run.folder / "corpus" / "qal" / "train.conllu", language="qal")[:5]
    alone = planned[f"parsing/{system}-none"].arguments["space"]
    beside = load_trained(tiny_run.folder, system=system, pos="none").space
    assert not alone.alignments
    learned_from, parsed = load_space(alone).encode(gold).vectors, beside.encode(gold).vectors
    assert ((learned_from - parsed).norm(dim=-1) <= parsed.norm(dim=-1) / 1024).all()


def test_long_inputs_come_back_in_their_order(tiny_run):
    gold = read_conllu(tiny_run.folder / "corpus" / "qal" / "train.conllu", language="qal")
    many = [sentence for _ in range(8) for sentence in gold]
    parsed = list(load_trained(tiny_run.folder).parse(many))
    assert [sentence.forms for sentence in parsed] == [sentence.forms for sentence in many]
    heads = [[word.head for word in sentence.words] for sentence in parsed]
    assert heads[: len(gold)] == heads[-len(gold) :], "a sentence's tree does not depend on its neighbours"


def test_a_parser_can_be_asked_for_another_precision_and_stays_as_it_was():
    parser = Parser.untrained(("det", "root"), settings=ParserSettings(vectors=False))
    trained = TrainedParser(parser, None, ("qal",))
    asked = trained.in_precision("bfloat16")
    assert (trained.parser.settings.precision, asked.parser.settings.precision) == ("float32", "bfloat16")
    with pytest.raises(RecipeError, match=r"precision: found 'half'\. Expected one of auto, float32, bfloat16"):
        trained.in_precision("half")


def test_the_languages_of_a_run_can_be_parsed(tiny_run):
    assert load_trained(tiny_run.folder).languages == ("qal", "qbe", "qel")


def test_a_language_outside_the_run_is_refused(tiny_run):
    parsing = load_trained(tiny_run.folder).parse([Sentence.of_forms(["a", "b"], language="qco")])
    with pytest.raises(DataError, match=r"language 'qco': not in this run. Expected one of qal, qbe, qel. Add it"):
        next(parsing)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"holds no readable recipe.json. Expected the folder of a run. Name one"):
        load_trained(tmp_path)


@pytest.mark.parametrize(("system", "pos"), [("aligned", "some"), ("best", "none"), ("supervised", "none")])
def test_a_parser_that_is_not_there_is_refused_with_those_that_are(tiny_run, system, pos):
    message = rf"parsing/{system}-{pos}: no such parser. The run has: aligned-gold, aligned-none, .* Choose one with"
    with pytest.raises(ArtifactError, match=message) as caught:
        load_trained(tiny_run.folder, system=system, pos=pos)
    assert "supervised-none-qel" not in str(caught.value), "what cannot be loaded is not offered"
