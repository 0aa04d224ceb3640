"""Available base models."""

from __future__ import annotations

from dataclasses import dataclass

from playground.events.values import Json


@dataclass(frozen=True, slots=True)
class KnownModel(Json):
    """A base model. `download` is in GB; `needed` in bytes and `fit` in words say what it needs on this machine."""

    id: str
    parameters: int
    licence: str
    gated: bool
    download: float
    end_token: str
    needed: int = 0
    fit: str = ""
