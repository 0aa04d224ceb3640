"""A model's tokenizer without the model: enough to count tokens and to show what would be trained."""

from __future__ import annotations

from functools import lru_cache

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from playground.errors import InputError
from playground.events.values import Progress
from playground.models import source
from playground.models.source import Source


def load_tokenizer(name: str, progress: Progress = lambda stage, share: None) -> tuple[PreTrainedTokenizerBase, int]:
    """Return the tokenizer of a model and the id of the token that ends its texts.

    Raises:
        InputError: If `name` is not a model, cannot be loaded, or has no end token.
        EnvironmentFault: If the hub or the disk cannot be used.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    return open_tokenizer(source.resolve(name, progress))


@lru_cache(maxsize=1)  # the plan and the model need the same one, and a large one takes a second
def open_tokenizer(where: Source) -> tuple[PreTrainedTokenizerBase, int]:
    """Return the tokenizer of the model at `where`, and its end token; see `load_tokenizer`."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(where.location, trust_remote_code=False)
        end = tokenizer.eos_token_id
        if end is None:
            end = AutoConfig.from_pretrained(where.location, trust_remote_code=False).eos_token_id
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise source.explain(error, where) from error
    if not isinstance(end, int):
        raise InputError(f"{where.name} has no end token.", "A model that cannot end a text cannot learn to stop.")
    return tokenizer, end
