"""Child processes that speak JSON lines. The app never imports torch; its children do."""

from playground.jobs.engine import EngineProcess
from playground.jobs.runs import RunLink, is_busy, start_training

__all__ = ["EngineProcess", "RunLink", "is_busy", "start_training"]
