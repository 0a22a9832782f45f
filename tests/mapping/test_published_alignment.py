"""Published matrices are read whatever wrote them, written for everybody, and never run."""

import collections
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isogloss.errors import ArtifactError, OutputError
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.published_alignment import read_published_alignment, write_published_alignment

CONTAINERS = {"legacy": False, "zip": True}
WIDTH = 6


def rotation(width: int = WIDTH, *, seed: int = 1) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]


def saved(loaded: object, container: str) -> bytes:
    content = io.BytesIO()
    torch.save(loaded, content, _use_new_zipfile_serialization=CONTAINERS[container])
    return content.getvalue()


def read(tmp_path, content: bytes, **options) -> Alignment:
    (tmp_path / "align.pth").write_bytes(content)
    return read_published_alignment(tmp_path / "align.pth", **{"source": "es", "target": "en", "layer": 1} | options)


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    """Replace bytes of a file, in a ZIP file in its parts."""
    if not content.startswith(b"PK"):
        assert old in content
        return content.replace(old, new)
    archive, again = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    parts = {name: archive.read(name) for name in archive.namelist()}
    assert any(old in part for part in parts.values())
    with zipfile.ZipFile(again, "w") as written:
        for name, part in parts.items():
            written.writestr(name, part.replace(old, new))
    return again.getvalue()


def with_part(content: bytes, name: str, data: bytes, **options) -> bytes:
    """Write a ZIP file again with one other part."""
    archive, again = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(again, "w", **options) as written:
        for each in archive.namelist():
            written.writestr(each, data if each == name else archive.read(each))
    return again.getvalue()


KINDS = {
    "array of float64": lambda W: W,
    "array of float32": lambda W: W.astype(np.float32),
    "array of float16": lambda W: W.astype(np.float16),
    "Fortran array": np.asfortranarray,
    "big-endian array": lambda W: W.astype(">f8"),
    "big-endian Fortran array": lambda W: np.asfortranarray(W.astype(">f4")),
    "tensor of float64": torch.from_numpy,
    "tensor of float32": lambda W: torch.from_numpy(W).float(),
    "tensor of float16": lambda W: torch.from_numpy(W).half(),
    "transposed tensor": lambda W: torch.from_numpy(W.T.copy()).T,
    "part of a tensor": lambda W: torch.nn.functional.pad(torch.from_numpy(W), (2, 3, 4, 1))[4:-1, 2:-3],
    "parameter": lambda W: torch.nn.Parameter(torch.from_numpy(W)),
    "weight of a layer": lambda W: torch.nn.utils.skip_init(torch.nn.Linear, WIDTH, WIDTH).weight,
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_read(tmp_path, kind, container):
    held = KINDS[kind](rotation())
    if kind == "weight of a layer":
        held.data.copy_(torch.from_numpy(rotation()))
    W = (held.detach().numpy() if isinstance(held, torch.Tensor) else held).astype(np.float64)
    alignment = read(tmp_path, saved(held, container))
    if "float16" in kind:  # with 11 binary digits, its scale is 1 no more
        assert alignment.scale == pytest.approx(1, abs=2**-11)
        assert np.allclose(alignment.scale * alignment.matrix.numpy(), W.T, rtol=1e-15, atol=0)
    else:
        assert alignment.scale == 1.0
        assert np.array_equal(alignment.matrix.numpy(), W.T)
    assert alignment.target_scale == 1.0
    assert (alignment.source, alignment.target, alignment.layer) == ("es", "en", 1)
    assert alignment.details == {"file": "align.pth", "container": container}


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", ["array of float64", "tensor of float32"])
def test_every_protocol_is_read(tmp_path, kind, container, protocol):
    content, held = io.BytesIO(), KINDS[kind](rotation())
    new = CONTAINERS[container]
    torch.save(held, content, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    assert torch.equal(read(tmp_path, content.getvalue()).matrix, torch.as_tensor(held).double().T)


@pytest.mark.parametrize("container", CONTAINERS)
def test_arrays_of_older_and_newer_numpy_are_read(tmp_path, container):
    content = saved(rotation(), container)
    names = [b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"]
    for old, new in (names, names[::-1]):
        whole = content if new in content else replaced(content, old, new)
        assert torch.equal(read(tmp_path, whole).matrix, torch.from_numpy(rotation().T.copy()))


@pytest.mark.parametrize("container", CONTAINERS)
def test_tensors_of_a_graphics_card_are_read(tmp_path, container):
    content = saved(torch.from_numpy(rotation()), container)
    moved = replaced(content, b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert torch.equal(read(tmp_path, moved).matrix, torch.from_numpy(rotation().T.copy()))


def test_storages_of_a_big_endian_machine_are_read(tmp_path):
    content = with_part(saved(torch.from_numpy(rotation()), "zip"), "archive/byteorder", b"big")
    content = with_part(content, "archive/data/0", rotation().astype(">f8").tobytes())
    assert torch.equal(read(tmp_path, content).matrix, torch.from_numpy(rotation().T.copy()))


def test_it_is_applied_as_its_authors_apply_it(tmp_path):
    W = rotation() / 17
    vectors = np.random.default_rng(2).standard_normal((5, WIDTH))
    aligned = read(tmp_path, saved(W, "legacy")).apply(torch.from_numpy(vectors))
    one_by_one = np.stack([W @ vector for vector in vectors])
    assert np.allclose(aligned.numpy(), one_by_one, rtol=0, atol=1e-15)
    assert np.allclose(aligned.numpy(), np.matmul(vectors, W.T), rtol=0, atol=1e-15)


@given(st.floats(1e-3, 1e3), st.integers(0, 1000), st.sampled_from(["float64", "float32", "float16"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_the_published_scale_is_split_off(tmp_path, mean_norm, seed, dtype):
    W = (rotation(seed=seed) / mean_norm).astype(dtype)
    alignment = read(tmp_path, saved(W, "legacy"))
    # float16 keeps 11 binary digits, fewer below 6·10⁻⁵, where its smallest steps are 6·10⁻⁸.
    precision = {"float64": 1e-12, "float32": 1e-6, "float16": 1e-3 + 6e-8 * mean_norm}[dtype]
    assert alignment.scale == pytest.approx(1 / mean_norm, rel=max(precision, 2e-5))
    # A scale within 10⁻⁵ of 1 is left in the matrix: (1 + 10⁻⁵)² − 1 and what float32 adds.
    assert alignment.orthogonality_gap < max(2.5e-5, 4 * precision)
    assert np.allclose(alignment.scale * alignment.matrix.numpy().T, W.astype(np.float64), rtol=1e-14, atol=0)


def test_english_is_identity_over_its_mean_norm(tmp_path):
    alignment = read(tmp_path, saved(np.eye(WIDTH) / 8, "legacy"), source="en")
    assert (alignment.scale, alignment.target_scale) == (0.125, 0.125)
    assert torch.equal(alignment.matrix, torch.eye(WIDTH, dtype=torch.float64))
    spanish = read(tmp_path, saved(rotation() / 16, "legacy"), target_scale=alignment.scale)
    assert spanish.target_scale == 0.125
    there_and_back = spanish.then(spanish.inverse())
    vectors = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.allclose(there_and_back.apply(vectors), vectors, rtol=0, atol=1e-12)


@pytest.mark.parametrize("W", [np.zeros((3, 3)), np.diag([1.0, 2.0, 3.0]), np.full((2, 2), 1e300)])
def test_what_is_no_multiple_of_an_orthogonal_matrix_stays_as_it_is(tmp_path, W):
    alignment = read(tmp_path, saved(W, "zip"))
    assert (alignment.scale, alignment.matrix.tolist()) == (1.0, W.T.tolist())


def some_alignment(**changes) -> Alignment:
    matrix = torch.from_numpy(rotation().T.copy())
    return Alignment(**{"source": "es", "target": "en", "layer": 2, "matrix": matrix, "scale": 0.25} | changes)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("as_", ["array", "tensor"])
def test_others_read_what_is_written(tmp_path, container, as_):
    path = tmp_path / "new" / "align.pth"
    write_published_alignment(path, some_alignment(), container=container, as_=as_)
    loaded = torch.load(path, weights_only=as_ == "tensor")
    W = rotation() / 4
    if as_ == "array":
        assert type(loaded) is np.ndarray and loaded.dtype == np.float64
        assert np.array_equal(loaded, W)
        assert b"numpy.core.multiarray" in path.read_bytes()  # the name that numpy 1 knows
    else:
        assert torch.equal(loaded, torch.from_numpy(W).float())
    as_allennlp_does = torch.FloatTensor(loaded)
    assert torch.equal(as_allennlp_does, torch.from_numpy(W).float())


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("as_", ["array", "tensor"])
def test_written_and_read_is_the_same(tmp_path, container, as_):
    alignment = some_alignment()
    write_published_alignment(tmp_path / "a.pth", alignment, container=container, as_=as_)
    again = read_published_alignment(tmp_path / "a.pth", source="es", target="en", layer=2)
    tolerance = 1e-15 if as_ == "array" else 2e-7  # float64 and float32, of numbers up to 1
    assert again.scale == pytest.approx(alignment.scale, rel=tolerance)
    assert torch.allclose(again.matrix, alignment.matrix, rtol=0, atol=2 * tolerance)
    assert again.details["container"] == container
    write_published_alignment(tmp_path / "b.pth", alignment, container=container, as_=as_)
    assert (tmp_path / "b.pth").read_bytes() == (tmp_path / "a.pth").read_bytes()


@pytest.mark.parametrize("name", ["source_centre", "target_centre"])
def test_centres_cannot_be_written(tmp_path, name):
    centre = torch.zeros(WIDTH, dtype=torch.float64)
    write_published_alignment(tmp_path / "zero.pth", some_alignment(**{name: centre}))
    centre[3] = 1e-9
    with pytest.raises(OutputError, match=rf"a.pth: the alignment es→en, layer 2, has a {name}"):
        write_published_alignment(tmp_path / "a.pth", some_alignment(**{name: centre}))
    assert not (tmp_path / "a.pth").exists()


def test_numbers_too_large_for_float32_cannot_be_written_as_a_tensor(tmp_path):
    with pytest.raises(OutputError, match=r"scale times matrix is not finite as float32"):
        write_published_alignment(tmp_path / "a.pth", some_alignment(scale=1e300), as_="tensor")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file: cannot be written"):
        write_published_alignment(tmp_path / "file" / "a.pth", some_alignment())


class RunsCode:
    """Leaves a mark when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("echo run > {mark}",), r"(posix|nt)\.system"),
        (exec, ("open({mark!r}, 'w')",), r"(builtins|__builtin__)\.(exec|eval)"),
        (getattr, ("a", "upper"), r"(builtins|__builtin__)\.getattr"),
        (np.frombuffer, (b"12345678",), r"numpy\S*\.frombuffer"),
        (torch.load, ("x",), r"torch\.serialization\.load"),
    ],
)
def test_a_file_that_would_run_code_is_refused(tmp_path, container, protocol, function, arguments, name):
    mark = tmp_path / "mark"
    given = [each.format(mark=str(mark)) if isinstance(each, str) else each for each in arguments]
    content = io.BytesIO()
    program = RunsCode(function, *given)
    new = CONTAINERS[container]
    torch.save(program, content, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    expected = rf"align.pth: would run code when unpickled: it names {name}\."
    if protocol < 2 and new is False:
        # The magic number of the old container is then written in a way that no version of PyTorch used.
        expected = r"align.pth: "
    with pytest.raises(ArtifactError, match=expected):
        read(tmp_path, content.getvalue())
    assert not mark.exists()


def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path):
    mark = tmp_path / "mark"
    for protocol in range(5):
        with pytest.raises(ArtifactError, match=r"would run code when unpickled: it names (posix|nt)\.system\."):
            read(tmp_path, pickle.dumps(RunsCode(os.system, f"echo > {mark}"), protocol=protocol))
    with pytest.raises(ArtifactError, match=r"would run code when unpickled: it names os\.system\."):
        read(tmp_path, f"(S'echo > {mark}'\nios\nsystem\n.".encode())
    assert not mark.exists()


def test_code_after_the_matrix_is_refused_too(tmp_path):
    content = saved(rotation(), "legacy")
    assert content.endswith(b"]q\x00.")  # the empty list of keys
    with pytest.raises(ArtifactError, match=r"it names (posix|nt)\.system"):
        read(tmp_path, content[:-4] + pickle.dumps(RunsCode(os.system, "true"), protocol=2)[2:])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"weight": torch.eye(2)}, r"holds an object of the kind dict: 'weight'"),
        (collections.OrderedDict(a=torch.eye(2), b=torch.eye(2)), r"holds an object of the kind dict: 'a', 'b'"),
        ([torch.eye(2)], r"holds an object of the kind list"),
        (3.5, r"holds an object of the kind float"),
        ("W", r"holds an object of the kind str"),
        (None, r"holds an object of the kind NoneType"),
        (torch.nn.Linear(2, 2), r"would run code when unpickled: it names torch\.nn\.modules\.linear\.Linear"),
        (np.ones((2, 3)), r"has the shape \(2, 3\), which is not square"),
        (np.ones(4), r"has the shape \(4,\), which is not square"),
        (torch.ones(3, 2), r"has the shape \(3, 2\), which is not square"),
        (torch.ones(2, 2, 2), r"has the shape \(2, 2, 2\), which is not square"),
        (torch.tensor(1.0), r"has the shape \(\), which is not square"),
        (torch.ones(0, 0), r"has the shape \(0, 0\), which is not square"),
        (np.ones((0, 0)), r"has the shape \(0, 0\), which is not square"),
        (np.eye(2, dtype=int), r"holds numbers of the kind 'i8'"),
        (np.array([["a", "b"], ["c", "d"]]), r"holds numbers of the kind 'U1'"),
        (np.array([[{}, []], [1, 2]], dtype=object), r"holds numbers of the kind 'O8'"),
        (torch.eye(2, dtype=torch.int64), r"holds numbers of the kind Long"),
        (torch.eye(2, dtype=torch.bfloat16), r"holds numbers of the kind BFloat16"),
        (torch.ones(1, 1).expand(5, 5), r"5 × 5 numbers do not fit a storage of 1"),
        (np.array([[1, np.nan], [0, 1]]), r"1 of 4 numbers are not finite"),
        (torch.full((2, 2), float("-inf")), r"4 of 4 numbers are not finite"),
    ],
)
def test_other_objects_are_refused(tmp_path, held, message, container):
    with pytest.raises(ArtifactError, match=rf"align.pth: {message}"):
        read(tmp_path, saved(held, container))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"K\x06K\x06\x86", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", r"2147483647 × 2147483647 numbers do not fit"),
        (b"K\x24", b"J\xff\xff\xff\x7f", r"(has 288 bytes where 17,179,869,176 are expected|not the one)"),
        (b"K\x06K\x01\x86", b"K\x07K\x01\x86", r"6 × 6 numbers do not fit a storage of 36"),
        (b"K\x06K\x01\x86", b"K\x06J\xff\xff\xff\xff\x86", r"impossible offset or strides"),
        (b"K\x00K\x06K\x06\x86", b"K\x01K\x06K\x06\x86", r"6 × 6 numbers do not fit a storage of 36"),
    ],
)
def test_sizes_that_do_not_fit_the_bytes_are_refused(tmp_path, container, old, new, message):
    content = saved(torch.from_numpy(rotation()), container)
    with pytest.raises(ArtifactError, match=message):
        read(tmp_path, replaced(content, old, new))


@pytest.mark.parametrize("width", [b"K\x07", b"J\xff\xff\xff\x7f"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_shape_that_does_not_fit_the_bytes_is_refused(tmp_path, container, width):
    content = saved(rotation(), container)
    with pytest.raises(ArtifactError, match=r"the storage has 288 bytes where [\d,]+ are expected"):
        read(tmp_path, replaced(content, b"K\x06K\x06\x86", width + width + b"\x86"))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"\x80\x02" + b"N" * 20_000 + b".", r"more than 10,000 instructions"),
        (b"\x80\x02(" * 3000 + b".", r"does not begin as a file"),
        (b"\x80\x02]" + b"q\x00h\x00a" * 1000 + b".", r"does not begin as a file of torch.save"),
        (b"\x80\x02Nr\xff\xff\xff\xff.", r"does not begin as a file"),  # a memo of 64 GB to Python's own reader
        (b"\x80\x04\x96\xff\xff\xff\xff\xff\x00\x00\x00.", r"align.pth: "),  # as large an array of bytes
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.", r"damaged, cut short"),
        (b"\x80\x02}" + b"(" * 2000 + b"t" * 2000 + b"Ns.", r"does not begin as a file"),
        (b"\x80\x02N2.", r"has the instruction DUP, which no matrix needs"),
        (b"\x80\x02\x82\x01.", r"has the instruction EXT1"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", r"has the instruction NEWOBJ"),
        (b"\x80\x02NNR.", r"calls what is no function"),
        (b"\x80\x02S'\\q'\n.", r"does not begin as a file"),  # Python warns of such an escape
        (b"\x80\x02.", r"damaged, cut short"),
        (b"", r"damaged, cut short"),
        (b"1 2\n3 4\n", r"align.pth: "),
    ],
)
def test_programs_that_no_matrix_needs_are_refused(tmp_path, program, message):
    with pytest.raises(ArtifactError, match=message):
        read(tmp_path, program)
    whole = with_part(saved(rotation(), "zip"), "archive/data.pkl", program)
    with pytest.raises(ArtifactError):
        read(tmp_path, whole)


def test_compressed_parts_are_refused(tmp_path):
    content = with_part(saved(rotation(), "zip"), "", b"", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ArtifactError, match=r"its part 'archive/(byteorder|data.pkl)' is compressed"):
        read(tmp_path, content)


def test_a_zip_file_of_something_else_is_refused(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(ArtifactError, match=r"a ZIP file with 0 parts named data.pkl instead of 1"):
        read(tmp_path, content.getvalue())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"none.pth: cannot be read \(No such file"):
        read_published_alignment(tmp_path / "none.pth", source="es", target="en", layer=1)
    with pytest.raises(ArtifactError, match=r"cannot be read \(Is a directory"):
        read_published_alignment(tmp_path, source="es", target="en", layer=1)


WHOLE = {
    (kind, container): saved(KINDS[kind](rotation(3)), container)
    for kind in ("array of float64", "tensor of float32")
    for container in CONTAINERS
}


@pytest.mark.parametrize("which", WHOLE, ids=str)
def test_a_file_that_was_cut_short_is_refused(tmp_path, which):
    whole = WHOLE[which]
    for length in {*range(0, len(whole), 11), *range(len(whole) - 9, len(whole))}:
        with pytest.raises(ArtifactError):
            read(tmp_path, whole[:length])


@pytest.mark.parametrize("which", WHOLE, ids=str)
@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_damage_gives_an_alignment_or_an_artifact_error(tmp_path, which, data):
    damaged = bytearray(WHOLE[which])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        alignment = read(tmp_path, bytes(damaged))
    except ArtifactError as error:
        assert str(error).startswith(str(tmp_path / "align.pth"))
        assert "\n" not in str(error)
    else:
        assert torch.isfinite(alignment.matrix).all()


@given(st.binary(max_size=80), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_any_program_gives_an_artifact_error(tmp_path, program, in_zip):
    content = with_part(WHOLE["array of float64", "zip"], "archive/data.pkl", program) if in_zip else program
    with pytest.raises(ArtifactError):
        read(tmp_path, content)
