"""The engine: all lanes in lock-step, one token each per step, on the model's own forward pass.

A single greedy lane may get several tokens from one pass where it repeats itself (`guess`).

The loop is our own, not ``generate``: it streams, ends lanes one by one, takes sampling from its own
settings alone (a repository's ``generation_config.json`` is never read), and sees every distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from playground.data.encode import Encoder
from playground.data.prompts import Prompt, turns_of
from playground.data.talk import Turn
from playground.errors import InputError
from playground.events.answers import Answer, Chunk, FinishReason, Sampling
from playground.inference.guess import guess
from playground.inference.passes import left_padded, passes
from playground.inference.shortlist import MAX_ROWS, Shortlist
from playground.models.fingerprint import Fingerprint
from playground.models.head import backbone
from playground.models.lanes import Blend, lanes
from playground.models.load import Base


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the batch.

    `stop_strings` cut the text for display (and end the lane); `lead_in` is what a style puts before
    an answer and is not part of it. Lanes with equal `draw` draw equal random numbers. `end_token_id`
    ends an answer as well as the model's own end of text does, where a style has a token for it.
    """

    prompt_ids: tuple[int, ...]
    blend: Blend = Blend()
    stop_strings: tuple[str, ...] = ()
    lead_in: str = ""
    draw: int = 0
    end_token_id: int | None = None


def styled_lane(encoder: Encoder, turns: Sequence[Turn], blend: Blend, draw: int = 0) -> Lane:
    """Return the lane of a conversation in the encoder's style; what ends an answer comes with the style."""
    style = encoder.style
    return Lane(encoder.prompt(turns), blend, style.stop_strings, style.lead_in, draw, encoder.end_token_id)


def sample_lanes(encoder: Encoder, prompts: Sequence[Prompt], blend: Blend, *, base: bool) -> list[Lane]:
    """Return the lanes of sample prompts: with the adapter and, if `base`, after them those of the base, unstyled."""
    lanes = [styled_lane(encoder, turns_of(prompt), blend) for prompt in prompts]
    return lanes + [Lane(encoder.raw(prompt.prompt)) for prompt in prompts if base]


@dataclass
class _Live:
    """A lane that is still generating."""

    number: int
    lane: Lane
    random: torch.Generator
    ids: list[int] = field(default_factory=list)


class Engine:
    """Answers lanes with one model.

    Args:
        base: The base model.
        model: The base itself, or the PEFT model around it.
        fingerprint: Taken before adapters were attached; checked at the start of each batch.
    """

    def __init__(self, base: Base, model: torch.nn.Module, fingerprint: Fingerprint | None) -> None:
        self.base = base
        self.model = model
        self.fingerprint = fingerprint
        self._backbone = backbone(base.model)
        self._shortlist: Shortlist | None = None

    @property
    def context(self) -> int:
        """The most tokens that a prompt and its answer can have together."""
        return int(getattr(self.base.model.config.get_text_config(), "max_position_embeddings", 1 << 30))

    def stream(
        self, wanted: Sequence[Lane], sampling: Sampling, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[Chunk]:
        """Yield one chunk per live lane and step, until each lane has its answer.

        The generator may be closed at any chunk; the model is then as it was before. Until it is
        closed or exhausted, the model belongs to it.

        Raises:
            PlaygroundError: If the base lane is not the base.
            InputError: If a prompt does not fit the model's context.
        """
        longest = self._proven(wanted, self.context - 1)
        budget = min(sampling.max_new_tokens, self.context - longest)
        live = [_Live(n, lane, self._generator(lane, sampling)) for n, lane in enumerate(wanted)]
        with lanes(self.model, [lane.blend for lane in wanted]) as current:
            model = passes(self.base, [lane.prompt_ids for lane in wanted], budget, current)
            chosen = self._choose(model.read(), live, sampling)
            guesses: list[int] = []
            for step in range(1, budget + 1):
                stop_now = cancelled()
                going: list[int] = []
                for at, (lane, token) in enumerate(zip(live, chosen[: len(live)], strict=True)):
                    lane.ids.append(token)
                    chunk = self._chunk(lane, token, "cancelled" if stop_now else "length" if step == budget else None)
                    if chunk.answer is None:
                        going.append(at)
                    yield chunk
                if not going:
                    return
                if guesses and guesses[0] == chosen[0]:  # the pass that chose it has chosen the next one too
                    guesses, chosen = guesses[1:], chosen[1:]
                    continue
                if len(going) < len(live):
                    live = [live[at] for at in going]
                    model.keep(going)
                guesses = self._guesses(live, sampling, budget - step) if model.can_rewind else []
                hidden = model.go_on([[lane.ids[-1], *guesses] for lane in live], step - 1)
                chosen = self._choose(hidden, live, sampling)

    def answers(
        self, wanted: Sequence[Lane], sampling: Sampling, cancelled: Callable[[], bool] = lambda: False
    ) -> list[Answer]:
        """Return the answer of each lane, in order: `stream` to its end."""
        return [answer for answer, _ in self.said(wanted, sampling, cancelled)]

    def said(
        self, wanted: Sequence[Lane], sampling: Sampling, cancelled: Callable[[], bool] = lambda: False
    ) -> list[tuple[Answer, tuple[int, ...]]]:
        """Return the answer of each lane with its ids, in order; the token that ends it is one of them."""
        found: dict[int, Answer] = {}
        ids: list[list[int]] = [[] for _ in wanted]
        for chunk in self.stream(wanted, sampling, cancelled):
            ids[chunk.lane].append(chunk.token_id)
            if chunk.answer is not None:
                found[chunk.lane] = chunk.answer
        return [(found[number], tuple(ids[number])) for number in range(len(wanted))]

    def ends(self, lane: Lane) -> frozenset[int]:
        """Return the tokens that end an answer of `lane`."""
        return frozenset({self.base.end_token_id, lane.end_token_id} - {None})  # type: ignore[arg-type]

    @torch.inference_mode()
    def read(self, wanted: Sequence[Lane], last: int) -> torch.Tensor:
        """Return the hidden states ``(lanes, last, hidden)`` of texts that exist already, from one forward pass.

        Args:
            wanted: The lanes, whose prompts are the texts.
            last: How many positions of each, from its end. Where a text is shorter, the first states mean nothing.

        Raises:
            PlaygroundError: If the base lane is not the base.
            InputError: If a text does not fit the model's context.
        """
        longest = self._proven(wanted, self.context)
        with lanes(self.model, [lane.blend for lane in wanted]):
            ids, mask = left_padded(self.base, [lane.prompt_ids for lane in wanted], longest)
            positions = (mask.cumsum(1) - 1).clamp_min(0)
            output = self._backbone(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        return output.last_hidden_state[:, -last:]  # type: ignore[no-any-return]

    def _proven(self, wanted: Sequence[Lane], room: int) -> int:
        """Return the length of the longest lane; refuse lanes that do not fit, or whose base would not be the base."""
        if self.fingerprint is not None:
            self.fingerprint.require(self.model, sorted({lane.blend for lane in wanted if lane.blend.adapter}, key=str))
        longest = max(len(lane.prompt_ids) for lane in wanted)
        if longest > room:
            raise InputError(
                f"A prompt of {longest:,} tokens does not fit the model's context of {self.context:,}.", "Shorten it."
            )
        return longest

    def _guesses(self, live: Sequence[_Live], sampling: Sampling, room: int) -> list[int]:
        """Return the tokens to verify along with the next one: only for a single greedy lane on a CPU."""
        if len(live) > 1 or sampling.temperature > 0 or self.base.device.type != "cpu":
            return []
        return guess([*live[0].lane.prompt_ids, *live[0].ids], min(room, MAX_ROWS - 1))

    @torch.inference_mode()
    def _choose(self, hidden: torch.Tensor, live: Sequence[_Live], sampling: Sampling) -> list[int]:
        """Return a token for each position of `hidden`; several positions are those of one lane and its guesses."""
        head, hidden = self.base.head, hidden.flatten(0, 1)
        if sampling.temperature <= 0:
            if len(hidden) <= MAX_ROWS and Shortlist.serves(head):
                self._shortlist = self._shortlist or Shortlist(head)
                return self._shortlist.argmax(hidden).tolist()
            return head.logits(hidden).argmax(1).tolist()
        probabilities = torch.softmax(head.logits(hidden) / sampling.temperature, dim=-1)
        return [_draw(row, lane.random, sampling.top_p) for row, lane in zip(probabilities, live, strict=True)]

    def _generator(self, lane: Lane, sampling: Sampling) -> torch.Generator:
        # Consecutive seeds give unrelated streams only after mixing; the constant is 2^64 / golden ratio.
        mixed = (sampling.seed * 0x9E3779B97F4A7C15 + lane.draw * 0xBF58476D1CE4E5B9) % 2**63
        return torch.Generator(device=self.base.device).manual_seed(mixed)

    def _chunk(self, lane: _Live, token: int, last: FinishReason | None) -> Chunk:
        ended = token in self.ends(lane.lane)
        # All ids are decoded each time: a later token can change how an earlier byte is read.
        ids = lane.ids[:-1] if ended else lane.ids
        text = str(self.base.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        text = text.removeprefix(lane.lane.lead_in)
        cuts = [(at, stop) for stop in lane.lane.stop_strings if (at := text.find(stop)) >= 0]
        answer: Answer | None = None
        if ended:
            answer = Answer(text, "stop", None, len(lane.ids))
        elif cuts:
            at, stop = min(cuts)
            text = text[:at]
            answer = Answer(text, "stop", stop, len(lane.ids))
        elif last is not None:
            answer = Answer(text, last, None, len(lane.ids))
        return Chunk(lane.number, token, text, len(lane.ids), answer)


def _draw(probabilities: torch.Tensor, random: torch.Generator, top_p: float) -> int:
    """Draw one token from a distribution ``(vocab,)`` by nucleus sampling (arXiv 1904.09751)."""
    if top_p < 1:
        ordered, index = probabilities.sort(descending=True)
        # On a CPU: a GPU has no deterministic kernel for this sum, and --deterministic allows no other.
        before = ordered.cpu().cumsum(0).to(ordered.device) - ordered
        beyond = before >= top_p  # the token that reaches `top_p` is kept
        ordered[beyond] = 0
        return int(index[torch.multinomial(ordered, 1, generator=random)])
    return int(torch.multinomial(probabilities, 1, generator=random))
