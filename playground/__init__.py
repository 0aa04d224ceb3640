"""See what supervised fine-tuning does: a base model and its fine-tuned self, side by side."""

__version__ = "0.1.0"
