"""The lesson: eight pages, on each a prediction, then what the loaded model does, then why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from playground.events.five_steps import Lesson, RowOpened, Served, TeacherError, TeacherStage
from playground.report.learn_rules import Outcome
from playground.tui import glossary
from playground.tui.content.advice import in_app
from playground.tui.content.pieces import coloured
from playground.tui.dialogs.base import Leavable
from playground.tui.state.engine import stage_words
from playground.tui.state.learning import Learning, Visit
from playground.tui.state.taught import TeacherSaid, Teaching
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line, put
from playground.tui.widgets.prompt import PromptBar

MOST = 4  # choices of a page
NEXT = "Space: the next page"
CLOSING = (
    "That was the lesson. Now a prompt of your own: Enter sends it to base and sft.\n\n"
    "There, F4 votes, Ctrl+L shows why each word was said, F10 teaches sft another answer, and Ctrl+R trains on a data "
    "set."
)


class _Choice(Static):
    """One of the predictions; a click makes it."""

    class Clicked(Message):
        """It was clicked."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, number: int) -> None:
        super().__init__(classes="choice-line", markup=False)
        self._number = number

    def on_click(self) -> None:
        self.post_message(self.Clicked(self._number))


class LearnScreen(Leavable[str | None]):
    """The lesson. It is left with the learner's own prompt, or with None.

    Args:
        lesson: The adapter that the lesson is about, and the options of its steps.
        start: Starts a teacher.
    """

    HELP = glossary.LEARN
    AUTO_FOCUS = "#learn"
    TYPED_INTO = "#prompt"  # on the last page
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "predict(0)", "predict", key_display="1-4", tooltip="Predict the first; 2, 3 and 4 the others"),
        Binding("2", "predict(1)", "predict", show=False, tooltip="Predict the second"),
        Binding("3", "predict(2)", "predict", show=False, tooltip="Predict the third"),
        Binding("4", "predict(3)", "predict", show=False, tooltip="Predict the fourth"),
        Binding("space,right", "next", "next", tooltip="See what comes out, then the next page"),
        Binding("left,backspace", "back", "back", tooltip="The page before, as it was"),
        Binding("escape", "dismiss(None)", "leave", priority=True, tooltip="Leave the lesson; the model comes back"),
    ]

    def __init__(self, lesson: Lesson, start: Callable[[], Any]) -> None:
        super().__init__()
        self._teaching = Teaching(start, self)
        self._learning = Learning(self._teaching, lesson)
        self._skip = False  # whether Space was pressed instead of a prediction
        self._over = False

    def compose(self) -> ComposeResult:
        yield Line("the lesson", id="top")
        with VerticalScroll(id="learn"):
            yield Static(id="learn-scene", markup=False)
            yield Static(id="learn-before", markup=False)
            yield Static(id="learn-question", markup=False)
            yield from map(_Choice, range(MOST))
            yield Static(id="learn-figures", markup=False)
            yield Static(id="learn-said", markup=False)
        yield Line("starting …", id="hint")
        yield PromptBar()
        yield Keys()

    def on_mount(self) -> None:
        """Open the first page."""
        self.query_one(PromptBar).display = False
        self._teaching.listen()
        self._draw()

    def on_unmount(self) -> None:
        self._teaching.close()

    def hint(self, text: str, *, error: bool = False) -> None:
        """Show a message below."""
        self.query_one("#hint", Line).say(text, error=error)

    # ---------------------------------------------------------------- the teacher, and what it says

    def on_teacher_said(self, message: TeacherSaid) -> None:
        """Show the page as soon as it is computed."""
        event = message.event
        self._teaching.heard(event)
        self._learning.hear(event)
        match event:
            case TeacherStage() if not self._over:
                meanwhile = " Predict meanwhile." if self._learning.now.can_predict and not self._skip else ""
                self.hint(f"{event.notice}\n{stage_words(event)}{meanwhile}".strip())
            case RowOpened() | Served() | TeacherError():
                self._draw()

    # ---------------------------------------------------------------- what is shown

    def _draw(self) -> None:
        if self._over:
            self.query_one("#top", Line).say("the lesson · your own prompt")
            put(self, "#learn-scene", Content(CLOSING))
            for part in ("before", "question", "figures", "said"):
                put(self, f"#learn-{part}", Content(""))
            for line in self.query(_Choice):
                line.display = False
            return
        learning, now = self._learning, self._learning.now
        page, outcome = now.page, now.outcome
        place = f"the lesson · {learning.at + 1} of {learning.length} · {page.title}"
        self.query_one("#top", Line).say(" · ".join((place, *_taught(now))))
        put(self, "#learn-scene", Content(page.scene))
        before = page.before if now.measured else None
        put(self, "#learn-before", coloured(before(now.seen)) if before is not None else Content(""))
        asked = now.shown or now.can_predict
        put(self, "#learn-question", Content.styled(page.question, "bold") if asked else Content(""))
        for number, line in enumerate(self.query(_Choice)):
            line.display = asked and number < len(page.choices)
            if line.display:
                line.update(_choice(now, number, outcome))
        put(self, "#learn-figures", coloured(page.figures(now.seen)) if outcome is not None else Content(""))
        put(self, "#learn-said", _explained(now, outcome))
        if outcome is not None:  # in a low window, the explanation rather than the scene
            self.call_after_refresh(self.query_one("#learn", VerticalScroll).scroll_end, animate=False)
        self._say_what_next(now)

    def _say_what_next(self, now: Visit) -> None:
        last = "Space: your own prompt" if self._learning.is_last else NEXT
        if now.error:
            self.hint(in_app(now.error), error=True)
        elif now.outcome is not None:
            self.hint(last)
        elif now.shown:
            self.hint("computing …")
        elif not now.can_predict:
            self.hint("The answers are being written …")
        elif self._skip:
            self.hint("First a prediction: it helps you remember. Space again shows the page without one.")
        elif now.page.vote:
            self.hint(f"Vote: 1 to {len(now.page.choices)}.")
        else:
            self.hint(f"Predict: 1 to {len(now.page.choices)}, or a click.")

    # ---------------------------------------------------------------- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer no page where a prompt is typed."""
        return action not in ("predict", "next", "back") or not self._over

    @on(_Choice.Clicked)
    def _clicked(self, event: _Choice.Clicked) -> None:
        self.action_predict(event.number)

    def action_predict(self, number: int) -> None:
        """Predict one of the choices, and see what comes out."""
        now = self._learning.now
        if self._over or number >= len(now.page.choices) or not now.can_predict:
            return
        now.predicted, now.shown = number, True
        self._draw()

    def action_next(self) -> None:
        """See what comes out, or go on."""
        now = self._learning.now
        if not now.shown and not now.error:
            if not now.can_predict:
                return
            if not self._skip:
                self._skip = True
                self._draw()
                return
            now.shown = True
        elif now.outcome is None and not now.error:
            return  # it is computed
        elif self._learning.is_last:
            self.ask_prompt()
            return
        else:
            self._learning.next()
            self.query_one("#learn", VerticalScroll).scroll_home(animate=False)
        self._skip = False
        self._draw()

    def action_back(self) -> None:
        """Look at the page before."""
        self._learning.back()
        self._skip = False
        self._draw()

    def ask_prompt(self) -> None:
        """End the lesson: ask for the learner's own prompt."""
        self._over = True
        self._draw()
        bar = self.query_one(PromptBar)
        bar.display = True
        self.set_focus(bar)
        self.refresh_bindings()
        self.hint("Type a prompt and press Enter. Esc goes without.")

    @on(PromptBar.Submitted)
    def _take(self, event: PromptBar.Submitted) -> None:
        self.dismiss(event.prompt)


def _taught(now: Visit) -> tuple[str, ...]:
    """Return which adapter the page is about, and the model, as far as they are known."""
    row = now.seen.rows[-1] if now.seen.rows else None
    if row is None:
        return ()
    return (f"adapter {row.adapter}" if row.adapter else "from nothing", row.model)


def _choice(now: Visit, number: int, outcome: Outcome | None) -> Content:
    """Return a choice: with its key, or once it is known which is the case, with marks."""
    text = now.page.choices[number]
    mine = now.predicted == number
    if outcome is None:
        return Content.assemble((f" {number + 1}  ", "bold $text-accent"), (text, "bold" if mine else ""))
    true = outcome.choice == number
    notes = []
    if mine:
        notes.append("your vote" if now.page.vote else "your prediction")
    if true:
        notes.append("what the loss prefers" if now.page.vote else "so it is here")
    mark = "▸" if true else "·" if mine else " "
    style = "bold $text-success" if true else "" if mine else "$text-quiet"
    return Content.assemble((f" {mark}  {text}", style), (f"   {' · '.join(notes)}" if notes else "", "$text-quiet"))


def _explained(now: Visit, outcome: Outcome | None) -> Content:
    """Return what the outcome means, in words."""
    if outcome is None:
        return Content("")
    if outcome.choice is None:
        return Content.assemble(("This cannot be told here. ", "bold $text-warning"), outcome.why)
    if outcome.came_out:
        return Content(now.page.explains)
    return Content.assemble(("On this model it does not come out. ", "bold $text-warning"), now.page.otherwise)
