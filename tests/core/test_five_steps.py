"""The five steps on one row against a plain float64 forward and autograd; nothing saved is touched."""

import copy
import hashlib
import math
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from test_training import config

from playground.analysis import five_steps as module
from playground.analysis import snapshots
from playground.analysis.five_steps import FiveSteps, unmasked
from playground.cli.app import run
from playground.data.batches import collate
from playground.data.encode import IGNORE_INDEX
from playground.data.examples import Example, Turn, read_dataset
from playground.errors import EnvironmentFault, InputError, PlaygroundError, UsageError
from playground.events.five_steps import FIVE_STEPS_EVENTS, Backward, Forward, RowOpened, Updated
from playground.inference import contrast as contrast_module
from playground.models import lora
from playground.models.adapter_file import read_adapter
from playground.report import five_steps as report
from playground.training.loop import train

# A plain float32 forward pass of these models is itself off by up to 1.2e-5 relative where a row has 27 tokens, and by
# 3.2e-5 at some of the ten most probable tokens (measured on 25 November 2026; ours is off by the same).
TOP_ERROR = 5e-5
KINDS = {"q", "k", "v", "o", "gate", "up", "down"}


def row(prompt="Name the city.", answer="It is Rome."):
    return Example((Turn("user", prompt), Turn("assistant", answer)), 1)


def silent(stage, share):
    pass


@pytest.fixture
def open_steps(tiny_folder):
    def load(name="llama", example=None, adapter=None, model=None, **changes):
        settings = config(tiny_folder(name), "unused", **changes)
        return FiveSteps.load(settings, example or row(), silent, adapter=adapter, model=model)

    return load


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_folder, write_rows):
    """An adapter that was trained and saved: for the tiny llama, in the style alpaca, r 2."""
    home = tmp_path_factory.mktemp("saved")
    settings = config(
        tiny_folder("llama"), write_rows(home / "rows.jsonl", 4), lora_r=2, style="alpaca", num_train_epochs=4
    )
    list(train(settings, home / "mine"))
    return home / "mine"


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


class Reference:
    """Plain PEFT in float64 on one row at a time: all logits, autograd."""

    def __init__(self, model):
        self.model = copy.deepcopy(model).double()
        for layer in self.model.modules():
            vars(layer).pop("forward", None)  # plain PEFT: nothing is fused
            if type(layer).__name__ == "FrozenLinear":
                layer.forward = lambda x, m=layer: F.linear(x, m.weight, m.bias)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_("lora_" in name)

    def log_p(self, ids, *, base=False):
        with torch.no_grad(), self.model.disable_adapter() if base else torch.no_grad():
            return self.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)

    def loss_and_norms(self, encoded):
        logits = self.model(input_ids=torch.tensor([encoded.input_ids])).logits[0, :-1]
        mean = F.cross_entropy(logits, torch.tensor(encoded.labels[1:]), ignore_index=IGNORE_INDEX)
        mean.backward()
        squares = {"A": dict.fromkeys(KINDS, 0.0), "B": dict.fromkeys(KINDS, 0.0)}
        for name, parameter in self.model.named_parameters():
            if parameter.grad is not None:
                kind = next(kind for kind in KINDS if f".{kind}_proj." in name)
                squares["A" if "lora_A" in name else "B"][kind] += parameter.grad.square().sum().item()
        return mean.item(), *({k: math.sqrt(v) for k, v in part.items()} for part in squares.values())


def require_side(side, log_p, target, rel):
    """One side at one place, against the float64 log-probabilities there."""
    p = log_p.exp()
    assert side.p == pytest.approx(p[target].item(), rel=rel)
    assert side.log_p == pytest.approx(log_p[target].item(), rel=1e-5, abs=rel)
    beyond = [int((log_p > log_p[target] + error).sum()) for error in (TOP_ERROR, -TOP_ERROR)]
    assert beyond[0] < side.rank <= beyond[1], "equal where no other token is as near as the error"
    assert side.entropy == pytest.approx(-(p * log_p).sum().item(), rel=1e-5, abs=1e-5)
    best = p.topk(10)
    assert [p[c.id].item() for c in side.top] == pytest.approx(best.values.tolist(), rel=TOP_ERROR)
    assert [c.p for c in side.top] == pytest.approx(best.values.tolist(), rel=TOP_ERROR)
    assert side.p_end == pytest.approx(p[1].item(), rel=TOP_ERROR)


def require_forward(forward, reference, encoded, rel=3e-5):
    sft, base = reference.log_p(encoded.input_ids), reference.log_p(encoded.input_ids, base=True)
    assert forward.places == tuple(t for t in range(1, len(encoded.labels)) if encoded.labels[t] != IGNORE_INDEX)
    for place, position in zip(forward.places, forward.positions, strict=True):
        target = encoded.input_ids[place]
        assert (position.id, position.is_end) == (target, target == 1)
        require_side(position.base, base[place - 1], target, rel)
        require_side(position.sft, sft[place - 1], target, rel)
        kl = (sft[place - 1].exp() * (sft[place - 1] - base[place - 1])).sum().item()
        assert position.kl == pytest.approx(kl, rel=1e-3, abs=1e-6)
    losses = [-sft[place - 1, encoded.input_ids[place]].item() for place in forward.places]
    assert forward.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert forward.shares == pytest.approx([loss / sum(losses) for loss in losses], rel=1e-4)
    assert forward.largest == losses.index(max(losses))


@pytest.mark.parametrize(
    ("name", "quantize", "masked"),
    [("gemma3", "none", True), ("llama", "nf4", True), ("gemma2", "none", True), ("llama", "nf4", False)],
)
def test_all_numbers_equal_float64_forward_and_autograd(open_steps, monkeypatch, name, quantize, masked):
    monkeypatch.setattr(contrast_module, "CHUNK_BYTES", 4 * 8 * 512 * 5)  # five places at a time, ten without a cap
    session = open_steps(name, quantize=quantize)
    session.set_row(row(), masked=masked)
    encoded = session.training.encoder.example(row())
    encoded = encoded if masked else unmasked(encoded)
    rel = 1e-5 if masked else 2e-5
    require_forward(session.forward(), Reference(session.training.model), encoded, rel)
    for number in (1, 2):
        loss, a, b = Reference(session.training.model).loss_and_norms(encoded)
        backward, updated, forward = session.step()
        assert isinstance(backward, Backward) and isinstance(updated, Updated)
        assert updated.loss == pytest.approx(loss, rel=1e-5)
        assert backward.a == pytest.approx(a, rel=1e-4) and backward.b == pytest.approx(b, rel=1e-4)
        whole = math.hypot(*a.values(), *b.values())
        assert backward.grad_norm == pytest.approx(whole, rel=1e-4)
        assert backward.clipped == (whole > 1.0) and backward.num_matrices == 21
        assert (backward.step, updated.step, forward.step) == (number, number, number)
        require_forward(forward, Reference(session.training.model), encoded, rel)


def test_a_gets_exactly_zero_in_the_first_step_only(open_steps):
    session = open_steps()
    first, _, _ = session.step()
    assert set(first.a) == set(first.b) == KINDS
    assert all(norm == 0.0 for norm in first.a.values()) and all(norm > 0 for norm in first.b.values())
    second, _, _ = session.step()
    assert all(norm > 0 for norm in (*second.a.values(), *second.b.values()))


def test_step_is_bit_equal_to_a_step_of_training(open_steps, tiny_folder, rows_file, tmp_path):
    data = rows_file(1)
    changes = {"num_train_epochs": 1, "warmup_ratio": 0.0, "sample_prompts": ()}
    list(train(config(tiny_folder("llama"), data, **changes), tmp_path / "run"))
    session = open_steps(example=read_dataset(data).row(1), **changes)
    list(session.step())
    mine, theirs = lora.state(session.training.model), read_adapter(tmp_path / "run").tensors
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_without_a_mask_only_labels_differ(open_steps):
    session = open_steps()
    encoded = session.training.encoder.example(row())
    bare = unmasked(encoded)
    assert replace(bare, labels=encoded.labels) == encoded and bare.input_ids is encoded.input_ids
    one, two = collate([encoded], 0), collate([bare], 0)
    assert torch.equal(one.input_ids, two.input_ids)
    assert torch.equal(two.targets, two.input_ids[0, 1:])
    trained = torch.isin(two.positions, one.positions)
    assert torch.equal(two.positions[trained], one.positions) and torch.equal(two.targets[trained], one.targets)
    weights = {name: tensor.clone() for name, tensor in lora.state(session.training.model).items()}
    before = session.forward()
    opened = session.set_row(row(), masked=False)
    after = session.forward()
    assert all(torch.equal(weights[n], t) for n, t in lora.state(session.training.model).items())
    assert after.places == tuple(range(1, len(encoded.input_ids)))
    kept = dict(zip(after.places, after.positions, strict=True))
    for place, position in zip(before.places, before.positions, strict=True):
        assert kept[place].sft.log_p == pytest.approx(position.sft.log_p, rel=1e-6)
    assert opened.row.trained == tuple(label != IGNORE_INDEX for label in encoded.labels) and not opened.masked


def test_undo_restores_weights_moments_and_numbers_bit_for_bit(open_steps):
    session = open_steps()
    seen = [session.forward()]
    states = []
    for _ in range(2):
        states.append(copy.deepcopy((lora.state(session.training.model), session.training.optimizer.state_dict())))
        seen.append(list(session.step())[-1])
    third = list(session.step())
    assert session.undo() == seen[2] and list(session.step()) == third
    session.undo()
    for number in (1, 0):
        assert session.undo() == seen[number] and session.step_number == number
        weights, optimizer = states[number]
        assert all(torch.equal(weights[n], t) for n, t in lora.state(session.training.model).items())
        assert repr(session.training.optimizer.state_dict()) == repr(optimizer)
    with pytest.raises(UsageError, match="no step to undo"):
        session.undo()
    assert list(session.step())[-1] == seen[1]


def test_earlier_states_are_dropped_when_they_take_too_much(open_steps, monkeypatch):
    session = open_steps()
    monkeypatch.setattr(snapshots, "UNDO_BYTES", 1)
    for _ in range(2):
        list(session.step())
    assert session.undo().step == 1
    with pytest.raises(UsageError, match="no step to undo"):
        session.undo()


def test_saved_adapters_are_untouched_by_steps_undo_and_restart(open_steps, saved):
    before = digests(saved)
    session = open_steps(adapter=saved, style="chat")
    assert (session.opened.adapter, session.opened.style, session.opened.lora_r) == ("mine", "alpaca", 2)
    file = read_adapter(saved)
    assert all(torch.equal(file.tensors[n], t) for n, t in lora.state(session.training.model).items())
    encoded = session.training.encoder.example(row())
    first = session.forward()
    require_forward(first, Reference(session.training.model), encoded)
    assert any(position.kl > 1e-3 for position in first.positions)
    backward, *_ = session.step()
    assert all(norm > 0 for norm in backward.a.values()), "B of a trained adapter is not 0"
    assert session.training.optimizer.state_dict()["state"][0]["step"] == 1, "fresh moments"
    assert session.undo() == first
    list(session.step())
    opened = session.restart()
    assert (opened.adapter, opened.style, opened.lora_r) == ("", "alpaca", 4)
    fresh = open_steps(style="alpaca")
    assert session.forward() == fresh.forward()
    assert list(session.step()) == list(fresh.step()), "from nothing after a copy as from nothing at once"
    session.restart(saved)
    assert session.forward() == first
    assert digests(saved) == before


def test_base_is_proven_before_anything_is_shown(open_steps):
    session = open_steps()
    with torch.no_grad():
        next(p for n, p in session.training.model.named_parameters() if "base_layer.weight" in n)[0, 0] += 1e-3
    with pytest.raises(PlaygroundError, match="base lane"):
        session.forward()


def test_elsewhere_equals_float64_and_is_never_the_row(open_steps):
    session = open_steps("gemma3")
    *_, forward = session.step()
    reference, encoder = Reference(session.training.model), session.training.encoder
    answered, asked = forward.elsewhere
    turns = (Turn("user", answered.prompt), Turn("assistant", answered.answer))
    ids = encoder.example(Example(turns, 1)).input_ids[:-1]
    assert answered.p_end == pytest.approx(reference.log_p(ids)[-1, 1].exp().item(), rel=1e-5)
    assert answered.base_p_end == pytest.approx(reference.log_p(ids, base=True)[-1, 1].exp().item(), rel=1e-5)
    expected = reference.log_p(encoder.prompt([Turn("user", asked.prompt)]))[-1].exp().topk(10)
    assert [c.id for c in asked.top] == expected.indices.tolist() and asked.answer == ""
    session.set_row(row(answered.prompt, answered.answer))
    session.set_row(row(asked.prompt, answered.answer))
    texts = {text for probe in session.forward().elsewhere for text in (probe.prompt, probe.answer)}
    assert not texts & {asked.prompt, answered.answer}


def said(session, *events):
    forwards = [event for event in events if isinstance(event, Forward)]
    return "".join(text for text, _ in report.findings(session.opened, forwards))


def test_nothing_is_claimed_of_an_end_that_does_not_dominate(open_steps):
    session = open_steps()
    forward = session.forward()
    *others, end = forward.positions
    assert end.is_end and not any(position.is_end for position in others)
    cheap = replace(end, sft=replace(end.sft, p=0.999, log_p=math.log(0.999)))
    dear = replace(end, sft=replace(end.sft, p=1e-30, log_p=math.log(1e-30)))
    assert "end" not in said(session, replace(forward, positions=(*others, cheap)))
    assert "the largest loss: ■ end" in said(session, replace(forward, positions=(*others, dear)))


def test_report_says_side_effects_clipping_and_the_share_of_the_prompt(open_steps):
    session = open_steps()
    session.set_row(row("\x1b]52;c;aGk=\x07 Who?", "\u202eme"), masked=False)
    forward = session.forward()
    worse = replace(forward.positions[0].sft, log_p=forward.positions[0].sft.log_p - 5, p=0.0)
    later = replace(forward, step=1, positions=(replace(forward.positions[0], sft=worse), *forward.positions[1:]))
    told = said(session, forward, later)
    assert "would teach it to write the prompt" in told and "step 1 made 1 of" in told
    backward = Backward(1, dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 3.0), 21, 7.9, 1.0)
    text = "".join(text for text, _ in report.gradients([backward]))
    assert "7.90, clipped to 1" in text and "A matrices: exactly 0, because B starts at 0" in text
    update = Updated(1, 1e-3, float("nan"), False)
    pieces = [*report.opened(session.opened), *report.updates([update], [forward, later])]
    for width in (80, 120):
        lines = "".join(text for text, _ in report.table([forward, later], width)).splitlines()
        assert max(map(len, lines)) <= width
        pieces += report.table([forward, later], width)
    whole = "".join(text for text, _ in pieces)
    assert "step 1 was not taken" in whole and "\x1b" not in whole and "\u202e" not in whole


def test_events_survive_json(open_steps):
    session = open_steps()
    for event in (session.opened, session.forward(), *session.step()):
        read = FIVE_STEPS_EVENTS[event.to_dict()["event"]].from_dict(event.to_dict())
        assert read == event
    assert isinstance(session.opened, RowOpened)


def test_long_rows_are_cut_as_in_training_and_that_is_told(open_steps):
    session = open_steps(max_length=64, example=row("Say " + "no " * 40))
    assert "shortened" in session.opened.row.cut
    assert len(session.opened.row.texts) <= 64
    kept = session.opened
    with pytest.raises(InputError, match="no token of an answer fits"):
        session.training.encoder.max_length = 8
        session.set_row(row("Say " + "no " * 40))
    assert session.opened == kept, "the row is still the previous one"


def test_adapters_of_another_base_or_with_none_are_refused(open_steps, saved, tmp_path, tiny_folder):
    with pytest.raises(InputError, match="was trained on"):
        open_steps(adapter=saved, model=str(tiny_folder("gemma3")))
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (bare / name).write_bytes((saved / name).read_bytes())
    with pytest.raises(InputError, match="does not say which model"):
        open_steps(adapter=bare)
    tensors = load_file(bare / "adapter_model.safetensors")
    tensors.popitem()
    save_file(tensors, bare / "adapter_model.safetensors")
    session = open_steps("gemma3")
    first = session.forward()
    for wrong, why, hint in ((saved, "was trained on", "Begin from nothing"), (bare, "does not fit", "Load it on")):
        with pytest.raises(InputError, match=why) as refused:
            session.restart(wrong)
        assert hint in refused.value.hint and session.forward() == first


def test_copy_of_a_foreign_adapter_is_taught_in_its_own_template(open_steps, saved, tmp_path, tiny_folder):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (theirs / name).write_bytes((saved / name).read_bytes())
    model = str(tiny_folder("llama"))
    assert open_steps(adapter=theirs, model=model).opened.style == "chat (assumed)"
    template = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
    (theirs / "chat_template.jinja").write_text(template)
    for session in (open_steps(adapter=theirs, model=model), open_steps()):
        session.restart(theirs)
        session.set_row(row("Why?", "Because."))
        assert session.opened.style == "tokenizer (the adapter's own template)"
        assert "".join(session.opened.row.texts).strip().startswith("[user] Why?\n[assistant] Because.")
    session.restart()
    assert session.opened.style == "chat", "from nothing it is the style that was loaded"


def test_out_of_memory_changes_nothing(open_steps, monkeypatch):
    session = open_steps()
    first = session.forward()

    def fail(*arguments):
        raise module.OutOfMemory

    monkeypatch.setattr(module, "five_steps", fail)
    with pytest.raises(EnvironmentFault, match="memory"):
        list(session.step())
    assert session.step_number == 0 and session.forward() == first


def test_update_broken_off_by_memory_is_taken_back(open_steps, monkeypatch):
    session, whole = open_steps(), open_steps()
    for each in (session, whole):
        list(each.step())
    before = copy.deepcopy((lora.state(session.training.model), session.training.optimizer.state_dict()))
    real = torch.optim.AdamW.step

    def torn(optimizer):
        kept = [parameter.detach().clone() for parameter in session.training.parameters]
        real(optimizer)  # the moments are those of the step, but half of the weights are not
        with torch.no_grad():
            for parameter, weights in list(zip(session.training.parameters, kept, strict=True))[::2]:
                parameter.copy_(weights)
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", torn)
        with pytest.raises(EnvironmentFault, match="Out of memory while updating the weights"):
            list(session.step())
    weights, optimizer = before
    assert all(torch.equal(weights[n], t) for n, t in lora.state(session.training.model).items())
    assert repr(session.training.optimizer.state_dict()) == repr(optimizer)
    assert not session.training.torn and session.step_number == 1
    assert list(session.step()) == list(whole.step()), "no gradient is left either"
    assert session.undo() == whole.undo()


@pytest.mark.parametrize("place", ["attach_copy", "set_peft_model_state_dict"])
def test_restart_without_memory_keeps_a_whole_session(open_steps, saved, monkeypatch, place):
    session = open_steps()
    first, calls = session.forward(), []
    real = getattr(lora, place)

    def run_out(*arguments, **options):
        calls.append(real(*arguments, **options))
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(lora, place, run_out)
        with pytest.raises(torch.OutOfMemoryError):
            session.restart(saved)
    assert calls and session.opened.adapter == "" and session.forward() == first
    assert session.restart(saved).adapter == "mine"


def test_restart_in_a_style_without_room_changes_nothing(open_steps, saved):
    session = open_steps(max_length=40, example=row("Hm?", "No."))
    before, first = session.opened, list(session.step())[-1]
    with pytest.raises(InputError, match="no token of an answer fits"):
        session.restart(saved)
    assert session.opened == before and session.forward() == first and session.step_number == 1


def test_gradient_norms_in_float16_are_those_of_the_mean(open_steps):
    session = open_steps()
    list(session.step())  # A has no gradient before
    session.training.base = replace(
        session.training.base, identity=replace(session.training.base.identity, dtype="float16")
    )
    _, a, b = Reference(session.training.model).loss_and_norms(session.training.encoder.example(row()))
    backward = next(session.step())
    assert backward.a == pytest.approx(a, rel=1e-4) and backward.b == pytest.approx(b, rel=1e-4)
    assert backward.grad_norm == pytest.approx(math.hypot(*a.values(), *b.values()), rel=1e-4)


def test_step_that_is_not_finite_is_not_taken(open_steps):
    session = open_steps()
    first = session.forward()
    hook = session.training.parameters[0].register_hook(lambda gradient: gradient * float("nan"))
    _, updated, forward = session.step()
    hook.remove()
    assert not updated.finite and forward == first and session.step_number == 0


def test_preview_shows_each_loss_under_base_and_adapter(open_steps, saved, rows_file, tiny_folder, capsys):
    data = rows_file(2)
    arguments = ["data", "preview", str(data), "--row", "2", "--adapter", str(saved)]
    assert run([*arguments, "--style", "chat"]) == 2 and "cannot be combined" in capsys.readouterr().err
    assert run(arguments) == 0
    said = capsys.readouterr().out
    example = read_dataset(data).row(2)
    session = open_steps(example=example, adapter=saved)
    forward = session.forward()
    mask, table = said.split("−ln p, base")
    assert "### Response:⟦" in mask.replace("\n", ""), "in the adapter's style, trained tokens marked"
    *lines, mean = table.rstrip().splitlines()[1:]
    for line, position in zip(lines, forward.positions, strict=True):
        assert f"{-position.base.log_p:.2f}" in line and f"{-position.sft.log_p:.2f}" in line
    assert mean.split()[2] == f"{forward.loss:.2f}"


def test_losses_shown_are_those_of_a_plain_float32_forward(open_steps, saved):
    session = open_steps(adapter=saved)
    example = row("Name a river.", "It is the Rhine.")
    opened, forward = session.set_row(example), session.forward()
    plain = Reference(session.training.model)
    plain.model.float()
    ids = session.training.encoder.example(example).input_ids
    sides = [plain.log_p(ids, base=True), plain.log_p(ids)]
    plainly = [-side[place - 1, ids[place]].item() for place in forward.places for side in sides]

    def shown(opened):
        return [float(text) for text, _ in report.losses(opened, forward) if re.fullmatch(r" *\d+\.\d\d  ", text)]

    assert shown(opened) == pytest.approx(plainly, abs=0.0051), "two decimals"
    assert shown(replace(opened, adapter="")) == pytest.approx(plainly[::2], abs=0.0051), "without an adapter: the base"
    assert max(abs(base - sft) for base, sft in zip(plainly[::2], plainly[1::2], strict=True)) > 0.01
