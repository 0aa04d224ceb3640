"""The lesson on a random model, with the real measuring code: no page says of it what base models do."""

import pytest
from test_training import config

from playground.analysis.ask import ask
from playground.analysis.child import Teacher
from playground.analysis.five_steps import FiveSteps
from playground.data.examples import Example, Turn
from playground.data.prompts import Prompt
from playground.events.answers import Sampling
from playground.events.five_steps import TEACHER_EVENTS, Lesson, Served, TeacherError, TeacherStage
from playground.events.values import Json
from playground.inference.lens import Looker, sides
from playground.inference.lineup import load_lineup
from playground.models import demo
from playground.report.learn import PAGES
from playground.report.learn_rules import NO_ADAPTER, Seen
from playground.training.loop import train


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, tiny_folder, write_rows):
    home = tmp_path_factory.mktemp("lesson")
    rows = write_rows(home / "rows.jsonl", 4)
    list(train(config(tiny_folder("llama"), rows, lora_r=2, learning_rate=0.01), home / "mine"))
    return home / "mine"


def walked(lesson):
    """Return each page with what the teacher said for it, as it comes through the pipe."""
    said = []
    teacher = Teacher(said.append)
    for page in PAGES:
        del said[:]
        for number, (what, arguments) in enumerate(page.wants(lesson)):
            as_json = {k: v.to_dict() if isinstance(v, Json) else v for k, v in arguments.items()}
            teacher.serve({"do": what, "id": number, **as_json})
        assert not [event for event in said if isinstance(event, TeacherError)], said
        seen = Seen()
        for event in said:
            if not isinstance(event, Served):
                seen.hear(TEACHER_EVENTS[type(event).__name__].from_dict(event.to_dict()))
        yield page, seen


def shown(page, seen):
    pieces = [*(page.before(seen) if page.before is not None else ()), *page.figures(seen)]
    return "".join(text for text, _ in pieces)


def test_no_page_comes_out_on_a_random_model(tiny_folder, adapter):
    settings = config(tiny_folder("llama"), "unused", learning_rate=5e-4)
    found = {
        page.title: (page.judge(seen), shown(page, seen))
        for page, seen in walked(Lesson(settings.to_dict(), adapter=str(adapter)))
    }
    assert not [title for title, (outcome, _) in found.items() if outcome.came_out]
    choices = {title: outcome.choice for title, (outcome, _) in found.items()}
    assert choices.pop("Which is better?") in (0, 1), "the loss prefers one, though neither is an answer"
    assert choices.pop("The loss") in (1, 3), "the dearest of the bytes is not the end"
    assert choices == {
        "It continues": 3,
        "It knows": 2,
        "The mask": 2,
        "One step": 0,
        "What changed": None,
        "What it cannot": 2,
    }
    assert "no answer that ends" in found["What changed"][0].why
    assert all(text and "\x1b" not in text for _, text in found.values())
    assert "after 3" in found["What it cannot"][1] and "before" in found["One step"][1]


def test_licence_is_shown_before_the_first_use_of_the_demo_model(tiny_folder, monkeypatch):
    said, lesson = [], Lesson(config(tiny_folder("llama"), "unused").to_dict(), "Hi.", "Hello.")
    monkeypatch.setattr(demo, "is_installed", lambda: True)
    monkeypatch.setattr(demo, "is_prepared", lambda: False)
    Teacher(said.append).serve({"do": "open", "id": 1, "lesson": lesson.to_dict()})
    notices = {event.notice for event in said if isinstance(event, TeacherStage)}
    assert notices >= {demo.LICENCE}
    monkeypatch.setattr(demo, "is_prepared", lambda: True)
    assert demo.first_use() == ""


def test_without_an_adapter_pages_about_it_say_so(tiny_folder):
    settings = config(tiny_folder("llama"), "unused", learning_rate=5e-4)
    found = {page.title: (page.judge(seen), shown(page, seen)) for page, seen in walked(Lesson(settings.to_dict()))}
    without = [title for title, (outcome, _) in found.items() if outcome.why == NO_ADAPTER]
    assert without == ["It continues", "What changed", "Which is better?"]
    assert "base" in found["It continues"][1] and "sft" not in found["It continues"][1]


def test_copy_of_an_adapter_answers_as_the_adapter_does(tiny_folder, adapter):
    """The scratch copy of the lesson and the lineup of the compare screen say the same."""
    row = Example((Turn("user", "Name the city."), Turn("assistant", "It is Rome.")), 1)
    steps = FiveSteps.load(config(tiny_folder("llama"), "unused"), row, lambda *a: None, adapter=adapter)
    loaded = load_lineup([adapter], lambda *a: None)
    prompt = Prompt("", "What is 2 plus one?")
    lanes = sides(loaded, prompt)
    base, sft = loaded.engine.answers([lanes.raw, lanes.sft], Sampling(24))
    said, lens = ask(steps.lineup, prompt.prompt, Sampling(24), draws=1, base=True)
    assert (said.prompt, said.base, said.sft) == (prompt.prompt, base, (sft,))
    expected = Looker(loaded, prompt.prompt, "mine", lanes).look([p.id for p in lens.positions], "training")
    assert (lens.adapter, lens.style) == (expected.adapter, expected.style)
    for mine, theirs in zip(lens.positions, expected.positions, strict=True):
        assert (mine.id, mine.sft.rank, mine.base.rank) == (theirs.id, theirs.sft.rank, theirs.base.rank)
        assert (mine.sft.log_p, mine.base.log_p) == pytest.approx((theirs.sft.log_p, theirs.base.log_p), abs=1e-5)
    drawn = [list(ask(steps.lineup, prompt.prompt, Sampling(12, 0.9), draws=2, base=False)) for _ in range(2)]
    assert drawn[0] == drawn[1], "the same seed"
    answered, *lenses = drawn[0]
    assert answered.base is None and len(lenses) == 2 and answered.sft[0].text != answered.sft[1].text
