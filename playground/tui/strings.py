"""Interface texts that are not about a single answer."""

from playground.config import STORY

# Chosen by measuring: the base's first sentence is no answer, and the shipped adapter's answer reads well. Those of the
# story follow.
EXAMPLES = (
    STORY[0],
    "Do you sleep at night?",
    "Text my mother that I arrived safely.",
    "Give me five names for a cat.",
    "Write a polite email asking for a day off.",
    "The capital of France is",
    *STORY[1:],
    "Explain neural networks.",
)
WELCOME = "Type a prompt and press Enter, or F2 for an example. The base continues your text; sft answers it."
WELCOME_SINGLE = (
    "Type a prompt and press Enter, or F2 for an example. "
    "Each prompt is independent: the adapter was trained on single questions."
)
WELCOME_BARE = "Type a prompt and press Enter, or F2 for an example. The base continues your text."
LESSON = "New here? F12 is a lesson on eight pages: what fine-tuning does"
STRENGTH = "← → change the adapter's strength, and the last prompt is tried with it. Esc goes back to the prompt."
WHY = "Ctrl+L shows why: what each side expected at every word of the answer."
NO_MODEL = "no model is loaded · F5 tries again · Ctrl+G chooses another"
MODEL_WORDS = {"demo": "demo (Gemma 3 270M)"}
NO_ADAPTER = (
    "There is no adapter for this model yet, so there is nothing to compare the base with.\n\n"
    "Ctrl+R trains one; so does  sft-playground train --data mini.jsonl\n"
    "Or press F6 and choose demo-curated, which is included."
)
EMPTY = {
    "base": "The base has read a large part of the internet, and nothing else. It treats your text as the start "
    "of a page and continues it: what comes next?",
    "control": "The same base, fed the template that the adapter was trained with: "
    "it shows what the template does without any training.",
    "sft": "The same weights with a small adapter, trained on questions and good answers. "
    "It treats your text as a question, answers it, and knows when to stop.",
    "hidden": "You will see which side this is after you vote.",
    "no model": "No model is loaded, so nothing can be asked yet. The line below says why, and what to do.",
}
MODES = {
    "open": "Open: from the next answer on, both sides are named.",
    "blind": "Blind: from the next answer on, the sides stay hidden until you vote.",
    "duel": "Duel: from the next prompt on, the sft model answers several times, and you choose the best.",
}
MODES_OF_SEVERAL = {
    "open": "Base and adapters are named.",
    "blind": "Blind: from the next answer on, the adapters stay hidden until you vote.",
    "duel": "Duel: from the next prompt on, the adapters answer at random, hidden until you vote.",
}
VIEWS = {
    "raw": "Answers as they are. Ctrl+T shows them as Markdown.",
    "Markdown": "Answers as Markdown.",
    "differences": "Marked: words that the first adapter's answer lacks, and in it those that the second's lacks.",
}
# What no key does, for the palette: title and action.
EXPORTS = (
    ("Export votes on base and sft, for TRL's DPO trainer", "export_sides"),
    ("Export votes on duels, for TRL's DPO trainer", "export_duels"),
)
