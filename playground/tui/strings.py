"""Interface texts that are not about a single answer."""

from playground.config import STORY

EXAMPLES = (
    *STORY[:2],
    "The capital of France is",
    "Write a polite email asking for a day off.",
    STORY[2],
    "Explain neural networks.",
)
WELCOME = "Type a prompt and press Enter, or F2 for an example. The base continues your text; sft answers it."
WELCOME_SINGLE = (
    "Type a prompt and press Enter, or F2 for an example. "
    "Each prompt is independent: the adapter was trained on single questions."
)
WELCOME_BARE = "Type a prompt and press Enter, or F2 for an example. The base continues your text."
STRENGTH = "← → change the adapter's strength, and the last prompt is tried with it. Esc goes back to the prompt."
WHY = "Ctrl+L shows why: what each side expected at every word of the answer."
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
}
HELP = (
    ("Enter", "sends; Ctrl+J starts a new line, ↑ ↓ recall earlier prompts"),
    ("Esc", "stops generating, or switches between the prompt and the panes"),
    ("panes", "arrows scroll; Ctrl+Y copies, Ctrl+O shows the exact text each side was fed"),
    ("Ctrl+T", "Markdown, then the words that differ between adapters, then the raw text again"),
    ("Alt+↑ Alt+↓", "earlier and later exchanges of this session"),
    ("Ctrl+L", "why: what base and sft expected at every word of the answer"),
    ("F2 F3", "the next example; the control pane"),
    ("F4", "judge: blind hides which side is which until you vote; a duel shows several sft answers"),
    ("F4 again", "once the answers are complete: A to D, T and X vote, U undoes the last vote"),
    ("F5", "asks again: with your changes, or with the next seed at temperature 0.7"),
    ("F6 Ctrl+G", "other adapters, newest first, up to four with Space; another base model"),
    ("F7", "the slider λ: ← → Home End, or the mouse; the last prompt is tried at each strength, Enter asks in full"),
    ("F8 Ctrl+N", "multi-turn on/off, each side with its own conversation; start a new one"),
    ("F9", "temperature, length, seed, template"),
    ("Ctrl+R", "training: choose data, see which tokens carry loss, watch the answers change"),
    ("Ctrl+S", "saves this session as Markdown or JSON Lines"),
    ("Ctrl+P", "every command, and themes"),
    ("Ctrl+C", "copies the selection, or stops; press it twice to quit, or Ctrl+Q"),
    ("base", "the pre-trained model: it continues your text, exactly as you typed it"),
    ("sft", "the same weights with a LoRA adapter: your prompt in its template; it answers and stops"),
    ("control", "the base, fed the template: what the template does without training"),
    ("λ", "adapter strength: 0 is the base fed the template, 1 is as trained"),
    ("✓ verified", "before each answer a probe runs through both sides; the base row must be bit-identical"),
    ("■ end", "the model emitted its own end token here; a text that was cut off never gets this mark"),
    ("p(end)", "how probable it is that the text ends here; ✂ is where sft would have ended the base's text"),
    ("▏", "your text ends here, and the base goes on"),
)
MODES = {
    "open": "Both sides are named.",
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
# Palette commands: title, help, action.
COMMANDS = (
    ("Choose an adapter", "newest first, with base, data set, date and loss", "adapter"),
    ("Choose a base model", "models on this machine", "model"),
    ("Settings for the next answer", "temperature, length, seed, style", "settings"),
    ("Judge: open, blind or duel", "hide the sides, or let sft answer twice", "judge"),
    ("Single-turn or multi-turn", "whether prompts build on each other", "turns"),
    ("New conversation", "clear the conversation", "forget"),
    ("Show or hide the control", "the base, fed the template", "control"),
    ("Why did it say that?", "what base and sft expected at every word", "why"),
    ("What each side was fed", "the exact text", "fed"),
    ("Raw, Markdown or differences", "how finished answers are shown", "view"),
    ("Save this session", "as Markdown or JSON Lines", "save"),
    ("Copy the answer", "from the focused pane", "copy"),
    ("Export votes on base and sft", "for TRL's DPO trainer", "export_sides"),
    ("Export votes on duels", "for TRL's DPO trainer", "export_duels"),
)
