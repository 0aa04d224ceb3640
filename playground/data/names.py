"""Names: what columns, keys and roles of other people's data mean. The one table: no other module knows a name.

Generous with spelling (`fold`), strict with meaning: a name is read without being asked about only if it means one
thing wherever it is used. Other names are guessed (`columns`) and offered as a ready option.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
ROLES: dict[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "usr": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "chatbot": "assistant", "ai": "assistant", "llm": "assistant", "bing": "assistant", "bard": "assistant",
    "claude": "assistant", "gemini": "assistant",
}  # fmt: skip
TOOL_ROLES = {
    "tool", "tools", "function", "function_call", "function_response", "observation", "tool_call", "tool_response",
    "ipython",
}  # fmt: skip
# Columns that are read as they are, the likelier names first. `input` is the context of an instruction, else a prompt.
READ: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "contents", "data"),
    "prompt": (
        "prompt", "instruction", "question", "query", "user", "human", "problem", "input", "inputs", "input_text",
        "user_message",
    ),
    "completion": (
        "completion", "response", "answer", "output", "assistant", "solution", "target", "targets", "output_text",
        "reply", "bot", "gpt", "assistant_message",
    ),
    "context": ("context", "passage", "paragraph", "background"),
    "system": ("system", "system_prompt", "system_message", "system_instruction"),
    "history": ("history",),
    "reasoning": ("reasoning_content", "reasoning", "thinking"),
}  # fmt: skip
# Pairs that are meant where several prompts or answers are there; the others are then reported as unread.
PAIRS = (
    ("instruction", "output"), ("instruction", "response"), ("prompt", "completion"), ("prompt", "response"),
    ("question", "answer"),
)  # fmt: skip
CHOSEN, REJECTED = ("chosen", "preferred_output"), ("rejected", "non_preferred_output")
ROLE_KEYS, CONTENT_KEYS = (
    ("role", "from", "author", "speaker", "sender"),
    ("content", "value", "text", "message", "parts"),
)
WEIGHTS = ("loss_weight", "train", "weight", "training")  # keys of a message that say whether it carries loss
CALLS = ("tool_calls", "function_call")  # keys of a message that make it a tool turn

# Columns and keys that would change what a row means. A shape that reads one says so; else a row with it is refused.
_TOOLS, _MEDIA = "tools are not trained here", "only text is trained here"
_TURN, IN_PROMPT = "write the row as 'messages' with a turn for it", "write it into the prompt"
MEANINGFUL = {
    "tools": _TOOLS, "functions": _TOOLS,
    **dict.fromkeys(("image", "images", "audio", "audios", "video", "videos"), _MEDIA),
    **dict.fromkeys(("image_path", "image_url", "image_file", "pixel_values"), _MEDIA),
    **dict.fromkeys((*READ["system"], "history"), _TURN),
    **dict.fromkeys((*READ["context"], "choices", "options", "input", "document"), IN_PROMPT),
}  # fmt: skip
PER_MESSAGE = {
    **{name: why for name, why in MEANINGFUL.items() if why in (_MEDIA, _TOOLS)},
    "train_detail": "an answer carries loss as a whole",
}
# What a part of a content that is text calls itself: in chats, and in OpenAI's Responses.
TEXT_PARTS = {"text", "input_text", "output_text"}
# Keys of a part of a content, or next to its parts, with which it is more than text.
PER_PART = {
    *PER_MESSAGE, "inline_data", "file_data", "video_url", "audio_url", "input_audio", "function_call",
    "function_response", "executable_code", "code_execution_result",
}  # fmt: skip
# Columns about a row, which are not expected to be learned. Every other unread column is reported.
HARMLESS = {
    "id", "_id", "ids", "idx", "index", "row_id", "uuid", "guid", "hash", "__index_level_0__", "unnamed: 0",
    "unnamed: 0.1",
    "conversation_id", "session_id", "prompt_id", "message_id", "parent_id", "task_id", "user_id", "annotator_id",
    "question_id", "schemaversion",
    "source", "src", "dataset", "origin", "split", "license", "licence", "url", "author", "annotator", "file",
    "filename", "category", "categories", "tag", "tags", "topic", "topics", "domain", "task", "task_type", "type",
    "kind", "lang", "language", "locale", "model", "model_name", "generator", "version", "meta", "metadata",
    "created", "created_at", "updated_at", "timestamp", "date",
    "score", "rating", "quality", "difficulty", "num_tokens", "token_count", "length",
}  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@lru_cache(maxsize=4096)  # a set has few names, and they are compared for every row
def fold(name: str) -> str:
    """Return how a name is compared: without case, surrounding space, and the way in which its words are joined."""
    if name.isascii() and name.islower() and " " not in name and "-" not in name:
        return name
    return re.sub(r"[\s-]+", "_", _CAMEL.sub("_", name.strip())).casefold()


def find(names: Iterable[str], mapping: Mapping[str, Any]) -> str:
    """Return the key of `mapping` that is called by the earliest of `names`, spelled exactly or else folded; or ""."""
    names = tuple(names)
    if found := next((name for name in names if name in mapping), ""):
        return found
    folded = {fold(key): key for key in reversed(list(mapping))}
    return next((folded[name] for name in names if name in folded), "")


def value_of(names: Iterable[str], mapping: Mapping[str, Any]) -> Any:
    """Return the value of the key that `find` finds; None if there is none."""
    key = find(names, mapping)
    return mapping[key] if key else None  # a key may be called "" too


def role_of(said: Any) -> Role | None:
    """Return what the role of a message means, or None."""
    return ROLES.get(fold(said).rstrip(":")) if isinstance(said, str) else None


def is_tool(said: Any) -> bool:
    """Return whether the role of a message is a tool's."""
    return isinstance(said, str) and fold(said) in TOOL_ROLES


def is_harmless(name: str) -> bool:
    """Return whether a column or key is known to be about a row, not part of what is learned."""
    return name.casefold() in HARMLESS or fold(name) in HARMLESS


def not_read(mapping: Mapping[str, Any], read: Collection[str]) -> dict[str, Any]:
    """Return what of a mapping is neither `read`, nor known to be about it, nor empty."""
    return {
        key: value for key, value in mapping.items() if key not in read and not is_empty(value) and not is_harmless(key)
    }


def is_preference(columns: Collection[str]) -> bool:
    """Return whether rows with these columns have a better and a worse answer."""
    folded = {fold(column) for column in columns}
    return bool(folded & set(CHOSEN)) and bool(folded & set(REJECTED))


def is_empty(value: Any) -> bool:
    """Return whether a cell holds nothing."""
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}")
    return value is None or (isinstance(value, list | dict) and not value)
