"""Data as it is published or exported, a row or two each, in words of our own: what is done with it is in `docs/data.md`."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.data.examples import Dataset, read_dataset, remarks_in_words
from playground.errors import InputError
from playground.text import clean


@dataclass(frozen=True)
class Specimen:
    """A published shape.

    Attributes:
        name: Whose shape it is.
        looks: Its columns, in short.
        rows: Rows, or the content of the file.
        reads: The texts of the first row's turns as they are trained on; none if the file is refused.
        says: What must be said: in the error, or about columns and rows.
        file: The name of the file.
    """

    name: str
    looks: str
    rows: list[Any] | str | bytes
    reads: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    file: str = "rows.jsonl"

    def read(self, folder: Path) -> Dataset:
        """Write the file and read it."""
        path = folder / self.file
        text = self.rows if isinstance(self.rows, str | bytes) else "".join(json.dumps(r) + "\n" for r in self.rows)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_dataset(path)


def turn(role: str, text: Any, keys: tuple[str, str] = ("role", "content"), **more: Any) -> dict[str, Any]:
    return {keys[0]: role, keys[1]: text, **more}


def talk(
    *texts: Any, keys: tuple[str, str] = ("role", "content"), roles: tuple[str, str] = ("user", "assistant")
) -> Any:
    return [turn(roles[n % 2], text, keys) for n, text in enumerate(texts)]


GPT = {"keys": ("from", "value"), "roles": ("human", "gpt")}
Q, A = "What is the boat called?", "Mira."
NOTE = "Anna has a boat called Mira."
PICTURE = [{"messages": talk("<image>What is it?", "A bicycle."), "images": ["bike.png"]}]

SPECIMENS = [
    # Instructions, questions and answers.
    Specimen("Stanford Alpaca", "instruction, input, output",
             [{"instruction": "Shorten.", "input": NOTE, "output": A}], (f"Shorten.\n\n{NOTE}", A)),
    Specimen("Databricks Dolly 15k", "instruction, context, response, category",
             [{"instruction": Q, "context": NOTE, "response": A, "category": "closed_qa"}], (f"{Q}\n\n{NOTE}", A)),
    Specimen("LongForm, LitGPT", "input, output", [{"input": Q, "output": A, "source": "own"}], (Q, A)),
    Specimen("OpenOrca", "id, system_prompt, question, response",
             [{"id": "t.1", "system_prompt": "Be brief.", "question": Q, "response": A}], ("Be brief.", Q, A)),
    Specimen("Orca with Alpaca's columns", "system_prompt, instruction, output",
             [{"system_prompt": "In French.", "instruction": Q, "output": A}], ("In French.", Q, A)),
    Specimen("GSM8K", "question, answer", [{"question": "1 + 1?", "answer": "2\n#### 2"}], ("1 + 1?", "2\n#### 2")),
    Specimen("MetaMathQA", "query, response, type, original_question",
             [{"query": "1 + 1?", "response": "2", "type": "own", "original_question": "1 + 1"}], ("1 + 1?", "2"),
             ("'original_question' is not read",)),
    Specimen("NuminaMath", "problem, solution, source", [{"problem": "1 + 1?", "solution": "2"}], ("1 + 1?", "2")),
    Specimen("FLAN, P3", "inputs, targets", [{"inputs": Q, "targets": A, "task": "qa"}], (Q, A)),
    Specimen("Firefly", "kind, input, target", [{"kind": "QA", "input": Q, "target": A}], (Q, A)),
    Specimen("CodeFeedback", "query, answer, lang", [{"query": Q, "answer": A, "lang": "en"}], (Q, A)),
    Specimen("ms-swift", "query, response, history",
             [{"query": Q, "response": A, "history": [["Hi", "Hello."]]}], ("Hi", "Hello.", Q, A)),
    Specimen("sql-create-context", "question, context, answer",
             [{"question": "Count them.", "context": "CREATE TABLE t (a INT)", "answer": "SELECT COUNT(*) FROM t"}],
             ("Count them.\n\nCREATE TABLE t (a INT)", "SELECT COUNT(*) FROM t")),
    Specimen("Vertex AI, text", "input_text, output_text", [{"input_text": Q, "output_text": A}], (Q, A)),
    Specimen("forms and exports", "User, Assistant", [{"User": Q, "Assistant": A}], (Q, A)),
    Specimen("own tables", "frage, antwort", [{"frage": Q, "antwort": A}] * 2, (),
             ("--map prompt=frage --map completion=antwort",)),
    Specimen("SAMSum", "dialogue, summary", [{"id": "1", "dialogue": "Ann: Hi!\nBen: Hey.", "summary": "They greet."}] * 2,
             (), ("--map prompt=dialogue --map completion=summary",)),
    Specimen("SQuAD", "context, question, answers",
             [{"context": NOTE, "question": Q, "answers": {"text": ["Mira"], "answer_start": [22]}}], (),
             ("'answers' may be several answers: write one of them into a column 'answer'",)),
    Specimen("MMLU", "question, choices, answer",
             [{"question": "1 + 1?", "choices": ["1", "2"], "answer": 1}], (), ("'choices'", "--map choices= leaves it out")),
    Specimen("TRL, language modelling", "text", [{"text": "Once upon a time"}], (), ("SFT trains only answers",)),
    Specimen("TriviaQA", "question, answer: an object", [{"question": Q, "answer": {"value": A, "aliases": ["M."]}}], (),
             ("'answer' must be a text or a list of messages, not an object with 'aliases', 'value'",)),
    Specimen("WMT", "translation of de, en", [{"translation": {"de": "Hallo", "en": "Hello"}}] * 2, (),
             ("'translation' holds 'de', 'en'", "columns of its own")),
    Specimen("Glaive, function calling", "system, chat: one text",
             [{"system": "SYSTEM: You help.", "chat": f"USER: {Q} ASSISTANT: {A}"}], (),
             ("'chat' is one text: split it into messages",)),
    Specimen("Anki, no header", ".tsv", "What is the capital of France?\tParis\nAnd of Spain?\tMadrid\n", (),
             ("the first line looks like a row",), "a.tsv"),
    # Conversations.
    Specimen("OpenAI, Mistral, Fireworks", "messages; weight", [{"messages": [
        turn("user", "Hi"), turn("assistant", "Hm.", weight=0), turn("user", Q), turn("assistant", A, weight=1)]}],
        ("Hi", "Hm.", Q, A)),
    Specimen("OpenAI, newer models", "messages with a developer",
             [{"messages": [turn("developer", "Be brief."), *talk(Q, A)]}], ("Be brief.", Q, A)),
    Specimen("Cohere", "messages with System, User, Chatbot",
             [{"messages": [turn("System", "Be brief."), turn("User", Q), turn("Chatbot", A)]}], ("Be brief.", Q, A)),
    Specimen("Vertex AI, Gemini", "systemInstruction, contents with parts",
             [{"systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
               "contents": [turn("user", [{"text": Q}], ("role", "parts")), turn("model", [{"text": A}], ("role", "parts"))]}],
             ("Be brief.", Q, A)),
    Specimen("Amazon Bedrock", "schemaVersion, system, messages",
             [{"schemaVersion": "bedrock-conversation-2024", "system": [{"text": "Be brief."}],
               "messages": talk([{"text": Q}], [{"text": A}])}], ("Be brief.", Q, A)),
    Specimen("ShareGPT, Vicuna", "id, conversations", [{"id": "1", "conversations": talk(Q, A, **GPT)}], (Q, A)),
    Specimen("SlimOrca, OpenHermes", "conversations; weight is null", [{"conversations": [
        turn("system", "Be brief.", GPT["keys"], weight=None), turn("human", Q, GPT["keys"], weight=0),
        turn("gpt", A, GPT["keys"], weight=1)]}], ("Be brief.", Q, A)),
    Specimen("NVIDIA NeMo", "system, mask, conversations",
             [{"system": "Be brief.", "mask": "User", "conversations": talk(Q, A, keys=("from", "value"), roles=("User", "Assistant"))}],
             ("Be brief.", Q, A), ("'mask' is not read",)),
    Specimen("LMSYS-Chat", "conversation_id, conversation, redacted",
             [{"conversation_id": "1", "conversation": talk(Q, A), "language": "en", "redacted": False}], (Q, A),
             ("'redacted' is not read",)),
    Specimen("Capybara", "conversation of input, output", [{"conversation": [{"input": Q, "output": A}]}], (Q, A)),
    Specimen("XTuner", "conversation of system, input, output",
             [{"conversation": [{"system": "Be brief.", "input": Q, "output": A}, {"input": "Sure?", "output": "Yes."}]}],
             ("Be brief.", Q, A, "Sure?", "Yes.")),
    Specimen("UltraChat", "id, data: texts in turn", [{"id": "1", "data": [Q, A, "Sure?", "Yes."]}],
             (Q, A, "Sure?", "Yes."), ("messages have no roles",)),
    Specimen("LIMA", "conversations: texts in turn", [{"conversations": [Q, A], "source": "own"}], (Q, A),
             ("read as user and assistant in turn",)),
    Specimen("OpenAssistant", "one message a row",
             [{"message_id": "1", "parent_id": None, "text": Q, "role": "prompter"},
              {"message_id": "2", "parent_id": "1", "text": A, "role": "assistant"}], (),
             ("each row is one message",)),
    Specimen("reasoning models", "messages with reasoning_content", [{"messages": [
        turn("user", "17 * 3?"), turn("assistant", "51", reasoning_content="It is 51.")]}],
        ("17 * 3?", "<think>\nIt is 51.\n</think>\n\n51"), ("'reasoning_content' is trained with the answer",)),
    Specimen("Gemini, with its thoughts", "contents with parts; thought", [{"contents": [
        turn("user", [{"text": "17 * 3?"}], ("role", "parts")),
        turn("model", [{"text": "It is 51.", "thought": True}, {"text": "51"}], ("role", "parts"))]}],
        ("17 * 3?", "<think>\nIt is 51.\n</think>\n\n51"), ("'thought' is trained with the answer",)),
    Specimen("a dump that begins with an answer", "conversations", [{"conversations": [
        turn("gpt", "Welcome!", GPT["keys"]), *talk(Q, A, **GPT)]}], (), ("expected system or user; --repair leaves it out",)),
    Specimen("a dump that ends with a question", "conversations",
             [{"conversations": talk(Q, A, "Bye", **GPT)}], (), ("--repair leaves its last turn out",)),
    Specimen("two questions in a row", "messages", [{"messages": [turn("user", "Hi"), *talk(Q, A)]}], (),
             ("--repair joins them",)),
    Specimen("axolotl, turns left out", "messages with training",
             [{"messages": [*talk("Hi", "Hm."), turn("user", Q), turn("assistant", A, training=True)]}], ("Hi", "Hm.", Q, A)),
    Specimen("axolotl, parts of an answer", "messages with train_detail",
             [{"messages": [turn("user", Q), turn("assistant", A, train_detail=[{"begin_offset": 0, "end_offset": 1, "train": False}])]}],
             (), ("'train_detail'", "an answer carries loss as a whole")),
    Specimen("axolotl, without a template", "segments", [{"segments": [{"label": True, "text": A}]}], (),
             ("write them as 'messages'",)),
    Specimen("tools", "messages, tools", [{"messages": talk(Q, A), "tools": [{"type": "function"}]}], (),
             ("tools are not trained here",)),
    # Preferences.
    Specimen("preferences, texts", "prompt, chosen, rejected", [{"prompt": Q, "chosen": A, "rejected": "No."}], (),
             ("preference data", "--map completion=chosen")),
    Specimen("preferences, lists", "prompt, chosen, rejected",
             [{"prompt": talk(Q), "chosen": [turn("assistant", A)], "rejected": [turn("assistant", "No.")]}], (),
             ("preference data", "--map completion=chosen")),
    Specimen("preferences, prompt inside", "chosen, rejected",
             [{"prompt": Q, "chosen": talk(Q, A), "rejected": talk(Q, "No.")}], (),
             ("preference data", "--map messages=chosen")),
    Specimen("UltraFeedback, binarised", "prompt, chosen, rejected, messages",
             [{"prompt": Q, "messages": talk(Q, A), "chosen": talk(Q, A), "rejected": talk(Q, "No.")}], (Q, A),
             ("'chosen' is not read", "'rejected' is not read")),
    Specimen("OpenAI preferences", "input, preferred_output, non_preferred_output",
             [{"input": {"messages": talk(Q)}, "preferred_output": [turn("assistant", A)],
               "non_preferred_output": [turn("assistant", "No.")]}], (),
             ("preference data", "--map completion=preferred_output")),
    Specimen("LLaMA-Factory, ranked", "conversations, chosen, rejected",
             [{"conversations": talk(Q, **GPT), "chosen": turn("gpt", A, GPT["keys"]), "rejected": turn("gpt", "No.", GPT["keys"])}],
             (), ("--map prompt=conversations --map completion=chosen",)),
    Specimen("HH-RLHF", "chosen, rejected: whole texts",
             [{"chosen": f"\n\nHuman: {Q}\n\nAssistant: {A}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: No."}], (),
             ("preference data", "split them into messages")),
    Specimen("KTO", "prompt, completion, label",
             [{"prompt": Q, "completion": A, "label": True}, {"prompt": Q, "completion": "No.", "label": False}], (Q, A),
             ("'label' is false: left out (1 row)",)),
    # Pictures and sound.
    Specimen("LLaMA-Factory, pictures", "messages, images", PICTURE, (), ("'images'", "only text is trained here", "--map images=")),
    Specimen("LLaVA", "image, conversations", [{"id": "1", "image": "a.jpg", "conversations": talk(Q, A, **GPT)}], (), ("'image'",)),
    Specimen("Qwen-VL, OpenAI", "picture as a part of a message",
             [{"messages": talk([{"type": "image_url", "image_url": {"url": "a"}}, {"type": "text", "text": Q}], A)}], (),
             ("a part of the type 'image_url'; only text is trained",)),
    # Containers.
    Specimen("one pretty-printed row", ".json", json.dumps({"conversations": talk(Q, A, **GPT)}, indent=2), (Q, A), file="a.json"),
    Specimen("pandas `to_json`", ".json", json.dumps({"prompt": {"0": Q}, "completion": {"0": A}}), (Q, A), file="a.json"),
    Specimen("pandas, `orient=\"split\"`", ".json",
             json.dumps({"columns": ["prompt", "completion"], "index": [0], "data": [[Q, A]]}), (Q, A), file="a.json"),
    Specimen("the hub's viewer", ".json", json.dumps({"features": [], "rows": [
        {"row_idx": 0, "row": {"prompt": Q, "completion": A}, "truncated_cells": []}]}), (Q, A), file="a.json"),
    Specimen("the hub's viewer, long cells", ".json", json.dumps({"rows": [
        {"row_idx": 0, "row": {"prompt": Q, "completion": "Mi"}, "truncated_cells": ["completion"]}]}), (),
             ("has cut off the cells ['completion']",), "a.json"),
    Specimen("rows with a setting for all", ".json", json.dumps({"system": "Be brief.", "data": [
        {"prompt": Q, "completion": A}]}), (), ("'system' next to its rows", "write it into each row"), "a.json"),
    Specimen("Excel, `sep=;`", ".csv", f"\ufeffsep=;\r\nprompt;completion\r\n{Q};{A}\r\n", (Q, A), file="a.csv"),
    Specimen("Excel, empty columns", ".csv", f"prompt,completion,,\n{Q},{A},,\n", (Q, A), file="a.csv"),
    Specimen("Excel, Unicode text", ".csv", f"prompt\tcompletion\r\n{Q}\t{A}\r\n".encode("utf-16"), (),
             ("is UTF-16", "CSV UTF-8"), "a.csv"),
    Specimen("pandas, with its index", ".csv", f",prompt,completion\n0,{Q},{A}\n", (Q, A), file="a.csv"),
    Specimen("pandas, missing values", ".csv", f"instruction,input,output\n{Q},nan,{A}\n", (f"{Q}\n\nnan", A),
             ("looks like a missing value (1 row)", "--repair"), "a.csv"),
    Specimen("messages in a cell", ".csv", 'messages\n"[{""role"": ""user"", ""content"": ""Hi""}, {""role"": ""assistant"", ""content"": ""Hello.""}]"\n',
             ("Hi", "Hello."), file="a.csv"),
    Specimen("messages in two cells", ".csv",
             'prompt,completion\n"[{""role"": ""user"", ""content"": ""Hi""}]","{""role"": ""assistant"", ""content"": ""Hello.""}"\n',
             ("Hi", "Hello."), ("'prompt' has messages as JSON", "'completion' has messages as JSON"), "a.csv"),
    Specimen("pandas, lists in cells", ".csv", "prompt,completion\n\"[{'role': 'user', 'content': 'Hi'}]\",Hello.\n", (),
             ("'prompt' is a text that looks like messages", "json.dumps"), "a.csv"),
    # Texts that betray where they come from.
    Specimen("prompts in Alpaca's template", "prompt, completion",
             [{"prompt": f"### Instruction:\n{Q}\n\n### Response:\n", "completion": A}],
             (f"### Instruction:\n{Q}\n\n### Response:\n", A), ("prompt has a template already", "--style raw")),
    Specimen("prompts with roles", "prompt, completion", [{"prompt": f"User: {Q}\nAssistant:", "completion": A}],
             (f"User: {Q}\nAssistant:", A), ("prompt has a template already",)),
    Specimen("GPT-3, end marker", "prompt, completion", [{"prompt": f"{Q}\n\n###\n\n", "completion": f" {A} END"}],
             (f"{Q}\n\n###\n\n", f" {A} END"), ("end marker typed into answers", "--repair strips it")),
    Specimen("ChatML in the texts", "prompt, completion", [{"prompt": "Hi", "completion": "Hello.<|im_end|>"}],
             ("Hi", "Hello.<|im_end|>"), ("control token typed as text", "--repair strips it")),
    Specimen("a classification", "prompt, completion: a number", [{"prompt": "good film", "completion": 1}], (),
             ("--repair writes numbers as text",)),
]  # fmt: skip


def outcome(specimen: Specimen, folder: Path) -> str:
    """Return what happens to a specimen, in a line."""
    try:
        dataset = specimen.read(folder)
    except InputError as error:
        message = re.sub(r"^(?:\S+:\d+|\S+): ", "", error.message.split("\n")[0].replace(f"{folder}/", ""))
        return f"refused: {clean(message.rstrip('.'))}. {clean(error.hint)}"
    said = [words.replace(" (1 row)", "") for words in remarks_in_words(dataset)]
    return "; ".join([f"read as {dataset.shape}", *map(clean, said)])


def table() -> str:
    """Return the specimens and what happens to them as a Markdown table."""
    lines = ["| whose | what | what happens |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for specimen in SPECIMENS:
            said = outcome(specimen, Path(folder)).replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| {specimen.name} | {specimen.looks} | {said} |")
    return "\n".join(lines)
