"""Themes in addition to Textual's own: high contrast, and one with colour-blind-safe sides."""

from __future__ import annotations

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
    variables={"text-muted": "#E0E0E0", "footer-key-foreground": "#FFDC00"},
)
THEMES = (HIGH_CONTRAST, COLOUR_BLIND)
