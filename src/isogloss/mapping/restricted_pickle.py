"""Follow what a file of ``torch.save`` would do when it is loaded, without doing any of it.

``torch.save`` writes *pickles*: little programs that build an object and may call any function there is. This module
follows the few instructions that building an array or a tensor needs. It imports and calls nothing; it notes what the
program *would* call, if that is one of a handful of functions, and refuses every other by its name. A program can
neither run code nor make room: sizes are compared with the bytes there are, and no number is copied more than once.

It receives the bytes of a file and hands on notes (`Built`, `Stored`), which `isogloss.mapping.published_alignment`
turns into a matrix. Two containers are known:

- old: five pickles one after the other (magic number, version, facts about the system, object, keys of storages),
  then the numbers of each storage;
- new: a ZIP file with the object in ``data.pkl`` and the numbers of each storage in ``data/0``, ``data/1`` and so on.

Source: https://docs.python.org/3/library/pickletools.html; ``torch/serialization.py`` of PyTorch.
"""

import io
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

ADVICE = "Expected one square matrix, as torch.save writes a numpy array or a tensor. Check that it is the right file."
"""The last part of most messages."""
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""The first two pickles of the old container."""
_LONGEST_PROGRAM = 10_000
"""Instructions. A matrix needs about a hundred."""
NUMBERS = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
"""Kinds of numbers in the names of PyTorch's storages."""
_UNDERSTOOD = {
    "numpy.core.multiarray._reconstruct": "array",
    "numpy._core.multiarray._reconstruct": "array",
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encoded text",
    "builtins.bytes": "bytes",
    "__builtin__.bytes": "bytes",
    "collections.OrderedDict": "dict",
    "torch._utils._rebuild_tensor": "tensor",
    "torch._utils._rebuild_tensor_v2": "tensor",
    "torch._utils._rebuild_parameter": "parameter",
} | {f"torch.{device}{kind}Storage": kind for device in ("", "cuda.") for kind in NUMBERS}
"""What a program may name, and what we take it for. None of these is called."""


class Refusal(Exception):
    """What is wrong with a file, to be said with its path."""


@dataclass(frozen=True, eq=False)
class Named:
    """A function or class that the program names."""

    what: str


@dataclass(eq=False)
class Built:
    """What the program would get by calling something: `what`, with which arguments, and the state set afterwards."""

    what: str
    arguments: tuple
    state: Any = None


@dataclass(frozen=True, eq=False)
class Stored:
    """The numbers of a tensor, which lie elsewhere in the file."""

    facts: Any


Storages = Callable[[str, int, int], tuple[bytes, str]]
"""Gives the bytes of the storage of a key, so many numbers of such a size, and their order of bytes, ``<`` or ``>``."""


def read_zip(content: bytes) -> tuple[Any, Storages]:
    """Take the new container apart: the object as the program notes it, and access to the storages."""
    if content.count(b"PK\x01\x02") > _LONGEST_PROGRAM:
        raise Refusal(f"more than {_LONGEST_PROGRAM:,} parts. {ADVICE}")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        programs = [name for name in archive.namelist() if name.count("/") < 2 and name.split("/")[-1] == "data.pkl"]
    except _ZIP_DAMAGE as error:
        raise damaged(error) from None

    def part(name: str) -> bytes:
        try:
            found = archive.getinfo(name)
            if found.compress_type != zipfile.ZIP_STORED or found.file_size > len(content):
                raise Refusal(f"its part {name!a} is compressed, or larger than the file. {ADVICE}")
            return archive.read(found)
        except _ZIP_DAMAGE as error:
            raise damaged(error) from None

    if len(programs) != 1:
        raise Refusal(f"a ZIP file with {len(programs)} parts named data.pkl instead of 1. {ADVICE}")
    folder = programs[0].removesuffix("data.pkl")
    big = folder + "byteorder" in archive.namelist() and part(folder + "byteorder") == b"big"

    def storage(key: str, numbers: int, itemsize: int) -> tuple[bytes, str]:
        return checked(part(f"{folder}data/{key}"), numbers * itemsize), ">" if big else "<"

    return _follow(io.BytesIO(part(programs[0]))), storage


def read_legacy(content: bytes) -> tuple[Any, Storages]:
    """Take the old container apart, as `read_zip` does the new one."""
    stream = io.BytesIO(content)
    magic = _follow(stream)
    if type(magic) is not int or magic != MAGIC or _follow(stream) != PROTOCOL:
        raise Refusal(f"does not begin as a file of torch.save. {ADVICE}")
    _follow(stream)  # facts about the system that wrote it; the numbers of storages are little-endian in any case
    loaded, keys = _follow(stream), _follow(stream)
    rest = content[stream.tell() :]

    def storage(key: str, numbers: int, itemsize: int) -> tuple[bytes, str]:
        if type(keys) is not list or len(keys) != 1 or keys[0] != key or rest[:8] != struct.pack("<q", numbers):
            raise Refusal(f"its storage is not the one that the tensor needs. The file is damaged. {ADVICE}")
        return checked(rest[8:], numbers * itemsize), "<"

    return loaded, storage


_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error)
_ZIP_DAMAGE = (*_DAMAGE, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)


def checked(data: bytes, expected: int) -> bytes:
    """Return the bytes if they are as many as they should be."""
    if len(data) != expected:
        raise Refusal(f"the storage has {len(data):,} bytes where {expected:,} are expected. The file is damaged.")
    return data


def damaged(error: Exception) -> Refusal:
    """Say what a reader stumbled over."""
    return Refusal(f"damaged, cut short, or no file of torch.save ({ascii(str(error))[:80]}). {ADVICE}")


def _follow(stream: io.BytesIO) -> Any:
    """Follow one pickle to its end and return what it describes; nothing is imported or called."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in a text, where others might make errors of warnings
            return _followed(stream)
    except _DAMAGE as error:
        raise damaged(error) from None


def _followed(stream: io.BytesIO) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        items = []
        while (item := stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    for count, (instruction, noted, _) in enumerate(pickletools.genops(stream)):
        if count == _LONGEST_PROGRAM:
            raise Refusal(f"more than {_LONGEST_PROGRAM:,} instructions. {ADVICE}")
        name, argument = instruction.name, cast(Any, noted)
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            items = [stack.pop() for _ in range(int(name[-1]))]
            stack.append(tuple(items[::-1]))
        elif name in ("APPEND", "APPENDS"):
            items = since_mark() if name == "APPENDS" else [stack.pop()]
            cast(list, stack[-1]).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = since_mark() if name == "SETITEMS" else [stack.pop(), stack.pop()][::-1]
            entries = stack[-1].state if isinstance(stack[-1], Built) else stack[-1]
            entries.update(
                (key if type(key) is str else type(key).__name__, value)
                for key, value in zip(items[::2], items[1::2], strict=True)
            )
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name in ("GLOBAL", "INST"):
            stack.append(_named(argument.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            function, module = stack.pop(), stack.pop()
            stack.append(_named(module + "." + function))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            if type(function) is not Named or type(arguments) is not tuple:
                raise Refusal(f"calls what is no function. The file is damaged. {ADVICE}")
            stack.append(Built(function.what, arguments, {} if function.what == "dict" else None))
        elif name == "BUILD":
            state = stack.pop()
            stack[-1].state = state
        elif name == "BINPERSID":
            stack.append(Stored(stack.pop()))
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise Refusal(f"has the instruction {name}, which no matrix needs. {ADVICE}")
    raise ValueError("no end")


_MARK = object()
_LITERALS = (
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
"""Instructions that put their own argument on the stack."""
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


def _named(name: str) -> Named:
    """Note a function or class, or refuse it."""
    if name not in _UNDERSTOOD:
        raise Refusal(
            f"would run code when unpickled: it names {ascii(name)[1:-1][:80]}. Only what builds an array or a tensor "
            "is read. Do not load the file with other tools unless you trust it; ask for the bare matrix."
        )
    return Named(_UNDERSTOOD[name])
