"""What the app shows of what it remembers."""

import asyncio

from harness import CHOICES, READY, Screen

from playground.events.engine import EngineError
from playground.tui.app import PlaygroundApp
from playground.tui.state.memory import Memory
from playground.tui.state.session import Session
from playground.tui.strings import EXAMPLES


class Again(Screen):
    """The app at another start, with the same file."""

    def __init__(self, file, first=((), None)):
        super().__init__()
        self.engines.clear()
        self.memory = Memory(file)
        self.app = PlaygroundApp(self._start, Session(seed=0), memory=self.memory, first=first)

    async def __aexit__(self, *error):
        await super().__aexit__(*error)
        self.memory.close()


def test_theme_prompts_and_adapter_are_there_at_the_next_start(tmp_path):
    file = tmp_path / "state.json"

    async def go():
        async with Again(file) as screen:
            await screen.say(CHOICES, READY)
            screen.app.theme = "colour-blind-safe"
            await screen.pilot.click(screen.app._compare.query(".example").first())
            await screen.ask("one")
            await screen.ask("two")
            await screen.press("f6", "down", "enter")
            assert screen.memory.now.adapters == (), "not before it is loaded"
            await screen.say(READY)
        async with Again(file) as screen:
            assert screen.app.theme == "colour-blind-safe"
            await screen.press("x", "up", "up")
            assert screen.prompt.text == "one"
            await screen.press("up", "up")
            assert screen.prompt.text == EXAMPLES[0]
            await screen.press("down", "down", "down")
            assert screen.prompt.text == "x"
        assert (screen.memory.now.adapters, screen.memory.now.model) == (("/a/older",), "")
        file.write_text('{"theme": "no-such-theme"}')
        async with Again(file) as screen:
            assert screen.app.theme == "textual-dark"

    asyncio.run(go())


def test_a_choice_that_no_longer_loads_gives_way_to_the_newest(tmp_path):
    async def go():
        async with Again(tmp_path / "state.json", (("/a/gone",), None)) as screen:
            assert screen.engine.options == (("/a/gone",), None, False)
            await screen.say(EngineError(-1, "There is no adapter /a/gone.", "Choose another."))
            assert [engine.options for engine in screen.engines[1:]] == [((), None, False)]
            assert "last time cannot be loaded" in screen.text("#hint")
            await screen.say(EngineError(-1, "No model.", "Install one."))
            assert len(screen.engines) == 2, "once"

    asyncio.run(go())
