"""Every value that crosses a border (process, file, screen): frozen dataclasses with JSON both ways.

Standard library only, so that a screen or a script can read a run without importing torch. Field
names are Hugging Face's where it has one (``loss``, ``learning_rate``, ``grad_norm``, ``num_tokens``).

Nothing is imported here: a dataclass takes half a millisecond to make, and the app needs few of them to be seen.
"""
