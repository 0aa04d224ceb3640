"""The terminal app. It never imports torch: models live in child processes."""
