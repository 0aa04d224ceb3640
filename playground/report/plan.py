"""A plan for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from playground.events.plans import Plan
from playground.report.words import duration, gigabytes
from playground.text import clean, count


def plan(made: Plan) -> RenderableType:
    """Return what `train --dry-run` prints: what will happen, what it needs, and why."""
    tokens = "tokens not counted in advance"
    if made.num_tokens:
        share = 100 * made.num_trained_tokens / made.num_tokens
        tokens = f"{count(made.num_tokens, 'token')}, {share:.0f} % of them trained, the longest row {made.longest:,}"
    rows = count(made.num_examples, "row")
    left_out = f", {made.num_skipped:,} left out" if made.num_skipped else ""
    held_out = f", {count(made.num_eval, 'row')} held out" if made.num_eval else ""
    share = 100 * made.trainable_parameters / made.parameters
    update = made.per_device_train_batch_size * made.gradient_accumulation_steps
    time = f"about {duration(made.seconds)} of training, at this machine's last speed" if made.seconds else "unknown"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in (
        ("model", f"{clean(made.model)}, {made.parameters / 1e6:,.0f} million parameters, on {made.device}"),
        ("data", f"{clean(made.data)}: {rows}{held_out}{left_out}"),
        ("", tokens),
        ("steps", f"{made.num_steps:,} of {update:,} rows"),
        ("trained", f"{count(made.trainable_parameters, 'parameter')} ({share:.1f} % of the base's)"),
        ("time", time),
    ):
        grid.add_row(name, Text(value))
    verdict = Text(
        f"needs about {gigabytes(made.needed)}; {gigabytes(made.free)} are free", "green" if made.fits else "red"
    )
    parts: list[RenderableType] = [grid, Text(), _choices(made), Text(), _memory(made), verdict]
    parts += [Text(f"note: {clean(warning)}", style="yellow") for warning in (*made.unread, *made.warnings)]
    if not made.fits:
        parts.append(
            Text(f"this would fit: {made.nearest}" if made.nearest else "no setting fits on this machine", style="red")
        )
    return Group(*parts)


def _choices(made: Plan) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for choice in made.choices:
        value = (
            {True: "on", False: "off"}.get(choice.value, choice.value)
            if isinstance(choice.value, bool)
            else choice.value
        )
        table.add_row(choice.name, f"{value:g}" if isinstance(value, float) else str(value), choice.reason)
    return (
        Group(Text("chosen automatically", style="bold"), table)
        if made.choices
        else Text("all settings were given", "dim")
    )


def _memory(made: Plan) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    for name, number in made.memory.items():
        bar = "█" * round(40 * number / max(made.needed, 1))
        table.add_row(name, gigabytes(number), Text(bar, style="cyan"))
    return Group(Text("memory", style="bold"), table)
