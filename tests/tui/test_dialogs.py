"""Settings, pickers, saving, copying, themes and the palette."""

import json
from pathlib import Path

import pytest
from harness import CHOICES, HOSTILE, READY, Screen, screen_test
from textual.widgets import Input, OptionList, Select, Static

from playground.events.engine import AdapterInfo, Choices
from playground.events.exchanges import Exchange
from playground.tui.themes import THEMES


@screen_test((80, 24))
async def test_settings_are_validated_together_and_apply_next_answer(screen):
    await screen.say(READY)
    await screen.press("f9")
    dialog = screen.app.screen
    for name, value in {"temperature": "hot", "top_p": "0", "seed": "nan", "duel_lanes": "9"}.items():
        dialog.query_one(f"#{name}", Input).value = value
    await screen.press("enter")
    problems = str(dialog.query_one("#problems", Static).content)
    assert problems.count("must be") == 4 and screen.app.screen is dialog
    for name, value in {"temperature": "0.5", "top_p": "0.9", "seed": "7", "duel_lanes": "4"}.items():
        dialog.query_one(f"#{name}", Input).value = value
    dialog.query_one("#style", Select).value = "alpaca"
    await screen.press("ctrl+s")
    assert screen.app.screen is screen.app._compare
    ask = await screen.ask("q")
    assert (ask.sampling.temperature, ask.sampling.top_p, ask.sampling.seed) == (0.5, 0.9, 7)
    assert screen.engine.used == [((), "alpaca")] and screen.session.duel_lanes == 4
    assert "temperature 0.5" in screen.text("#how")


@screen_test()
async def test_escape_discards_settings_changes(screen):
    await screen.say(READY)
    await screen.press("f9")
    screen.app.screen.query_one("#temperature", Input).value = "2"
    await screen.press("escape")
    assert screen.app.screen is screen.app._compare and screen.session.sampling.temperature == 0


@screen_test((80, 24))
async def test_adapter_of_the_same_base_is_switched_without_reload(screen):
    await screen.say(CHOICES, READY)
    await screen.press("f6")
    shown = screen.app.screen.query_one(OptionList)
    assert "my-run" in str(shown.get_option_at_index(0).prompt) and "1.23" in str(shown.get_option_at_index(0).prompt)
    await screen.press("down", "enter")
    assert screen.engine.used == [(("/a/older",), None)] and len(screen.engines) == 1


@screen_test()
async def test_adapter_of_another_base_loads_that_base(screen):
    await screen.say(CHOICES, READY)
    await screen.press("f6", "down", "down", "enter")
    assert [engine.options for engine in screen.engines] == [((), None, False), (("/a/other",), None, False)]
    assert screen.engines[0].closed


@screen_test()
async def test_model_loads_with_its_newest_adapter_or_none(screen):
    await screen.say(CHOICES, READY)
    await screen.press("ctrl+g", "down", "enter")
    assert screen.engine.options == (("/a/other",), "hf:org/big", False)
    await screen.say(CHOICES, READY)
    await screen.press("ctrl+g", "down", "down", "enter")
    assert screen.engine.options == ((), "hf:org/bare", True)


@screen_test((80, 24))
async def test_an_empty_picker_says_what_to_do(screen):
    await screen.press("f6")
    assert "sft-playground train" in "".join(str(w.content) for w in screen.app.screen.query(Static))
    await screen.press("enter", "escape")
    assert screen.app.screen is screen.app._compare


@screen_test()
async def test_hostile_names_are_harmless_in_the_picker(screen):
    info = AdapterInfo(HOSTILE, "/x", "yours", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1.0)
    await screen.say(Choices((info,), (HOSTILE,)), READY)
    for key in ("f6", "ctrl+g"):
        await screen.press(key)
        prompt = str(screen.app.screen.query_one(OptionList).get_option_at_index(0).prompt)
        assert "␛]52" in prompt and not {"\x1b", "\x07", "\u202e"} & set(prompt)
        await screen.press("escape")


@screen_test()
@pytest.mark.parametrize("suffix", [".md", ".jsonl"])
async def test_a_session_is_saved(screen, home, suffix):
    await screen.say(READY)
    await screen.press("ctrl+s")
    assert "nothing to save" in screen.text("#hint")
    await screen.ask("Why?")
    await screen.answer(sft="```\nIt is.\x1b[31m")
    await screen.press("ctrl+s")
    field = screen.app.screen.query_one("#file", Input)
    assert field.value.endswith(".md")
    field.value = f"out{suffix}"
    await screen.press("enter")
    text = (home / f"out{suffix}").read_text()
    if suffix == ".jsonl":
        exchange = Exchange.from_dict(json.loads(text))
        assert exchange == screen.session.exchanges[0] and exchange.answers["sft"].text.endswith("\x1b[31m")
    else:
        assert "Why?" in text and "````text" in text and "\x1b" not in text and "base proven abc123" in text


@screen_test()
async def test_saving_confirms_overwrite_and_reports_a_bad_path(screen, home):
    (home / "there.md").write_text("precious")
    await screen.say(READY)
    await screen.ask("q")
    await screen.answer()
    await screen.press("ctrl+s")
    screen.app.screen.query_one("#file", Input).value = "there.md"
    await screen.press("enter")
    assert (home / "there.md").read_text() == "precious"
    await screen.press("enter")
    assert (home / "there.md").read_text() != "precious"
    for bad in ("absent/x.md", "\0.md", "~nobody-here/x.md", "x" * 300 + ".md"):
        await screen.press("ctrl+s")
        screen.app.screen.query_one("#file", Input).value = bad
        await screen.press("enter", "escape")
    assert screen.app.screen is screen.app._compare and "cannot be written" in screen.text("#hint")


@screen_test()
async def test_answer_is_copied_sanitised_and_also_to_a_file(screen, home):
    await screen.say(READY)
    await screen.press("ctrl+y")
    assert "nothing to copy" in screen.text("#hint")
    await screen.ask("q")
    await screen.answer(base="from base\x1b[0m", sft="from sft")
    await screen.press("ctrl+y")
    assert screen.app.clipboard == "from sft"
    await screen.press("escape", "ctrl+y")
    assert screen.app.clipboard == "from base␛[0m"
    assert Path(home, "cache", "copied.txt").read_text() == "from base␛[0m"


@screen_test()
async def test_the_palette_has_every_action(screen):
    await screen.say(READY)
    titles = [command.title for command in screen.app.get_system_commands(screen.app.screen)]
    declared = {binding.tooltip for binding in screen.app.screen.BINDINGS}
    assert declared < set(titles) and "Keys" not in titles and len(set(titles)) == len(titles)
    assert sum(title.startswith("Export votes") for title in titles) == 2
    await screen.press("ctrl+p", *"multi", "enter")
    assert screen.session.several_turns


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
def test_themes_draw_the_screen(theme):
    import asyncio

    async def go():
        async with Screen() as screen:
            screen.app.theme = theme
            await screen.say(READY)
            await screen.ask("q")
            await screen.answer()
            base, sft = (screen.pane(side).query_one(".title").styles.color for side in ("base", "sft"))
            assert base != sft

    asyncio.run(go())


def test_no_color_is_respected(monkeypatch):
    import asyncio

    monkeypatch.setenv("NO_COLOR", "1")

    async def go():
        async with Screen() as screen:
            await screen.say(READY)
            colours = {
                (segment.style.color.get_truecolor(), segment.style.bgcolor.get_truecolor())
                for line in screen.app.screen._compositor.render_strips()
                for segment in line.apply_filter(
                    screen.app._filters[0],
                    screen.app.ansi_theme
                    and screen.app.screen.styles.background.rich_color
                    and screen.app.screen.background_colors[1],
                )
                if segment.style and segment.style.color and segment.style.bgcolor
            }
            assert all(len(set(c)) == 1 for pair in colours for c in pair), colours

    asyncio.run(go())
