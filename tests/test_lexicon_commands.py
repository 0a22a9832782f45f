"""Anchors and alignments through the command line: gathered, merged, measured, looked up, exchanged, drawn."""

import json
import re
import shutil
from functools import reduce
from operator import matmul
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.endings import below, refusal

from isogloss.alignment_commands import judge, translate
from isogloss.alignment_folders import open_alignments
from isogloss.artifacts import read_manifest
from isogloss.compute.workers import Event
from isogloss.errors import ArtifactError, RecipeError
from isogloss.lexicon.anchor_files import load_all_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import read_dictionary
from isogloss.lexicon_commands import anchors, key_of_anchors
from isogloss.mapping.alignment import Alignment, load_alignment, save_alignment

CSLS_NEIGHBOURS = 10


def refused(ended, words: str) -> None:
    """Check how a command ended, and what its one line says."""
    assert re.search(words, found := refusal(ended)), found


@pytest.fixture
def qel(tiny_run) -> tuple[Path, Path]:
    """A language model with the text of its language."""
    return tiny_run.folder / "encoders" / "qel", tiny_run.folder / "corpus" / "qel" / "text.txt"


@pytest.fixture
def mapping(tiny_run, tmp_path) -> Path:
    """A folder of alignments that names its anchors, one of them by a relative path."""
    folder = tmp_path / "mapping"
    shutil.copytree(tiny_run.folder / "mapping" / "qel", folder)
    shutil.copytree(tiny_run.folder / "lexicon" / "qel", tmp_path / "anchors")
    target = tiny_run.folder / "lexicon" / "qal"
    named = {"source": "../anchors", "target": str(target)}
    named |= {"source_key": key_of_anchors(tmp_path / "anchors"), "target_key": key_of_anchors(target)}
    (folder / "anchors.json").write_text(json.dumps(named))
    return folder


# Anchors in processes and shares


def same_anchors(one: Path, other: Path) -> None:
    """Compare two folders of anchors: the order of float64 sums may show in their last digits, no further."""
    ours, theirs = load_file(one / "anchors.safetensors"), load_file(other / "anchors.safetensors")
    assert (one / "words.txt").read_bytes() == (other / "words.txt").read_bytes()
    assert ours["counts"].equal(theirs["counts"])
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        # Means are rounded to float32 last: where the sums differ at 1e-16, a mean may differ by one rounding.
        tolerance = 1e-12 if tensor.dtype == torch.float64 else 2**-23
        torch.testing.assert_close(tensor, theirs[name], rtol=tolerance, atol=tolerance)
    assert read_manifest(one).key == read_manifest(other).key


@pytest.fixture
def whole(qel, tmp_path) -> Path:
    anchors(*qel, tmp_path / "whole", min_count=2, max_sentences=200)
    return tmp_path / "whole"


def test_the_number_of_processes_does_not_show_in_anchors(command, qel, whole, tmp_path):
    words = ("anchors", *qel, "-o", tmp_path / "two", "--min-count", 2, "--max-sentences", 200, "--processes", 2)
    ended = command(*words)
    types = len((whole / "words.txt").read_text(encoding="utf-8").splitlines())
    assert ended.output == f"{types} word types in {tmp_path / 'two'}\n"
    same_anchors(whole, tmp_path / "two")
    assert below(tmp_path / "two") == below(whole)


def test_shares_merge_to_the_anchors_of_the_whole_text_in_any_order(command, qel, whole, tmp_path):
    sums = [tmp_path / f"sums-{number}" for number in (1, 2, 3)]
    limits = ("--min-count", 2, "--max-sentences", 200)
    for number, folder in enumerate(sums, 1):
        assert command("anchors", *qel, "-o", folder, *limits, "--share", f"{number}/3").status == 0
        assert read_manifest(folder).kind == "sums"
    ended = command("merge-anchors", sums[2], sums[0], sums[1], "-o", tmp_path / "merged")
    assert ended.status == 0, ended.errors
    assert ended.output.endswith(f"word types in {tmp_path / 'merged'}\n")
    same_anchors(whole, tmp_path / "merged")


def test_merging_may_keep_fewer_word_types(command, qel, whole, tmp_path):
    for number in (1, 2):
        anchors(*qel, tmp_path / str(number), min_count=2, max_sentences=200, share=f"{number}/2")
    limits = ("--min-count", 6, "--max-types", 7)
    command("merge-anchors", tmp_path / "1", tmp_path / "2", "-o", tmp_path / "merged", *limits)
    anchors(*qel, tmp_path / "direct", min_count=6, max_types=7, max_sentences=200)
    same_anchors(tmp_path / "direct", tmp_path / "merged")
    assert len(load_all_anchors(tmp_path / "merged")[0]) == 7


@pytest.mark.parametrize(
    ("shares", "options", "words"),
    [
        (("1", "1"), (), r"1: the sums named for its text are of the shares 1/2, 1/2\. Expected each share once"),
        (("1",), (), r"are of the shares 1/2\. Expected each share once, from 1/2 to 2/2"),
        (("1", "other-text"), (), r"other-text: its sums are of another text than those in .*1\. Expected the shares"),
        (("1", "other-model"), (), r"other-model: its sums are of another language model than those in "),
        (("1", "other-limit"), (), r"other-limit: its sums are of another setting: anchors than those in "),
        (("1", "anchors"), (), r"anchors: holds 'anchors'\. Expected 'sums'"),
        (("1", "nowhere"), (), r"nowhere: no such folder"),
        (
            ("1", "2"),
            ("--min-count", 1),
            r"--min-count: found 1, but the sums were gathered with 2\. Expected at least",
        ),
        (("1", "2"), ("--max-types", 50_001), r"--max-types: found 50001, but .* with 50000\. Expected at most that"),
        (("1", "2"), ("--min-count", 0), r"min_count: found 0\."),
        (("1", "2"), ("--min-count", 100_000), r"no type occurs 100000 times, as min_count asks"),
    ],
)
def test_sums_that_do_not_belong_together_are_refused(command, qel, tiny_run, tmp_path, shares, options, words):
    model, text = qel
    limits = {"min_count": 2, "max_sentences": 60}
    (tmp_path / "text.txt").write_bytes(text.read_bytes() + b"\n")
    make = {
        "1": lambda out: anchors(model, text, out, share="1/2", **limits),
        "2": lambda out: anchors(model, text, out, share="2/2", **limits),
        "other-text": lambda out: anchors(model, tmp_path / "text.txt", out, share="2/2", **limits),
        "other-model": lambda out: anchors(tiny_run.folder / "encoders" / "qal", text, out, share="2/2", **limits),
        "other-limit": lambda out: anchors(model, text, out, share="2/2", min_count=3, max_sentences=60),
        "anchors": lambda out: anchors(model, text, out, **limits),
    }
    for name in {*shares} - {"nowhere"}:
        make[name](tmp_path / name)
    before = below(tmp_path)
    refused(command("merge-anchors", *(tmp_path / name for name in shares), "-o", tmp_path / "out", *options), words)
    assert below(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--processes", 0), r"--processes: found 0\. Expected 1 or more"),
        (("--threads", 0), r"threads: found 0\."),
        (("--max-types", 0), r"max_types: found 0\."),
        (("--share", "3/2"), r"--share: found '3/2'\. Expected I/N, such as 2/8"),
        (("--share", "0/2"), r"--share: found '0/2'"),
        (("--share", "half"), r"--share: found 'half'"),
    ],
)
def test_anchors_refuse_numbers_that_make_no_sense(command, qel, tmp_path, options, words):
    refused(command("anchors", *qel, "-o", tmp_path / "out", *options), words)
    assert below(tmp_path) == set()


def test_anchors_tell_their_progress(qel, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.stages.SECONDS_BETWEEN_REPORTS", 0.0)
    events: list[Event] = []
    anchors(*qel, tmp_path / "out", min_count=2, max_sentences=150, on_event=events.append)
    assert [event["event"] for event in events[:2]] == ["run", "started"]
    assert events[-1]["event"] == "finished"
    told = [event["done"] for event in events if event["event"] == "progress"]
    assert told == sorted(told)
    assert told[-1] == 150


def test_a_request_to_stop_leaves_nothing_behind(qel, tmp_path, monkeypatch):
    from isogloss.compute.interruption import stop_requested

    def ask(event: Event) -> None:
        if event["event"] == "started":
            stop_requested.ask()

    with pytest.raises(KeyboardInterrupt):
        anchors(*qel, tmp_path / "out", min_count=2, on_event=ask)
    assert below(tmp_path) == set()


# Geometry


def test_geometry_prints_a_line_for_each_language_and_layer(command, tiny_run):
    folders = [tiny_run.folder / "lexicon" / language for language in ("qel", "qal")]
    heading, *lines = command("geometry", *folders, "--min-count", 5).output.splitlines()
    assert heading.split()[:4] == ["language", "layer", "words", "anchor–anchor"]
    assert [line.split()[:2] for line in lines] == [[code, str(layer)] for code in ("qel", "qal") for layer in range(3)]
    rows = json.loads(command("geometry", *folders, "--min-count", 5, "--json").output)
    assert len(rows) == 6
    assert f"{rows[1]['anchor_distance_mean']:.2f} ± {rows[1]['anchor_distance_sd']:.2f}" in lines[1]
    assert f"{rows[1]['token_distance_mean']:.2f} ± {rows[1]['token_distance_sd']:.2f}" in lines[1]
    assert 0 < rows[1]["token_distance_mean"] < rows[1]["anchor_distance_mean"]


def test_geometry_takes_a_list_of_homonyms(command, tiny_run, tmp_path):
    folder = tiny_run.folder / "lexicon" / "qel"
    words = [word for word in (folder / "words.txt").read_text(encoding="utf-8").splitlines() if word.isalpha()][:4]
    (tmp_path / "words.txt").write_text("\n".join([*words, "", "nowhere"]) + "\n", encoding="utf-8")
    options = ("--min-count", 2, "--homonyms", tmp_path / "words.txt")
    row = json.loads(command("geometry", folder, *options, "--json").output)[2]
    assert (row["homonyms_found"], row["homonyms_asked"]) == (4, 5)
    layer = load_all_anchors(folder)[2]
    assert layer.token_norms is not None
    places = [layer.words.index(word) for word in words]
    distances = [1 - float(layer.vectors[place].norm()) / float(layer.token_norms[place]) for place in places]
    assert row["homonym_distance_mean"] == pytest.approx(sum(distances) / 4, abs=1e-6)  # float32 norms here
    assert "4 of 5" in command("geometry", folder, *options).output


def test_geometry_of_foreign_vectors_leaves_blank_what_they_do_not_know(command, tiny_run, tmp_path):
    (tmp_path / "vectors.txt").write_text("3 2\nab 1 0\ncd 0 1\nef 1 1\n")
    rows = json.loads(command("geometry", tmp_path / "vectors.txt", "-l", "xx", "--json").output)
    assert (rows[0]["language"], rows[0]["words"], rows[0]["token_distance_mean"]) == ("xx", 3, None)
    assert rows[0]["anchor_distance_mean"] == pytest.approx(1 - (0 + 2 * 0.5**0.5) / 3)
    _, line = command("geometry", tmp_path / "vectors.txt", "-l", "xx").output.splitlines()
    assert line.count("±") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{vectors}",), r"vectors\.txt: the language is not known"),
        (
            ("{vectors}", "-l", "xx", "-l", "yy"),
            r"--language: found 2, but 1 of the anchors do not name their language",
        ),
        (("{qel}", "-l", "qel"), r"--language: found 1, but 0 of the anchors do not name"),
        (("{qel}", "--min-count", "0"), r"--min-count: found 0\."),
        (("{qel}", "--min-count", "100000"), r"0 of \d+ word types are made of letters and occur 100000 times"),
        (("{qel}", "--homonyms", "{empty}"), r"empty\.txt: there is no word in this file"),
        (("{qel}", "--homonyms", "{nowhere}"), r"nowhere: no such file"),
        (("{nowhere}",), r"nowhere: there is no such file or folder"),
        (("{model}",), r"encoders/qel: holds neither anchors\.safetensors nor norms\.json"),
    ],
)
def test_geometry_refuses_what_it_cannot_measure(command, tiny_run, tmp_path, words, message):
    (tmp_path / "vectors.txt").write_text("2 2\nab 1 0\ncd 0 1\n")
    (tmp_path / "empty.txt").write_text("\n \n")
    places = {"vectors": tmp_path / "vectors.txt", "empty": tmp_path / "empty.txt", "nowhere": tmp_path / "nowhere"}
    places |= {"qel": tiny_run.folder / "lexicon" / "qel", "model": tiny_run.folder / "encoders" / "qel"}
    refused(command("geometry", *(word.format(**places) for word in words)), message)


# Translations


def slow_translations(alignment: Alignment, ours: Anchors, theirs: Anchors, *, metric: str) -> list[list[tuple]]:
    """Rank all targets for every source, word by word: the score and, as a second key, the place."""

    def unit(vectors: torch.Tensor) -> torch.Tensor:
        return vectors.double() / vectors.double().norm(dim=1, keepdim=True)

    assert alignment.source_centre is None, "anchors of unit length are not centred"
    A, B = alignment.source_weighting, alignment.target_weighting
    weighted = A is not None and B is not None  # held-out pairs decide
    sources = unit(ours.vectors.double() @ A if weighted else alignment.apply(ours.vectors.double()))
    targets = unit(theirs.vectors.double() @ B if weighted else theirs.vectors.double())
    cosine = reduce(matmul, (sources, targets.T))
    if metric == "csls":
        near_sources = [sum(sorted(row.tolist())[-CSLS_NEIGHBOURS:]) / CSLS_NEIGHBOURS for row in cosine]
        near_targets = [sum(sorted(row.tolist())[-CSLS_NEIGHBOURS:]) / CSLS_NEIGHBOURS for row in cosine.T]
        cosine = 2 * cosine - torch.tensor(near_sources)[:, None] - torch.tensor(near_targets)
    return [sorted(((-score, place) for place, score in enumerate(row.tolist()))) for row in cosine]


@pytest.mark.parametrize("metric", ["csls", "cosine"])
def test_translations_are_those_of_a_slow_search(mapping, tiny_run, metric):
    ours, theirs = (load_all_anchors(tiny_run.folder / "lexicon" / language)[2] for language in ("qel", "qal"))
    expected = slow_translations(load_alignment(mapping / "layer-2"), ours, theirs, metric=metric)
    found = translate(mapping, layer=2, k=3, metric=metric)
    assert [row["word"] for row in found] == list(ours.words)
    for row, ranked in zip(found, expected, strict=True):
        scores = [each["score"] for each in row["translations"]]
        # Neighbours are found in float32, whose sums over 16 numbers of at most 1 are good to 1e-6, here doubled.
        assert scores == pytest.approx([-score for score, _ in ranked[:3]], abs=5e-6)
    first = [theirs.words[ranked[0][1]] for ranked in expected]
    same = sum(row["translations"][0]["word"] == word for row, word in zip(found, first, strict=True))
    assert same >= 0.99 * len(first), "only ties in float32 may be decided otherwise"


def test_lexicon_prints_translations_of_words(command, mapping, tiny_run):
    word = load_all_anchors(tiny_run.folder / "lexicon" / "qel")[0].words[3]
    ended = command("lexicon", mapping, word, "-k", 2)
    rows = translate(mapping, [word], layer=1, k=2)
    assert ended.output == "".join(f"{word}\t{each['word']}\t{each['score']:.4f}\n" for each in rows[0]["translations"])
    assert json.loads(command("lexicon", mapping, word, "-k", 2, "--json").output) == rows


def test_one_word_has_the_translations_that_it_has_among_all(mapping, tiny_run):
    words = load_all_anchors(tiny_run.folder / "lexicon" / "qel")[0].words
    one, among_all = translate(mapping, [words[5]], k=4)[0], translate(mapping, k=4)[5]

    def told(row):
        return row["word"], row["found_as"], [each["word"] for each in row["translations"]]

    assert told(one) == told(among_all)
    scores = [[each["score"] for each in row["translations"]] for row in (one, among_all)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-6), (
        "a product of another shape may round its last digit otherwise"
    )


def test_lexicon_writes_all_translations(command, mapping, tiny_run, tmp_path):
    words = load_all_anchors(tiny_run.folder / "lexicon" / "qel")[0].words
    ended = command("lexicon", mapping, "-k", 2, "-o", tmp_path / "all.tsv")
    assert (ended.status, ended.output) == (0, "")
    lines = (tmp_path / "all.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == [word for word in words for _ in range(2)]
    assert command("lexicon", mapping, "-k", 2).output.splitlines() == lines


def test_a_judgement_is_what_counting_by_hand_finds(command, mapping, tiny_run):
    pairs = tiny_run.folder / "corpus" / "dictionaries" / "qel-qal.test.tsv"
    rows = json.loads(command("lexicon", mapping, "-d", pairs, "--json").output)
    assert [(row["layer"], row["metric"]) for row in rows] == [(n, by) for n in range(3) for by in ("csls", "cosine")]
    words = read_dictionary(pairs, source="qel", target="qal")
    ours, theirs = (load_all_anchors(tiny_run.folder / "lexicon" / language)[1] for language in ("qel", "qal"))
    right = {}
    for row, column in words.usable(ours, theirs):
        right.setdefault(row, set()).add(column)
    for judged in rows[2:4]:
        ranked = slow_translations(load_alignment(mapping / "layer-1"), ours, theirs, metric=judged["metric"])
        assert judged["tested_words"] == len(right)
        assert judged["coverage"] == len(right) / judged["dictionary_words"]
        for at in (1, 5, 10):
            hits = sum(bool(wanted & {place for _, place in ranked[row][:at]}) for row, wanted in right.items())
            assert judged[f"precision@{at}"] == pytest.approx(hits / len(right), abs=1.5 / len(right)), (
                "one tie at most"
            )
            low, high = judged[f"precision@{at}_interval"]
            assert 0 <= low <= judged[f"precision@{at}"] <= high <= 1
    table = command("lexicon", mapping, "-d", pairs).output.splitlines()
    assert len(table) == 7
    assert table[3].split()[:4] == ["qel→qal", "1", "csls", f"{100 * rows[2]['precision@1']:.1f}"]


def test_a_dictionary_may_be_turned_and_layers_and_metric_chosen(command, mapping, tiny_run, tmp_path):
    pairs = tiny_run.folder / "corpus" / "dictionaries" / "qel-qal.test.tsv"
    lines = [line.split("\t") for line in pairs.read_text(encoding="utf-8").splitlines()]
    (tmp_path / "turned.tsv").write_text("".join(f"{b}\t{a}\n" for a, b in lines), encoding="utf-8")
    options = ("--turned", "--layer", 2, "--metric", "cosine", "--json")
    rows = json.loads(command("lexicon", mapping, "-d", tmp_path / "turned.tsv", *options).output)
    assert rows == judge(mapping, pairs, layer=2, metric="cosine")
    assert len(rows) == 1


def test_anchors_may_be_named_where_a_run_does_not(command, tiny_run):
    folder, anchors_of = tiny_run.folder / "mapping" / "qel", tiny_run.folder / "lexicon"
    refused(
        command("lexicon", folder), r"mapping/qel: does not say from which anchors it was found \(no anchors\.json\)"
    )
    where = ("--source-anchors", anchors_of / "qel", "--target-anchors", anchors_of / "qal")
    assert command("lexicon", folder, *where, "-k", 1).status == 0
    wrong = ("--source-anchors", tiny_run.folder / "static" / "qel", "--target-anchors", anchors_of / "qal")
    refused(
        command("lexicon", folder, *wrong), r"static/qel: are not the source anchors from which .*mapping/qel was found"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("zzz", "yyy"), r"mapping, layer 1: no anchor of zzz, yyy\. Expected words among the \d+ types of qel"),
        (("--layer", 7), r"--layer: found 7, but .*mapping has alignments of layer 0, 1, 2 only"),
        (("-k", 0), r"-k: found 0\. Expected 1 or more"),
        (("--metric", "euclid"), r"--metric: found 'euclid'\. Expected csls or cosine"),
        (("-d", "{nowhere}"), r"nowhere: cannot be read"),
        (("-d", "{unknown}"), r"of 1 dictionary pairs 0 source words have anchors"),
        (("-d", "{unknown}", "word"), r"--dictionary: found with words to translate"),
        (("-d", "{unknown}", "-o", "{nowhere}"), r"--dictionary: found with --out"),
        (("-d", "{unknown}", "--metric", "euclid"), r"--metric: found 'euclid'"),
        (("-o", "{nowhere}/all.tsv"), r"all\.tsv: writing failed"),
        (("--source-anchors", "{nowhere}"), r"nowhere: there is no such file or folder"),
        (("--source-anchors", "{qal}"), r"holds anchors of 'qal', but the language was said to be 'qel'"),
    ],
)
def test_lexicon_refuses_what_makes_no_sense(command, mapping, tiny_run, tmp_path, words, message):
    (tmp_path / "unknown.tsv").write_text("zzz\tyyy\n")
    places = {"nowhere": tmp_path / "nowhere", "unknown": tmp_path / "unknown.tsv"}
    places |= {"qal": tiny_run.folder / "lexicon" / "qal"}
    before = below(tmp_path)
    refused(command("lexicon", mapping, *(str(word).format(**places) for word in words)), message)
    assert below(tmp_path) == before


def test_anchors_that_were_moved_or_changed_are_noticed(command, mapping, tmp_path):
    (tmp_path / "anchors").rename(tmp_path / "moved")
    refused(command("lexicon", mapping), r"anchors\.json: the source anchors .*anchors are not there any more")
    assert command("lexicon", mapping, "--source-anchors", tmp_path / "moved", "-k", 1).status == 0
    manifest = json.loads((tmp_path / "moved" / "manifest.json").read_text())
    (tmp_path / "moved" / "manifest.json").write_text(json.dumps(manifest | {"key": "0" * 64}))
    options = ("--source-anchors", tmp_path / "moved")
    refused(
        command("lexicon", mapping, *options), r"moved: are not the source anchors from which .*their key is another"
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"source": "a"}', '{"source": "a", "target": "b"}'])
def test_a_broken_note_of_anchors_is_refused(command, mapping, content):
    (mapping / "anchors.json").write_text(content)
    refused(command("lexicon", mapping), r"anchors\.json: cannot be read")


def test_folders_that_hold_no_alignment_are_refused(tmp_path, tiny_run, mapping):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"empty: holds no alignment\. Expected folders such as layer-1"):
        open_alignments(tmp_path / "empty")
    with pytest.raises(ArtifactError, match=r"lexicon/qel: holds 'anchors'\. Expected 'alignments'"):
        open_alignments(tiny_run.folder / "lexicon" / "qel")
    (mapping / "layer-1" / "alignment.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"layer-1/alignment\.json: differs from what was written"):
        open_alignments(mapping)
    assert list(open_alignments(mapping / "layer-2")) == [2]


# Other formats


def test_anchors_go_out_in_the_published_layout_and_come_back(command, tiny_run, tmp_path):
    folder = tiny_run.folder / "lexicon" / "qel"
    assert command("export-anchors", folder, "-o", tmp_path / "out").output == f"{tmp_path / 'out'}\n"
    ended = command("import-anchors", tmp_path / "out", "-l", "qel", "-o", tmp_path / "back", "--json")
    ours, theirs = load_all_anchors(folder), load_all_anchors(tmp_path / "back")
    facts = {"layers": 3, "word_types": len(ours[0]), "width": ours[0].width}
    assert json.loads(ended.output) == facts
    assert read_manifest(tmp_path / "back").content.items() >= facts.items()
    for one, other in zip(ours, theirs, strict=True):
        assert (one.language, one.layer, one.words, one.mean_norm) == (
            other.language,
            other.layer,
            other.words,
            other.mean_norm,
        )
        assert one.vectors.equal(other.vectors)
        assert one.counts.equal(other.counts)


def test_word_vectors_become_anchors_of_layer_0(command, tmp_path):
    (tmp_path / "vectors.txt").write_text("3 2\nab 1 0\ncd 0 1\nef 1 1\n")
    words = ("import-anchors", tmp_path / "vectors.txt", "-l", "xx", "-o", tmp_path / "anchors", "--max-types", 2)
    assert command(*words).status == 0
    (found,) = load_all_anchors(tmp_path / "anchors")
    assert (found.language, found.layer, found.words) == ("xx", 0, ("ab", "cd"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("import-anchors", "{qel}", "-l", "qel"), r"lexicon/qel: is a folder of anchors of isogloss"),
        (("import-anchors", "{nowhere}", "-l", "xx"), r"nowhere: there is no such file or folder"),
        (("import-anchors", "{bad}", "-l", "xx"), r"bad\.txt:2: "),
        (("import-anchors", "{bad}", "-l", "../es"), r"--language: found '\.\./es'\. Expected a code of letters"),
        (("import-anchors", "{bad}", "-l", ""), r"--language: found ''\. Expected a code of letters"),
        (("export-anchors", "{model}"), r"encoders/qel: holds 'encoder'\. Expected 'anchors'"),
        (("import-anchors", "{bad}", "-l", "xx", "--max-types", "0"), r"--max-types: found 0\."),
        (("export-anchors", "{nowhere}"), r"nowhere: no such folder"),
        (("export-anchors", "{spaces}"), r"the word 'a b' cannot be written"),
        (("import-alignment", "{bad}", "--source", "a", "--target", "b"), r"bad\.txt: "),
        (("import-alignment", "{nowhere}", "--source", "a", "--target", "b"), r"nowhere: "),
        (
            ("import-alignment", "{bad}", "{bad}", "--source", "a", "--target", "b"),
            r"--layer: found none for 2 files\. Expected one for each",
        ),
        (
            ("import-alignment", "{bad}", "{bad}", "--source", "a", "--target", "b", "--layer", "1", "--layer", "1"),
            r"--layer: found 1, 1 for 2 files",
        ),
        (
            ("import-alignment", "{bad}", "--source", "a", "--target", "b", *("--target-file", "{bad}") * 2),
            r"--target-file: found 2 for 1 files",
        ),
        (("export-alignment", "{mapping}", "--container", "tar"), r"--container: found 'tar'\. Expected zip or legacy"),
        (("export-alignment", "{mapping}", "--layer", "9"), r"--layer: found 9, but "),
        (("export-alignment", "{nowhere}"), r"nowhere: no such folder"),
        (("export-alignment", "{mapping}"), r"has a target_centre|has a source_centre"),
    ],
)
def test_what_cannot_be_brought_in_or_given_out_is_refused(command, tiny_run, tmp_path, words, message):
    (tmp_path / "bad.txt").write_text("2 2\nab 1\n")
    spaces = Anchors.of_vectors(["a b"], torch.eye(1), language="xx")
    from isogloss.artifacts import build_artifact
    from isogloss.lexicon.anchor_files import save_anchors

    build_artifact(tmp_path / "spaces", "anchors", lambda at: save_anchors(at, [spaces]), settings={}, inputs={})
    moved = Alignment("a", "b", 1, torch.eye(2, dtype=torch.float64), source_centre=torch.ones(2, dtype=torch.float64))
    save_alignment(tmp_path / "mapping" / "layer-1", moved)
    places = {"qel": tiny_run.folder / "lexicon" / "qel", "nowhere": tmp_path / "nowhere", "bad": tmp_path / "bad.txt"}
    places |= {"spaces": tmp_path / "spaces", "mapping": tmp_path / "mapping"}
    places["model"] = tiny_run.folder / "encoders" / "qel"
    before = below(tmp_path)
    refused(command(*(word.format(**places) for word in words), "-o", tmp_path / "out"), message)
    assert below(tmp_path) == before


@pytest.mark.parametrize("options", [(), ("--container", "legacy"), ("--tensor",)])
def test_an_alignment_goes_out_as_a_published_matrix_and_comes_back(command, tmp_path, options):
    generator = torch.Generator().manual_seed(1)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    for layer in (1, 2):
        own = Alignment("es", "en", layer, rotation, scale=0.25 * layer, target_scale=0.5)
        save_alignment(tmp_path / "mapping" / f"layer-{layer}", own)
        command("export-alignment", tmp_path / "mapping", "--layer", layer, "-o", tmp_path / f"{layer}.pth", *options)
        target = Alignment.identity("en", layer=layer, width=6, scale=0.5)
        save_alignment(tmp_path / "target" / f"layer-{layer}", target)
        assert (
            command("export-alignment", tmp_path / "target", "--layer", layer, "-o", tmp_path / f"en{layer}").status
            == 0
        )
    files, own_files = (tmp_path / "2.pth", tmp_path / "1.pth"), (tmp_path / "en2", tmp_path / "en1")
    words = ("import-alignment", *files, "--source", "es", "--target", "en", "--layer", 2, "--layer", 1)
    ended = command(*words, *("--target-file", own_files[0], "--target-file", own_files[1]), "-o", tmp_path / "back")
    assert ended.status == 0, ended.errors
    assert [line.partition(":")[0] for line in ended.output.splitlines()] == ["layer 2", "layer 1"]
    found = open_alignments(tmp_path / "back")
    assert list(found) == [1, 2]
    for layer, alignment in found.items():
        assert (alignment.source, alignment.target, alignment.method) == ("es", "en", "published")
        # A tensor is stored in float32.
        torch.testing.assert_close(alignment.matrix, rotation, rtol=0, atol=1e-6 if options == ("--tensor",) else 1e-12)
        assert (alignment.scale, alignment.target_scale) == (pytest.approx(0.25 * layer), pytest.approx(0.5))


def test_an_imported_alignment_takes_any_anchors_of_its_languages_and_width(command, tiny_run, tmp_path):
    anchors_of = tiny_run.folder / "lexicon"
    save_alignment(tmp_path / "one", Alignment("qel", "qal", 1, torch.eye(16, dtype=torch.float64)))
    command("export-alignment", tmp_path / "one", "-o", tmp_path / "one.pth")
    command("import-alignment", tmp_path / "one.pth", "--source", "qel", "--target", "qal", "-o", tmp_path / "mapping")
    where = ("--source-anchors", anchors_of / "qel", "--target-anchors", anchors_of / "qal")
    assert command("lexicon", tmp_path / "mapping", *where, "-k", 1).status == 0
    (tmp_path / "qel.txt").write_text("1 2\nab 1 0\n")
    narrow = ("--source-anchors", tmp_path / "qel.txt", *where[2:])
    refused(command("lexicon", tmp_path / "mapping", *narrow), r"qel\.txt: has no anchors of layer 1")
    save_alignment(tmp_path / "zero", Alignment("qel", "qal", 0, torch.eye(16, dtype=torch.float64)))
    refused(
        command("lexicon", tmp_path / "zero", *narrow),
        r"qel\.txt: vectors are 2 wide, but .*zero maps vectors of width 16",
    )


def test_keys_name_the_content_of_foreign_anchors(tmp_path):
    (tmp_path / "a.txt").write_text("1 2\nab 1 0\n")
    shutil.copy(tmp_path / "a.txt", tmp_path / "b.txt")
    assert key_of_anchors(tmp_path / "a.txt") == key_of_anchors(tmp_path / "b.txt")
    (tmp_path / "b.txt").write_text("1 2\nab 0 1\n")
    assert key_of_anchors(tmp_path / "a.txt") != key_of_anchors(tmp_path / "b.txt")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_file({"x": torch.zeros(1)}, tmp_path / name / "anchors.safetensors")
    assert key_of_anchors(tmp_path / "one") == key_of_anchors(tmp_path / "two")
    (tmp_path / "two" / "words.txt").write_text("ab\n")
    assert key_of_anchors(tmp_path / "one") != key_of_anchors(tmp_path / "two")


# The figure


def drawing(tiny_run, mapping, out, **changed) -> list[object]:
    """The words of the command that draws, with some options changed."""
    folder = tiny_run.folder
    options = {"alignment": mapping, "source-words": changed.pop("source", "გუკო"), "target-words": "kus, nowhere"}
    options |= {"layer": 1, "limit": 5, "out": out} | {name.replace("_", "-"): each for name, each in changed.items()}
    words: list[object] = ["draw-contexts"]
    for language in ("qel", "qal"):
        words += [folder / "encoders" / language, folder / "corpus" / language / "text.txt"]
    for name, value in options.items():
        words += [f"--{name}", value]
    return words


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_words_in_context_are_drawn(command, tiny_run, mapping, tmp_path, ending):
    pytest.importorskip("matplotlib")
    out = tmp_path / f"figure.{ending}"
    word, other = (
        next(word for word in load_all_anchors(tiny_run.folder / "lexicon" / code)[0].words if word.isalpha())
        for code in ("qel", "qal")
    )
    words = drawing(tiny_run, mapping, out, source=word, target_words=f"{other}, nowhere,")
    ended = command(*words, "--json")
    assert ended.status == 0, ended.errors
    assert json.loads(ended.output) == {f"qel {word}": 5, f"qal {other}": 5, "qal nowhere": 0}
    content = out.read_bytes()
    assert content.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    assert ending == "png" or word in content.decode("utf-8")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"out": "figure.gif"}, r"figure\.gif: found the ending '\.gif'\. Expected \.svg or \.png"),
        ({"projection": "tsne"}, r"--projection: found 'tsne'\. Expected pca or umap"),
        ({"limit": 0}, r"--limit: found 0\."),
        ({"threads": 0}, r"threads: found 0\."),
        ({"max_sentences": 0}, r"max_sentences: found 0\."),
        ({"layer": 5}, r"--layer: found 5, but "),
        ({"source": "zzz", "target_words": "yyy"}, r"none of zzz, yyy occurs"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused(command, tiny_run, mapping, tmp_path, changed, words):
    pytest.importorskip("matplotlib")
    before = below(tmp_path)
    out = tmp_path / changed.pop("out", "figure.svg") if "out" in changed else tmp_path / "figure.svg"
    refused(command(*drawing(tiny_run, mapping, out, **changed)), words)
    assert below(tmp_path) == before


def test_models_in_the_wrong_order_are_refused(command, tiny_run, mapping, tmp_path):
    words = drawing(tiny_run, mapping, tmp_path / "figure.svg")
    words[1:5] = [*words[3:5], *words[1:3]]
    refused(command(*words), r"encoders/qal: is a model of 'qal', but .*mapping leads from 'qel' to 'qal'")


def test_a_layer_need_not_be_named_where_there_is_one_only(mapping, tiny_run):
    anchors_of = {
        f"{side}_anchors": tiny_run.folder / "lexicon" / code for side, code in (("source", "qel"), ("target", "qal"))
    }
    assert translate(mapping / "layer-2", k=1, **anchors_of) == translate(mapping, layer=2, k=1)
    with pytest.raises(RecipeError, match=r"--layer: found 1, but .*layer-2 has alignments of layer 2 only"):
        translate(mapping / "layer-2", layer=1, **anchors_of)
