"""The parser as a whole: order, empty input, files, and what it refuses."""

import json
import re

import pytest
import torch
from pydantic import ValidationError

from isogloss.corpus.sentence import Sentence
from isogloss.errors import ArtifactError, RecipeError
from isogloss.parsing.parser import Parser
from isogloss.parsing.settings import ParserSettings

RELATIONS = ("amod", "det", "nsubj", "obj", "punct", "root")


@pytest.fixture
def parser(by_heart, tiny_settings):
    torch.manual_seed(5)
    return Parser.untrained(RELATIONS, settings=tiny_settings(), encoder=by_heart())


def test_order_is_kept_and_batches_do_not_matter(parser, by_heart, toy_treebank):
    sentences = [*toy_treebank(20, seed=0), *toy_treebank(5, seed=1, language="other")]
    together = parser.parse(sentences, by_heart())
    few = parser.parse(sentences, by_heart(), batch_words=8)
    assert [sentence.forms for sentence in together] == [sentence.forms for sentence in sentences]
    assert few == together


def test_every_sentence_gets_a_tree_with_one_root_called_root(parser, by_heart, toy_treebank):
    for sentence in parser.parse(toy_treebank(20, seed=2), by_heart()):
        assert [word.deprel == "root" for word in sentence.words] == [word.head == 0 for word in sentence.words]
        assert sum(word.head == 0 for word in sentence.words) == 1


def test_trees_already_there_are_not_looked_at(parser, by_heart, toy_treebank):
    sentences = toy_treebank(5, seed=0).sentences
    bare = [
        Sentence.of_forms(sentence.forms, language="toy").with_upos([word.upos for word in sentence.words])
        for sentence in sentences
    ]
    assert parser.parse(bare, by_heart()) == parser.parse(sentences, by_heart())


def test_nothing_and_empty_sentences_are_fine(parser, by_heart):
    empty = Sentence(words=(), language="toy")
    assert parser.parse([], by_heart()) == []
    assert parser.parse([empty, Sentence.of_forms(["a"]), empty], by_heart())[1].words[0].head == 0


def test_long_sentences_are_fine(parser, by_heart):
    [parsed] = parser.parse([Sentence.of_forms([f"noun{i % 12}" for i in range(300)])], by_heart(), batch_words=50)
    assert parsed.has_tree


def test_another_decoder_can_be_passed(parser, by_heart):
    def chain(scores, lengths):
        return torch.arange(scores.shape[1]).expand(scores.shape[:2])

    [parsed] = parser.parse([Sentence.of_forms(["a", "b", "c"])], by_heart(), decode=chain)
    assert [word.head for word in parsed.words] == [0, 1, 2]


def test_parsing_does_not_disturb_the_global_generator(parser, by_heart, toy_treebank):
    before = torch.get_rng_state()
    parser.parse(toy_treebank(3, seed=0), by_heart())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("layer", [1, "mix", "all", "contextual"])
def test_saved_and_loaded_parser_says_the_same(by_heart, tiny_settings, toy_treebank, tmp_path, layer):
    encoder = by_heart()
    saved = Parser.untrained(RELATIONS, settings=tiny_settings(layer=layer), encoder=encoder)
    saved.save(tmp_path / "parser")
    loaded = Parser.load(tmp_path / "parser")
    sentences = toy_treebank(10, seed=0)
    assert loaded.parse(sentences, encoder) == saved.parse(sentences, encoder)
    assert (loaded.relations, loaded.settings) == (saved.relations, saved.settings)


def test_saving_a_loaded_parser_gives_the_same_bytes(parser, tmp_path):
    parser.save(tmp_path / "a")
    Parser.load(tmp_path / "a").save(tmp_path / "b")
    for name in ("model.safetensors", "relations.txt", "settings.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_parser_of_tags_needs_no_encoder(tiny_settings, toy_treebank, tmp_path):
    Parser.untrained(RELATIONS, settings=tiny_settings(vectors=False)).save(tmp_path)
    assert all(sentence.has_tree for sentence in Parser.load(tmp_path).parse(toy_treebank(3, seed=0)))


def test_a_missing_encoder_is_refused(parser, toy_treebank):
    with pytest.raises(RecipeError, match=r"vectors = true: no encoder was given"):
        parser.parse(toy_treebank(3, seed=0))


@pytest.mark.parametrize("shape", [{"width": 12}, {"layers": 3}])
def test_an_encoder_of_another_shape_is_refused(parser, by_heart, toy_treebank, shape):
    with pytest.raises(RecipeError, match=r"this parser was trained on 2 layers of width 24"):
        parser.parse(toy_treebank(3, seed=0), by_heart(**shape))


@pytest.mark.parametrize(("layer", "layers"), [(2, 2), ("contextual", 1)])
def test_a_layer_the_encoder_lacks_is_refused(by_heart, tiny_settings, layer, layers):
    expected = f"parsing.layer is {layer!r}, but the encoder has {layers} layers. Layers run from 0 to {layers - 1}. "
    with pytest.raises(RecipeError, match=re.escape(expected)):
        Parser.untrained(RELATIONS, settings=tiny_settings(layer=layer), encoder=by_heart(layers=layers))


def test_a_parser_that_sees_nothing_is_refused():
    with pytest.raises(ValidationError, match=r"the parser would see nothing"):
        ParserSettings(vectors=False, upos="none")


@pytest.mark.parametrize("name", ["model.safetensors", "relations.txt", "settings.json"])
def test_a_missing_file_is_named(parser, tmp_path, name):
    parser.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: cannot be read \(No such file"):
        Parser.load(tmp_path)


def test_damaged_weights_are_refused(parser, tmp_path):
    parser.save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"model.safetensors: not readable .* damaged"):
        Parser.load(tmp_path)


def test_weights_of_another_network_are_refused(parser, tmp_path):
    parser.save(tmp_path)
    (tmp_path / "relations.txt").write_text("det\nroot\n")
    message = r"relations.weight: found \(17, 6, 17\). Expected \(17, 2, 17\) by settings.json and the 2 lines"
    with pytest.raises(ArtifactError, match=message):
        Parser.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "anchors"}, r"holds 'anchors', format 2. Expected 'parser', format 2"),
        ({"format": 9}, r"holds 'parser', format 9. Expected 'parser', format 2"),
        ({"encoder": {}}, r"not readable as the settings of a parser \('layers'\)"),
        ({"settings": {"hidden": 3}}, r"not readable as the settings of a parser .*hidden"),
    ],
)
def test_damaged_settings_are_refused(parser, tmp_path, change, message):
    parser.save(tmp_path)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=message):
        Parser.load(tmp_path)
