"""Base models and adapters in memory."""
