#!/usr/bin/env bash
# Everything that wants a CUDA device, in parts: one that fails, or takes too long, stops none of the others.
# Needs this checkout, torch, transformers, peft, bitsandbytes and pytest; no network, no weights.
#
#     benchmarks/gpu.sh                 all parts, on the GPU: about twelve minutes
#     benchmarks/gpu.sh tests speed     some of them
#     REHEARSE=1 benchmarks/gpu.sh      the same code on a CPU, with two layers: is the script itself right?
#
# Ends with the number of parts that failed; what they print goes to stdout, and to $OUT if that is set.
set -u
cd "$(dirname "$0")/.."
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 CUBLAS_WORKSPACE_CONFIG=:4096:8 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export SFT_PLAYGROUND_HOME="${SFT_PLAYGROUND_HOME:-$(mktemp -d)}"
python="${PYTHON:-python3}"
out="${OUT:-$(mktemp -d)}"
failed=0

part() {  # a name, seconds, a command
  local name=$1 seconds=$2
  shift 2
  [ -z "$wanted" ] || [[ " $wanted " == *" $name "* ]] || return 0
  echo "== $name"
  timeout "$seconds" "$@" 2>&1 | tee "$out/$name.log"
  local code=${PIPESTATUS[0]}
  [ "$code" -eq 0 ] || { echo "== $name failed with $code"; failed=$((failed + 1)); }
}

wanted="$*"
export REHEARSE="${REHEARSE:-}"
part facts 60 "$python" benchmarks/gpu.py facts
# Without this project's own settings: they ask for plugins that may be missing there.
part tests 240 "$python" -m pytest -c /dev/null --rootdir . tests/gpu -q -p no:cacheprovider
part speed 240 "$python" benchmarks/gpu.py speed
part process 150 "$python" benchmarks/gpu.py process
part cards 150 "$python" benchmarks/gpu.py cards
part peer 120 "$python" benchmarks/gpu.py peer
part lanes 90 "$python" benchmarks/gpu.py lanes
part old 120 "$python" benchmarks/gpu.py old
echo "== $failed parts failed"
exit "$failed"
