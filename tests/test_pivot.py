"""Dictionaries by way of a third language: how they are joined, what is planned, what is refused."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from isogloss.errors import DictionaryError, RecipeError
from isogloss.language_models import train_lm
from isogloss.lexicon.dictionary import BilingualDictionary, read_dictionary
from isogloss.mapping_stage import PAIRS, join_dictionaries
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.stage import Stage, run_stage

WORDS = [f"{first}{last}" for first in "bdfgklmn" for last in ("al", "eb", "od", "ust", "ir")]
OPTIONS: dict[str, Any] = {
    "size": "tiny",
    "tokenised": True,
    "word_types": 60,
    "training": {"rows": 4},
    "loop": {"max_steps": 4, "evaluate_every": 4},
}
RECIPE = """
name = "pivot"
reference = "tr"

[corpus.tr]
text = "tr.txt"
model = "tr"
treebank = { train = "trees.conllu", dev = "trees.conllu" }

[corpus.en]
text = "en.txt"
model = "en"
treebank = { train = "trees.conllu", dev = "trees.conllu" }

[corpus.kk]
text = "kk.txt"
tokenised = true
treebank = { test = "trees.conllu" }

[encoders]
model = "tiny"
rows = 4

[encoders.loop]
max_steps = 4
evaluate_every = 4

[mapping]
dictionaries = "{target}-{source}.tsv"
pivot = "en"

[parsing]
train_on = ["tr", "en"]
test_on = ["kk"]
systems = ["aligned", "anchored"]
pos = ["none"]
"""
"""A poor language with a list of English words, a kin of it with another, and no dictionary of the two."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with its files, beside it `en-tr.tsv` and `en-kk.tsv`. Read only."""
    folder = tmp_path_factory.mktemp("pivot")
    for language, ending in (("tr", "a"), ("en", "e"), ("kk", "o")):
        draw = random.Random(5)
        rows = ([draw.randrange(8) * 5 + draw.randrange(5) for _ in range(5)] for _ in range(300))
        lines = (" ".join([*(WORDS[word] + ending for word in row), "."]) for row in rows)
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for language, ending in (("tr", "a"), ("kk", "o")):
        pairs = "".join(f"{word}e\t{word}{ending}\n" for word in WORDS)
        (folder / f"en-{language}.tsv").write_text(pairs, encoding="utf-8")
    for language in ("tr", "en"):
        train_lm(folder / f"{language}.txt", folder / language, language=language, **OPTIONS)
    (folder / "trees.conllu").touch()  # nothing here is parsed
    (folder / "pivot.toml").write_text(RECIPE, encoding="utf-8")
    return folder / "pivot.toml"


def plan(recipe: Path, run: Path, *overrides: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in plan_stages(load_recipe(recipe, overrides=overrides), run)}


# ------------------------------------------------------------------------------------------------ joining


def test_words_that_share_a_translation_become_a_pair_each_once():
    kazakh = BilingualDictionary("kk", "en", (("үй", "house"), ("үй", "home"), ("ит", "dog"), ("тау", "Mountain")))
    english = BilingualDictionary(
        "en", "tr", (("home", "ev"), ("house", "ev"), ("house", "hane"), ("mountain", "dağ"), ("cat", "kedi"))
    )
    joined = kazakh.through(english)
    assert (joined.source, joined.target) == ("kk", "tr")
    assert joined.pairs == (("үй", "ev"), ("үй", "hane"), ("тау", "dağ"))


def test_a_spelling_that_is_there_goes_before_one_in_lower_case():
    pairs = (("turkey", "hindi"), ("Turkey", "Türkiye"))
    found = BilingualDictionary("kk", "en", (("Түркия", "Turkey"),)).through(BilingualDictionary("en", "tr", pairs))
    assert found.pairs == (("Түркия", "Türkiye"),)


def test_dictionaries_that_cannot_be_joined_are_refused():
    kazakh = BilingualDictionary("kk", "en", (("ит", "dog"),))
    with pytest.raises(DictionaryError, match=r"^Dictionaries kk→en and tr→en do not meet\. Expected the second to"):
        kazakh.through(BilingualDictionary("tr", "en", (("it", "dog"),)))
    with pytest.raises(DictionaryError, match=r"^Dictionaries kk→en and en→tr have no en word in common\. Expected"):
        kazakh.through(BilingualDictionary("en", "tr", (("cat", "kedi"),)))


@pytest.mark.parametrize("turned", [True, False])
def test_the_columns_come_in_the_order_of_those_that_were_joined(tmp_path, turned):
    def written(name: str, pairs: list[tuple[str, str]]) -> Path:
        lines = "".join("\t".join(pair if turned else pair[::-1]) + "\n" for pair in pairs)
        (tmp_path / name).write_text(lines, encoding="utf-8")
        return tmp_path / name

    of = {
        "dictionary": written("kk", [("dog", "ит")]),
        "dictionary_of_target": written("tr", [("dog", "köpek"), ("cat", "kedi")]),
    }
    join_dictionaries(tmp_path, source="kk", target="tr", pivot="en", **of, reversed_columns=turned)
    assert (tmp_path / PAIRS).read_text(encoding="utf-8") == ("köpek\tит\n" if turned else "ит\tköpek\n")
    of["dictionary"] = None  # the pivot itself
    told = join_dictionaries(tmp_path, source="en", target="tr", pivot="en", **of, reversed_columns=turned)
    first = "köpek\tdog" if turned else "dog\tköpek"
    assert (tmp_path / PAIRS).read_text(encoding="utf-8").splitlines()[0] == first
    assert told == {"pairs": 2}


# ------------------------------------------------------------------------------------------------ in a recipe


def test_a_recipe_joins_a_dictionary_for_every_language_and_reads_it(recipe):
    stages = plan(recipe, Path("/run"))
    assert {name for name in stages if name.startswith("dictionaries/")} == {"dictionaries/en", "dictionaries/kk"}
    assert set(stages["dictionaries/kk"].inputs) == {"dictionary", "dictionary_of_target"}
    assert set(stages["dictionaries/en"].inputs) == {"dictionary_of_target"}
    for name in ("mapping/kk", "mapping/kk-anchored", "encoders/kk-anchored"):
        assert stages[name].arguments["dictionary"] == Path("/run/dictionaries/kk/pairs.tsv"), name
        assert "dictionaries/kk" in stages[name].after, name
        assert stages[name].inputs["dictionary"] == f"{stages['dictionaries/kk'].key}:pairs.tsv", name
    assert stages["mapping/en"].arguments["dictionary"] == Path("/run/dictionaries/en/pairs.tsv")


def test_another_dictionary_of_the_reference_makes_all_that_is_joined_anew(recipe, tmp_path):
    other = tmp_path / "other.tsv"
    other.write_text("bale\tbala\n", encoding="utf-8")
    before, after = plan(recipe, Path("/run")), plan(recipe, Path("/run"), f"corpus.tr.dictionary={other}")
    changed = {name for name in before if before[name].key != after[name].key}
    assert {"dictionaries/en", "dictionaries/kk", "mapping/en", "mapping/kk", "encoders/kk-anchored"} <= changed
    assert not {"encoders/kk", "lexicon/kk", "vectors/en"} & changed


WITHOUT_PAIRS = 'mapping.method={method="self_learning", seed_pairs="identical"}'


def test_roads_without_a_dictionary_join_none_whatever_else_is_set(recipe):
    systems = 'parsing.systems=["aligned"]'
    for more in (["mapping.dictionaries="], []):
        stages = plan(recipe, Path("/run"), WITHOUT_PAIRS, systems, *more)
        assert not any(name.startswith("dictionaries/") for name in stages)
        assert stages["mapping/kk"].arguments["dictionary"] is None
    searched = plan(recipe, Path("/run"), 'parsing.systems=["aligned-no-dictionary"]')
    assert not any(name.startswith("dictionaries/") for name in searched)


def test_a_language_whose_own_road_needs_pairs_gets_them(recipe):
    own = 'corpus.kk.method={method="procrustes"}'
    stages = plan(recipe, Path("/run"), WITHOUT_PAIRS, own, 'parsing.systems=["aligned"]')
    assert stages["mapping/kk"].arguments["dictionary"] == Path("/run/dictionaries/kk/pairs.tsv")
    assert stages["mapping/en"].arguments["dictionary"] is None


def test_columns_of_a_test_dictionary_come_in_one_order_whatever_the_road(recipe):
    test = f"corpus.kk.test_dictionary={recipe.parent / 'en-kk.tsv'}"
    stages = plan(recipe, Path("/run"), test, 'parsing.systems=["aligned", "aligned-no-dictionary"]')
    for name in ("mapping/kk", "mapping/kk-no-dictionary"):
        assert stages[name].arguments["reversed_columns"], name


def test_what_is_joined_is_what_models_are_anchored_and_aligned_by(recipe, tmp_path):
    stages = plan(recipe, tmp_path)
    for name in ("encoders/tr", "dictionaries/kk", "encoders/kk-anchored"):
        run_stage(stages[name], tmp_path)
    found = read_dictionary(tmp_path / "dictionaries/kk/pairs.tsv", source="tr", target="kk")
    assert found.pairs == tuple((f"{word}a", f"{word}o") for word in WORDS)
    card = (tmp_path / "encoders/kk-anchored/card.json").read_text(encoding="utf-8")
    assert '"anchored_pairs": 40' in card


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("mapping.pivot=tr",), "mapping.pivot: found 'tr', which is the reference. Expected a third language, or"),
        (
            ("mapping.test_dictionaries={target}-{source}.tsv",),
            "mapping.test_dictionaries: found with mapping.pivot. Expected no pattern: pairs that were joined would",
        ),
        (
            ("corpus.en.dictionary=en-kk.tsv",),
            "corpus.en.dictionary: found with mapping.pivot = 'en'. Expected none: the reference's own serves the",
        ),
        (
            ('corpus.kk.dictionary=""',),
            "corpus.kk.dictionary: found '' with mapping.pivot. Expected a dictionary with en. Name a file, or",
        ),
        (("mapping.pivot=de",), "mapping.dictionaries: {folder}/de-tr.tsv: no such file. Expected a file."),
    ],
)
def test_a_pivot_that_makes_no_sense_is_refused(recipe, overrides, message):
    expected = re.escape(f"{recipe}, " + message.format(folder=recipe.parent))
    with pytest.raises(RecipeError, match=f"^{expected}"):
        load_recipe(recipe, overrides=overrides)


def test_an_invented_family_has_no_pivot(tiny_recipe):
    with pytest.raises(RecipeError, match=r"mapping\.pivot: found 'qbe', and invented languages have dictionaries\."):
        load_recipe(tiny_recipe, overrides=("mapping.pivot=qbe",))
