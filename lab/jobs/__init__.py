"""Everything a page or the command line does with runs."""

from lab.jobs.arena import check_arena, time_left, tune
from lab.jobs.control import check_data, describe, follow, launch, refresh, refresh_all, resume, stop
from lab.jobs.nights import night_state, start_night, wake, work_night
from lab.jobs.notebook import open_notebook
from lab.jobs.output import export_brain, export_starter, export_tables, write
from lab.jobs.worker import work

__all__ = [
    "check_arena", "check_data", "describe", "export_brain", "export_starter", "export_tables", "follow", "launch", "night_state",
    "open_notebook", "refresh", "refresh_all", "resume", "start_night", "stop", "time_left", "tune", "wake", "work", "work_night",
    "write",
]  # fmt: skip
