"""The bytes of an adapter, to be compared."""

import hashlib


def digest(folder):
    """Return the sha256 of the weights in a run's folder."""
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()
