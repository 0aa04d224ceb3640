"""llama.cpp on the demo model's own GGUF file, as it comes (Q4_K_M) and in F16: tokens/s of one greedy stream.

    pip install xllamacpp && python benchmarks/llama_cpp.py

Both files are made in a temporary folder, from the pip packages. The base alone is decoded, by
llama.cpp's server in a process of its own, with two threads; there is no adapter.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playground import paths
from playground.data.prompts import read_prompts
from playground.models import demo

NEW_TOKENS, NUM_PROMPTS = 128, 10


def write_f16(source: Path, target: Path) -> None:
    """Write `source` with all its matrices in half precision, everything else as it is."""
    import numpy as np
    from gguf import GGUFReader, GGUFValueType, GGUFWriter, dequantize

    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        of = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], of)
    writer.add_file_type(1)  # mostly F16
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, values.astype(np.float16) if values.ndim > 1 else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def decode(path: Path) -> None:
    import xllamacpp  # type: ignore[import-not-found]

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.n_ctx, params.n_parallel = 1024, 1
    server = xllamacpp.Server(params)
    tokens, seconds = 0, 0.0
    for prompt in read_prompts(paths.find_file("heldout.jsonl"))[:NUM_PROMPTS]:
        job = {"prompt": prompt.prompt, "max_tokens": NEW_TOKENS, "temperature": 0.0}
        began = time.monotonic()
        answer = server.handle_completions(job)
        seconds += time.monotonic() - began
        answer = json.loads(answer) if isinstance(answer, str) else answer
        tokens += answer["usage"]["completion_tokens"]
    print(f"| llama.cpp, {path.stem}, base alone | {tokens} | {seconds:.1f} | {tokens / seconds:.1f} |", flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        decode(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        quantised, half = Path(folder) / "Q4_K_M.gguf", Path(folder) / "F16.gguf"
        quantised.write_bytes(b"".join(part.read_bytes() for part in demo._parts()))
        write_f16(quantised, half)
        for path in (quantised, half):
            subprocess.run([sys.executable, __file__, str(path)], stderr=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
