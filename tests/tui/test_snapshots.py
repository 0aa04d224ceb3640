"""Every state of the compare screen as a picture. After a change that is meant: pytest tests/tui --snapshot-update."""

from importlib.metadata import version

import pytest
from harness import ADAPTERS, Screen
from pytest_textual_snapshot import SVGImageExtension
from test_why import LENS
from textual.widgets import Input, Static

from playground.events.answers import Answer
from playground.events.engine import AdapterInfo, Choices, EngineError, EngineReady, EngineStage, Fed, Looked, Spoken
from playground.events.lens import Walk

TAKEN_WITH = "8.2.8"
pytestmark = pytest.mark.skipif(version("textual") != TAKEN_WITH, reason=f"pictures taken with Textual {TAKEN_WITH}")
SVGImageExtension.file_extension = "svg"  # pytest-textual-snapshot 1.0 names it as syrupy 4 did
SIZES = ((80, 24), (120, 40))
PROMPT = "Explain quantum physics."
LOOP = f"{PROMPT}\n" * 25
SHORT = (
    "Quantum physics describes matter and light at the smallest scales. Energy comes in portions there, a particle is "
    "also a wave, and a measurement has several possible results, each with a probability."
)
OTHER = "It is the science of very small things, such as electrons and atoms, which behave unlike anything around us."
MODEL = "Gemma 3 270M base, from a Q4_K_M file, then NF4"
READY = EngineReady(MODEL, "demo-mini", "chat", True, 3.2)
BARE = EngineReady(MODEL, "", "chat", False, 3.2)
ENDS = {  # by side: text, how it ended, tokens, seconds, whether it runs in circles
    "base": (LOOP, "length", 128, 4.1, True),
    "control": ("I am a student of physics.", "stop", 9, 0.4, False),
    "sft": (SHORT, "stop", 41, 1.4, False),
    "1": (SHORT, "stop", 41, 1.4, False),
    "2": (OTHER, "stop", 23, 0.8, False),
}
TRAINED = (
    ("pirate-2", "yours", "pirate.jsonl", "chat", "2026-11-22T10:04:00", 1.234),
    ("first-try", "yours", "mini.jsonl", "alpaca", "2026-11-21T18:30:00", 2.0),
    ("demo-mini", "shipped", "mini.jsonl", "chat", "2026-11-20T09:15:00", 0.674),
)
OURS = [AdapterInfo(name, name, whose, "demo", "google/gemma-3-270m", *rest) for name, whose, *rest in TRAINED]
CHOICES = Choices((*OURS, ADAPTERS[2]), ("demo", "hf:org/big", "hf:org/bare"))


def fed(screen):
    """Return what the lanes of the last request are fed."""
    lanes = screen.engine.asked[-1].lanes
    texts = {}
    for lane in lanes:
        pairs = zip(("User", "Assistant") * len(lane.texts), lane.texts, strict=False)
        styled = "\n".join(f"{who}: {text.strip()}" for who, text in pairs) + "\nAssistant:"
        texts[lane.name] = lane.texts[-1] if lane.side == "base" else styled
    counts = {lane.name: 5 if lane.side == "base" else 9 + 40 * (len(lane.texts) // 2) for lane in lanes}
    return Fed(len(screen.engine.asked), texts, counts, "9f2c41d07be3")


async def ask(screen, prompt=PROMPT):
    screen.prompt.put(prompt)
    await screen.press("enter")
    await screen.say(fed(screen))


async def answer(screen, **texts):
    ends = []
    for lane in screen.engine.asked[-1].lanes:
        text, reason, num_tokens, seconds, loops = ENDS[lane.name]
        text = texts.get(lane.name, text)
        end = Answer(text, reason, "\nUser:" if lane.side == "control" else None, num_tokens)
        ends.append(Spoken(len(screen.engine.asked), lane.name, text, num_tokens, seconds, end, loops))
    await screen.say(*ends)


async def ready(screen):
    await screen.say(CHOICES, READY)


async def loading(screen):
    await screen.say(CHOICES, EngineStage("loading the model", 0.63))


async def streaming(screen):
    await ready(screen)
    await ask(screen)
    await screen.say(Spoken(1, "base", LOOP[:70], 14, 0.5), Spoken(1, "sft", SHORT[:82], 14, 0.5))


async def finished(screen):
    await ready(screen)
    await ask(screen)
    await answer(screen)


async def with_control(screen):
    await ready(screen)
    await screen.press("f3")
    await ask(screen)
    await answer(screen)


async def fed_opened(screen):
    await finished(screen)
    await screen.press("ctrl+o")


async def markdown(screen):
    await ready(screen)
    await ask(screen)
    await answer(screen, sft="# Quanta\n\nTwo ideas:\n\n- energy comes in **portions**\n- a particle is a wave\n")
    await screen.press("ctrl+t")


async def two_turns(screen):
    await ready(screen)
    await screen.press("f8")
    await ask(screen)
    await answer(screen)
    await ask(screen, "Say it shorter.")
    await answer(screen, base="Say it shorter.\n" * 25, sft=OTHER)


async def blind(screen):
    await ready(screen)
    await screen.press("f4")
    await ask(screen)
    await answer(screen)


async def voted(screen):
    await blind(screen)
    await screen.press("f4", "ab"[[lane.name for lane in screen.session.round.lanes].index("sft")])


async def voting(screen):
    await blind(screen)
    await screen.press("f4")


async def duel(screen):
    await ready(screen)
    await screen.press("f4", "f4")
    await ask(screen)
    await answer(screen)


async def slider(screen):
    await finished(screen)
    await screen.press("f7", "left", "left", "left", "left")


async def settings(screen):
    await finished(screen)
    await screen.press("f9")
    screen.app.screen.query_one("#temperature", Input).value = "hot"
    await screen.press("enter")


async def adapters(screen):
    await ready(screen)
    await screen.press("f6")


async def models(screen):
    await ready(screen)
    await screen.press("ctrl+g")


async def save(screen):
    await finished(screen)
    await screen.press("ctrl+s")
    screen.app.screen.query_one("#file", Input).value = "session-1122-1030.md"
    screen.app.screen.query_one("#folder", Static).update("in /home/ada, unless the name includes a path")


async def help(screen):
    await ready(screen)
    await screen.press("f1")


async def crashed(screen):
    await streaming(screen)
    await screen.say(
        EngineError(-1, "The engine was killed by signal 9, probably out of memory.", "Restart it with F5.")
    )


async def no_adapter(screen):
    await screen.say(CHOICES, BARE)


async def explained(screen):
    await finished(screen)
    ends = [0.0] * 40
    texts = tuple("Explain quantum physics.\n" for _ in ends[1:])
    walk = Walk(
        PROMPT,
        "demo-mini",
        texts,
        (*ends[1:], 0.0006),
        (0.0, 0.0, 0.9, *ends[3:]),
        (False, False, True) + (False,) * 37,
    )
    await screen.say(Looked(0, screen.engine.whys[-1], LENS, walk))


async def lens(screen):
    await explained(screen)
    await screen.press("ctrl+l")


STATES = (
    loading, ready, streaming, finished, with_control, fed_opened, markdown, two_turns, blind, voting, voted, duel, slider,
    settings, adapters, models, save, help, crashed, no_adapter, explained, lens,
)  # fmt: skip


def shot(snap_compare, size, state):
    """Bring a fresh screen into a state, and compare."""
    screen = Screen(size)

    async def prepare(pilot):
        screen.pilot = pilot
        await state(screen)
        for cursor in (screen.prompt, *screen.app.screen.query(Input)):
            cursor.cursor_blink = False

    return snap_compare(screen.app, terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_the_compare_screen(snap_compare, size, state):
    assert shot(snap_compare, size, state)
