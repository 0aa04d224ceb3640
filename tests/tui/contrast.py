"""Contrast of what is on the screen, from the cells as the terminal gets them (WCAG 2.2, 1.4.3)."""

import unicodedata
from dataclasses import dataclass

# Drawn, not read: rules, borders, blocks and the marks of a scrollbar. A braille dot is part of a curve.
_DRAWN = ((0x2500, 0x259F), (0x2800, 0x28FF), (0x1FB00, 0x1FBAF))
DECORATION = set("▏▎▪┼●○■□·│─")  # the same in words elsewhere, or between words


@dataclass(frozen=True)
class Weak:
    """Text on the screen with too little contrast."""

    ratio: float
    text: str
    row: int


def measured(app):
    """Return every piece of text with its contrast; under a dialog nothing is to be read."""
    found, screen = [], app.screen
    whole = screen.query_one(".dialog").region if screen.is_modal else screen.region
    for row, strip in enumerate(screen._compositor.render_strips()[whole.y : whole.bottom], whole.y):
        for text, style, _ in strip.crop(whole.x, whole.right):
            if not any(_is_read(character) for character in text):
                continue
            assert style.color is not None and style.bgcolor is not None, (row, text)
            front, back = style.color.get_truecolor(), style.bgcolor.get_truecolor(foreground=False)
            if style.reverse:
                front, back = back, front
            assert not style.dim, "Textual has blended it"
            found.append(Weak(ratio(front, back), text.strip(), row))
    return found


def _is_read(character):
    code = ord(character)
    drawn = any(first <= code <= last for first, last in _DRAWN) or character in DECORATION
    return not drawn and not unicodedata.category(character).startswith(("Z", "C"))


def ratio(one, other):
    """Return the contrast ratio of two colours, each three numbers from 0 to 255."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
