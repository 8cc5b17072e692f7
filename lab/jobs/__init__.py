"""Everything a page or the command line does with runs."""

from lab.jobs.control import check_data, describe, follow, launch, refresh, refresh_all, resume, stop
from lab.jobs.notebook import open_notebook
from lab.jobs.output import export_brain, export_tables, write
from lab.jobs.worker import work

__all__ = [
    "check_data", "describe", "export_brain", "export_tables", "follow", "launch", "open_notebook", "refresh", "refresh_all", "resume",
    "stop", "work", "write",
]  # fmt: skip
