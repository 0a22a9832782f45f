"""Anchors of senses by the command line: gathered, opened by other commands, aligned; and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from tests.endings import below, refusal

from isogloss.artifacts import read_manifest
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.errors import ArtifactError
from isogloss.lexicon.anchor_sources import open_anchors
from isogloss.lexicon.sense_clusters import SenseSettings
from isogloss.lexicon.sense_files import load_all_senses, save_senses
from isogloss.lexicon.senses import SenseAnchors, gather_senses
from isogloss.lexicon_commands import anchors
from isogloss.mapping.alignment import load_alignment
from isogloss.recipe import LanguageCorpus
from isogloss.stages import read_text_of

EASY = {"min_count": 20, "strictness": 0, "least_gap": 0, "min_share": 0.01, "occurrences": 60}
"""Settings under which the contexts of an untrained model are divided, too."""
WIDTH, CLEAR, AMBIGUOUS = 6, 24, 4


def settings_of(options: dict[str, float]) -> list[str]:
    return [word for name, value in options.items() for word in ("--set", f"{name}={value}")]


# Gathering


@pytest.fixture
def qel(tiny_run) -> tuple[Path, Path]:
    """A language model with the text of its language."""
    return tiny_run.folder / "encoders" / "qel", tiny_run.folder / "corpus" / "qel" / "text.txt"


def test_senses_are_those_that_the_library_gathers(command, qel, tmp_path):
    model, text = qel
    anchors(model, text, tmp_path / "plain", min_count=3)
    ended = command("anchors", *qel, "-o", tmp_path / "senses", "--senses", "--min-count", 3, *settings_of(EASY))
    assert ended.status == 0, ended.errors
    expected = gather_senses(
        ELMoEncoder.load(model),
        read_text_of(LanguageCorpus(text=str(text)), "qel"),
        anchors=open_anchors(tmp_path / "plain"),
        settings=SenseSettings(**EASY),
    )
    found = load_all_senses(tmp_path / "senses")
    assert [each.layer for each in found] == [0, 1, 2]
    for one, other in zip(found, expected, strict=True):
        assert (one.words, one.language) == (other.words, other.language)
        assert torch.equal(one.senses, other.senses) and torch.equal(one.shares, other.shares)
        assert torch.equal(one.vectors, other.vectors)
    several = [word for word in found[0].words if found[0].is_ambiguous(word)]
    assert len(several) > 10
    told = ", ".join(f"{word} {len(found[0].rows_of(word))}" for word in several[:10])
    words = f"{len(found[0].words)} word types in {tmp_path / 'senses'}, {len(several)} of several senses: {told}, …\n"
    assert ended.output == words
    manifest = read_manifest(tmp_path / "senses", kind="senses")
    assert set(manifest.content["senses"]) == set(several)
    assert sum(manifest.content["senses"][several[0]]) == pytest.approx(1, abs=1e-3)  # rounded to four digits
    assert manifest.content["settings"]["layer"] == 2
    assert below(tmp_path / "senses") == {"manifest.json", "senses.json", "senses.safetensors"}


def test_only_the_words_and_the_layer_asked_for_are_looked_at(command, qel, tmp_path):
    words = open_anchors(qel[0].parents[1] / "lexicon" / "qel")[0].words
    asked = [word for word in words if word.isalpha()][1:3]
    options = ("--sense-words", ", ".join(asked), "--sense-layer", 1, "--seed", 2, *settings_of(EASY))
    ended = command("anchors", *qel, "-o", tmp_path / "senses", "--senses", *options)
    assert ended.status == 0, ended.errors
    manifest = read_manifest(tmp_path / "senses")
    assert set(manifest.content["senses"]) == set(asked)
    assert manifest.content["settings"]["layer"] == 1
    assert manifest.content["settings"]["words"] == sorted(asked)
    assert manifest.content["seed"] == 2


def test_a_text_without_several_senses_is_told_as_such(command, qel, tmp_path):
    ended = command("anchors", *qel, "-o", tmp_path / "s", "--senses", "--max-sentences", 40)
    types = len(load_all_senses(tmp_path / "s")[0].words)
    assert ended.output == f"{types} word types in {tmp_path / 's'}, 0 of several senses\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--sense-words", "bank"),
            "--sense-words: found without --senses, and it is about the search for senses. Expected both or neither. "
            "Add --senses, or leave it out.",
        ),
        (
            ("--seed", 3),
            "--seed: found without --senses, and it is about the search for senses. Expected both or neither. "
            "Add --senses, or leave it out.",
        ),
        (
            ("--senses", "--share", "1/2"),
            "--share: found '1/2' with --senses. Senses are told apart where all contexts of a word are at hand. Leave "
            "one of the two out; --processes divides the work, too.",
        ),
        (
            ("--senses", "--sense-layer", 0),
            "--sense-layer: found 0. Expected 1 to 2, the layers of the model that see contexts. Change it.",
        ),
        (
            ("--senses", "--sense-layer", 3),
            "--sense-layer: found 3. Expected 1 to 2, the layers of the model that see contexts. Change it.",
        ),
        (
            ("--senses", "--sense-words", "zzz,yyy"),
            "--sense-words: found zzz, yyy, which no anchor of {text} is of. Expected words as they are written there, "
            "seen often enough. Leave these out, or lower --min-count.",
        ),
        (
            ("--senses", "--set", "sense=2"),
            "sense: the search for senses has no such setting. Expected one of batch_words, comparisons, directions, "
            "evenness, least_gap, max_senses, max_sentences, max_types, min_count, min_share, occurrences, restarts, "
            "strictness. Change it.",
        ),
        (("--senses", "--processes", 0), "--processes: found 0. Expected 1 or more. Change it."),
        (("--senses", "--set", "max_senses=0"), "max_senses: found 0. Expected a value greater than 0. Change it."),
    ],
)
def test_what_senses_cannot_be_gathered_from_is_refused(command, qel, tmp_path, options, message):
    assert refusal(command("anchors", *qel, "-o", tmp_path / "out", *options)) == message.format(text=qel[1])
    assert not below(tmp_path)


# Opening


def sense_anchors(language: str, layer: int, words: list[str], senses: list[int], vectors: torch.Tensor):
    shares = torch.cat([torch.full((number,), 1 / number, dtype=torch.float64) for number in senses])
    counts = torch.arange(10 * len(words), 0, -10)
    return SenseAnchors(language, layer, tuple(words), torch.tensor(senses), vectors.float(), shares, counts, 1.0)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def senses(tmp_path) -> Path:
    """Sense anchors of three English words in two layers; *bear* has two senses."""
    words = ["house", "bear", "door"]
    save_senses(tmp_path / "en", [sense_anchors("en", n, words, [1, 2, 1], normal(n, 4, WIDTH)) for n in (0, 1)])
    return tmp_path / "en"


def test_senses_are_opened_as_anchors_of_their_own(senses):
    found = open_anchors(senses, language="en")
    assert [each.layer for each in found] == [0, 1]
    assert sorted(found[0].words) == ["bear#1", "bear#2", "door", "house"]
    message = "en: holds anchors of 'en', but the language was said to be 'es'"
    with pytest.raises(ArtifactError, match=message):
        open_anchors(senses, language="es")


def test_senses_name_their_language(command, senses, tmp_path):
    ended = command("geometry", senses, "--min-count", 1, "--json")
    assert ended.status == 0, ended.errors
    # Names of senses, such as bear#1, are no words of letters, and only these are measured.
    assert [(row["language"], row["layer"], row["words"]) for row in json.loads(ended.output)] == [
        ("en", 0, 2),
        ("en", 1, 2),
    ]
    message = refusal(command("import-anchors", senses, "-o", tmp_path / "out", "-l", "en"))
    assert message.startswith(f"{senses}: is a folder of anchors of isogloss. Expected a published folder")


# Aligning


def rotation(layer: int) -> torch.Tensor:
    """The map from en to es that is planted in a layer."""
    return torch.linalg.qr(normal(90 + layer, WIDTH, WIDTH)).Q


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """Sense anchors of en and es, which is en turned, in layers 0 and 1.

    24 words have one sense. Four words ``a0``… have two, each of which has a word of its own in es.
    """
    source = [f"s{n}" for n in range(CLEAR)] + [f"a{n}" for n in range(AMBIGUOUS)]
    target = [f"t{n}" for n in range(CLEAR)] + [f"b{n}{m}" for n in range(AMBIGUOUS) for m in "xy"]
    spaces = [normal(layer, CLEAR + 2 * AMBIGUOUS, WIDTH) for layer in (0, 1)]
    senses = [1] * CLEAR + [2] * AMBIGUOUS
    save_senses(tmp_path / "en", [sense_anchors("en", n, source, senses, space) for n, space in enumerate(spaces)])
    turned = [space @ rotation(layer) for layer, space in enumerate(spaces)]
    save_senses(tmp_path / "es", [sense_anchors("es", n, target, [1] * 32, space) for n, space in enumerate(turned)])
    return tmp_path / "en", tmp_path / "es"


def write_dictionary(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")
    return path


@pytest.fixture
def dictionary(tmp_path) -> Path:
    pairs = [(f"s{n}", f"t{n}") for n in range(CLEAR - 4)]
    return write_dictionary(tmp_path / "d.tsv", pairs + [(f"a{n}", f"b{n}{m}") for n in range(AMBIGUOUS) for m in "xy"])


@pytest.mark.parametrize("ambiguous", ["pair", "drop"])
def test_senses_are_aligned_by_a_dictionary_of_words(command, pair, dictionary, tmp_path, ambiguous):
    options = ("--set", f"ambiguous={ambiguous}", "--normalisation", "none")
    ended = command("align", *pair, "-d", dictionary, "-o", tmp_path / "mapping", *options)
    assert ended.status == 0, ended.errors
    became = "replaced by 8 pairs of senses" if ambiguous == "pair" else "left out"
    pairs = 28 if ambiguous == "pair" else 20
    told = f"{pairs} pairs used: 20 pairs of words of one sense; 8 pairs with an ambiguous word were {became}"
    assert ended.output.splitlines() == [f"en→es layer {layer}: {told}" for layer in (0, 1)]
    for layer in (0, 1):
        found = load_alignment(tmp_path / "mapping" / f"layer-{layer}")
        assert torch.allclose(found.matrix, rotation(layer), atol=1e-6)
        assert (found.method, found.layer) == ("procrustes on senses", layer)
    settings = read_manifest(tmp_path / "mapping", kind="alignments").content["settings"]["method"]
    assert (settings["ambiguous"], settings["procrustes"]["normalisation"]) == (ambiguous, "none")


def test_senses_are_looked_up_and_words_of_one_sense_judge(command, pair, dictionary, tmp_path):
    test = write_dictionary(tmp_path / "test.tsv", [(f"s{n}", f"t{n}") for n in range(18, CLEAR)])
    ended = command("align", *pair, "-d", dictionary, "--test", test, "-o", tmp_path / "mapping", "--json")
    assert [(row["precision@1"], row["tested_words"]) for row in json.loads(ended.output)] == [(1.0, 4), (1.0, 4)]
    rows = json.loads(command("lexicon", tmp_path / "mapping", "a0#1", "a0#2", "-k", 1, "--json").output)
    assert [row["translations"][0]["word"] for row in rows] == ["b0x", "b0y"]
    assert refusal(command("lexicon", tmp_path / "mapping", "s1", "a0")) == (
        f"{tmp_path / 'mapping'}, layer 1: a0 has an anchor for each of its senses. Expected one of a0#1, a0#2. Name "
        "those that you mean."
    )


def test_one_folder_of_each_kind_is_refused(command, pair, qel, dictionary, tmp_path):
    plain = qel[0].parents[1] / "lexicon" / "qel"
    message = (
        f"{pair[0]}: holds anchors of senses, and {plain} does not. Expected two of a kind. Gather the other one with "
        "isogloss anchors --senses, too, or name plain anchors of both."
    )
    for both in ((pair[0], plain), (plain, pair[0])):
        assert refusal(command("align", *both, "-d", dictionary, "-o", tmp_path / "mapping")) == message
    assert not (tmp_path / "mapping").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (),
            "--method: found self-learning, and the anchors are of senses, which are paired by a dictionary. Expected "
            "procrustes, and --dictionary. Give a dictionary, or align plain anchors.",
        ),
        (
            ("-d", "{d}", "--method", "rcsls"),
            "--method: found rcsls, and the anchors are of senses, which are paired by a dictionary. Expected "
            "procrustes, and --dictionary. Give a dictionary, or align plain anchors.",
        ),
        (
            ("--method", "procrustes"),
            "--dictionary: found none, and the anchors are of senses, which are paired by one. Expected a dictionary "
            "of words. Give one, or align plain anchors.",
        ),
        (
            ("-d", "{d}", "--guide", "lowest"),
            "--guide: found with anchors of senses, whose pairs are sought in every layer by itself. Expected none. "
            "Leave it out, or align plain anchors.",
        ),
        (
            ("-d", "{d}", "--set", "ambiguous=guess"),
            "ambiguous: found 'guess'. Expected 'pair' or 'drop'. Change it.",
        ),
        (
            ("-d", "{d}", "--set", "selection=held_out"),
            "selection: found held_out, but no refinements. Expected rounds of refinement, which it is about. Leave it "
            "out, or give --refinements.",
        ),
    ],
)
def test_roads_that_senses_do_not_take_are_refused(command, pair, dictionary, tmp_path, options, message):
    words = [str(word).format(d=dictionary) for word in options]
    assert refusal(command("align", *pair, "-o", tmp_path / "mapping", *words)) == message
    assert not (tmp_path / "mapping").exists()


def test_an_unknown_setting_is_refused_with_those_there_are(command, pair, dictionary, tmp_path):
    message = refusal(command("align", *pair, "-d", dictionary, "-o", tmp_path / "mapping", "--set", "round=1"))
    assert message.startswith("round: procrustes on senses has no such setting. Expected one of ambiguous, ")
    assert message.endswith(", weighting, weighting_prior. Leave it out, or align plain anchors.")
    assert " rounds, " in message


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (
            slice(1, None),
            "Alignment en→es: the anchors have layers 0, 1 and 1. Each layer is mapped to the same layer. Where layer "
            "0 is missing, gather the anchors anew, with `isogloss anchors MODEL TEXT`.",
        ),
        (
            slice(1),
            "Alignment en→es: the anchors have layers 0, 1 and 0. Each layer is mapped to the same layer. Gather both "
            "with models of as many layers.",
        ),
    ],
)
def test_layers_that_differ_are_refused(command, pair, dictionary, tmp_path, kept, message):
    save_senses(tmp_path / "one", load_all_senses(pair[1])[kept])
    command = command("align", pair[0], tmp_path / "one", "-d", dictionary, "-o", tmp_path / "mapping")
    assert refusal(command) == message
