"""Conversations as lanes, and adapters that change place on a base that stays."""

import json
import pkgutil
import shutil
from contextlib import nullcontext

import pytest
import torch

from playground.cli.app import run
from playground.cli.demo import _what_more_rows_give
from playground.config import TrainConfig
from playground.data.encode import IGNORE_INDEX
from playground.data.examples import Example, Turn
from playground.errors import InputError, UsageError
from playground.events.answers import Sampling
from playground.events.engine import LaneRequest
from playground.inference.lineup import change_adapters, conversation_lane, load_lineup
from playground.runs.folder import read_record
from playground.training.loop import train

SILENT = {"progress": lambda stage, share: None}
TEXTS = ("Who are you?", "A small model.", "And how old?")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_folder):
    home = tmp_path_factory.mktemp("lineup")
    for name in ("one", "two"):
        rows = [{"prompt": f"What is {n}?", "completion": f"It is {name} {n}."} for n in range(8)]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = TrainConfig(
            model=str(tiny_folder("llama")), data=str(home / f"{name}.jsonl"), lora_r=4, learning_rate=0.05,
            num_train_epochs=4, sample_max_new_tokens=2, style="chat" if name == "one" else "alpaca",
        )  # fmt: skip
        list(train(config, home / name))
    return home


def load(runs, *names, **options):
    return load_lineup([runs / name for name in names], SILENT["progress"], **options)


def answers(lineup, *texts, sides=("base", "control", "sft"), strength=1.0):
    lanes = [conversation_lane(lineup, LaneRequest(s, s, texts or TEXTS), strength, 10_000)[0] for s in sides]
    return dict(zip(sides, lineup.engine.answers(lanes, Sampling(12)), strict=True))


def test_styled_lane_equals_the_prompt_tokens_of_training(runs):
    lineup = load(runs, "one")
    lane, dropped = conversation_lane(lineup, LaneRequest("sft", "sft", TEXTS), 1.0, 10_000)
    roles = ("user", "assistant", "user")
    turns = (*(Turn(role, text) for role, text in zip(roles, TEXTS, strict=True)), Turn("assistant", "Two days."))
    row = lineup.raw.example(Example(turns, 1))
    last = max(at for at, label in enumerate(row.labels) if label == IGNORE_INDEX)
    assert lane.prompt_ids == row.input_ids[: last + 1] and dropped == 0


def test_base_is_fed_raw_texts_separated_by_blank_lines(runs):
    lineup = load(runs, "one")
    lane, _ = conversation_lane(lineup, LaneRequest("base", "base", TEXTS), 1.0, 10_000)
    assert lineup.raw.tokenizer.decode(lane.prompt_ids) == "<bos>" + "\n\n".join(TEXTS)
    assert lane.blend.adapter is None


@pytest.mark.parametrize("side", ["base", "sft"])
def test_oldest_turns_are_dropped_beyond_the_context(runs, side):
    lineup = load(runs, "one")
    texts = ("first " * 20, "answer " * 20, "second", "yes", "third?")
    whole, none = conversation_lane(lineup, LaneRequest(side, side, texts), 1.0, 10_000)
    short, gone = conversation_lane(lineup, LaneRequest(side, side, texts), 1.0, len(whole.prompt_ids) - 1)
    expected, _ = conversation_lane(lineup, LaneRequest(side, side, texts[2:]), 1.0, 10_000)
    assert (none, gone) == (0, 2) and short.prompt_ids == expected.prompt_ids
    least, gone = conversation_lane(lineup, LaneRequest(side, side, texts), 1.0, 1)
    assert gone == 4 and "third?" in lineup.raw.tokenizer.decode(least.prompt_ids), "the question itself stays"


def test_switched_adapter_answers_like_a_freshly_loaded_one(runs):
    lineup = load(runs, "one")
    before = answers(lineup)
    changed = change_adapters(lineup, [runs / "two"])
    fresh = answers(load(runs, "two"))
    assert answers(changed) == fresh and fresh["sft"] != before["sft"]
    assert changed.raw.style.name == "alpaca" and changed.adapters == ("two",)
    back = change_adapters(changed, [runs / "one"])
    assert answers(back) == before
    assert len(back.engine.model.peft_config) == 1, "adapters do not pile up"


def test_adapter_can_be_added_to_a_bare_model(runs):
    bare = load(runs, model=read_record(runs / "one").config["model"])
    assert [side.name for side in bare.sides] == ["base", "control"]
    with pytest.raises(InputError, match="without an adapter"):
        answers(bare, sides=("sft",))
    assert answers(change_adapters(bare, [runs / "one"])) == answers(load(runs, "one"))


def test_changing_style_does_not_change_the_base(runs):
    lineup = load(runs, "one")
    before = answers(lineup)
    restyled = change_adapters(lineup, None, "alpaca")
    after = answers(restyled)
    assert after["base"] == before["base"] and after["sft"] != before["sft"]
    assert after == answers(load(runs, "one", style="alpaca"))


TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% if m.role == 'assistant' %}</s>{% endif %}\n{% endfor %}"
)


@pytest.fixture
def foreign(runs, tmp_path):
    """Return a function to an adapter of another trainer: without a record, with these files beside it."""

    def make(name="theirs", **files):
        (folder := tmp_path / name).mkdir()
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(runs / "one" / file, folder / file)
        for file, content in files.items():
            (folder / file.replace("__", ".")).write_text(content)
        return folder, read_record(runs / "one").config["model"]

    return make


@pytest.mark.parametrize(
    "files",
    [
        {"chat_template__jinja": TEMPLATE},
        {"tokenizer_config__json": json.dumps({"chat_template": TEMPLATE})},
        {"tokenizer_config__json": json.dumps({"chat_template": [
            {"name": "tool_use", "template": "no"}, {"name": "default", "template": TEMPLATE}]})},
    ],
    ids=["jinja", "config", "several"],
)  # fmt: skip
def test_foreign_adapter_is_fed_its_own_template(foreign, files):
    folder, model = foreign(**files)
    lineup = load_lineup([folder], SILENT["progress"], model=model)
    lane, _ = conversation_lane(lineup, LaneRequest("sft", "sft", ("Hi",)), 1.0, 10_000)
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "ANSWER"}]
    whole = lineup.raw.tokenizer.apply_chat_template(talk, chat_template=TEMPLATE, tokenize=False)
    assert lineup.raw.tokenizer.decode(lane.prompt_ids) == whole.partition("ANSWER")[0], "as transformers renders it"
    assert lineup.style == "tokenizer (the adapter's own template)" and not lineup.advice
    assert lineup.described == f"theirs (style {lineup.style})"
    plain = change_adapters(lineup, None, "chat")
    assert (plain.style, plain.described) == ("chat", "theirs"), "a style that was asked for is not assumed"
    assert change_adapters(plain, None, None).style == lineup.style


def test_assumed_style_of_a_foreign_adapter_is_said(foreign, runs):
    folder, model = foreign()
    lineup = load_lineup([folder, runs / "one"], SILENT["progress"], model=model)
    assert lineup.described == "theirs (style chat (assumed)), one"
    assert "theirs" in lineup.advice and "--style tokenizer" in lineup.advice
    assert load(runs, "one").described == "one" and not load(runs, "one").advice


def test_base_that_was_quantised_elsewhere_is_said(runs, tmp_path):
    assert read_record(runs / "one").base.quantized_on == "cpu"
    for place, said in (("cuda", True), ("", False), ("cpu", False)):
        folder = shutil.copytree(runs / "one", tmp_path / f"from-{place}")
        record = json.loads((folder / "run.json").read_text())
        record["base"]["quantized_on"] = place
        if not place:  # as before it was recorded
            del record["base"]["quantized_on"]
        (folder / "run.json").write_text(json.dumps(record))
        lineup = load_lineup([runs / "one", folder], SILENT["progress"])
        assert (lineup.advice.startswith(f"the base of from-{place} was quantised elsewhere (on a CPU here)")) is said
        assert bool(lineup.advice) is said


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '{"chat_template": "' + "x" * (1 << 20) + '"}'])
def test_damaged_template_of_a_foreign_adapter_is_refused(foreign, content):
    folder, model = foreign(tokenizer_config__json=content)
    with pytest.raises(InputError, match="chat template in theirs cannot be read"):
        load_lineup([folder], SILENT["progress"], model=model)


@pytest.fixture
def misfit(tmp_path):
    """An adapter of another model."""
    folder = tmp_path / "misfit"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    from safetensors.torch import save_file

    save_file({"base_model.model.nothing.lora_A.weight": torch.zeros(4, 4)}, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("bare", [False, True])
def test_mismatched_adapter_is_refused_and_changes_nothing(runs, misfit, bare):
    lineup = load(runs, model=read_record(runs / "one").config["model"]) if bare else load(runs, "one")
    sides = tuple(side.name for side in lineup.sides)
    before = answers(lineup, sides=sides)
    with pytest.raises(InputError, match="does not fit"):
        change_adapters(lineup, [misfit])
    assert answers(lineup, sides=sides) == before
    assert answers(change_adapters(lineup, [runs / "two"])) == answers(load(runs, "two"))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    "place",
    ["peft.tuners.lora.layer.LoraLayer.update_layer", "playground.models.lora.set_peft_model_state_dict"],
    ids=["half the layers", "tensors"],
)
def test_lineup_is_unchanged_when_memory_runs_out(runs, monkeypatch, bare, place):
    lineup = load(runs, model=read_record(runs / "one").config["model"]) if bare else load(runs, "one")
    sides = tuple(side.name for side in lineup.sides)
    before, names = answers(lineup, sides=sides), [name for name, _ in lineup.engine.base.model.named_modules()]
    real, calls = pkgutil.resolve_name(place), []
    # The first of the two adapters is attached to the end, the second to a part of the layers or without its tensors.
    at = 21 + 10 if "layer" in place else 2

    def run_out(*arguments, **options):
        calls.append(place)
        if len(calls) == at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(place, run_out)
        with pytest.raises(torch.OutOfMemoryError):
            change_adapters(lineup, [runs / "two", runs / "one"])
    assert [name for name, _ in lineup.engine.base.model.named_modules()] == names
    assert answers(lineup, sides=sides) == before
    assert answers(change_adapters(lineup, [runs / "two"])) == answers(load(runs, "two"))


@pytest.fixture
def unquantized(runs, tmp_path):
    """The second adapter, as if it had been trained on the base without quantisation."""
    folder = tmp_path / "fine"
    shutil.copytree(runs / "two", folder)
    record = json.loads((folder / "run.json").read_text())
    record["base"]["quantize"] = record["config"]["quantize"] = "none"
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_adapters_of_two_quantisations_are_refused(runs, unquantized):
    with pytest.raises(InputError, match="fine was trained with --quantize none, but this base has nf4"):
        load_lineup([runs / "one", unquantized], SILENT["progress"])
    with pytest.raises(InputError, match="one was trained with --quantize nf4, but this base has none"):
        load_lineup([unquantized, runs / "one"], SILENT["progress"])
    for quantize in ("nf4", "none"):
        lineup = load(runs, "one", unquantized, quantize=quantize)
        assert lineup.engine.base.identity.quantize == quantize, "asked for"


@pytest.mark.parametrize("other", ["two", "misfit"])
def test_switching_makes_no_adapter_trainable(runs, misfit, other):
    lineup = load(runs, "one")
    with nullcontext() if other == "two" else pytest.raises(InputError, match="does not fit"):
        lineup = change_adapters(lineup, [misfit if other == "misfit" else runs / other])
    assert not any(parameter.requires_grad for parameter in lineup.engine.model.parameters())


def test_base_that_a_record_names_is_shown_short_and_clean(runs, foreign):
    record = json.loads((runs / "one" / "run.json").read_text())
    record["base"] |= {"name": "\x1b[2J" * 999, "revision": "another"}
    folder, _ = foreign(run__json=json.dumps(record))
    with pytest.raises(InputError, match="was trained on ␛") as refused:
        change_adapters(load(runs, "one"), [folder])
    assert refused.value.message.isprintable() and len(refused.value.message) < 600


def test_strength_scales_the_adapter_contribution(runs):
    lineup = load(runs, "one")
    assert answers(lineup, strength=0.0)["sft"] == answers(lineup, strength=0.0)["control"]
    assert answers(lineup, strength=1.0)["sft"] != answers(lineup, strength=0.0)["sft"]


def test_several_adapters_on_a_loaded_base_answer_as_if_loaded_together(runs):
    lineup = load(runs, "one")
    both = change_adapters(lineup, [runs / "one", runs / "two"])
    names = ("base", "sft:one", "sft:two")
    assert [side.name for side in both.sides] == ["base", "control", *names[1:]]
    found = answers(both, sides=names)
    assert found == answers(load(runs, "one", "two"), sides=names)
    alone = {"sft:one": answers(load(runs, "one"))["sft"], "sft:two": answers(load(runs, "two"))["sft"]}
    assert {name: found[name] for name in alone} == alone, "each in its own style"
    assert len(both.engine.model.peft_config) == 2
    assert answers(change_adapters(both, None, "alpaca"), sides=names)["sft:one"] != found["sft:one"]


def test_one_misfit_of_several_changes_nothing(runs, misfit):
    lineup = load(runs, "one")
    before = answers(lineup)
    with pytest.raises(InputError, match="does not fit"):
        change_adapters(lineup, [runs / "two", misfit])
    assert answers(lineup) == before and len(lineup.engine.model.peft_config) == 1
    bare = load(runs, model=read_record(runs / "one").config["model"])
    with pytest.raises(InputError, match="does not fit"):
        change_adapters(bare, [runs / "two", misfit])
    assert answers(bare, sides=("base",))["base"] == before["base"]
    with pytest.raises(UsageError, match="same name"):
        change_adapters(lineup, [runs / "two", runs / "two"])


def test_demo_shows_the_shipped_adapter_on_the_base_of_yours(runs, unquantized, tmp_path, monkeypatch, capsys):
    """Where there is no bitsandbytes, the demo does not train in NF4."""
    asked = []

    def load(folders, progress, **options):
        asked.append(options)
        raise InputError("not loaded here")

    monkeypatch.setattr(
        "playground.cli.train.run_training", lambda c, folder, **o: shutil.copytree(unquantized, folder) and 0
    )
    monkeypatch.setattr("playground.inference.lineup.load_lineup", load)
    assert run(["demo", "--adapters-dir", str(tmp_path / "home")]) == 1
    assert asked == [{"quantize": "none"}] and "not loaded here" in capsys.readouterr().err
    _what_more_rows_give(unquantized, runs / "one")
    assert "one was trained with --quantize nf4 and is shown on the base" in capsys.readouterr().err
    _what_more_rows_give(runs / "two", runs / "one")
    assert "--quantize" not in capsys.readouterr().err
