"""The state of the app without widgets, so that it is tested alone."""
