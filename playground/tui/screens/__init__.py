"""Screens: compare, train, run and ask. Dialogs are in `playground.tui.dialogs`."""
