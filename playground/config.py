"""The options of a training run, each declared once: its field, default, name in words, help and limits.

The command line and the app's form are generated from these declarations, so a flag, its tooltip and its
check cannot disagree. Names and meanings are those of ``transformers.TrainingArguments`` and PEFT.
"""

from __future__ import annotations

import difflib
import reprlib
import shlex
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from playground.errors import UsageError
from playground.events.prompts import Prompt
from playground.events.values import revive

STYLES = ("chat", "raw", "alpaca", "chatml", "tokenizer")
# The prompts of the story: answered before a training and during it, offered as examples, compared by export.
STORY = ("Explain quantum physics.", "What's the capital of France?", "Write a poem about recursion.")
# The row that `explain` and the lesson teach: a prompt and its answer.
PORTUGAL = ("What's the capital of Portugal?", "The capital of Portugal is Lisbon.")
_TRUE, _FALSE = {"true", "1", "on", "yes"}, {"false", "0", "off", "no"}


def _option(default: Any, label: str, help: str, *, basic: bool = False, **limits: Any) -> Any:
    """Declare an option: its default, its name in words, its help, and whether most users will want to see it."""
    return field(default=default, metadata={"label": label, "help": help, "basic": basic, **limits})


def _auto(kind: type, label: str, help: str, **more: Any) -> Any:
    """Declare an option that the plan decides unless it is given; None means that it was not."""
    return _option(None, label, help, kind=kind, **more)


@dataclass(frozen=True)
class TrainConfig:
    """A complete training configuration: the same config on the same machine gives the same adapter."""

    data: str = _option(
        "mini.jsonl", "data set", "Data set: a file, the name of a bundled one, or hf:org/name[:split]."
    )
    columns: tuple[str, ...] = _option(
        (), "columns", "Read a column under another name, as in prompt=question; context= leaves one out.", flag="--map"
    )
    skip_bad: bool = _option(
        False, "leave out bad rows", "Leave out rows that cannot be used for training instead of refusing the data.",
        basic=True,
    )  # fmt: skip
    repair: bool = _option(
        False, "mend rows", "Mend rows where that needs no guess: turns out of order, end markers typed into answers.",
        basic=True,
    )  # fmt: skip
    model: str = _option(
        "demo", "base model", "Base model: 'demo', a local folder, or a hub id such as hf:org/name.", basic=True
    )
    quantize: str = _option(
        "auto", "storage of the base", "How the frozen base is stored: nf4 takes 4 bits per weight (QLoRA).",
        choices=("auto", "nf4", "none"), basic=True,
    )  # fmt: skip
    style: str = _option(
        "chat", "prompt style", "Prompt style: the template around prompts and answers, saved with the adapter.",
        choices=STYLES, basic=True,
    )  # fmt: skip
    train_on: str = _option(
        "all", "answers trained on", "Which answers of a conversation are trained on.", choices=("all", "last")
    )
    learning_rate: float | None = _auto(float, "learning rate", "Peak learning rate.", above=0.0, most=1.0, basic=True)
    num_train_epochs: int = _option(3, "epochs", "Number of passes over the data.", least=1, most=1000, basic=True)
    per_device_train_batch_size: int | None = _auto(
        int, "batch size", "Rows per forward pass on each device.", least=1, most=4096
    )
    gradient_accumulation_steps: int | None = _auto(
        int, "batches per update", "Forward passes per update.", least=1, most=4096
    )
    gradient_checkpointing: str = _option(
        "auto", "checkpointing", "Recompute activations instead of keeping them: slower, and needs less memory.",
        choices=("auto", "on", "off"),
    )  # fmt: skip
    max_length: int | None = _auto(
        int, "longest row", "Longest row in tokens; longer ones are truncated.", least=8, most=1 << 20
    )
    eval_rows: int | None = _auto(
        int, "held-out rows", "Rows held out for evaluation, never trained on.", least=0, most=100_000
    )
    lora_r: int = _option(16, "adapter rank", "Rank of the adapter.", least=1, most=512, basic=True)
    lora_alpha: int = _option(
        32, "adapter scale", "LoRA scaling numerator: the update is multiplied by alpha / r.", least=1, most=10_000
    )
    warmup_ratio: float = _option(
        0.1, "warm-up", "Fraction of the steps spent on learning-rate warm-up.", least=0.0, most=1.0
    )
    max_grad_norm: float = _option(1.0, "gradient clip", "Clip the gradient norm to this value.", above=0.0, most=1e9)
    seed: int = _option(0, "seed", "Seed for adapter initialisation and row order.", least=0, most=2**63 - 1)
    deterministic: bool = _option(
        False, "deterministic", "Use only deterministic kernels, so that resuming on CUDA is bit-exact."
    )
    save_dtype: str = _option(
        "float32", "saved as", "Data type of the saved adapter; training is in float32.",
        choices=("float32", "bfloat16"),
    )  # fmt: skip
    sample_prompts_file: str | None = _auto(
        str, "sample prompts", "Prompts to answer before and during training, one per line of a file.",
        flag="--sample-prompts",
    )  # fmt: skip
    # What is in that file or was chosen, as a record keeps it. Older records and settings files have texts.
    sample_prompts: tuple[Prompt | str, ...] | None = field(default=None, metadata={"kind": tuple})
    sample_max_new_tokens: int = 64

    def __post_init__(self) -> None:
        problems = [problem for f in fields(self) if (problem := _problem(f, getattr(self, f.name)))]
        if problems:
            raise UsageError("; ".join(problems) + ".", "See 'sft-playground train --help' for what each option takes.")

    def to_dict(self) -> dict[str, Any]:
        """Return the config as stored in a record."""
        return asdict(self)

    def command(self) -> str:
        """Return the command that trains with this config, with every option spelled out."""
        words = ["sft-playground", "train"]
        for f in fields(self):
            value = getattr(self, f.name)
            # Also values equal to the default: the reader's settings file may say otherwise.
            if "help" not in f.metadata or value is None:
                continue
            flag = flag_of(f)
            if isinstance(value, bool):
                words += [flag] if value else []
            elif isinstance(value, tuple):
                words += [word for item in value for word in (flag, str(item))]
            else:
                words += [flag, repr(value) if isinstance(value, float) else str(value)]
        return shlex.join(words)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainConfig:
        """Rebuild a config from a record, which may come from anyone; unknown keys are ignored.

        Raises:
            UsageError: If a value is not valid for its option.
        """
        values: dict[str, Any] = {}
        wrong: list[str] = []
        hints = get_type_hints(cls)
        for f in fields(cls):
            try:
                values |= {f.name: revive(hints[f.name], data[f.name])} if f.name in data else {}
            except TypeError:
                wrong.append(f"{f.name} cannot be {reprlib.repr(data[f.name])}")
        if wrong:
            raise UsageError("; ".join(wrong) + ".", "The record of this run is damaged or not one of ours.")
        return cls(**values)


class ResolvedConfig(TrainConfig):
    """A config after planning: nothing in it is ``auto`` any more. What a run trains with and its record keeps."""

    if TYPE_CHECKING:
        learning_rate: float
        max_length: int
        eval_rows: int
        sample_prompts: tuple[Prompt, ...]
        per_device_train_batch_size: int
        gradient_accumulation_steps: int


def flag_of(f: Field[Any]) -> str:
    """Return the command-line flag of a field."""
    return str(f.metadata.get("flag", "--" + f.name.replace("_", "-")))


def labels() -> dict[str, str]:
    """Return the name in words of each declared option, by its field's name."""
    named = {f.name: f.metadata["label"] for f in fields(TrainConfig) if "label" in f.metadata}
    return {**named, "sample_prompts": named["sample_prompts_file"]}  # the file's content, or what the plan chose


def read_option(name: str, typed: str) -> Any:
    """Return the value of the option `name` that was typed into a form.

    Raises:
        UsageError: If it is no valid value.
    """
    value = read_options({name: typed}, "")[name]
    TrainConfig(**{name: value})
    return value


def read_options(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the options in `values` with their types; they come from a file, the settings or the environment.

    Args:
        values: Field names with numbers, booleans, lists or strings; ``auto`` is left to the plan.
        where: The source to name in errors: a file name, or "the environment"; may be empty.

    Raises:
        UsageError: Naming every unknown key with its nearest match, and every value of a wrong type.
    """
    known = {f.name: f for f in fields(TrainConfig)}
    typed, problems = {}, []
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"there is no option {key!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
            continue
        try:
            typed[name] = _typed(known[name], value)
        except (TypeError, ValueError, OverflowError):
            problems.append(f"{name} cannot be {value!r}")
    if problems:
        of = f"{where}: " if where else ""
        raise UsageError(of + "; ".join(problems) + ".", "See 'sft-playground train --help' for the options.")
    return typed


def _typed(f: Field[Any], value: Any) -> Any:
    kind = f.metadata.get("kind", type(f.default))
    if "kind" in f.metadata and value in ("auto", None):
        return None
    if kind is tuple:
        items = [value] if isinstance(value, str) else list(value)
        if not all(isinstance(item, str) for item in items):
            raise ValueError
        return tuple(items)
    if kind is bool:
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise ValueError
        return word in _TRUE
    if kind is str:
        # YAML reads on, off and numbers where a word is meant.
        if value in (None, ""):
            raise ValueError
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    if isinstance(value, bool):
        raise ValueError
    if kind is int and isinstance(value, int):
        return value
    if kind is int and isinstance(value, str) and value.strip().lstrip("+-").isdigit():
        return int(value)
    number = float(value)  # also from a string: YAML reads 5e-4 as one
    if kind is int and number != int(number):
        raise ValueError
    return kind(number)


def _problem(f: Field[Any], value: Any) -> str:
    name, limits = f.name, f.metadata
    if "choices" in limits and value not in limits["choices"]:
        return f"{name} must be one of {', '.join(limits['choices'])}, not {value!r}"
    if value is None and "kind" in limits:
        return ""
    # Written so that NaN fails: every comparison with it is false.
    if "above" in limits and not limits["above"] < value <= limits["most"]:
        return f"{name} must be above {limits['above']:g} and at most {limits['most']:g}, not {value:g}"
    if "least" in limits and not limits["least"] <= value <= limits["most"]:
        return f"{name} must be between {limits['least']} and {limits['most']}, not {value}"
    if limits.get("kind", type(f.default)) is int and not isinstance(value, int):
        return f"{name} must be a whole number, not {value!r}"
    return ""
