import errno
import json
import multiprocessing
import os
import random
import shutil
import time

import pytest

from playground.errors import PlaygroundError
from playground.training import checkpoint
from playground.training.checkpoint import (
    MANIFEST,
    TrainState,
    newest_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    tensor_bytes,
)

NUM_WRITES = 4  # two files of `content`, state.json and the manifest


def content(step):
    return {"adapter.bin": b"adapter %d " % step * 20, "optimizer.bin": b"optimizer %d" % step}


def save(folder, step, **options):
    return save_checkpoint(folder, TrainState(step=step), content(step), **options)


def newest_step(folder):
    """Return the step of the newest whole checkpoint, whose files must be that step's, or None."""
    if (found := newest_checkpoint(folder)) is None:
        return None
    state, files, _ = found
    assert {name: files[name] for name in content(0)} == content(state.step)
    return state.step


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_checkpoint_round_trips(tmp_path):
    state = TrainState(7, 1234, 4, [2, 3], 1.25, 60.5, exact=False)
    path = save_checkpoint(tmp_path / "new" / "folder", state, content(7))
    assert path.name == "step-000007"
    found_state, files, _ = newest_checkpoint(tmp_path / "new" / "folder")
    assert found_state == state
    assert {name: files[name] for name in content(7)} == content(7)


@pytest.mark.parametrize("exists", [True, False])
def test_newest_checkpoint_is_none_in_an_empty_folder(tmp_path, exists):
    assert newest_checkpoint(tmp_path if exists else tmp_path / "absent") is None


def test_the_newest_two_are_kept(tmp_path):
    for step in (1, 5, 20, 100):
        save(tmp_path, step)
    assert names(tmp_path) == ["step-000020", "step-000100"]
    assert newest_step(tmp_path) == 100


def test_newest_checkpoint_is_chosen_by_step_number(tmp_path):
    for step in (999_998, 999_999, 1_000_000):
        save(tmp_path, step)
        assert newest_step(tmp_path) == step


def test_a_step_saved_again_replaces_itself(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    save_checkpoint(tmp_path, TrainState(step=2, num_tokens=7), content(2))
    assert names(tmp_path) == ["step-000001", "step-000002"]
    assert newest_step(tmp_path) == 2


# Complete or absent.


@pytest.mark.parametrize("failing", range(NUM_WRITES))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_failed_write_leaves_only_the_previous_checkpoint(tmp_path, monkeypatch, failing, number):
    save(tmp_path, 1)
    write, written = checkpoint.write_file, []

    def fail_in_turn(path, data):
        written.append(path)
        if len(written) - 1 == failing:
            write(path, data[: len(data) // 2])
            raise OSError(number, os.strerror(number))
        write(path, data)

    monkeypatch.setattr(checkpoint, "write_file", fail_in_turn)
    with pytest.raises(OSError, match=os.strerror(number)):
        save(tmp_path, 2)
    assert len(written) == failing + 1
    assert names(tmp_path) == ["step-000001"]
    assert newest_step(tmp_path) == 1
    monkeypatch.undo()
    save(tmp_path, 2)
    assert newest_step(tmp_path) == 2


def test_files_then_manifest_are_synced_before_the_rename(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(f"rename {b}"), replace(a, b)))
    target = save(tmp_path, 1)
    assert {path.rpartition("/")[2] for path in order[:3]} == {*content(1), "state.json"}
    temporary = order[3].removesuffix(f"/{MANIFEST}")
    assert order[3:] == [f"{temporary}/{MANIFEST}", temporary, f"rename {target}", str(tmp_path)]


@pytest.mark.parametrize("name", [*content(0), "state.json", MANIFEST])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b"x"), id="longer"),
        pytest.param(lambda path: path.write_bytes(b"\0" * path.stat().st_size), id="zeroed"),
        pytest.param(lambda path: path.write_bytes(b"{}"), id="an empty object"),
        pytest.param(lambda path: path.write_bytes(b"null"), id="null"),
    ],
)
def test_damaged_checkpoint_is_skipped(tmp_path, name, damage):
    save(tmp_path, 1)
    damage(save(tmp_path, 2) / name)
    assert newest_step(tmp_path) == 1


def test_flipped_manifest_bits_never_crash_loading(tmp_path):
    save(tmp_path, 1)
    path = save(tmp_path, 2) / MANIFEST
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert newest_step(tmp_path) in (1, 2)  # its content is checked there


def test_manifest_that_omits_a_file_is_rejected(tmp_path):
    save(tmp_path, 1)
    path = save(tmp_path, 2) / MANIFEST
    manifest = json.loads(path.read_bytes())
    del manifest["state.json"]
    path.write_text(json.dumps(manifest))
    assert newest_step(tmp_path) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"../step-000001/state.json": {"sha256": ""}}'])
def test_manifest_of_another_kind_is_passed_over_and_named(tmp_path, text):
    save(tmp_path, 1)
    (save(tmp_path, 2) / MANIFEST).write_text(text)
    found = newest_checkpoint(tmp_path)
    assert found.state.step == 1 and found.damaged == ("step-000002",)


def test_whole_checkpoint_without_a_needed_file_is_passed_over(tmp_path):
    save(tmp_path, 1)
    save_checkpoint(tmp_path, TrainState(step=2), {"adapter.bin": b"a"})
    assert newest_checkpoint(tmp_path).state.step == 2
    assert newest_checkpoint(tmp_path, ("optimizer.bin",)).state.step == 1


def test_checkpoint_from_before_the_last_trouble_is_kept(tmp_path):
    skipped = []
    for step in range(1, 60):
        if step in (3, 40, 42, 43, 50):
            skipped.append(step)
            continue
        save_checkpoint(tmp_path, TrainState(step=step, skipped_steps=list(skipped)), content(step))
        if step == 20:
            assert names(tmp_path) == ["step-000002", "step-000019", "step-000020"]
    assert names(tmp_path) == ["step-000039", "step-000058", "step-000059"]


def test_newest_checkpoint_is_none_without_a_complete_one(tmp_path):
    for step in (1, 2):
        (save(tmp_path, step) / MANIFEST).unlink()
    assert newest_checkpoint(tmp_path) is None


def test_leftovers_of_a_crash_are_ignored(tmp_path):
    save(tmp_path, 1)
    for name in (".writing-4711", ".gone-step-000009-4711"):
        shutil.copytree(tmp_path / "step-000001", tmp_path / name)
    (tmp_path / "step-000007").write_text("a file")
    save(tmp_path, 2)
    assert newest_step(tmp_path) == 2


@pytest.mark.parametrize("again", [False, True], ids=["next step", "same step"])
def test_leftovers_of_a_crash_with_the_same_pid_are_ignored(tmp_path, again):
    # In a container every run may have the same process number.
    for step in (1, 2):
        save(tmp_path, step)
        shutil.copytree(tmp_path / f"step-{step:06}", tmp_path / f".gone-step-{step:06}-{os.getpid()}")
    shutil.copytree(tmp_path / "step-000002", tmp_path / f".writing-{os.getpid()}")
    save(tmp_path, 2 if again else 3)
    assert newest_step(tmp_path) == (2 if again else 3)


def test_saving_a_step_again_never_loses_it(tmp_path, monkeypatch):
    save(tmp_path, 1)
    save(tmp_path, 2)
    replace = os.replace

    def watched(source, target):
        replace(source, target)
        assert newest_step(tmp_path) == 2  # a kill here must not cost an acknowledged step

    monkeypatch.setattr(os, "replace", watched)
    save(tmp_path, 2)


def test_new_checkpoint_is_kept_despite_later_damaged_ones(tmp_path):
    for step in (5, 9, 10):
        save(tmp_path, step, keep=3)
    for step in (9, 10):
        (tmp_path / f"step-{step:06}" / "adapter.bin").unlink()
    assert newest_step(tmp_path) == 5
    save(tmp_path, 6)  # resumed from 5, one step on
    assert newest_step(tmp_path) == 6


# Killed at any moment.


def save_as_fast_as_possible(folder, connection, step):
    while True:
        step += 1
        save(folder, step)
        connection.send(step)


def test_acknowledged_checkpoints_survive_sigkill(tmp_path):
    rng = random.Random(9)
    fork = multiprocessing.get_context("fork")  # starts in a millisecond, with everything imported
    acknowledged = kills_in_a_save = 0
    for _ in range(20):
        receiver, sender = fork.Pipe(duplex=False)
        writer = fork.Process(target=save_as_fast_as_possible, args=(tmp_path, sender, newest_step(tmp_path) or 0))
        writer.start()
        sender.close()
        assert receiver.poll(30)  # the first one is saved
        acknowledged = receiver.recv()
        time.sleep(rng.uniform(0, 0.03))
        writer.kill()
        writer.join()
        try:
            while True:
                acknowledged = receiver.recv()
        except EOFError:
            pass
        kills_in_a_save += any(name.startswith(".") for name in names(tmp_path))
        assert newest_step(tmp_path) >= acknowledged
        for leftover in tmp_path.glob(".*"):
            shutil.rmtree(leftover)
    assert acknowledged >= 20
    assert kills_in_a_save > 5  # else the kills proved nothing


# The parts.


def test_optimiser_continues_bit_exactly_from_its_bytes():
    import torch

    def fresh():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0, fused=True)
        return model, optimizer, [name for name, _ in model.named_parameters()]

    def steps(model, optimizer, seeds):
        for seed in seeds:
            x = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed))
            model(x).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    model, optimizer, parameters = fresh()
    steps(model, optimizer, range(3))
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    saved = tensor_bytes(optimizer_tensors(optimizer, parameters))
    steps(model, optimizer, range(3, 6))

    other, other_optimizer, _ = fresh()
    other.load_state_dict(weights)
    restore_optimizer(other_optimizer, parameters, saved)
    assert tensor_bytes(optimizer_tensors(other_optimizer, parameters)) == saved
    steps(other, other_optimizer, range(3, 6))
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_tensors_are_never_saved(bad):
    import torch

    tensors = {"good": torch.ones(3), "bad": torch.tensor([0.0, bad])}
    with pytest.raises(PlaygroundError, match=r"no longer finite \(bad\)"):
        tensor_bytes(tensors)


def test_non_finite_checkpoint_is_skipped(tmp_path):
    import torch
    from safetensors.torch import save as to_bytes

    for step, value in ((1, 1.0), (2, float("nan"))):  # as earlier versions wrote it
        save_checkpoint(tmp_path, TrainState(step=step), {"a.safetensors": to_bytes({"x": torch.tensor([value])})})
    found = newest_checkpoint(tmp_path)
    assert found.state.step == 1 and found.damaged == ("step-000002",)


def tensors(value):
    import torch
    from safetensors.torch import save as to_bytes

    return {"a.safetensors": to_bytes({"x": torch.tensor([value])}), "b.safetensors": to_bytes({"y": torch.ones(2)})}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda: tensors(float("nan")), id="not finite"),
        pytest.param(lambda: {"a.safetensors": tensors(1.0)["a.safetensors"]}, id="a file is missing"),
        pytest.param(lambda: {**tensors(1.0), "b.safetensors": b"no tensors"}, id="unreadable"),
    ],
)
def test_bad_checkpoint_of_the_saved_step_is_replaced(tmp_path, bad):
    needs = tuple(tensors(1.0))
    save_checkpoint(tmp_path, TrainState(step=1), tensors(1.0))
    save_checkpoint(tmp_path, TrainState(step=2), bad())
    found = newest_checkpoint(tmp_path, needs)
    assert found.state.step == 1 and found.damaged == ("step-000002",)
    save_checkpoint(tmp_path, TrainState(step=2), tensors(2.0))  # resumed from 1, one step on
    found = newest_checkpoint(tmp_path, needs)
    assert found.state.step == 2 and found.files["a.safetensors"] == tensors(2.0)["a.safetensors"]
    assert names(tmp_path) == ["step-000001", "step-000002"]


def test_checkpoint_under_the_name_of_another_step_is_replaced(tmp_path):
    save(tmp_path, 1).rename(tmp_path / "step-000002")
    save(tmp_path, 1)
    assert newest_checkpoint(tmp_path).damaged == ("step-000002",)
    save(tmp_path, 2)
    assert newest_step(tmp_path) == 2


def test_copied_state_does_not_change_with_the_original():
    state = TrainState(3, 10, 4, [2])
    copy = state.copy()
    state.step, state.num_tokens = 4, 20
    state.skipped_steps.append(4)
    assert copy == TrainState(3, 10, 4, [2])
