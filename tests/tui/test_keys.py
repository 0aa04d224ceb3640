"""Keys on every screen: what is typed is never a command, help is everywhere, and nothing in the footer moves."""

import importlib
import inspect
import pkgutil

import pytest
from harness import READY, FakeEngine, screen_test
from recorded import record, run_record
from taught import FakeTeacher
from test_training_screens import FakeInspector, Training, training_test
from textual.binding import Binding
from textual.keys import key_to_character
from textual.screen import Screen
from textual.widgets import Input, Static, TextArea

import playground.tui
from playground.config import TrainConfig
from playground.events.answers import Sampling
from playground.events.five_steps import Lesson
from playground.tui.app import PlaygroundApp
from playground.tui.commands import commands
from playground.tui.dialogs.answer_settings import Settings, SettingsDialog
from playground.tui.dialogs.help import HelpDialog
from playground.tui.dialogs.picker import Picker
from playground.tui.dialogs.runs import RunsDialog
from playground.tui.dialogs.save import SaveDialog
from playground.tui.dialogs.teach import TeachDialog
from playground.tui.dialogs.training_options import FormDialog
from playground.tui.dialogs.vote import VoteDialog
from playground.tui.screens.ask import AskScreen
from playground.tui.screens.compare import CompareScreen
from playground.tui.screens.learn import LearnScreen
from playground.tui.screens.run import RunScreen
from playground.tui.screens.train import TrainScreen
from playground.tui.widgets.footer import Keys

# The keys of a text area that are commands of ours: F5 to F7 and Ctrl+Y act on no text here, and Ctrl+C copies first.
TAKEN = {"f5", "f6", "f7", "ctrl+y", "ctrl+c"}


def screens():
    """Return every screen and dialog of the app, whatever module it is in."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(playground.tui.__path__, "playground.tui.")
    ]
    classes = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    ours = {kind for kind in classes if issubclass(kind, Screen) and kind.__module__.startswith("playground.tui")}
    return sorted(
        (kind for kind in ours if "BINDINGS" in vars(kind) and "compose" in vars(kind)), key=lambda kind: kind.__name__
    )


def split(bindings):
    return [(key, binding) for binding in bindings for key in binding.key.split(",")]


def test_no_priority_key_is_one_of_the_text_areas_own():
    of_text = {key for key, _ in split(TextArea.BINDINGS)}
    assert {"ctrl+a", "pageup", "f6"} <= of_text and len(screens()) >= 13
    for kind in (PlaygroundApp, *screens()):
        own = {key for key, binding in split(kind.BINDINGS) if binding.priority}
        assert own & of_text <= TAKEN, kind.__name__


def test_no_printable_key_has_priority_except_to_vote():
    for kind in (PlaygroundApp, *screens()):
        letters = {key for key, binding in split(kind.BINDINGS) if binding.priority and _printable(key)}
        assert not letters or kind in (VoteDialog, HelpDialog) or kind.__name__ == "CurvesDialog", kind.__name__


def _printable(key):
    character = key_to_character(key)
    return character is not None and character.isprintable()


def test_every_screen_has_words_and_names_every_key():
    for kind in screens():
        assert kind is HelpDialog or len(kind.HELP) > 40, kind.__name__
        for binding in kind.BINDINGS:
            assert isinstance(binding, Binding) and binding.description, kind.__name__


async def typed_on(screen, kind, home):
    """Open a screen with a text field; return it with the field that gets what is typed, if there is just one."""
    app = screen.app
    folder = record(home / "adapters" / "mini-1122", last=12, ended="")
    match kind.__name__:
        case "CompareScreen":
            await screen.say(READY)
            return app.screen
        case "AskScreen":
            (folder / "steps" / "000006").mkdir(parents=True)
            shown = AskScreen(folder, lambda adapters: FakeEngine())
        case "TrainScreen":
            shown = TrainScreen(FakeInspector)
        case "RunScreen":
            shown = RunScreen(folder)
        case "RunsDialog":
            run_record(folder, state="stopped")
            shown = RunsDialog(home / "adapters")
        case "SettingsDialog":
            shown = SettingsDialog(Settings(Sampling(), 2, ""))
        case "TeachDialog":
            shown = TeachDialog("Hi?", "I am sft.")
        case "LearnScreen":
            shown = LearnScreen(Lesson({}), FakeTeacher)
        case "SaveDialog":
            shown = SaveDialog("Save", "a.md", (".md",))
        case "FormDialog":
            shown = FormDialog(TrainConfig())
    app.push_screen(shown)
    await screen.settle(lambda: app.screen is shown and (kind is RunScreen or shown.focused is not None))
    if kind is RunScreen:
        prompt = shown.query_one("#prompt")
        prompt.display = True  # as A does while the run is paused
        shown.set_focus(prompt)
    if kind is RunsDialog:
        await screen.press("n")
    if kind is LearnScreen:
        shown.ask_prompt()
    return shown


@pytest.mark.parametrize(
    "kind",
    [
        CompareScreen,
        AskScreen,
        TrainScreen,
        RunScreen,
        RunsDialog,
        SettingsDialog,
        SaveDialog,
        FormDialog,
        TeachDialog,
        LearnScreen,
    ],
)
def test_where_text_is_typed_no_printable_key_is_a_command(kind, home):
    @training_test()
    async def go(screen):
        shown = await typed_on(screen, kind, home)
        for widget in {type(widget): widget for widget in shown.focus_chain}.values():
            for key in ("d", "5", "space", "question_mark"):
                shown.set_focus(widget)
                where = getattr(shown, "TYPED_INTO", "")
                field = shown.query_one(where) if where else None
                if isinstance(field, Input | TextArea):
                    setattr(field, *(("value", "") if isinstance(field, Input) else ("text", "")))
                await screen.pilot.press(key)
                assert screen.app.screen is shown and screen.app.is_running, (widget, key)
                if isinstance(widget, Input | TextArea) or field is None:
                    continue
                text = field.value if isinstance(field, Input) else field.text
                assert text == key_to_character(key), (widget, key)

    go()


@training_test((80, 24))
async def test_f1_explains_each_screen_and_lists_its_own_keys(screen, home):
    await screen.say(READY)
    app = screen.app
    run = RunScreen(record(home / "adapters" / "mini-1122", last=12))
    run_record(run.folder, state="stopped")
    for shown, word, key in (
        (app.screen, "control", "F4"),
        (run, "pause", "A"),
        (RunsDialog(home / "adapters"), "held out", "R"),
    ):
        if shown is not app.screen:
            app.push_screen(shown)
            await screen.settle(lambda shown=shown: app.screen is shown and len(shown.query(".key")) > 1)
        await screen.press("f1")
        help = app.screen
        assert isinstance(help, HelpDialog) and help.query_one("#help").region.bottom <= 24
        await screen.settle(lambda page=help: len(page.query("MarkdownBlock")) > 1)
        assert f"**{word}**" in shown.HELP
        assert help.query_one("#words").region.y < help.query(".entry").first().region.y, "words first"
        assert key in [str(name.content) for name in help.query(".word")]
        await screen.press("f1")
        assert app.screen is shown
        if shown is run:
            await screen.press("question_mark")
            assert isinstance(app.screen, HelpDialog)
            await screen.press("q")


@training_test((80, 24))
async def test_the_footer_does_not_move_with_the_focus(screen):
    await screen.say(READY)
    shown = screen.app.screen
    places = set()
    for widget in shown.focus_chain:
        shown.set_focus(widget)
        await screen.pilot.pause()
        places.add(tuple((str(key.content), key.region.x) for key in shown.query_one(Keys).query(Static)))
    assert len(places) == 1 and len(list(shown.focus_chain)) > 2
    visible = [name for name, x in places.pop() if x + len(name) <= 80]
    assert {"f1 help", "f5 again", "f6 adapter", "f7 λ", "^r train", "^q quit"} <= set(visible)


@screen_test((80, 24), Training)
async def test_commands_do_not_offer_what_cannot_be_done(screen, home):
    run = RunScreen(record(home / "adapters" / "ended", last=12))
    screen.app.push_screen(run)
    await screen.settle(lambda: screen.app.screen is run and not run.history.live)
    actions = {binding.action for binding in commands(run)}
    assert {"help", "ask", "scrub(-1)"} <= actions and not {"pause", "cancel"} & actions


@screen_test((80, 24))
async def test_letters_move_through_a_list_and_leave_it(screen):
    chosen = []
    for keys in (("j", "enter"), ("G", "k", "enter"), ("G", "g", "enter"), ("q",)):
        picker = Picker("Three", ("name",), (("one",), ("two",), ("three",)), "")
        screen.app.push_screen(picker, chosen.append)
        await screen.pilot.pause()
        await screen.press(*keys)
        assert screen.app.screen is screen.app._compare
    assert chosen == [[1], [1], [0], None]
