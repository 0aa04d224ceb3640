"""``sft-playground models``: base models to start from."""

from __future__ import annotations

import json

import click


@click.group()
def models() -> None:
    """Look at base models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object per model.")
def list_(*, as_json: bool) -> int:
    """List suitable base models, and whether they fit on this machine.

    Any causal language model with safetensors weights works: name it with --model hf:org/name, or a
    folder. "Fits" assumes QLoRA in NF4 with rows of up to 1,024 tokens, one at a time.
    """
    from rich.table import Table

    from playground.cli.narrate import Narrator
    from playground.cli.streams import output
    from playground.report.words import gigabytes

    found = []
    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        from playground.models.catalogue import judged, known_models
        from playground.models.device import pick_device
        from playground.models.memory import free_memory

        device = pick_device()
        free = free_memory(device)
        total = len(known_models())
        for model in judged(device, free):
            found.append(model)
            narrator.progress("working out what fits", len(found) / total)
    if as_json:
        for model in found:
            click.echo(json.dumps(model.to_dict()))
        return 0
    table = Table(box=None, pad_edge=False)
    for title in ("model", "parameters", "licence", "download", "ends with", "needs", "here"):
        table.add_column(title, justify="right" if title in ("parameters", "download", "needs") else "left")
    table.add_row("demo", "268 M", "Gemma", "pip", "<eos>", "", "made for two cores")
    for model in found:
        licence = f"{model.licence}, gated" if model.gated else model.licence
        size = f"{model.parameters / 1e9:.2f} B" if model.parameters >= 1e9 else f"{model.parameters / 1e6:.0f} M"
        row = (model.id, size, licence, f"{model.download:g} GB", model.end_token, gigabytes(model.needed), model.fit)
        table.add_row(*row)
    console = output(130)
    console.print(table)
    console.print(f"{gigabytes(free)} are free on {device}. gated: accept the terms on the hub page, set HF_TOKEN.")
    return 0
