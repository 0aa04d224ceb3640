"""Themes in addition to Textual's own, and what makes the text of every theme readable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from textual.color import BLACK, WHITE, Color
from textual.theme import Theme

# Colours of Okabe and Ito, "Color Universal Design" (2008): blue and orange differ for every kind of colour vision.
COLOUR_BLIND = Theme(
    name="colour-blind-safe",
    primary="#56B4E9",
    secondary="#0072B2",
    accent="#E69F00",
    warning="#F0E442",
    error="#D55E00",
    success="#009E73",
    foreground="#E6E6E6",
    background="#101418",
    surface="#181D22",
    panel="#20262C",
)
# 7:1 or more against black for every colour that carries text (WCAG 2.2, AAA).
HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#7FDBFF",
    secondary="#FFFFFF",
    accent="#FFDC00",
    warning="#FFDC00",
    error="#FF9C8F",
    success="#7CFC9A",
    foreground="#FFFFFF",
    background="#000000",
    surface="#000000",
    panel="#1A1A1A",
    text_alpha=1.0,
    variables={"text-muted": "#E0E0E0", "input-selection-background": "#00405F"},
)
THEMES = (HIGH_CONTRAST, COLOUR_BLIND)
DIM = 0.7  # how much of its colour faded text keeps, if that is enough
_TEXTS = ("foreground", "text-primary", "text-accent", "text-success", "text-warning", "text-error")
_FOOTER = ("footer-key-foreground", "footer-foreground", "footer-description-foreground")
_BEHIND = ("background", "surface", "panel")  # what these are written on


def readable(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return a theme's colours of text, moved towards white or black only as far as WCAG 2.2 asks for.

    Args:
        name: The theme's. High contrast needs a ratio of 7 (AAA), others 4.5 (AA).
        variables: The theme's CSS variables.
    """
    return dict(_readable(name, tuple(variables.items())))


@lru_cache(4)  # Textual asks several times while it starts
def _readable(name: str, items: tuple[tuple[str, str], ...]) -> dict[str, str]:
    variables = dict(items)
    if _unknown(variables):
        return {"text-quiet": "ansi_default"}
    least = _least(name)
    behind = [Color.parse(variables[name]) for name in _BEHIND]
    footer = [Color.parse(variables["footer-background"])]
    cursor = Color.parse(variables["block-cursor-background"])
    text = WHITE if _contrast(WHITE, cursor) > 3 else BLACK  # white if a slightly darker row is enough
    texts = {name: _moved(variables[name], _far(behind[0]), behind, least) for name in _TEXTS}
    return {
        **texts,
        **{name: _moved(variables[name], _far(footer[0]), footer, least) for name in _FOOTER},
        "block-cursor-foreground": text.hex,
        "block-cursor-background": _moved(cursor.hex, BLACK if text == WHITE else WHITE, [text], least),
        "text-disabled": variables["text-muted"],  # placeholders
        "text-quiet": Color.parse(texts["foreground"]).with_alpha(fading(name, {**variables, **texts})).hex,
    }


def fading(name: str, variables: Mapping[str, str]) -> float:
    """Return how much of its colour faded text keeps, from `DIM` to 1: Textual's half is too little on light themes."""
    if _unknown(variables):
        return DIM
    behind, text = [Color.parse(variables[name]) for name in _BEHIND], Color.parse(variables["foreground"])
    shares = (step / 20 for step in range(round(20 * DIM), 20))
    enough = (share for share in shares if all(_contrast(b.blend(text, share), b) >= _least(name) for b in behind))
    return next(enough, 1.0)


def _unknown(variables: Mapping[str, str]) -> bool:
    """Whether the colours are the terminal's own, which are not known here."""
    return any(variables[name].startswith("ansi") for name in _BEHIND)


def _least(name: str) -> float:
    return 7.0 if name == HIGH_CONTRAST.name else 4.5


def _far(colour: Color) -> Color:
    return max(WHITE, BLACK, key=lambda other: _contrast(colour, other))


def _moved(name: str, far: Color, behind: list[Color], least: float) -> str:
    colour = Color.parse(name)
    steps = (colour.blend(far, step / 20) for step in range(20))
    return next((mixed for mixed in steps if min(_contrast(mixed, back) for back in behind) >= least), far).hex


def _contrast(one: Color, other: Color) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    parts = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))
