"""The proof that the base lane is the base.

A fixed batch of two probe rows goes through the model before any adapter is attached. Afterwards the
same batch goes through as one base and one adapted lane, and the base row must come out bit-equal:
every hidden state, and the logits of its last position. Equal shapes take equal kernels, so anything
but equality means that the "base" is not the base.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from playground.errors import InputError, PlaygroundError
from playground.models.head import backbone
from playground.models.lanes import Blend, lanes
from playground.models.load import Base
from playground.models.probe import probe_ids

_LENGTH = 8


class Fingerprint:
    """The output of the bare base on the probe; must be taken before an adapter is attached.

    Attributes:
        digest: sha256 of the probe's hidden states, to be shown and compared between runs on one machine.
    """

    def __init__(self, base: Base) -> None:
        self._base = base
        self._ids = torch.tensor(probe_ids(base.tokenizer, 2 * _LENGTH), device=base.device).view(2, _LENGTH)
        self._hidden, self._logits = self._forward(base.model)
        if not torch.isfinite(self._hidden).all():  # NaN equals nothing, so nothing could be proved
            raise InputError(
                f"{base.identity.name} computes values that are not finite in {base.identity.dtype}.",
                "Its weights may be damaged; download them again.",
            )
        self.digest = hashlib.sha256(self._hidden.float().cpu().numpy().tobytes()).hexdigest()

    def holds(self, model: torch.nn.Module, adapters: Sequence[Blend]) -> bool:
        """Return whether a base row next to each of `adapters` is still the base, bit for bit."""
        for row in adapters or [Blend()]:
            with lanes(model, [Blend(), row]):
                hidden, logits = self._forward(self._base.model)
            if not torch.equal(hidden[0], self._hidden[0]) or not torch.equal(logits, self._logits):
                return False
        return True

    def require(self, model: torch.nn.Module, adapters: Sequence[Blend]) -> None:
        """Raise unless `holds`.

        Raises:
            PlaygroundError: The base lane would not show the base.
        """
        if not self.holds(model, adapters):
            raise PlaygroundError(
                "The base lane no longer computes what the base model computed before the adapter was attached.",
                "Nothing is shown, because it would be wrong. Please report this with the adapter and the model.",
            )

    @torch.inference_mode()
    def _forward(self, model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = backbone(model)(input_ids=self._ids, use_cache=False).last_hidden_state  # type: ignore[arg-type]
        return hidden, self._base.head.logits(hidden[:1, -1])
