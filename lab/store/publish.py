"""lab.duckdb: all runs as tables, published from the logs as a new file that replaces the old one.

Nobody keeps the published file open for writing, so a page and any number of notebooks read it at once and block
nothing. It can always be made again: `python -m lab rebuild-db`.
Rows of runs that did not change since are copied from the last file; only changed logs are read.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from filelock import FileLock, Timeout

from lab.config import ConfigError
from lab.store.arena import TABLES as ARENA_TABLES
from lab.store.arena import arena_rows, cell_logs
from lab.store.minds import TABLES as MIND_TABLES
from lab.store.minds import mind_rows, minds_stamp
from lab.store.runs import ARENA, Run, RunStore, mark

MINDS = "minds/"  # the name under which the minds' stamp is kept
FRESH_S = 10.0  # a live database is published at most this often
FULL = os.strerror(errno.ENOSPC)  # how DuckDB says that the disk is full

TABLES = {
    "runs": "run VARCHAR, kind VARCHAR, model VARCHAR, config JSON, status VARCHAR, started_at TIMESTAMPTZ,"
    " ended_at TIMESTAMPTZ, parameters BIGINT, device VARCHAR, created_at TIMESTAMPTZ, message VARCHAR",
    "steps": "run VARCHAR, step BIGINT, tokens BIGINT, loss DOUBLE, surprise DOUBLE, lr DOUBLE, tokens_s DOUBLE,"
    " elapsed_s DOUBLE, grad_norm DOUBLE",
    "measures": "run VARCHAR, step BIGINT, name VARCHAR, value DOUBLE",
    "bands": "run VARCHAR, step BIGINT, band VARCHAR, updated BOOLEAN",
    "evals": "run VARCHAR, step BIGINT, split VARCHAR, bpb DOUBLE",
    "samples": "run VARCHAR, step BIGINT, prompt VARCHAR, text VARCHAR",
    "notices": "run VARCHAR, step BIGINT, kind VARCHAR, text VARCHAR",
    **ARENA_TABLES,
    "published": "run VARCHAR, stamp VARCHAR",
}

SUMMARY = """
    CREATE TABLE run_summary AS
        SELECT r.run, r.model, r.config->>'preset' AS preset, r.config->>'data' AS data, r.status, r.parameters,
               s.step, s.loss, s.tokens, s.tokens_s, s.elapsed_s, e.bpb, e.best_bpb, r.created_at, r.ended_at, r.message
        FROM runs r
        LEFT JOIN (SELECT run, max(step) AS step, arg_max(loss, step) AS loss, max(tokens) AS tokens,
                          median(tokens_s) AS tokens_s, max(elapsed_s) AS elapsed_s FROM steps GROUP BY run) s USING (run)
        LEFT JOIN (SELECT run, arg_max(bpb, step) AS bpb, min(bpb) AS best_bpb FROM evals GROUP BY run) e USING (run)"""

VIEWS = {
    "curves": """
        SELECT r.model, r.config->>'preset' AS preset, r.config->>'data' AS data, TRY_CAST(r.config->>'seed' AS BIGINT) AS seed, s.*
        FROM steps s JOIN runs r USING (run)""",
    "band_activity": """
        SELECT run, band, count(*) AS steps, sum(updated::INT) AS updates, avg(updated::INT) AS share
        FROM bands GROUP BY run, band""",
    "student_t": """
        SELECT generate_subscripts(t, 1) AS df, unnest(t)::DOUBLE AS t975 FROM (SELECT [
            12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
            2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
            2.0452, 2.0423, 2.0395, 2.0369, 2.0345, 2.0322, 2.0301, 2.0281, 2.0262, 2.0244, 2.0227, 2.0211, 2.0195, 2.0181,
            2.0167, 2.0154, 2.0141, 2.0129, 2.0117, 2.0106, 2.0096, 2.0086, 2.0076, 2.0066, 2.0057, 2.0049, 2.0040, 2.0032,
            2.0025, 2.0017, 2.0010, 2.0003, 1.9996, 1.9990, 1.9983, 1.9977, 1.9971, 1.9966, 1.9960, 1.9955, 1.9949, 1.9944,
            1.9939, 1.9935, 1.9930, 1.9925, 1.9921, 1.9917, 1.9913, 1.9908, 1.9905, 1.9901, 1.9897, 1.9893, 1.9890, 1.9886,
            1.9883, 1.9879, 1.9876, 1.9873, 1.9870, 1.9867, 1.9864, 1.9861, 1.9858, 1.9855, 1.9853, 1.9850, 1.9847, 1.9845,
            1.9842, 1.9840] AS t)""",
    "arena_seeds": """
        SELECT run, contestant, seed, task_order, count(*) AS tasks,
               avg(final) AS acc, avg(learnt) AS learning_accuracy,
               avg(final - learnt) FILTER (on_task < last_task) AS bwt,
               avg(best_before - final) FILTER (on_task < last_task) AS forgetting,
               avg(just_before - at_first) FILTER (on_task > 1) AS fwt,
               max(final) FILTER (on_task = 1) AS oldest, max(final) FILTER (on_task = last_task) AS newest,
               max(coalesce(final / nullif(learnt, 0), 0)) FILTER (on_task = 1) AS kept_of_first
        FROM (SELECT s.run, contestant, seed, s.task_order, on_task, any_value(t.last_task) AS last_task,
                     max(recall) FILTER (after_task = t.last_task) AS final, max(recall) FILTER (after_task = on_task) AS learnt,
                     max(recall) FILTER (after_task < t.last_task) AS best_before,
                     max(recall) FILTER (after_task = on_task - 1) AS just_before, max(recall) FILTER (after_task = 0) AS at_first
              FROM scores s JOIN (SELECT run, task_order, max(position) AS last_task FROM tasks GROUP BY ALL) t
                   ON s.run = t.run AND s.task_order = t.task_order
              GROUP BY ALL HAVING count(*) = any_value(t.last_task) + 1)
        GROUP BY ALL HAVING count(*) = any_value(last_task)""",
    "options": "SELECT run, key AS option, value->>'$' AS value FROM runs, json_each(config)",
}

EVENT_COLUMNS = {
    "n": "BIGINT", "kind": "VARCHAR", "step": "BIGINT", "tokens": "BIGINT", "loss": "DOUBLE", "surprise": "DOUBLE",
    "lr": "DOUBLE", "tokens_s": "DOUBLE", "elapsed_s": "DOUBLE", "grad_norm": "DOUBLE", "fire_rate": "DOUBLE",
    "measures": "MAP(VARCHAR, DOUBLE)", "bands": "MAP(VARCHAR, BOOLEAN)", "split": "VARCHAR", "bpb": "DOUBLE",
    "prompt": "VARCHAR", "text": "VARCHAR", "to_step": "BIGINT", "from_step": "BIGINT", "lr_scale": "DOUBLE",
}  # fmt: skip

# A run that resumed from step s, or fell back to it, writes the steps after s again: the earlier lines do not count.
EVENTS = """
    CREATE TEMP TABLE events AS
    SELECT * EXCLUDE (back_to) FROM (
        SELECT *, min(CASE kind WHEN 'started' THEN step WHEN 'rolledback' THEN to_step END) OVER (
            PARTITION BY run ORDER BY n DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS back_to
        FROM (SELECT string_split(filename, '/')[-2] AS run, coalesce(step, from_step) AS step, * EXCLUDE (filename, step)
              FROM read_json(?, format = 'newline_delimited', columns = {columns}, ignore_errors = true,
                             filename = true, hive_partitioning = false, maximum_object_size = 67108864)
              WHERE kind IS NOT NULL AND coalesce(step, from_step) IS NOT NULL))
    WHERE back_to IS NULL OR step <= back_to OR kind IN ('rolledback', 'notice')"""

FILLS = {
    "steps": "SELECT run, step, tokens, loss, surprise, lr, tokens_s, elapsed_s, grad_norm FROM events WHERE kind = 'step'",
    "measures": "SELECT run, step, unnest(map_keys(measures)), unnest(map_values(measures)) FROM events WHERE kind = 'step'"
    " UNION ALL SELECT run, step, 'fire_rate', fire_rate FROM events WHERE kind = 'step' AND fire_rate IS NOT NULL",  # old logs
    "bands": "SELECT run, step, unnest(map_keys(bands)), unnest(map_values(bands)) FROM events WHERE kind = 'step'",
    "evals": "SELECT run, step, split, bpb FROM events WHERE kind = 'evaluated' AND bpb IS NOT NULL",
    "samples": "SELECT run, step, prompt, text FROM events WHERE kind = 'sampled' AND text IS NOT NULL",
    "notices": "SELECT run, step, kind, CASE kind WHEN 'notice' THEN text ELSE"
    " format('The loss jumped to {:.2f} nats at step {}; training went back to step {} with {}% of the rate.',"
    " loss, from_step, to_step, round(100 * lr_scale, 1)) END FROM events WHERE kind IN ('notice', 'rolledback')",
}


def database(store: RunStore) -> Path:
    return store.home / "lab.duckdb"


def publish(store: RunStore | None = None, *, whole: bool = False, max_age_s: float = 0.0) -> bool:
    """Bring lab.duckdb up to date; says whether there was anything to do.

    With `max_age_s` a younger file is left as it is. `whole` reads every log anew. A missing or damaged file is made
    anew. Where another process is publishing just now, that one's result is taken. Raises OSError when the disk is full.
    """
    store = store or RunStore()
    path = database(store)
    if path.is_dir():
        raise ConfigError(f"lab.duckdb must be a file; {path} is a folder. Move it away.")
    if not whole and path.is_file() and 0 <= time.time() - path.stat().st_mtime < max_age_s:  # a clock can be set back
        return False
    store.home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(store.home / ".publish.lock", timeout=10, mode=0o600):
            return _publish(store, path, whole)
    except Timeout:
        return False
    except duckdb.IOException as error:
        if FULL not in str(error):
            raise
        raise OSError(errno.ENOSPC, str(error), str(path)) from error


def _publish(store: RunStore, path: Path, whole: bool) -> bool:
    runs = {run.id: run for run in store.list()}
    cells = {name: cell_logs(run.folder) if run.kind == ARENA else [] for name, run in runs.items()}
    stamps = {name: " ".join([run.stamp, *map(mark, cells[name])]) for name, run in runs.items()}
    before = {**_published(path, mark(path))} if path.is_file() and not whole else {}
    minds, minds_before = minds_stamp(store.home), before.pop(MINDS, None)
    changed = [runs[name] for name, stamp in stamps.items() if before.get(name) != stamp]
    if before and not changed and before.keys() == stamps.keys() and minds == minds_before:
        return False
    for stale in store.home.glob("lab.duckdb.*.tmp"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(".tmp", "lab.duckdb.", store.home) as folder:  # nobody else may look into it
        draft = Path(folder) / "lab.duckdb"
        with duckdb.connect(str(draft)) as db:
            for table, columns in TABLES.items():
                db.execute(f"CREATE TABLE {table} ({columns})")
            kept = [name for name in stamps if before.get(name) == stamps[name]]
            if kept:
                _copy(db, path, kept)
            _fill(db, changed, stamps)
            db.execute("INSERT INTO published VALUES (?, ?)", [MINDS, minds])
            _fill_minds(db, store.home)
            db.execute(SUMMARY)
            for view, query_text in VIEWS.items():
                db.execute(f"CREATE VIEW {view} AS {query_text}")
        draft.chmod(0o600)
        os.replace(draft, path)
    return True


@lru_cache(maxsize=8)
def _published(path: Path, mark: str) -> dict[str, str]:
    """What the file that bears this mark was made of; nothing if it is missing, damaged or of another layout."""
    try:
        with duckdb.connect(str(path), read_only=True) as db:
            for table, columns in TABLES.items():
                names = [row[0] for row in db.execute(f"DESCRIBE {table}").fetchall()]
                if names != [column.split()[0] for column in columns.split(", ")]:
                    return {}
            return dict(db.execute("SELECT run, stamp FROM published").fetchall())
    except (duckdb.Error, OSError):
        return {}


def _copy(db: duckdb.DuckDBPyConnection, path: Path, kept: list[str]) -> None:
    db.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS before (READ_ONLY)")
    for table in TABLES:
        db.execute(f"INSERT INTO {table} SELECT * FROM before.{table} WHERE run IN (SELECT unnest(?))", [kept])
    db.execute("DETACH before")


def _fill(db: duckdb.DuckDBPyConnection, changed: Sequence[Run], stamps: dict[str, str]) -> None:
    rows = [_row(run) for run in changed]
    if not rows:
        return
    frame = pd.DataFrame(rows, columns=[column.split()[0] for column in TABLES["runs"].split(", ")], dtype=object)
    _insert(db, "runs", TABLES["runs"], frame)
    marks = pd.DataFrame({"run": [row["run"] for row in rows], "stamp": [stamps[row["run"]] for row in rows]})
    _insert(db, "published", TABLES["published"], marks)
    for table, rows_of in arena_rows([run for run in changed if run.kind == ARENA]).items():
        _insert(db, table, ARENA_TABLES[table], rows_of)
    _fill_events(db, [run for run in changed if os.path.isfile(run.events) and run.folder.name == run.id])


def _fill_events(db: duckdb.DuckDBPyConnection, runs: list[Run]) -> None:
    """Take in the runs' logs; where one of them cannot be read, all others and a notice."""
    if not runs:
        return
    logs = [glob.escape(run.events.as_posix()) for run in runs]
    try:
        db.execute(EVENTS.format(columns=EVENT_COLUMNS), [logs])
    except duckdb.Error as error:
        if FULL in str(error):
            raise
        if len(runs) == 1:
            said = [runs[0].id, f"Its log cannot be read: {error}"]
            db.execute("INSERT INTO notices VALUES (?, 0, 'notice', ?)", said)
            return
        for half in (runs[: len(runs) // 2], runs[len(runs) // 2 :]):
            _fill_events(db, half)
        return
    for table, fill in FILLS.items():
        db.execute(f"INSERT INTO {table} {fill}")
    db.execute("DROP TABLE events")


def _fill_minds(db: duckdb.DuckDBPyConnection, home: Path) -> None:
    for table, frame in mind_rows(home).items():
        db.execute(f"CREATE TABLE {table} ({MIND_TABLES[table]})")
        _insert(db, table, MIND_TABLES[table], frame)


def _insert(db: duckdb.DuckDBPyConnection, table: str, columns: str, frame: pd.DataFrame) -> None:
    """Put the rows of `frame` into `table`, each column as its kind says."""
    kinds = dict(column.split() for column in columns.split(", "))
    db.register("fresh", frame)
    cells = ", ".join(f"TRY_CAST({name} AS {kind})" for name, kind in kinds.items())
    db.execute(f"INSERT INTO {table} SELECT {cells} FROM fresh")
    db.unregister("fresh")


def _row(run: Run) -> dict[str, Any]:
    record = run.record
    told = {name: record.get(name) for name in ("kind", "model", "started_at", "ended_at", "parameters", "device")}
    return {
        **told, "run": run.id, "config": json.dumps(record.get("config", {})), "status": run.status,
        "created_at": record.get("created_at"), "message": run.damage or record.get("message"),
    }  # fmt: skip


def refresh_database(store: RunStore, max_age_s: float = 0.0) -> None:
    """Publish; where that cannot be done (a full disk, say) but there is a database, that one must do."""
    try:
        publish(store, max_age_s=max_age_s)
    except (OSError, duckdb.Error):
        if not database(store).exists():
            raise


def connect(home: Path | str | None = None) -> duckdb.DuckDBPyConnection:
    """Open the published database for reading, brought up to date first. Close it to see newer runs later."""
    store = RunStore(Path(home) if home else None)
    refresh_database(store)
    return duckdb.connect(str(database(store)), read_only=True)


def query(sql: str, values: list[Any] | None = None, *, store: RunStore | None = None) -> pd.DataFrame:
    """Run one query on the published database, at most FRESH_S old, and give its table."""
    store = store or RunStore()
    refresh_database(store, FRESH_S)
    for last in (False, True):
        try:
            with duckdb.connect(str(database(store)), read_only=True) as db:
                return db.execute(sql, values or []).df()
        except (duckdb.IOException, duckdb.CatalogException, duckdb.SerializationException, duckdb.InternalException):
            if last:
                raise
            publish(store, whole=True)  # removed, or replaced by something else: it is only a view of the logs
    raise AssertionError


def summaries(store: RunStore) -> dict[str, dict[str, Any]]:
    """Give each run's row of `run_summary`, by its name; asked once of each published database."""
    refresh_database(store, FRESH_S)
    return _summaries(store.home, mark(database(store)))


@lru_cache(maxsize=4)
def _summaries(home: Path, mark: str) -> dict[str, dict[str, Any]]:
    found = query("SELECT * FROM run_summary", store=RunStore(home)).set_index("run")
    rows: dict[str, dict[str, Any]] = found.astype(object).where(found.notna(), None).to_dict("index")
    return rows
