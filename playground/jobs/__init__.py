"""Child processes that speak JSON lines. The app never imports torch; its children do."""
