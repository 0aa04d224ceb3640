"""``sft-playground export``: an adapter and its base as one model."""

from __future__ import annotations

from pathlib import Path

import click

from playground import paths
from playground.cli.options import adapters_dir_option, model_option
from playground.config import STORY
from playground.text import clean


@click.command(short_help="Merge an adapter into its base, as one model.")
@click.argument("adapter")
@click.argument("folder", type=click.Path(path_type=Path))
@adapters_dir_option
@model_option
@click.option("--dtype", type=click.Choice(["bfloat16", "float32"]), default="bfloat16", show_default=True)
def export(*, adapter: str, folder: Path, adapters_dir: str | None, model: str | None, dtype: str) -> int:
    """Merge ADAPTER into its base and write the model to FOLDER, as safetensors with its tokenizer.

    The adapter is merged into the dequantised base, on which it was trained. The command prints the KL
    divergence between the merged model and the base with the adapter attached: the cost of merging
    and rounding. A model that does not fit into memory is merged a layer at a time, without it. The base's
    licence still applies to the merged weights.
    """
    from playground.cli.narrate import Narrator
    from playground.errors import InputError
    from playground.models.adapters import find_adapter

    found = find_adapter(adapter, paths.adapters_dir(adapters_dir))
    if folder.exists():
        raise InputError(f"{folder} already exists.", "Name another folder.")
    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        import torch

        from playground.data.examples import Turn
        from playground.inference.lineup import load_lineup
        from playground.models.memory import MemoryFault
        from playground.models.merge import merge
        from playground.models.merge_stream import merge_stream

        cpu, kind, divergence = torch.device("cpu"), getattr(torch, dtype), None
        try:
            lineup = load_lineup([found], narrator.progress, model=model, device=cpu)
        except MemoryFault:
            lineup = load_lineup([found], narrator.progress, model=model, device=cpu, as_stored=True)
            narrator.progress("merging and writing, a layer at a time", 0.0)
            merge_stream(lineup.engine.base, lineup.engine.model, folder, kind)
        else:
            encoder = lineup.raw
            prompts = [ids for text in STORY for ids in (encoder.raw(text), encoder.prompt([Turn("user", text)]))]
            narrator.progress("merging and writing", 0.0)
            divergence = merge(lineup.engine.base, lineup.engine.model, folder, kind, prompts)
    click.echo(
        f"{clean(str(folder))}: {lineup.engine.base.identity.description} with {clean(lineup.adapters[0])}, in {dtype}"
    )
    if divergence is None:
        click.echo("KL(unmerged || merged) was not measured: the model does not fit into memory as a whole")
    else:
        where = f"at {sum(map(len, prompts))} positions"
        click.echo(f"KL(unmerged || merged) {where}: mean {divergence[0]:.2e}, largest {divergence[1]:.2e} nats")
    return 0
