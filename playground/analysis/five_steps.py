"""The five steps on one row: a scratch adapter is taught it, step by step, by training's own `five_steps`.

Nothing is saved. The adapter starts from nothing or from a copy of a saved one, always with fresh moments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from playground.analysis.snapshots import Snapshot, Snapshots
from playground.config import TrainConfig
from playground.data.encode import IGNORE_INDEX, Encoded, Encoder, encode_row, hint
from playground.data.examples import Dataset, Example, Turn
from playground.data.jsonl import Problem
from playground.data.shapes import TYPED
from playground.data.styles import get_style
from playground.errors import EnvironmentFault, InputError, UsageError
from playground.events.five_steps import Backward, Forward, Probe, RowOpened, Updated
from playground.events.inspector import MaskedRow
from playground.events.values import Progress
from playground.inference.contrast import Pair, contrast
from playground.inference.engine import Lane, styled_lane
from playground.inference.found import Found, Known, read_adapters
from playground.inference.lineup import Lineup, Side, require_base
from playground.models import lora
from playground.models.device import pick_device
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Blend
from playground.models.load import Base, load_base
from playground.models.memory import naming_memory
from playground.training.plan import Planned, plan_training
from playground.training.ranks import Ranks
from playground.training.setup import ADAPTER, Training, assemble
from playground.training.step import OutOfMemory, five_steps, loss_scale

# What a step does elsewhere is seen after a finished answer and at the beginning of one; the second of each is taken
# where the first is the row itself.
ANSWERED = (
    ("What's the capital of Spain?", "The capital of Spain is Madrid."),
    ("How many days are in a week?", "There are seven days in a week."),
)
ASKED = ("Explain gravity.", "Write a poem about the sea.")


class FiveSteps:
    """One row and a scratch adapter on a base that stays in memory. Use `load`.

    Attributes:
        learning_rate: The rate of the next step; it may be changed at any time.
        step_number: Steps taken and not undone.
        training: What a training run would be before its first step: model, optimiser, loss.
    """

    training: Training
    learning_rate: float
    step_number: int

    def __init__(self, planned: Planned, base: Base, start: Found | None, example: Example) -> None:
        self._planned = planned
        self._base = base
        self._fingerprint = Fingerprint(base)
        self.learning_rate = planned.config.learning_rate
        self._begin(start)
        self.set_row(example)

    @classmethod
    def load(
        cls,
        config: TrainConfig,
        example: Example,
        progress: Progress,
        *,
        adapter: Path | None = None,
        model: str | None = None,
    ) -> FiveSteps:
        """Load a base and put a scratch adapter on it, as `train` would with this config.

        Args:
            config: The options of training: base, style, rank, learning rate and so on.
            example: The row.
            progress: Called while the model loads.
            adapter: Start from a copy of this one, on its base and in its style; by default from nothing.
            model: The base of an adapter whose record does not name it.

        Raises:
            PlaygroundError: If the row trains nothing, the adapter is invalid, or the model cannot be loaded.
        """
        start = _read(adapter)
        if start is not None and start.record is not None:
            name = model or str(start.record.config.get("model", ""))
            config = replace(config, model=name, quantize=start.record.base.quantize, style=start.record.style)
        elif start is not None:
            if model is None:
                raise InputError(
                    f"{start.name} does not say which model it was trained on (it has no run.json).",
                    f"Name its base with --model{f' ({start.file.base_name}?)' if start.file.base_name else ''}.",
                )
            config = replace(config, model=model)
        alone = Dataset("the row", "The row", "", "typed", TYPED, (example,))
        planned = plan_training(replace(config, eval_rows=0, skip_bad=False), progress, dataset=alone)
        base = load_base(planned.config.model, planned.config.quantize, progress)
        return cls(planned, base, start, example)

    def _begin(self, start: Found | None) -> None:
        self._require_base(start)
        encoder, file = self._encoder_of(start), start.file if start else None
        self.training = assemble(self._planned, self._base, self._fingerprint, Ranks(pick_device()), file)
        self._start, self._encoder = start, encoder
        self._earlier = Snapshots()
        self.step_number = 0

    def _require_base(self, start: Found | None) -> None:
        if start is not None:
            require_base(self._base, start.name, start.record, asked=False)

    def _encoder_of(self, start: Found | None) -> Encoder:
        """Return an encoder in the style of a copied adapter, or from nothing in the one that was loaded."""
        used = self._planned.encoder
        if start is None or (start.style == used.style.name and not start.template):
            return used
        style = get_style(start.style, self._base.tokenizer, start.template)
        return Encoder(self._base.tokenizer, style, self._base.end_token_id, used.max_length, used.train_on)

    def restart(self, adapter: Path | None = None) -> RowOpened:
        """Begin again, from a copy of an adapter or from nothing, on the same base with the same row.

        A copy brings its style; from nothing, the style is the one that was loaded.

        Raises:
            InputError: If the adapter is invalid or does not fit the base, or if nothing of the row would be trained.
                After this, as after any error, nothing has changed, but the scratch adapter may be as at its start.
        """
        start = _read(adapter)
        try:
            self._require_base(start)
        except InputError as error:  # its hint is about the command line's --model, and here the base stays
            raise InputError(error.message, "Begin from nothing, or open the row with that base.") from None
        _encoded(self._encoder_of(start), self._example)
        self.training.model.unload()
        try:
            self._begin(start)
        except BaseException:  # out of memory too
            lora.take_off(self._base, ADAPTER)
            self._begin(self._start)
            raise
        return self.set_row(self._example, masked=self._masked)

    def set_row(self, example: Example, *, masked: bool = True) -> RowOpened:
        """Teach another row from here on, or the same one with another mask; the scratch adapter stays as it is.

        Args:
            example: The row.
            masked: Whether only answers carry loss; otherwise every token does, as in pre-training.

        Raises:
            InputError: If nothing of it would be trained; the row is then still the previous one.
        """
        row = _encoded(self._encoder, example)
        self._example, self._masked = example, masked
        self._answers_only, self._row = row, row if masked else unmasked(row)
        return self.opened

    @property
    def opened(self) -> RowOpened:
        """The row and what it is taught with."""
        config, start = self.training.config, self._start
        texts, trained = zip(*self._encoder.pieces(self._answers_only), strict=True)
        return RowOpened(
            prompt=next(turn.content for turn in reversed(self._example.turns) if turn.role == "user"),
            row=MaskedRow(self._example.line, texts, trained, self._row.cut),
            masked=self._masked,
            model=self._base.identity.description,
            adapter=start.name if start else "",
            style=self._sft.style,
            lora_r=start.file.r if start else config.lora_r,
            learning_rate=self.learning_rate,
            max_grad_norm=config.max_grad_norm,
        )

    @property
    def lineup(self) -> Lineup:
        """The base and the scratch adapter, as sides that answer."""
        encoder, start = self._encoder, self._start or Known("from nothing", None, "")
        sides = (Side("base", Blend(), None), Side("control", Blend(), encoder), self._sft)
        return Lineup(self.training.engine, sides, (start.name,), (start.record,), encoder, (start.template,))

    @property
    def _sft(self) -> Side:
        return Side("sft", Blend(ADAPTER), self._encoder, self._start.known_from() if self._start else "")

    def forward(self) -> Forward:
        """Return what base and scratch adapter expect in the place of each trained token, and elsewhere.

        Raises:
            PlaygroundError: If the base lane is not the base.
        """
        row = self._row
        places = tuple(at for at in range(1, len(row.labels)) if row.labels[at] != IGNORE_INDEX)
        targets = tuple(None if label == IGNORE_INDEX else label for label in row.labels[places[0] :])
        (positions,) = contrast(self.training.engine, self._encoder, [self._pair(row.input_ids[:-1], targets)])
        loss = sum(position.sft.loss for position in positions) / len(positions)
        return Forward(self.step_number, places, tuple(positions), loss, self._elsewhere())

    def step(self) -> Iterator[Backward | Updated | Forward]:
        """Take one optimiser step on the row; yield its gradient, its update, and what is expected after it.

        Raises:
            EnvironmentFault: If memory runs out; nothing has changed then.
        """
        training, norms = self.training, dict[str, float]()
        num_trained = sum(label != IGNORE_INDEX for label in self._row.labels[1:])
        scale = loss_scale(training, num_trained)

        def note(name: str) -> Any:
            # `five_steps` clips gradients in place: each is measured as soon as it is complete, which for one row it
            # is when it has been accumulated once.
            def measure(parameter: torch.Tensor) -> None:
                assert parameter.grad is not None
                norms[name] = float(torch.linalg.vector_norm(parameter.grad)) / scale

            return measure

        with naming_memory("keeping the weights of before the step"):
            before = Snapshot.of(training)
        hooks = [
            parameter.register_post_accumulate_grad_hook(note(name))
            for name, parameter in zip(training.parameter_names, training.parameters, strict=True)
        ]
        try:
            update = five_steps(training, [self._row], num_trained, self.learning_rate)
        except OutOfMemory:
            raise EnvironmentFault("Out of memory with this row.", "Shorten it, or choose a smaller model.") from None
        except BaseException:  # an update that was broken off has changed some of the weights
            before.restore(training)
            raise
        finally:
            for hook in hooks:
                hook.remove()
        number = self.step_number + 1
        if update.finite:
            self.step_number = number
            self._earlier.keep(before)
        a, b = ([name for name in training.parameter_names if f".lora_{which}." in name] for which in "AB")
        limit = training.config.max_grad_norm
        yield Backward(number, _by_kind(a, norms), _by_kind(b, norms), len(a), update.grad_norm, limit)
        yield Updated(number, update.rate, update.loss, update.finite)
        yield self.forward()

    def undo(self) -> Forward:
        """Take the last step back, bit for bit; return what is expected now.

        Raises:
            UsageError: If no step is left that can be taken back.
        """
        before = self._earlier.take()
        if before is None:
            raise UsageError("There is no step to undo.", "Take a step first." if not self.step_number else "Restart.")
        before.restore(self.training)
        self.step_number -= 1
        return self.forward()

    def _pair(self, ids: tuple[int, ...], targets: tuple[int | None, ...]) -> Pair:
        end = self._encoder.end_token_id
        return Pair(Lane(ids, end_token_id=end), Lane(ids, Blend(ADAPTER), end_token_id=end), targets)

    def _elsewhere(self) -> tuple[Probe, ...]:
        taught = {turn.content.strip() for turn in self._example.turns}
        prompt, answer = min(ANSWERED, key=lambda pair: len(taught & set(pair)))
        asked = min(ASKED, key=lambda text: text in taught)
        end = (self._encoder.end_token_id,)
        pairs = [self._pair(self._prompt(prompt, answer), end), self._pair(self._prompt(asked, ""), end)]
        answered, opening = contrast(self.training.engine, self._encoder, pairs)
        return tuple(
            Probe(prompt, answer, position.base.p_end, position.sft.p_end, position.sft.top)
            for prompt, answer, (position,) in ((prompt, answer, answered), (asked, "", opening))
        )

    def _prompt(self, prompt: str, answer: str) -> tuple[int, ...]:
        """Return the ids of a conversation up to where its answer begins, or if there is one, where it could end."""
        ids = styled_lane(self._encoder, [Turn("user", prompt)], Blend()).prompt_ids
        return ids + self._encoder.text(self._encoder.style.lead_in + answer) if answer else ids


def unmasked(row: Encoded) -> Encoded:
    """Return `row` as pre-training would have it: every token carries loss. Only `labels` differ."""
    return replace(row, labels=row.input_ids)


def _read(adapter: Path | None) -> Found | None:
    return read_adapters([adapter])[0] if adapter else None


def _encoded(encoder: Encoder, example: Example) -> Encoded:
    row = encode_row(encoder, example)
    if isinstance(row, Problem):
        raise InputError(f"The row cannot be trained on: {row.message}.", hint([row], others=False))
    return row


def _by_kind(names: Sequence[str], norms: dict[str, float]) -> dict[str, float]:
    """Return the norm over all layers for each kind of layer, from the norms of matrices by their names."""
    squares: dict[str, float] = {}
    for name in names:
        kind = name.partition(".lora_")[0].rpartition(".")[2].removesuffix("_proj")
        squares[kind] = squares.get(kind, 0.0) + norms[name] ** 2
    return {kind: math.sqrt(square) for kind, square in squares.items()}
