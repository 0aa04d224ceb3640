"""A line chart of dots in braille characters, on real axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from textual.content import Content
from textual.widget import Widget

# The bit of each dot in a braille character, by column and row (Unicode 16.0, block 2800).
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
LEFT = 6  # cells of labels
LETTERS = "ABCDEF"
STYLES = (
    "$text-primary",
    "$text-accent",
    "$text-success",
    "$text-warning",
    "$text-error",
    "$foreground",
)  # of the curves in a shared chart
Point = tuple[float, float]


class Chart(Widget):
    """Loss over steps: raw values as dots, smoothed ones as a line, held-out ones as marks, and a cursor."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._dots: Sequence[Point] = ()
        self._lines: Sequence[tuple[Sequence[Point], str]] = ()
        self._marks: Sequence[tuple[Point, str, str]] = ()
        self._end = 1
        self._cursor: int | None = None

    def show(
        self,
        dots: Sequence[Point],
        line: Sequence[Point],
        end: int,
        *,
        cursor: int | None = None,
        marks: Sequence[Point] = (),
        lowest: Point | None = None,
    ) -> None:
        """Draw.

        Args:
            dots: Raw values.
            line: Values joined by a line.
            end: The last step of the run.
            cursor: A marked step.
            marks: A few other values, drawn as diamonds.
            lowest: The lowest of them, drawn as a filled diamond.
        """
        self._dots, self._lines, self._end, self._cursor = dots, [(line, "bold")], max(1, end), cursor
        self._marks = [(point, "◆" if point == lowest else "◇", "$text-accent") for point in marks]
        self.refresh()

    def show_together(self, curves: Sequence[Sequence[Point]]) -> None:
        """Draw several curves, each in its own colour and with its letter, starting from A, at its end."""
        self._dots, self._cursor = (), None
        self._lines = list(zip(curves, STYLES, strict=False))
        ends = zip(self._lines, LETTERS, strict=False)
        self._marks = [(curve[-1], letter, f"bold {style}") for (curve, style), letter in ends if curve]
        self._end = max((round(x) for (x, _), _, _ in self._marks), default=1) or 1
        self.refresh()

    def _points(self) -> Iterable[Point]:
        yield from self._dots
        for line, _ in self._lines:
            yield from line
        yield from (point for point, _, _ in self._marks)

    def render(self) -> Content:
        """Draw axes, labels and points."""
        width, height = self.size.width - LEFT, self.size.height - 2
        if width < 8 or height < 2:
            return Content("")
        top = nice(max((y for _, y in self._points()), default=1.0))
        raw, smooth = _Canvas(width, height), [_Canvas(width, height) for _ in self._lines]
        for x, y in self._dots:
            raw.dot(x / self._end, y / top)
        for canvas, (line, _) in zip(smooth, self._lines, strict=True):
            canvas.join((x / self._end, y / top) for x, y in line)
        marked = {
            (round((1 - y / top) * (height - 1)), round(x / self._end * (width - 1))): (mark, style)
            for (x, y), mark, style in self._marks
            if 0 <= y <= top and 0 <= x <= self._end  # also excludes NaN
        }
        at = None if self._cursor is None else round(self._cursor / self._end * (width - 1))
        pieces: list[tuple[str, str]] = []
        for row in range(height):
            label = {0: f"{top:g}", height // 2: f"{top * (1 - (height // 2) / height):.2g}"}.get(row, "")
            pieces.append((f"{label:>{LEFT - 1}}┤" if label else " " * (LEFT - 1) + "│", "dim"))
            for column in range(width):
                lines = zip(smooth, self._lines, strict=True)
                here = ((canvas.cells[row][column], style) for canvas, (_, style) in lines)
                bits, style = next((cell for cell in here if cell[0]), (0, ""))
                if (row, column) in marked:
                    pieces.append(marked[row, column])
                elif bits:
                    pieces.append((chr(0x2800 + (bits | raw.cells[row][column])), style))
                elif raw.cells[row][column]:
                    pieces.append((chr(0x2800 + raw.cells[row][column]), "dim"))
                else:
                    pieces.append(("╎", "dim") if column == at else (" ", ""))
            pieces.append(("\n", ""))
        pieces.append((f"{'0':>{LEFT - 1}}└{'─' * width}\n", "dim"))
        half, end = f"{self._end / 2:g}", str(self._end)
        middle = width // 2
        numbers = f"{'0':<{middle}}{half:<{max(0, width - middle - len(end))}}{end}"
        pieces.append((" " * LEFT + numbers[:width], "dim"))
        return Content.assemble(*pieces)


class _Canvas:
    """Dots, two by four in a cell; coordinates go from 0 to 1, upwards."""

    def __init__(self, width: int, height: int) -> None:
        self.cells = [[0] * width for _ in range(height)]
        self._width, self._height = 2 * width, 4 * height

    def dot(self, x: float, y: float) -> None:
        if not (0 <= x <= 1 and 0 <= y <= 1):  # also excludes NaN
            return
        column, row = round(x * (self._width - 1)), round((1 - y) * (self._height - 1))
        self.cells[row // 4][column // 2] |= _BITS[column % 2][row % 4]

    def join(self, points: Iterable[Point]) -> None:
        before: Point | None = None
        for point in points:
            if before is None:
                self.dot(*point)
            else:
                steps = max(
                    1, round(abs(point[0] - before[0]) * self._width), round(abs(point[1] - before[1]) * self._height)
                )
                for n in range(1, steps + 1):
                    share = n / steps
                    self.dot(before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1]))
            before = point


def nice(value: float) -> float:
    """Return the smallest of 1, 1.5, 2, 3, 4, 5, 8 times a power of ten that is at least `value`, or 1 if invalid."""
    if not (0 < value < math.inf):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 8, 10) if step * power >= value * 0.999)
