"""The style ``tokenizer``: a model's own chat template, which is a program written by the model's authors.

It runs in a child process with limits on time and memory, and never sees what users write: it is
rendered once for each sequence of roles, around placeholders, and the text between these is the style.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.data.segments import Segment
from playground.data.talk import Turn
from playground.errors import InputError
from playground.text import one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SECONDS, MEGABYTES, MAX_CHARACTERS = 5, 512, 100_000
TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json")  # of a folder that has a template of its own
MAX_BYTES = 1 << 20  # of such a file
_HINT = "Use --style chat, which works with every model."

# Sandboxed as in transformers: no Python attribute is reachable. Besides Jinja's own filters, a template can
# call what chat templates actually call; the date is fixed, so that a style stays the same.
_CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
try:
    resource.setrlimit(resource.RLIMIT_AS, ({bytes}, {bytes}))
except (ValueError, OSError):
    pass  # macOS has no such limit; the time limit remains
from datetime import datetime
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
class Generation(Extension):
    tags = {{"generation"}}  # marks what carries loss; that is decided elsewhere
    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)
def refuse(message):
    raise ValueError(message)
job = json.load(sys.stdin)
jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
jinja.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False)
jinja.globals.update(raise_exception=refuse, strftime_now=lambda form: datetime(2026, 1, 1).strftime(form))
try:
    text = jinja.from_string(job.pop("template")).render(**job)
    answer = {{"text": text[:{characters}]}}
except Exception as error:
    answer = {{"error": f"{{type(error).__name__}}: {{error}}"[:300]}}
json.dump(answer, sys.stdout)
"""


@dataclass
class TemplateStyle:
    """The chat template of a tokenizer, split into pieces. See `Style` for the attributes."""

    template: str
    special: dict[str, str]  # such as bos_token, which templates may use
    tokens: frozenset[str]  # control tokens of the tokenizer, as text
    whose: str = "This model's"  # for messages
    name: str = "tokenizer"
    lead_in: str = ""
    closing: str = ""
    begins: bool = True
    stop_strings: tuple[str, ...] = ()
    _pieces: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, template: str = "") -> TemplateStyle:
        """Return the style of `template`, by default the chat template of `tokenizer`.

        Raises:
            InputError: If there is none, or it cannot be rendered within its limits.
        """
        whose = "The adapter's own" if template else cls.whose
        template = template or _default(tokenizer.chat_template)
        if not template:
            raise InputError("This model's tokenizer has no chat template.", _HINT)
        special: dict[str, str] = {
            key: str(value) for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str)
        }
        style = cls(template, special, frozenset(map(str, tokenizer.added_tokens_encoder)), whose)
        style.closing = style._closing(style._around(("user", "assistant"))[-1])
        return style

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the segments; see `Style.render`.

        An answer has the same prefix in training and in chat, because both are taken from
        a rendering that includes the answer.

        Raises:
            InputError: If the template renders an earlier answer differently from the last one.
        """
        roles = tuple(turn.role for turn in turns)
        asked = roles if roles[-1] == "assistant" else (*roles, "assistant")
        pieces = self._around(asked)
        segments: list[Segment] = []
        for index, role in enumerate(asked):
            before = pieces[index]
            if index and asked[index - 1] == "assistant":
                # The end token of the previous answer is written by the encoder.
                before = self._after_end(before)
            segments.append(Segment(before, control=True))
            if role == "assistant" and index < len(turns):
                self._require_like_alone(asked, index, pieces)
            if index < len(turns):
                segments.append(Segment(turns[index].content.strip(), index if role == "assistant" else None))
        return segments

    def _require_like_alone(self, roles: tuple[str, ...], index: int, pieces: list[str]) -> None:
        alone = self._around(roles[: index + 1])
        if alone[: index + 1] != pieces[: index + 1]:
            raise InputError(
                f"{self.whose} chat template renders an earlier answer differently from the last one.",
                "Use --style chat for conversations of several turns.",
            )

    def _after_end(self, text: str) -> str:
        _, token, rest = text.partition(self.closing) if self.closing else ("", "", text)
        return rest if token else text

    def _closing(self, after: str) -> str:
        """Return the first control token after an answer; empty for the model's own end token."""
        found = [(at, -len(token), token) for token in self.tokens if (at := after.find(token)) >= 0]
        return min(found)[2] if found else ""

    def _around(self, roles: tuple[str, ...]) -> list[str]:
        """Return the text of the template before, between and after the contents of `roles`."""
        if roles not in self._pieces:
            marks = [f"p{secrets.token_hex(8)}q" for _ in roles]
            messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
            rest = self._run(messages)
            pieces = []
            for mark in marks:
                before, found, rest = rest.partition(mark)
                if not found or mark in rest:
                    raise InputError(f"{self.whose} chat template does not contain each message exactly once.", _HINT)
                pieces.append(before)
            self._pieces[roles] = [*pieces, rest]
        return self._pieces[roles]

    def _run(self, messages: list[dict[str, str]]) -> str:
        job = {"template": self.template, "messages": messages, "add_generation_prompt": False, **self.special}
        code = _CHILD.format(seconds=SECONDS, bytes=MEGABYTES << 20, characters=MAX_CHARACTERS)
        try:
            child = subprocess.run(  # noqa: S603 - our own interpreter and code; the template is data to it
                [sys.executable, "-I", "-c", code],
                input=json.dumps(job), capture_output=True, text=True, timeout=4 * SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise InputError(f"{self.whose} chat template takes too long to render.", _HINT) from None
        try:
            answer: dict[str, Any] = json.loads(child.stdout)
        except ValueError:
            why = "ran out of time or memory" if child.returncode else "printed unexpected output"
            raise InputError(f"{self.whose} chat template cannot be rendered: it {why}.", _HINT) from None
        if "error" in answer:
            why = one_line(answer["error"], 200)
            raise InputError(f"{self.whose} chat template refuses the conversation: {why}", _HINT)
        return str(answer["text"])


def template_in(folder: Path) -> str:
    """Return the chat template that trainers save with an adapter; empty if `folder` has none.

    Raises:
        InputError: If a file that should hold it cannot be read.
    """
    jinja, config = (folder / name for name in TEMPLATE_FILES)
    try:
        if jinja.is_file():
            return _text(jinja)
        found = json.loads(_text(config)) if config.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The chat template in {folder.name} cannot be read: {error}.", "Remove it.") from None
    return _default(found.get("chat_template")) if isinstance(found, dict) else ""


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes")
    return path.read_text("utf-8")


def _default(template: Any) -> str:
    """Return the template for plain conversations, if there are several by name."""
    if isinstance(template, list):
        template = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
    if isinstance(template, dict):
        template = template.get("default")
    return template if isinstance(template, str) else ""
