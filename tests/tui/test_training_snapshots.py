"""The training screens as pictures. After a change that is meant: pytest tests/tui --snapshot-update."""

import pytest
from harness import CHOICES, READY
from recorded import record, run_record
from taught import Looking, Taking
from test_learning import Learner
from test_snapshots import SIZES, pytestmark  # noqa: F401 - the same version of Textual
from test_teaching import on_first_row
from test_training_screens import Tables, Training, open_training, watch
from textual.widgets import Input

from playground.tui.dialogs.columns import ColumnsDialog
from playground.tui.dialogs.runs import RunsDialog
from playground.tui.screens.run import RunScreen


async def choosing(screen, home):
    await open_training(screen)


async def options(screen, home):
    await open_training(screen)
    await screen.press("f9")
    screen.app.screen.query_one("#lora_r", Input).value = "0"
    await screen.pilot.pause()


async def columns(screen, home):
    await open_training(screen)
    await screen.press("end", "enter")
    await screen.settle(lambda: isinstance(screen.app.screen, ColumnsDialog))


async def finished(screen, home):
    await watch(screen, record(home / "adapters" / "mini-1122", last=36))
    await screen.settle(lambda: "finished" in screen.shown("#top"))


async def scrubbed(screen, home):
    await finished(screen, home)
    await screen.press("left", "left", "left")


async def runs(screen, home):
    for name, day in (("mini-1122", 22), ("pirate-1120", 20)):
        run_record(record(home / "adapters" / name), f"2026-11-{day}T10:00:00+00:00")
    await open_training(screen)
    await screen.press("f6")
    await screen.settle(lambda: isinstance(screen.app.screen, RunsDialog))


async def curves(screen, home):
    await runs(screen, home)
    record(home / "adapters" / "pirate-1120", last=36)
    await screen.press("c")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize(
    "state", [choosing, options, columns, finished, scrubbed, runs, curves], ids=lambda state: state.__name__
)
def test_the_training_screens(snap_compare, size, state, home):
    screen = (Tables if state is columns else Training)(size)

    async def prepare(pilot):
        screen.pilot = pilot
        await state(screen, home)
        for field in screen.app.screen.query(Input):
            field.cursor_blink = False
        if isinstance(screen.app.screen, RunScreen):
            screen.app.screen.draw()

    assert snap_compare(screen.app, terminal_size=size, run_before=prepare)


async def stepped(screen, home):
    await on_first_row(screen)
    await screen.key("space", "space")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_the_five_steps(snap_compare, size, home):
    screen = Taking(size)

    async def prepare(pilot):
        screen.pilot = pilot
        await stepped(screen, home)

    assert snap_compare(screen.app, terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_the_losses(snap_compare, size, home):
    screen = Looking(size)

    async def prepare(pilot):
        screen.pilot = pilot
        await screen.say(CHOICES, READY)
        await screen.on_losses()

    assert snap_compare(screen.app, terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_the_lesson(snap_compare, size, home):
    screen = Learner(size)

    async def prepare(pilot):
        screen.pilot = pilot
        await screen.open()
        await screen.key("3", "space", "1", "space", "2")

    assert snap_compare(screen.app, terminal_size=size, run_before=prepare)
