"""Child processes that speak JSON lines. The app never imports torch; its children do."""

from playground.jobs.desk import DeskProcess
from playground.jobs.engine import EngineProcess
from playground.jobs.folders import is_busy
from playground.jobs.runs import RunLink, start_training

__all__ = ["DeskProcess", "EngineProcess", "RunLink", "is_busy", "start_training"]
