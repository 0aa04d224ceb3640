"""Damaged and hostile adapter folders: each is loaded with every tensor of its file, or refused by name.

A refusal is an InputError in one short line that names a file or a key, and it leaves the model as it was. Every input
meets the model as it meets the app's: bare, or with an adapter on it that it would replace.
"""

import hashlib
import json
import math
import os
import random
import shutil
import signal
import struct
import time
from collections import Counter

import figures
import pytest
import torch
from peft import get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from test_fuzz import damaged

from playground.data import template
from playground.errors import InputError
from playground.events.runs import BaseIdentity, RunRecord
from playground.inference.lineup import change_adapters, load_lineup
from playground.models.adapter_file import _NEUTRAL, _READ
from playground.runs.folder import ADAPTER_CONFIG, RECORD, WEIGHTS

NAME = "theirs"
SLOW, HUNG = 1.0, 30  # seconds: of this process's own work; of anything, as of waiting for a pipe
MOST = 600  # characters of a message
Q, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj"
TENSORS = {f"base_model.model.{layer}.lora_{matrix}.weight": shape for layer, outer, inner in ((Q, 64, 64), (DOWN, 64, 128))
           for matrix, shape in (("A", (4, inner)), ("B", (outer, 4)))}  # fmt: skip
CONFIG = {
    "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "bias": "none",
    "use_rslora": False, "use_dora": False, "init_lora_weights": True, "rank_pattern": {}, "alpha_pattern": {},
    "base_model_name_or_path": "some/base", "task_type": "CAUSAL_LM", "lora_dropout": 0.0, "modules_to_save": None,
    "inference_mode": True,
}  # fmt: skip
KEYS = sorted(_READ | _NEUTRAL | {"use_dora", "bias", "modules_to_save", "target_parameters", "velora_config", "x"})
DTYPES = {
    "F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "U8": torch.uint8, "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn, "C64": torch.complex64,
}  # fmt: skip
HOSTILE = ["\x1b[2J\x07", "\u202eabc\u2028", "a\nb\r\x85", "\ud800", "x" * 20_000, "../../x", "", "\0", "false", "LORA"]
NUMBERS = [
    0, 1, -1, 3, 4, 8, 512, 513, 2**31, 2**63, 10**400, 10**4299, 0.5, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf,
]  # fmt: skip
VALUES = [math.nan, math.inf, -math.inf, 3e38, 1e-45, -0.0]  # of a matrix
SHAPES = [(0,), (), (2**62, 0), (2**63, 0), (0, 2**62, 2**40), (1,) * 70, (-1, 4)]
STARTS = [
    "pissa", "PiSSA_niter_4", "loftq", "olora", "eva", "gaussian", "orthogonal", "corda", "tomorrow", 1, 0, True, None,
]  # fmt: skip
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
TEMPLATES = [
    "", TEMPLATE, TEMPLATE * 2, "{{", "{{ raise_exception('\x1b[2J\n' * 50) }}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}",
    "{% for m in messages %}{{ m.content[:3] }}{% endfor %}", "{{ 'x' * 10 ** 9 }}", "{{ undefined.x.y }}", "\x1b[2J" + TEMPLATE,
    "{% include 'x' %}", "{{ messages }}", "{% if" * 500, "{{ " + "(" * 5000 + " }}",
]  # fmt: skip
LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}{% endfor %}"
RECORDED = RunRecord(
    "run", "2026-11-22T10:00:00+00:00", "finished", BaseIdentity("base", "description", "unknown", "none", "float32"),
    "chat", "rows.jsonl", "00", 3, True, 9, 9, 0.5, True, {"lora_r": 4}, {"torch": "2"},
)  # fmt: skip


def a_value(chance):
    """Return JSON, as text: any value that a config may be given."""
    match chance.randrange(9):
        case 0 | 1:
            return json.dumps(chance.choice(NUMBERS))
        case 2:
            return json.dumps(chance.choice(HOSTILE))
        case 3:
            return chance.choice(
                ["true", "false", "null", "[]", "{}", '"none"', "[[]]", "1e999", "-1e-999", "00", "1.", "nan"]
            )
        case 4:
            opened, closed = chance.choice([("[", "]"), ('{"a": ', "}"), ('[{"r": ', "}]")])
            depth = chance.choice([5, 90, 320, 900, 2000, 50_000])
            return opened * depth + "1" + closed * depth
        case 5:
            return json.dumps(chance.choice([["q_proj"], [4] * 10_000, {"q": [1]}, {str(n): n for n in range(2000)}]))
        case 6:
            layer = chance.choice(
                ["q_proj", "self_attn.q_proj", f"^{Q}", DOWN, ".", "(a+)+b", "\x1b", "", "." * 256, "l" * 300]
            )
            return json.dumps({layer: chance.choice([4, 8, *NUMBERS])})
        case 7:
            return json.dumps(chance.choice(STARTS))
    return json.dumps(chance.choice(["LORA", "lora", "IA3", "ADALORA", "all", "lora_only", "CAUSAL_LM", "main"]))


def a_config(chance):
    """Return an adapter config as bytes: the sound one after some accidents."""
    values = {key: json.dumps(value) for key, value in CONFIG.items()}
    match chance.randrange(8):
        case 0:
            return json.dumps(CONFIG).encode(chance.choice(["utf-16", "utf-32", "utf-8-sig"]))
        case 1:
            return damaged(json.dumps(CONFIG, indent=chance.choice([None, 2])).encode(), chance)
        case 2:
            return chance.choice(
                [b"", b"null", b"[]", b'"x"', b"1", b"[" * 50_000, b'{"r":' * 50_000, b"\xff", b" ", b"{}"]
            )
        case 3:
            del values[chance.choice(sorted(values))]
        case 4:  # harmless: another scale, any value where none is read
            values["lora_alpha"] = json.dumps(chance.choice([1, 0.5, 9, 10_000, 5e-324]))
            values["use_rslora"] = chance.choice(["true", "false", "null"])
            values[chance.choice(sorted(_NEUTRAL))] = a_value(chance)
    for _ in range(chance.choice([0, 1, 1, 1, 2])):
        values[chance.choice(KEYS)] = a_value(chance)
    pairs = list(values.items())
    if chance.random() < 0.2:
        pairs.append((chance.choice(KEYS), a_value(chance)))  # perhaps a second time
    if chance.random() < 0.1:
        pairs.append((chance.choice(HOSTILE), a_value(chance)))
    chance.shuffle(pairs)
    return ("{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in pairs) + "}").encode()


def a_name(chance, name):
    """Return another name for a tensor."""
    layer, _, matrix = name.removeprefix("base_model.model.").partition(".lora_")
    other = chance.choice([
        f"{layer}.base_layer", f"{layer}.lora_A.adapter0", f"{layer}.lora_A", "lm_head", "model.embed_tokens", "model.norm", "model",
        "model.layers.0.mlp.gate_proj", layer.upper(), f"{layer}.", f".{layer}", f"x.{layer}", "..", chance.choice(HOSTILE),
    ])  # fmt: skip
    return chance.choice([
        name.replace(".weight", ".default.weight"), name.replace(".weight", ".bias"), name.replace("lora_", "lora_embedding_"),
        name.removesuffix(".weight"), name.removeprefix("base_model."), name + chance.choice(HOSTILE), chance.choice(HOSTILE),
        "__metadata__", f"base_model.model.{layer}.lora_magnitude_vector", *(f"base_model.model.{other}.lora_{matrix}",) * 8,
    ])  # fmt: skip


def spoil(entries, chance):
    """Change one of the tensors: its values, type, shape or name."""
    at = chance.randrange(len(entries))
    name, dtype, shape, tensor = entries[at]
    match chance.randrange(9) if tensor.numel() else 4:
        case 0 | 8:
            dtype, tensor = "F32", torch.ones(tensor.numel())
            tensor[chance.randrange(tensor.numel())] = chance.choice(VALUES)
        case 1:
            dtype = chance.choice(sorted(DTYPES))
            tensor = tensor.to(DTYPES[dtype])
            if dtype == "F64" and chance.random() < 0.3:
                tensor.view(-1)[0] = 1e300
        case 2:
            near = [
                shape[::-1], (0, *shape), (1, *shape), (*shape[:1], 0), (0, *shape[1:]), (*shape[:1], 65), (math.prod(shape),),
            ]  # fmt: skip
            shape = chance.choice([*near, *SHAPES])
            number = math.prod(shape)
            if 0 <= number < 20_000 and chance.random() < 0.8:
                tensor = torch.ones(number)
        case 3:
            entries.append((a_name(chance, name), dtype, shape, tensor))
            return
        case 4:
            del entries[at]
            return
        case 5:
            entries[:] = [(name.replace(".weight", ".default.weight"), *rest) for name, *rest in entries]
            return
        case 6:  # both of a layer's matrices, with another rank
            r = chance.choice([0, 1, 3, 4, 5, 512])
            for matrix, (name, *_) in enumerate(entries[:2]):
                shape = (r, 64) if matrix == 0 else (64, r)
                entries[matrix] = (name, "F32", shape, torch.full(shape, 0.25))
            return
        case 7:
            name = a_name(chance, name)
    entries[at] = (name, dtype, shape, tensor)


def entries_of(chance):
    """Return the tensors of a sound file: name, type, shape, values."""
    generator = torch.Generator().manual_seed(chance.randrange(1 << 30))
    return [(name, "F32", shape, torch.randn(shape, generator=generator)) for name, shape in TENSORS.items()]


def stored(entries):
    """Return the header and the data of a file of tensors."""
    header, data = {}, b""
    for name, dtype, shape, tensor in entries:
        raw = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return header, data


def joined(text, data, length=None):
    """Return a file of tensors; `length` is what it says of its header's."""
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def a_sound_file(chance):
    """Return a file of tensors as bytes."""
    header, data = stored(entries_of(chance))
    return joined(json.dumps(header).encode(), data)


def a_file(chance):
    """Return a file of tensors as bytes: the sound one after some accidents."""
    entries = entries_of(chance)
    for _ in range(chance.choice([0, 0, 1, 1, 2])):
        if entries:
            spoil(entries, chance)
    (header, data), length = stored(entries), None
    if chance.random() < 0.3:
        data, length = spoil_header(header, data, chance)
    text = json.dumps(header).encode()
    if chance.random() < 0.1:
        text = damaged(text, chance)
    raw = joined(text + b" " * chance.choice([0, -len(text) % 8]), data, length)
    match chance.randrange(20):
        case 0:
            raw = raw[: chance.randrange(len(raw) + 1)]
        case 1:
            raw = damaged(raw, chance)
        case 2:
            raw = chance.choice([b"", raw[:8], raw[:9], b"\0" * 100, b"\x80\x04cos\nsystem\n.", raw + b"\0"])
    return raw


def spoil_header(header, data, chance):
    """Change what the header says of the tensors; return the data, and the length that is written of the header."""
    tensors = [info for name, info in header.items() if name != "__metadata__"]
    if not tensors:
        return data, None
    info, other = chance.choice(tensors), chance.choice(tensors)
    match chance.randrange(8):
        case 0:
            info["dtype"] = chance.choice([*DTYPES, "F4", "F6_E2M3", "F8_E8M0", "U16", "f32", None, 1, *HOSTILE])
        case 1:
            info["data_offsets"] = chance.choice([
                other["data_offsets"], [0, 0], [0, len(data)], [1 << 40, (1 << 40) + 8], [-4, 4], [0.5, 4], [8, 4], [], ["0", "4"],
                [2**64 - 4, 4], None,
            ])  # fmt: skip
        case 2:
            info["shape"] = chance.choice([None, [1.5], ["4"], [2**64], [[4]], [-1], {}, 4, [1] * 2000])
        case 3:
            nested = json.loads("[" * 300 + "]" * 300)
            header["__metadata__"] = chance.choice(
                [{"format": "pt"}, {"a": 1}, [], None, {"x": HOSTILE[0]}, {"a": nested}]
            )
        case 4:
            info[chance.choice(["x", *HOSTILE])] = 1
        case 5:
            del info[chance.choice(sorted(info))]
        case 6:
            return data + bytes(chance.randrange(1, 9)), None
        case 7:
            return data, chance.choice([0, 1, 2**63, 2**64 - 1, 100_000_000, 90_000_000, 5])
    return data, None


def an_accident(path, chance):
    """Put something in a file's place that is no such file."""
    path.unlink(missing_ok=True)
    match chance.randrange(8):
        case 0:
            pass
        case 1:
            path.touch()
        case 2:
            path.mkdir()
        case 3:
            path.symlink_to(path.parent / "nowhere")
        case 4:
            path.symlink_to(path.name)
        case 5:
            os.mkfifo(path)
        case 6:
            path.symlink_to(chance.choice(["/dev/zero", "/dev/null", "/", "/proc/self/mem"]))
        case 7:
            with path.open("wb") as file:
                file.truncate(1 << chance.choice([1, 10, 25]))


def make_folder(folder, chance):
    """Fill an adapter's folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    what = chance.random()
    (folder / ADAPTER_CONFIG).write_bytes(a_config(chance) if what < 0.45 else json.dumps(CONFIG).encode())
    (folder / WEIGHTS).write_bytes((a_sound_file if what < 0.4 else a_file)(chance))
    if chance.random() < 0.1:
        an_accident(folder / chance.choice([ADAPTER_CONFIG, WEIGHTS]), chance)
    if chance.random() < 0.05:
        (folder / "adapter_model.bin").touch()
    more = chance.random()
    if more < 0.015:
        text = LOOPS if chance.random() < 0.02 else chance.choice(TEMPLATES)
        (folder / "chat_template.jinja").write_text(text)
    elif more < 0.03:
        text = json.dumps(
            {"chat_template": chance.choice([*TEMPLATES, None, 1, [], [{"name": "default", "template": TEMPLATE}]])}
        )
        (folder / "tokenizer_config.json").write_bytes(damaged(text.encode(), chance))
    elif more < 0.08:
        an_accident(folder / chance.choice([*template.TEMPLATE_FILES, RECORD]), chance)
    elif more < 0.25:
        record = RECORDED.to_dict()
        if chance.random() < 0.5:
            record["base"][chance.choice(sorted(record["base"]))] = chance.choice(["none", "nf4", *HOSTILE])
        record[chance.choice(sorted(record))] = chance.choice([*HOSTILE, *NUMBERS, [], {}])
        record["style"] = chance.choice(["chat", "raw", "alpaca", "chatml", "chat", *HOSTILE])
        text = json.dumps(record).encode()
        (folder / RECORD).write_bytes(damaged(text, chance) if chance.random() < 0.5 else text)


def written(raw):
    """Return the tensors that a file says it has, read without its library, under PEFT's names."""
    (length,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    found = {}
    for name, info in header.items():
        if name != "__metadata__":
            first, end = info["data_offsets"]
            tensor = torch.frombuffer(bytearray(data[first:end]), dtype=DTYPES[info["dtype"]]).reshape(info["shape"])
            found[name.replace(".default.weight", ".weight")] = tensor.float()
    return found


class Bench:
    """A base in memory, bare or with the sound adapter on it, and what is tried on it."""

    def __init__(self, model, sound=None):
        self.sound, self.bare = sound, load_lineup([], lambda stage, share: None, model=str(model), quantize="none")
        self.lineup = change_adapters(self.bare, [sound]) if sound else self.bare
        self.before = self.state()

    def state(self):
        """Return a digest of all that is in memory of the base and of the adapters on it."""
        found, model = hashlib.sha256(torch.get_rng_state().numpy()), self.bare.engine.base.model
        found.update(repr(sorted(getattr(self.bare.engine.model, "peft_config", ()))).encode())
        for name, module in model.named_modules():
            found.update(f"{name} {type(module).__name__} {module.training}".encode())
            if isinstance(module, LoraLayer):  # which adapter is active, `lanes` says each time
                found.update(f"{module.scaling} {module.r} {module.lora_alpha}".encode())
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad}".encode())
            found.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy())
        return found.hexdigest()

    def tried(self, folder):
        """Return what happened to an adapter: how many tensors were loaded, 0 if it was refused; raise what must not."""
        try:
            lineup = change_adapters(self.lineup, [folder])
        except InputError as error:
            require_readable(error, folder)
            lineup = None
        if lineup is None:
            assert self.state() == self.before, "changed by what was refused"
            return 0
        found = written((folder / WEIGHTS).read_bytes())
        key = lineup.sides[-1].blend.adapter
        loaded = get_peft_model_state_dict(lineup.engine.model, adapter_name=key, save_embedding_layers=False)
        assert set(loaded) == set(found)
        assert all(torch.equal(tensor, found[name]) and tensor.isfinite().all() for name, tensor in loaded.items())
        config = json.loads((folder / ADAPTER_CONFIG).read_text())
        if not (config.get("rank_pattern") or config.get("alpha_pattern")):
            scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
            layers = [layer for layer in lineup.engine.model.modules() if isinstance(layer, LoraLayer)]
            assert [layer.scaling[key] for layer in layers if key in layer.scaling] == [scale] * (len(found) // 2)
        if self.sound:
            change_adapters(lineup, [self.sound])
        else:
            self.bare.engine.model.unload()
            self.bare.engine.model = self.bare.engine.base.model
        assert self.state() == self.before, "not as before when the adapter is gone"
        return len(found)


def require_readable(error, folder):
    """Raise unless an error is a short line that names the adapter, a file or a key, and a hint."""
    for text in (error.message, error.hint):
        assert text and text.isprintable() and len(text) <= MOST, repr(text[: 2 * MOST])
    assert any(name in error.message for name in (folder.name, "adapter's own chat template", "prompt style"))


def fuzz(benches, folder, seed, number):
    """Try the inputs that this seed makes; return the figures."""
    tally = Counter(inputs=number)
    for at in range(number):
        chance = random.Random(f"{seed} {at}")
        make_folder(folder, chance)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_REAL, HUNG)
        try:
            number_of_tensors = chance.choice(benches).tried(folder)
            assert time.process_time() - began < SLOW
        except Exception as error:
            raise AssertionError(f"seed {seed}, input {at}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        tally["loaded" if number_of_tensors else "refused"] += 1
        tally["tensors"] += number_of_tensors
    return tally


@pytest.fixture
def benches(tiny_folder, tmp_path, monkeypatch):
    """The base bare, and with the sound adapter."""
    monkeypatch.setattr(template, "SECONDS", 1)

    def hung(number, frame):
        raise AssertionError("hangs")

    before = signal.signal(signal.SIGALRM, hung)
    sound = tmp_path / "sound"
    sound.mkdir()
    (sound / ADAPTER_CONFIG).write_text(json.dumps(CONFIG))
    save_file({name: torch.full(shape, 0.5) for name, shape in TENSORS.items()}, sound / WEIGHTS)
    yield [Bench(tiny_folder("llama")), Bench(tiny_folder("llama"), sound)]
    signal.signal(signal.SIGALRM, before)


def test_odd_adapter_is_loaded_whole_or_refused_by_name(benches, tmp_path):
    tally = fuzz(benches, tmp_path / NAME, seed=-1, number=200)
    assert tally["loaded"] > 20 and tally["refused"] > 100


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_odd_adapters_are_loaded_whole_or_refused(benches, tmp_path):
    for seed in figures.seeds(10):
        if not figures.done("fuzz, adapters", seed):
            figures.add("fuzz, adapters", seed, fuzz(benches, tmp_path / NAME, seed, number=5000))
