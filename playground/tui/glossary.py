"""What the screens mean by their words: each term explained once, for the help that F1 opens."""

from __future__ import annotations

_TERMS = {
    "base": "the pre-trained model. It takes your text, exactly as you typed it, for the beginning of a document, and "
    "continues it.",
    "sft": "the same weights with a LoRA adapter, trained on questions and answers (supervised fine-tuning). It gets "
    "your text in the adapter's template, answers it, and ends by itself.",
    "control": "the base, fed the same template: what the template does without any training.",
    "λ": "adapter strength. At 0 sft is the base fed the template, at 1 it is as trained.",
    "■ end": "the model emitted its end token here. A text that was cut off never gets this mark; that an answer ends "
    "by itself is a part of what was trained.",
    "▏": "your text ends here, and the base goes on.",
    "✓ verified": "before each answer a probe runs through both sides; the base's numbers must be "
    "bit-identical to those of the model without an adapter.",
    "p(end)": "how probable it is that the text ends here, by the side's own numbers. ✂ in the base's text is where "
    "sft would have ended it.",
    "blind, duel": "two ways to judge without knowing the side: base and sft unnamed, or several random answers of "
    "sft. With several adapters, they are what is hidden. Votes can be exported for preference training (DPO).",
    "template": "the text around a prompt that tells sft where a question ends and an answer begins.",
    "loss": "how unlikely the right next token is to the model, averaged over trained tokens. 0 is certain.",
    "mask": "only bright tokens carry loss: the answer and its end token. The prompt is read, not trained.",
    "held out": "rows that are measured and never trained. When their loss rises while the other falls, the model "
    "memorises.",
    "plan": "what the run will do and need, found before the weights are loaded; each automatic choice has its reason.",
    "epoch, step": "an epoch is all rows once; a step is one update of the adapter, on one batch of rows.",
    "adapter": "small matrices (LoRA) next to the base's weights. Only they are trained; the base never changes.",
    "samples": "fixed prompts, answered before the first step and during the run, so that the change can be seen.",
    "pause": "the run waits after its step with the model in memory, and can be asked. It then continues exactly as if "
    "it had not paused: the adapter is the same, bit for bit.",
    "run": "one training with its adapter, its record and its checkpoints, in a folder of its own.",
    "greedy": "temperature 0: always the likeliest token. The same prompt then gets the same answer.",
    "seed": "numbers the random choices: the same seed gives the same answer.",
    "gradient": "in which direction, and how strongly, each number of the adapter should change to lower the loss.",
    "A, B": "the two small matrices of LoRA at each layer; their product is added to the layer's weights. B starts at "
    "0, so that A gets no gradient at the first step.",
    "clipped": "a gradient that is larger than the limit is scaled down to it, so that no row throws training off.",
    "learning rate": "how far a step goes. Too small and nothing changes; too large and other answers break.",
    "auto": "left to the plan, which decides by the data, the model and this machine, and gives its reasons.",
}


def _page(about: str, *terms: str) -> str:
    return "\n".join([about, "", *(f"- **{term}**: {_TERMS[term]}" for term in terms)])


COMPARE = _page(
    "One prompt, two sides. Enter sends it, Ctrl+J starts a new line, ↑ ↓ recall earlier prompts. In a window below 60 "
    "columns one pane is open at a time: Esc, Tab or a click open another.",
    "base", "sft", "control", "λ", "■ end", "p(end)", "▏", "✓ verified", "blind, duel",
)  # fmt: skip
TRAIN = _page(
    "Choose a data set with Enter; the right side shows which of its tokens are trained. F5 starts.",
    "mask", "loss", "held out", "plan", "epoch, step", "adapter", "template",
)  # fmt: skip
LOSSES = _page(
    "What each trained token of a row costs: −ln p, how unlikely it is to the base and to the base with the adapter of "
    "the compare screen, in whose template the row is read. Underlined tokens carry loss; bars of one row have one "
    "scale. Nothing is trained. ← and → show another row.",
    "loss", "mask", "held out", "base", "adapter", "template", "■ end",
)  # fmt: skip
COLUMNS = _page(
    "A table says what its columns are called, not what they mean. Choose which has the prompts and which the answers, "
    "or which has whole conversations as messages; the row below shows what would be trained. Enter takes them.",
    "mask",
)
RUN = _page(
    "A run goes on when you leave this screen, and when you quit. Dots are the loss of each step, the line its mean, "
    "diamonds the loss on held-out rows, the filled one the lowest. The filmstrip shows one sample prompt, and its "
    "answer at each sampling step; ↑ ↓ change the prompt, ← → the step, P plays them.",
    "loss", "held out", "samples", "epoch, step", "pause", "base", "sft",
)  # fmt: skip
ASK = _page(
    "One prompt, answered by the base and by the adapter as it was after some of the run's steps.",
    "base", "sft", "epoch, step", "✓ verified",
)  # fmt: skip
RUNS = _page(
    "Runs are kept until you remove them. A run that was stopped continues with R, from its last checkpoint. J K G and "
    "Shift+G move, Q leaves.",
    "run", "loss", "held out", "epoch, step",
)  # fmt: skip
LENS = _page(
    "What base and sft expected at each token of sft's answer, from exact probabilities. ▲ marks a token that sft "
    "expects far more than base, ▼ far less. T changes what the base is fed, B lets it go on from the token.",
    "base", "sft", "template", "■ end", "p(end)",
)  # fmt: skip
FIVE_STEPS = _page(
    "Training on one row, step by step: what the base expects in the place of each trained token, the token, its loss "
    "and its share of the row's, the gradient, and what a real optimiser step changes, here and after other prompts. "
    "Space takes one step on a scratch adapter that is discarded when you leave.",
    "mask", "loss", "adapter", "gradient", "A, B", "clipped", "learning rate", "■ end",
)  # fmt: skip
LEARN = _page(
    "Eight pages about what fine-tuning does. On each, predict what the loaded model will do, with 1 to 4 or a click; "
    "then see it, and why. Every number is computed while the page opens, with a scratch adapter that is never saved. "
    "A page that does not come out on this model says so. At the end you type a prompt of your own.",
    "base", "sft", "template", "■ end", "loss", "mask", "epoch, step", "adapter",
)  # fmt: skip
TEACH = _page(
    "Write what the model should have answered; the next screen teaches it that, one step at a time. Enter goes on, "
    "Ctrl+J starts a new line.",
    "mask", "adapter",
)  # fmt: skip
CURVES = _page("The loss of several runs, smoothed, each with a letter.", "loss", "held out", "epoch, step")
OPTIONS = _page(
    "How the next run trains. An option that you leave as it is keeps its default or your saved setting.",
    "auto", "epoch, step", "adapter", "loss", "held out", "template",
)  # fmt: skip
SETTINGS = _page("How the next answers are generated, on every side.", "greedy", "seed", "template", "blind, duel")
VOTE = _page("Letters vote only while this dialog is open.", "blind, duel")
CHOOSE = _page(
    "↑ ↓ (or J K, G for the first, Shift+G for the last) and Enter choose. Esc or Q changes nothing.",
    "adapter",
    "base",
    "loss",
)
FILES = "Folders, and files with rows: JSON Lines, JSON, CSV, TSV and Parquet. Enter opens a folder or takes a file."
SAVE = "The ending of the name sets the format. A file that already exists is overwritten only by a second Enter."
