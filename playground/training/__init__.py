"""The loop, its loss, its checkpoints, its record."""
