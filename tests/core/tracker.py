"""The peak memory of tensors without content: what a forward and a backward pass would hold at once."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """Counts the storages that operators make in the block, until they are freed.

    Args:
        model: Its parameters and buffers are not counted.

    Attributes:
        peak: The most bytes at one time.
    """

    def __init__(self, model):
        super().__init__()
        self.now = self.peak = 0
        self._sizes = {t.untyped_storage()._cdata: 0 for t in [*model.parameters(), *model.buffers()]}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage):
        if (key := storage._cdata) in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, key)

    def _freed(self, key):
        self.now -= self._sizes.pop(key, 0)
