"""The lens: what base and sft expected at each token of an answer, and where sft would have ended the base's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from playground.events.answers import Answer
from playground.events.contrast import Expectation, Position
from playground.events.engine import Branched, Looked, Why
from playground.events.lens import Lens, Reading, Walk
from playground.report.lens import ends_of_base, ends_of_sft, summary_line
from playground.report.tokens import END, bar, chance, token
from playground.report.words import how_it_ended
from playground.text import clean, one_line
from playground.tui import glossary
from playground.tui.content.pieces import coloured
from playground.tui.dialogs.base import Leavable
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line

WORD, CHANCE, SAID = 14, 8, 9  # columns of a list of candidates
BAR = (6, 24)  # least and most
CURVE = 24
BRANCH = 300  # characters of what the base says from a token on
# How much more, or less, probable a token is under sft than under base, in nats, and how it is drawn.
MORE, LESS = 1.0, -1.0
MARKS = "▲ sft expects this word far more than base · ▼ far less · the rest was expected by both"


class LensScreen(Leavable[None]):
    """Why sft said it, token by token.

    Args:
        why: The answers that are looked at; what is found out about others is not shown.
        looked: What was found; None if it is still computed, and comes with `show`.
        ask: Asks for a reading, which comes with `show`; or, with a number of tokens, what the base says after them,
            which comes with `show_branch`.
        strength: The adapter's strength.
    """

    HELP = glossary.LENS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "go(-1)", "token", key_display="←→", tooltip="The token before"),
        Binding("right,l", "go(1)", "next token", show=False, tooltip="The next token"),
        Binding("home,g", "first", "first token", show=False, tooltip="The first token"),
        Binding("end,G", "last", "last token", show=False, tooltip="The last token"),
        Binding("n", "next", "next change", tooltip="The next token that training changed much"),
        Binding("b", "branch", "base from here", tooltip="What the base would say from here on"),
        Binding("t", "reading", "reading", tooltip="Feed the base the template, or your text as typed"),
        Binding("escape,q", "dismiss", "back", tooltip="Back to the answers"),
    ]

    def __init__(
        self, why: Why, looked: Looked | None, ask: Callable[[Reading, int | None], None], strength: float
    ) -> None:
        super().__init__()
        self._why = why
        self._first, self._ask, self._strength = looked, ask, strength
        self._looked: Looked | None = None
        self._walk: Walk | None = None
        self._at = 0
        # What the base says from a token on; None while it is awaited.
        self._branches: dict[tuple[Reading, int], Answer | None] = {}

    def compose(self) -> ComposeResult:
        yield Line("Looking at the answer …", id="top")
        with VerticalScroll(id="lens", can_focus=False):
            yield Static(id="summary", markup=False)
            yield Static(id="tokens", markup=False)
            yield Static(MARKS, id="legend", markup=False)
            yield Static(id="here", markup=False)
            with Horizontal(id="lists"):
                yield Static(id="base-list", markup=False)
                yield Static(id="sft-list", markup=False)
            yield Static(id="stops", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        """Show what is known."""
        if self._first is not None:
            self.show(self._first)

    def on_resize(self) -> None:
        """Fit the bars into the window."""
        self.call_after_refresh(self._draw)

    def show(self, looked: Looked) -> None:
        """Show what was found, unless it is about other answers."""
        if (looked.why.of, looked.why.lane) != (self._why.of, self._why.lane):
            return
        first = self._looked is None or self._looked.lens.positions != looked.lens.positions
        self._looked, self._walk = looked, looked.walk or self._walk
        if first:
            self._at = next(iter(self._changes()), 0)
        self._draw()

    def show_branch(self, branched: Branched) -> None:
        """Show what the base said from a token on, unless it is about other answers."""
        why = branched.why
        if (why.of, why.lane) == (self._why.of, self._why.lane) and why.branch is not None:
            self._branches[why.reading, why.branch] = branched.answer
            self._draw()

    def _request(self, reading: Reading, branch: int | None) -> None:
        self._forget_awaited()  # only one thing is computed at a time
        self._ask(reading, branch)

    def _forget_awaited(self) -> None:
        self._branches = {key: answer for key, answer in self._branches.items() if answer is not None}

    def fail(self, words: str) -> None:
        """Say why nothing was found."""
        self._forget_awaited()
        self.query_one("#top", Line).say(words, error=True)

    @property
    def _lens(self) -> Lens | None:
        return self._looked.lens if self._looked is not None else None

    def _changes(self) -> list[int]:
        positions = self._lens.positions if self._lens is not None else ()
        return [at for at, position in enumerate(positions) if not LESS < position.log_ratio < MORE]

    def _draw(self) -> None:
        found = self._lens
        if found is None:
            return
        strength = f" · λ {self._strength:.2f}" if self._strength != 1 else ""
        self.query_one("#top", Line).say(f"Why?  {found.prompt}  ·  sft: {found.adapter}{strength}")
        reading = {
            "training": "Both were fed the template: this is what training changed.",
            "whole": "The base was fed your text as typed, sft the template: this is what you see on the screen.",
        }[found.reading]
        summary = coloured(summary_line(found)) + Content.styled(f"\n{reading}  T changes that.", "$text-muted")
        self.query_one("#summary", Static).update(summary)
        self.query_one("#tokens", Static).update(_answer(found.positions, self._at))
        here = found.positions[self._at]
        said = _here(here, self._at, len(found.positions)) + self._branch(found.reading)
        self.query_one("#here", Static).update(said)
        least, most = BAR
        bars = min(most, max(least, (self.size.width - 4) // 2 - WORD - CHANCE - SAID))
        self.query_one("#base-list", Static).update(_expected("base would say next", here.base, here, "$primary", bars))
        self.query_one("#sft-list", Static).update(_expected("sft would say next", here.sft, here, "$accent", bars))
        self.query_one("#stops", Static).update(self._stops(found))

    def _branch(self, reading: Reading) -> Content:
        """Return what the base says from the token under the cursor on; nothing unless it was asked."""
        key = (reading, self._at)
        if key not in self._branches:
            return Content("")
        answer = self._branches[key]
        if answer is None:
            return Content.styled("\nbase from here: …", "$text-muted")
        said = one_line(answer.text.strip(), BRANCH)
        end = how_it_ended(answer, repeats=False)
        return Content.assemble(
            ("\nbase from here: ", "$text-muted"), (said, "$text-primary"), (f"  {end}", "$text-muted")
        )

    def _stops(self, found: Lens) -> Content:
        """Return where each side could have ended."""
        lines = [("stop here?\n", "bold"), (f"sft's answer  {ends_of_sft(found, CURVE)}\n", "")]
        if self._walk is not None:
            curve, cut = ends_of_base(self._walk, CURVE)
            lines += [(f"base's text   {curve}\n", ""), (f"{cut}\n", "")]
        return Content.assemble(*lines)

    def action_go(self, by: int) -> None:
        """Go to a token before or after."""
        if self._lens is not None:
            self._at = min(max(0, self._at + by), len(self._lens.positions) - 1)
            self._draw()

    def action_first(self) -> None:
        """Go to the first token."""
        self.action_go(-self._at)

    def action_last(self) -> None:
        """Go to the last token."""
        if self._lens is not None:
            self.action_go(len(self._lens.positions))

    def action_next(self) -> None:
        """Go to the next token that training changed much; after the last one comes the first."""
        changes = self._changes()
        if changes:
            self._at = next((at for at in changes if at > self._at), changes[0])
            self._draw()

    def action_reading(self) -> None:
        """Feed the base the template, or the text as typed."""
        if self._lens is not None:
            self._request("whole" if self._lens.reading == "training" else "training", None)

    def action_branch(self) -> None:
        """Let the base go on from the token under the cursor."""
        if self._lens is not None and (key := (self._lens.reading, self._at)) not in self._branches:
            self._request(*key)
            self._branches[key] = None
            self._draw()

    def on_click(self, event: events.Click) -> None:
        """Go to the token that was clicked."""
        if (at := event.style.meta.get("token")) is not None and self._lens is not None:
            self._at = at
            self._draw()


def _answer(positions: tuple[Position, ...], here: int) -> Content:
    """Return the answer, its tokens marked by how much their probability changed. Blanks are not painted."""
    pieces = []
    for at, position in enumerate(positions):
        text = END if position.is_end else clean(position.text)
        word = text.lstrip(" ")
        mark, style = _change(position)
        said = Content.styled(word, f"{style} reverse" if at == here else style) + Content.styled(mark, style)
        blank = " " if position.is_end else " " * (len(text) - len(word))
        pieces.append(Content(blank) + said.stylize(Style.from_meta({"token": at})))
    return Content("").join(pieces)


def _change(position: Position) -> tuple[str, str]:
    """Return the mark and the style of a token."""
    if position.log_ratio >= MORE:
        return "▲", "$text-accent bold"
    return ("▼", "$text-error") if position.log_ratio <= LESS else ("", "")


def _here(position: Position, at: int, length: int) -> Content:
    """Return in words how the token under the cursor was expected."""
    word = token(position.text, position.is_end)
    base, sft = position.base, position.sft
    choice = "its first choice" if base.rank == 1 else f"choice {base.rank:,}"
    return Content.assemble(
        (f"token {at + 1} of {length}  ", "$text-muted"),
        (word, "bold"),
        (f"   base {chance(base.p)}, {choice}   sft {chance(sft.p)}   KL {position.kl:.2f} nats", ""),
    )


def _expected(title: str, side: Expectation, position: Position, colour: str, bars: int) -> Content:
    """Return a side's most probable tokens as bars; the one that came is marked."""
    pieces: list[tuple[str, str]] = [(f"{title}\n", "bold")]
    for candidate in side.top:
        came = candidate.id == position.id
        name = token(candidate.text, candidate.is_end, WORD - 1)
        pieces += [
            (f"{name}{' ' * (WORD - cell_len(name))}", "bold" if came else ""),
            (f"{bar(candidate.p, bars):<{bars}}", colour),
            (f"{chance(candidate.p):>{CHANCE}}{' ◂ said' if came else ''}\n", "" if came else "$text-muted"),
        ]
    if all(candidate.id != position.id for candidate in side.top):
        name = token(position.text, position.is_end, WORD - 1)
        last = f"{name}{' ' * (WORD - cell_len(name))}{'':{bars}}{chance(side.p):>{CHANCE}} ◂ #{side.rank:,}"
        pieces.append((last, "bold"))
    return Content.assemble(*pieces)
