"""Adapters that were read and are on no base yet: how each was fed, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playground.data.template import template_in
from playground.events.runs import RunRecord
from playground.models.adapter_file import AdapterFile, read_adapter
from playground.runs.folder import labels, read_record

ASSUMED, OWN = "assumed", "the adapter's own template"


@dataclass(frozen=True)
class Known:
    """What is known of how an adapter is fed: its record, or the chat template in its folder."""

    name: str
    record: RunRecord | None
    template: str

    @property
    def style(self) -> str:
        """The name of its style; without a record or a template chat is assumed."""
        return self.record.style if self.record else "tokenizer" if self.template else "chat"

    def known_from(self, style: str | None = None) -> str:
        """Return where the style is from, if that has to be said; `style` is what the user asked for."""
        if self.record or style not in (None, "tokenizer"):
            return ""
        return OWN if self.template else "" if style else ASSUMED


@dataclass(frozen=True)
class Found(Known):
    """An adapter that was read and is not attached yet."""

    file: AdapterFile


def read_adapters(folders: Sequence[Path]) -> list[Found]:
    """Read adapters that are used together.

    Raises:
        PlaygroundError: If one is invalid, or if two have the same name.
    """
    found = []
    for name, folder in zip(labels(folders), folders, strict=True):
        record = read_record(folder)
        found.append(Found(name, record, "" if record else template_in(folder), read_adapter(folder)))
    return found
