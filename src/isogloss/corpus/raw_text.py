"""Raw text, in and out: one sentence a line, plain or compressed, streamed in constant memory.

A language model for a small language lives on whatever text there is, so reading is forgiving: a damaged
letter becomes U+FFFD and is counted, a mark at the start of the file is dropped, empty lines are skipped.
A damaged *file* is refused, because half a corpus looks just like a whole one. Files are told apart by
their first bytes, never by name alone. What comes out are `Sentence`s without annotation, whose words are
those that the trees of the language would have (see `isogloss.corpus.tokens`).
"""

import contextlib
import gzip
import io
import logging
import lzma
import os
import secrets
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from types import MappingProxyType
from typing import IO, Any, BinaryIO, TextIO

import zstandard

from isogloss.corpus.plain_text import plain
from isogloss.corpus.sentence import MultiwordToken, Sentence, Word
from isogloss.corpus.tokens import lower_case, split_contractions, split_words, words_of_line
from isogloss.errors import DataError, OutputError, TextError

logger = logging.getLogger(__name__)

GZIP_MAGIC = b"\x1f\x8b"
XZ_MAGIC = b"\xfd7zXZ\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zstandard.ZstdError)


Source = str | PathLike[str] | BinaryIO
"""A path, or a file of bytes that is open already."""


def name_of(source: Source) -> str:
    """Return what a source is called in messages."""
    return os.fspath(source) if isinstance(source, str | PathLike) else str(getattr(source, "name", "<file>"))


class _WholeFrames(io.RawIOBase):
    """A zstd stream that notices a missing end, which `zstandard`'s own reader takes for the end of file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inside = zstandard.ZstdDecompressor().decompressobj()
        self._frames = zstandard.ZstdDecompressor()
        self._ready = b""
        self._at_frame_start = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if self._inside.eof:
                rest = self._inside.unused_data
                self._inside, self._at_frame_start = self._frames.decompressobj(), True
            else:
                rest = b""
            compressed = rest or self._file.read(1 << 16)
            if not compressed:
                if not self._at_frame_start:
                    raise EOFError("the last zstd frame has no end")
                return 0
            self._at_frame_start = False
            self._ready = self._inside.decompress(compressed)
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count


def unpacked(file: io.BufferedReader) -> BinaryIO:
    """Wrap an open file in the decompressor that its first bytes ask for."""
    start = file.peek(6)
    if start.startswith(GZIP_MAGIC):
        return io.BufferedReader(gzip.GzipFile(fileobj=file))  # type: ignore[arg-type]
    if start.startswith(XZ_MAGIC):
        return io.BufferedReader(lzma.LZMAFile(file))  # type: ignore[arg-type]
    if start.startswith(ZSTD_MAGIC):
        return io.BufferedReader(_WholeFrames(file), 1 << 17)
    return file


class Position:
    """How much of a file on disk has been read, compressed as it may be; 0 before it is opened."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def watch(self, file: IO[bytes]) -> None:
        """Look at a file that has just been opened."""
        self._file = file

    def __call__(self) -> int:
        """Return the bytes read so far. A decompressor reads some thousand bytes ahead."""
        return self._file.tell() if self._file is not None else 0


@contextlib.contextmanager
def open_bytes(
    path: Source, *, refuse: type[DataError] = TextError, position: Position | None = None
) -> Iterator[BinaryIO]:
    """Open a plain, gzip, xz or zstd file for reading, as the file's first bytes say.

    Args:
        path: The file; or one that is open already, which is neither unpacked nor closed.
        refuse: The error to raise, so that each format speaks with its own class.
        position: Told which file was opened.

    Raises:
        DataError: (or the class given) the file is missing, a folder, not readable, or damaged. Damage is
            noticed while reading, inside the ``with`` block.
    """
    place = name_of(path)
    try:
        if not isinstance(path, str | PathLike):
            yield path
            return
        with open(place, "rb") as file:
            if position is not None:
                position.watch(file)
            yield unpacked(file)
    except FileNotFoundError:
        raise refuse(f"{place}: there is no such file. Expected a file to read. Check the path.") from None
    except IsADirectoryError:
        raise refuse(f"{place}: this is a folder. Expected a file. Name one file inside it.") from None
    except PermissionError:
        raise refuse(
            f"{place}: permission denied. Expected a file that you may read. Change its permissions."
        ) from None
    except DAMAGE as error:
        raise refuse(
            f"{place}: the compressed file is damaged or cut short ({error}). Expected a whole .gz, .xz or "
            ".zst file. Copy or download it again."
        ) from error
    except OSError as error:
        raise refuse(
            f"{place}: reading failed ({error.strerror or error}). Expected a readable file. "
            "Check the path and the disk."
        ) from error


@contextlib.contextmanager
def open_text(path: str | PathLike[str], *, refuse: type[DataError] = TextError) -> Iterator[TextIO]:
    """Open a plain or compressed UTF-8 file as text, without a byte order mark.

    Lines end at ``\\n`` only, since a word may hold any other character. Malformed bytes become U+FFFD.
    """
    with open_bytes(path, refuse=refuse) as file:
        yield io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="\n")


def read_lines(path: Source, *, longest: int | None = None, position: Position | None = None) -> Iterator[str]:
    """Stream the lines of a plain or compressed file, without line ends, in constant memory.

    Malformed UTF-8 becomes U+FFFD; how much of it there was is logged once, at the end.

    Args:
        path: The file.
        longest: A line of more bytes comes in several pieces, cut at white space where there is any. Without it,
            memory grows with the longest line.
        position: Tells at any time how much of the file was read.

    Raises:
        TextError: The file is missing, a folder, not readable, damaged, or UTF-16.
    """
    malformed = malformed_lines = first_malformed = 0
    with open_bytes(path, position=position) as file:
        number, ended = 0, True
        for line in file if longest is None else _pieces(file, longest):
            number, ended, first = number + ended, line.endswith(b"\n"), number == 0
            if first:
                if line.startswith(UTF16_MARKS):
                    raise TextError(
                        f"{name_of(path)}: the text is UTF-16. Expected UTF-8. Convert it, for example "
                        "with iconv -f UTF-16 -t UTF-8."
                    )
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                text = line.decode()
            except UnicodeDecodeError:
                text = line.decode(errors="replace")
                malformed += text.count("\ufffd") - line.count("\ufffd".encode())
                malformed_lines += 1
                first_malformed = first_malformed or number
            yield text.rstrip("\r\n")
    if malformed:
        logger.warning(
            "%s:%d: malformed UTF-8, and more after it: %d places in %d lines became U+FFFD. Expected UTF-8. "
            "If that is more than stray damage, convert the file with iconv.",
            name_of(path), first_malformed, malformed, malformed_lines,
        )  # fmt: skip


def _pieces(file: BinaryIO, longest: int) -> Iterator[bytes]:
    """Read lines, those of more bytes than `longest` in pieces."""
    rest = b""
    while piece := rest + file.readline(longest - len(rest)):
        rest = b""
        if len(piece) == longest and not piece.endswith(b"\n"):
            end = piece.rfind(b" ") + 1 or piece.rfind(b"\t") + 1 or _end_of_letters(piece)
            piece, rest = piece[:end], piece[end:]
        yield piece


def _end_of_letters(data: bytes) -> int:
    """Return where UTF-8 bytes can be cut without cutting a letter in two."""
    start = len(data) - 1
    while start > len(data) - 4 and data[start] & 0xC0 == 0x80:
        start -= 1
    length = 1 + (data[start] >= 0xC0) + (data[start] >= 0xE0) + (data[start] >= 0xF0)
    return start if start > 0 and start + length > len(data) else len(data)


def read_text(
    path: str | PathLike[str],
    *,
    language: str,
    tokenised: bool = False,
    lowercase: bool = False,
    contractions: bool = True,
    limit: int | None = None,
) -> Iterator[Sentence]:
    """Stream the sentences of a raw text file, one a line and made `plain`, in constant memory.

    Args:
        path: A plain or compressed file.
        language: The language's code, which chooses the rules for splitting and lower case.
        tokenised: The words are already apart: split at white space alone.
        lowercase: Write all words in lower case, by the rules of the language (Turkish *I* becomes *ı*).
        contractions: Split *del* into *de el* and so on, as trees do (see `split_contractions`). Text that
            is ``tokenised`` is taken as it stands.
        limit: Stop after this many sentences.

    Raises:
        TextError: The file cannot be read, or there is no word in it.
    """
    found = 0
    for line in read_lines(path):
        if limit is not None and found >= limit:
            return
        words = words_of_line(line, language=language, tokenised=tokenised, contractions=contractions)
        if not words:
            continue
        if lowercase:
            words = [lower_case(word, language=language) for word in words]
        found += 1
        yield Sentence.of_forms(words, language=language)
    if not found and limit != 0:
        raise TextError(
            f"{os.fspath(path)}: there are no words in this file. Expected text, one sentence a line. "
            "Check that it is the right file."
        )


def _compressed(file: IO[bytes], name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """Wrap an open file in the compressor that its name asks for. The same bytes give the same file."""
    if name.endswith(".gz"):
        return gzip.GzipFile("", "wb", fileobj=file, mtime=0)  # type: ignore[return-value]
    if name.endswith(".xz"):
        return lzma.LZMAFile(file, "wb")  # type: ignore[return-value]
    if name.endswith(".zst"):
        return zstandard.ZstdCompressor(write_checksum=True).stream_writer(file, closefd=False)  # type: ignore[return-value]
    return contextlib.nullcontext(file)


def refuse_folder(path: str | PathLike[str]) -> None:
    """Make sure that a file to be written does not bear the name of a folder, before long work for it begins.

    Raises:
        OutputError: It does.
    """
    if os.path.isdir(path):
        name = os.path.join(os.fspath(path), "NAME")
        raise OutputError(
            f"{os.fspath(path)}: is a folder. Expected the name of a file to write. Name one in it, such as {name}."
        )


@contextlib.contextmanager
def write_whole(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """Write a file that is either absent or whole, compressed if its name ends in .gz, .xz or .zst.

    The bytes go to a temporary name in the same folder, to the disk, and then under the final name. A link
    is followed; a device such as /dev/stdout is written to directly, since it must not be replaced.

    Raises:
        OutputError: The file cannot be written. Nothing is left behind.
    """
    refuse_folder(path)
    place = os.path.realpath(path)
    temporary = ""
    try:
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(place).st_mode
            if not stat.S_ISREG(mode):
                with open(place, "wb") as device, _compressed(device, place) as file:
                    yield file
                return
        folder = os.path.dirname(place)
        temporary = os.path.join(folder, f".writing-{os.getpid()}-{secrets.token_hex(4)}")
        with open(temporary, "xb") as whole:
            with _compressed(whole, place) as file:
                yield file
            whole.flush()
            os.fsync(whole.fileno())
        if os.path.exists(place):
            shutil.copymode(place, temporary)
        os.replace(temporary, place)
        temporary = ""
    except OSError as error:
        raise OutputError(
            f"{os.fspath(path)}: writing failed ({error.strerror or error}). Expected a folder that exists, "
            "may be written to and has room. Nothing was changed; free space or choose another path."
        ) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_lines(lines: Iterable[str], path: str | PathLike[str]) -> None:
    """Write lines to a file that is either absent or whole.

    Args:
        lines: Lines without line ends.
        path: A name ending in .gz, .xz or .zst is compressed; the same lines give the same bytes.

    Raises:
        OutputError: The file cannot be written. Nothing is left behind.
    """
    with write_whole(path) as file:
        for line in lines:
            assert "\n" not in line, f"a line holds a line end: {line[:50]!r}"
            file.write(line.encode())
            file.write(b"\n")


def annotated_line(
    line: str,
    *,
    language: str,
    tokenised: bool = False,
    contractions: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    sent_id: str = "",
) -> Sentence:
    """Split a line of raw text into a sentence that can be written as CoNLL-U and traced back to the line.

    Contractions become multiword tokens, ``SpaceAfter=No`` marks words that were written together, and the comments
    hold the line, made `plain`.

    Args:
        line: One sentence.
        language: Code of its language.
        tokenised: Words are already apart.
        contractions: The words of further tokens, beside those that the language contracts anyway.
        sent_id: For the comment of that name, if any.
    """
    text = " ".join(plain(line).split())
    tokens = text.split() if tokenised else split_words(text, language=language)
    words: list[Word] = []
    multiword: list[MultiwordToken] = []
    end = 0
    for token in tokens:
        end = text.index(token, end) + len(token)
        misc = "_" if end == len(text) or text[end] == " " else "SpaceAfter=No"
        parts = [token] if tokenised else contractions.get(token) or split_contractions([token], language=language)
        if len(parts) == 1:
            words.append(Word(token, misc=misc))
        else:
            multiword.append(MultiwordToken(len(words) + 1, len(words) + len(parts), (token, *"_" * 7, misc)))
            words += [Word(part) for part in parts]
    comments = (f"# sent_id = {sent_id}",) if sent_id else ()
    return Sentence(tuple(words), language, (*comments, f"# text = {text}"), tuple(multiword))
