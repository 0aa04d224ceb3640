"""Dialogs: they open on top of a screen, answer it with a value, and know nothing else of it."""
