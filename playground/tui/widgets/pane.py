"""A pane: one lane's input, its answer, and how it ended."""

from __future__ import annotations

import time

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from playground.events.answers import Answer
from playground.events.engine import Fed
from playground.report.differences import Mark, differing_words, first_difference
from playground.report.words import FED, caption, how_it_ended
from playground.text import clean, count, one_line

KINDS = {
    "base": "continues your text",
    "control": FED["control"],
    "sft": "answers your question",
    "hidden": "hidden until you vote",
}
EDGE = "▏"  # where a user's text ends and the base's continuation begins, for eyes that see no colour
MUTED = "$text-quiet"  # `$text-muted` has no colour to fade inside a text
CUT = "✂"  # where sft would have ended the base's text
DIFFERS = "bold reverse"  # a word that another answer does not have
END = " ■ end"  # where the model emitted its own end token
SHOWN = 20_000  # characters of an answer shown on screen; laying out more would drop frames
NARROWEST = 50  # cells; a narrower pane says in fewer words how an answer ended
TURN = 4_000  # characters of a turn that the model was given
# Interval between repaints of the streaming panes, all at once: each one redoes the layout, and on two cores the
# engine loses the time the app takes. Painting every token cost it a quarter of its tokens/s.
PAINT_SECONDS = 0.2


class _Line(Static):
    """A clickable line."""

    class Clicked(Message):
        """It was clicked."""

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked())


class _Said(VerticalScroll, can_focus=True):
    """The scrolling text. It binds no letters: anything typed goes to the next prompt."""

    following = True  # follows the end until a reader scrolls up

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Record whether the end is visible: only scrolling changes that, not new text below."""
        super().watch_scroll_y(old_value, new_value)
        self.following = new_value >= self.max_scroll_y - 1


class _Text(Widget):
    """Text that mostly grows at its end. While it fits on screen, only lines that may be new are painted.

    Redoing the layout and painting all lines twice, five times a second, took a third more CPU from the engine.
    """

    def __init__(self) -> None:
        super().__init__(classes="text")
        self.content = Content()

    def render(self) -> Content:
        """Return the text, whose end mark never wraps between its two words; the number of lines is the same."""
        last, width = self.content.plain.rpartition("\n")[2], self.size.width
        if width and last.endswith(END) and Content(last).wrap(width)[-1].plain in END.split():
            return self.content[: -len(END)] + "\n" + self.content[1 - len(END) :]
        return self.content

    def put(self, text: Content) -> None:
        """Show `text`."""
        old, self.content = self.content, text
        room, width = self.query_ancestor(_Said).size, self.size.width
        if not width or self.size != room or (height := text.get_height({}, width)) > room.height:
            self.refresh(layout=True)
        elif text.plain.startswith(old.plain):
            before = old.get_height({}, width)
            first = max(0, before - 2)  # a growing word may wrap off the last line
            self.refresh(Region(0, first, width, max(before, height) - first))
        else:
            self.refresh()


class Pane(Vertical):
    """One lane of the comparison. Raw text is never parsed as markup."""

    can_focus = False

    class Clicked(Message):
        """It was clicked."""

        def __init__(self, pane: Pane) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, number: int) -> None:
        super().__init__(id=f"pane-{number}", classes="pane")
        self.text = ""  # the answer, raw
        self.kind = ""
        self._title = ""
        self._turns: tuple[str, ...] = ()  # user, model, …, user: what this side was given
        self._given = Content()  # these, drawn once
        self._ending: tuple[Answer, int, str] | None = None  # a finished answer, where it repeats itself, its pace
        self._strength = 1.0  # of the adapter
        self._cut: int | None = None  # the characters of the answer after which sft would have ended it
        self._against: str | None = None  # the answer that this one is compared with, word by word
        self._mark: Mark = first_difference
        self._fed = self._proof = ""
        self._num_tokens = 0
        self._dropped = 0
        self._opened = False
        self._markdown = False
        self._painted = False  # whether part of the answer is on screen
        self._state = ""  # painted with the next text; empty if none is pending

    def compose(self) -> ComposeResult:
        yield _Line(classes="title", markup=False)
        yield Static(classes="fed", markup=False)
        with _Said(classes="said"):
            yield _Text()
        yield Static(classes="state", markup=False)
        yield Static(classes="ends", markup=False)

    def on_click(self) -> None:
        self.post_message(self.Clicked(self))

    def on_resize(self) -> None:
        """Say how the answer ended in as many words as there is room for."""
        self._show_ending()

    def on_mount(self) -> None:
        """Start raw, with the input collapsed."""
        self.query_one(".fed").display = False

    def dress(self, kind: str, title: str) -> None:
        """Set which side this is: its kind is a key of `KINDS` and a CSS class."""
        changed = self.kind != kind
        self.remove_class(*KINDS)
        self.add_class(kind)
        self.kind, self._title = kind, title
        self._show_title()
        self._show_fed()
        if changed and self._ending is not None:  # a hidden side is shown as what it is
            self._given = _drawn(self._turns, kind, open=True)
            self._show_text(self.text, done=True)
            self._show_ending()

    def begin(self, before: tuple[str, ...] = (), strength: float = 1.0) -> None:
        """Clear the pane for a new answer.

        Args:
            before: The turns so far, the last of which is the prompt.
            strength: The adapter's; a side that has one says so if it is not as trained.
        """
        self.text, self._fed, self._dropped, self._state, self._painted = "", "", 0, "", False
        self._turns, self._ending, self._against, self._strength = before, None, None, strength
        self.explain("")
        self._given = _drawn(before, self.kind, open=True)
        self._show_title()
        self._show_fed()
        self._show_text("")
        self._put(".state", "…")
        self.query_one(_Said).following = True

    def fed(self, fed: Fed, lane: str) -> None:
        """Set what this lane was given, and for the base the fingerprint that it was checked with."""
        self._fed, self._num_tokens = fed.texts[lane], fed.num_tokens[lane]
        self._dropped, self._proof = (fed.dropped or {}).get(lane, 0), fed.fingerprint
        self._show_title()
        self._show_fed()

    def toggle_fed(self) -> None:
        """Open or close the exact text that the lane was fed."""
        self._opened = not self._opened
        self._show_title()
        self._show_fed()

    def show_markdown(self, markdown: bool) -> None:
        """Render finished answers as Markdown, or everything raw."""
        self._markdown = markdown
        if self._turns:
            self._show_text(self.text, done=self._ending is not None)

    def try_again(self, answered: Answer, strength: float) -> None:
        """Let the next text replace an answer to the same turns; where it first differs, a word is marked."""
        self._ending, self._painted, self._state = None, False, ""
        self._against, self._mark, self._strength = answered.text, first_difference, strength
        self.explain("")
        self._show_title()

    def explain(self, words: str, cut: int | None = None) -> None:
        """Show how probable an end was, below the caption.

        Args:
            words: The lines.
            cut: The characters of the answer after which another side would have ended it.
        """
        self._put(".ends", words)
        if cut != self._cut:
            self._cut = cut
            if self._ending is not None:
                self._show_text(self.text, done=True)

    def compare(self, other: str | None) -> None:
        """Mark every word of the finished answer that another answer does not have, or none."""
        self._against, self._mark = other, differing_words
        if self._ending is not None:
            self._show_text(self.text, done=True)

    def say(self, text: str, num_tokens: int, seconds: float) -> None:
        """Show the text so far: the first words immediately, then several tokens at a time."""
        self.text, waits = text, bool(self._state)
        self._state = f"▶ {count(num_tokens, 'token')}{_pace(num_tokens, seconds)}"
        if waits:
            return
        if self._painted:
            self.set_timer(PAINT_SECONDS - time.monotonic() % PAINT_SECONDS, self._paint)
        else:
            self._paint()

    def _paint(self) -> None:
        if self._state:  # else the answer has ended
            self._follow()
            self._show_text(self.text)
            self.query_one(".state", Static).update(Content(self._state), layout=False)  # it fits on one line
            self._painted, self._state = True, ""

    def end(self, answer: Answer, seconds: float) -> None:
        """Show how the answer ended."""
        from playground.data.answered import repeats_from

        self.text, self._state = answer.text, ""
        self._ending = (answer, repeats_from(answer.text), _pace(answer.num_tokens, seconds))
        self._show_text(answer.text, done=True)
        self._show_ending()
        if self.query_one(_Said).following:  # no reader has scrolled up
            self.call_after_refresh(self._to_the_beginning)

    def _show_ending(self) -> None:
        if self._ending is not None:
            answer, repeats, pace = self._ending
            long = caption(self.kind, answer, repeats) + pace
            self._put(".state", long if self.size.width >= NARROWEST else how_it_ended(answer, bool(repeats)))

    def _to_the_beginning(self) -> None:
        """Scroll to the last prompt: what a finished answer begins with tells more than what it ends with.

        Of a prompt that would fill the pane only the last two lines are shown.
        """
        scroll = self.query_one(_Said)
        room = scroll.size
        if not room.width or self._markdown:
            scroll.scroll_home(animate=False)
            return
        earlier = _drawn(self._turns[:-1], self.kind)
        first = earlier.get_height({}, room.width) - 1 if earlier.plain else 0  # it ends with a line break
        answer = self._given.get_height({}, room.width) - 2
        scroll.scroll_to(y=first if answer - first < room.height // 2 else answer, animate=False)

    def fail(self, message: str) -> None:
        """Show why there is no text, or why it ended early."""
        self._paint()  # the latest text
        self._put(".state", f"✗ {one_line(message, 300)}")

    def empty(self, words: str) -> None:
        """Show a placeholder."""
        self.begin()
        self.query_one(_Text).put(Content.styled(words, MUTED))
        self._put(".state", "")

    @on(_Line.Clicked)
    def _title_clicked(self, event: _Line.Clicked) -> None:
        event.stop()
        if self.query_one(_Said).size.height:
            self.toggle_fed()
        self.post_message(self.Clicked(self))

    def _show_title(self) -> None:
        fed = KINDS[self.kind] if self.kind else ""
        if self._fed and self.kind != "hidden":
            gone = f" · the oldest {count(self._dropped, 'turn')} did not fit" if self._dropped else ""
            fed += f" · fed {count(self._num_tokens, 'token')}{gone} {'▾' if self._opened else '▸'}"
        strength = f" · λ {self._strength:.2f}" if self.kind == "sft" and self._strength != 1 else ""
        title = Content.assemble((clean(self._title) + strength, "bold"), (f"  {fed}", MUTED))
        self.query_one(".title", Static).update(title)

    def _show_fed(self) -> None:
        self.query_one(".fed").display = shown = self._opened and bool(self._fed) and self.kind != "hidden"
        if shown:
            proof = ""
            if self._proof and self.kind == "base":
                proof = f"✓ verified before this answer, fingerprint {self._proof}\n"
            self._put(".fed", clean(proof + self._fed[:SHOWN]))

    def _show_text(self, text: str, *, done: bool = False) -> None:
        render = self._markdown and done and bool(text)
        plain = self.query_one(_Text)
        plain.display = not render
        shown = clean(text[-SHOWN:])
        self.query(".rendered").remove()
        if render:
            # Importing its parser takes a tenth of the app's start time, and few users need it.
            from markdown_it import MarkdownIt
            from textual.widgets import Markdown

            def parser() -> MarkdownIt:
                # Entities such as &#x202e; would turn into characters that `clean` never saw.
                return MarkdownIt("gfm-like").disable("entity")

            markdown = Markdown(shown, classes="rendered", open_links=False, parser_factory=parser)
            self.query_one(_Said).mount(markdown)
            return
        if len(text) > SHOWN:
            shown = f"… {len(text) - SHOWN:,} earlier characters\n{shown}"
        elif done:
            shown = shown.rstrip("\n") or "(nothing)"
        if self.kind != "base":
            shown = shown.lstrip()  # a base often begins with a space or a line break, which would tell a hidden side
        end = _end(self._ending[0]) if done and self._ending is not None else Content()
        plain.put(self._given + self._marked(shown, done=done) + end)

    def _marked(self, shown: str, *, done: bool) -> Content:
        """Return an answer, with those words marked that the one it is compared with does not have."""
        text = Content(shown)
        if self._cut is not None and done and len(self.text) <= SHOWN:
            at = len(clean(self.text[: self._cut]))
            return text[:at] + Content.styled(CUT, "bold $text-error") + text[at:]
        if self._against is None:
            return text
        for span in self._mark(shown, clean(self._against[-SHOWN:]), grows=not done):
            text = text.stylize(DIFFERS, *span)
        return text

    def _follow(self) -> None:
        """Follow the end of the text, but leave a reader who has scrolled up where they are."""
        scroll = self.query_one(_Said)
        if scroll.following:
            scroll.scroll_end(animate=False)

    def _put(self, where: str, text: str) -> None:
        self.query_one(where, Static).update(Content(text))


def _end(answer: Answer) -> Content:
    """Return what is drawn where an answer ends."""
    if answer.stopped_by_itself:
        return Content.styled(END, "bold reverse")
    return Content.styled(" … still writing", f"italic {MUTED}") if answer.finish_reason == "length" else Content()


def _drawn(texts: tuple[str, ...], kind: str, *, open: bool = False) -> Content:
    """Return turns as a side was given them: the base one running text, the others a conversation of two.

    Args:
        texts: User, model, user, …
        kind: The side, a key of `KINDS`. A hidden side looks like a conversation, whichever it is.
        open: The model's next turn follows.
    """
    pieces: list[tuple[str, str]] = []
    for at, whole in enumerate(texts):
        mine = at % 2 == 0
        gone = len(whole) - TURN
        text = f"… {gone:,} earlier characters\n{clean(whole[-TURN:])}" if gone > 0 else clean(whole)
        if kind == "base":
            goes_on = open and at == len(texts) - 1
            pieces.append((text, "$text-primary" if mine else MUTED))
            pieces.append(("" if goes_on else "\n\n", ""))
        else:
            pieces.append(("You        " if mine else "Assistant  ", MUTED))
            pieces.append((text.strip(), "bold" if mine else MUTED))
            pieces.append(("\n" if mine else "\n\n", ""))
    if open and texts:
        pieces.append((EDGE, "bold $text-primary") if kind == "base" else ("Assistant  ", MUTED))
    return Content.assemble(*pieces)


def _pace(num_tokens: int, seconds: float) -> str:
    return f" · {count(round(num_tokens / seconds), 'token')}/s" if seconds > 0 else ""
