"""The runs on disk, and DuckDB over them. Notebooks need one call: `connect()`."""

from lab.store.arena import ArenaLog
from lab.store.live import LiveLog, LiveLogs
from lab.store.log import LogWriter, read_log
from lab.store.publish import connect, publish, query, refresh_database, summaries
from lab.store.runs import ARENA, TRAIN, Run, RunStore, runs_home

__all__ = [
    "ARENA", "TRAIN", "ArenaLog", "LiveLog", "LiveLogs", "LogWriter", "Run", "RunStore", "connect", "publish", "query", "read_log",
    "refresh_database", "runs_home", "summaries",
]  # fmt: skip
