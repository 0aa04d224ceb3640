"""Which column is which: the columns of a table with a few rows of texts, and a role for those that are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from playground.data.columns import ROLES
from playground.events.inspector import Table
from playground.text import clean, count, one_line
from playground.tui import glossary
from playground.tui.dialogs.base import Dialog

WORDS = {
    "prompt": "prompt",
    "completion": "answer",
    "system": "system",
    "context": "context",
    "messages": "messages",
    "": "",
}
PAIR = ("prompt", "context", "completion")  # roles that messages have in them
# As a row is trained.
SPEAKERS = {"system": "System", "prompt": "You", "context": "", "completion": "Assistant", "messages": "Messages"}
TRAINED = "bold underline $accent"  # as on the training screen
WIDEST = 100  # cells of the dialog, as in the style sheet
SPEAKER, ROLE, NAME = 11, 8, 20  # cells of a speaker, a role and, at most, a column's name


class ColumnsDialog(Dialog[Mapping[str, str] | None]):
    """Returns ``{role: column}`` with at least a prompt and a completion, or messages; or None.

    Args:
        table: The columns and some of their texts.
        roles: The roles to begin with.
    """

    HELP = glossary.COLUMNS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "cancel", tooltip="Back, and read nothing"),
        Binding("enter", "keep", "take it", priority=True, tooltip="Take these columns"),
        Binding("p", "assign('prompt')", "prompt", tooltip="This column has the prompts"),
        Binding("a", "assign('completion')", "answer", tooltip="This column has the answers, which are trained"),
        Binding("s", "assign('system')", "system", tooltip="This column has system prompts"),
        Binding("c", "assign('context')", "context", tooltip="This column has texts that the prompts are about"),
        Binding("m", "assign('messages')", "messages", tooltip="This column has whole conversations, as messages"),
        Binding("space,delete", "assign('')", "none", tooltip="This column is not read"),
        Binding("j", "move(1)", "down", show=False, tooltip="The next column"),
        Binding("k", "move(-1)", "up", show=False, tooltip="The column before"),
    ]

    def __init__(self, table: Table, roles: Mapping[str, str]) -> None:
        super().__init__()
        self._table = table
        self._roles = {role: column for role, column in roles.items() if column in table.columns}

    def compose(self) -> ComposeResult:
        about = f"{one_line(self._table.name, 40)}: which column is the prompt, which the answer?"
        with Vertical(classes="dialog wide"):
            yield Static(about, classes="heading", markup=False)
            yield Static(id="header", classes="columns", markup=False)
            yield OptionList(*("" for _ in self._table.columns), id="columns", compact=True)
            yield Static(id="conversation", markup=False)
            yield Static("", id="problems", markup=False)
            keys = "P prompt  A answer  S system  C context  M messages  Space none  Enter · Esc"
            yield Static(keys, classes="keys", markup=False)

    def on_mount(self) -> None:
        """Begin at the prompt."""
        columns = self.query_one(OptionList)
        columns.focus()
        first = next((self._roles[role] for role in ("prompt", "messages") if role in self._roles), "")
        columns.highlighted = self._table.columns.index(first) if first in self._table.columns else 0
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    @property
    def _width(self) -> int:
        """The cells of a line, without borders and padding."""
        return max(40, min(WIDEST, int(0.96 * self.app.size.width)) - 8)

    def _role_of(self, column: str) -> str:
        return next((role for role, name in self._roles.items() if name == column), "")

    def _draw(self) -> None:
        """Show each column with its role and its texts, and the first row as it would be trained."""
        samples, names = self._table.samples, self._table.columns
        columns = self.query_one(OptionList)
        name = min(NAME, max(cell_len(one_line(column, NAME)) for column in names))
        each = max(8, (self._width - ROLE - name - 4) // max(1, len(samples)) - 2)

        def line(role: str, column: str, texts: list[str]) -> Content:
            cells = [set_cell_size(one_line(text, each), each) for text in texts]
            style = TRAINED if role == "completion" else "bold" if role else "dim"
            shown = set_cell_size(one_line(column, NAME), name)
            return Content.assemble(
                (set_cell_size(WORDS[role], ROLE), "bold"), "  ", (shown, style), "  ", ("  ".join(cells), "dim")
            )

        for at, column in enumerate(names):
            row = line(self._role_of(column), column, [sample[at] for sample in samples])
            columns.replace_option_prompt_at_index(at, row)
        titles = [
            "role".ljust(ROLE),
            "column".ljust(name),
            *(f"row {n}".ljust(each) for n in range(1, len(samples) + 1)),
        ]
        self.query_one("#header", Static).update(Content("  ".join(titles)))
        self.query_one("#conversation", Static).update(self._conversation())

    def _conversation(self) -> Content:
        pieces: list[tuple[str, str]] = [
            (f"{count(self._table.num_rows, 'row')}. The first one is trained as\n", "dim")
        ]
        for role, who in SPEAKERS.items():
            if role not in self._roles and ("messages" in self._roles or role not in ("prompt", "completion")):
                continue
            pieces.append((who.ljust(SPEAKER), "bold"))
            if role in self._roles and self._table.samples:
                text = self._table.samples[0][self._table.columns.index(self._roles[role])]
                shown = one_line(text, self._width - SPEAKER)
                pieces.append((f"{shown}\n", TRAINED if role == "completion" else "dim"))
            else:
                pieces.append((f"no column yet: {WORDS[role][0].upper()} makes one the {WORDS[role]}\n", "dim"))
        return Content.assemble(*pieces)

    def action_move(self, by: int) -> None:
        """Move the highlight."""
        columns = self.query_one(OptionList)
        columns.highlighted = max(0, min(len(self._table.columns) - 1, (columns.highlighted or 0) + by))

    def action_assign(self, role: str) -> None:
        """Give the highlighted column a role, which no other column then has."""
        at = self.query_one(OptionList).highlighted
        if at is None:
            return
        column = self._table.columns[at]
        gone = {role, *(PAIR if role == "messages" else ("messages",) if role in PAIR else ())}
        self._roles = {other: name for other, name in self._roles.items() if name != column and other not in gone}
        if role:
            self._roles[role] = column
        self.query_one("#problems", Static).update("")
        self._draw()

    @on(OptionList.OptionSelected)
    def cycle(self, event: OptionList.OptionSelected) -> None:
        """Give a column that is clicked the next role."""
        order = ("", *ROLES)
        now = self._role_of(self._table.columns[event.option_index])
        self.action_assign(order[(order.index(now) + 1) % len(order)])

    def action_keep(self) -> None:
        """Return the roles, unless one is missing."""
        missing = [WORDS[role] for role in ("prompt", "completion") if role not in self._roles]
        if missing and "messages" not in self._roles:
            said = f"No column is the {' and none the '.join(missing)} yet."
            self.query_one("#problems", Static).update(clean(said))
            return
        self.dismiss({role: self._roles[role] for role in ROLES if role in self._roles})
