"""The lesson's machine time: what every page wants, one after the other, in the process that serves it in the app.

    python benchmarks/lesson.py ADAPTER [figures]

Prints for each page the seconds until it could be shown and whether it came out, with ``figures`` also what it would
show; then the seconds of all pages, of the child's processors, and the child's memory.
"""

from __future__ import annotations

import resource
import sys
import time

from playground.config import TrainConfig
from playground.events.five_steps import Lesson, Served, TeacherError
from playground.jobs.teacher import TeacherProcess
from playground.report.learn import PAGES
from playground.report.learn_rules import Seen


def main(adapter: str, *, figures: bool) -> None:
    lesson = Lesson(TrainConfig().to_dict(), adapter=adapter)
    began = time.monotonic()
    teacher = TeacherProcess()
    events = teacher.events()
    for page in PAGES:
        opened, seen = time.monotonic(), Seen()
        left = {getattr(teacher, what)(**arguments) for what, arguments in page.wants(lesson)}
        while left:
            event = next(events)
            if isinstance(event, TeacherError):
                raise SystemExit(f"{event.message} {event.hint}")
            if isinstance(event, Served):
                left.discard(event.request)
            else:
                seen.hear(event)
        outcome = page.judge(seen)
        said = "came out" if outcome.came_out else outcome.why or "did not come out"
        print(f"{page.title:<18}{time.monotonic() - opened:5.1f} s  {said}", flush=True)
        for show in (page.before, page.figures) if figures else ():
            print("".join(text for text, _ in show(seen)) if show is not None else "")
    wall = time.monotonic() - began
    teacher.close(5)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{wall:.1f} s; {used.ru_utime + used.ru_stime:.1f} s of processor time, {used.ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main(sys.argv[1], figures="figures" in sys.argv[2:])
