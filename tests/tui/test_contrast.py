"""Everything that is read has enough contrast, in each theme, on each screen."""

import asyncio

import pytest
import test_snapshots as states
import test_training_snapshots as training
from contrast import measured, ratio
from harness import Screen
from taught import Taking
from test_training_screens import Training

from playground.tui.themes import THEMES

LEAST = {"textual-dark": 4.5, "textual-light": 4.5, "high-contrast": 7, "colour-blind-safe": 4.5}
COMPARE = (
    states.ready,
    states.fed_opened,
    states.with_control,
    states.voted,
    states.duel,
    states.crashed,
    states.settings,
)
TRAINING = (training.choosing, training.options, training.scrubbed, training.runs, training.curves, training.stepped)


def test_the_ratio_is_that_of_the_recommendation():
    assert ratio((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert ratio((0x77, 0x77, 0x77), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)  # WebAIM's example


@pytest.mark.parametrize("state", [*COMPARE, *TRAINING], ids=lambda state: state.__name__)
def test_all_text_has_enough_contrast(state, home):
    async def go():
        kind = Taking if state is training.stepped else Training if state in TRAINING else Screen
        async with kind((100, 30)) as screen:
            await (state(screen, home) if state in TRAINING else state(screen))
            weak = []
            for theme, least in LEAST.items():
                screen.app.theme = theme
                await screen.pilot.pause(0.05)
                weak += [
                    (theme, round(text.ratio, 1), text.text) for text in measured(screen.app) if text.ratio < least
                ]
            assert not weak, "\n".join(map(str, weak))

    asyncio.run(go())


def test_every_theme_of_ours_is_measured():
    assert {theme.name for theme in THEMES} < set(LEAST)


def test_textuals_own_themes_are_readable_too():
    async def go():
        async with Screen((80, 24)) as screen:
            await states.fed_opened(screen)
            screen.prompt.put("a")  # a placeholder begins under the cursor
            for theme in set(screen.app.available_themes) - {"ansi-dark", "ansi-light"}:  # the terminal's own colours
                screen.app.theme = theme
                await screen.pilot.pause(0.02)
                weakest = min(measured(screen.app), key=lambda text: text.ratio)
                assert weakest.ratio >= 4.5, (theme, weakest)

    asyncio.run(go())
