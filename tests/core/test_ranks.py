"""Two gloo processes give what one gives, to 1e-6."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from playground.errors import EnvironmentFault
from playground.training import ranks

SCRIPT = """
import os, sys
from pathlib import Path
from playground.config import TrainConfig
from playground.training.loop import train
size, folder, model, data = int(sys.argv[1]), *sys.argv[2:]
settings = TrainConfig(model=model, data=data, quantize="none", per_device_train_batch_size=size, lora_r=4, lora_alpha=8,
                       learning_rate=1e-3, num_train_epochs=1, sample_max_new_tokens=2)
count = len(list(train(settings, Path(folder))))
# A file for each rank: two processes that print to one pipe can mix their digits.
Path(f"{folder}-{os.environ.get('RANK', '0')}.count").write_text(str(count))
"""


def run(python, size, folder, model, data, world):
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    environment["OMP_NUM_THREADS"] = "1"
    launcher = [python, "-m", "torch.distributed.run", "--nproc-per-node", str(world), "--master-port", "29765"]
    ranks = [*([*launcher, "--no-python"] if world > 1 else []), python, "-c", SCRIPT]
    command = [*ranks, *map(str, (size, folder, model, data))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [int(Path(f"{folder}-{rank}.count").read_text()) for rank in range(world)]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes_equal_one(tiny_folder, rows_file, tmp_path, warm_python):
    model, data = tiny_folder("llama"), rows_file(14)  # the last batch is uneven
    one = run(warm_python, 4, tmp_path / "one", model, data, world=1)
    two = run(warm_python, 2, tmp_path / "two", model, data, world=2)
    assert two == [*one, 0]  # the second rank yields no events
    a, b = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert a.keys() == b.keys()
    assert max((a[name] - b[name]).abs().max().item() for name in a) <= 1e-6
    assert max(tensor.abs().max().item() for name, tensor in a.items() if "lora_B" in name) > 1e-3


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), torch.OutOfMemoryError),
        (RuntimeError("CUDA error: out of memory"), RuntimeError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), RuntimeError),
        (RuntimeError("Connection closed by peer"), EnvironmentFault),
    ],
)
def test_memory_running_out_is_not_another_process_gone(monkeypatch, error, named):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(ranks.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(ranks.distributed, "all_reduce", fail)
    with pytest.raises(named) as caught:
        ranks.Ranks(torch.device("cpu")).sum(1.0)
    assert isinstance(caught.value, EnvironmentFault) == ("peer" in str(error))
