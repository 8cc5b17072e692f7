"""What a run's or an arena's page and files say, and the tables of results."""

from lab.report.arena import Report, control_of, judged, nothing_to_say, report
from lab.report.files import FORMATS, export_arena
from lab.report.results import contested_rows, render, write_results

__all__ = [
    "FORMATS", "Report", "contested_rows", "control_of", "export_arena", "judged", "nothing_to_say", "render", "report",
    "write_results",
]  # fmt: skip
