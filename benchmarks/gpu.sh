#!/usr/bin/env bash
# Everything that wants a CUDA device, in one go: the gpu tests, then the 8B-shaped benchmark.
# Needs this checkout and its dependencies; no network, no weights. Output goes to stdout.
set -euo pipefail
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python3 -m pytest -m gpu tests/gpu -q -p no:cacheprovider
for shape in "1024 4" "2048 2" "1024 1"; do
  # shellcheck disable=SC2086
  python3 benchmarks/gpu.py $shape 20
done
