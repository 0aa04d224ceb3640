"""Columns of any name: which is the prompt and which the answer, guessed from their names, then from their texts."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from playground.data.names import HARMLESS

# What a column can be, with the names that columns of this kind have: the likelier ones first, case-folded.
NAMES: dict[str, tuple[str, ...]] = {
    "completion": (
        "completion", "response", "answer", "output", "reply", "assistant", "chosen", "bot", "gpt", "target",
        "antwort", "ausgabe", "réponse", "reponse", "sortie", "respuesta", "salida", "risposta", "resposta", "saída",
        "antwoord", "svar", "vastaus", "odpowiedź", "odpověď", "válasz", "cevap", "yanıt", "ответ", "відповідь",
        "回答", "答案", "答え", "応答", "输出", "답변", "응답", "대답", "उत्तर", "جواب", "الجواب", "إجابة", "תשובה",
    ),
    "prompt": (
        "prompt", "instruction", "question", "query", "user", "human", "request", "input",
        "frage", "aufgabe", "anweisung", "eingabe", "demande", "consigne", "entrée", "pregunta", "instrucción",
        "consulta", "entrada", "domanda", "richiesta", "pergunta", "instrução", "vraag", "opdracht", "fråga",
        "spørgsmål", "spørsmål", "kysymys", "pytanie", "otázka", "kérdés", "soru", "вопрос", "запрос", "питання",
        "質問", "问题", "問題", "提问", "指令", "输入", "질문", "प्रश्न", "سؤال", "السؤال", "שאלה",
    ),
    "context": (
        "context", "passage", "background", "kontext", "contexte", "contexto", "contesto", "контекст", "上下文",
        "文脈", "문맥", "input", "eingabe",
    ),
    "system": ("system", "system_prompt", "sistema", "système", "系统"),
}  # fmt: skip
WEAKER = {  # names that mean it only where no better one is there
    "completion": ("summary", "translation", "label", "zusammenfassung", "übersetzung"),
    "prompt": ("title", "titel", "document", "article", "text"),
}
ROLES = ("prompt", "completion", "system", "context", "messages")
GENERIC = {"text", "content"}  # a last word that says nothing, as in question_text
OPPOSITES = {"rejected", "incorrect", "wrong", "bad", "negative"}  # words of columns that must not be learned
_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]+")
_ADDRESS = re.compile(r"\s*(?:https?://|www\.)\S+\s*")


def guess(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return which column is the prompt, which the completion, and which, if any, the system text and the context.

    Args:
        rows: Some rows.

    Returns:
        ``{role: column}`` with at least ``prompt`` and ``completion``; empty if there are no two columns of texts.
    """
    texts = {column: found for column in columns(rows) if (found := _texts(row.get(column) for row in rows))}
    often = [column for column, found in texts.items() if 2 * len(found) >= len(rows)]
    roles: dict[str, str] = {}
    for role, names in NAMES.items():
        free = [column for column in (often if role in ("prompt", "completion") else texts) if _is_free(column, roles)]
        if named := _named(free, names, WEAKER.get(role, ())):
            roles[role] = named
    rest = [column for column in often if _is_free(column, roles)]
    rest = [column for column in rest if not _is_metadata(column)] or rest
    rest.sort(key=lambda column: -_mean(texts[column]))
    if "prompt" not in roles and "completion" not in roles:
        if len(rest) < 2:
            return {}
        # A question is asked, and is shorter than its answer.
        roles["prompt"], roles["completion"] = sorted(
            rest[:2], key=lambda column: (-round(_asks(texts[column]), 1), _mean(texts[column]))
        )
    for role in ("prompt", "completion"):
        if role not in roles:
            if not (left := [column for column in rest if column not in roles.values()]):
                return {}
            roles[role] = left[0]
    return {role: roles[role] for role in ROLES if role in roles}


def columns(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns of `rows`, in the order of their first occurrence."""
    return tuple(dict.fromkeys(column for row in rows for column in row))


def renamings(roles: Mapping[str, str]) -> tuple[str, ...]:
    """Return the option `columns` that reads each column of ``{role: column}`` in its role."""
    order = ("prompt", "context", "completion", "system", "messages")
    return tuple(f"{role}={roles[role]}" for role in order if role in roles)


def as_flags(renamings: Iterable[str]) -> str:
    """Return what to type on the command line for the option `columns`."""
    return " ".join(f"--map {shlex.quote(text)}" for text in renamings)


def _words(column: str) -> list[str]:
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFC", column))
    return [word.casefold() for word in _WORD.findall(spaced)]


def _named(columns: Sequence[str], names: Sequence[str], weaker: Sequence[str]) -> str:
    """Return the column that is called by the earliest of `names`, else ends in one, else is called by a weaker one."""
    whole = {unicodedata.normalize("NFC", column).strip().casefold(): column for column in columns}
    ends = {_last_word(column): column for column in columns if not _is_metadata(column)}
    keys = ((whole, names), (ends, names), (whole, weaker))
    return next((found[name] for found, known in keys for name in known if name in found), "")


def _last_word(column: str) -> str:
    words = _words(column)
    return next((word for word in reversed(words) if word not in GENERIC), "")


def _is_free(column: str, roles: Mapping[str, str]) -> bool:
    return column not in roles.values() and not OPPOSITES & set(_words(column))


def _is_metadata(column: str) -> bool:
    return column.casefold() in HARMLESS or _words(column)[-1:] in [[name] for name in HARMLESS]


def _texts(values: Iterable[Any]) -> list[str]:
    """Return the values that are not empty, or nothing unless most of them are texts in a language."""
    filled = [value for value in values if value not in (None, "")]
    texts = [value for value in filled if isinstance(value, str) and _WORD.search(value)]
    said = [text for text in texts if not _ADDRESS.fullmatch(text)]
    return texts if 2 * len(said) > len(filled) else []


def _mean(texts: Sequence[str]) -> float:
    return sum(map(len, texts)) / len(texts)


def _asks(texts: Sequence[str]) -> float:
    """Return the share of texts that end with a question mark."""
    return sum(text.rstrip().endswith(("?", "？", "؟")) for text in texts) / len(texts)
