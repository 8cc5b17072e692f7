"""An arena run as files for others: its tables, all of it as JSON, or one page that needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import plotly
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab.config import ArenaConfig, ConfigError, arena_line
from lab.disk import write_durably
from lab.report.arena import Report, nothing_to_say, report
from lab.store import ArenaLog, Run
from lab.store.arena import TABLES
from lab.store.tables import write_tables
from lab.views.arena import figures

FORMATS = ("csv", "parquet", "json", "html")


def export_arena(run: Run, folder: Path, kind: str) -> list[Path]:
    """Write a run's tables to `folder` as csv, parquet or json, or all of it as one html page; gives the paths."""
    if kind not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}; got {kind!r}.", "format")
    config, log = run.arena(), ArenaLog(run)
    log.read()
    results = report(config, log)
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: log.table(name) for name in TABLES} | {"metrics": results.seeds, "means": results.means}
    if kind in ("csv", "parquet"):
        return write_tables(tables, folder, kind)
    path = folder / f"{run.id}.{kind}"
    if kind == "html":
        write_durably(path, _page(config, log, results).encode())
        return [path]
    whole = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
    about = {"run": run.id, "command": arena_line(config), "config": run.record["config"], "verdicts": results.verdicts}
    write_durably(path, json.dumps(whole | about).encode())
    return [path]


def _page(config: ArenaConfig, log: ArenaLog, results: Report) -> str:
    """One page: verdicts, the table of means, charts and the script that draws them."""
    drawn = figures(log.table("scores"), log.table("probes"), results.seeds, log.table("tasks"), config.names())
    means = results.table.to_html(index=False, na_rep="–", float_format="{:,.0f}".format) if len(results.means) else ""
    # autoescape for all that a user may have named; tojson escapes what would end a script early
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    return pages.get_template("arena.html").render(
        title=f"Who forgets what? {config.stream}",
        command=arena_line(config),
        sentences=results.verdicts or [nothing_to_say(results)],
        proves=results.proves,
        means=means,
        figures=[{**figure, "layout": {**figure["layout"], "height": 340}} for figure in drawn],
        plotly=(Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8"),
    )
