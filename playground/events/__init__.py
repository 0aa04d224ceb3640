"""Every value that crosses a boundary (process, file, screen): frozen dataclasses with JSON both ways.

Standard library only, so that a screen or a script can read a run without importing torch. Field
names follow Hugging Face where it has one (``loss``, ``learning_rate``, ``grad_norm``, ``num_tokens``).

Nothing is imported here: each dataclass takes half a millisecond to create, and the first paint needs only a few.
"""
