"""Reading one GGUF file from memory: its metadata, its tensors, its SentencePiece tokenizer.

``gguf.GGUFReader`` makes a million small array views of a 262,144-word vocabulary (28 s on two
cores), so the header is read here with ``struct`` in under a second; the arithmetic of the block
formats stays in ``gguf.quants``. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from playground.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

# GGUF value types: a struct letter for each fixed-size type; 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_CONTROL, _USER_DEFINED = 3, 4  # token types


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The location of a tensor: `shape` is PyTorch's, slowest dimension first; `offset` is absolute."""

    name: str
    shape: tuple[int, ...]
    ggml_type: int
    offset: int


class GgufFile:
    """The header of a little-endian GGUF v3 file held in `data`.

    Raises:
        InputError: If `data` is not such a file.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = memoryview(data)
        self._at = 0
        try:
            magic, version = bytes(self.data[:4]), struct.unpack_from("<I", self.data, 4)[0]
            if magic != b"GGUF" or version != 3:
                raise InputError("This is not a GGUF v3 file.")
            self._at = 8
            num_tensors, num_fields = self._scalar("Q"), self._scalar("Q")
            self.fields: dict[str, Any] = {self._string(): self._value() for _ in range(num_fields)}
            infos = [self._tensor_info() for _ in range(num_tensors)]
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
            raise InputError("The GGUF file is cut off or damaged.") from error
        alignment = self.fields.get("general.alignment", 32)
        start = -(-self._at // alignment) * alignment
        self.tensors = tuple(TensorInfo(i.name, i.shape, i.ggml_type, start + i.offset) for i in infos)

    def _scalar(self, letter: str) -> Any:
        (value,) = struct.unpack_from("<" + letter, self.data, self._at)
        self._at += struct.calcsize("<" + letter)
        return value

    def _string(self) -> str:
        length = self._scalar("Q")
        self._at += length
        return str(self.data[self._at - length : self._at], "utf-8")

    def _value(self, kind: int | None = None) -> Any:
        kind = self._scalar("I") if kind is None else kind
        if kind == 8:
            return self._string()
        if kind != 9:
            return self._scalar(_SCALARS[kind])
        item, count = self._scalar("I"), self._scalar("Q")
        if item in (8, 9):
            return [self._value(item) for _ in range(count)]
        values = struct.unpack_from(f"<{count}{_SCALARS[item]}", self.data, self._at)
        self._at += struct.calcsize(f"<{count}{_SCALARS[item]}")
        return list(values)

    def _tensor_info(self) -> TensorInfo:
        name, num_dims = self._string(), self._scalar("I")
        dims = [self._scalar("Q") for _ in range(num_dims)]
        return TensorInfo(name, tuple(reversed(dims)), self._scalar("I"), self._scalar("Q"))

    def dequantized(self, info: TensorInfo, rows_at_once: int = 8192) -> Iterator[np.ndarray]:
        """Yield the float32 rows of a tensor in blocks, so that memory stays small."""
        import numpy as np
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

        kind = GGMLQuantizationType(info.ggml_type)
        block, size = GGML_QUANT_SIZES[kind]
        row_bytes = info.shape[-1] // block * size
        rows = prod(info.shape[:-1])
        if info.offset + rows * row_bytes > len(self.data):
            raise InputError("The GGUF file is cut off or damaged.")
        raw = np.frombuffer(self.data, np.uint8, rows * row_bytes, info.offset).reshape(rows, row_bytes)
        if kind in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
            raw = raw.view(np.float32 if kind == GGMLQuantizationType.F32 else np.float16)
        for at in range(0, rows, rows_at_once):
            yield dequantize(raw[at : at + rows_at_once], kind)


def gemma_tokenizer(fields: dict[str, Any]) -> Tokenizer:
    """Build Gemma's tokenizer from the metadata of its GGUF file.

    The file holds a SentencePiece BPE vocabulary without its merges. They follow from the vocabulary:
    each token can be made from any two tokens that spell it, tried in the order of the vocabulary.
    Runs of spaces are stored as spaces; the normalizer turns each space into U+2581.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import BPE

    spelled = fields["tokenizer.ggml.tokens"]
    tokens = ["▁" * len(t) if t and not t.strip(" ") else t for t in spelled]
    vocab = {token: index for index, token in enumerate(tokens)}
    merges: list[tuple[str, str]] = []
    for token in tokens:
        # Among the ways to spell a token, the one with the longest left half is tried first.
        halves = ((token[:cut], token[cut:]) for cut in range(len(token) - 1, 0, -1))
        merges += [(left, right) for left, right in halves if left in vocab and right in vocab]
    tokenizer = Tokenizer(
        BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)  # noqa: S106
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", vocab["<bos>"])]
    )
    kinds = fields["tokenizer.ggml.token_type"]
    for kind, special in ((_CONTROL, True), (_USER_DEFINED, False)):
        whole = [t for t, k in zip(spelled, kinds, strict=True) if k == kind and t in vocab]
        added = [AddedToken(t, normalized=False, special=special) for t in whole]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    return tokenizer
