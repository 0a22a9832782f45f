"""Open anchors wherever they come from: folders of ours, published folders, files of word vectors.

What can be aligned is always `Anchors`. The module finds out what a path holds and hands it to the reader of that
format, so that a command takes any of the four:

- a folder that `save_anchors` wrote, with every layer;
- a folder that `save_senses` wrote, with every layer: each sense is an anchor of its own, such as ``bear#1``;
- a folder in the layout of the paper's authors (`isogloss.lexicon.published_anchors`), with every layer;
- a file of vectors in word2vec text format, such as those of fastText, GloVe, MUSE or VecMap, plain or compressed:
  one vector for each word whatever its context, which is layer 0.
"""

from pathlib import Path

from isogloss.errors import ArtifactError, VectorsError
from isogloss.lexicon.anchor_files import load_all_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.published_anchors import NORMS, read_published_anchors
from isogloss.lexicon.sense_files import FACTS, load_all_senses
from isogloss.lexicon.senses import SenseAnchors
from isogloss.lexicon.word2vec_text import read_word2vec_text


def open_anchors(path: Path | str, *, language: str | None = None, max_types: int | None = None) -> tuple[Anchors, ...]:
    """Read the anchors of every layer there is, most frequent word type first.

    Words that differ in case only stay apart, as they were written.

    Args:
        path: A folder of anchors, ours or published, or a file of word vectors.
        language: Code of the language. Folders of ours know it, and must agree; the others have to be told.
        max_types: Only so many of the most frequent word types are kept.

    Raises:
        ArtifactError: There is nothing at the path, or something else than anchors; a folder is damaged; or the
            language is another or unknown.
        VectorsError: The file of word vectors breaks its format, or holds no vectors.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, language, max_types)
    if not path.exists():
        raise ArtifactError(f"{path}: there is no such file or folder. Expected {_EXPECTED}. Check the path.")
    if path.name in (_SETTINGS, _VECTORS, "words.txt", NORMS, FACTS):
        raise ArtifactError(
            f"{path}: is one file of a folder of anchors. Expected {_EXPECTED}. Give the folder, {path.parent}."
        )
    told = _told(language, path, "a file of word vectors")
    words, vectors = read_word2vec_text(path, max_types=max_types)
    if not words and max_types != 0:
        raise VectorsError(f"{path}: holds no vectors. Expected a word and its vector on each line. Check the file.")
    return (Anchors.of_vectors(words, vectors, language=told, layer=0),)


def open_as_kept(path: Path | str, *, language: str) -> tuple[Anchors, ...] | tuple[SenseAnchors, ...]:
    """Read the anchors of every layer as `open_anchors` does, but those of senses as `SenseAnchors`."""
    anchors = open_anchors(path, language=language)
    return load_all_senses(path) if holds_senses(path) else anchors


def holds_senses(path: Path | str) -> bool:
    """Whether a path is a folder of sense anchors."""
    return (Path(path) / FACTS).is_file()


def is_ours(path: Path | str) -> bool:
    """Whether a path is a folder of anchors, of words or of senses, that names its language."""
    return (Path(path) / _VECTORS).exists() or holds_senses(path)


_EXPECTED = "a folder of anchors, or a file of word vectors in word2vec text format"
_SETTINGS, _VECTORS = "settings.json", "anchors.safetensors"
"""Files by which a folder of ours is known."""


def _open_folder(folder: Path, language: str | None, max_types: int | None) -> tuple[Anchors, ...]:
    """Read a folder of ours or a published one."""
    if is_ours(folder):
        senses = load_all_senses(folder) if holds_senses(folder) else ()
        anchors = tuple(each.expand() for each in senses) if senses else load_all_anchors(folder)
        found = anchors[0].language if anchors else language
        if language is not None and found != language:
            raise ArtifactError(
                f"{folder}: holds anchors of {found!r}, but the language was said to be {language!r}. The two must "
                "agree. Check which folder you named, or leave the language out."
            )
        return anchors if max_types is None else tuple(each.keep(max_types=max_types) for each in anchors)
    if (folder / NORMS).exists():
        told = _told(language, folder, "a folder of published anchors")
        return read_published_anchors(folder, language=told, max_types=max_types)
    raise ArtifactError(
        f"{folder}: holds neither {_VECTORS} nor {NORMS}. Expected a folder of anchors, ours or published. Check the "
        "path, or gather anchors with isogloss anchors."
    )


def _told(language: str | None, path: Path, what: str) -> str:
    """Return the language, which only the caller can know."""
    if language is None:
        raise ArtifactError(
            f"{path}: the language is not known, for {what} does not name it. Expected its code, like 'es'. Say "
            "which language it is."
        )
    return language
