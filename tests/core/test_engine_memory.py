"""Memory that runs out in the engine is told to whoever asked, and the engine goes on; what it holds is told too."""

import weakref

import pytest
import torch

from playground.analysis import five_steps
from playground.analysis.child import Teacher
from playground.cli.app import run
from playground.config import TrainConfig
from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineError, EngineReady, LaneRequest, Spoken
from playground.events.five_steps import Forward, Lesson, Served, TeacherError, Updated
from playground.inference import service
from playground.inference.engine import Engine
from playground.inference.service import serve
from playground.models import memory
from playground.models.memory import is_out_of_memory
from playground.training.plan import plan_training


class Requests:
    """Two questions, the second the same as the first."""

    def __init__(self):
        ask = Ask((LaneRequest("base", "base", ("Hello",)),), 1.0, Sampling(3))
        self._waiting = [{"do": "answer", "id": number, "ask": ask.to_dict()} for number in (1, 2)]

    def next(self):
        return self._waiting.pop(0) if self._waiting else None

    def cancelled(self, number):
        return False


def test_engine_answers_again_after_memory_ran_out(tiny_folder, tmp_path, monkeypatch):
    real, calls, held, left = Engine.stream, [], [], []

    def stream(self, *given):
        calls.append(given)
        if len(calls) == 2:  # after the warm-up
            large = torch.zeros(1000)
            held.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        yield from real(self, *given)

    monkeypatch.setattr(Engine, "stream", stream)
    monkeypatch.setattr(service, "give_back", lambda device: left.extend(kept() for kept in held))
    said = []
    options = {"model": str(tiny_folder("llama")), "bare": True, "adapters_dir": str(tmp_path)}
    serve(Requests(), options, said.append, 0.0)
    (error,) = [event for event in said if isinstance(event, EngineError)]
    assert error.request == 1 and "Out of memory while answering" in error.message
    assert any(isinstance(event, Spoken) and event.request == 2 and event.answer for event in said)
    assert left == [None], "the tensors of what failed are free when their memory is given back"
    (ready,) = [event for event in said if isinstance(event, EngineReady)]
    assert ready.held > 50 << 20  # PyTorch alone takes more


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
            True,
        ),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), True),
        (RuntimeError("CUDA driver error: out of memory"), True),
        (RuntimeError("HIP error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED"), False),
        (ValueError("CUDA error: out of memory"), False),
    ],
)
def test_running_out_of_memory_is_recognised_by_each_of_its_names(error, ran_out):
    assert is_out_of_memory(error) is ran_out


def test_teacher_goes_on_after_memory_ran_out(tiny_folder, monkeypatch):
    lesson = Lesson(TrainConfig(model=str(tiny_folder("llama")), data="unused", lora_r=2).to_dict(), "Hi.", "Hello.")
    said, held, left = [], [], []
    teacher = Teacher(said.append)

    def run_out(*given):
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    teacher.serve({"do": "open", "id": 1, "lesson": lesson.to_dict()})
    first = said[-2]
    with monkeypatch.context() as patched:
        patched.setattr(five_steps, "contrast", run_out)
        patched.setattr(memory, "give_back", lambda device: left.extend(kept() for kept in held))
        teacher.serve({"do": "step", "id": 2})
    *_, updated, error, served = said
    assert isinstance(updated, Updated) and isinstance(served, Served)
    assert isinstance(error, TeacherError) and "Out of memory while working on the row" in error.message
    assert left == [None]
    teacher.serve({"do": "undo", "id": 3})
    assert said[-2] == first and isinstance(first, Forward)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_command_without_memory_says_so_and_is_no_bug(tiny_folder, tmp_path, monkeypatch, capsys, error):
    def run_out(*given, **options):
        raise error

    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    monkeypatch.setattr(five_steps, "load_base", run_out)
    assert run(["explain", "--model", str(tiny_folder("llama"))]) == 3
    said = capsys.readouterr().err
    assert "error: Out of memory." in said and "report it" not in said
    assert not list(tmp_path.glob("*.log"))


def test_plan_counts_what_will_be_given_back(tiny_folder, rows_file, monkeypatch):
    monkeypatch.setattr("playground.models.machine.free_memory", lambda device: 1000)
    monkeypatch.setattr("playground.models.machine.program_memory", lambda device: 0)
    config = TrainConfig(model=str(tiny_folder("llama")), data=str(rows_file(4)))
    assert not plan_training(config, lambda *a: None).plan.fits
    made = plan_training(config, lambda *a: None, released=8 << 30).plan
    assert made.fits and made.free == (8 << 30) + 1000
