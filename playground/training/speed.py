"""How fast this machine trained a model last time: the one number a plan cannot work out."""

from __future__ import annotations

import json

from playground import paths
from playground.disk import replace_file


def last(model: str, quantize: str, device: str) -> float | None:
    """Return tokens/s of the last training of `model` on a device of this name (`name_of`), or None."""
    found = _read().get(_key(model, quantize, device))
    return float(found) if isinstance(found, int | float) and found > 0 else None


def remember(model: str, quantize: str, device: str, tokens_per_second: float) -> None:
    """Keep a run's speed for the next plan. A cache that cannot be written is ignored."""
    path = paths.cache_dir() / "speed.json"
    values = _read() | {_key(model, quantize, device): round(tokens_per_second, 1)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(values, indent=1).encode())
    except OSError:
        return


def _key(model: str, quantize: str, device: str) -> str:
    return f"{model} {quantize} {device}"


def _read() -> dict[str, object]:
    try:
        values = json.loads((paths.cache_dir() / "speed.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
