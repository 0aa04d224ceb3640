import numpy as np
import pytest

from playground.errors import InputError
from playground.models.gguf import GgufFile

gguf = pytest.importorskip("gguf")

FIELDS = {
    "tiny.name": ("string", "tiny é"),
    "tiny.count": ("uint32", 7),
    "tiny.minus": ("int32", -7),
    "tiny.rate": ("float32", 0.5),
    "tiny.flag": ("bool", True),
    "tiny.large": ("uint64", 1 << 40),
    "tiny.tokens": ("array", ["<pad>", "▁a", "", "日本"]),
    "tiny.kinds": ("array", [3, 1, 1, 1]),
    "tiny.scores": ("array", [0.0, -1.5, 2.25]),
}
ROWS = np.random.default_rng(3).normal(size=(5, 64)).astype(np.float32)
CUBE = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "tiny")
    for name, (kind, value) in FIELDS.items():
        getattr(writer, f"add_{kind}")(name, value)
    writer.add_tensor("f32", ROWS)
    writer.add_tensor("cube", CUBE)
    writer.add_tensor("f16", ROWS.astype(np.float16))
    q8_0 = gguf.quants.quantize(ROWS, gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("q8_0", q8_0, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("vector", ROWS[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def dequantized(file, info):
    """Return a whole tensor, read two rows at a time."""
    return np.concatenate(list(file.dequantized(info, rows_at_once=2))).reshape(info.shape)


def everything(data):
    """Return every tensor of a file by its name."""
    file = GgufFile(data)
    return {info.name: dequantized(file, info) for info in file.tensors}


def test_metadata_equals_what_was_written_and_gguf_reads(path):
    fields = GgufFile(path.read_bytes()).fields
    assert {name: fields[name] for name in FIELDS} == {name: value for name, (_, value) in FIELDS.items()}
    reader = gguf.GGUFReader(path)
    theirs = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert fields == theirs


def test_tensors_equal_those_of_the_gguf_reader(path):
    file, reader = GgufFile(path.read_bytes()), gguf.GGUFReader(path)
    theirs = {tensor.name: tensor for tensor in reader.tensors}
    assert {info.name for info in file.tensors} == set(theirs) == {"f32", "cube", "f16", "q8_0", "vector"}
    for info in file.tensors:
        tensor = theirs[info.name]
        assert info.shape == tuple(reversed(tensor.shape.tolist()))
        assert (info.ggml_type, info.offset) == (tensor.tensor_type, tensor.data_offset)
        expected = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(info.shape)
        np.testing.assert_array_equal(dequantized(file, info), expected)


def test_tensors_equal_those_written(path):
    found = everything(bytearray(path.read_bytes()))
    np.testing.assert_array_equal(found["f32"], ROWS)
    np.testing.assert_array_equal(found["cube"], CUBE)
    np.testing.assert_array_equal(found["f16"], ROWS.astype(np.float16))
    np.testing.assert_array_equal(found["vector"], ROWS[0])
    np.testing.assert_allclose(found["q8_0"], ROWS, atol=np.abs(ROWS).max() / 127)
    assert all(array.dtype == np.float32 for array in found.values())


def test_header_truncated_anywhere_is_refused(path):
    data = path.read_bytes()
    end = data.index(b"vector") + len("vector") + 4 + 8 + 4 + 8  # dims, size, type, offset: the header's last bytes
    GgufFile(data[:end])
    for size in range(end):
        with pytest.raises(InputError):
            GgufFile(data[:size])


def test_file_with_truncated_tensors_is_refused(path):
    with pytest.raises(InputError):
        everything(path.read_bytes()[:-64])


@pytest.mark.parametrize(
    "head", [b"", b"GGU", b"PK\x03\x04", b"FUGG", b"GGUF\x02\0\0\0", b"GGUF\0\0\0\x03", b"GGUF\xff\xff\xff\xff"]
)
def test_another_magic_or_version_is_refused(path, head):
    data = head + path.read_bytes()[len(head) :] if len(head) > 3 else head
    with pytest.raises(InputError):
        GgufFile(data)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param((8).to_bytes(4, "little") + (2**64 - 1).to_bytes(8, "little"), id="endless string"),
        pytest.param((9).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"\xff" * 8, id="endless array"),
        pytest.param((9).to_bytes(4, "little") + (8).to_bytes(4, "little") + b"\xff" * 8, id="endless strings"),
        pytest.param((13).to_bytes(4, "little"), id="unknown type"),
        pytest.param((9).to_bytes(4, "little") + (99).to_bytes(4, "little") + b"\x01" + b"\0" * 7, id="unknown item"),
    ],
)
def test_a_damaged_value_is_refused(path, damage):
    data = path.read_bytes()
    at = data.index(b"tiny.name") + len("tiny.name")
    with pytest.raises(InputError):
        GgufFile(data[:at] + damage + data[at + len(damage) :])
