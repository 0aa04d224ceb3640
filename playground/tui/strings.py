"""What the app says that is not about one answer."""

EXAMPLES = (
    "Explain quantum physics.",
    "What's the capital of France?",
    "The capital of France is",
    "Write a poem about recursion.",
    "Explain neural networks.",
)
WELCOME = "Type a prompt and press Enter, or F2 for an example. The base continues your text; sft answers it."
WELCOME_SINGLE = (
    "Type a prompt and press Enter, or F2 for an example. "
    "Each prompt stands alone: the adapter was trained on single questions."
)
WELCOME_BARE = "Type a prompt and press Enter, or F2 for an example. The base continues your text."
MODEL_WORDS = {"demo": "demo (Gemma 3 270M)"}
NO_ADAPTER = (
    "There is no adapter for this model yet, so there is nothing to compare its base with.\n\n"
    "Ctrl+R trains one, as does  sft-playground train --data mini.jsonl\n"
    "Or press F6 and choose demo-mini, which came with the program."
)
EMPTY = {
    "base": "The base has read a large part of the internet, and nothing else. It takes your text for the beginning "
    "of a page and goes on with it: what comes next?",
    "control": "The same base, fed the template that the adapter was trained with: "
    "what the template does without any training.",
    "sft": "The same weights with a small adapter, trained on questions and good answers. "
    "It takes your text for a question, answers it, and knows when it is done.",
    "hidden": "You will not be told which side this is until you have voted.",
}
HELP = (
    ("Enter", "asks; Ctrl+J begins a new line, ↑ ↓ are earlier prompts"),
    ("Esc", "stops what streams, else moves between the prompt and the panes"),
    ("panes", "arrows scroll; Ctrl+Y copies, Ctrl+T is Markdown, Ctrl+O shows the exact text each side was fed"),
    ("F2 F3", "the next example; the control pane"),
    ("F4", "judge: blind hides which side is which until you vote; a duel shows several sft answers"),
    ("F4 again", "when the answers are there: A to D, T and X vote, U takes the last vote back"),
    ("F5", "asks again: with what you changed, or with the next seed at temperature 0.7"),
    ("F6 Ctrl+G", "another adapter, newest first; another base model"),
    ("F7", "the slider λ: ← → Home End, or the mouse"),
    ("F8 Ctrl+N", "prompts build on each other, each side with its own conversation; begin a new one"),
    ("F9", "temperature, length, seed, template"),
    ("Ctrl+R", "training: choose data, see what carries loss, watch the answers change"),
    ("Ctrl+S", "saves this session as Markdown or JSON Lines"),
    ("Ctrl+P", "every command, and themes"),
    ("Ctrl+C", "copies what is selected, else stops; twice it quits, as does Ctrl+Q"),
    ("base", "the model as it was pre-trained: it continues your text, exactly as you typed it"),
    ("sft", "the same weights with a LoRA adapter: your prompt in its template; it answers and stops"),
    ("control", "the base, fed the template: what the template does without training"),
    ("λ", "how strongly the adapter counts: 0 is the base fed the template, 1 is as trained"),
    ("✓ proven", "before each answer a probe runs through both sides, and the base row must be bit-equal"),
    ("■ stopped", "the model gave its own end token; a text that had to be cut never counts as stopping"),
)
MODES = {
    "open": "Both sides are named.",
    "blind": "Blind: from the next answer on nobody sees which side is which until you vote.",
    "duel": "Duel: from the next prompt on the sft model answers several times, and you choose the best.",
}
# What the palette offers: title, help, action.
COMMANDS = (
    ("Choose an adapter", "newest first, with base, data set, date and loss", "adapter"),
    ("Choose a base model", "those that are on this machine", "model"),
    ("Settings of the next answer", "temperature, length, seed, style", "settings"),
    ("Judge: open, blind or duel", "hide the sides, or let sft answer twice", "judge"),
    ("One turn or several", "whether prompts build on each other", "turns"),
    ("New conversation", "forget what was said", "forget"),
    ("Show or hide the control", "the base, fed the template", "control"),
    ("What each side was fed", "the exact text", "fed"),
    ("Markdown or raw text", "how finished answers are shown", "markdown"),
    ("Save this session", "as Markdown or JSON Lines", "save"),
    ("Copy the answer", "of the focused pane", "copy"),
    ("Export votes on base and sft", "for TRL's DPO trainer", "export_sides"),
    ("Export votes on duels", "for TRL's DPO trainer", "export_duels"),
)
