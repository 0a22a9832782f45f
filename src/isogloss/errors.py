"""The exceptions of isogloss: one tree, so that a caller catches as much or as little as it wants.

    IsoglossError
    ├── DataError            a file from outside is not what it should be
    │   ├── ConlluError      … a CoNLL-U file
    │   ├── TextError        … raw text
    │   ├── DictionaryError  … a bilingual dictionary
    │   ├── VectorsError     … word vectors of another tool
    │   ├── ArtifactError    … a folder that isogloss wrote, or a published model
    │   └── PartlyDone       … some of a file was not; the rest was used, as asked
    ├── RecipeError          a recipe or a setting
    ├── AlignmentError       two languages cannot be aligned as asked
    │   └── NoAlignmentFound … a search without a dictionary came to nothing that can be believed
    ├── TrainingError        a training run cannot start or go on
    └── OutputError          a result cannot be written (full disk, unwritable folder)

Every message has four parts: the place, what was found, what was expected, what to do next. The command
line prints it on one line and ends with its `exit_status`: 2; 3 where nothing was wrong with what was asked but the
search failed; 4 where the work was done but for some of it. A traceback is always a bug of ours.
"""


class IsoglossError(Exception):
    """Anything that isogloss refuses, with a message for people."""

    exit_status = 2


class DataError(IsoglossError):
    """A file from outside is not what it should be."""


class ConlluError(DataError):
    """A CoNLL-U file breaks the format or holds no tree."""


class TextError(DataError):
    """A raw text file cannot be read."""


class DictionaryError(DataError):
    """A bilingual dictionary cannot be read or used."""


class VectorsError(DataError):
    """A file of word vectors cannot be read."""


class ArtifactError(DataError):
    """A folder that isogloss wrote, or a published model, is missing, damaged or of another kind."""


class PartlyDone(DataError):
    """Some of a file could not be used. What could be was, and the result is written."""

    exit_status = 4


class RecipeError(IsoglossError):
    """A recipe or a setting is wrong."""


class AlignmentError(IsoglossError):
    """Two languages cannot be aligned as asked."""


class NoAlignmentFound(AlignmentError):
    """A search without a dictionary came to nothing that can be believed."""

    exit_status = 3


class TrainingError(IsoglossError):
    """A training run cannot start or cannot go on."""


class OutputError(IsoglossError):
    """A result cannot be written."""
